"""Static vectors of tokens: features that a linear model can use before it has seen a word.

The vector of a text is the sum of the weighted vectors of its words' tokens, divided by the norm of
the weights. Each different word of a text counts once. A linear model on such vectors is a sum over
the tokens too, so the saved section can hold the scores of every token instead of its vector.
"""

import zlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.ngrams.section import Contribution, Features, Section
from nlp_rnn.ngrams.vocabulary import Weights, sum_rows
from nlp_rnn.ngrams.word_rows import (
    Word,
    WordRows,
    WordRowStream,
    text_words,
    word_matrix,
    word_spans,
)
from nlp_rnn.tokens.word_tokens import WordTokens

if TYPE_CHECKING:
    from nlp_rnn.tokens.static_vectors import StaticVectors

__all__ = ["VectorFeatures", "VectorSection"]


class VectorSection(Section):
    """Scores of static vectors; threads can share it.

    V is the number of tokens, R that of different vectors, P that of the parts of a text.

    Parameters
    ----------
    tokenizer_json : str
        The tokenizer.
    mapping : int array of shape (V,)
        The row of each token.
    token_weights : float16 array of shape (V,)
        The weight of each token.
    rows : Weights
        (R, P · C): the scores of each vector for each part; or, with a `projection`, (R, D): the
        vectors.
    projection : float32 array of shape (P, D, C), or of shape (P, 0, C)
        Weights of the dimensions; empty if `rows` are scores.
    separator : str, optional
        Token between the parts of texts that are pairs.
    """

    name = "vectors"

    def __init__(
        self,
        tokenizer_json: str,
        mapping: NDArray[Any],
        token_weights: NDArray[np.float16],
        rows: Weights,
        projection: NDArray[np.float32],
        separator: str | None,
    ) -> None:
        self._tokenizer_json, self._tokens = tokenizer_json, WordTokens(tokenizer_json)
        self._mapping, self._token_weights = mapping, token_weights
        self._weights, self._projection = rows, projection
        self._rows = WordRows(self._compute, projection.shape[2], separator, lower=False)

    def scores(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the scores of n texts, float32 (n, C), without a bias."""
        return self._rows.scores(texts)

    def _compute(self, words: Sequence[Word]) -> NDArray[np.float32]:
        """Return the sum of the scores of each word's tokens, and of their squared weights."""
        num_parts, _, num_labels = self._projection.shape
        ids = self._tokens.ids([word for _, word in words])
        owners = np.repeat(np.arange(len(words)), list(map(len, ids)))
        tokens = np.array([token for of_word in ids for token in of_word], np.intp)
        weights = self._token_weights[tokens].astype(np.float32)
        positions = self._mapping[tokens].astype(np.intp)

        def weighted(indices: NDArray[np.intp]) -> NDArray[np.float32]:
            rows: NDArray[np.float32] = self._weights.rows(positions[indices])
            rows *= weights[indices, None]
            return rows

        sums = sum_rows(weighted, owners, np.arange(len(tokens)), len(words))
        result = np.zeros((len(words), num_labels + 1), np.float32)
        result[:, -1] = np.bincount(owners, weights**2, len(words))
        parts = np.array([part for part, _ in words], np.intp)
        for part in range(num_parts):
            chosen = parts == part
            if self._projection.shape[1]:
                result[chosen, :-1] = sums[chosen] @ self._projection[part]
            else:
                result[chosen, :-1] = sums[chosen, part * num_labels : (part + 1) * num_labels]
        return result

    def contributions(self, text: str) -> list[Contribution]:
        """Return what each word of the text adds; the sum is `scores([text])[0]`."""
        spans = word_spans(text, self._rows.separator, lower=False)
        rows = self._rows.rows(list(spans))
        norm = np.sqrt(rows[:, -1].sum()) or 1.0
        return [
            Contribution(f"{word[1]} (vector)", row[:-1] / norm, spans[word])
            for word, row in zip(spans, rows, strict=True)
            if row[-1]
        ]

    def start(self) -> WordRowStream:
        """Return the state of a text of which nothing has been read."""
        return WordRowStream(self._rows)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays that are saved, by name."""
        tokenizer = zlib.compress(self._tokenizer_json.encode(), 9)
        return {
            "tokenizer": np.frombuffer(tokenizer, np.uint8),
            "mapping": self._mapping,
            "token_weights": self._token_weights,
            **self._weights.arrays(),
            "projection": self._projection,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], separator: str | None) -> Self:
        """Return the section whose `arrays` were saved."""
        try:
            tokenizer_json = zlib.decompress(arrays["tokenizer"].tobytes()).decode()
        except zlib.error as error:
            raise ValueError("no tokenizer") from error
        return cls(
            tokenizer_json,
            arrays["mapping"],
            arrays["token_weights"],
            Weights.from_arrays(arrays),
            arrays["projection"],
            separator,
        )

    @property
    def num_parameters(self) -> int:
        """The number of weights."""
        return self._weights.values.size + self._token_weights.size + self._projection.size


class VectorFeatures(Features):
    """Matrix of static vectors for a solver.

    Parameters
    ----------
    vectors : StaticVectors
        The static embedding model.
    separator : str, optional
        Token between the parts of texts that are pairs. Each part has dimensions of its own.
    """

    def __init__(self, vectors: "StaticVectors", separator: str | None = None) -> None:
        self._vectors, self._separator = vectors, separator
        self._tokens = WordTokens(vectors.tokenizer_json)
        # as they are saved
        self._token_weights = vectors.weights.astype(np.float16)
        self._num_parts = 1

    def fit(self, texts: Sequence[str], max_features: int) -> NDArray[np.float64]:
        """Count the parts of the training texts; return their vectors (n, P · D)."""
        del max_features  # the dimensions are those of the vectors
        if self._separator is not None:
            parts = (part for text in texts for part, _ in text_words(text, self._separator, False))
            self._num_parts = 1 + max(parts, default=0)
        return self.transform(texts)

    def transform(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the vectors of texts, float64 (n, P · D)."""
        from scipy.sparse import csr_matrix

        texts_words, words = word_matrix(texts, self._separator, lower=False)
        ids = self._tokens.ids([word for _, word in words])
        tokens = np.array([token for of_word in ids for token in of_word], np.intp)
        starts = np.cumsum([0, *map(len, ids)])
        weights = self._token_weights.astype(np.float64)
        shape = (len(words), len(weights))
        words_tokens = csr_matrix((weights[tokens], tokens, starts), shape=shape)
        squares = np.bincount(
            np.repeat(np.arange(len(words)), np.diff(starts)), weights[tokens] ** 2, len(words)
        )
        norms = np.sqrt(texts_words @ squares)
        rows = self._vectors.rows[self._vectors.mapping]  # (V, D)
        parts = np.array([part for part, _ in words], np.intp)
        blocks = [
            texts_words[:, parts == part] @ (words_tokens[parts == part] @ rows)
            for part in range(self._num_parts)
        ]
        matrix: NDArray[np.float64] = np.concatenate(blocks, axis=1)
        matrix /= np.where(norms, norms, 1)[:, None]
        return matrix

    def section(self, weights: NDArray[np.float64]) -> VectorSection:
        """Return the section whose scores are `transform(texts) @ weights`, rounded to 8 bits."""
        vectors, num_labels = self._vectors, weights.shape[1]
        projection = weights.reshape(self._num_parts, vectors.size, num_labels)
        if self._num_parts * num_labels <= vectors.size:
            rows = np.concatenate([vectors.rows @ part for part in projection], axis=1)
            projection = projection[:, :0]
        else:
            rows = vectors.rows.astype(np.float64)
        return VectorSection(
            vectors.tokenizer_json,
            vectors.mapping.astype(np.uint32),
            self._token_weights,
            Weights.of(rows),
            projection.astype(np.float32),
            self._separator,
        )
