"""A saved classifier and labelled texts become how long it remembers, and what a part is worth."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.classifier.batched_network import BatchedNetwork, usable_threads
from nlp_rnn.classifier.classifier_folder import SavedClassifier, read_classifier
from nlp_rnn.classifier.location import local_folder
from nlp_rnn.classifier.runtime import start_runtime
from nlp_rnn.classifier.weights import unpack_weights
from nlp_rnn.errors import ClassifierError
from nlp_rnn.inspection.gates import half_lives, trace
from nlp_rnn.tokens.tokenizer import encode

__all__ = ["Remembered", "mean_half_lives", "remember", "shown_accuracies"]

SHOWN = (1, 3, 10, 30, 100, 300)
"""Tokens that are shown of a text, from its beginning or its end."""

TRACED = 20
"""Texts whose gates are averaged; they are computed step by step, in numpy."""


@dataclass(frozen=True)
class Remembered:
    """What one classifier keeps of texts.

    Attributes:
        half_lives: tokens, by layer and direction; empty without gates that keep.
        first, last: share of right answers when so many tokens are shown, the first or the last.
        whole: share of right answers to the whole texts, as the tokenizer cuts them.
        texts: how many were answered.
        traced: over how many of them half-lives are averaged.
    """

    half_lives: dict[str, float]
    first: dict[int, float]
    last: dict[int, float]
    whole: float
    texts: int
    traced: int


def remember(
    location: str | os.PathLike[str], texts: Sequence[str], labels: Sequence[str]
) -> Remembered:
    """Ask the classifier at `location`, a folder or a URI, about `texts` and their true labels.

    Raises:
        ClassifierError: there is no classifier, or it does not know one of the labels.
    """
    with local_folder(location) as folder:
        saved = read_classifier(folder)
    some = [texts[i] for i in np.unique(np.linspace(0, len(texts) - 1, TRACED).astype(int))]
    first, last, whole = shown_accuracies(saved, texts, labels)
    return Remembered(mean_half_lives(saved, some), first, last, whole, len(texts), len(some))


def mean_half_lives(saved: SavedClassifier, texts: Sequence[str]) -> dict[str, float]:
    """By layer and direction, the median half-life of its units in tokens, averaged over `texts`.

    The mean is geometric: half-lives differ by orders of magnitude. Empty for a network without
    gates that keep.
    """
    weights = unpack_weights(saved.weights)
    found: dict[str, list[float]] = {}
    for ids in encode(saved.tokenizer, texts):
        for layer in trace(saved.architecture, weights, np.array(ids, dtype=np.int64)):
            lives: Any = half_lives(layer)
            if lives is not None:
                found.setdefault(layer.name, []).append(float(np.log(np.median(lives))))
    return {name: float(np.exp(np.mean(values))) for name, values in found.items()}


def shown_accuracies(
    saved: SavedClassifier, texts: Sequence[str], labels: Sequence[str]
) -> tuple[dict[int, float], dict[int, float], float]:
    """Shares of right answers by the first and by the last tokens alone, and by all of them.

    More tokens than the longest text has are not asked for; a text that is shorter is shown whole.
    The classifier has not learnt to read parts unless it was trained with `trainer.prefixes`.

    Raises:
        ClassifierError: it does not know one of the labels.
    """
    unknown = sorted(set(labels) - set(saved.labels))
    if unknown:
        raise ClassifierError(f"The classifier does not know the label {unknown[0]!r}.")
    network = BatchedNetwork(start_runtime(saved, "onnx"), usable_threads(None))
    ids = encode(saved.tokenizer, texts)
    truth = np.array([saved.labels.index(label) for label in labels])

    def right(parts: list[list[int]]) -> float:
        answers: NDArray[np.int64] = network.probabilities(parts).argmax(axis=1)
        return float((answers == truth).mean())

    counts = [count for count in SHOWN if count < max(map(len, ids))]
    return (
        {count: right([row[:count] for row in ids]) for count in counts},
        {count: right([row[-count:] for row in ids]) for count in counts},
        right(ids),
    )
