"""Limits of a training: when it ends, and what a user should know about its end."""

import math
from dataclasses import dataclass

from nlp_rnn.config.training import OptimizerConfig, TrainerConfig
from nlp_rnn.training.training_state import TrainingState

__all__ = ["TrainingLimits", "ending_notes", "stop_reason", "training_limits"]

LAST_PART = 0.2
"""Part of a training that is its end: the score still rises if its best value is here."""


@dataclass(frozen=True)
class TrainingLimits:
    """Limits of a training.

    Attributes
    ----------
    max_epochs, total_updates : int
        Largest number of epochs, and of updates.
    patience : int
        Number of epochs without improvement after which the training stops.
    warmup_epochs : int
        Epochs in which the learning rate rises. They do not count as epochs without improvement.
    """

    max_epochs: int
    total_updates: int
    patience: int
    warmup_epochs: int = 1


def training_limits(rows: int, config: TrainerConfig, optimizer: OptimizerConfig) -> TrainingLimits:
    """Return the limits of a training on `rows` texts with resolved options."""
    assert config.max_epochs is not None
    assert config.patience is not None
    assert config.batch_size is not None
    per_epoch = -(-rows // (config.batch_size * config.accumulation))
    total = per_epoch * config.max_epochs
    total = min(total, config.max_updates or total)
    warmup = math.ceil(optimizer.warmup_fraction * total / per_epoch)
    return TrainingLimits(config.max_epochs, total, config.patience, warmup)


def stop_reason(state: TrainingState, limits: TrainingLimits) -> str:
    """Return what ends the training after this epoch, `epochs` or `patience`; empty if nothing.

    Epochs of the warm-up do not count as epochs without improvement: a score that has not begun to
    rise is no reason to stop.
    """
    if state.epoch >= limits.max_epochs:
        return "epochs"
    waited = state.epoch - max(state.best_epoch, limits.warmup_epochs)
    return "patience" if waited >= limits.patience else ""


def ending_notes(
    state: TrainingState, limits: TrainingLimits, config: TrainerConfig, validation_rows: int
) -> tuple[str, ...]:
    """Return what a user should know about the end of a training; mostly nothing.

    A training that `trainer.max_minutes` ended says how much it left out. One that reached
    its last epoch or update while the validation score was rising names the option to raise. The
    score counts as rising if its best value in the last fifth of the epochs is above the best
    earlier one by more than its standard error.

    Parameters
    ----------
    state : TrainingState
        The state at the end of the training.
    limits : TrainingLimits
        Its limits.
    config : TrainerConfig
        Resolved options.
    validation_rows : int
        Texts of the validation split.
    """
    if state.stopped == "minutes":
        note = (
            f"trainer.max_minutes={config.max_minutes:g} ended the training after "
            f"{state.updates:,} of {limits.total_updates:,} updates, in epoch {len(state.values)} "
            f"of {limits.max_epochs}. Raise it to train the rest."
        )
        return (note,)
    if state.stopped not in ("epochs", "updates") or not _is_rising(state.values, validation_rows):
        return ()
    option = "max_updates" if state.stopped == "updates" else "max_epochs"
    note = (
        f"The validation score was still rising when trainer.{option}={getattr(config, option)} "
        f"ended the training. Raise trainer.{option}."
    )
    return (note,)


def _is_rising(values: list[float], rows: int) -> bool:
    """Return whether the last values of the monitored metric are above the earlier ones."""
    start = len(values) - max(1, round(LAST_PART * len(values)))
    if start < 1:
        return False
    before, after = max(values[:start]), max(values[start:])
    if before < 0:  # a loss, negated
        return after > 0.98 * before
    return after - before > math.sqrt(after * (1 - after) / rows)
