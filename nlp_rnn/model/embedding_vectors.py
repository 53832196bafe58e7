"""Vectors of some tokens become rows of an embedding, to begin with or for good."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nlp_rnn.tokens.tokenizer import PAD_ID

__all__ = ["prepare_freezing", "set_vectors"]

HELD = "held"


def prepare_freezing(embedding: nn.Embedding) -> None:
    """Let no gradient reach the rows that `set_vectors` will freeze.

    Which rows they are is a buffer and no parameter: it is sent to other processes with the
    network, and not saved with it.
    """
    held = torch.zeros(embedding.num_embeddings, 1, dtype=torch.uint8)
    embedding.register_buffer(HELD, held, persistent=False)

    def without_held(gradient: Tensor) -> Tensor:
        now = embedding.get_buffer(HELD)
        return gradient.masked_fill(now.bool(), 0.0)

    embedding.weight.register_hook(without_held)  # type: ignore[no-untyped-call]


def set_vectors(
    embedding: nn.Embedding, matrix: NDArray[np.float32], covered: NDArray[np.bool_]
) -> None:
    """Write the rows of `matrix` (V, E) that are `covered` (V,) into `embedding`, as they are.

    The other rows keep their random values, scaled to the standard deviation of the covered ones,
    so that no token is louder than another; padding stays 0. After `prepare_freezing` the covered
    rows are never changed again.
    """
    known = torch.from_numpy(covered)
    with torch.no_grad():
        weight = embedding.weight
        rest = ~known
        rest[PAD_ID] = False
        spread = float(matrix[covered].std())
        if rest.any() and spread > 0:
            weight[rest] *= spread / weight[rest].std()
        weight[known] = torch.from_numpy(matrix[covered])
    if HELD in dict(embedding.named_buffers()):
        embedding.get_buffer(HELD)[known] = 1
