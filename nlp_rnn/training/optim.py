"""Parameters become an optimizer, and an update's number becomes its learning rate."""

import math

import torch
from torch import nn

from nlp_rnn.config import OptimizerConfig, Schedule

__all__ = ["learning_rate_factor", "make_optimizer"]


def make_optimizer(network: nn.Module, config: OptimizerConfig) -> torch.optim.AdamW:
    """AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101), fused.

    Weight decay acts on matrices but not on embeddings and biases: a rare word's embedding
    would shrink at every update that does not hold the word.
    """
    decayed: list[nn.Parameter] = []
    kept: list[nn.Parameter] = []
    for name, parameter in network.named_parameters():
        plain = parameter.ndim < 2 or name.startswith("embedding.")
        (kept if plain else decayed).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": kept, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, fused=True)


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
