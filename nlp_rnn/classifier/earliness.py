"""A one-direction classifier and labelled texts become how early it can stop, and how right it is.

For the threshold of `TextClassifier.stream`: choose it on validation texts, never on test texts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nlp_rnn.classifier.predictor import TextClassifier
from nlp_rnn.errors import ClassifierError

__all__ = ["EarlyExit", "choose_threshold", "early_exits"]

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.97, 0.99, 0.995, 0.999, 1.0)


@dataclass(frozen=True)
class EarlyExit:
    """What a threshold costs and saves.

    `accuracy` is the share of texts whose label was right when reading stopped, and
    `tokens_read` the mean share of a text's tokens that had been read by then.
    """

    threshold: float
    accuracy: float
    tokens_read: float


def early_exits(
    classifier: TextClassifier,
    texts: Sequence[str],
    labels: Sequence[str],
    thresholds: Sequence[float] = THRESHOLDS,
) -> list[EarlyExit]:
    """The earliness–accuracy curve: one point a threshold, in their order.

    A text whose probabilities never reach a threshold is read to its end.

    Raises:
        ClassifierError: the network reads from both ends; no text; not one label a text.
    """
    if not texts or len(texts) != len(labels):
        raise ClassifierError(
            f"An early exit needs one label a text and at least one text; found {len(texts)} "
            f"texts and {len(labels)} labels."
        )
    limits = np.array(thresholds)
    right, read = np.zeros(len(limits)), np.zeros(len(limits))
    stream = classifier.stream()
    for text, label in zip(texts, labels, strict=True):
        stream.reset()
        rows = np.concatenate([stream.read(text), stream.finish()])  # (T, C)
        reached = rows.max(axis=1)[:, None] >= limits  # (T, thresholds)
        stop = np.where(reached.any(axis=0), reached.argmax(axis=0), len(rows) - 1)
        said = rows.argmax(axis=1)[stop]
        right += [classifier.labels[place] == label for place in said]
        read += (stop + 1) / len(rows)
    return [
        EarlyExit(float(limit), float(hits / len(texts)), float(share / len(texts)))
        for limit, hits, share in zip(limits, right, read, strict=True)
    ]


def choose_threshold(curve: Sequence[EarlyExit], loss: float = 0.01) -> float:
    """The threshold that reads least and is at most `loss` less accurate than the most accurate.

    Raises:
        ClassifierError: the curve has no point.
    """
    if not curve:
        raise ClassifierError("A threshold is chosen from at least one.")
    best = max(point.accuracy for point in curve)
    allowed = [point for point in curve if point.accuracy >= best - loss - 1e-12]
    return min(allowed, key=lambda point: (point.tokens_read, point.threshold)).threshold
