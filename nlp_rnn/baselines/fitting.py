"""Training texts and labels become a control: the majority class, or words and a linear SVM."""

import re
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.errors import DataError

__all__ = [
    "CONTROLS",
    "Control",
    "counter",
    "fit_linear",
    "fit_majority",
    "grams_of",
    "likeliest_factor",
    "vectorized",
]

CONTROLS = ("majority", "linear")

# A word, or one sign that is neither letter, digit nor white space; how a sign is drawn is none.
WORD = r"\w+|[^\w\s\ufe00-\ufe0f]"
# Characters between two white spaces, on average, from which on texts count as written without
# spaces. English, German and Turkish have 5 to 8, Chinese reviews 50.
UNSPACED = 15.0
# Factors on the SVM's scores that are tried lie between exp of these.
COLDEST, HOTTEST = -4.0, 4.0


@dataclass(frozen=True)
class Control:
    """A classifier that a recurrent one must beat; it answers like a `TextClassifier`.

    Attributes:
        name: `majority` or `linear`.
        settings: what it was fitted with, for the run's parameters.
        num_parameters: numbers that were learnt.
        seconds: wall time of fitting, reading the texts included.
        runtime: what answers, for the names of latencies.
        thresholds: where a text may have several labels, the probability (C,) from which on it
            has each.
    """

    name: str
    settings: dict[str, Any]
    num_parameters: int
    seconds: float
    answer: Callable[[list[str]], NDArray[np.float64]]
    tokens: Callable[[str], int]
    runtime: str = "sklearn"
    thresholds: NDArray[np.float64] | None = None

    def predict_proba(self, texts: Iterable[str]) -> NDArray[np.float32]:
        """Probabilities float32 (n, C) of n texts."""
        return self.answer(list(texts)).astype(np.float32)

    def token_counts(self, texts: Iterable[str]) -> NDArray[np.int64]:
        """Words and signs of each text, or characters where it has no spaces; at least 1."""
        return np.array([max(1, self.tokens(text)) for text in texts], dtype=np.int64)


def fit_majority(texts: Sequence[str], labels: NDArray[np.int64], num_labels: int) -> Control:
    """Give every text the most frequent label of training; probabilities are the shares there."""
    from sklearn.dummy import DummyClassifier

    started = time.perf_counter()
    model = DummyClassifier(strategy="prior").fit(np.zeros((len(labels), 1)), labels)
    seconds = time.perf_counter() - started
    classes, count = model.classes_, counter(grams_of(texts))

    def answer(some: list[str]) -> NDArray[np.float64]:
        return _spread(model.predict_proba(np.zeros((len(some), 1))), classes, num_labels)

    return Control("majority", {}, len(classes), seconds, answer, count)


def fit_linear(
    texts: Sequence[str],
    labels: NDArray[np.int64],
    num_labels: int,
    validation: tuple[Sequence[str], NDArray[np.int64]],
) -> Control:
    """Fit TF-IDF of 1–2-grams and a linear SVM with scikit-learn's defaults, not tuned.

    The grams are of words and signs, or of characters where the texts are written without spaces.
    Term frequencies count as 1 + log. An SVM gives scores and no probabilities: these are the
    softmax of the scores times one factor, which the validation split chooses by its likelihood
    (Guo et al. 2017, arXiv:1706.04599). No label depends on it.

    Args:
        texts: n training texts.
        labels: integers (n,), of at least two classes.
        num_labels: C; classes without a training text get probability 0.
        validation: texts and labels that the factor is chosen on.

    Raises:
        DataError: the texts hold nothing but white space.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    started = time.perf_counter()
    vectorizer, features, grams = vectorized(texts)
    svm = LinearSVC(random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # said by `converged` below
        svm.fit(features, labels)

    def scores(some: Sequence[str]) -> NDArray[np.float64]:
        found: NDArray[np.float64] = svm.decision_function(vectorizer.transform(some))
        return found if found.ndim == 2 else np.stack([-found / 2, found / 2], axis=1)

    factor = _factor(scores(validation[0]), validation[1], svm.classes_)
    seconds = time.perf_counter() - started

    def answer(some: list[str]) -> NDArray[np.float64]:
        logits = factor * scores(some)
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        return _spread(weights / weights.sum(axis=1, keepdims=True), svm.classes_, num_labels)

    return Control(
        "linear",
        {
            "features": "tfidf",
            "grams_of": grams,
            "grams": "1-2",
            "vocab_size": len(vectorizer.vocabulary_),
            "score_factor": round(factor, 4),
            "converged": bool(svm.n_iter_ < svm.max_iter),
        },
        svm.coef_.size + svm.intercept_.size,
        seconds,
        answer,
        counter(grams),
    )


def vectorized(texts: Sequence[str]) -> tuple[Any, Any, str]:
    """A fitted TF-IDF of 1–2-grams, the features of the texts, and what the grams are of.

    Raises:
        DataError: the texts hold nothing but white space.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    grams = grams_of(texts)
    vectorizer = TfidfVectorizer(
        analyzer=grams,
        token_pattern=WORD if grams == "word" else None,
        ngram_range=(1, 2),
        sublinear_tf=True,
        dtype=np.float32,
    )
    try:
        features = vectorizer.fit_transform(texts)
    except ValueError as error:
        if "empty vocabulary" not in str(error):
            raise
        raise DataError("The training texts hold no words; a linear control has nothing.") from None
    return vectorizer, features, grams


def grams_of(texts: Sequence[str]) -> str:
    """scikit-learn's `analyzer` for these texts: `word`, or `char` where there are no spaces."""
    characters = sum(len(text) for text in texts)
    pieces = sum(len(text.split()) for text in texts)
    return "word" if characters < UNSPACED * max(1, pieces) else "char"


def counter(grams: str) -> Callable[[str], int]:
    """Count the words and signs, or the characters, of a text."""
    find = re.compile(WORD if grams == "word" else r"\S").findall
    return lambda text: len(find(text))


def _factor(
    scores: NDArray[np.float64], labels: NDArray[np.int64], classes: NDArray[np.int64]
) -> float:
    """What the scores (n, K) are best multiplied by; 1 without a text of a known class."""
    known = np.isin(labels, classes)
    if not known.any():
        return 1.0
    scores, places = scores[known], np.searchsorted(classes, labels[known])

    def loss(scale: float) -> float:
        logits = scale * scores
        logits -= logits.max(axis=1, keepdims=True)
        right = logits[np.arange(len(places)), places]
        return float(np.mean(np.log(np.exp(logits).sum(axis=1)) - right))

    return likeliest_factor(loss)


def likeliest_factor(loss: Callable[[float], float]) -> float:
    """The factor on scores, within exp of `COLDEST` and `HOTTEST`, whose loss is least."""
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(
        lambda exponent: loss(float(np.exp(exponent))), bounds=(COLDEST, HOTTEST), method="bounded"
    )
    return float(np.exp(found.x))


def _spread(
    known: NDArray[np.float64], classes: NDArray[np.int64], num_labels: int
) -> NDArray[np.float64]:
    """Probabilities (n, C) of those (n, K) of the classes that occur in training."""
    spread = np.zeros((len(known), num_labels))
    spread[:, classes] = known
    return spread
