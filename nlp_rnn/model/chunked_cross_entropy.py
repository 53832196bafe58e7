"""Vectors and the tokens they should foretell become a loss, its gradient made along with it.

The logits of all tokens of a batch over a vocabulary are the largest tensor of a language model.
They are never whole in memory: a few rows at a time become logits, loss and gradient while they are
in the cache.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["NOTHING", "token_losses"]

LOGITS_AT_ONCE = 1 << 21
"""Numbers of the logits that are made together."""

NOTHING = -100
"""As in torch: a row with this answer counts nothing."""


def token_losses(
    states: Tensor,
    output: Tensor,
    bias: Tensor,
    answers: Tensor,
    corrections: Tensor | None = None,
) -> Tensor:
    """The sum of the cross-entropies in nats of N predictions, a scalar float32.

    `states` (N, E) times `output` (V, E), plus `bias` (V,), are the logits; `answers` int64 (N,)
    are rows of `output`, or `NOTHING`. `corrections` (V,) are taken from every logit but that of
    the answer: with the logarithms of how probable it was that each token is among the V, the loss
    is that of a softmax over all tokens, estimated (sampled softmax, Jean et al. 2015,
    arXiv:1412.2007; what differs: probabilities of being there at all, not expected counts).
    Under autocast the matrix products are in its dtype.
    """
    kind = states.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else states.dtype
    wanted = torch.is_grad_enabled() and (states.requires_grad or output.requires_grad)
    loss: Tensor = _TokenLosses.apply(  # type: ignore[no-untyped-call]
        states, output, bias, answers, corrections, dtype, wanted
    )
    return loss


class _TokenLosses(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        states: Tensor,
        output: Tensor,
        bias: Tensor,
        answers: Tensor,
        corrections: Tensor | None,
        dtype: torch.dtype,
        wanted: bool,
    ) -> Tensor:
        low_states, low_output = states.to(dtype), output.to(dtype)
        shift = bias if corrections is None else bias - corrections
        total = torch.zeros((), device=states.device)
        d_states = torch.empty_like(low_states) if wanted else None
        d_output, d_bias = (torch.zeros_like(t, dtype=torch.float32) for t in (output, bias))
        rows = max(1, LOGITS_AT_ONCE // len(output))
        with torch.autocast(states.device.type, enabled=False):
            for start in range(0, len(states), rows):
                part = low_states[start : start + rows]
                real = answers[start : start + rows] != NOTHING
                answer = answers[start : start + rows].clamp(min=0).unsqueeze(1)
                logits = torch.mm(part, low_output.t()).float().add_(shift)
                if corrections is not None:
                    logits.scatter_add_(1, answer, corrections[answer])
                logits.sub_(logits.amax(1, keepdim=True))
                right = logits.gather(1, answer)
                logits.exp_()
                sums = logits.sum(1, keepdim=True)
                total += ((sums.log() - right).squeeze(1) * real).sum()
                if d_states is None:
                    continue
                logits.mul_(real.unsqueeze(1) / sums)  # now the probabilities
                logits.scatter_add_(1, answer, -real.unsqueeze(1).float())
                d_bias += logits.sum(0)
                gradient = logits.to(dtype)
                torch.mm(gradient, low_output, out=d_states[start : start + rows])
                d_output += torch.mm(gradient.t(), part)
        if d_states is not None:
            ctx.save_for_backward(d_states, d_output, d_bias)
            ctx.dtypes = states.dtype, output.dtype, bias.dtype
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        gradients = (
            (gradient * upstream).to(dtype)
            for gradient, dtype in zip(ctx.saved_tensors, ctx.dtypes, strict=True)
        )
        return (*gradients, None, None, None, None)
