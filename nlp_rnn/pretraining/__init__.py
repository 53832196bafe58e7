"""Pretraining: language models on texts without labels, whose encoder a classifier starts from.

The order of the modules: `pretraining_texts` → `token_stream` → `language_models` →
`pretraining_state` → `pretrainer` train; `encoder_folder` stores the result; `pipeline` runs a
pretraining; `initial_weights` and `encoder_cache` give a classifier its pretrained encoder.
"""
