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
from nlp_rnn.model.ngram_path import ngram_rows
from nlp_rnn.model.parallel import graphs_kept

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
            token's embedding; what a wide path makes of the token is not in it.
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
    many zero embeddings without n-grams, the integral the midpoint rule. Occlusion: Zeiler & Fergus
    2014; a token is replaced by that baseline. Of a wide path's logits each n-gram gives its
    tokens equal shares; without a token, the n-grams with it are gone.
    """
    tokens = torch.from_numpy(ids)
    with torch.no_grad():
        embedded = network.embedding(tokens)  # (T, E)
        shares = _wide_shares(network, tokens)  # (T, C)
    integrated, ends = _integrated(network, embedded, shares, classes, steps)
    gradient = _gradients(network, embedded.unsqueeze(1), shares.sum(0)[None], classes)[0]
    occluded, span = _occluded(network, tokens, embedded, classes, ends[1])
    residual = (integrated.sum(1) - (ends[1] - ends[0])).abs().max()
    return Attribution(
        tuple(classes),
        integrated.numpy(),
        occluded.numpy(),
        gradient[:, :, 0].norm(dim=2).numpy(),
        span,
        float(residual),
    )


def _wide_shares(network: TextNetwork, tokens: Tensor) -> Tensor:
    """What each of `tokens` int64 (T,) has of the wide path's logits, (T, C); 0 without one."""
    shares = torch.zeros(len(tokens), network.architecture.num_labels)
    if network.wide is None:
        return shares
    there = torch.ones(len(tokens), 1, dtype=torch.bool)
    rows, counted = ngram_rows(network.architecture, tokens[:, None], there)  # (1, N · T)
    logits = network.wide.table.weight[rows[0]] * (counted[0, :, None] / counted.sum().sqrt())
    for size, part in enumerate(torch.split(logits, len(tokens)), start=1):
        for place in range(min(size, len(tokens))):
            # an n-gram that ends at a token ends `place` tokens after another of its own
            shares[: len(tokens) - place] += part[place:] / size
    return shares


def _log_odds(network: TextNetwork, steps: Tensor, wide: Tensor) -> Tensor:
    """Log-odds (B, C) of embedded texts (T, B, E), all T tokens long, and wide logits (B, C)."""
    lengths = torch.full((steps.shape[1],), steps.shape[0], dtype=torch.int64)
    states = steps if network.encoder is None else network.encoder(steps, lengths)
    logits = network.head(network.pooling(states, lengths)) + wide
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
    network: TextNetwork, steps: Tensor, wide: Tensor, classes: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Gradients of the log-odds of K classes: (K, T, B, E) of `steps`, (K, B, C) of `wide`."""
    steps, wide = steps.detach().requires_grad_(), wide.detach().requires_grad_()
    with graphs_kept():
        odds = _log_odds(network, steps, wide)[:, list(classes)]
    found = [
        torch.autograd.grad(odds[:, number].sum(), (steps, wide), retain_graph=True)
        for number in range(len(classes))
    ]
    return torch.stack([each[0] for each in found]), torch.stack([each[1] for each in found])


def _integrated(
    network: TextNetwork, embedded: Tensor, shares: Tensor, classes: Sequence[int], steps: int
) -> tuple[Tensor, Tensor]:
    """Integrated gradients (K, T), and the log-odds (2, K) of nothing and of the text."""
    parts = (torch.arange(steps) + 0.5) / steps
    total = torch.zeros(len(classes), *embedded.shape)
    wide_total = torch.zeros(len(classes), shares.shape[1])
    wide = shares.sum(0)  # (C,)
    for some in torch.split(parts, max(1, TOKENS_AT_ONCE // len(embedded))):
        texts = some[None, :, None] * embedded[:, None, :]  # (T, B, E)
        gradients, wide_gradients = _gradients(network, texts, some[:, None] * wide, classes)
        total += gradients.sum(2)
        wide_total += wide_gradients.sum(1)
    with torch.no_grad():
        ends = torch.stack([torch.zeros_like(embedded), embedded], dim=1)
        odds = _log_odds(network, ends, torch.stack([torch.zeros_like(wide), wide]))
    integrated = (total * embedded).sum(2) + wide_total @ shares.t()
    return integrated / steps, odds[:, list(classes)]


def _occluded(
    network: TextNetwork, tokens: Tensor, embedded: Tensor, classes: Sequence[int], whole: Tensor
) -> tuple[Tensor, int]:
    """How much the log-odds `whole` (K,) fall without each token, (K, T), and tokens at a time."""
    time = len(embedded)
    span = -(-time // OCCLUSIONS)
    starts = torch.arange(0, time, span)
    falls = []
    with torch.no_grad():
        for some in torch.split(starts, max(1, TOKENS_AT_ONCE // time)):
            texts = embedded[:, None, :].repeat(1, len(some), 1)
            there = torch.ones(time, len(some), dtype=torch.bool)
            for column, start in enumerate(some.tolist()):
                texts[start : start + span, column] = 0.0
                there[start : start + span, column] = False
            wide = torch.zeros(())
            if network.wide is not None:
                wide = network.wide.read(tokens[:, None].expand_as(there), there)
            falls.append(whole - _log_odds(network, texts, wide)[:, list(classes)])
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
