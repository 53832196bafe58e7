"""Probabilities from the logits of a network, the scores of n-gram models, or their weighted sum.

This is the one formula of an ensemble: for its weights, for every runtime and for streams.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ensemble_logits", "logits_of", "probabilities_of"]

SMALLEST = 1e-30
"""Probability that stands for a smaller one, whose logarithm would be -inf."""


def ensemble_logits(
    network: NDArray[Any] | None, network_weight: float, scores: NDArray[Any] | None
) -> NDArray[np.float32]:
    """Return the logits (n, C) of a network, of n-gram models, or of both together.

    Parameters
    ----------
    network : float array of shape (n, C), optional
        Logits of the network; if single-label, log-probabilities do as well.
    network_weight : float
        What they are multiplied by if there are n-gram models too.
    scores : float array of shape (n, C), optional
        Scores of the n-gram models.
    """
    if network is None or scores is None:
        return np.asarray(scores if network is None else network, np.float32)
    return np.asarray(np.float32(network_weight) * network + scores, np.float32)


def probabilities_of(logits: NDArray[Any], multi_label: bool) -> NDArray[np.float32]:
    """Return the softmax of logits (n, C), or in the multi-label task their sigmoid."""
    if multi_label:
        # a sigmoid is a tanh of a half, which cannot overflow
        sigmoid: NDArray[np.float32] = 0.5 * np.tanh(0.5 * np.asarray(logits, np.float32)) + 0.5
        return sigmoid.astype(np.float32)
    # subtract the largest logit, so that exp never overflows
    largest = logits.max(axis=1, keepdims=True)
    weights: NDArray[np.float64] = np.exp(logits - largest, dtype=np.float64)
    weights /= weights.sum(axis=1, keepdims=True)
    return weights.astype(np.float32)


def logits_of(probabilities: NDArray[Any], multi_label: bool) -> NDArray[np.float32]:
    """Return logits (n, C) that have these probabilities."""
    likely = np.maximum(probabilities, SMALLEST, dtype=np.float64)
    logits: NDArray[np.float64] = np.log(likely)
    if multi_label:
        logits -= np.log(np.maximum(1.0 - likely, np.finfo(np.float32).eps))
    return logits.astype(np.float32)
