"""Sizes of a network, and the shapes and numbers of its parameters that follow from them.

Imports no torch, so that a saved classifier can be checked without it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from nlp_rnn.layers.cell_interface import Cell
from nlp_rnn.layers.cells import AVERAGE, recurrent_cell
from nlp_rnn.layers.poolings import POOLINGS

__all__ = ["Architecture", "direction_weights", "pooling_weights"]

ENCODER, POOLING = "encoder.rnn.", "pooling."

T = TypeVar("T")


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
    ngrams, ngram_buckets : int
        Sizes of a table of n-grams of tokens inside the network, which only classifiers in format 3
        have: largest number of tokens in an n-gram, and rows for n-grams of two or more tokens.
        Their ONNX graph computes it; there is no other implementation.
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
            rows = self.vocab_size + self.ngram_buckets
            shapes["wide.table.weight"] = (rows, self.num_labels)
        shapes["head.weight"] = (self.num_labels, self.pooled_size)
        shapes["head.bias"] = (self.num_labels,)
        return shapes

    def parameter_counts(self) -> dict[str, int]:
        """Return the number of parameters by part.

        The parts are `embedding`, `recurrent`, `head` (pooling included) and `total`.
        """
        parts = {"encoder": "recurrent", "pooling": "head"}
        counts = {"embedding": 0, "recurrent": 0, "head": 0}
        for name, shape in self.parameter_shapes().items():
            part = name.split(".")[0]
            part = parts.get(part, part)
            counts[part] = counts.get(part, 0) + math.prod(shape)
        return {**counts, "total": sum(counts.values())}


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
