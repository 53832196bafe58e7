"""Networks from token ids to logits, independent of texts, training and MLflow.

`network` combines an embedding, the `encoder` and a pooling in the sizes of `architecture`.
`language_model` is an auxiliary loss in training.
"""
