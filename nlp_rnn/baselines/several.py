"""Training texts with any number of labels become a control: the majority label or linear SVMs."""

import time
import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.baselines.fitting import (
    Control,
    counter,
    grams_of,
    likeliest_factor,
    vectorized,
)
from nlp_rnn.scoring.metrics import choose_thresholds, sigmoid

__all__ = ["fit_linear_several", "fit_majority_several"]

NEVER = 2.0
"""A threshold that no probability reaches."""


def fit_majority_several(texts: Sequence[str], labels: NDArray[np.bool_]) -> Control:
    """Give every text the one label that most training texts have; probabilities are the shares.

    `labels` are bool (n, C).
    """
    started = time.perf_counter()
    shares = labels.mean(axis=0, dtype=np.float64)
    most = int(shares.argmax())
    thresholds = np.full(len(shares), NEVER)
    thresholds[most] = 0.0
    seconds = time.perf_counter() - started
    return Control(
        "majority",
        {},
        len(shares),
        seconds,
        lambda some: np.tile(shares, (len(some), 1)),
        counter(grams_of(texts)),
        thresholds=thresholds,
    )


def fit_linear_several(
    texts: Sequence[str],
    labels: NDArray[np.bool_],
    validation: tuple[Sequence[str], NDArray[np.bool_]],
) -> Control:
    """Fit the TF-IDF of `fit_linear` and a linear SVM for each label against the rest, not tuned.

    A probability is the sigmoid of a score times one factor for all labels, and a text has the
    labels whose probability reaches their threshold: both are chosen on the validation split, the
    factor by likelihood and the thresholds as those of a network. A label that all training texts
    have, or none, has no SVM: its probability is 1 or 0.

    Args:
        texts: n training texts.
        labels: bool (n, C), whether a text has each label.
        validation: texts and labels.

    Raises:
        DataError: the texts hold nothing but white space.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    started = time.perf_counter()
    vectorizer, features, grams = vectorized(texts)
    machines = {}
    for label in range(labels.shape[1]):
        if labels[:, label].min() != labels[:, label].max():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # said by `converged` below
                machines[label] = LinearSVC(random_state=0).fit(features, labels[:, label])

    def scores(some: Sequence[str]) -> NDArray[np.float64]:
        found = vectorizer.transform(some)
        columns = np.where(labels.all(axis=0), np.inf, -np.inf) * np.ones((len(some), 1))
        for label, machine in machines.items():
            columns[:, label] = machine.decision_function(found)
        return columns

    known = sorted(machines)
    factor = _factor(scores(validation[0])[:, known], validation[1][:, known])

    def answer(some: Sequence[str]) -> NDArray[np.float64]:
        return sigmoid((factor * scores(some)).astype(np.float32)).astype(np.float64)

    thresholds = choose_thresholds(validation[1], answer(validation[0]).astype(np.float32))
    seconds = time.perf_counter() - started
    return Control(
        "linear",
        {
            "features": "tfidf",
            "grams_of": grams,
            "grams": "1-2",
            "vocab_size": len(vectorizer.vocabulary_),
            "score_factor": round(factor, 4),
            "converged": all(bool(m.n_iter_ < m.max_iter) for m in machines.values()),
        },
        sum(m.coef_.size + m.intercept_.size for m in machines.values()),
        seconds,
        answer,
        counter(grams),
        thresholds=thresholds,
    )


def _factor(scores: NDArray[np.float64], labels: NDArray[np.bool_]) -> float:
    """What the scores (n, K) are best multiplied by before the sigmoid; 1 where there are none."""
    if not scores.size:
        return 1.0
    signed = np.where(labels, scores, -scores)
    return likeliest_factor(lambda scale: float(np.logaddexp(0, -scale * signed).mean()))
