"""Baselines that a recurrent classifier must beat: the majority label and a linear SVM.

As in `nlp_rnn.scoring.metrics`, labels int64 (n,) are single-label, bool (n, C) multi-label.
"""

import re
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.errors import DataError
from nlp_rnn.scoring.metrics import choose_thresholds, cross_entropy, label_counts, sigmoid

__all__ = ["BASELINES", "Baseline", "fit_linear", "fit_majority"]

BASELINES = ("majority", "linear")

# A word, or one symbol that is neither letter, digit nor white space. Variation selectors, which
# say only how the symbol before them is drawn, are no symbols.
TOKEN = r"\w+|[^\w\s\ufe00-\ufe0f]"
# Texts with at least this mean number of characters between white space are taken to be written
# without spaces. English, German and Turkish have 5 to 8, Chinese reviews 50.
UNSPACED = 15.0
# Bounds of the logarithm of the factor on the SVM's decision values.
MIN_LOG_FACTOR, MAX_LOG_FACTOR = -4.0, 4.0
# Weights of the linear baseline, with 8 bytes each.
MAX_WEIGHTS = 400_000_000
# A threshold that no probability reaches.
NEVER = 2.0


@dataclass(frozen=True)
class Baseline:
    """A fitted baseline, which predicts like a `TextClassifier`.

    Attributes
    ----------
    name : str
        `majority` or `linear`.
    settings : dict
        Options of the fit, logged as parameters of the MLflow run.
    num_parameters : int
        Number of fitted parameters.
    seconds : float
        Wall time of fitting, in seconds, including feature extraction.
    probabilities : callable
        Returns the probabilities of n texts, float64 (n, C).
    count_tokens : callable
        Returns the number of tokens of a text.
    runtime : str
        Name of the library that predicts, for the names of latencies.
    thresholds : float64 (C,) or None
        Smallest probability at which each label is predicted; None in the single-label task.
    """

    name: str
    settings: dict[str, Any]
    num_parameters: int
    seconds: float
    probabilities: Callable[[list[str]], NDArray[np.float64]]
    count_tokens: Callable[[str], int]
    runtime: str = "sklearn"
    thresholds: NDArray[np.float64] | None = None

    def predict_proba(self, texts: Iterable[str]) -> NDArray[np.float32]:
        """Return the probabilities of n texts, float32 (n, C)."""
        return self.probabilities(list(texts)).astype(np.float32)

    def token_counts(self, texts: Iterable[str]) -> NDArray[np.int64]:
        """Count the words and symbols of each text, or its characters; at least 1, int64 (n,)."""
        return np.array([max(1, self.count_tokens(text)) for text in texts], dtype=np.int64)


def fit_majority(texts: Sequence[str], labels: NDArray[Any], num_labels: int) -> Baseline:
    """Predict the most frequent label of training for every text.

    The probabilities are the shares of the labels in training.
    """
    started = time.perf_counter()
    counts = label_counts(labels, labels, num_labels).labelled
    shares, thresholds, num_parameters = counts / len(labels), None, int(np.count_nonzero(counts))
    if labels.ndim == 2:
        thresholds, num_parameters = np.full(num_labels, NEVER), num_labels
        thresholds[shares.argmax()] = 0.0
    seconds = time.perf_counter() - started
    return Baseline(
        "majority",
        {},
        num_parameters,
        seconds,
        lambda texts: np.tile(shares, (len(texts), 1)),
        _token_counter(_analyzer(texts)),
        thresholds=thresholds,
    )


def fit_linear(
    texts: Sequence[str],
    labels: NDArray[Any],
    num_labels: int,
    validation: tuple[Sequence[str], NDArray[Any]],
) -> Baseline:
    """Fit TF-IDF of 1–2-grams and linear SVMs with scikit-learn's defaults, without tuning.

    The n-grams are of words and symbols, or of characters where the texts are written without
    spaces; term frequencies count as 1 + log. An SVM has decision values and no probabilities:
    these are the softmax, in the multi-label task the sigmoid, of the decision values times one
    factor, which maximizes the likelihood of the validation split (Guo et al. 2017,
    arXiv:1706.04599). No single-label prediction depends on the factor. Multi-label thresholds are
    chosen on validation, as those of a network.

    Parameters
    ----------
    texts : sequence of n str
        The training texts.
    labels : int64 (n,) or bool (n, C)
        Single-label: at least two classes occur. Multi-label: one SVM for each label against the
        rest; a label of all training texts, or of none, gets the probability 1 or 0.
    num_labels : int
        C. A class without a training text gets the probability 0.
    validation : tuple of texts and labels

    Raises
    ------
    DataError
        The texts contain nothing but white space, or there are too many labels.
    """
    started = time.perf_counter()
    vectorizer, features, analyzer = _tfidf(texts)
    if features.shape[1] * num_labels > MAX_WEIGHTS:
        raise DataError(
            f"The linear baseline would have {features.shape[1]:,} n-grams × {num_labels:,} labels "
            f"= {features.shape[1] * num_labels / 1e9:.0f} billion weights, which is too many.\n"
            "Merge labels with data.label_names, or set data.label to a column with fewer."
        )
    svms, decide = _fit_svms(features, labels, num_labels)

    def scores(texts: Sequence[str]) -> NDArray[np.float64]:
        return decide(vectorizer.transform(texts))

    factor = _likeliest_factor(scores(validation[0]), validation[1])

    def probabilities(texts: Sequence[str]) -> NDArray[np.float64]:
        logits = factor * scores(texts)
        if labels.ndim == 2:
            return sigmoid(logits.astype(np.float32)).astype(np.float64)
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares: NDArray[np.float64] = weights / weights.sum(axis=1, keepdims=True)
        return shares

    thresholds = None
    if labels.ndim == 2:
        predicted = probabilities(validation[0]).astype(np.float32)
        thresholds = choose_thresholds(validation[1], predicted)
    seconds = time.perf_counter() - started
    return Baseline(
        "linear",
        {
            "features": "tfidf",
            "grams_of": analyzer,
            "grams": "1-2",
            "vocab_size": len(vectorizer.vocabulary_),
            "score_factor": round(factor, 4),
            "converged": all(bool(svm.n_iter_ < svm.max_iter) for svm in svms),
        },
        sum(svm.coef_.size + svm.intercept_.size for svm in svms),
        seconds,
        probabilities,
        _token_counter(analyzer),
        thresholds=thresholds,
    )


def _fit_svms(
    features: Any, labels: NDArray[Any], num_labels: int
) -> tuple[list[Any], Callable[[Any], NDArray[np.float64]]]:
    """Return the SVMs, and a function from features of n texts to decision values (n, C).

    A label that no training text has gets -inf, in the multi-label task one that all have inf.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    def fit(targets: NDArray[Any]) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the setting `converged` says it
            return LinearSVC(random_state=0).fit(features, targets)

    constant = np.full(num_labels, -np.inf)
    if labels.ndim == 2:
        constant[labels.all(axis=0)] = np.inf
        columns = np.flatnonzero(labels.any(axis=0) & ~labels.all(axis=0))
        svms = [fit(labels[:, column]) for column in columns]
    else:
        svms = [fit(labels)]
        columns = svms[0].classes_

    def decide(features: Any) -> NDArray[np.float64]:
        values = [svm.decision_function(features) for svm in svms]
        decisions = np.tile(constant, (features.shape[0], 1))
        if labels.ndim == 2:
            decisions[:, columns] = np.stack(values, axis=1) if values else 0.0
        elif len(columns) == 2:
            decisions[:, columns] = np.stack([-values[0] / 2, values[0] / 2], axis=1)
        else:
            decisions[:, columns] = values[0]
        return decisions

    return svms, decide


def _likeliest_factor(scores: NDArray[np.float64], labels: NDArray[Any]) -> float:
    """Return the factor on scores (n, C) that maximizes the likelihood; 1 if nothing depends on it.

    Texts of a class that training lacks, and labels without an SVM, do not count.
    """
    from scipy.optimize import minimize_scalar

    trained = np.isfinite(scores).all(axis=0)
    if labels.ndim == 2:
        scores, labels = scores[:, trained], labels[:, trained]
    else:
        known = np.isin(labels, np.flatnonzero(trained))
        scores, labels = scores[known], labels[known]
    if not scores.size:
        return 1.0

    def loss(factor: float) -> float:
        if labels.ndim == 2:
            return float(np.logaddexp(0, factor * np.where(labels, -scores, scores)).mean())
        return cross_entropy(labels, factor * scores)

    best = minimize_scalar(
        lambda exponent: loss(float(np.exp(exponent))),
        bounds=(MIN_LOG_FACTOR, MAX_LOG_FACTOR),
        method="bounded",
    )
    return float(np.exp(best.x))


def _tfidf(texts: Sequence[str]) -> tuple[Any, Any, str]:
    """Return a fitted vectorizer, the features of the texts, and its analyzer.

    Raises
    ------
    DataError
        The texts contain nothing but white space.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    analyzer = _analyzer(texts)
    vectorizer = TfidfVectorizer(
        analyzer=analyzer,
        token_pattern=TOKEN if analyzer == "word" else None,
        ngram_range=(1, 2),
        sublinear_tf=True,
        dtype=np.float32,
    )
    try:
        features = vectorizer.fit_transform(texts)
    except ValueError as error:
        if "empty vocabulary" not in str(error):
            raise
        raise DataError(
            "The training texts contain no words, so the linear baseline has no features."
        ) from None
    return vectorizer, features, analyzer


def _analyzer(texts: Sequence[str]) -> str:
    """Return scikit-learn's analyzer for these texts: `word`, or `char` if they have no spaces."""
    characters = sum(len(text) for text in texts)
    chunks = sum(len(text.split()) for text in texts)
    return "word" if characters < UNSPACED * max(1, chunks) else "char"


def _token_counter(analyzer: str) -> Callable[[str], int]:
    find = re.compile(TOKEN if analyzer == "word" else r"\S").findall
    return lambda text: len(find(text))
