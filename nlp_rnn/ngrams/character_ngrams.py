"""Character 2–5-grams inside the words of a text, weighted by inverse document frequency.

A word is what stands between white space, in lower case, with a blank before and behind it. Each
different word of a text counts once, so that its scores can be computed once and cached: the score
of a text is the sum over its words, divided by a norm that is a sum over the words too.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.ngrams.hashing import MULTIPLIER, code_points, window_keys
from nlp_rnn.ngrams.section import Contribution, Features
from nlp_rnn.ngrams.vocabulary import HashedSection, Vocabulary, Weights, sorted_unique, sum_rows
from nlp_rnn.ngrams.word_rows import Word, WordRows, WordRowStream, word_matrix, word_spans

__all__ = ["CharacterFeatures", "CharacterSection"]

SIZES = (2, 3, 4, 5)
"""Characters of the n-grams, the blanks around a word included."""

MIN_FREQUENCY = 2
"""An n-gram that fewer training texts have is left out."""


def ngram_keys(words: Sequence[Word]) -> tuple[NDArray[np.intp], NDArray[np.uint32]]:
    """Return the different keys of the n-grams of each word, sorted, and the word of each key."""
    windows = _windows(words)
    keys = sorted_unique(np.concatenate([word << np.uint64(32) | key for word, key, _ in windows]))
    return (keys >> np.uint64(32)).astype(np.intp), keys.astype(np.uint32)


def _windows(
    words: Sequence[Word],
) -> list[tuple[NDArray[np.uint64], NDArray[np.uint32], NDArray[np.intp]]]:
    """Return for each size: the word, the key and the start of each window in the joined words."""
    characters = code_points([f" {word} " for _, word in words])
    lengths = np.array([len(word) + 2 for _, word in words], np.intp)
    word = np.repeat(np.arange(len(words), dtype=np.uint64), lengths)
    part = np.repeat(np.array([part for part, _ in words], np.uint64), lengths)
    hashes, windows = characters, []
    for size in range(2, SIZES[-1] + 1):
        hashes = hashes[:-1] * MULTIPLIER + characters[size - 1 :]
        if size in SIZES:
            start = np.flatnonzero(word[: len(hashes)] == word[size - 1 :])
            keys = window_keys(hashes[start], size, part[start])
            windows.append((word[start], keys, start))
    return windows


class CharacterSection(HashedSection):
    """Weights of character 2–5-grams; threads can share it."""

    name = "characters"

    def __init__(self, vocabulary: Vocabulary, weights: Weights, separator: str | None) -> None:
        super().__init__(vocabulary, weights, separator)
        self._rows = WordRows(self._compute, weights.values.shape[1], separator, lower=True)

    def scores(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the scores of n texts, float32 (n, C), without a bias."""
        return self._rows.scores(texts)

    def _compute(self, words: Sequence[Word]) -> NDArray[np.float32]:
        owners, keys = ngram_keys(words)
        positions, known = self._vocabulary.find(keys)
        owners, positions = owners[known], positions[known]
        squares = np.bincount(owners, self._squares[positions], len(words))
        sums = sum_rows(self._weights.rows, owners, positions, len(words))
        return np.column_stack([sums, squares.astype(np.float32)])

    def contributions(self, text: str) -> list[Contribution]:
        """Return what each n-gram of the text adds; the sum is `scores([text])[0]`."""
        starts = {
            word: [start for start, _ in spans]
            for word, spans in word_spans(text, self._rows.separator, lower=True).items()
        }
        words = list(starts)
        if not words:
            return []
        norm = np.sqrt(self._rows.rows(words)[:, -1].sum()) or 1.0
        lengths = [len(word) + 2 for _, word in words]
        begins = np.cumsum([0, *lengths]).tolist()
        joined = "".join(f" {word} " for _, word in words)
        # a key counts once in each word
        counted: dict[tuple[int, int], tuple[str, int]] = {}
        for (owners, keys, positions), size in zip(_windows(words), SIZES, strict=True):
            for owner, key, position in zip(
                owners.tolist(), keys.tolist(), positions.tolist(), strict=True
            ):
                ngram = joined[position : position + size]
                counted.setdefault((owner, key), (ngram, position - begins[owner] - 1))
        every = np.array([key for _, key in counted], np.uint32)
        positions, known = self._vocabulary.find(every)
        rows = self._weights.rows(positions[known]) / norm
        kept = [entry for entry, there in zip(counted.items(), known, strict=True) if there]
        return [
            Contribution(
                ngram,
                row,
                [
                    (start + max(shift, 0), start + min(shift + len(ngram), lengths[owner] - 2))
                    for start in starts[words[owner]]
                ],
            )
            for ((owner, _), (ngram, shift)), row in zip(kept, rows, strict=True)
        ]

    def start(self) -> WordRowStream:
        """Return the state of a text of which nothing has been read."""
        return WordRowStream(self._rows)


class CharacterFeatures(Features):
    """Matrix of character 2–5-grams for a solver.

    The matrix is the product of two: which text has which word, and which word has which n-gram.

    Parameters
    ----------
    separator : str, optional
        Token between the parts of texts that are pairs.
    """

    def __init__(self, separator: str | None = None) -> None:
        self._separator = separator

    def fit(self, texts: Sequence[str], max_features: int) -> Any:
        """Choose the most frequent n-grams of the training texts; return a CSR matrix (n, F)."""
        from nlp_rnn.ngrams.selection import select

        texts_words, words = word_matrix(texts, self._separator, lower=True)
        owners, keys = (
            ngram_keys(words) if words else (np.empty(0, np.intp), np.empty(0, np.uint32))
        )
        unique, columns = np.unique(keys, return_inverse=True)
        # the frequency of its words is at least that of an n-gram, and much faster to count
        bound = np.bincount(columns, texts_words.getnnz(axis=0)[owners], len(unique))
        kept = bound >= MIN_FREQUENCY
        unique = unique[kept]
        frequent = kept[columns]
        columns = (np.cumsum(kept) - 1)[columns[frequent]]
        counts = texts_words @ _ones(owners[frequent], columns, (len(words), len(unique)))
        frequencies = counts.getnnz(axis=0)
        kept = frequencies >= MIN_FREQUENCY
        self.vocabulary = select(unique[kept], frequencies[kept], len(texts), max_features)
        columns = unique.searchsorted(self.vocabulary.keys)
        return self._scaled(texts_words, counts[:, columns], owners, keys)

    def transform(self, texts: Sequence[str]) -> Any:
        """Return a CSR matrix (n, F) of other texts."""
        texts_words, words = word_matrix(texts, self._separator, lower=True)
        if not words:
            return _ones([], [], (len(texts), len(self.vocabulary.keys)))
        owners, keys = ngram_keys(words)
        positions, known = self.vocabulary.find(keys)
        shape = (len(words), len(self.vocabulary.keys))
        counts = texts_words @ _ones(owners[known], positions[known], shape)
        return self._scaled(texts_words, counts, owners, keys)

    def _scaled(
        self, texts_words: Any, counts: Any, owners: NDArray[np.intp], keys: NDArray[np.uint32]
    ) -> Any:
        """Scale `counts` (n, F), of the words with each n-gram, by idf and the norms of texts."""
        positions, known = self.vocabulary.find(keys)
        idf = self.vocabulary.idf.astype(np.float64)
        squares = np.bincount(owners[known], idf[positions[known]] ** 2, texts_words.shape[1])
        norms = np.sqrt(texts_words @ squares)
        counts.data *= idf[counts.indices]
        counts.data /= np.repeat(norms, np.diff(counts.indptr))
        return counts

    def section(self, weights: NDArray[np.float64]) -> CharacterSection:
        """Return the section whose scores are `transform(texts) @ weights`, rounded to 8 bits."""
        idf = self.vocabulary.idf.astype(np.float64)
        return CharacterSection(
            self.vocabulary, Weights.of(weights * idf[:, None]), self._separator
        )


def _ones(rows: Any, columns: Any, shape: tuple[int, int]) -> Any:
    """Return a CSR matrix of ones; `rows` are in ascending order, and so are columns of a row."""
    from scipy.sparse import csr_matrix

    starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=shape[0]))])
    return csr_matrix((np.ones(len(columns)), np.asarray(columns, np.int32), starts), shape=shape)
