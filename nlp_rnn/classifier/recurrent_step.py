"""Step-by-step network for streams: logits after every token, in numpy.

It runs on the parameters of `model.safetensors`, so a classifier folder needs no second graph. A
step takes as long as in onnxruntime (128 hidden units, one text or hundreds).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.layers.cell_interface import Cell
from nlp_rnn.layers.cells import recurrent_cell
from nlp_rnn.layers.poolings import POOLINGS
from nlp_rnn.model.architecture import Architecture, direction_weights, pooling_weights

__all__ = ["State", "StepNetwork"]

State = dict[str, NDArray[Any]]
"""State of n streams: arrays (n, …) by name. The names depend on the network."""

Array = NDArray[np.float32]


class StepNetwork:
    """One-directional network that processes one token at a time, for any number of streams.

    Guarantee: after the last token of a text the logits equal those of the whole text within 1e-5,
    whatever the other streams contain.

    Parameters
    ----------
    architecture : Architecture
        Sizes of the network, which must not be bidirectional.
    weights : mapping of str to float32 array
        The parameters by torch's names.
    """

    def __init__(self, architecture: Architecture, weights: Mapping[str, Array]) -> None:
        self.architecture = architecture
        self._embedding = weights["embedding.weight"]
        self._cells: list[tuple[Cell, Any, list[str]]] = []  # by layer: weights, names of states
        if (cell := recurrent_cell(architecture.cell)) is not None:
            for layer, suffix in enumerate(architecture.direction_suffixes()):
                prepared = cell.prepare(direction_weights(cell, weights, suffix))
                names = [f"{name}{layer}" for name in cell.state_names]
                self._cells.append((cell, prepared, names))
        self._pooling = POOLINGS[architecture.pooling]
        self._pooling_weights = self._pooling.prepare(pooling_weights(weights))
        self._head = np.ascontiguousarray(weights["head.weight"].T)
        self._head_bias = weights["head.bias"]

    def start(self, streams: int) -> State:
        """Return the state of `streams` streams before their first token."""
        sizes = self.architecture
        if not self._cells and self._pooling.from_final_state:
            raise ValueError(f"the pooling {sizes.pooling} needs a recurrent network")
        state = self._pooling.start(streams, sizes.output_size)
        for name in (name for _, _, names in self._cells for name in names):
            state[name] = np.zeros((streams, sizes.hidden_size), np.float32)
        return state

    def read(self, state: State, tokens: NDArray[np.int64]) -> Array:
        """Return logits (n, C) after one more token int64 (n,) of n streams.

        `state` is updated in place.
        """
        return self._logits(self._step(state, self._embedding[tokens]))

    def read_all(self, state: State, tokens: Sequence[int]) -> Array:
        """Return logits (T, C) after each of the T >= 1 `tokens` of one stream.

        `state` is updated in place.
        """
        # slices, which are views; an index would copy
        pooled = [self._step(state, self._embedding[token : token + 1]) for token in tokens]
        return self._logits(pooled[0] if len(pooled) == 1 else np.concatenate(pooled))

    def _step(self, state: State, steps: Array) -> Array:
        """Return the pooled states (n, P) after one more embedding (n, E) of each stream."""
        for cell, layer, names in self._cells:
            after, _ = cell.step(layer, tuple(state[name] for name in names), steps)
            state.update(zip(names, after, strict=True))
            steps = after[0]
        return self._pooling.step(self._pooling_weights, state, steps)

    def _logits(self, pooled: Array) -> Array:
        logits: Array = pooled @ self._head
        logits += self._head_bias
        return logits
