"""The shape of a pretraining: what YAML and the command line may say of `pretraining`."""

from dataclasses import dataclass

__all__ = ["AUTO", "PretrainingConfig"]

AUTO = "auto"
"""The `model.pretrained` that pretrains first, or takes what was pretrained the same way before."""


@dataclass
class PretrainingConfig:
    """Language models over the training texts, whose encoder a classifier can start from.

    `batch_size` streams of text are read side by side, `window` tokens of each in an update
    (truncated backpropagation). `samples` tokens are drawn beside those of the window for the
    softmax of an update; a vocabulary that is no larger is taken whole. `max_epochs=null` is chosen
    from the number of tokens. With `max_minutes` the learning rate has fallen when they are over.
    """

    max_epochs: int | None = None
    max_minutes: float | None = None
    batch_size: int = 64
    window: int = 64
    dropout: float = 0.2
    learning_rate: float = 3e-3
    weight_decay: float = 0.01
    samples: int = 1024
    checkpoint_minutes: float = 10.0
    seed: int = 1
