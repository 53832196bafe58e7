"""Ensemble of a network and linear models: positive weights of their scores, by likelihood.

The logits of an ensemble are the weighted sum of the logits of the network and the scores of the
linear models on n-grams. Only texts that a model was not trained on say how far it can be trusted:
for the linear models these are folds of the training texts and the validation texts, for the
network the validation texts alone. There may be few of them, so the weights have a prior.

docs/research/ensemble.md has the trials that the constants were chosen from.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "NETWORK_WEIGHT",
    "STUDENT_WEIGHT",
    "EnsembleWeights",
    "choose_ensemble",
    "likeliest_weights",
    "log_likelihoods",
    "worse_by_chance",
]

NETWORK_WEIGHT = 0.25
"""Median of the network's weight, before the validation texts are seen."""

STUDENT_WEIGHT = 2.0
"""The same for a student: a network that was trained on unlabelled texts, labelled by a teacher."""

PRIOR_ROWS = 1.0
"""Precision of the logarithm of every weight: the standard deviation is 1 / √PRIOR_ROWS."""

SIGNIFICANCE = 0.05
"""Probability with which an ensemble that is as good as its parts is rejected by chance."""


@dataclass(frozen=True)
class EnsembleWeights:
    """Factors of the two parts of an ensemble; 0 for a part that is left out.

    Attributes
    ----------
    network : float
        Factor of the logits of the network.
    ngrams : float
        Factor of the scores of the n-gram models.
    reason : str
        Why a part is left out, as a sentence; empty for an ensemble of both.
    """

    network: float
    ngrams: float
    reason: str = ""

    def logits(
        self, network: NDArray[np.floating[Any]], ngrams: NDArray[np.floating[Any]]
    ) -> NDArray[np.float64]:
        """Return the logits of the ensemble, float64 (n, C)."""
        logits: NDArray[np.float64] = self.network * network.astype(np.float64)
        logits += self.ngrams * ngrams
        return logits


def choose_ensemble(
    network: NDArray[np.floating[Any]],
    ngrams: NDArray[np.floating[Any]],
    labels: NDArray[Any],
    *,
    guarded: bool = True,
    network_weight: float = NETWORK_WEIGHT,
) -> EnsembleWeights:
    """Return the weights of a network and of n-gram models by the likelihood of validation labels.

    The weights are positive, with a log-normal prior whose median is `network_weight` for the
    network and 1 for the n-gram models. So with few texts the n-gram models decide, whose own
    weights are known from more texts, and with many texts the likelihood does.

    Parameters
    ----------
    network : float (n, C)
        Logits of the network for the validation texts.
    ngrams : float (n, C)
        Scores of the n-gram models for the same texts, which they were not fitted to. Their own
        weights are the likeliest ones.
    labels : int64 (n,) or bool (n, C)
        Single-label or multi-label.
    guarded : bool, default True
        Leave out the other part if the predictions of the ensemble are significantly worse than
        those of one part alone.
    network_weight : float
        Median of the network's weight under the prior.
    """
    factors = likeliest_weights(
        [network, ngrams], labels, medians=(network_weight, 1.0), precision=PRIOR_ROWS
    )
    ensemble = EnsembleWeights(float(factors[0]), float(factors[1]))
    if not guarded:
        return ensemble
    logits = ensemble.logits(network, ngrams)
    worse = {
        part: p
        for part, alone in (("network", network), ("n-gram models", ngrams))
        if (p := worse_by_chance(logits, alone, labels)) <= SIGNIFICANCE
    }
    if not worse:
        return ensemble
    part = min(worse, key=lambda name: worse[name])
    reason = (
        f"The validation predictions of the ensemble are significantly worse than those of the "
        f"{part} alone (p = {worse[part]:.2g})."
    )
    if part == "network":
        return EnsembleWeights(1.0, 0.0, reason)
    return EnsembleWeights(0.0, 1.0, reason)


def worse_by_chance(logits: NDArray[Any], others: NDArray[Any], labels: NDArray[Any]) -> float:
    """Return the p-value of `logits` predicting worse than `others`, one-sided, paired by text.

    Single-label: exact McNemar test of the predictions. Multi-label: normal test of the
    log-likelihoods. Parameters as in `log_likelihoods`.
    """
    if labels.ndim == 1:
        from scipy.stats import binomtest

        correct, other_correct = (values.argmax(axis=1) == labels for values in (logits, others))
        losses = int((other_correct & ~correct).sum())
        differing = losses + int((correct & ~other_correct).sum())
        return (
            float(binomtest(losses, differing, alternative="greater").pvalue) if differing else 1.0
        )
    from scipy.stats import norm

    losses_of_text = log_likelihoods(others, labels) - log_likelihoods(logits, labels)
    error = losses_of_text.std() / np.sqrt(len(labels))
    return float(norm.sf(losses_of_text.mean() / error)) if error > 0 else 1.0


def likeliest_weights(
    scores: Sequence[NDArray[np.floating[Any]]],
    labels: NDArray[Any],
    *,
    medians: Sequence[float] | None = None,
    precision: float = PRIOR_ROWS,
) -> NDArray[np.float64]:
    """Return the positive weights of scores whose weighted sum gives the labels most likelihood.

    The likelihood is that of the softmax of the weighted sum; of its sigmoid for multi-label
    labels. The logarithm of each weight has a normal prior, which decides where there are few
    texts or where all predictions are correct.

    Parameters
    ----------
    scores : sequence of k float arrays of shape (n, C)
        Scores of k models for texts that they were not fitted to.
    labels : int64 (n,) or bool (n, C)
        Single-label or multi-label.
    medians : sequence of k float, optional
        Medians of the weights under the prior. Default: 1.
    precision : float
        1 / variance of the logarithms under the prior. A text counts as much as 1.

    Returns
    -------
    float64 (k,)
    """
    from scipy.optimize import minimize

    table = np.stack([np.asarray(values, np.float64) for values in scores])
    center = np.zeros(len(table)) if medians is None else np.log(np.asarray(medians, np.float64))
    loss = (
        _single_label_loss(table, labels) if labels.ndim == 1 else _multi_label_loss(table, labels)
    )

    def objective(logs: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights, offset = np.exp(logs), logs - center
        value, gradient = loss(weights)
        prior = 0.5 * precision * float(offset @ offset)
        return value + prior, gradient * weights + precision * offset

    optimum = minimize(objective, center, jac=True, method="L-BFGS-B")
    weights: NDArray[np.float64] = np.exp(optimum.x)
    return weights


Loss = Callable[[NDArray[np.float64]], tuple[float, NDArray[np.float64]]]


def _single_label_loss(table: NDArray[np.float64], labels: NDArray[np.int64]) -> Loss:
    """Negative log-likelihood of the softmax, summed over the texts, and its gradient (k,)."""
    rows = np.arange(len(labels))
    of_truth = table[:, rows, labels].sum(axis=1)

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        logits = np.tensordot(weights, table, 1)
        logits -= logits.max(axis=1, keepdims=True)
        shares = np.exp(logits)
        totals = shares.sum(axis=1, keepdims=True)
        shares /= totals
        value = float(np.log(totals).sum() - logits[rows, labels].sum())
        return value, np.tensordot(table, shares, 2) - of_truth

    return loss


def _multi_label_loss(table: NDArray[np.float64], labels: NDArray[np.bool_]) -> Loss:
    """Negative log-likelihood of the sigmoids, summed over texts and labels, and its gradient."""
    from scipy.special import expit

    of_truth = np.tensordot(table, labels.astype(np.float64), 2)

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        logits = np.tensordot(weights, table, 1)
        value = float(np.logaddexp(0, np.where(labels, -logits, logits)).sum())
        return value, np.tensordot(table, expit(logits), 2) - of_truth

    return loss


def log_likelihoods(logits: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.float64]:
    """Return the log-likelihood of the labels of each text, float64 (n,)."""
    values: NDArray[np.float64]
    if labels.ndim == 2:
        values = -np.logaddexp(0, np.where(labels, -logits, logits).astype(np.float64)).sum(axis=1)
        return values
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    values = shifted[np.arange(len(labels)), labels] - np.log(np.exp(shifted).sum(axis=1))
    return values
