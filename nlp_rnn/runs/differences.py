"""Differences in accuracy or micro-F1 between two models for the same texts, with an interval."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.scoring.metrics import Z_95

__all__ = ["Difference", "paired_difference", "text_scores"]


@dataclass(frozen=True)
class Difference:
    """Difference in accuracy, or micro-F1 for multi-label data, in points with a 95 % interval."""

    points: float
    low: float
    high: float

    def __str__(self) -> str:
        """Return the difference with its interval."""
        return f"{self.points:+.1f} points, 95 % interval {self.low:+.1f} to {self.high:+.1f}"


def text_scores(labels: NDArray[Any], predictions: NDArray[Any]) -> NDArray[np.float64]:
    """Return values (n,) whose mean is the accuracy, or the micro-F1 for multi-label data.

    For micro-F1, a ratio of sums, these are its values linearized at the observed sums, so that
    their variance gives its standard error.
    """
    if labels.ndim == 1:
        right: NDArray[np.float64] = (labels == predictions).astype(np.float64)
        return right
    correct = (labels & predictions).sum(axis=1)
    total = labels.sum(axis=1) + predictions.sum(axis=1)
    f1 = 2 * correct.sum() / max(int(total.sum()), 1)
    values: NDArray[np.float64] = f1 + len(labels) * (2 * correct - f1 * total) / max(
        int(total.sum()), 1
    )
    return values


def paired_difference(
    labels: NDArray[Any], predictions: NDArray[Any], reference: NDArray[Any]
) -> Difference:
    """Compare predicted labels with those of another model for the same n texts, paired by text.

    The interval is the normal approximation for the mean of n paired differences.
    """
    values = text_scores(labels, predictions)
    differences = 100 * (values - text_scores(labels, reference))
    half = (
        Z_95 * float(differences.std(ddof=1)) / math.sqrt(len(values))
        if len(values) > 1
        else np.inf
    )
    mean = float(differences.mean())
    return Difference(mean, mean - half, mean + half)
