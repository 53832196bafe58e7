"""AdamW, its learning rate schedules, and gradual unfreezing."""

import math
from inspect import unwrap
from typing import Any

import torch
from torch import nn

from nlp_rnn.config.training import OptimizerConfig, Schedule
from nlp_rnn.training.training_state import TrainingState

__all__ = [
    "learning_rate_factor",
    "make_optimizer",
    "set_learning_rates",
    "unfreeze",
    "update_plateau",
]

# First beta of AdamW with the schedule `one_cycle`: Smith & Topin 2018.
HIGH_DECAY, LOW_DECAY = 0.95, 0.85


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
    assert config.learning_rate is not None
    return AdamW(groups, lr=config.learning_rate, fused=True)


def unfreeze(network: nn.Module, epoch: int, frozen_epochs: int) -> None:
    """Set which parameters are trained in `epoch` (from 1): gradual unfreezing.

    Howard & Ruder 2018, arXiv:1801.06146. The first `frozen_epochs` epochs train only pooling and
    head, the next `frozen_epochs` epochs train the encoder too, and the later ones the embedding
    too.
    """
    frozen_until = {"encoder": frozen_epochs, "embedding": 2 * frozen_epochs}
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(epoch > frozen_until.get(name.partition(".")[0], 0))


def set_learning_rates(
    optimizer: torch.optim.Optimizer, state: TrainingState, total: int, config: OptimizerConfig
) -> None:
    """Set the learning rates, and with `one_cycle` the betas, of the next of `total` updates."""
    factor = learning_rate_factor(state.updates, total, config)
    if config.schedule is Schedule.plateau:
        assert config.plateau_factor is not None
        factor *= config.plateau_factor**state.reductions
    assert config.learning_rate is not None
    for group in optimizer.param_groups:
        group["lr"] = config.learning_rate * factor * group.get("rate", 1.0)
        if config.schedule is Schedule.one_cycle:
            decay = _one_cycle(state.updates, total, config, HIGH_DECAY, LOW_DECAY, HIGH_DECAY)
            group["betas"] = (decay, group["betas"][1])


def update_plateau(state: TrainingState, improved: bool, config: OptimizerConfig) -> None:
    """Count an epoch for the schedule `plateau`, which lowers the rate without improvement."""
    state.epochs_waited = 0 if improved else state.epochs_waited + 1
    if config.plateau_patience and state.epochs_waited >= config.plateau_patience:
        state.reductions, state.epochs_waited = state.reductions + 1, 0


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
