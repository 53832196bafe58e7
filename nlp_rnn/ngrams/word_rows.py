"""Scores of the words of a text, computed once for each word: sections that read word by word.

A word is what stands between white space. Each different word of a text counts once. The score of a
text is the sum over its words, divided by a norm that is a sum over the words too.
"""

import re
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.ngrams.hashing import token_hash
from nlp_rnn.ngrams.section import SectionStream
from nlp_rnn.ngrams.text_parts import parts_with_offsets, split_parts
from nlp_rnn.ngrams.vocabulary import sum_rows

__all__ = ["Word", "WordRowStream", "WordRows", "text_words", "word_matrix", "word_spans"]

CACHE_BYTES = 1 << 24
MAX_CACHED = 1 << 16
MAX_CACHED_LENGTH = 40
"""Bounds of the cache of words: its rows in bytes, its words, and characters of the longest one."""

find_words = re.compile(r"\S+").finditer  # what `str.split` returns

Word = tuple[int, str]
"""A word: the index of its part in the text, and its characters."""


def text_words(text: str, separator: str | None, lower: bool) -> list[Word]:
    """Return the different words of a text, in the order in which they first occur."""
    if separator is None:
        return [(0, word) for word in dict.fromkeys((text.lower() if lower else text).split())]
    return [
        (index, word)
        for index, part in enumerate(split_parts(text, separator))
        for word in dict.fromkeys((part.lower() if lower else part).split())
    ]


def word_spans(text: str, separator: str | None, lower: bool) -> dict[Word, list[tuple[int, int]]]:
    """Return the words of a text with the start and end of each occurrence, in characters.

    Parameters
    ----------
    text : str
    separator : str, optional
        Token between the parts of texts that are pairs.
    lower : bool
        Whether words are read in lower case.
    """
    spans: dict[Word, list[tuple[int, int]]] = {}
    for index, (part, offset) in enumerate(parts_with_offsets(text, separator)):
        for match in find_words(part.lower() if lower else part):
            span = match.start() + offset, match.end() + offset
            spans.setdefault((index, match[0]), []).append(span)
    return spans


def word_matrix(texts: Iterable[str], separator: str | None, lower: bool) -> tuple[Any, list[Word]]:
    """Return a CSR matrix (n, W) of which text has which word, and the W words."""
    from scipy.sparse import csr_matrix

    index: dict[Word, int] = {}
    rows = [
        [index.setdefault(word, len(index)) for word in text_words(text, separator, lower)]
        for text in texts
    ]
    columns = np.array([column for row in rows for column in row], np.int32)
    starts = np.cumsum([0, *map(len, rows)])
    shape = (len(rows), len(index))
    return csr_matrix((np.ones(len(columns)), columns, starts), shape=shape), list(index)


class WordRows:
    """Rows of words, with a cache; threads can share it.

    Parameters
    ----------
    compute : callable
        Returns the rows float32 (k, C + 1) of k words: their scores, and the square of their norm.
    num_labels : int
        C.
    separator : str, optional
        Token between the parts of texts that are pairs.
    lower : bool
        Whether words are read in lower case.
    """

    def __init__(
        self,
        compute: Callable[[Sequence[Word]], NDArray[np.float32]],
        num_labels: int,
        separator: str | None,
        lower: bool,
    ) -> None:
        self.num_labels, self.separator, self.lower = num_labels, separator, lower
        self._compute = compute
        width = num_labels + 1
        self._rows = np.empty((min(MAX_CACHED, CACHE_BYTES // (4 * width)), width), np.float32)
        self._cache: dict[Word, int] = {}
        self._lock = threading.Lock()

    def scores(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the scores of n texts, float32 (n, C)."""
        words = [text_words(text, self.separator, self.lower) for text in texts]
        texts_of_words = np.repeat(np.arange(len(texts)), list(map(len, words)))
        rows = self.rows([word for of_text in words for word in of_text])
        sums = sum_rows(
            lambda positions: rows[positions], texts_of_words, np.arange(len(rows)), len(texts)
        )
        norms = np.sqrt(np.where(sums[:, -1:], sums[:, -1:], 1))
        scores: NDArray[np.float32] = sums[:, :-1] / norms
        return scores

    def rows(self, words: Sequence[Word]) -> NDArray[np.float32]:
        """Return the row of each word, float32 (k, C + 1): its scores, and its squared norm."""
        find = self._cache.get
        positions = np.array([find(word, -1) for word in words], np.intp)
        rows: NDArray[np.float32] = self._rows[positions]
        missing = np.flatnonzero(positions < 0).tolist()
        if missing:
            new = {words[index]: 0 for index in missing}
            for number, word in enumerate(new):
                new[word] = number
            computed = self._compute(list(new))
            rows[missing] = computed[[new[words[index]] for index in missing]]
            self._add(list(new), computed)
        return rows

    def _add(self, words: Sequence[Word], rows: NDArray[np.float32]) -> None:
        """Add the rows of words that are not too long to the cache while there is room."""
        cache = self._cache
        with self._lock:
            for word, row in zip(words, rows, strict=True):
                if len(cache) == len(self._rows):
                    break
                if len(word[1]) <= MAX_CACHED_LENGTH and word not in cache:
                    self._rows[len(cache)] = row
                    cache[word] = len(cache)


class WordRowStream(SectionStream):
    """Scores of a text that is read word by word."""

    def __init__(self, rows: WordRows) -> None:
        super().__init__(rows.num_labels)
        self._rows = rows

    def read(self, word: str, part: int) -> None:
        """Read one more word of a part of the text."""
        word = word.lower() if self._rows.lower else word
        # hashes, so that a saved state contains no text
        if (value := token_hash(word, part)) not in self.seen:
            self.seen.add(value)
            row = self._rows.rows([(part, word)])[0]
            self.sums += row[:-1]
            self.squares += float(row[-1])
