"""What happens in a training becomes an event that others are told."""

from dataclasses import dataclass, field

from nlp_rnn.training.training_state import TrainingState

__all__ = ["EpochEnd", "TrainingResult", "UpdateEnd"]


@dataclass(frozen=True)
class UpdateEnd:
    """Told after every update, for a progress bar."""

    update: int
    total_updates: int
    epoch: int
    max_epochs: int
    tokens_per_second: float


@dataclass(frozen=True)
class EpochEnd:
    """Told after every epoch. `metrics` are `split/metric`; `best` says whether this one is."""

    epoch: int
    max_epochs: int
    update: int
    metrics: dict[str, float]
    best: bool


@dataclass(frozen=True)
class TrainingResult:
    """How a training ended; the network holds the weights of `best_epoch` (1-based).

    `seconds` is the wall time of training with validation, `update_seconds` that of the
    updates alone, making their batches included; `tokens` counts what the updates of all
    processes read, padding left out. `stopped` says what ended it: `epochs`, `patience`,
    `updates` or `minutes`. `thresholds`, one a label, are of that epoch too; there are none where
    a text has one label.
    """

    best_epoch: int
    epochs: int
    updates: int
    seconds: float
    update_seconds: float
    tokens: int
    stopped: str
    best_metrics: dict[str, float]
    thresholds: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, state: TrainingState) -> "TrainingResult":
        """The end of the training that has this state."""
        return cls(
            best_epoch=state.best_epoch,
            epochs=state.epoch - 1,
            updates=state.updates,
            seconds=state.seconds,
            update_seconds=state.update_seconds,
            tokens=state.tokens,
            stopped=state.stopped,
            best_metrics=state.best_metrics,
            thresholds=state.best_thresholds,
        )

    @property
    def tokens_per_second(self) -> float:
        """Tokens without padding over the time of the updates."""
        return self.tokens / self.update_seconds
