"""N-gram table: the merged weights of linear models, whose scores need only numpy."""

import json
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.errors import ClassifierError
from nlp_rnn.ngrams.character_ngrams import CharacterSection
from nlp_rnn.ngrams.section import Contribution, Section
from nlp_rnn.ngrams.vector_features import VectorSection
from nlp_rnn.ngrams.word_ngrams import WordSection, find_tokens

__all__ = ["SECTIONS", "NgramTable"]

SECTIONS: dict[str, type[Section]] = {
    section.name: section for section in (WordSection, CharacterSection, VectorSection)
}
"""Kinds of sections by the name with which they are saved."""

BLOCK_CHARACTERS = 1 << 17
"""Characters of the texts whose n-grams are computed at once."""

MAX_HEADER_BYTES = 1 << 20

TYPES = {"U32": "<u4", "U8": "|u1", "I8": "|i1", "F16": "<f2", "F32": "<f4"}
"""numpy's names of the types that a table is saved with, by those of safetensors."""


class NgramTable:
    """Linear models on n-grams, merged: scores of texts without torch, scikit-learn or scipy.

    Threads can share a table. The other texts of a batch change a score at most by rounding.

    Parameters
    ----------
    sections : sequence of Section
        One for each kind of features.
    bias : float array of shape (C,)
        What is added to the scores of each text.
    frequent_words : sequence of str
        Words that many training texts have, the most frequent first.
    separator : str, optional
        Token between the parts of texts that are pairs.

    Examples
    --------
    >>> from nlp_rnn.ngrams.fitting import fit_parts, merge
    >>> import numpy as np
    >>> parts = fit_parts(["good tea", "bad tea"], np.array([1, 0]), 2)
    >>> merge(parts, [1.0] * len(parts.names)).scores(["good"]).argmax()
    1
    """

    def __init__(
        self,
        sections: Sequence[Section],
        bias: NDArray[Any],
        frequent_words: Sequence[str] = (),
        separator: str | None = None,
    ) -> None:
        self.sections = tuple(sections)
        self.bias: NDArray[np.float32] = np.asarray(bias, np.float32)
        self.frequent_words = tuple(frequent_words)
        self.separator = separator

    def scores(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the scores of n texts, float32 (n, C)."""
        if not texts:
            return np.empty((0, len(self.bias)), np.float32)
        blocks = []
        for block in _blocks(texts):
            scores = np.tile(self.bias, (len(block), 1))
            for section in self.sections:
                scores += section.scores(block)
            blocks.append(scores)
        return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)

    def contributions(self, text: str) -> list[Contribution]:
        """Return what each n-gram of the text adds; with the bias, the sum is its scores."""
        return [entry for section in self.sections for entry in section.contributions(text)]

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        """Return the number of words and symbols of each text, at least 1."""
        return [max(1, len(find_tokens(text.lower()))) for text in texts]

    @property
    def num_parameters(self) -> int:
        """The number of weights and biases."""
        return sum(section.num_parameters for section in self.sections) + len(self.bias)

    def to_bytes(self) -> bytes:
        """Return the table as the bytes of a safetensors file."""
        from safetensors.numpy import save

        words = "\n".join(self.frequent_words).encode("utf-8", "surrogatepass")
        arrays: dict[str, NDArray[Any]] = {
            "bias": self.bias,
            "frequent_words": np.frombuffer(words, np.uint8),
        }
        for section in self.sections:
            for name, array in section.arrays().items():
                arrays[f"{section.name}.{name}"] = np.ascontiguousarray(array)
        data: bytes = save(arrays)
        return data

    @classmethod
    def from_bytes(cls, data: bytes, separator: str | None = None) -> "NgramTable":
        """Return the table that `to_bytes` returned, without the safetensors library.

        Parameters
        ----------
        data : bytes
            The arrays of the table are views of them.
        separator : str, optional
            Token between the parts of texts that are pairs.

        Raises
        ------
        ClassifierError
            The bytes are not those of a table.
        """
        try:
            arrays = _unpack(data)
            bias = arrays.pop("bias")
            words = arrays.pop("frequent_words").tobytes().decode("utf-8", "surrogatepass")
            groups: dict[str, dict[str, NDArray[Any]]] = {}
            for name, array in arrays.items():
                section, _, rest = name.partition(".")
                groups.setdefault(section, {})[rest] = array
            sections = [
                kind.from_arrays(groups.pop(name), separator)
                for name, kind in SECTIONS.items()
                if name in groups
            ]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ClassifierError(
                "The file of the n-gram table is damaged.\n"
                "Copy the classifier folder again from where it was trained."
            ) from error
        if groups:
            raise ClassifierError(
                f"The n-gram table has unknown features: {', '.join(sorted(groups))}.\n"
                "Install the version of nlp_rnn that wrote it."
            )
        return cls(sections, bias, words.split("\n") if words else (), separator)


def _blocks(texts: Sequence[str]) -> list[Sequence[str]]:
    """Return the texts in lists that are small enough for the memory."""
    ends = np.cumsum([len(text) for text in texts]) // BLOCK_CHARACTERS
    if not ends[-1]:
        return [texts]
    cuts = [0, *(np.flatnonzero(np.diff(ends)) + 1).tolist(), len(texts)]
    return [texts[start:end] for start, end in pairwise(cuts)]


def _unpack(data: bytes) -> dict[str, NDArray[Any]]:
    """Return the arrays in the bytes of a safetensors file, as read-only views."""
    length = int.from_bytes(data[:8], "little")
    if not 2 <= length <= min(MAX_HEADER_BYTES, len(data) - 8):
        raise ValueError("no header")
    header: dict[str, dict[str, Any]] = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    return {
        name: np.frombuffer(
            data,
            TYPES[entry["dtype"]],
            count=math.prod(entry["shape"]),
            offset=8 + length + entry["data_offsets"][0],
        ).reshape(entry["shape"])
        for name, entry in header.items()
    }
