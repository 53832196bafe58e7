"""Labels and probabilities of texts with any number of labels become thresholds and scores."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["FEW", "answer_scores", "choose_thresholds", "score_several", "sigmoid"]

FEW = 20
"""A label on fewer validation texts has no threshold of its own: it would fit their accidents."""

LOWEST, HIGHEST = 0.01, 0.99


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities float32 of `logits` of any shape."""
    # exp of what is never positive, so that nothing overflows
    small = np.exp(-np.abs(logits.astype(np.float64)))
    shares: NDArray[np.float64] = np.where(logits >= 0, 1, small) / (1 + small)
    return shares.astype(np.float32)


def choose_thresholds(
    labels: NDArray[np.bool_], probabilities: NDArray[np.float32]
) -> NDArray[np.float64]:
    """The threshold of each label, float64 (C,), that gives it the best F1 on these texts.

    Never on test texts. A label on fewer than `FEW` texts takes the common threshold, the one with
    the best micro-F1 of all labels together. Both arguments are (n, C). Between two probabilities
    a threshold lies in the middle; it is within `LOWEST` and `HIGHEST`.
    """
    common = _best(labels.ravel(), probabilities.ravel())
    thresholds = [
        _best(labels[:, label], probabilities[:, label])
        if labels[:, label].sum() >= FEW
        else common
        for label in range(labels.shape[1])
    ]
    return np.array(thresholds, dtype=np.float64)


def _best(labels: NDArray[np.bool_], probabilities: NDArray[np.float32]) -> float:
    """Where F1 is highest if all at or above it are answered yes; 0.5 when nothing is true."""
    if not labels.any():
        return 0.5
    order = np.argsort(-probabilities, kind="stable")
    ranked = probabilities[order].astype(np.float64)
    hits = np.cumsum(labels[order])
    f1 = 2 * hits / (np.arange(1, len(ranked) + 1) + int(labels.sum()))
    # a threshold cannot part equal probabilities
    f1[:-1][ranked[1:] == ranked[:-1]] = -1
    last = int(f1.argmax())
    below = ranked[last + 1] if last + 1 < len(ranked) else 0.0
    return float(np.clip((ranked[last] + below) / 2, LOWEST, HIGHEST))


def score_several(
    labels: NDArray[np.bool_],
    probabilities: NDArray[np.float32],
    thresholds: NDArray[np.float64],
) -> dict[str, float]:
    """`micro_f1`, `macro_f1`, `subset_accuracy` and `loss` of answers at `thresholds` (C,).

    Macro-F1 is the mean over the labels that occur as label or answer; subset accuracy the share
    of texts whose labels are all right; the loss the mean over texts of all labels' binary
    cross-entropies together, in nats. The first two arguments are (n, C).
    """
    # a probability that float32 rounds to 0 or 1 would cost an infinite loss
    certain = np.where(labels, probabilities, 1 - probabilities.astype(np.float64))
    loss = float(-np.log(np.maximum(certain, np.finfo(np.float32).tiny)).sum(axis=1).mean())
    return answer_scores(labels, probabilities >= thresholds) | {"loss": loss}


def answer_scores(labels: NDArray[np.bool_], answers: NDArray[np.bool_]) -> dict[str, float]:
    """As `score_several`, without the loss, of answers bool (n, C)."""
    right = (labels & answers).sum(axis=0)
    occurring = labels.sum(axis=0) + answers.sum(axis=0)
    present = occurring > 0
    f1 = 2 * right[present] / occurring[present]
    return {
        "micro_f1": float(2 * right.sum() / max(int(occurring.sum()), 1)),
        "macro_f1": float(f1.mean()) if len(f1) else 0.0,
        "subset_accuracy": float((labels == answers).all(axis=1).mean()),
    }
