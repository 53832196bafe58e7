"""A row of probabilities becomes an answer: a label, none, or several with their probabilities."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.errors import ClassifierError

__all__ = ["Prediction", "check_choice", "choose", "reached"]

Prediction = str | None | list[str] | list[tuple[str, float]]


def check_choice(top_k: Any, threshold: Any, num_labels: int) -> None:
    """Refuse values of `top_k` and `threshold` that are wrong or could have no effect.

    Raises:
        ClassifierError: `top_k` is no whole number from 1 to `num_labels`, or `threshold` is not
            above 0 and at most 1.
    """
    if top_k is not None and (type(top_k) is not int or not 1 <= top_k <= num_labels):
        raise ClassifierError(
            f"top_k is {top_k!r}; this classifier has {num_labels} labels, so type a whole "
            f"number from 1 to {num_labels}."
        )
    number = type(threshold) in (int, float) or isinstance(threshold, np.floating)
    if threshold is not None and not (number and 0 < threshold <= 1):
        raise ClassifierError(
            f"threshold is {threshold!r}; type a probability above 0 and at most 1."
        )


def choose(
    probabilities: NDArray[np.float32],
    labels: list[str],
    top_k: int | None,
    threshold: float | None,
    thresholds: NDArray[np.float64] | None = None,
) -> Prediction:
    """The answer that `probabilities` (C,) of `labels` give; see `TextClassifier.predict`.

    With `thresholds` (C,) a text may have several labels: those that reach theirs, or `threshold`.
    """
    if top_k is None and thresholds is not None:
        limits = thresholds if threshold is None else threshold
        return [labels[index] for index in reached(probabilities, limits)]
    if top_k is None:
        best = int(probabilities.argmax())
        certain = threshold is None or probabilities[best] >= threshold
        return labels[best] if certain else None
    order = np.argsort(-probabilities, kind="stable")[:top_k]
    return [
        (labels[index], float(probabilities[index]))
        for index in order
        if threshold is None or probabilities[index] >= threshold
    ]


def reached(
    probabilities: NDArray[np.float32], thresholds: NDArray[np.float64] | float
) -> NDArray[np.int64]:
    """The places of `probabilities` (C,) that reach `thresholds`, int64, the highest first."""
    order: NDArray[np.int64] = np.argsort(-probabilities, kind="stable")
    return order[(probabilities >= thresholds)[order]]
