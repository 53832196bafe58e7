"""Choice of the texts whose labels would help most: uncertain, and different from each other.

The texts arrive in any number. The most uncertain ones are retained as candidates, from which the
texts are chosen as in BADGE (Ash et al. 2020, arXiv:1906.03671): one after the other, with a
probability proportional to the squared distance to those that were chosen before. The distance is
that of gradients: of what a wrong label would change in a linear model on the words of the text.
"""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.ngrams.word_ngrams import WordHashes

__all__ = ["Candidate", "TextChoice", "disagreement", "gradients", "uncertainty"]

CANDIDATES_PER_TEXT, MIN_CANDIDATES = 10, 1000
"""Candidates for each text that is chosen, and at least."""

DIMENSIONS = 1024
"""Dimensions that the words of a text are hashed to."""

SAME = 1 - 1e-6
"""Cosine similarity from which on a text is a copy of another one, up to white space and case."""


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


def gradients(
    probabilities: NDArray[Any], thresholds: NDArray[np.float64] | None = None
) -> NDArray[np.float32]:
    """Return the gradients of the loss of the predicted labels with respect to the logits, (n, C).

    Parameters
    ----------
    probabilities, thresholds
        As in `uncertainty`.
    """
    values = np.asarray(probabilities, np.float32)
    if thresholds is not None:
        return (values - (values >= thresholds)).astype(np.float32)
    predicted = np.zeros_like(values)
    predicted[np.arange(len(values)), values.argmax(axis=1)] = 1
    return values - predicted


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
    worth : float
        How much its label is expected to help.
    position : int
        Its negative position: of two texts that are equally uncertain, the first is preferred.
    text : str
        The text.
    gradient : float32 array of shape (C,)
        Its gradient by `gradients`.
    row : object
        What the caller needs of it.
    """

    worth: float
    position: int
    text: str = field(compare=False)
    gradient: NDArray[np.float32] = field(compare=False)
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
        self,
        texts: Sequence[str],
        worth: Iterable[float],
        gradients: Iterable[NDArray[np.float32]],
        rows: Iterable[Any],
    ) -> None:
        """Read more texts.

        Parameters
        ----------
        texts : sequence of n str
            The texts.
        worth : iterable of n float
            How much the label of each is expected to help.
        gradients : iterable of n float32 arrays of shape (C,)
            Their gradients.
        rows : iterable of n objects
            What the caller needs of each.
        """
        for text, value, gradient, row in zip(texts, worth, gradients, rows, strict=True):
            self.seen += 1
            candidate = Candidate(float(value), -self.seen, text, gradient, row)
            if len(self._candidates) < self._limit:
                heapq.heappush(self._candidates, candidate)
            elif candidate > self._candidates[0]:
                heapq.heapreplace(self._candidates, candidate)

    def choose(self) -> list[Candidate]:
        """Return the chosen texts, fewer if there are no more; the same for the same texts.

        The first one has the largest gradient. So the first texts of the list are a good choice
        of fewer texts too.
        """
        candidates = sorted(self._candidates, reverse=True)
        if not candidates:
            return []
        random = np.random.default_rng(0)
        words = hashed_words([candidate.text for candidate in candidates])
        slopes = np.stack([candidate.gradient for candidate in candidates]).astype(np.float32)
        # a gradient is an outer product, so products and squares are those of its two factors
        slopes /= max(float(np.abs(slopes).max()), 1e-30)  # tiny where the classifier is certain
        squares = np.maximum((slopes**2).sum(axis=1), 1e-12)
        distances = squares.astype(np.float64)
        is_left = np.ones(len(candidates), bool)
        chosen: list[int] = []
        while len(chosen) < self.number and distances.any():
            shares = distances / distances.sum()
            new = random.choice(len(shares), p=shares) if chosen else squares.argmax()
            chosen.append(int(new))
            alike = words @ words[new]
            products = (slopes @ slopes[new]) * alike
            np.minimum(distances, squares + squares[new] - 2 * products, out=distances)
            is_left &= alike <= SAME
            is_left[new] = False
            distances = np.where(is_left, np.maximum(distances, 1e-12), 0.0)
        return [candidates[index] for index in chosen]


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
