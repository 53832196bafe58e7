"""Interface of a section: the features of one kind, and their weights in the table.

A kind of feature is one file with two classes: `Features`, which computes a matrix for a solver,
and a `Section`, which computes scores with numpy alone. docs/how-to/ngrams.md shows how to add one.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["Contribution", "Features", "Section", "SectionStream"]


@dataclass(frozen=True)
class Contribution:
    """What one n-gram of a text adds to the scores.

    Attributes
    ----------
    ngram : str
        The n-gram as it is read: in lower case.
    scores : float32 array of shape (C,)
        Its share of the score of each label.
    spans : list of (int, int)
        Where it stands in the text: start and end of each occurrence, in characters.
    """

    ngram: str
    scores: NDArray[np.float32]
    spans: list[tuple[int, int]]


class Section(ABC):
    """Features of one kind and their weights: a linear model whose scores need only numpy.

    Guarantee: the other texts of a batch change a score at most by rounding.
    """

    name: ClassVar[str]
    """Name of the section in the saved table."""

    @abstractmethod
    def scores(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the scores of n texts, float32 (n, C), without a bias."""

    @abstractmethod
    def contributions(self, text: str) -> list[Contribution]:
        """Return what each n-gram of the text adds; the sum is `scores([text])[0]`."""

    @abstractmethod
    def start(self) -> "SectionStream":
        """Return the state of a text of which nothing has been read."""

    @abstractmethod
    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays that are saved, by name."""

    @classmethod
    @abstractmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], separator: str | None) -> "Section":
        """Return the section whose `arrays` were saved."""

    @property
    @abstractmethod
    def num_parameters(self) -> int:
        """The number of weights."""


class SectionStream(ABC):
    """Scores of the features of one kind for a text that is read word by word.

    Attributes
    ----------
    sums : float64 array of shape (C,)
        Sum of the weights of the features so far; float64, so that long texts lose nothing.
    squares : float
        Square of the norm of the features so far.
    seen : set of int
        What counts once and has been counted.
    """

    def __init__(self, num_labels: int) -> None:
        self.sums = np.zeros(num_labels)
        self.squares = 0.0
        self.seen: set[int] = set()

    @abstractmethod
    def read(self, word: str, part: int) -> None:
        """Read one more word of a part of the text."""

    def scores(self) -> NDArray[np.float64]:
        """Return the scores of the text so far, float64 (C,)."""
        return self.sums / math.sqrt(self.squares) if self.squares else self.sums

    def to_json(self) -> dict[str, Any]:
        """Return the state as JSON values."""
        return {"sums": self.sums.tolist(), "squares": self.squares, "seen": list(self.seen)}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a state that `to_json` returned, with as many sums."""
        self.sums, self.squares = np.array(state["sums"], np.float64), float(state["squares"])
        self.seen = set(map(int, state["seen"]))


class Features(ABC):
    """Features of one kind for a solver: a matrix (n, F), sparse or dense."""

    @abstractmethod
    def fit(self, texts: Sequence[str], max_features: int) -> Any:
        """Choose the features by the training texts, and return their matrix (n, F)."""

    @abstractmethod
    def transform(self, texts: Sequence[str]) -> Any:
        """Return the matrix (n, F) of other texts."""

    @abstractmethod
    def section(self, weights: NDArray[np.float64]) -> Section:
        """Return the section whose scores are `transform(texts) @ weights`, rounded to 8 bits."""
