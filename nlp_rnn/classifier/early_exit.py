"""Early exit of a one-directional classifier: accuracy after parts of a text and at thresholds.

The threshold is that of `TextClassifier.stream`. Choose it on validation texts, never on test
texts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.classifier.predictor import TextClassifier
from nlp_rnn.errors import ClassifierError

__all__ = [
    "Earliness",
    "EarlyExit",
    "PrefixScore",
    "choose_exit_threshold",
    "earliness",
    "early_exits",
    "prefix_probabilities",
]

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.97, 0.99, 0.995, 0.999, 1.0)
SHARES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
BINS = 10  # of the calibration error


@dataclass(frozen=True)
class EarlyExit:
    """Accuracy and processed tokens if streams stop at one threshold.

    Attributes
    ----------
    threshold : float
        Probability at which a stream stops.
    accuracy : float
        Share of texts whose label is correct where the stream stops.
    tokens_read : float
        Mean share of the tokens of a text that are processed before the stream stops.
    """

    threshold: float
    accuracy: float
    tokens_read: float


@dataclass(frozen=True)
class PrefixScore:
    """Scores of the predictions after a share of the tokens of each text.

    Attributes
    ----------
    share : float
        Share of the tokens, rounded up to a whole token.
    accuracy : float
        Share of correct predictions.
    loss : float
        Mean negative log-likelihood in nats.
    confidence : float
        Mean probability of the predicted label.
    calibration_error : float
        Expected calibration error with ten bins, weighted by texts (Guo et al. 2017,
        arXiv:1706.04599).
    """

    share: float
    accuracy: float
    loss: float
    confidence: float
    calibration_error: float


@dataclass(frozen=True)
class Earliness:
    """How accurate a classifier is before the end of a text.

    Attributes
    ----------
    prefixes : list of PrefixScore
        Scores of the predictions after each share of the tokens.
    exits : list of EarlyExit
        Accuracy and processed tokens of each threshold.
    """

    prefixes: list[PrefixScore]
    exits: list[EarlyExit]


def early_exits(
    classifier: TextClassifier,
    texts: Sequence[str],
    labels: Sequence[str],
    thresholds: Sequence[float] = THRESHOLDS,
) -> list[EarlyExit]:
    """Return the accuracy and the share of processed tokens for each threshold.

    A text whose probabilities never reach a threshold is processed to its end.

    Raises
    ------
    ClassifierError
        As in `earliness`.
    """
    return earliness(classifier, texts, labels, thresholds).exits


def earliness(
    classifier: TextClassifier,
    texts: Sequence[str],
    labels: Sequence[str],
    thresholds: Sequence[float] = THRESHOLDS,
    shares: Sequence[float] = SHARES,
) -> Earliness:
    """Measure how accurate a classifier is before the end of a text.

    Parameters
    ----------
    classifier : TextClassifier
        One-directional single-label classifier.
    texts, labels : sequence of str
        Texts, at least one, and the true label of each.
    thresholds : sequence of float
        Probabilities at which a stream may stop.
    shares : sequence of float
        Shares of the tokens after which the predictions are scored.

    Raises
    ------
    ClassifierError
        The classifier is bidirectional, multi-label or does not have one of the labels; or there
        is no text, or not one label per text.
    """
    if not texts or len(texts) != len(labels):
        raise ClassifierError(
            f"Early exit needs at least one text and one label per text; found {len(texts)} texts "
            f"and {len(labels)} labels."
        )
    if classifier.thresholds is not None:
        raise ClassifierError(
            "Early exit is not supported for multi-label classifiers: no label ends a text.\n"
            "Call prefix_probabilities(classifier, texts) instead."
        )
    indices = {label: index for index, label in enumerate(classifier.labels)}
    if unknown := [label for label in labels if label not in indices]:
        known = ", ".join(classifier.labels[:20])
        raise ClassifierError(f"The classifier has no label {unknown[0]!r}; it has {known}.")
    truth = np.array([indices[label] for label in labels])
    limits = np.array(thresholds)
    correct, read = np.zeros(len(limits)), np.zeros(len(limits))
    at_shares = np.empty((len(texts), len(shares), len(classifier.labels)), np.float32)
    for number, rows in enumerate(_probabilities_by_token(classifier, texts)):
        at_shares[number] = rows[_last_tokens(shares, len(rows))]
        reached = rows.max(axis=1)[:, None] >= limits  # (T, thresholds)
        stop = np.where(reached.any(axis=0), reached.argmax(axis=0), len(rows) - 1)
        correct += rows.argmax(axis=1)[stop] == truth[number]
        read += (stop + 1) / len(rows)
    exits = [
        EarlyExit(float(limit), float(hits / len(texts)), float(share / len(texts)))
        for limit, hits, share in zip(limits, correct, read, strict=True)
    ]
    scores = [_prefix_score(s, at_shares[:, column], truth) for column, s in enumerate(shares)]
    return Earliness(scores, exits)


def prefix_probabilities(
    classifier: TextClassifier, texts: Sequence[str], shares: Sequence[float] = SHARES
) -> NDArray[np.float32]:
    """Return the probabilities after `shares` of the tokens of n texts, (n, shares, C).

    Shares are rounded up to whole tokens.

    Raises
    ------
    ClassifierError
        The classifier is bidirectional.
    """
    at_shares = np.empty((len(texts), len(shares), len(classifier.labels)), np.float32)
    for number, rows in enumerate(_probabilities_by_token(classifier, texts)):
        at_shares[number] = rows[_last_tokens(shares, len(rows))]
    return at_shares


def _probabilities_by_token(
    classifier: TextClassifier, texts: Sequence[str]
) -> Iterator[NDArray[np.float32]]:
    """Yield for each text the probabilities (T, C) after each of its T tokens."""
    stream = classifier.stream()
    for text in texts:
        stream.reset()
        yield np.concatenate([stream.read(text), stream.finish()])


def _last_tokens(shares: Sequence[float], length: int) -> NDArray[np.int64]:
    """Return the index of the last token of each share of a text, int64 (shares,)."""
    return np.ceil(np.multiply(shares, length) - 1e-9).astype(np.int64) - 1


def _prefix_score(
    share: float, probabilities: NDArray[np.float32], truth: NDArray[np.int64]
) -> PrefixScore:
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == truth
    of_truth = probabilities[np.arange(len(truth)), truth]
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = [abs(float((confidence - correct)[bins == b].sum())) for b in range(BINS)]
    return PrefixScore(
        share=share,
        accuracy=float(correct.mean()),
        loss=float(-np.log(np.maximum(of_truth, np.finfo(np.float32).tiny)).mean()),
        confidence=float(confidence.mean()),
        calibration_error=sum(gaps) / len(truth),
    )


def choose_exit_threshold(curve: Sequence[EarlyExit], loss: float = 0.01) -> float:
    """Choose the threshold that processes the fewest tokens at nearly the best accuracy.

    Parameters
    ----------
    curve : sequence of EarlyExit
        Result of `early_exits`, at least one point.
    loss : float, default 0.01
        How far the accuracy may be below the best one on the curve.

    Raises
    ------
    ClassifierError
        The curve is empty.
    """
    if not curve:
        raise ClassifierError("The curve is empty. Pass at least one point of early_exits().")
    best = max(point.accuracy for point in curve)
    allowed = [point for point in curve if point.accuracy >= best - loss - 1e-12]
    return min(allowed, key=lambda point: (point.tokens_read, point.threshold)).threshold
