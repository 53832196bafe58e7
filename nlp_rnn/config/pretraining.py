"""Schema of the pretraining of language models."""

from dataclasses import dataclass

from nlp_rnn.config.option import option

__all__ = ["AUTO", "PretrainingConfig"]

AUTO = "auto"
"""Value of `model.pretrained` that pretrains on the data of the run, or reuses a pretraining."""


@dataclass
class PretrainingConfig:
    """Language models over the training texts, whose encoder a classifier can start from."""

    max_epochs: int | None = option(
        None, "Epochs at most (null: chosen from the number of tokens)."
    )
    max_minutes: float | None = option(
        None, "Minutes at whose end the learning rate has fallen to zero (null: no limit)."
    )
    batch_size: int = option(64, "Streams of text that are read in parallel.")
    window: int = option(64, "Tokens of each stream per update (truncated backpropagation).")
    dropout: float = option(0.2, "Dropout of embeddings and states.")
    learning_rate: float = option(3e-3, "Highest learning rate.")
    weight_decay: float = option(0.01, "Decoupled weight decay of AdamW.")
    samples: int = option(
        1024,
        "Tokens that are sampled for the softmax of an update, beside those of the window; a "
        "smaller vocabulary is used as a whole.",
    )
    checkpoint_minutes: float = option(10.0, "Minutes between checkpoints within an epoch.")
    seed: int = option(1, "Seed of the pretraining.")
