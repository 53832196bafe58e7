"""Word vectors as rows of an embedding: initial values, or frozen."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nlp_rnn.tokens.tokenizer import PAD_ID

__all__ = ["prepare_freezing", "set_vectors"]

FROZEN = "frozen"


def prepare_freezing(embedding: nn.Embedding) -> None:
    """Block the gradient of the rows that `set_vectors` will freeze.

    The mask of these rows is a buffer: it is sent to other processes with the network, but it is
    not saved with it.
    """
    frozen = torch.zeros(embedding.num_embeddings, 1, dtype=torch.uint8)
    embedding.register_buffer(FROZEN, frozen, persistent=False)

    def without_frozen(gradient: Tensor) -> Tensor:
        mask = embedding.get_buffer(FROZEN)
        return gradient.masked_fill(mask.bool(), 0.0)

    embedding.weight.register_hook(without_frozen)  # type: ignore[no-untyped-call]


def set_vectors(
    embedding: nn.Embedding, matrix: NDArray[np.float32], covered: NDArray[np.bool_]
) -> None:
    """Write the rows of `matrix` (V, E) that are `covered` (V,) into `embedding`, unchanged.

    The other rows retain their random values, scaled to the standard deviation of the covered
    ones; padding stays 0. After `prepare_freezing` the covered rows never change again.
    """
    has_vector = torch.from_numpy(covered)
    with torch.no_grad():
        weight = embedding.weight
        rest = ~has_vector
        rest[PAD_ID] = False
        deviation = float(matrix[covered].std())
        if rest.any() and deviation > 0:
            weight[rest] *= deviation / weight[rest].std()
        weight[has_vector] = torch.from_numpy(matrix[covered])
    if FROZEN in dict(embedding.named_buffers()):
        embedding.get_buffer(FROZEN)[has_vector] = 1
