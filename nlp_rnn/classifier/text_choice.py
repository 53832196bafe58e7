"""Choice of the texts whose labels would help most: uncertain, and different from each other.

The texts arrive in any number. The most uncertain ones are retained as candidates, from which the
texts are chosen one after the other: each time the most uncertain one, where a text counts less the
more it resembles one that was chosen before.
"""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.ngrams.word_ngrams import WordHashes

__all__ = ["Candidate", "TextChoice", "disagreement", "uncertainty"]

CANDIDATES_PER_TEXT, MIN_CANDIDATES = 10, 1000
"""Candidates for each text that is chosen, and at least."""

DIMENSIONS = 1024
"""Dimensions that the words of a text are hashed to."""

DIVERSITY = 1.0
"""Exponent of the dissimilarity of a text to those that were chosen before."""


def uncertainty(
    probabilities: NDArray[Any], thresholds: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Return how uncertain predictions are, float64 (n,) from 0 to 1.

    Parameters
    ----------
    probabilities : float array of shape (n, C)
        Probabilities of n texts.
    thresholds : float64 array of shape (C,), optional
        Multi-label only: the probability from which a text has each label.

    Returns
    -------
    float64 array of shape (n,)
        1 minus the margin between the two most probable labels. Multi-label: 1 minus the smallest
        distance of a probability to its threshold, in units of the distance that it could have.
    """
    values = np.asarray(probabilities, np.float64)
    if thresholds is not None:
        scale = np.where(values < thresholds, thresholds, np.maximum(1 - thresholds, 1e-9))
        result: NDArray[np.float64] = 1 - (np.abs(values - thresholds) / scale).min(axis=1)
        return result
    if values.shape[1] < 2:
        return np.zeros(len(values))
    highest = np.partition(values, -2, axis=1)[:, -2:]
    margins: NDArray[np.float64] = highest[:, 1] - highest[:, 0]
    return 1 - margins


def disagreement(
    first: NDArray[Any], second: NDArray[Any], multi_label: bool
) -> NDArray[np.float64]:
    """Return the disagreement of two predictions for each text, float64 (n,) from 0 to 1.

    Single-label: the total variation distance of the probabilities (n, C). Multi-label: their
    largest difference.
    """
    difference = np.abs(np.asarray(first, np.float64) - second)
    result: NDArray[np.float64]
    result = difference.max(axis=1) if multi_label else difference.sum(axis=1) / 2
    return result


@dataclass(order=True)
class Candidate:
    """A text that may be chosen.

    Attributes
    ----------
    uncertainty : float
        How much its label is expected to help.
    position : int
        Its negative position: of two texts that are equally uncertain, the first is preferred.
    text : str
        The text.
    row : object
        What the caller needs of it.
    """

    uncertainty: float
    position: int
    text: str = field(compare=False)
    row: Any = field(compare=False)


class TextChoice:
    """The most uncertain of a stream of texts, from which different ones are chosen.

    Memory depends on the number of texts that are chosen, not on that of the stream.

    Parameters
    ----------
    number : int
        How many texts to choose.
    """

    def __init__(self, number: int) -> None:
        self.number, self.seen = number, 0
        self._limit = max(MIN_CANDIDATES, CANDIDATES_PER_TEXT * number)
        self._candidates: list[Candidate] = []  # a heap, whose first one is the least uncertain

    def add(
        self, texts: Sequence[str], uncertainties: Iterable[float], rows: Iterable[Any]
    ) -> None:
        """Read more texts, with how uncertain each is, and what the caller needs of each."""
        for text, value, row in zip(texts, uncertainties, rows, strict=True):
            self.seen += 1
            candidate = Candidate(float(value), -self.seen, text, row)
            if len(self._candidates) < self._limit:
                heapq.heappush(self._candidates, candidate)
            elif candidate > self._candidates[0]:
                heapq.heapreplace(self._candidates, candidate)

    def choose(self) -> list[Candidate]:
        """Return the chosen texts, the most helpful one first; fewer if there are no more."""
        candidates = sorted(self._candidates, reverse=True)
        if not candidates:
            return []
        features = hashed_words([candidate.text for candidate in candidates])
        worth = np.array([candidate.uncertainty for candidate in candidates])
        resemblance = np.zeros(len(candidates))
        free = np.ones(len(candidates), bool)
        chosen: list[Candidate] = []
        while free.any() and len(chosen) < self.number:
            values = np.where(free, worth * (1 - resemblance) ** DIVERSITY, -1.0)
            best = int(values.argmax())
            free[best] = False
            if resemblance[best] > 1 - 1e-6:
                break  # all others are copies of texts that were chosen
            chosen.append(candidates[best])
            np.maximum(resemblance, features @ features[best], out=resemblance)
        return chosen


def hashed_words(texts: Sequence[str]) -> NDArray[np.float32]:
    """Return vectors of unit length, float32 (n, D), of the word 1–2-grams of n texts.

    The n-grams are weighted by their inverse document frequency among the texts and hashed to D
    dimensions (Weinberger et al. 2009, arXiv:0902.2206).
    """
    rows, keys = WordHashes(None).keys(texts)
    _, inverse, frequencies = np.unique(keys, return_inverse=True, return_counts=True)
    idf = np.log((1 + len(texts)) / (1 + frequencies)) + 1
    signs = np.where(keys >> np.uint32(31), 1.0, -1.0)
    vectors = np.zeros((len(texts), DIMENSIONS), np.float32)
    np.add.at(vectors, (rows, keys % DIMENSIONS), (idf[inverse] * signs).astype(np.float32))
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors /= np.where(norms > 0, norms, 1)
    return vectors
