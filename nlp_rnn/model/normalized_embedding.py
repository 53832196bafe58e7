"""An embedding becomes one whose vectors keep their spread while they are trained, and back."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nlp_rnn.tokens.tokenizer import PAD_ID

__all__ = ["NormalizedEmbedding"]

SMALL = 1e-6
"""Added to variances, so that none is 0."""


class NormalizedEmbedding(nn.Embedding):
    """Vectors whose features have a fixed mean and variance over the tokens of the train split.

    Miyato et al. 2017, arXiv:1605.07725: every feature is normalized, tokens weighing as often as
    they occur, so that no perturbation becomes small because the embeddings grow; gradients pass
    through mean and variance. What differs: not to mean 0 and variance 1 but to the `spread` at
    the start, which changes no vector there, random or given; perturbations are measured in
    these standard deviations.

    Promise: `folded` gives a plain embedding with the same vectors to the last bit.
    """

    share: Tensor
    mean: Tensor
    deviation: Tensor

    def __init__(
        self, plain: nn.Embedding, counts: NDArray[np.int64], spread: list[list[float]]
    ) -> None:
        """Of the parameter of `plain`; `counts` (V,) say how often each token occurs.

        `spread` are the means and the standard deviations to keep; empty, those of `plain`.
        """
        sizes = plain.num_embeddings, plain.embedding_dim
        super().__init__(*sizes, _weight=plain.weight.detach())
        self.weight = plain.weight  # the very same, which the optimizer knows
        share = torch.from_numpy(counts / counts.sum()).to(plain.weight)
        self.register_buffer("share", share.unsqueeze(1), persistent=False)  # (V, 1)
        with torch.no_grad():
            kept = torch.tensor(spread) if spread else torch.stack(self._spread())
        for name, values in zip(("mean", "deviation"), kept.to(plain.weight), strict=True):
            self.register_buffer(name, values, persistent=False)

    @property
    def spread(self) -> list[list[float]]:
        """The means and standard deviations that are kept."""
        found: list[list[float]] = torch.stack([self.mean, self.deviation]).tolist()
        return found

    def _spread(self) -> tuple[Tensor, Tensor]:
        mean = (self.share * self.weight).sum(0)
        variance = (self.share * (self.weight - mean).square()).sum(0)
        return mean, (variance + SMALL).sqrt()

    def vectors(self) -> Tensor:
        """All vectors, normalized: float32 (V, E)."""
        mean, deviation = self._spread()
        return (self.weight - mean) * (self.deviation / deviation) + self.mean

    def forward(self, tokens: Tensor) -> Tensor:
        """Vectors (…, E) of `tokens` int64 (…)."""
        return nn.functional.embedding(tokens, self.vectors())

    def folded(self) -> nn.Embedding:
        """A plain embedding with these vectors; the padding's, which nothing reads, are 0."""
        with torch.no_grad():
            vectors = self.vectors()
            vectors[PAD_ID] = 0.0
        return nn.Embedding(self.num_embeddings, self.embedding_dim, _weight=vectors)
