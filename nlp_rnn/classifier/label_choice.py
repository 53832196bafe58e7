"""Choice of labels by their probabilities: the best one, the best k, or all above a threshold."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.errors import ClassifierError

__all__ = ["Prediction", "check_options", "choose_labels", "indices_at_least"]

Prediction = str | None | list[str] | list[tuple[str, float]]
"""Prediction for one text: a label or None, several labels, or (label, probability) pairs."""


def check_options(top_k: Any, threshold: Any, num_labels: int) -> None:
    """Raise an error if `top_k` or `threshold` is invalid or can have no effect.

    Raises
    ------
    ClassifierError
        `top_k` is no whole number from 1 to `num_labels`, or `threshold` is not above 0 and at
        most 1.
    """
    if top_k is not None and (type(top_k) is not int or not 1 <= top_k <= num_labels):
        raise ClassifierError(
            f"top_k is {top_k!r}; this classifier has {num_labels} labels, so set a whole "
            f"number from 1 to {num_labels}."
        )
    is_number = type(threshold) in (int, float) or isinstance(threshold, np.floating)
    if threshold is not None and not (is_number and 0 < threshold <= 1):
        raise ClassifierError(
            f"threshold is {threshold!r}; set a probability above 0 and at most 1."
        )


def choose_labels(
    probabilities: NDArray[np.float32],
    labels: list[str],
    top_k: int | None,
    threshold: float | None,
    thresholds: NDArray[np.float64] | None = None,
) -> Prediction:
    """Return the prediction for one text; the options are those of `TextClassifier.predict`.

    Parameters
    ----------
    probabilities : float32 array of shape (C,)
        Probabilities of the labels.
    labels : list of str
        Their C names.
    top_k, threshold
        As in `TextClassifier.predict`.
    thresholds : float64 array of shape (C,), optional
        Threshold of each label if the classifier is multi-label; `threshold` replaces them.
    """
    if top_k is None and thresholds is not None:
        limits = thresholds if threshold is None else threshold
        return [labels[index] for index in indices_at_least(probabilities, limits)]
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


def indices_at_least(
    probabilities: NDArray[np.float32], thresholds: NDArray[np.float64] | float
) -> NDArray[np.int64]:
    """Return where `probabilities` (C,) reach `thresholds`, int64, most probable label first."""
    order: NDArray[np.int64] = np.argsort(-probabilities, kind="stable")
    return order[(probabilities >= thresholds)[order]]
