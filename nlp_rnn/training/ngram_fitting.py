"""A trained network and its texts become the same network with what their n-grams say beside it.

The recurrent path is trained as it would be alone. Then a linear support vector machine is fitted
to the n-grams of the training texts, and two factors, one for each path, to the validation split:
a text's logits are the sum of both paths', times these. Fitted together by gradients, the linear
path answers the training texts before the recurrent one has learnt to, and is worse than the
support vector machine itself on texts that are unlike them (docs/wide-path.md has the figures).
"""

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from nlp_rnn.model.architecture import Architecture
from nlp_rnn.model.network import TextNetwork
from nlp_rnn.model.ngram_path import NgramPath, ngram_rows
from nlp_rnn.tokens.batches import TokenizedTexts, length_order

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

__all__ = ["add_ngram_path", "ngram_matrix"]

MOST_TOKENS = 50_000_000
"""Tokens of train whose n-grams are read: fitting tokens and pairs takes some 55 bytes a token."""

AT_ONCE = 256  # texts


@dataclass(frozen=True)
class _Linear:
    """Scores (n, C) of n-grams: `features @ weights[columns] + bias`; weights of all others are 0.

    `columns` int64 (K,), `weights` (K, C), `bias` (C,).
    """

    columns: NDArray[np.int64]
    weights: NDArray[np.float64]
    bias: NDArray[np.float64]

    def scores(self, features: "csr_matrix") -> NDArray[np.float64]:
        found: NDArray[np.float64] = features[:, self.columns] @ self.weights + self.bias
        return found


def add_ngram_path(
    network: TextNetwork,
    train: TokenizedTexts,
    validation: TokenizedTexts,
    logits: NDArray[np.float32],
    balanced: bool,
    seed: int,
) -> NDArray[np.float32]:
    """Give a trained `network` the wide path that its architecture has room for.

    `logits` (n, C) are the network's of the `validation` texts, without n-grams; those with them
    are returned. Nothing is read of any other text. The head is multiplied by its path's factor, so
    the sum of both paths is all that is to be computed.

    With `balanced`, classes weigh alike in the linear model too, as in `trainer.class_weight`.
    """
    linear = _fit(network.architecture, train, balanced, seed)
    wide = linear.scores(ngram_matrix(network.architecture, validation))
    deep_factor, wide_factor = _likeliest_factors(validation.labels, logits, wide)
    path = NgramPath(network.architecture)
    weight, bias = (wide_factor * array for array in (linear.weights, linear.bias))
    with torch.no_grad():
        path.table.weight[torch.from_numpy(linear.columns)] = torch.from_numpy(weight).float()
        network.head.weight.mul_(deep_factor)
        network.head.bias.mul_(deep_factor).add_(torch.from_numpy(bias).to(network.head.bias))
    network.wide = path.to(network.head.weight.device).eval()
    joined: NDArray[np.float32] = (deep_factor * logits + wide_factor * wide).astype(np.float32)
    return joined


def ngram_matrix(
    architecture: Architecture, texts: TokenizedTexts, rows: NDArray[np.int64] | None = None
) -> "csr_matrix":
    """Which n-grams the texts at `rows` have, all by default, as the wide path counts them.

    float32 (n, rows of the table): in each text 1 / root of how many it has, and 0.
    """
    from scipy.sparse import csr_matrix

    rows = np.arange(len(texts)) if rows is None else rows
    places, columns = [], []
    for own in length_order(texts.lengths[rows], AT_ONCE):
        batch = texts.batch(rows[own])
        there = torch.arange(batch.input_ids.shape[1])[:, None] < torch.from_numpy(batch.lengths)
        found, counted = ngram_rows(architecture, torch.from_numpy(batch.input_ids).t(), there)
        text, gram = counted.nonzero(as_tuple=True)
        places.append(own[text.numpy()].astype(np.int32))
        columns.append(found[text, gram].numpy().astype(np.int32))
    place, column = np.concatenate(places), np.concatenate(columns)
    counts = np.bincount(place, minlength=len(rows))
    values = (1 / np.sqrt(counts[place])).astype(np.float32)
    return csr_matrix((values, (place, column)), shape=(len(rows), architecture.ngram_table_rows))


def _fit(architecture: Architecture, train: TokenizedTexts, balanced: bool, seed: int) -> _Linear:
    """One linear support vector machine a label, against all others.

    An n-gram counts times its inverse document frequency, as scikit-learn's, and a text's n-grams
    together 1 on average, so that C = 1 means what it does there.
    """
    rows = _some(train.lengths, seed)
    features = ngram_matrix(architecture, train, rows)
    frequency = features.getnnz(axis=0)
    columns = np.flatnonzero(frequency)
    features = features[:, columns]
    rarity = np.log((1 + len(rows)) / (1 + frequency[columns])) + 1
    features = features.multiply(rarity).tocsr()
    scale = np.sqrt(features.multiply(features).sum() / len(rows))
    weights, bias = _machines(
        features / scale, train.labels[rows], architecture.num_labels, balanced
    )
    return _Linear(columns, weights * (rarity / scale)[:, None], bias)


def _machines(
    features: Any, labels: NDArray[np.int64] | NDArray[np.bool_], num_labels: int, balanced: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights (K, C) and biases (C,); a label that no text has scores -1, one that all have 1."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    weights, bias = np.zeros((features.shape[1], num_labels)), np.full(num_labels, -1.0)
    machine = LinearSVC(random_state=0, class_weight="balanced" if balanced else None)
    with warnings.catch_warnings():
        # scores that one more round would change in the third digit are scores
        warnings.simplefilter("ignore", ConvergenceWarning)
        if labels.ndim == 2:
            for label in range(num_labels):
                if labels[:, label].min() != labels[:, label].max():
                    machine.fit(features, labels[:, label])
                    weights[:, label], bias[label] = machine.coef_[0], machine.intercept_[0]
                elif labels[0, label]:
                    bias[label] = 1.0
            return weights, bias
        machine.fit(features, labels)
    coefficients, intercepts = machine.coef_, machine.intercept_
    if len(coefficients) == 1:  # of two classes the second's
        coefficients = np.concatenate([-coefficients, coefficients])
        intercepts = np.concatenate([-intercepts, intercepts])
    weights[:, machine.classes_], bias[machine.classes_] = coefficients.T, intercepts
    return weights, bias


def _some(lengths: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Rows of texts drawn by the seed, rising, of no more than `MOST_TOKENS` together."""
    order = np.random.default_rng(seed).permutation(len(lengths))
    return np.sort(order[np.cumsum(lengths[order]) <= MOST_TOKENS])


def _likeliest_factors(
    labels: NDArray[np.int64] | NDArray[np.bool_],
    deep: NDArray[np.float32],
    wide: NDArray[np.float64],
) -> tuple[float, float]:
    """What the logits (n, C) of both paths are to be multiplied by for the likeliest labels.

    The likelihood of their sum has one maximum (Guo et al. 2017, arXiv:1706.04599, for one factor).
    Where all labels are right it would be infinitely far, so each is taken for a little less than
    certain (Platt 1999): by 1 / (n + 2).
    """
    from scipy.optimize import minimize
    from scipy.special import log_softmax

    doubt = 1 / (len(labels) + 2)
    single = labels.ndim == 1
    true = labels[:, None] == np.arange(deep.shape[1]) if single else labels
    expected = (1 - doubt) * true + doubt / (deep.shape[1] if single else 2)

    def cost(factors: NDArray[np.float64]) -> float:
        logits = factors[0] * deep + factors[1] * wide
        if single:
            return float(-(expected * log_softmax(logits, axis=1)).sum(1).mean())
        return float((np.logaddexp(0, logits) - expected * logits).mean())

    found = minimize(cost, [1.0, 1.0], method="L-BFGS-B", bounds=[(0.0, None)] * 2)
    return float(found.x[0]), float(found.x[1])
