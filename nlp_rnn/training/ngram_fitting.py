"""Fit n-gram models next to a trained network, and the weights of their ensemble.

The recurrent network is trained as it would be alone. Then a linear support vector machine is
fitted to the n-grams of the training texts. Two factors, one for the network and one for the n-gram
models, are fitted to the validation split: the logits of a text are the weighted sum of both.

Trained together by gradient descent, the linear model would fit the training texts before the
recurrent network does, and would generalize worse than the support vector machine
(docs/research/wide-path.md has the figures).
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

MAX_TOKENS = 50_000_000
"""Maximum tokens of the training texts: fitting unigrams and bigrams takes 55 bytes per token."""

BATCH_SIZE = 256
"""Texts whose n-grams are computed at once."""


@dataclass(frozen=True)
class _LinearModel:
    """Linear model on n-grams, whose scores (n, C) are `features[:, columns] @ weights + bias`.

    `columns` int64 (K,) are the n-grams with a weight, `weights` is (K, C), `bias` is (C,).
    """

    columns: NDArray[np.int64]
    weights: NDArray[np.float64]
    bias: NDArray[np.float64]

    def scores(self, features: "csr_matrix") -> NDArray[np.float64]:
        """Return the scores, float64 (n, C)."""
        scores: NDArray[np.float64] = features[:, self.columns] @ self.weights + self.bias
        return scores


def add_ngram_path(
    network: TextNetwork,
    train: TokenizedTexts,
    validation: TokenizedTexts,
    logits: NDArray[np.float32],
    balanced: bool,
    seed: int,
) -> NDArray[np.float32]:
    """Fit n-gram models and add them to a trained network whose architecture has `ngrams`.

    Only the training and the validation split are used. The head of the network is multiplied by
    the network's factor, so that the logits are the plain sum of the network's and the n-gram
    models' logits.

    Parameters
    ----------
    network : TextNetwork
        The trained network, which is changed in place.
    train, validation : TokenizedTexts
        The n-gram models are fitted to `train`, the weights of the ensemble to `validation`.
    logits : ndarray
        Logits float32 (n, C) of the network for the validation texts, without n-grams.
    balanced : bool
        Whether all classes have the same influence on the linear model, as with
        `trainer.class_weight=balanced`.
    seed : int
        Seed that draws the training texts if there are more than `MAX_TOKENS` tokens.

    Returns
    -------
    ndarray
        Logits float32 (n, C) of the ensemble for the validation texts.
    """
    linear = _fit(network.architecture, train, balanced, seed)
    ngram_logits = linear.scores(ngram_matrix(network.architecture, validation))
    network_factor, ngram_factor = _ensemble_factors(validation.labels, logits, ngram_logits)
    path = NgramPath(network.architecture)
    weight, bias = (ngram_factor * array for array in (linear.weights, linear.bias))
    with torch.no_grad():
        path.table.weight[torch.from_numpy(linear.columns)] = torch.from_numpy(weight).float()
        network.head.weight.mul_(network_factor)
        network.head.bias.mul_(network_factor).add_(torch.from_numpy(bias).to(network.head.bias))
    network.wide = path.to(network.head.weight.device).eval()
    ensemble: NDArray[np.float32] = (network_factor * logits + ngram_factor * ngram_logits).astype(
        np.float32
    )
    return ensemble


def ngram_matrix(
    architecture: Architecture, texts: TokenizedTexts, rows: NDArray[np.int64] | None = None
) -> "csr_matrix":
    """Return the n-grams of the texts at `rows` (default: all texts) as a sparse matrix.

    float32 (n, rows of the n-gram table). A row has k entries for the k different n-grams of the
    text, each 1 / √k, as `NgramPath` computes it.
    """
    from scipy.sparse import csr_matrix

    rows = np.arange(len(texts)) if rows is None else rows
    texts_of_ngrams, columns = [], []
    for positions in length_order(texts.lengths[rows], BATCH_SIZE):
        batch = texts.batch(rows[positions])
        steps = torch.arange(batch.input_ids.shape[1])[:, None]
        present = steps < torch.from_numpy(batch.lengths)
        table_rows, counted = ngram_rows(
            architecture, torch.from_numpy(batch.input_ids).t(), present
        )
        text, ngram = counted.nonzero(as_tuple=True)
        texts_of_ngrams.append(positions[text.numpy()].astype(np.int32))
        columns.append(table_rows[text, ngram].numpy().astype(np.int32))
    text_indices, column_indices = np.concatenate(texts_of_ngrams), np.concatenate(columns)
    counts = np.bincount(text_indices, minlength=len(rows))
    values = (1 / np.sqrt(counts[text_indices])).astype(np.float32)
    return csr_matrix(
        (values, (text_indices, column_indices)), shape=(len(rows), architecture.ngram_table_rows)
    )


def _fit(
    architecture: Architecture, train: TokenizedTexts, balanced: bool, seed: int
) -> _LinearModel:
    """Fit one linear support vector machine for each label, against all other labels.

    The features are multiplied by the inverse document frequency, as in scikit-learn, and scaled
    so that the root mean square of the texts' norms is 1. So C = 1 regularizes as strongly as on
    scikit-learn's TF-IDF features, whose norms are 1.
    """
    rows = _sample_rows(train.lengths, seed)
    features = ngram_matrix(architecture, train, rows)
    frequency = features.getnnz(axis=0)
    columns = np.flatnonzero(frequency)
    features = features[:, columns]
    idf = np.log((1 + len(rows)) / (1 + frequency[columns])) + 1
    features = features.multiply(idf).tocsr()
    scale = np.sqrt(features.multiply(features).sum() / len(rows))
    weights, bias = _fit_svms(
        features / scale, train.labels[rows], architecture.num_labels, balanced
    )
    return _LinearModel(columns, weights * (idf / scale)[:, None], bias)


def _fit_svms(
    features: Any, labels: NDArray[np.int64] | NDArray[np.bool_], num_labels: int, balanced: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights (K, C) and biases (C,); a label on no text scores -1, a label on all texts 1."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    weights, bias = np.zeros((features.shape[1], num_labels)), np.full(num_labels, -1.0)
    svm = LinearSVC(random_state=0, class_weight="balanced" if balanced else None)
    with warnings.catch_warnings():
        # more iterations would change only the third digit of the scores
        warnings.simplefilter("ignore", ConvergenceWarning)
        if labels.ndim == 2:
            for label in range(num_labels):
                if labels[:, label].min() != labels[:, label].max():
                    svm.fit(features, labels[:, label])
                    weights[:, label], bias[label] = svm.coef_[0], svm.intercept_[0]
                elif labels[0, label]:
                    bias[label] = 1.0
            return weights, bias
        svm.fit(features, labels)
    coefficients, intercepts = svm.coef_, svm.intercept_
    if len(coefficients) == 1:  # for two classes, scikit-learn has only those of the second
        coefficients = np.concatenate([-coefficients, coefficients])
        intercepts = np.concatenate([-intercepts, intercepts])
    weights[:, svm.classes_], bias[svm.classes_] = coefficients.T, intercepts
    return weights, bias


def _sample_rows(lengths: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Sorted rows of randomly drawn texts that have at most `MAX_TOKENS` tokens together."""
    order = np.random.default_rng(seed).permutation(len(lengths))
    return np.sort(order[np.cumsum(lengths[order]) <= MAX_TOKENS])


def _ensemble_factors(
    labels: NDArray[np.int64] | NDArray[np.bool_],
    network_logits: NDArray[np.float32],
    ngram_logits: NDArray[np.float64],
) -> tuple[float, float]:
    """Factors of both logits (n, C) that maximize the likelihood of the labels.

    The likelihood of the weighted sum has one maximum (Guo et al. 2017, arXiv:1706.04599, for one
    factor). If all predictions were right it would be at infinity, so every label counts as true
    with a probability of 1 - 1 / (n + 2) only (Platt 1999).
    """
    from scipy.optimize import minimize
    from scipy.special import log_softmax

    num_labels = network_logits.shape[1]
    doubt = 1 / (len(labels) + 2)
    single_label = labels.ndim == 1
    true = labels[:, None] == np.arange(num_labels) if single_label else labels
    expected = (1 - doubt) * true + doubt / (num_labels if single_label else 2)

    def negative_log_likelihood(factors: NDArray[np.float64]) -> float:
        logits = factors[0] * network_logits + factors[1] * ngram_logits
        if single_label:
            return float(-(expected * log_softmax(logits, axis=1)).sum(1).mean())
        return float((np.logaddexp(0, logits) - expected * logits).mean())

    optimum = minimize(
        negative_log_likelihood, [1.0, 1.0], method="L-BFGS-B", bounds=[(0.0, None)] * 2
    )
    return float(optimum.x[0]), float(optimum.x[1])
