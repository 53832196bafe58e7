"""Cross-entropy over a large vocabulary, computed in chunks together with its gradient.

The logits of all tokens of a batch are the largest tensor of a language model. Here they are never
in memory all at once: logits, loss and gradient of a few rows are computed while these are in the
cache.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["IGNORED", "token_losses"]

LOGITS_AT_ONCE = 1 << 21
"""Number of logits in a chunk."""

IGNORED = -100
"""Target of a row that does not count, as in torch."""


def token_losses(
    states: Tensor,
    output: Tensor,
    bias: Tensor,
    targets: Tensor,
    corrections: Tensor | None = None,
) -> Tensor:
    """Return the sum of the cross-entropies of N predictions in nats, a scalar float32.

    The logits are `states` times the transpose of `output`, plus `bias`. Under autocast the matrix
    products are in the dtype of autocast.

    Parameters
    ----------
    states : Tensor
        Hidden states (N, E), one for each prediction.
    output, bias : Tensor
        Output weights (V, E) and biases (V,) of the V tokens that can be predicted.
    targets : Tensor
        int64 (N,): the row of `output` for the correct token, or `IGNORED` for no loss.
    corrections : Tensor or None
        For sampled softmax (Jean et al. 2015, arXiv:1412.2007), if the V tokens are a sample of the
        vocabulary: the logarithm of the probability that each is in the sample, (V,). It is
        subtracted from all logits except that of the target. The loss then estimates the loss of a
        softmax over all tokens. The paper uses the expected count instead of this probability.
    """
    kind = states.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else states.dtype
    needs_gradient = torch.is_grad_enabled() and (states.requires_grad or output.requires_grad)
    loss: Tensor = _TokenLosses.apply(  # type: ignore[no-untyped-call]
        states, output, bias, targets, corrections, dtype, needs_gradient
    )
    return loss


class _TokenLosses(torch.autograd.Function):
    """`token_losses`, whose forward pass computes the gradients too."""

    @staticmethod
    def forward(
        ctx: Any,
        states: Tensor,
        output: Tensor,
        bias: Tensor,
        targets: Tensor,
        corrections: Tensor | None,
        dtype: torch.dtype,
        needs_gradient: bool,
    ) -> Tensor:
        low_states, low_output = states.to(dtype), output.to(dtype)
        shift = bias if corrections is None else bias - corrections
        total = torch.zeros((), device=states.device)
        d_states = torch.empty_like(low_states) if needs_gradient else None
        d_output, d_bias = (torch.zeros_like(t, dtype=torch.float32) for t in (output, bias))
        rows = max(1, LOGITS_AT_ONCE // len(output))
        with torch.autocast(states.device.type, enabled=False):
            for start in range(0, len(states), rows):
                part = low_states[start : start + rows]
                counts = targets[start : start + rows] != IGNORED
                target = targets[start : start + rows].clamp(min=0).unsqueeze(1)
                logits = torch.mm(part, low_output.t()).float().add_(shift)
                if corrections is not None:
                    logits.scatter_add_(1, target, corrections[target])
                logits.sub_(logits.amax(1, keepdim=True))
                of_target = logits.gather(1, target)
                logits.exp_()
                sums = logits.sum(1, keepdim=True)
                total += ((sums.log() - of_target).squeeze(1) * counts).sum()
                if d_states is None:
                    continue
                logits.mul_(counts.unsqueeze(1) / sums)  # now the probabilities
                logits.scatter_add_(1, target, -counts.unsqueeze(1).float())
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
