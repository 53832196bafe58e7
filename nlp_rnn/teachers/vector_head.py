"""Linear models on the vectors of texts: logistic regression, with C by cross-validation."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.ngrams.ensemble import log_likelihoods
from nlp_rnn.ngrams.fitting import fold_of_rows
from nlp_rnn.teachers.teacher_predictions import FloatArray

__all__ = ["VectorHead", "choose_c", "out_of_fold_logits"]

STRENGTHS = (1.0, 3.0, 10.0, 30.0, 100.0)
"""Values of C to choose from, for vectors of mean length 1."""

CHOICE_ROWS = 3000
"""Rows on which C is chosen at most."""

FOLDS = 5

RARE = 1e-4
"""Probability of a class without a training text."""


@dataclass(frozen=True)
class VectorHead:
    """Fitted logistic regression on vectors; multi-label: one for each label.

    Attributes
    ----------
    weights : float64 (D, C)
        Weights of the features.
    bias : float64 (C,)
        Biases of the labels.
    """

    weights: NDArray[np.float64]
    bias: NDArray[np.float64]

    @classmethod
    def fit(
        cls, vectors: FloatArray, labels: NDArray[Any], num_labels: int, c: float, balanced: bool
    ) -> "VectorHead":
        """Fit to n vectors, float32 (n, D), and labels int64 (n,) or bool (n, C)."""
        scale = _scale(vectors)
        scaled = vectors / scale
        weights = np.zeros((vectors.shape[1], num_labels))
        if labels.ndim == 1:
            classes = np.unique(labels)
            bias = np.full(num_labels, np.log(RARE))
            if len(classes) == 1:
                bias[classes] = 0.0
                return cls(weights, bias)
            coefficients, intercepts = _logistic(scaled, labels, c, balanced)
            if len(classes) == 2:  # scikit-learn has one score for both
                coefficients = np.stack([-coefficients[0] / 2, coefficients[0] / 2])
                intercepts = np.array([-intercepts[0] / 2, intercepts[0] / 2])
            weights[:, classes] = coefficients.T
            bias[classes] = intercepts
            bias[np.setdiff1d(np.arange(num_labels), classes)] += intercepts.min()
        else:
            bias = np.zeros(num_labels)
            for label in range(num_labels):
                members = labels[:, label]
                if members.all() or not members.any():
                    bias[label] = np.log(RARE) * (-1 if members.all() else 1)
                    continue
                coefficients, intercepts = _logistic(scaled, members, c, balanced)
                weights[:, label], bias[label] = coefficients[0], intercepts[0]
        return cls(weights / scale, bias)

    def logits(self, vectors: FloatArray) -> NDArray[np.float64]:
        """Return the logits of n vectors, float64 (n, C)."""
        logits: NDArray[np.float64] = vectors.astype(np.float64) @ self.weights + self.bias
        return logits


def choose_c(vectors: FloatArray, labels: NDArray[Any], num_labels: int, balanced: bool) -> float:
    """Return the C with the highest likelihood of the labels of rows outside the fold."""
    rows = np.arange(len(vectors))
    if len(rows) > CHOICE_ROWS:
        rows = np.sort(np.random.default_rng(0).permutation(rows)[:CHOICE_ROWS])
    vectors, labels = vectors[rows], labels[rows]

    def likelihood(c: float) -> float:
        logits = out_of_fold_logits(vectors, labels, num_labels, c, balanced)
        return float(log_likelihoods(logits, labels).mean())

    return max(STRENGTHS, key=likelihood)


def out_of_fold_logits(
    vectors: FloatArray,
    labels: NDArray[Any],
    num_labels: int,
    c: float,
    balanced: bool,
    folds: int = FOLDS,
) -> NDArray[np.float64]:
    """Return the logits of each row by a model that was fitted without it, float64 (n, C)."""
    fold_of_row = fold_of_rows(labels, folds)
    logits = np.zeros((len(vectors), num_labels))
    for fold in range(folds):
        inside = fold_of_row == fold
        if inside.any() and not inside.all():
            head = VectorHead.fit(vectors[~inside], labels[~inside], num_labels, c, balanced)
            logits[inside] = head.logits(vectors[inside])
    return logits


def _logistic(
    vectors: FloatArray, labels: NDArray[Any], c: float, balanced: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(
        C=c, max_iter=300, tol=1e-3, class_weight="balanced" if balanced else None
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(vectors, labels)
    return np.asarray(model.coef_, np.float64), np.asarray(model.intercept_, np.float64)


def _scale(vectors: FloatArray) -> float:
    """Return the mean length of the vectors, so that C means the same for every encoder."""
    return float(np.linalg.norm(vectors, axis=1).mean()) or 1.0
