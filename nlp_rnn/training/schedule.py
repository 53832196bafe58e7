"""The size of the data becomes a number of updates, and an update's number its learning rate."""

import math
from dataclasses import dataclass

from nlp_rnn.config import OptimizerConfig, Schedule, TrainerConfig

__all__ = ["Plan", "default_max_epochs", "learning_rate_factor", "plan"]

# `max_epochs=null`: as many as read this much, whichever comes first, within these bounds.
TEXTS_TO_READ = 200_000
TOKENS_TO_READ = 25_000_000
EPOCHS = (4, 15)


@dataclass(frozen=True)
class Plan:
    """How much there is to train at most."""

    max_epochs: int
    total_updates: int


def default_max_epochs(rows: int, tokens: int) -> int:
    """Epochs for a training split of `rows` texts, `tokens` in all, when the config names none."""
    low, high = EPOCHS
    return max(low, min(high, TEXTS_TO_READ // rows, TOKENS_TO_READ // tokens))


def plan(rows: int, tokens: int, config: TrainerConfig) -> Plan:
    """The epochs and updates of a training split of `rows` texts, `tokens` in all."""
    max_epochs = config.max_epochs or default_max_epochs(rows, tokens)
    per_epoch = -(-rows // (config.batch_size * config.accumulation))
    total = per_epoch * max_epochs
    return Plan(max_epochs, min(total, config.max_updates or total))


def learning_rate_factor(update: int, total: int, config: OptimizerConfig) -> float:
    """What to multiply `optimizer.learning_rate` by at `update` (0-based) of `total`.

    Rises in a straight line over the first `warmup_fraction`, then stays (`constant`) or falls
    to 0 in a straight line (`linear`) or half a cosine (`cosine`).
    """
    warmup = config.warmup_fraction * total
    if update + 1 < warmup:
        return (update + 1) / warmup
    if config.schedule is Schedule.constant:
        return 1.0
    done = min(1.0, (update - warmup) / max(1.0, total - warmup)) if update > warmup else 0.0
    if config.schedule is Schedule.linear:
        return 1.0 - done
    return 0.5 * (1.0 + math.cos(math.pi * done))
