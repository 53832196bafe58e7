"""Sizes of a network, and the shapes and numbers of its parameters that follow from them.

Imports no torch, so that a saved classifier can be checked without it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from nlp_rnn.errors import ConfigError
from nlp_rnn.layers.cell_interface import Cell
from nlp_rnn.layers.cells import AVERAGE, recurrent_cell
from nlp_rnn.layers.poolings import POOLINGS

__all__ = ["Architecture", "check_size", "direction_weights", "pooling_weights"]

ENCODER, POOLING = "encoder.rnn.", "pooling."

T = TypeVar("T")

MOST_BYTES = 2**31 - 2**24
"""Largest size of all parameters: an ONNX graph of 2 GiB holds slightly more than these."""


@dataclass(frozen=True)
class Architecture:
    """Everything that determines the shapes of a network's parameters.

    Parameters
    ----------
    cell : str
        Name of a cell in `nlp_rnn.layers.cells.CELLS`, or `average`: no recurrence, the pooled
        embeddings are classified directly, and `hidden_size`, `num_layers` and `bidirectional`
        are 0, 0 and False.
    vocab_size, num_labels : int
        Tokens of the vocabulary, and labels.
    embedding_size : int
        E, features of an embedding.
    hidden_size : int
        H, features of a state in one direction.
    num_layers : int
        Recurrent layers.
    bidirectional : bool
        Whether texts are processed from right to left too.
    pooling : str
        Name of a pooling in `nlp_rnn.layers.poolings.POOLINGS`.
    ngrams : int
        Largest number of tokens in an n-gram of the n-gram path; 0 without such a path.
    ngram_buckets : int
        Rows of the n-gram table that n-grams of two or more tokens share by hashing. Each single
        token has a row of its own.
    """

    cell: str
    vocab_size: int
    num_labels: int
    embedding_size: int
    hidden_size: int
    num_layers: int
    bidirectional: bool
    pooling: str
    ngrams: int = 0
    ngram_buckets: int = 0

    @property
    def num_directions(self) -> int:
        """2 when bidirectional, else 1."""
        return 2 if self.bidirectional else 1

    @property
    def output_size(self) -> int:
        """Features of one step after the encoder (D)."""
        if self.cell == AVERAGE:
            return self.embedding_size
        return self.hidden_size * self.num_directions

    @property
    def pooled_size(self) -> int:
        """Features of one text after pooling (P)."""
        return POOLINGS[self.pooling].pooled_size(self.output_size)

    @property
    def ngram_table_rows(self) -> int:
        """Rows of the n-gram path's table; 0 without one."""
        return self.vocab_size + self.ngram_buckets if self.ngrams else 0

    def direction_suffixes(self) -> list[str]:
        """Return the suffix of each layer and direction in parameter names: `l0`, `l0_reverse` …"""
        sides = ("", "_reverse")[: self.num_directions]
        return [f"l{layer}{side}" for layer in range(self.num_layers) for side in sides]

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of every parameter of the network, by torch's name."""
        shapes: dict[str, tuple[int, ...]] = {
            "embedding.weight": (self.vocab_size, self.embedding_size)
        }
        if (cell := recurrent_cell(self.cell)) is not None:
            for suffix in self.direction_suffixes():
                size = self.embedding_size if suffix.startswith("l0") else self.output_size
                one_direction = cell.parameter_shapes(size, self.hidden_size)
                shapes |= {f"{ENCODER}{n}_{suffix}": shape for n, shape in one_direction.items()}
        pooling = POOLINGS[self.pooling].parameter_shapes(self.output_size)
        shapes |= {POOLING + name: shape for name, shape in pooling.items()}
        if self.ngrams:
            shapes["wide.table.weight"] = (self.ngram_table_rows, self.num_labels)
        shapes["head.weight"] = (self.num_labels, self.pooled_size)
        shapes["head.bias"] = (self.num_labels,)
        return shapes

    def parameter_counts(self) -> dict[str, int]:
        """Return the number of parameters by part.

        The parts are `embedding`, `recurrent`, `wide` (only with an n-gram path), `head` (pooling
        included) and `total`.
        """
        parts = {"encoder": "recurrent", "pooling": "head"}
        counts = {"embedding": 0, "recurrent": 0, **({"wide": 0} if self.ngrams else {}), "head": 0}
        for name, shape in self.parameter_shapes().items():
            part = name.split(".")[0]
            counts[parts.get(part, part)] += math.prod(shape)
        return {**counts, "total": sum(counts.values())}


def check_size(architecture: Architecture) -> None:
    """Check that a classifier can hold the network with its n-gram path.

    Raises
    ------
    ConfigError
        The table of the n-gram path makes the network too large.
    """
    total, labels = architecture.parameter_counts()["total"], architecture.num_labels
    if architecture.ngrams and 4 * total > MOST_BYTES:
        rest = MOST_BYTES // 4 - total + architecture.ngram_buckets * labels
        raise ConfigError(
            f"model.ngram_buckets={architecture.ngram_buckets} for {labels} labels needs "
            f"{4 * total / 2**30:.1f} GiB, and a classifier has at most 2 GiB.\n"
            f"Set model.ngram_buckets={max(1, rest // labels)} or fewer."
        )


def direction_weights(cell: Cell, weights: Mapping[str, T], suffix: str) -> dict[str, T]:
    """Select the parameters of one direction of a layer, under the names that the cell gives them.

    `weights` are all parameters by torch's names, `suffix` is one of
    `Architecture.direction_suffixes`.
    """
    return {name: weights[f"{ENCODER}{name}_{suffix}"] for name in cell.parameter_shapes(1, 1)}


def pooling_weights(weights: Mapping[str, T]) -> dict[str, T]:
    """Select the parameters of the pooling, under the names that the pooling gives them."""
    return {
        name.removeprefix(POOLING): value
        for name, value in weights.items()
        if name.startswith(POOLING)
    }
