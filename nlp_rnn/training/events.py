"""Events that a trainer reports to its callbacks, and the result of a training."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from nlp_rnn.training.training_state import ProgressState

__all__ = ["EpochEnd", "TrainingResult", "UpdateEnd"]


@dataclass(frozen=True)
class UpdateEnd:
    """Event after every update, for a progress bar.

    Attributes
    ----------
    update, total_updates : int
        Updates so far, and updates of the whole training.
    epoch, max_epochs : int
        Current epoch, from 1, and largest number of epochs.
    tokens_per_second : float
        Mean speed so far.
    """

    update: int
    total_updates: int
    epoch: int
    max_epochs: int
    tokens_per_second: float


@dataclass(frozen=True)
class EpochEnd:
    """Event after every epoch.

    Attributes
    ----------
    epoch, max_epochs : int
        Epoch that has ended, from 1, and largest number of epochs.
    update : int
        Updates so far.
    metrics : dict of str to float
        Metrics of the epoch; a name has the form `split/metric`.
    best : bool
        Whether this epoch is the best so far.
    is_last : bool
        Whether the training ends after this epoch.
    """

    epoch: int
    max_epochs: int
    update: int
    metrics: dict[str, float]
    best: bool
    is_last: bool = False


@dataclass(frozen=True)
class TrainingResult:
    """Result of a training, whose network now has the weights of `best_epoch`.

    Attributes
    ----------
    best_epoch : int
        The epoch with the best value of the monitored metric, from 1; with
        `trainer.restore_best=false` the last epoch.
    epochs, updates : int
        Epochs, including one that a limit cut short, and updates that were trained.
    seconds : float
        Wall time of training and validation.
    update_seconds : float
        Wall time of the updates, including the preparation of their batches.
    tokens : int
        Tokens that the updates of all processes read, without padding.
    stopped : str
        What ended the training: `epochs`, `patience`, `updates` or `minutes`.
    best_metrics : dict
        Validation metrics of the best epoch.
    thresholds : list
        Threshold of each label in the best epoch; empty for a single-label task.
    notes : tuple of str
        What a user should know about the end of the training; mostly empty.
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
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, state: ProgressState, thresholds: Sequence[float] = (), notes: tuple[str, ...] = ()
    ) -> "TrainingResult":
        """Return the result of the training that ended in `state`."""
        return cls(
            best_epoch=state.best_epoch,
            epochs=state.epoch - 1,
            updates=state.updates,
            seconds=state.seconds,
            update_seconds=state.update_seconds,
            tokens=state.tokens,
            stopped=state.stopped,
            best_metrics=state.best_metrics,
            thresholds=list(thresholds),
            notes=notes,
        )

    @property
    def tokens_per_second(self) -> float:
        """Tokens without padding, divided by the time of the updates."""
        return self.tokens / self.update_seconds
