"""Parameters become an optimizer."""

from collections.abc import Iterator
from inspect import unwrap
from typing import Any

import torch
from torch import Tensor, nn

from nlp_rnn.config import OptimizerConfig

__all__ = ["WIDE_SHARE", "clipped_parameters", "make_optimizer"]

WIDE_TABLE = "wide.table.weight"
WIDE_SHARE = 100.0
"""How many times the learning rate the wide path's table has."""

SMALLEST = 1e-12  # below it a row's squared gradients count as none


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


class _AdamWAndAdagrad(AdamW):
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
            # float16 gradients that overflowed: AdamW knows by itself to leave the update out
            overflowed: Tensor | None = getattr(self, "found_inf", None)
            if overflowed is not None:
                gradient = torch.where(overflowed > 0, 0.0, gradient)
            _adagrad(parameter, gradient, self.state[parameter], rate)
            parameter.grad = gradient


def _adagrad(parameter: Tensor, gradient: Tensor, state: dict[str, Tensor], rate: float) -> None:
    if not state:
        state["step"] = torch.zeros(())  # AdamW wants to find one when it goes on
        state["squares"] = torch.zeros_like(parameter[:, :1])
    squares = state["squares"]  # (rows, 1)
    state["step"] += 1
    if not gradient.is_sparse:
        squares += gradient.square().mean(1, keepdim=True)
        parameter.addcmul_(gradient, squares.add(SMALLEST).rsqrt(), value=-rate)
        return
    gradient = gradient.coalesce()
    rows, values = gradient.indices()[0], gradient.values()
    grown = squares[rows] + values.square().mean(1, keepdim=True)
    squares[rows] = grown
    parameter.index_add_(0, rows, values * grown.add(SMALLEST).rsqrt(), alpha=-rate)


def make_optimizer(network: nn.Module, config: OptimizerConfig) -> AdamW:
    """AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101), fused; Adagrad for a wide path's table.

    Weight decay acts on matrices but not on embeddings and biases: a rare word's embedding
    would shrink at every update that does not hold the word. A group's `rate` is what the learning
    rate is to be multiplied by: `encoder_rate` for what was pretrained (discriminative rates of
    Howard & Ruder 2018, arXiv:1801.06146).
    """
    found: dict[tuple[bool, float], list[nn.Parameter]] = {(True, 1.0): [], (False, 1.0): []}
    rows: list[nn.Parameter] = []
    for name, parameter in network.named_parameters():
        if name == WIDE_TABLE:
            rows.append(parameter)
            continue
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
    if rows:
        groups.append({"params": rows, "weight_decay": 0.0, "rows": True, "rate": WIDE_SHARE})
    kind = _AdamWAndAdagrad if rows else AdamW
    return kind(groups, lr=config.learning_rate, fused=True)


def clipped_parameters(network: nn.Module) -> Iterator[nn.Parameter]:
    """The parameters whose gradients are clipped: all but a wide path's table.

    Adagrad's step does not grow with the gradient.
    """
    return (p for name, p in network.named_parameters() if name != WIDE_TABLE)
