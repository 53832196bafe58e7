"""Schema of the pretraining of language models."""

from dataclasses import dataclass

from nlp_rnn.config.option import FRACTION, POSITIVE, SEED, at_least, option

__all__ = ["AUTO", "PretrainingConfig"]

AUTO = "auto"
"""Value of `model.pretrained` that pretrains on the data of the run, or reuses a pretraining."""


@dataclass
class PretrainingConfig:
    """Language models over the training texts, whose encoder a classifier can start from."""

    max_epochs: int | None = option(
        None, "Epochs at most (null: chosen from the number of tokens).", at_least(1)
    )
    max_minutes: float | None = option(
        None,
        "Minutes at whose end the learning rate has fallen to zero (null: no limit).",
        POSITIVE,
    )
    batch_size: int = option(64, "Streams of text that are read in parallel.", at_least(1))
    window: int = option(
        64, "Tokens of each stream per update (truncated backpropagation).", at_least(1)
    )
    dropout: float = option(0.2, "Dropout of embeddings and states.", FRACTION)
    learning_rate: float = option(3e-3, "Highest learning rate.", POSITIVE)
    weight_decay: float = option(0.01, "Decoupled weight decay of AdamW.", at_least(0))
    samples: int = option(
        1024,
        "Tokens that are sampled for the softmax of an update, beside those of the window; a "
        "smaller vocabulary is used as a whole.",
        at_least(1),
    )
    checkpoint_minutes: float = option(
        10.0, "Minutes between checkpoints within an epoch.", at_least(0)
    )
    seed: int = option(1, "Seed of the pretraining.", SEED)
