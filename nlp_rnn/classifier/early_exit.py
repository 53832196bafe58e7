"""A one-direction classifier and labelled texts become how early it can stop, and how right it is.

For the threshold of `TextClassifier.stream`: choose it on validation texts, never on test texts.
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
    """What a threshold costs and saves.

    `accuracy` is the share of texts whose label was right when reading stopped, and
    `tokens_read` the mean share of a text's tokens that had been read by then.
    """

    threshold: float
    accuracy: float
    tokens_read: float


@dataclass(frozen=True)
class PrefixScore:
    """What the answers are worth after `share` of each text's tokens, rounded up.

    `accuracy`; `loss`, mean negative log-likelihood in nats; `confidence`, the mean probability of
    the label that is answered; `calibration_error`, how far it is from the share of right answers
    among answers as probable (Guo et al. 2017, arXiv:1706.04599: ten bins, weighted by texts).
    """

    share: float
    accuracy: float
    loss: float
    confidence: float
    calibration_error: float


@dataclass(frozen=True)
class Earliness:
    """How answers get better while texts are read: after shares of them, and at thresholds."""

    prefixes: list[PrefixScore]
    exits: list[EarlyExit]


def early_exits(
    classifier: TextClassifier,
    texts: Sequence[str],
    labels: Sequence[str],
    thresholds: Sequence[float] = THRESHOLDS,
) -> list[EarlyExit]:
    """The earliness–accuracy curve: one point a threshold, in their order.

    A text whose probabilities never reach a threshold is read to its end.

    Raises:
        ClassifierError: the network reads from both ends, or gives a text several labels; no text;
            not one label a text.
    """
    return earliness(classifier, texts, labels, thresholds).exits


def earliness(
    classifier: TextClassifier,
    texts: Sequence[str],
    labels: Sequence[str],
    thresholds: Sequence[float] = THRESHOLDS,
    shares: Sequence[float] = SHARES,
) -> Earliness:
    """`early_exits`, and scores after each of `shares` of the tokens, in one reading.

    Raises:
        ClassifierError: as `early_exits`; a label that the classifier does not have.
    """
    if not texts or len(texts) != len(labels):
        raise ClassifierError(
            f"An early exit needs one label a text and at least one text; found {len(texts)} "
            f"texts and {len(labels)} labels."
        )
    if classifier.thresholds is not None:
        raise ClassifierError(
            "A text may have several labels here, so that one of them does not end the reading.\n"
            "Look at prefix_probabilities(classifier, texts)."
        )
    limits = np.array(thresholds)
    right, read = np.zeros(len(limits)), np.zeros(len(limits))
    at_shares = np.empty((len(texts), len(shares), len(classifier.labels)), np.float32)
    truth = np.empty(len(texts), np.int64)
    for number, (label, rows) in enumerate(_readings(classifier, texts, labels)):
        truth[number] = label
        at_shares[number] = rows[_places(shares, len(rows))]
        reached = rows.max(axis=1)[:, None] >= limits  # (T, thresholds)
        stop = np.where(reached.any(axis=0), reached.argmax(axis=0), len(rows) - 1)
        right += rows.argmax(axis=1)[stop] == label
        read += (stop + 1) / len(rows)
    exits = [
        EarlyExit(float(limit), float(hits / len(texts)), float(share / len(texts)))
        for limit, hits, share in zip(limits, right, read, strict=True)
    ]
    prefixes = [_scored(share, at_shares[:, k], truth) for k, share in enumerate(shares)]
    return Earliness(prefixes, exits)


def _readings(
    classifier: TextClassifier, texts: Sequence[str], labels: Sequence[str]
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Of each text the place of its label, and the probabilities (T, C) after each token."""
    stream = classifier.stream()
    place = {label: number for number, label in enumerate(classifier.labels)}
    for text, label in zip(texts, labels, strict=True):
        if label not in place:
            known = ", ".join(classifier.labels[:20])
            raise ClassifierError(f"The classifier has no label {label!r}; it has {known}.")
        stream.reset()
        yield place[label], np.concatenate([stream.read(text), stream.finish()])


def prefix_probabilities(
    classifier: TextClassifier, texts: Sequence[str], shares: Sequence[float] = SHARES
) -> NDArray[np.float32]:
    """Probabilities after `shares` of each text's tokens, rounded up: (n, shares, C).

    Raises:
        ClassifierError: the network reads from both ends.
    """
    stream = classifier.stream()
    found = np.empty((len(texts), len(shares), len(classifier.labels)), np.float32)
    for number, text in enumerate(texts):
        stream.reset()
        rows = np.concatenate([stream.read(text), stream.finish()])
        found[number] = rows[_places(shares, len(rows))]
    return found


def _places(shares: Sequence[float], length: int) -> NDArray[np.int64]:
    """The last token of each share of a text of `length` tokens, int64 (shares,)."""
    return np.ceil(np.multiply(shares, length) - 1e-9).astype(np.int64) - 1


def _scored(
    share: float, probabilities: NDArray[np.float32], truth: NDArray[np.int64]
) -> PrefixScore:
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == truth
    own = probabilities[np.arange(len(truth)), truth]
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = [abs(float((confidence - right)[bins == b].sum())) for b in range(BINS)]
    return PrefixScore(
        share=share,
        accuracy=float(right.mean()),
        loss=float(-np.log(np.maximum(own, np.finfo(np.float32).tiny)).mean()),
        confidence=float(confidence.mean()),
        calibration_error=sum(gaps) / len(truth),
    )


def choose_exit_threshold(curve: Sequence[EarlyExit], loss: float = 0.01) -> float:
    """The threshold that reads least and is at most `loss` less accurate than the most accurate.

    Raises:
        ClassifierError: the curve has no point.
    """
    if not curve:
        raise ClassifierError("A threshold is chosen from at least one.")
    best = max(point.accuracy for point in curve)
    allowed = [point for point in curve if point.accuracy >= best - loss - 1e-12]
    return min(allowed, key=lambda point: (point.tokens_read, point.threshold)).threshold
