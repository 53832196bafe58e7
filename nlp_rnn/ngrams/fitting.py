"""Fit the linear models of an n-gram table, score texts that they have not seen, and merge them."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.ngrams.linear_models import LINEAR_MODELS, LinearModel
from nlp_rnn.ngrams.section import Features
from nlp_rnn.ngrams.table import NgramTable
from nlp_rnn.ngrams.word_ngrams import find_tokens

__all__ = [
    "NgramParts",
    "fit_parts",
    "fold_of_rows",
    "max_features",
    "merge",
    "out_of_fold_scores",
    "sample_rows",
]

SECTION_BYTES = 4_900_000
MIN_FEATURES = 50_000
"""Size of a section in bytes, and the number of features that it may always have."""

MAX_CHARACTERS = 30_000_000
"""Characters of the texts that models are fitted to, which takes about 100 bytes for each."""

FREQUENT_WORDS, WORD_TEXTS = 500, 2000
"""Number of frequent words that a table names, and of the texts in which they are counted."""

BLOCK_TEXTS = 2048
"""Texts whose scores are computed at once."""


@dataclass(frozen=True)
class _Part:
    """One fitted linear model: its features by name, weights (F, C) and biases (C,)."""

    section: Callable[[str | None], Features]
    weights: NDArray[np.float64]
    bias: NDArray[np.float64]


@dataclass(frozen=True)
class NgramParts:
    """Fitted linear models, before they are merged to one table.

    Attributes
    ----------
    linear_models : mapping of str to LinearModel
        What was fitted, by name.
    num_labels : int
        C.
    frequent_words : tuple of str
        Words that many training texts have, the most frequent first.
    separator : str or None
        Token between the parts of texts that are pairs.
    """

    linear_models: Mapping[str, LinearModel]
    num_labels: int
    frequent_words: tuple[str, ...]
    separator: str | None
    features: dict[Callable[[str | None], Features], Features]
    models: tuple[_Part, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the models, in the order of their scores."""
        return tuple(self.linear_models)

    def scores(self, texts: Sequence[str]) -> list[NDArray[np.float64]]:
        """Return the scores of n texts by each model: a list of float64 (n, C)."""
        blocks = [
            self._block(texts[start : start + BLOCK_TEXTS])
            for start in range(0, max(1, len(texts)), BLOCK_TEXTS)
        ]
        return [np.concatenate(scores) for scores in zip(*blocks, strict=True)]

    def _block(self, texts: Sequence[str]) -> list[NDArray[np.float64]]:
        matrices = {kind: features.transform(texts) for kind, features in self.features.items()}
        return [
            np.asarray(matrices[model.section] @ model.weights + model.bias)
            for model in self.models
        ]


def fit_parts(
    texts: Sequence[str],
    labels: NDArray[Any],
    num_labels: int,
    *,
    models: Mapping[str, LinearModel] = LINEAR_MODELS,
    separator: str | None = None,
    balanced: bool = False,
) -> NgramParts:
    """Fit all linear models to training texts.

    The result is always the same. Of more than `MAX_CHARACTERS` characters a sample is used.

    Parameters
    ----------
    texts : sequence of n str
        The training texts.
    labels : int64 (n,) or bool (n, C)
        Single-label or multi-label.
    num_labels : int
        C. A class without a training text gets the score -1 by every model.
    models : mapping of str to LinearModel
        The linear models, as `linear_models.linear_models` returns them.
    separator : str, optional
        Token between the parts of texts that are pairs.
    balanced : bool, default False
        Whether all classes have the same influence, as with `trainer.class_weight=balanced`.
    """
    rows = sample_rows(np.fromiter(map(len, texts), np.int64, len(texts)))
    if len(rows) < len(texts):
        texts, labels = [texts[row] for row in rows], labels[rows]
    all_features: dict[Callable[[str | None], Features], Features] = {}
    matrices: dict[Callable[[str | None], Features], Any] = {}
    fitted = []
    for model in models.values():
        if model.features not in all_features:
            features = all_features[model.features] = model.features(separator)
            matrices[model.features] = features.fit(texts, max_features(num_labels))
        weights, bias = model.solve(matrices[model.features], labels, num_labels, balanced)
        fitted.append(_Part(model.features, weights, bias))
    words = _frequent_words(texts)
    return NgramParts(models, num_labels, words, separator, all_features, tuple(fitted))


def out_of_fold_scores(
    texts: Sequence[str],
    labels: NDArray[Any],
    num_labels: int,
    *,
    folds: int = 5,
    models: Mapping[str, LinearModel] = LINEAR_MODELS,
    separator: str | None = None,
    balanced: bool = False,
) -> list[NDArray[np.float64]]:
    """Return the scores of each training text by models that were fitted without it.

    The only text, without which nothing can be fitted, gets the score 0.

    Parameters
    ----------
    texts, labels, num_labels, models, separator, balanced
        As in `fit_parts`.
    folds : int, default 5
        Number of parts that the texts are divided into, stratified by label if single-label.

    Returns
    -------
    list of float64 arrays of shape (n, C)
        One for each model, in their order.
    """
    fold_of_row = fold_of_rows(labels, folds)
    scores = [np.zeros((len(texts), num_labels)) for _ in models]
    for fold in range(folds):
        inside = np.flatnonzero(fold_of_row == fold).tolist()
        outside = np.flatnonzero(fold_of_row != fold).tolist()
        if not inside or not outside:
            continue
        parts = fit_parts(
            [texts[row] for row in outside],
            labels[outside],
            num_labels,
            models=models,
            separator=separator,
            balanced=balanced,
        )
        for whole, values in zip(scores, parts.scores([texts[row] for row in inside]), strict=True):
            whole[inside] = values
    return scores


def merge(
    parts: NgramParts, weights: Sequence[float], bias: NDArray[Any] | None = None
) -> NgramTable:
    """Merge the models to one table, whose scores are the weighted sum of theirs.

    The weights of the table have 8 bits each. This changes scores by less than a hundredth of the
    spread of a text's scores.

    Parameters
    ----------
    parts : NgramParts
        The fitted models.
    weights : sequence of float
        The weight of each model.
    bias : float array of shape (C,), optional
        What is added to the scores of each text.
    """
    total = np.zeros(parts.num_labels) if bias is None else np.asarray(bias, np.float64).copy()
    sums: dict[Callable[[str | None], Features], NDArray[np.float64]] = {}
    for model, weight in zip(parts.models, weights, strict=True):
        total += weight * model.bias
        sums[model.section] = sums.get(model.section, 0.0) + weight * model.weights
    sections = [parts.features[kind].section(sums[kind]) for kind in sums]
    return NgramTable(sections, total, parts.frequent_words, parts.separator)


def max_features(num_labels: int) -> int:
    """Return the number of features that a section may have."""
    return max(MIN_FEATURES, SECTION_BYTES // (8 + num_labels))


def _frequent_words(texts: Sequence[str]) -> tuple[str, ...]:
    """Return the words that are in the most training texts, the most frequent first."""
    rows = range(0, len(texts), max(1, len(texts) // WORD_TEXTS))
    counts = Counter(word for row in rows for word in set(find_tokens(texts[row].lower())))
    return tuple(sorted(counts, key=lambda word: (-counts[word], word))[:FREQUENT_WORDS])


def sample_rows(lengths: NDArray[np.int64]) -> list[int]:
    """Return the sorted rows of texts that have at most `MAX_CHARACTERS` characters together.

    Parameters
    ----------
    lengths : int64 (n,)
        Number of characters of each text.
    """
    if lengths.sum() <= MAX_CHARACTERS:
        return list(range(len(lengths)))
    order = np.random.default_rng(0).permutation(len(lengths))
    rows: list[int] = np.sort(order[np.cumsum(lengths[order]) <= MAX_CHARACTERS]).tolist()
    return rows or [int(order[0])]


def fold_of_rows(labels: NDArray[Any], folds: int) -> NDArray[np.int64]:
    """Return the fold of each text; the texts of each class are divided evenly."""
    order = np.random.default_rng(0).permutation(len(labels))
    if labels.ndim == 1:
        order = order[np.argsort(labels[order], kind="stable")]
    fold_of_row = np.empty(len(labels), np.int64)
    fold_of_row[order] = np.arange(len(labels)) % folds
    return fold_of_row
