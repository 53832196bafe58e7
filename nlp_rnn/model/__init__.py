"""Networks that turn token ids into logits; they know no text, no training and no MLflow.

`network` combines an embedding, the `encoder` and a pooling with the path of `ngram_path`, in the
sizes of `architecture`. `language_model` is an auxiliary loss in training.
"""
