"""States, one a step, become one vector a text; steps beyond a text's length take no part."""

import torch
from torch import Tensor, nn

from nlp_rnn.model.architecture import Architecture

__all__ = ["AttentionPooling", "Pooling", "make_pooling"]


class Pooling(nn.Module):
    """`last`, `mean`, `max` or `max_mean`: no parameters."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.kind = architecture.pooling
        self.bidirectional = architecture.bidirectional

    def forward(self, steps: Tensor, lengths: Tensor) -> Tensor:
        """Pool steps (T, B, D) with `lengths` int64 (B,) to (B, P); P = 2D for `max_mean`."""
        if self.kind == "last":
            return self._last(steps, lengths)
        within = mask(lengths, steps.shape[0])  # (T, B, 1)
        pooled = []
        if self.kind in ("max", "max_mean"):
            pooled.append(steps.masked_fill(~within, float("-inf")).amax(0))  # (B, D)
        if self.kind in ("mean", "max_mean"):
            total = steps.masked_fill(~within, 0.0).sum(0)
            pooled.append(total / lengths.unsqueeze(1).to(total.dtype))  # (B, D)
        return torch.cat(pooled, dim=1)

    def _last(self, steps: Tensor, lengths: Tensor) -> Tensor:
        """Each direction's state after it has read the whole text: (B, D)."""
        last = steps[lengths - 1, torch.arange(steps.shape[1], device=steps.device)]  # (B, D)
        if not self.bidirectional:
            return last
        hidden = steps.shape[2] // 2
        return torch.cat([last[:, :hidden], steps[0, :, hidden:]], dim=1)


class AttentionPooling(nn.Module):
    """A weighted mean of the states, weights learnt.

    Yang et al. 2016, "Hierarchical Attention Networks for Document Classification", the word
    level only: weight ∝ exp(query · tanh(W state + b)).
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        size = architecture.output_size
        self.projection = nn.Linear(size, size)
        self.query = nn.Parameter(torch.empty(size).uniform_(-(size**-0.5), size**-0.5))

    def forward(self, steps: Tensor, lengths: Tensor) -> Tensor:
        """Pool steps (T, B, D) with `lengths` int64 (B,) to (B, D)."""
        score = torch.tanh(self.projection(steps)) @ self.query  # (T, B)
        within = mask(lengths, steps.shape[0])
        weight = score.masked_fill(~within.squeeze(2), float("-inf")).softmax(0)
        return (weight.unsqueeze(2) * steps.masked_fill(~within, 0.0)).sum(0)


def mask(lengths: Tensor, steps: int) -> Tensor:
    """True at the steps within each text: bool (T, B, 1)."""
    step = torch.arange(steps, device=lengths.device).unsqueeze(1)
    return (step < lengths.unsqueeze(0)).unsqueeze(2)


def make_pooling(architecture: Architecture) -> nn.Module:
    """The pooling that `architecture.pooling` names."""
    if architecture.pooling == "attention":
        return AttentionPooling(architecture)
    return Pooling(architecture)
