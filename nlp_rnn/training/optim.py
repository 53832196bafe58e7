"""Parameters become an optimizer."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from nlp_rnn.config import OptimizerConfig

__all__ = ["WIDE_SHARE", "clipped_parameters", "make_optimizer"]

WIDE_TABLE = "wide.table.weight"
WIDE_SHARE = 100.0
"""How many times the learning rate the wide path's table has."""

SMALLEST = 1e-12  # below it a row's squared gradients count as none


class _AdamWAndAdagrad(torch.optim.AdamW):
    """AdamW, and for groups with `rows` Adagrad with one rate a row, not one a number.

    Duchi et al. 2011. Of a sparse gradient only the rows that it has are read and written, so that
    a table of any size costs what the batch costs. A row's rate is its group's over the root of
    what its gradients' mean squares have added up to.
    """

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        tables = [
            (parameter, parameter.grad, group["lr"])
            for group in self.param_groups
            if group.get("rows")
            for parameter in group["params"]
            if parameter.grad is not None
        ]
        for parameter, _, _ in tables:
            parameter.grad = None  # AdamW passes it by
        super().step(closure)
        for parameter, gradient, rate in tables:
            _adagrad(parameter, gradient, self.state[parameter], rate)
            parameter.grad = gradient


def _adagrad(parameter: Tensor, gradient: Tensor, state: dict[str, Tensor], rate: float) -> None:
    if not state:
        state["squares"] = torch.zeros_like(parameter[:, :1])
    squares = state["squares"]  # (rows, 1)
    if not gradient.is_sparse:
        squares += gradient.square().mean(1, keepdim=True)
        parameter.addcmul_(gradient, squares.add(SMALLEST).rsqrt(), value=-rate)
        return
    gradient = gradient.coalesce()
    rows, values = gradient.indices()[0], gradient.values()
    grown = squares[rows] + values.square().mean(1, keepdim=True)
    squares[rows] = grown
    parameter.index_add_(0, rows, values * grown.add(SMALLEST).rsqrt(), alpha=-rate)


def make_optimizer(network: nn.Module, config: OptimizerConfig) -> torch.optim.AdamW:
    """AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101), fused; Adagrad for a wide path's table.

    Weight decay acts on matrices but not on embeddings and biases: a rare word's embedding
    would shrink at every update that does not hold the word. A group's `share` is what the learning
    rate is to be multiplied by: `encoder_rate` for what was pretrained (discriminative rates of
    Howard & Ruder 2018, arXiv:1801.06146).
    """
    found: dict[tuple[bool, float], list[nn.Parameter]] = {(True, 1.0): [], (False, 1.0): []}
    rows: list[nn.Parameter] = []
    for name, parameter in network.named_parameters():
        decayed = parameter.ndim >= 2 and not name.startswith("embedding.")
        share = config.encoder_rate if name.startswith(("embedding.", "encoder.")) else 1.0
        group = rows if name == WIDE_TABLE else found.setdefault((decayed, share), [])
        group.append(parameter)
    groups: list[dict[str, Any]] = [
        {
            "params": parameters,
            "weight_decay": config.weight_decay if decayed else 0.0,
            "share": share,
        }
        for (decayed, share), parameters in found.items()
    ]
    if rows:
        groups.append({"params": rows, "weight_decay": 0.0, "rows": True, "share": WIDE_SHARE})
    kind = _AdamWAndAdagrad if rows else torch.optim.AdamW
    return kind(groups, lr=config.learning_rate, fused=True)


def clipped_parameters(network: nn.Module) -> Iterator[nn.Parameter]:
    """The parameters whose gradients are clipped: all but a wide path's table.

    Adagrad's step does not grow with the gradient.
    """
    return (p for name, p in network.named_parameters() if name != WIDE_TABLE)
