"""AdamW, its learning rate schedules, gradual unfreezing, and the limits of a training."""

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

# `max_epochs=null`: as many epochs as read one of these amounts, within these bounds.
TEXTS_TO_READ, EPOCHS = 200_000, (4, 15)
TOKENS_TO_READ = 25_000_000
# With many labels. The patience has the same maximum, so that the learning rate falls to its end.
MORE_TEXTS_TO_READ, MORE_EPOCHS = 400_000, (4, 25)


class AdamW(torch.optim.AdamW):
    """torch's AdamW, without the import of torch's compiler.

    torch wraps these methods to hide them from its compiler. Their first call imports the compiler,
    which takes seconds.
    """

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        unwrap(torch.optim.AdamW.step)(self, closure)

    add_param_group = unwrap(torch.optim.AdamW.add_param_group)
    zero_grad = unwrap(torch.optim.AdamW.zero_grad)
    state_dict = unwrap(torch.optim.AdamW.state_dict)
    load_state_dict = unwrap(torch.optim.AdamW.load_state_dict)


def make_optimizer(network: nn.Module, config: OptimizerConfig) -> AdamW:
    """Return the fused AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101) of a network.

    Weight decay applies to matrices, but not to embeddings and biases: the embedding of a rare
    token would shrink at every update without the token. The key `rate` of a parameter group is the
    factor of its learning rate: `encoder_rate` for embedding and encoder, which may be pretrained
    (discriminative learning rates, Howard & Ruder 2018, arXiv:1801.06146).
    """
    members: dict[tuple[bool, float], list[nn.Parameter]] = {(True, 1.0): [], (False, 1.0): []}
    for name, parameter in network.named_parameters():
        decayed = parameter.ndim >= 2 and not name.startswith("embedding.")
        rate = config.encoder_rate if name.startswith(("embedding.", "encoder.")) else 1.0
        members.setdefault((decayed, rate), []).append(parameter)
    groups: list[dict[str, Any]] = [
        {
            "params": parameters,
            "weight_decay": config.weight_decay if decayed else 0.0,
            "rate": rate,
        }
        for (decayed, rate), parameters in members.items()
    ]
    return AdamW(groups, lr=config.learning_rate or LEARNING_RATE, fused=True)


def unfreeze(network: nn.Module, epoch: int, frozen_epochs: int) -> None:
    """Set which parameters are trained in `epoch` (from 1): gradual unfreezing.

    Howard & Ruder 2018, arXiv:1801.06146. The first `frozen_epochs` epochs train only pooling and
    head, the next `frozen_epochs` epochs train the encoder too, and the later ones the embedding
    too.
    """
    frozen_until = {"encoder": frozen_epochs, "embedding": 2 * frozen_epochs}
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(epoch > frozen_until.get(name.partition(".")[0], 0))


@dataclass(frozen=True)
class TrainingLimits:
    """Maximum number of epochs and updates, and the epochs without improvement before stopping."""

    max_epochs: int
    total_updates: int
    patience: int


def default_max_epochs(rows: int, tokens: int, labels: int) -> int:
    """Return the epochs for `rows` texts with `tokens` tokens in all, for `max_epochs=null`."""
    many = labels >= MANY_LABELS
    texts, (low, high) = (MORE_TEXTS_TO_READ, MORE_EPOCHS) if many else (TEXTS_TO_READ, EPOCHS)
    return max(low, min(high, texts // rows, TOKENS_TO_READ // tokens))


def training_limits(rows: int, tokens: int, labels: int, config: TrainerConfig) -> TrainingLimits:
    """Return the limits for a training split of `rows` texts with `tokens` tokens in all."""
    max_epochs = config.max_epochs or default_max_epochs(rows, tokens, labels)
    patience = config.patience or (MORE_EPOCHS[1] if labels >= MANY_LABELS else PATIENCE)
    per_epoch = -(-rows // (config.batch_size * config.accumulation))
    total = per_epoch * max_epochs
    return TrainingLimits(max_epochs, min(total, config.max_updates or total), patience)


def set_learning_rates(
    optimizer: torch.optim.Optimizer, state: TrainingState, total: int, config: OptimizerConfig
) -> None:
    """Set the learning rates, and with `one_cycle` the betas, of the next of `total` updates."""
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
    """Count an epoch for the schedule `plateau`, which lowers the rate without improvement."""
    state.epochs_waited = 0 if improved else state.epochs_waited + 1
    if state.epochs_waited >= (config.plateau_patience or PLATEAU_PATIENCE):
        state.reductions, state.epochs_waited = state.reductions + 1, 0


def stop_reason(state: TrainingState, limits: TrainingLimits) -> str:
    """Return what ends the training after this epoch, `epochs` or `patience`; empty if nothing."""
    if state.epoch >= limits.max_epochs:
        return "epochs"
    return "patience" if state.epoch - state.best_epoch >= limits.patience else ""


def learning_rate_factor(update: int, total: int, config: OptimizerConfig) -> float:
    """Return the factor of `optimizer.learning_rate` at `update` (from 0) of `total`.

    The factor rises linearly over the first `warmup_fraction` of the updates. Then it stays 1
    (`constant`, and `plateau`, whose reductions are applied separately) or falls to 0, linearly
    (`linear`) or by half a cosine (`cosine`). `one_cycle` (Smith & Topin 2018, arXiv:1708.07120, as
    torch's `OneCycleLR`) rises from 1/25 by half a cosine and falls to 1/250,000 by another, while
    the first beta of AdamW falls from 0.95 to 0.85 and rises again.
    """
    if config.schedule is Schedule.one_cycle:
        return _one_cycle(update, total, config, 1 / 25, 1.0, 1 / 250_000)
    warmup = config.warmup_fraction * total
    if update + 1 < warmup:
        return (update + 1) / warmup
    if config.schedule in (Schedule.constant, Schedule.plateau):
        return 1.0
    progress = min(1.0, (update - warmup) / max(1.0, total - warmup)) if update > warmup else 0.0
    if config.schedule is Schedule.linear:
        return 1.0 - progress
    return 0.5 * (1.0 + math.cos(math.pi * progress))


def _one_cycle(
    update: int, total: int, config: OptimizerConfig, start: float, middle: float, end: float
) -> float:
    """Value between `start` and `middle` during the warm-up, then between `middle` and `end`."""
    peak = max(1.0, config.warmup_fraction * total - 1)
    if update <= peak:
        return _half_cosine(start, middle, update / peak)
    return _half_cosine(middle, end, min(1.0, (update - peak) / max(1.0, total - 1 - peak)))


def _half_cosine(start: float, end: float, progress: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * progress))
