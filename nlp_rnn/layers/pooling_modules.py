"""Torch modules of the poolings, which reduce the states of a text to one vector.

Steps beyond a text's length do not change its vector.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

__all__ = ["AttentionModule", "DirectionPooling", "mask"]


class DirectionPooling(nn.Module):
    """Pooling without parameters, which can also be applied to each direction separately.

    Parameters
    ----------
    kind : str
        `last`, `mean`, `max` or `max_mean`.
    bidirectional : bool
        Whether the second half of the features belongs to the direction right to left.
    """

    def __init__(self, kind: str, bidirectional: bool) -> None:
        super().__init__()
        self.kind = kind
        self.bidirectional = bidirectional

    def forward(self, steps: Tensor, lengths: Tensor) -> Tensor:
        """Pool steps (T, B, D) with `lengths` int64 (B,) to (B, P); P = 2D for `max_mean`."""
        if self.kind == "last":
            return self._last(steps, lengths)
        return self._over_steps(steps, lengths)

    def direction(self, states: Tensor, lengths: Tensor) -> Tensor:
        """Pool one direction's states (T, B, H), in the order in which it processed the texts.

        The result is (B, H), or (B, 2H) for `max_mean`. `join` of all directions equals `forward`
        of their concatenated states.
        """
        if self.kind == "last":
            return states[lengths - 1, torch.arange(states.shape[1], device=states.device)]
        return self._over_steps(states, lengths)

    def join(self, directions: list[Tensor]) -> Tensor:
        """Join the results of `direction` for each direction to (B, P)."""
        if self.kind != "max_mean":
            return torch.cat(directions, dim=1)
        halves = [torch.chunk(pooled, 2, dim=1) for pooled in directions]
        return torch.cat([part for kind in zip(*halves, strict=True) for part in kind], dim=1)

    def _over_steps(self, steps: Tensor, lengths: Tensor) -> Tensor:
        within = mask(lengths, steps.shape[0])  # (T, B, 1)
        maximum, mean = _MaxMean.apply(steps, lengths, within)  # type: ignore[no-untyped-call]
        if self.kind == "max_mean":
            return torch.cat([maximum, mean], dim=1)
        pooled: Tensor = maximum if self.kind == "max" else mean
        return pooled

    def _last(self, steps: Tensor, lengths: Tensor) -> Tensor:
        """Return each direction's state after it has processed the whole text: (B, D)."""
        last = steps[lengths - 1, torch.arange(steps.shape[1], device=steps.device)]  # (B, D)
        if not self.bidirectional:
            return last
        hidden = steps.shape[2] // 2
        return torch.cat([last[:, :hidden], steps[0, :, hidden:]], dim=1)


class _MaxMean(torch.autograd.Function):
    """Maximum and mean, (B, D) each, over the steps (T, B, D) within each text.

    Both are computed together, with a hand-written backward pass, because every pass over the
    states costs time: with autograd they took a tenth of a training update. Steps up to the length
    of the shortest text need no mask. The gradient is divided equally among equal maxima, as in
    torch's `amax`.
    """

    @staticmethod
    def forward(ctx: Any, steps: Tensor, lengths: Tensor, within: Tensor) -> tuple[Tensor, Tensor]:
        # On a GPU the length of the shortest text would be known only after a synchronization.
        shared = int(lengths.min()) if steps.device.type == "cpu" else 0
        share = lengths.to(steps.dtype).reciprocal().unsqueeze(1)  # (B, 1)
        rest, inside = steps[shared:], within[shared:]
        maxima, sums = [], []
        if shared > 0:
            maxima, sums = [steps[:shared].amax(0)], [steps[:shared].sum(0)]
        if len(rest) > 0:
            maxima.append(rest.masked_fill(~inside, float("-inf")).amax(0))
            sums.append(torch.where(inside, rest, 0.0).sum(0))
        maximum = torch.maximum(maxima[0], maxima[-1])
        mean = (sums[0] + sums[1] if len(sums) > 1 else sums[0]) * share
        ctx.save_for_backward(steps, maximum, inside, share)
        ctx.shared = shared
        return maximum, mean

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_maximum: Tensor, d_mean: Tensor) -> tuple[Tensor, None, None]:
        steps, maximum, inside, share = ctx.saved_tensors
        highest = steps == maximum
        highest[ctx.shared :] &= inside
        to_mean = d_mean * share
        to_highest = to_mean + d_maximum / _count(highest)
        d_steps = torch.where(highest, to_highest, to_mean)  # (T, B, D)
        d_steps[ctx.shared :] *= inside
        return d_steps, None, None


def _count(values: Tensor) -> Tensor:
    """Return the number of true values along the first axis.

    Adding bytes in blocks of 255 is several times faster than adding int64.
    """
    blocks = torch.split(values.view(torch.uint8), 255)
    return torch.stack([block.sum(0, dtype=torch.uint8) for block in blocks]).sum(0)


class AttentionModule(nn.Module):
    """Mean of the states with learned weights, Yang et al. 2016; see `AttentionPooling`.

    Parameters
    ----------
    size : int
        D, the number of features of a state.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.projection = nn.Linear(size, size)
        self.query = nn.Parameter(torch.empty(size).uniform_(-(size**-0.5), size**-0.5))

    def forward(self, steps: Tensor, lengths: Tensor) -> Tensor:
        """Pool steps (T, B, D) with `lengths` int64 (B,) to (B, D)."""
        score = torch.tanh(self.projection(steps)) @ self.query  # (T, B)
        within = mask(lengths, steps.shape[0])
        weight = score.masked_fill(~within.squeeze(2), float("-inf")).softmax(0)
        return (weight.unsqueeze(2) * steps.masked_fill(~within, 0.0)).sum(0)


def mask(lengths: Tensor, steps: int) -> Tensor:
    """Return the mask of the `steps` steps within each text: bool (T, B, 1)."""
    step = torch.arange(steps, device=lengths.device).unsqueeze(1)
    return (step < lengths.unsqueeze(0)).unsqueeze(2)
