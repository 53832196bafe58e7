"""The parameters of a one-direction network become probabilities after every token, state carried.

In numpy, on the parameters of `model.safetensors`: a step takes as long as onnxruntime takes for
it (128 hidden, one text or hundreds), and the folder needs no second graph.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.classifier.ngram_scores import StepWidePath
from nlp_rnn.layers.cell_interface import Cell
from nlp_rnn.layers.cells import recurrent_cell
from nlp_rnn.layers.poolings import POOLINGS
from nlp_rnn.model.architecture import Architecture, direction_weights, pooling_weights

__all__ = ["State", "StepNetwork"]

State = dict[str, NDArray[Any]]
"""What n streams remember, the first axis n; which arrays there are depends on the network."""

Array = NDArray[np.float32]


class StepNetwork:
    """A network that reads left to right, a token at a time, for any number of streams.

    Promise: after the last token of a text the probabilities are those of the whole text, within
    1e-5, whatever the other streams read.
    """

    def __init__(
        self, architecture: Architecture, weights: Mapping[str, Array], multi_label: bool = False
    ) -> None:
        self._multi_label = multi_label
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
        self._wide = (
            StepWidePath(architecture, weights["wide.table.weight"])
            if architecture.ngrams
            else None
        )

    def start(self, streams: int) -> State:
        """Return what `streams` streams remember before their first token."""
        sizes = self.architecture
        if not self._cells and self._pooling.from_final_state:
            raise ValueError(f"the pooling {sizes.pooling} needs a recurrent network")
        state = self._pooling.start(streams, sizes.output_size)
        for name in (name for _, _, names in self._cells for name in names):
            state[name] = np.zeros((streams, sizes.hidden_size), np.float32)
        if self._wide is not None:
            state |= self._wide.start(streams)
        return state

    def read(self, state: State, tokens: NDArray[np.int64]) -> Array:
        """Probabilities (n, C) after one more token int64 (n,) each; `state` is changed."""
        pooled = self._step(state, self._embedding[tokens])
        wide = None if self._wide is None else self._wide.read(state, tokens)
        return self._answer(pooled, wide)

    def read_all(self, state: State, tokens: Sequence[int]) -> Array:
        """Probabilities (T, C) after each of the `tokens`, at least one, of one stream."""
        # slices, which are views; an index would copy
        pooled = [self._step(state, self._embedding[token : token + 1]) for token in tokens]
        wide = None
        if self._wide is not None:
            wide = np.concatenate([self._wide.read(state, np.array([token])) for token in tokens])
        return self._answer(pooled[0] if len(pooled) == 1 else np.concatenate(pooled), wide)

    def _step(self, state: State, steps: Array) -> Array:
        """Return the pooled states (n, P) after one more embedding (n, E) of each stream."""
        for cell, layer, names in self._cells:
            after, _ = cell.step(layer, tuple(state[name] for name in names), steps)
            state.update(zip(names, after, strict=True))
            steps = after[0]
        return self._pooling.step(self._pooling_weights, state, steps)

    def _answer(self, pooled: Array, wide: Array | None) -> Array:
        logits: Array = pooled @ self._head
        logits += self._head_bias
        if wide is not None:
            logits += wide
        if self._multi_label:  # a sigmoid is a tanh of a half, and overflows as little
            logits *= 0.5
            np.tanh(logits, out=logits)
            logits *= 0.5
            logits += 0.5
            return logits
        logits -= np.maximum.reduce(logits, axis=1, keepdims=True)
        np.exp(logits, out=logits)
        logits /= np.add.reduce(logits, axis=1, keepdims=True)
        return logits
