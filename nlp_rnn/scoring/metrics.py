"""Metrics for single-label and multi-label predictions, and the choice of decision thresholds.

The functions recognize the task by the labels of the n texts. Labels int64 (n,), the index of each
text's label, are single-label. Labels bool (n, C), an indicator matrix of C labels, are
multi-label. Predictions have the same form as the labels. Probabilities and logits are (n, C) in
both tasks.
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "MIN_TEXTS_FOR_THRESHOLD",
    "Z_95",
    "LabelCounts",
    "balanced_accuracy",
    "choose_thresholds",
    "confusion_matrix",
    "confusions",
    "cross_entropy",
    "f1_of_labels",
    "label_counts",
    "predicted_labels",
    "score_logits",
    "score_predictions",
    "score_probabilities",
    "sigmoid",
    "wilson_interval",
]

MIN_TEXTS_FOR_THRESHOLD = 20
"""Minimum number of validation texts with a label for which its threshold is chosen separately.

A threshold that is chosen on fewer texts overfits.
"""

MIN_THRESHOLD, MAX_THRESHOLD = 0.01, 0.99
BLOCK_VALUES = 1 << 22
"""Number of values that are copied at a time, which a table of many labels is too large for."""

TINY = np.finfo(np.float32).tiny
"""Lower bound of probabilities in logarithms: the smallest normal float32."""
Z_95 = 1.959963984540054
"""Quantile of the standard normal distribution for a two-sided 95 % interval."""


class LabelCounts(NamedTuple):
    """Numbers of texts per label, from which precision, recall and F1 are computed.

    Attributes
    ----------
    correct : int64 (C,)
        Texts that have the label and for which it is predicted (true positives).
    labelled : int64 (C,)
        Texts that have the label (support).
    predicted : int64 (C,)
        Texts for which the label is predicted.
    """

    correct: NDArray[np.int64]
    labelled: NDArray[np.int64]
    predicted: NDArray[np.int64]


def label_counts(labels: NDArray[Any], predictions: NDArray[Any], num_labels: int) -> LabelCounts:
    """Count the true positives, the true labels and the predictions of each label."""
    if labels.ndim == 2:
        columns = (labels & predictions, labels, predictions)
        return LabelCounts(*(column.sum(axis=0) for column in columns))
    ids = (labels[labels == predictions], labels, predictions)
    return LabelCounts(*(np.bincount(column, minlength=num_labels) for column in ids))


def f1_of_labels(counts: LabelCounts) -> NDArray[np.float64]:
    """Return the F1 of each label, float64 (C,); 0 for a label that never occurs."""
    f1: NDArray[np.float64] = 2 * counts.correct / np.maximum(counts.labelled + counts.predicted, 1)
    return f1


def balanced_accuracy(counts: LabelCounts) -> float:
    """Return the mean recall over the labels that at least one text has."""
    present = counts.labelled > 0
    return float(np.mean(counts.correct[present] / counts.labelled[present]))


def confusion_matrix(
    labels: NDArray[np.int64], predictions: NDArray[np.int64], num_labels: int
) -> NDArray[np.int64]:
    """Count texts by true label (row) and predicted label (column), int64 (C, C)."""
    pairs = labels * num_labels + predictions
    return np.bincount(pairs, minlength=num_labels**2).reshape(num_labels, num_labels)


def confusions(
    labels: NDArray[np.int64], predictions: NDArray[np.int64], num_labels: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Count the cells of the confusion matrix that are not 0, in memory proportional to the texts.

    Returns
    -------
    true, predicted, counts : int64 arrays of shape (k,)
        Row, column and value of k cells, in the order of the rows and then of the columns.
    """
    pairs, counts = np.unique(labels * num_labels + predictions, return_counts=True)
    return pairs // num_labels, pairs % num_labels, counts.astype(np.int64)


def cross_entropy(labels: NDArray[np.int64], logits: NDArray[Any]) -> float:
    """Return the mean negative log-likelihood of single-label `logits` (n, C), in nats."""
    losses = np.empty(len(labels))
    for rows in _row_blocks(logits):
        losses[rows] = _negative_log_likelihoods(labels[rows], logits[rows])
    return float(np.mean(losses))


def _negative_log_likelihoods(
    labels: NDArray[np.int64], logits: NDArray[Any]
) -> NDArray[np.float64]:
    shifted = logits.astype(np.float64) - logits.max(1, keepdims=True)
    log_total = np.log(np.exp(shifted).sum(1))
    losses: NDArray[np.float64] = log_total - shifted[np.arange(len(labels)), labels]
    return losses


def _row_blocks(table: NDArray[Any]) -> Iterator[slice]:
    """Yield consecutive rows of a table (n, C), so few that a copy of them takes little memory."""
    size = max(1, BLOCK_VALUES // max(table.shape[1], 1))
    for start in range(0, len(table), size):
        yield slice(start, start + size)


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the logistic function of `logits` of any shape, float32, without overflow."""
    # the exponent is never positive
    small = np.exp(-np.abs(logits.astype(np.float64)))
    shares: NDArray[np.float64] = np.where(logits >= 0, 1, small) / (1 + small)
    return shares.astype(np.float32)


def predicted_labels(
    probabilities: NDArray[np.float32], thresholds: NDArray[np.float64] | None
) -> NDArray[Any]:
    """Return the most probable label of each text, or all labels whose thresholds are reached.

    Parameters
    ----------
    probabilities : float32 (n, C)
    thresholds : float64 (C,) or None
        Smallest probability at which each label is predicted; None in the single-label task.

    Returns
    -------
    int64 (n,) without thresholds, bool (n, C) with thresholds.
    """
    return probabilities.argmax(axis=1) if thresholds is None else probabilities >= thresholds


def score_predictions(
    labels: NDArray[Any], predictions: NDArray[Any], num_labels: int
) -> dict[str, float]:
    """Return the metrics that need no probabilities, by name.

    Single-label: `accuracy` and `macro_f1`. Multi-label: `micro_f1`, `macro_f1` and
    `subset_accuracy`, the share of texts whose labels are all correct.

    Macro-F1 is the mean F1 of the labels that at least one text has or is predicted to have. For
    single-label data it is `sklearn.metrics.f1_score(labels, predictions, average="macro")`. A
    label that is only predicted has an F1 of 0; one that occurs nowhere does not count.
    """
    counts = label_counts(labels, predictions, num_labels)
    occurring = counts.labelled + counts.predicted
    f1 = f1_of_labels(counts)[occurring > 0]
    macro_f1 = float(f1.mean()) if len(f1) else 0.0
    if labels.ndim == 1:
        return {"accuracy": float((labels == predictions).mean()), "macro_f1": macro_f1}
    return {
        "micro_f1": float(2 * counts.correct.sum() / max(int(occurring.sum()), 1)),
        "macro_f1": macro_f1,
        "subset_accuracy": float((labels == predictions).all(axis=1).mean()),
    }


def score_probabilities(
    labels: NDArray[Any],
    probabilities: NDArray[np.float32],
    thresholds: NDArray[np.float64] | None = None,
) -> dict[str, float]:
    """Return the metrics of `score_predictions` and the `loss`, in nats per text.

    The loss is the cross-entropy. In the multi-label task it is the sum of the binary
    cross-entropies of all labels. A probability of 0 is replaced by the smallest normal float32, so
    that the loss is finite.

    Parameters
    ----------
    labels : int64 (n,) or bool (n, C)
    probabilities : float32 (n, C)
    thresholds : float64 (C,), optional
        Smallest probability at which each label is predicted; None in the single-label task.
    """
    predictions = predicted_labels(probabilities, thresholds)
    scores = score_predictions(labels, predictions, probabilities.shape[1])
    if labels.ndim == 1:
        losses = np.empty(len(labels))
        for rows in _row_blocks(probabilities):
            logs = np.log(np.maximum(probabilities[rows], TINY))
            losses[rows] = _negative_log_likelihoods(labels[rows], logs)
        return scores | {"loss": float(np.mean(losses))}
    losses = np.empty(len(labels))
    for rows in _row_blocks(probabilities):
        block = probabilities[rows]
        of_truth = np.where(labels[rows], block, 1 - block.astype(np.float64))
        losses[rows] = -np.log(np.maximum(of_truth, TINY)).sum(axis=1)
    return scores | {"loss": float(losses.mean())}


def score_logits(
    labels: NDArray[Any], logits: NDArray[np.float32]
) -> tuple[dict[str, float], list[float]]:
    """Return the metrics and the loss of validation `logits` (n, C), and thresholds chosen on them.

    In the single-label task the list of thresholds is empty. In the multi-label task the metrics
    are computed with the chosen thresholds, so they are optimistic.
    """
    if labels.ndim == 1:
        scores = score_predictions(labels, logits.argmax(1), logits.shape[1])
        return scores | {"loss": cross_entropy(labels, logits)}, []
    probabilities = sigmoid(logits)
    thresholds = choose_thresholds(labels.astype(bool), probabilities)
    scores = score_probabilities(labels.astype(bool), probabilities, thresholds)
    return scores, thresholds.tolist()


def choose_thresholds(
    labels: NDArray[np.bool_], probabilities: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return for each label the threshold with the highest F1 on validation texts.

    Labels with fewer than `MIN_TEXTS_FOR_THRESHOLD` texts share one threshold, which has the
    highest micro-F1 over all labels. A threshold is the midpoint of two adjacent probabilities,
    clipped to `MIN_THRESHOLD` and `MAX_THRESHOLD`. Never choose thresholds on test texts.

    Parameters
    ----------
    labels : bool (n, C)
    probabilities : float32 (n, C)

    Returns
    -------
    float64 (C,)
    """
    common = _best_threshold(labels.ravel(), probabilities.ravel())
    thresholds = [
        _best_threshold(labels[:, label], probabilities[:, label])
        if labels[:, label].sum() >= MIN_TEXTS_FOR_THRESHOLD
        else common
        for label in range(labels.shape[1])
    ]
    return np.array(thresholds, dtype=np.float64)


def _best_threshold(labels: NDArray[np.bool_], probabilities: NDArray[np.float32]) -> float:
    """Return the threshold with the highest F1 for labels (n,); 0.5 if all labels are False."""
    if not labels.any():
        return 0.5
    order = np.argsort(-probabilities, kind="stable")
    ranked = probabilities[order].astype(np.float64)
    hits = np.cumsum(labels[order])
    f1 = 2 * hits / (np.arange(1, len(ranked) + 1) + int(labels.sum()))
    # no threshold separates equal probabilities
    f1[:-1][ranked[1:] == ranked[:-1]] = -1
    last = int(f1.argmax())
    below = ranked[last + 1] if last + 1 < len(ranked) else 0.0
    return float(np.clip((ranked[last] + below) / 2, MIN_THRESHOLD, MAX_THRESHOLD))


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """Return the 95 % confidence interval of a proportion.

    Wilson 1927, doi:10.1080/01621459.1927.10502953. Unlike `p ± 1.96 s`, it stays within 0 and 1
    and has about the right coverage near both. `trials` is at least 1.
    """
    share = successes / trials
    weight = 1 + Z_95**2 / trials
    middle = (share + Z_95**2 / (2 * trials)) / weight
    half = Z_95 * math.sqrt(share * (1 - share) / trials + (Z_95 / (2 * trials)) ** 2) / weight
    return max(0.0, middle - half), min(1.0, middle + half)
