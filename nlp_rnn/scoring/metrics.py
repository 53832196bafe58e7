"""Labels and logits become accuracy, macro-F1 and loss."""

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "accuracy",
    "balanced_accuracy",
    "confusion_matrix",
    "cross_entropy",
    "macro_f1",
    "score",
]


def confusion_matrix(
    labels: NDArray[np.int64], predictions: NDArray[np.int64], num_labels: int
) -> NDArray[np.int64]:
    """Counts (C, C): row = label, column = prediction."""
    pairs = labels * num_labels + predictions
    return np.bincount(pairs, minlength=num_labels**2).reshape(num_labels, num_labels)


def accuracy(confusion: NDArray[np.int64]) -> float:
    """Share of texts predicted right."""
    return float(np.trace(confusion) / confusion.sum())


def balanced_accuracy(confusion: NDArray[np.int64]) -> float:
    """Mean over the labels that occur of the share of their texts predicted right."""
    of_label = confusion.sum(1)
    present = of_label > 0
    return float(np.mean(np.diag(confusion)[present] / of_label[present]))


def macro_f1(confusion: NDArray[np.int64]) -> float:
    """Mean F1 over the labels that occur as label or prediction, as in scikit-learn."""
    right = np.diag(confusion)
    occurring = confusion.sum(0) + confusion.sum(1)
    present = occurring > 0
    return float(np.mean(2 * right[present] / occurring[present]))


def cross_entropy(labels: NDArray[np.int64], logits: NDArray[np.float32]) -> float:
    """Mean negative log-likelihood in nats; `logits` (n, C)."""
    shifted = logits.astype(np.float64) - logits.max(1, keepdims=True)
    log_total = np.log(np.exp(shifted).sum(1))
    return float(np.mean(log_total - shifted[np.arange(len(labels)), labels]))


def score(labels: NDArray[np.int64], logits: NDArray[np.float32]) -> dict[str, float]:
    """`accuracy`, `macro_f1` and `loss` of `logits` (n, C); log-probabilities do as well."""
    confusion = confusion_matrix(labels, logits.argmax(1).astype(np.int64), logits.shape[1])
    return {
        "accuracy": accuracy(confusion),
        "macro_f1": macro_f1(confusion),
        "loss": cross_entropy(labels, logits),
    }
