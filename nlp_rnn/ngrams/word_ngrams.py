"""Word 1–2-grams: each counts once per text, weighted by inverse document frequency, unit length.

A word is a run of letters and digits, or one symbol such as an emoji or a question mark. Characters
of scripts that are written without spaces are words of their own.
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.ngrams.hashing import bigram_keys, token_hash, token_keys
from nlp_rnn.ngrams.section import Contribution, Features, SectionStream
from nlp_rnn.ngrams.text_parts import parts_with_offsets, split_parts
from nlp_rnn.ngrams.vocabulary import HashedSection, Vocabulary, Weights, sorted_unique, sum_rows

__all__ = ["WordFeatures", "WordSection", "find_tokens"]

UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\U00020000-\U0003ffff"
)
"""Thai, Lao, Burmese, Khmer, kana and Han characters, as ranges of a regular expression."""

TOKEN = rf"[{UNSPACED}]|[^\W{UNSPACED}]+|[^\w\s\ufe00-\ufe0f]"

MAX_CACHED = 1 << 16
"""Tokens whose hashes are cached."""

find_tokens, token_matches = re.compile(TOKEN).findall, re.compile(TOKEN).finditer


class WordHashes:
    """Hashes of the tokens of texts, with a cache; threads can share it."""

    def __init__(self, separator: str | None) -> None:
        self.separator = separator
        self._cache: dict[str, int] = {}

    def read(self, text: str) -> list[tuple[list[str], list[int]]]:
        """Return the tokens and their hashes, for each part of a text."""
        return [
            (tokens := find_tokens(part.lower()), self.hashes(tokens, index))
            for index, part in enumerate(split_parts(text, self.separator))
        ]

    def hashes(self, tokens: list[str], part: int) -> list[int]:
        """Return the hashes of tokens in one part of a text."""
        if part:
            return [token_hash(token, part) for token in tokens]
        cache = self._cache
        try:
            return [cache[token] for token in tokens]
        except KeyError:
            hashes = {token: token_hash(token) for token in tokens if token not in cache}
            known = [hashes[token] if token in hashes else cache[token] for token in tokens]
            if len(cache) < MAX_CACHED:
                cache.update(hashes)
            return known

    def keys(self, texts: Sequence[str]) -> tuple[NDArray[np.intp], NDArray[np.uint32]]:
        """Return the different keys of each text, sorted, and the text of each key."""
        parts = [(row, hashes) for row, text in enumerate(texts) for _, hashes in self.read(text)]
        lengths = np.array([len(hashes) for _, hashes in parts])
        hashes = np.array([value for _, values in parts for value in values], np.uint64)
        part = np.repeat(np.arange(len(parts)), lengths)
        rows = np.array([row for row, _ in parts], np.uint64)[part]
        inside = part[1:] == part[:-1]
        keys = np.concatenate(
            [token_keys(hashes), bigram_keys(hashes[:-1], hashes[1:])[inside]]
        ).astype(np.uint64)
        keys |= np.concatenate([rows, rows[:-1][inside]]) << np.uint64(32)
        keys = sorted_unique(keys)
        return (keys >> np.uint64(32)).astype(np.intp), keys.astype(np.uint32)


class WordSection(HashedSection):
    """Weights of word 1–2-grams."""

    name = "words"

    def __init__(self, vocabulary: Vocabulary, weights: Weights, separator: str | None) -> None:
        super().__init__(vocabulary, weights, separator)
        self._hashes = WordHashes(separator)

    def scores(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the scores of n texts, float32 (n, C), without a bias."""
        rows, keys = self._hashes.keys(texts)
        positions, known = self._vocabulary.find(keys)
        rows, positions = rows[known], positions[known]
        squares = np.bincount(rows, self._squares[positions], len(texts))
        sums = sum_rows(self._weights.rows, rows, positions, len(texts))
        scores: NDArray[np.float32] = (
            sums / np.sqrt(np.where(squares, squares, 1)).astype(np.float32)[:, None]
        )
        return scores

    def contributions(self, text: str) -> list[Contribution]:
        """Return what each n-gram of the text adds; the sum is `scores([text])[0]`."""
        spans: dict[int, list[tuple[int, int]]] = {}
        names: dict[int, str] = {}
        parts = parts_with_offsets(text, self._hashes.separator)
        for index, (part, offset) in enumerate(parts):
            matches = list(token_matches(part.lower()))
            array = np.array(self._hashes.hashes([m[0] for m in matches], index), np.uint64)
            ends = [(match.start() + offset, match.end() + offset) for match in matches]
            for match, span, key in zip(matches, ends, token_keys(array).tolist(), strict=True):
                names[key] = match[0]
                spans.setdefault(key, []).append(span)
            pairs = bigram_keys(array[:-1], array[1:]).tolist()
            for (one, two), (a, b), key in zip(
                pairwise(matches), pairwise(ends), pairs, strict=True
            ):
                names[key] = f"{one[0]} {two[0]}"
                spans.setdefault(key, []).append((a[0], b[1]))
        keys = np.array(sorted(names), np.uint32)
        positions, known = self._vocabulary.find(keys)
        positions = positions[known]
        norm = np.sqrt(self._squares[positions].sum())
        return [
            Contribution(names[key], row / norm, spans[key])
            for key, row in zip(keys[known].tolist(), self._weights.rows(positions), strict=True)
        ]

    def start(self) -> "WordStream":
        """Return the state of a text of which nothing has been read."""
        return WordStream(self._vocabulary, self._weights, self._squares, self._hashes)


class WordStream(SectionStream):
    """Scores of the word 1–2-grams of a text that is read word by word."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        weights: Weights,
        squares: NDArray[np.float32],
        hashes: WordHashes,
    ) -> None:
        super().__init__(weights.values.shape[1])
        self._vocabulary, self._weights, self._squares_of = vocabulary, weights, squares
        self._hashes = hashes
        self._last: tuple[int, int] | None = None  # part and hash of the last token

    def read(self, word: str, part: int) -> None:
        """Read one more word of a part of the text."""
        values = self._hashes.hashes(find_tokens(word.lower()), part)
        if not values:
            return
        follows = self._last is not None and self._last[0] == part
        last = [self._last[1]] if self._last is not None and follows else []
        hashes = np.array([*last, *values], np.uint64)
        self._last = part, values[-1]
        keys = np.concatenate(
            [token_keys(hashes[len(last) :]), bigram_keys(hashes[:-1], hashes[1:])]
        )
        positions, known = self._vocabulary.find(keys)
        new = [
            position
            for position in dict.fromkeys(positions[known].tolist())
            if position not in self.seen
        ]
        self.seen.update(new)
        rows = np.array(new, np.intp)
        self.sums += self._weights.rows(rows).sum(axis=0)
        self.squares += float(self._squares_of[rows].sum())

    def to_json(self) -> dict[str, Any]:
        """Return the state as JSON values."""
        return {**super().to_json(), "last": self._last}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a state that `to_json` returned, with as many sums."""
        super().restore(state)
        self._last = None
        if state["last"] is not None:
            part, value = map(int, state["last"])
            self._last = part, value


class WordFeatures(Features):
    """Matrix of word 1–2-grams for a solver.

    Parameters
    ----------
    separator : str, optional
        Token between the parts of texts that are pairs.
    """

    def __init__(self, separator: str | None = None) -> None:
        self._hashes = WordHashes(separator)

    def fit(self, texts: Sequence[str], max_features: int) -> Any:
        """Choose the most frequent n-grams of the training texts; return a CSR matrix (n, F)."""
        from nlp_rnn.ngrams.selection import select

        rows, keys = self._hashes.keys(texts)
        unique, frequencies = np.unique(keys, return_counts=True)
        self.vocabulary = select(unique, frequencies, len(texts), max_features)
        return self._matrix(rows, keys, len(texts))

    def transform(self, texts: Sequence[str]) -> Any:
        """Return a CSR matrix (n, F) of other texts."""
        return self._matrix(*self._hashes.keys(texts), len(texts))

    def _matrix(self, rows: NDArray[np.intp], keys: NDArray[np.uint32], num_texts: int) -> Any:
        from scipy.sparse import csr_matrix

        positions, known = self.vocabulary.find(keys)
        rows, positions = rows[known], positions[known]
        values = self.vocabulary.idf[positions].astype(np.float64)
        squares = np.bincount(rows, values**2, num_texts)
        values /= np.sqrt(squares)[rows]
        shape = (num_texts, len(self.vocabulary.keys))
        return csr_matrix((values, (rows, positions)), shape=shape)

    def section(self, weights: NDArray[np.float64]) -> WordSection:
        """Return the section whose scores are `transform(texts) @ weights`, rounded to 8 bits."""
        idf = self.vocabulary.idf.astype(np.float64)
        return WordSection(
            self.vocabulary, Weights.of(weights * idf[:, None]), self._hashes.separator
        )
