"""Embedding whose features keep their mean and variance during training."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nlp_rnn.tokens.tokenizer import PAD_ID

__all__ = ["NormalizedEmbedding"]

SMALL = 1e-6
"""Added to variances, so that none of them is 0."""


class NormalizedEmbedding(nn.Embedding):
    """Embedding whose features have a fixed mean and variance over the tokens of the train split.

    Miyato et al. 2017, arXiv:1605.07725: every feature is normalized with tokens weighted by
    their frequency, so that a perturbation cannot be made small by larger embeddings. Gradients
    flow through mean and variance. What differs: features are normalized not to mean 0 and
    variance 1 but to their mean and variance at the start. So no vector changes at the start,
    whether it is random or pretrained, and perturbations are measured in these standard deviations.

    Guarantee: `folded` returns a plain embedding with bit-identical vectors.

    Parameters
    ----------
    plain : nn.Embedding
        Embedding whose parameter is used.
    counts : int64 array (V,)
        How often each token occurs in the train split.
    spread : list of two lists of float
        The means and the standard deviations to keep; empty for those of `plain`.
    """

    share: Tensor
    mean: Tensor
    deviation: Tensor

    def __init__(
        self, plain: nn.Embedding, counts: NDArray[np.int64], spread: list[list[float]]
    ) -> None:
        sizes = plain.num_embeddings, plain.embedding_dim
        super().__init__(*sizes, _weight=plain.weight.detach())
        self.weight = plain.weight  # the same object, which the optimizer has
        share = torch.from_numpy(counts / counts.sum()).to(plain.weight)
        self.register_buffer("share", share.unsqueeze(1), persistent=False)  # (V, 1)
        with torch.no_grad():
            fixed = torch.tensor(spread) if spread else torch.stack(self._spread())
        for name, values in zip(("mean", "deviation"), fixed.to(plain.weight), strict=True):
            self.register_buffer(name, values, persistent=False)

    @property
    def spread(self) -> list[list[float]]:
        """The fixed means and standard deviations."""
        values: list[list[float]] = torch.stack([self.mean, self.deviation]).tolist()
        return values

    def _spread(self) -> tuple[Tensor, Tensor]:
        mean = (self.share * self.weight).sum(0)
        variance = (self.share * (self.weight - mean).square()).sum(0)
        return mean, (variance + SMALL).sqrt()

    def vectors(self) -> Tensor:
        """Return all normalized vectors: float32 (V, E)."""
        mean, deviation = self._spread()
        return (self.weight - mean) * (self.deviation / deviation) + self.mean

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the vectors (…, E) of `tokens` int64 (…)."""
        return nn.functional.embedding(tokens, self.vectors())

    def folded(self) -> nn.Embedding:
        """Return a plain embedding with these vectors, and 0 for padding, which is never read."""
        with torch.no_grad():
            vectors = self.vectors()
            vectors[PAD_ID] = 0.0
        return nn.Embedding(self.num_embeddings, self.embedding_dim, _weight=vectors)
