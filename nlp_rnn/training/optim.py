"""Parameters become an optimizer."""

import math
from dataclasses import dataclass
from inspect import unwrap
from typing import Any

import torch
from torch import nn

from nlp_rnn.config.training import (
    LEARNING_RATE,
    MANY_LABELS,
    PATIENCE,
    PLATEAU_FACTOR,
    PLATEAU_PATIENCE,
    OptimizerConfig,
    Schedule,
    TrainerConfig,
)
from nlp_rnn.training.training_state import TrainingState

__all__ = [
    "TrainingLimits",
    "default_max_epochs",
    "learning_rate_factor",
    "make_optimizer",
    "set_learning_rates",
    "stop_reason",
    "training_limits",
    "unfreeze",
    "update_plateau",
]

# First beta of AdamW with the schedule `one_cycle`: Smith & Topin 2018.
HIGH_DECAY, LOW_DECAY = 0.95, 0.85

# `max_epochs=null`: as many as read this much, whichever comes first, within these bounds.
TEXTS_TO_READ, EPOCHS = 200_000, (4, 15)
TOKENS_TO_READ = 25_000_000
# With many labels; patience is as long there, so that the learning rate falls to its end.
MORE_TEXTS_TO_READ, MORE_EPOCHS = 400_000, (4, 25)


class AdamW(torch.optim.AdamW):
    """AdamW without torch's compiler.

    torch imports the compiler, which takes seconds, at the first call of any of these methods, only
    to hide the method from it.
    """

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        unwrap(torch.optim.AdamW.step)(self, closure)

    add_param_group = unwrap(torch.optim.AdamW.add_param_group)
    zero_grad = unwrap(torch.optim.AdamW.zero_grad)
    state_dict = unwrap(torch.optim.AdamW.state_dict)
    load_state_dict = unwrap(torch.optim.AdamW.load_state_dict)


def make_optimizer(network: nn.Module, config: OptimizerConfig) -> AdamW:
    """AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101), fused.

    Weight decay acts on matrices but not on embeddings and biases: a rare word's embedding
    would shrink at every update that does not hold the word. A group's `rate` is what the learning
    rate is to be multiplied by: `encoder_rate` for what was pretrained (discriminative rates of
    Howard & Ruder 2018, arXiv:1801.06146).
    """
    found: dict[tuple[bool, float], list[nn.Parameter]] = {(True, 1.0): [], (False, 1.0): []}
    for name, parameter in network.named_parameters():
        decayed = parameter.ndim >= 2 and not name.startswith("embedding.")
        rate = config.encoder_rate if name.startswith(("embedding.", "encoder.")) else 1.0
        found.setdefault((decayed, rate), []).append(parameter)
    groups: list[dict[str, Any]] = [
        {
            "params": parameters,
            "weight_decay": config.weight_decay if decayed else 0.0,
            "rate": rate,
        }
        for (decayed, rate), parameters in found.items()
    ]
    return AdamW(groups, lr=config.learning_rate or LEARNING_RATE, fused=True)


def unfreeze(network: nn.Module, epoch: int, frozen_epochs: int) -> None:
    """Let the parts learn that may in `epoch` (from 1), the last ones first.

    Gradual unfreezing (Howard & Ruder 2018, arXiv:1801.06146): for `frozen_epochs` epochs pooling
    and head alone, for as many more the encoder too, then the embedding.
    """
    begins = {"encoder": frozen_epochs, "embedding": 2 * frozen_epochs}
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(epoch > begins.get(name.partition(".")[0], 0))


@dataclass(frozen=True)
class TrainingLimits:
    """How much there is to train at most."""

    max_epochs: int
    total_updates: int
    patience: int


def default_max_epochs(rows: int, tokens: int, labels: int) -> int:
    """Epochs for a training split of `rows` texts, `tokens` in all, when the config names none."""
    many = labels >= MANY_LABELS
    texts, (low, high) = (MORE_TEXTS_TO_READ, MORE_EPOCHS) if many else (TEXTS_TO_READ, EPOCHS)
    return max(low, min(high, texts // rows, TOKENS_TO_READ // tokens))


def training_limits(rows: int, tokens: int, labels: int, config: TrainerConfig) -> TrainingLimits:
    """The epochs and updates of a training split of `rows` texts, `tokens` in all."""
    max_epochs = config.max_epochs or default_max_epochs(rows, tokens, labels)
    patience = config.patience or (MORE_EPOCHS[1] if labels >= MANY_LABELS else PATIENCE)
    per_epoch = -(-rows // (config.batch_size * config.accumulation))
    total = per_epoch * max_epochs
    return TrainingLimits(max_epochs, min(total, config.max_updates or total), patience)


def set_learning_rates(
    optimizer: torch.optim.Optimizer, state: TrainingState, total: int, config: OptimizerConfig
) -> None:
    """Give `optimizer` the learning rate of the next of `total` updates."""
    factor = learning_rate_factor(state.updates, total, config)
    if config.schedule is Schedule.plateau:
        factor *= (config.plateau_factor or PLATEAU_FACTOR) ** state.reductions
    rate = config.learning_rate or LEARNING_RATE
    for group in optimizer.param_groups:
        group["lr"] = rate * factor * group.get("rate", 1.0)
        if config.schedule is Schedule.one_cycle:
            decay = _one_cycle(state.updates, total, config, HIGH_DECAY, LOW_DECAY, HIGH_DECAY)
            group["betas"] = (decay, group["betas"][1])


def update_plateau(state: TrainingState, improved: bool, config: OptimizerConfig) -> None:
    """Count an epoch for the schedule `plateau`, which lowers the rate after too many in vain."""
    state.epochs_waited = 0 if improved else state.epochs_waited + 1
    if state.epochs_waited >= (config.plateau_patience or PLATEAU_PATIENCE):
        state.reductions, state.epochs_waited = state.reductions + 1, 0


def stop_reason(state: TrainingState, limits: TrainingLimits) -> str:
    """What ends the training after this epoch: `epochs` or `patience`; empty if it goes on."""
    if state.epoch >= limits.max_epochs:
        return "epochs"
    return "patience" if state.epoch - state.best_epoch >= limits.patience else ""


def learning_rate_factor(update: int, total: int, config: OptimizerConfig) -> float:
    """What to multiply `optimizer.learning_rate` by at `update` (0-based) of `total`.

    Rises in a straight line over the first `warmup_fraction`, then stays (`constant`, and
    `plateau` until validation says otherwise) or falls to 0 in a straight line (`linear`) or half
    a cosine (`cosine`). `one_cycle` (Smith & Topin 2018, arXiv:1708.07120, as torch's
    `OneCycleLR`) rises from 1/25 by half a cosine and falls to 1/250,000 by another, while
    AdamW's first decay falls from 0.95 to 0.85 and rises again.
    """
    if config.schedule is Schedule.one_cycle:
        return _one_cycle(update, total, config, 1 / 25, 1.0, 1 / 250_000)
    warmup = config.warmup_fraction * total
    if update + 1 < warmup:
        return (update + 1) / warmup
    if config.schedule in (Schedule.constant, Schedule.plateau):
        return 1.0
    done = min(1.0, (update - warmup) / max(1.0, total - warmup)) if update > warmup else 0.0
    if config.schedule is Schedule.linear:
        return 1.0 - done
    return 0.5 * (1.0 + math.cos(math.pi * done))


def _one_cycle(
    update: int, total: int, config: OptimizerConfig, start: float, middle: float, end: float
) -> float:
    """From `start` to `middle` by half a cosine over the warm-up, then to `end`."""
    peak = max(1.0, config.warmup_fraction * total - 1)
    if update <= peak:
        return _half_cosine(start, middle, update / peak)
    return _half_cosine(middle, end, min(1.0, (update - peak) / max(1.0, total - 1 - peak)))


def _half_cosine(start: float, end: float, done: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * done))
