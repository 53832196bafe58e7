"""Embedding whose features keep their mean and variance during training."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nlp_rnn.tokens.tokenizer import PAD_ID

__all__ = ["NormalizedEmbedding"]

SMALL = 1e-6
"""Added to variances, so that no standard deviation is 0."""


class NormalizedEmbedding(nn.Embedding):
    """Embedding whose features have a fixed mean and variance over the tokens of the train split.

    Adversarial training adds perturbations of a fixed norm to the vectors. Without normalization
    the network could make them negligible with larger vectors. As in Miyato et al. 2017,
    arXiv:1605.07725, tokens are weighted by their frequency, and gradients flow through mean and
    variance. Unlike there, a feature is normalized to its mean and variance at the start of the
    training, not to 0 and 1. So the first step starts from unchanged vectors, random or pretrained.
    The norm of a perturbation is measured in units of these standard deviations.

    Guarantee: `folded` returns a plain embedding with bit-identical vectors, except for padding.

    V is the size of the vocabulary and E the number of features.

    Parameters
    ----------
    plain : nn.Embedding
        Embedding to normalize. Both modules have the same parameter `weight`.
    counts : int64 array (V,)
        How often each token occurs in the train split.
    spread : list of two lists of float
        The means and the standard deviations to normalize to, E each. If the list is empty, they
        are computed from `plain`.

    Attributes
    ----------
    frequencies : Tensor
        Relative frequency of each token in the train split, float32 (V, 1).
    mean, deviation : Tensor
        The fixed mean and standard deviation of each feature, float32 (E,).
    """

    frequencies: Tensor
    mean: Tensor
    deviation: Tensor

    def __init__(
        self, plain: nn.Embedding, counts: NDArray[np.int64], spread: list[list[float]]
    ) -> None:
        sizes = plain.num_embeddings, plain.embedding_dim
        super().__init__(*sizes, _weight=plain.weight.detach())
        self.weight = plain.weight  # the same object, which the optimizer has
        frequencies = torch.from_numpy(counts / counts.sum()).to(plain.weight).unsqueeze(1)
        self.register_buffer("frequencies", frequencies, persistent=False)  # (V, 1)
        with torch.no_grad():
            fixed = torch.tensor(spread) if spread else torch.stack(self._current_spread())
        for name, values in zip(("mean", "deviation"), fixed.to(plain.weight), strict=True):
            self.register_buffer(name, values, persistent=False)

    @property
    def spread(self) -> list[list[float]]:
        """The fixed means and standard deviations, as the parameter `spread` takes them."""
        values: list[list[float]] = torch.stack([self.mean, self.deviation]).tolist()
        return values

    def _current_spread(self) -> tuple[Tensor, Tensor]:
        """Return the mean and the standard deviation (E,) of each feature of `weight` now."""
        mean = (self.frequencies * self.weight).sum(0)
        variance = (self.frequencies * (self.weight - mean).square()).sum(0)
        return mean, (variance + SMALL).sqrt()

    def vectors(self) -> Tensor:
        """Return the normalized vectors of the whole vocabulary, float32 (V, E)."""
        mean, deviation = self._current_spread()
        return (self.weight - mean) * (self.deviation / deviation) + self.mean

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the normalized vectors (…, E) of `tokens`, ids int64 (…)."""
        return nn.functional.embedding(tokens, self.vectors())

    def folded(self) -> nn.Embedding:
        """Return a plain embedding with the normalized vectors, for a saved classifier.

        The vector of padding is set to 0; no prediction depends on it.
        """
        with torch.no_grad():
            vectors = self.vectors()
            vectors[PAD_ID] = 0.0
        return nn.Embedding(self.num_embeddings, self.embedding_dim, _weight=vectors)
