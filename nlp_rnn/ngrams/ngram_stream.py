"""Scores of one text that arrives in parts: counts of its n-grams, updated word by word."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.ngrams.section import SectionStream
from nlp_rnn.ngrams.table import NgramTable
from nlp_rnn.sources.separator import unescape_separator

__all__ = ["NgramStream"]


class NgramStream:
    """N-gram scores of a text that is read word by word.

    Guarantee: the scores after a word are those of `NgramTable.scores` for the text up to it, but
    for rounding.

    Parameters
    ----------
    table : NgramTable
        The n-gram models.
    """

    def __init__(self, table: NgramTable) -> None:
        self._table = table
        self._sections: list[SectionStream] = [section.start() for section in table.sections]
        self._part = 0

    def read(self, word: str) -> None:
        """Read one more word: what stands between white space."""
        separator = self._table.separator
        pieces = [word] if separator is None else word.split(separator)
        for index, piece in enumerate(pieces):
            self._part += index > 0
            text = piece if separator is None else unescape_separator(piece, separator)
            if text:
                for section in self._sections:
                    section.read(text, self._part)

    def scores(self) -> NDArray[np.float32]:
        """Return the scores of the text so far, float32 (C,)."""
        scores = self._table.bias.astype(np.float64)
        for section in self._sections:
            scores += section.scores()
        return scores.astype(np.float32)

    def copy(self) -> "NgramStream":
        """Return an independent stream with the same text."""
        other = NgramStream(self._table)
        other.restore(self.to_json())
        return other

    def to_json(self) -> dict[str, Any]:
        """Return the state as JSON values, without any text."""
        return {"part": self._part, "sections": [section.to_json() for section in self._sections]}

    def restore(self, state: Any) -> None:
        """Continue from a state that `to_json` returned.

        Raises
        ------
        KeyError, TypeError, ValueError
            It is no such state.
        """
        part, states = state["part"], state["sections"]
        if type(part) is not int or part < 0 or len(states) != len(self._sections):
            raise ValueError("wrong n-gram models")
        for section, values in zip(self._sections, states, strict=True):
            numbers = [*values["sums"], values["squares"]]
            if len(numbers) != len(self._table.bias) + 1 or not all(map(math.isfinite, numbers)):
                raise ValueError("wrong n-gram scores")
            section.restore(values)
        self._part = part
