"""Parameters become an optimizer."""

from inspect import unwrap
from typing import Any

import torch
from torch import nn

from nlp_rnn.config.training import LEARNING_RATE, OptimizerConfig

__all__ = ["make_optimizer"]


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
