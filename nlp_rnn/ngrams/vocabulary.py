"""The features of a section: keys, inverse document frequencies, and quantized weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.ngrams.section import Section

__all__ = ["HashedSection", "Vocabulary", "Weights", "sorted_unique", "sum_rows"]

STEP = 1 << 16
"""Rows that are summed at once, so that memory stays small for long texts."""


@dataclass(frozen=True)
class Vocabulary:
    """Sorted keys uint32 (F,) of F n-grams and their inverse document frequencies float16 (F,)."""

    keys: NDArray[np.uint32]
    idf: NDArray[np.float16]

    def find(self, keys: NDArray[np.uint32]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """Return the position of each key, and whether the vocabulary has it."""
        if not len(self.keys):
            return np.zeros(len(keys), np.intp), np.zeros(len(keys), bool)
        positions = self.keys.searchsorted(keys)
        np.minimum(positions, len(self.keys) - 1, out=positions)
        return positions, self.keys[positions] == keys


@dataclass(frozen=True)
class Weights:
    """Weights (F, C) in 8 bits, with one scale for each feature.

    Attributes
    ----------
    values : int8 array of shape (F, C)
        The weights divided by the scale of their feature.
    scales : float16 array of shape (F,)
        The scale of each feature: its largest absolute weight divided by 127.
    """

    values: NDArray[np.int8]
    scales: NDArray[np.float16]

    @classmethod
    def of(cls, weights: NDArray[np.float64]) -> "Weights":
        """Round weights (F, C) to 8 bits each."""
        largest = np.abs(weights).max(axis=1, initial=0.0)
        scales = np.maximum(largest / 127, np.finfo(np.float16).tiny).astype(np.float16)
        # the scale is rounded too, so the largest value may have to be clipped
        values = np.clip(np.rint(weights / scales.astype(np.float64)[:, None]), -127, 127)
        return cls(values.astype(np.int8), scales)

    def rows(self, positions: NDArray[np.intp]) -> NDArray[np.float32]:
        """Return the weights of the features at `positions` (k,), float32 (k, C)."""
        rows: NDArray[np.float32] = self.values[positions].astype(np.float32)
        rows *= self.scales[positions].astype(np.float32)[:, None]
        return rows

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays that are saved, by name."""
        return {"weights": self.values, "scales": self.scales}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "Weights":
        """Return the weights that `arrays` was called on."""
        return cls(arrays["weights"], arrays["scales"])


class HashedSection(Section):
    """Weights of hashed n-grams.

    Parameters
    ----------
    vocabulary : Vocabulary
    weights : Weights
        Weights (F, C), already multiplied by the inverse document frequencies.
    separator : str, optional
        Token between the parts of texts that are pairs.
    """

    def __init__(self, vocabulary: Vocabulary, weights: Weights, separator: str | None) -> None:
        self._vocabulary, self._weights = vocabulary, weights
        self._squares = np.square(vocabulary.idf.astype(np.float32))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays that are saved, by name."""
        return {
            "keys": self._vocabulary.keys,
            "idf": self._vocabulary.idf,
            **self._weights.arrays(),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], separator: str | None) -> Self:
        """Return the section whose `arrays` were saved."""
        vocabulary = Vocabulary(arrays["keys"], arrays["idf"])
        return cls(vocabulary, Weights.from_arrays(arrays), separator)

    @property
    def num_parameters(self) -> int:
        """The number of weights."""
        return self._weights.values.size


def sorted_unique(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the different values in ascending order; several times faster than `np.unique`."""
    ordered = np.sort(values)
    if not len(ordered):
        return ordered
    first = np.empty(len(ordered), bool)
    first[0] = True
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    return ordered[first]


def sum_rows(
    rows: Any, texts: NDArray[np.intp], positions: NDArray[np.intp], num_texts: int
) -> Any:
    """Return the sums of `rows(positions)` of each text, float32 (num_texts, columns).

    Parameters
    ----------
    rows : callable
        Returns rows float32 (k, columns) for positions (k,).
    texts : int array of shape (k,)
        The text of each position, in ascending order.
    positions : int array of shape (k,)
    num_texts : int
    """
    if num_texts == 1 and len(positions) <= STEP:
        return rows(positions).sum(axis=0, keepdims=True)
    width = rows(positions[:0]).shape[1]
    sums = np.zeros((num_texts, width), np.float32)
    for start in range(0, len(texts), STEP):
        part = texts[start : start + STEP]
        starts = np.flatnonzero(np.diff(part, prepend=-1))
        sums[part[starts]] += np.add.reduceat(rows(positions[start : start + STEP]), starts)
    return sums
