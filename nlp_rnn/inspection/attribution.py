"""Token attributions of one text: integrated gradients and occlusion.

Both explain the log-odds of a class, log(p / (1 - p)), in nats. They may disagree where tokens
act together.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nlp_rnn.inspection.ngram_shares import NgramShares
from nlp_rnn.model.network import TextNetwork
from nlp_rnn.model.parallel import retain_graphs

__all__ = ["Attribution", "attribute"]

STEPS = 32
"""Number of points on the path from the baseline to the text."""

TOKENS_AT_ONCE = 16_384
OCCLUSIONS = 200
"""Maximal number of occluded copies of a text; longer texts are occluded in spans of tokens."""


@dataclass(frozen=True)
class Attribution:
    """Attributions of T tokens to K classes.

    Attributes
    ----------
    classes : tuple of int
        Indices of the K classes among the labels.
    integrated : float32 (K, T)
        Integrated gradients. Their sum over the tokens should be the log-odds of the text minus the
        log-odds of the baseline.
    occluded : float32 (K, T)
        Decrease of the log-odds when the token is replaced by the baseline.
    gradient : float32 (K, T)
        Norm of the gradient of the log-odds with respect to the embedding of the token. It does
        not include n-gram models.
    span : int
        Number of consecutive tokens that are occluded together; they share the value equally.
    residual : float
        Largest error of the sum of the integrated gradients over the K classes, in nats.
    """

    classes: tuple[int, ...]
    integrated: NDArray[np.float32]
    occluded: NDArray[np.float32]
    gradient: NDArray[np.float32]
    span: int
    residual: float

    def agreement(self, number: int) -> float | None:
        """Return the rank correlation of integrated gradients and occlusion, None if undefined.

        It is Spearman's, for the class with index `number` in `classes`.
        """
        ranks = [_ranks(values[number]) for values in (self.integrated, self.occluded)]
        if len(ranks[0]) < 3 or min(float(values.std()) for values in ranks) == 0:
            return None
        return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


@dataclass(frozen=True)
class Explained:
    """Model whose predictions are explained: a network, n-gram models, or both.

    Attributes
    ----------
    network : TextNetwork or None
        Network in evaluation mode; None for n-gram models alone.
    weight : float
        What its logits are multiplied by.
    bias : float32 tensor (C,) or ()
        What n-gram models add to the logits of any text.
    """

    network: TextNetwork | None
    weight: float = 1.0
    bias: Tensor = field(default_factory=lambda: torch.zeros(()))


def attribute(
    network: TextNetwork | None,
    ids: NDArray[np.int64],
    classes: Sequence[int],
    steps: int = STEPS,
    ngrams: NgramShares | None = None,
    network_weight: float = 1.0,
) -> Attribution:
    """Attribute the log-odds of `classes` to the tokens of one text.

    Integrated gradients: Sundararajan et al. 2017, arXiv:1703.01365, with the midpoint rule. The
    baseline is a text of T zero embeddings without n-grams. Occlusion: Zeiler & Fergus 2014,
    arXiv:1311.2901; a token is replaced by the baseline. The logits of an n-gram are shared
    equally among its tokens. Occluding a token removes all n-grams that contain it.

    Parameters
    ----------
    network : TextNetwork or None
        Network in evaluation mode; None for n-gram models alone.
    ids : int64 (T,)
        Token ids of the text.
    classes : sequence of int
        Indices of the K classes to explain.
    steps : int
        Number of points of the integral.
    ngrams : NgramShares, optional
        Shares of the n-gram models, if there are some. Occluding a token removes its shares.
    network_weight : float
        Weight of the network's logits in the ensemble.

    Returns
    -------
    Attribution
    """
    embedded = torch.zeros(len(ids), 1)
    if network is not None:
        with torch.no_grad():
            embedded = network.embedding(torch.from_numpy(ids))  # (T, E)
    if ngrams is not None:
        shares = torch.from_numpy(ngrams.tokens)  # (T, C)
        model = Explained(network, network_weight, torch.from_numpy(ngrams.bias.copy()))
    else:
        assert network is not None
        shares = torch.zeros(len(ids), network.architecture.num_labels)
        model = Explained(network)
    integrated, ends = _integrated(model, embedded, shares, classes, steps)
    gradient = _gradients(model, embedded.unsqueeze(1), shares.sum(0)[None], classes)[0]
    occluded, span = _occluded(model, embedded, shares, classes, ends[1])
    residual = (integrated.sum(1) - (ends[1] - ends[0])).abs().max()
    return Attribution(
        tuple(classes),
        integrated.numpy(),
        occluded.numpy(),
        gradient[:, :, 0].norm(dim=2).numpy(),
        span,
        float(residual),
    )


def _log_odds(model: Explained, steps: Tensor, ngram_logits: Tensor) -> Tensor:
    """Return log-odds (B, C) for embeddings (T, B, E) of equal lengths and n-gram logits (B, C)."""
    logits = ngram_logits + model.bias + model.weight * _network_logits(model.network, steps)
    total = logits.logsumexp(1, keepdim=True)
    log_p = logits - total
    # log(1 - p), exact near p = 1: the other classes together
    others = torch.stack(
        [
            torch.cat([logits[:, :label], logits[:, label + 1 :]], dim=1).logsumexp(1)
            for label in range(logits.shape[1])
        ],
        dim=1,
    )
    log_odds: Tensor = log_p - (others - total)
    return log_odds


def _network_logits(network: TextNetwork | None, steps: Tensor) -> Tensor:
    """Return the logits of the network (B, C); zeros (B, 1) that depend on `steps` without one."""
    if network is None:
        return 0.0 * steps.sum(dim=(0, 2))[:, None]
    lengths = torch.full((steps.shape[1],), steps.shape[0], dtype=torch.int64)
    states = steps if network.encoder is None else network.encoder(steps, lengths)
    logits: Tensor = network.head(network.pooling(states, lengths))
    return logits


def _gradients(
    model: Explained, steps: Tensor, ngram_logits: Tensor, classes: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Return the gradients of the log-odds of K classes with respect to both inputs.

    Shapes: (K, T, B, E) for `steps` (T, B, E), (K, B, C) for `ngram_logits` (B, C).
    """
    steps, ngram_logits = steps.detach().requires_grad_(), ngram_logits.detach().requires_grad_()
    with retain_graphs():
        odds = _log_odds(model, steps, ngram_logits)[:, list(classes)]
    gradients = [
        torch.autograd.grad(odds[:, number].sum(), (steps, ngram_logits), retain_graph=True)
        for number in range(len(classes))
    ]
    of_steps, of_ngrams = zip(*gradients, strict=True)
    return torch.stack(of_steps), torch.stack(of_ngrams)


def _integrated(
    model: Explained, embedded: Tensor, shares: Tensor, classes: Sequence[int], steps: int
) -> tuple[Tensor, Tensor]:
    """Return integrated gradients (K, T), and the log-odds (2, K) of the baseline and the text."""
    points = (torch.arange(steps) + 0.5) / steps
    total = torch.zeros(len(classes), *embedded.shape)
    ngram_total = torch.zeros(len(classes), shares.shape[1])
    ngram_logits = shares.sum(0)  # (C,)
    for chunk in torch.split(points, max(1, TOKENS_AT_ONCE // len(embedded))):
        texts = chunk[None, :, None] * embedded[:, None, :]  # (T, B, E)
        gradients, ngram_gradients = _gradients(
            model, texts, chunk[:, None] * ngram_logits, classes
        )
        total += gradients.sum(2)
        ngram_total += ngram_gradients.sum(1)
    with torch.no_grad():
        ends = torch.stack([torch.zeros_like(embedded), embedded], dim=1)
        odds = _log_odds(model, ends, torch.stack([torch.zeros_like(ngram_logits), ngram_logits]))
    integrated = (total * embedded).sum(2) + ngram_total @ shares.t()
    return integrated / steps, odds[:, list(classes)]


def _occluded(
    model: Explained, embedded: Tensor, shares: Tensor, classes: Sequence[int], whole: Tensor
) -> tuple[Tensor, int]:
    """Return the decrease of the log-odds (K, T) when each token is occluded, and the span.

    `whole` (K,) are the log-odds of the text without occlusion.
    """
    time = len(embedded)
    span = -(-time // OCCLUSIONS)
    starts = torch.arange(0, time, span)
    decreases = []
    with torch.no_grad():
        for chunk in torch.split(starts, max(1, TOKENS_AT_ONCE // time)):
            texts = embedded[:, None, :].repeat(1, len(chunk), 1)
            present = torch.ones(time, len(chunk), dtype=torch.bool)
            for column, start in enumerate(chunk.tolist()):
                texts[start : start + span, column] = 0.0
                present[start : start + span, column] = False
            ngram_logits = present.t().float() @ shares  # (B, C)
            decreases.append(whole - _log_odds(model, texts, ngram_logits)[:, list(classes)])
    sizes = torch.full((len(starts),), span)
    sizes[-1] = time - starts[-1]
    shared = torch.cat(decreases).t() / sizes  # (K, spans)
    return shared.repeat_interleave(sizes, dim=1), span


def _ranks(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the ranks (T,); ties have their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    mean_ranks = np.cumsum(counts) - (counts - 1) / 2
    ranks: NDArray[np.float64] = mean_ranks[inverse]
    return ranks
