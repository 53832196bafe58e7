"""Parameters become an optimizer."""

import torch
from torch import nn

from nlp_rnn.config import OptimizerConfig

__all__ = ["make_optimizer"]


def make_optimizer(network: nn.Module, config: OptimizerConfig) -> torch.optim.AdamW:
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
    groups = [
        {
            "params": parameters,
            "weight_decay": config.weight_decay if decayed else 0.0,
            "rate": rate,
        }
        for (decayed, rate), parameters in found.items()
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, fused=True)
