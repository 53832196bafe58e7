"""Schemas of the configuration, its checks and defaults, composition with Hydra, and signature.

Modules in import order: `option`; the schemas `data`, `model`, `tokenizer`, `training`,
`pretraining`, `run` and `sweep`; `schemas`, `option_texts` and `arguments`; `signature`, the
checks, `defaults` and `compose`.
"""
