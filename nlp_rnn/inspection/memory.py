"""What a layer keeps at each token becomes half-lives: tokens until half of a memory is gone.

Only the direct way is counted, the product of what the gates let pass. A network can also write
a memory again through its recurrent matrix, so a gradient may reach further back; both are shown.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.inspection.gates import LayerTrace

__all__ = ["LONGEST", "MemorySummary", "half_lives", "summarize"]

LONGEST = 1e6
"""A half-life, in tokens, is at most this: a gate that never lets go has none."""


@dataclass(frozen=True)
class MemorySummary:
    """Half-lives in tokens over the H units of a layer: the median, the longest tenth, the longest.

    `beyond` is the share of units whose half-life is longer than the text.
    """

    median: float
    longest_tenth: float
    longest: float
    beyond: float


def half_lives(trace: LayerTrace) -> NDArray[np.float64] | None:
    """The half-life of each unit over the text, in tokens, (H,); None without a gate that keeps.

    A unit that keeps the shares k₁ … k_T keeps their product over the text; the half-life is that
    of the same loss spread evenly, T ln 2 / -Σ ln k.
    """
    if trace.kept is None:
        return None
    loss = -np.log(np.clip(trace.kept.astype(np.float64), 1e-30, 1.0)).mean(axis=0)
    lives: NDArray[np.float64] = np.minimum(np.log(2) / np.maximum(loss, 1e-12), LONGEST)
    return lives


def summarize(lives: NDArray[np.float64], tokens: int) -> MemorySummary:
    """The half-lives (H,) of a layer over a text of so many `tokens`."""
    return MemorySummary(
        median=float(np.median(lives)),
        longest_tenth=float(np.quantile(lives, 0.9)),
        longest=float(lives.max()),
        beyond=float((lives > tokens).mean()),
    )
