"""Right-padded texts become right-padded texts read from the other end."""

from typing import Any

import torch
from torch import Tensor

__all__ = ["reversal_index", "reverse_texts"]


def reversal_index(lengths: Tensor, steps: int) -> Tensor:
    """Where each step of each text is found when the text is reversed: int64 (T * B,).

    For texts laid out (T, B, …) and flattened to (T * B, …). Padding stays where it is.
    """
    step = torch.arange(steps, device=lengths.device).unsqueeze(1)  # (T, 1)
    mirrored = lengths.unsqueeze(0) - 1 - step  # (T, B)
    source = torch.where(mirrored >= 0, mirrored, step)
    column = torch.arange(lengths.shape[0], device=lengths.device)
    return (source * lengths.shape[0] + column).flatten()


class _Reverse(torch.autograd.Function):
    """A permutation that is its own inverse, so the gradient takes the same way back.

    torch's own gradient of `index_select` is a scattered addition, several times slower.
    """

    @staticmethod
    def forward(ctx: Any, steps: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        return steps.flatten(0, 1).index_select(0, index).view_as(steps)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (index,) = ctx.saved_tensors
        (gradient,) = gradients
        return gradient.flatten(0, 1).index_select(0, index).view_as(gradient), None


def reverse_texts(steps: Tensor, index: Tensor) -> Tensor:
    """Each text of (T, B, features) reversed within its own length."""
    reversed_steps: Tensor = _Reverse.apply(steps, index)  # type: ignore[no-untyped-call]
    return reversed_steps
