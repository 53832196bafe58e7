"""A network and a text become what each token gave to each class, in two ways that may disagree.

What is explained is the log-odds of a class, log p / (1 - p), in nats.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nlp_rnn.model.network import TextNetwork

__all__ = ["Attribution", "attribute"]

STEPS = 32
"""Points on the way from nothing to the text."""

TOKENS_AT_ONCE = 16_384
OCCLUSIONS = 200
"""Texts of more tokens are occluded in spans, so that no more texts than this are read."""


@dataclass(frozen=True)
class Attribution:
    """What each of T tokens gave to each of K classes.

    Attributes:
        classes: K positions among the labels.
        integrated: float32 (K, T), integrated gradients. They sum to the log-odds of the text
            less those of the empty one, up to `residual`.
        occluded: float32 (K, T), how much the log-odds fall when the token is taken out.
        gradient: float32 (K, T), the length of the gradient of the log-odds with respect to the
            token's embedding.
        span: tokens that were taken out together; each has an equal share of their value.
        residual: largest difference of that sum over the classes, in nats.
    """

    classes: tuple[int, ...]
    integrated: NDArray[np.float32]
    occluded: NDArray[np.float32]
    gradient: NDArray[np.float32]
    span: int
    residual: float

    def agreement(self, number: int) -> float | None:
        """Rank correlation (Spearman) of both ways for the class `number`; None if undefined."""
        ranks = [_ranks(values[number]) for values in (self.integrated, self.occluded)]
        if len(ranks[0]) < 3 or min(float(each.std()) for each in ranks) == 0:
            return None
        return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def attribute(
    network: TextNetwork, ids: NDArray[np.int64], classes: Sequence[int], steps: int = STEPS
) -> Attribution:
    """Explain the log-odds of `classes` on token ids int64 (T,).

    Integrated gradients: Sundararajan et al. 2017, arXiv:1703.01365; the baseline is a text of as
    many zero embeddings, the integral the midpoint rule. Occlusion: Zeiler & Fergus 2014; a token
    is replaced by that baseline.
    """
    with torch.no_grad():
        embedded = network.embedding(torch.from_numpy(ids))  # (T, E)
    integrated, ends = _integrated(network, embedded, classes, steps)
    gradient = _gradients(network, embedded.unsqueeze(1), classes)[0][:, :, 0]  # (K, T, E)
    occluded, span = _occluded(network, embedded, classes, ends[1])
    residual = (integrated.sum(1) - (ends[1] - ends[0])).abs().max()
    return Attribution(
        tuple(classes),
        integrated.numpy(),
        occluded.numpy(),
        gradient.norm(dim=2).numpy(),
        span,
        float(residual),
    )


def _log_odds(network: TextNetwork, steps: Tensor) -> Tensor:
    """Log-odds (B, C) of embedded texts (T, B, E), all of them T tokens long."""
    lengths = torch.full((steps.shape[1],), steps.shape[0], dtype=torch.int64)
    states = steps if network.encoder is None else network.encoder(steps, lengths)
    logits = network.head(network.pooling(states, lengths))
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
    found: Tensor = log_p - (others - total)
    return found


def _gradients(
    network: TextNetwork, steps: Tensor, classes: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Gradients (K, T, B, E) of the log-odds of K classes, and the log-odds (B, K) themselves."""
    steps = steps.detach().requires_grad_()
    odds = _log_odds(network, steps)[:, list(classes)]
    gradients = [
        torch.autograd.grad(odds[:, number].sum(), steps, retain_graph=True)[0]
        for number in range(len(classes))
    ]
    return torch.stack(gradients), odds.detach()


def _integrated(
    network: TextNetwork, embedded: Tensor, classes: Sequence[int], steps: int
) -> tuple[Tensor, Tensor]:
    """Integrated gradients (K, T), and the log-odds (2, K) of nothing and of the text."""
    shares = (torch.arange(steps) + 0.5) / steps
    total = torch.zeros(len(classes), *embedded.shape)
    for some in torch.split(shares, max(1, TOKENS_AT_ONCE // len(embedded))):
        texts = some[None, :, None] * embedded[:, None, :]  # (T, B, E)
        total += _gradients(network, texts, classes)[0].sum(2)
    with torch.no_grad():
        ends = torch.stack([torch.zeros_like(embedded), embedded], dim=1)
        odds = _log_odds(network, ends)[:, list(classes)]
    return (total / steps * embedded).sum(2), odds


def _occluded(
    network: TextNetwork, embedded: Tensor, classes: Sequence[int], whole: Tensor
) -> tuple[Tensor, int]:
    """How much the log-odds `whole` (K,) fall without each token, (K, T), and tokens at a time."""
    time = len(embedded)
    span = -(-time // OCCLUSIONS)
    starts = torch.arange(0, time, span)
    falls = []
    with torch.no_grad():
        for some in torch.split(starts, max(1, TOKENS_AT_ONCE // time)):
            texts = embedded[:, None, :].repeat(1, len(some), 1)
            for column, start in enumerate(some.tolist()):
                texts[start : start + span, column] = 0.0
            falls.append(whole - _log_odds(network, texts)[:, list(classes)])
    sizes = torch.full((len(starts),), span)
    sizes[-1] = time - starts[-1]
    shared = torch.cat(falls).t() / sizes  # (K, spans)
    return shared.repeat_interleave(sizes, dim=1), span


def _ranks(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Ranks with ties in the middle, (T,)."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    middles = np.cumsum(counts) - (counts - 1) / 2
    ranks: NDArray[np.float64] = middles[places]
    return ranks
