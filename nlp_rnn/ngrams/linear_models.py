"""The linear models whose weights a table adds up, and the registry of all of them.

A linear model has features and a solver. Models with the same features share one section of the
table, however many they are.
"""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.ngrams.character_ngrams import CharacterFeatures
from nlp_rnn.ngrams.section import Features
from nlp_rnn.ngrams.vector_features import VectorFeatures
from nlp_rnn.ngrams.word_ngrams import WordFeatures

if TYPE_CHECKING:
    from nlp_rnn.tokens.static_vectors import StaticVectors

__all__ = [
    "LINEAR_MODELS",
    "LinearModel",
    "fit_nb_svm",
    "fit_svm",
    "linear_models",
]

TOLERANCE = 0.1
"""Tolerance of the solver. A smaller one takes twice as long and changes scores by 0.01."""

Solution = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Weights (F, C) and biases (C,)."""


@dataclass(frozen=True)
class LinearModel:
    """A linear model on one kind of features.

    Attributes
    ----------
    features : callable
        Returns the features for a separator of pairs, or None.
    solve : callable
        Fits weights (F, C) and biases (C,) to a matrix (n, F), labels, the number of labels and
        whether all classes have the same influence.
    """

    features: Callable[[str | None], Features]
    solve: Callable[[Any, NDArray[Any], int, bool], Solution]


def fit_svm(features: Any, labels: NDArray[Any], num_labels: int, balanced: bool) -> Solution:
    """Fit one linear support vector machine for each label, against all other labels."""
    weights, bias = _constant(features.shape[1], labels, num_labels)
    if not features.shape[1]:
        return weights, bias
    if labels.ndim == 2:
        for label in _varying(labels):
            weights[:, label], bias[label] = _fit_binary(features, labels[:, label], balanced)
        return weights, bias
    classes = np.unique(labels)
    if len(classes) == 2:
        column, intercept = _fit_binary(features, labels == classes[1], balanced)
        weights[:, classes] = np.stack([-column, column], axis=1)
        bias[classes] = [-intercept, intercept]
    elif len(classes) > 2:
        svm = _svm(balanced).fit(features, labels)
        weights[:, svm.classes_], bias[svm.classes_] = svm.coef_.T, svm.intercept_
    return weights, bias


def fit_nb_svm(features: Any, labels: NDArray[Any], num_labels: int, balanced: bool) -> Solution:
    """Fit support vector machines to features multiplied by log-count ratios.

    Wang & Manning 2012, https://aclanthology.org/P12-2018, with scaled features instead of binary
    ones, and without their interpolation.
    """
    weights, bias = _constant(features.shape[1], labels, num_labels)
    if not features.shape[1]:
        return weights, bias
    if labels.ndim == 2:
        columns, targets = _varying(labels), labels
    else:
        columns = np.unique(labels)
        targets = labels[:, None] == np.arange(num_labels)
        if len(columns) == 1:
            return weights, bias
    counts = np.bincount(features.indices, minlength=features.shape[1])
    for label in columns[-1:] if labels.ndim == 1 and len(columns) == 2 else columns:
        ratios = _log_count_ratios(features, counts, targets[:, label])
        # only the values are copied, because the matrix can take gigabytes
        scaled = type(features)(
            (features.data * ratios[features.indices], features.indices, features.indptr),
            shape=features.shape,
        )
        column, bias[label] = _fit_binary(scaled, targets[:, label], balanced)
        weights[:, label] = column * ratios
    if labels.ndim == 1 and len(columns) == 2:
        weights[:, columns[0]], bias[columns[0]] = -weights[:, columns[1]], -bias[columns[1]]
    return weights, bias


def _log_count_ratios(
    features: Any, counts: NDArray[np.intp], targets: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the logarithms of how much more frequent features are in the texts with the label."""
    inside = np.bincount(features[targets].indices, minlength=len(counts))
    sums = [1.0 + inside, 1.0 + counts - inside]
    ratios: NDArray[np.float64] = np.log((sums[0] / sums[0].sum()) / (sums[1] / sums[1].sum()))
    return ratios


def _constant(num_features: int, labels: NDArray[Any], num_labels: int) -> Solution:
    """Return weights of 0, and biases of -1, or of 1 for a label that all texts have."""
    bias = np.full(num_labels, -1.0)
    if labels.ndim == 2:
        bias[labels.all(axis=0)] = 1.0
    elif len(np.unique(labels)) == 1:
        bias[labels[0]] = 1.0
    return np.zeros((num_features, num_labels)), bias


def _varying(labels: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return the labels that some texts have and others do not."""
    return np.flatnonzero(labels.any(axis=0) & ~labels.all(axis=0))


def _fit_binary(
    features: Any, targets: NDArray[np.bool_], balanced: bool
) -> tuple[NDArray[np.float64], float]:
    svm = _svm(balanced).fit(features, targets)
    return svm.coef_[0], float(svm.intercept_[0])


class _QuietSVC:
    """scikit-learn's `LinearSVC` without warnings: more iterations change only the third digit."""

    def __init__(self, svm: Any) -> None:
        self._svm = svm

    def fit(self, features: Any, targets: NDArray[Any]) -> Any:
        """Return the fitted `LinearSVC`."""
        from sklearn.exceptions import ConvergenceWarning

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return self._svm.fit(features, targets)


def _svm(balanced: bool) -> _QuietSVC:
    from sklearn.svm import LinearSVC

    weight = "balanced" if balanced else None
    return _QuietSVC(LinearSVC(random_state=0, class_weight=weight, tol=TOLERANCE))


LINEAR_MODELS: dict[str, LinearModel] = {
    "words": LinearModel(WordFeatures, fit_svm),
    "nb_words": LinearModel(WordFeatures, fit_nb_svm),
    "characters": LinearModel(CharacterFeatures, fit_svm),
    "nb_characters": LinearModel(CharacterFeatures, fit_nb_svm),
}
"""Linear models by name, in the order of their scores and weights."""


def linear_models(vectors: "StaticVectors | None") -> Mapping[str, LinearModel]:
    """Return the linear models, with one on static vectors if there are any."""
    if vectors is None:
        return LINEAR_MODELS
    return LINEAR_MODELS | {"vectors": LinearModel(partial(VectorFeatures, vectors), fit_svm)}
