"""The parameters of a one-direction network become probabilities after every token, state carried.

In numpy, on the parameters of `model.safetensors`: a step takes as long as onnxruntime takes for
it (128 hidden, one text or hundreds), and the folder needs no second graph.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.classifier.ngram_scores import StepWidePath
from nlp_rnn.model.architecture import GATES, Architecture

__all__ = ["State", "StepNetwork"]

State = dict[str, NDArray[Any]]
"""What n streams remember, the first axis n; which arrays there are depends on the network."""

Array = NDArray[np.float32]


@dataclass(frozen=True)
class _Layer:
    """One layer, ready to multiply from the right; gates between 0 and 1 are tanh of a half.

    `input` (features, G·H), `recurrent` (H, G·H), `bias` (G·H,), `new_bias` (H,) of the GRU.
    """

    input: Array
    recurrent: Array
    bias: Array
    new_bias: Array


class StepNetwork:
    """A network that reads left to right, a token at a time, for any number of streams.

    Promise: after the last token of a text the probabilities are those of the whole text, within
    1e-5, whatever the other streams read.
    """

    def __init__(
        self, architecture: Architecture, weights: Mapping[str, Array], multi_label: bool = False
    ) -> None:
        """Take the parameters by torch's names; `architecture` is not bidirectional.

        With `multi_label` each label has a probability of its own.
        """
        self._multi_label = multi_label
        self.architecture = architecture
        self._embedding = weights["embedding.weight"]
        self._layers = [_layer(architecture, weights, n) for n in range(architecture.num_layers)]
        self._head = np.ascontiguousarray(weights["head.weight"].T)
        self._head_bias = weights["head.bias"]
        if architecture.pooling == "attention":
            self._projection = np.ascontiguousarray(weights["pooling.projection.weight"].T)
            self._projection_bias = weights["pooling.projection.bias"]
            self._query = weights["pooling.query"]
        self._wide = (
            StepWidePath(architecture, weights["wide.table.weight"])
            if architecture.ngrams
            else None
        )
        steps: dict[str, Callable[..., Array]] = {"lstm": _lstm, "gru": _gru, "rnn": _rnn}
        self._cell = steps.get(architecture.cell)

    def start(self, streams: int) -> State:
        """What `streams` streams remember before their first token."""
        sizes = self.architecture
        state: State = {}
        for layer in range(sizes.num_layers):
            state[f"hidden{layer}"] = np.zeros((streams, sizes.hidden_size), np.float32)
            if sizes.cell == "lstm":
                state[f"cell{layer}"] = np.zeros((streams, sizes.hidden_size), np.float32)
        if sizes.pooling in ("max", "max_mean"):
            state["max"] = np.full((streams, sizes.output_size), -np.inf, np.float32)
        if sizes.pooling in ("mean", "max_mean"):
            # float64, so that a stream of millions of tokens loses nothing
            state["total"] = np.zeros((streams, sizes.output_size))
            state["count"] = np.zeros((streams, 1))
        if sizes.pooling == "attention":
            state["score"] = np.full((streams, 1), -np.inf, np.float32)
            state["weight"] = np.zeros((streams, 1))
            state["total"] = np.zeros((streams, sizes.output_size))
        if self._wide is not None:
            state |= self._wide.start(streams)
        if sizes.cell == "average" and sizes.pooling == "last":
            raise ValueError("the average of embeddings has no last state")
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
        """One token's embeddings (n, E) become pooled states (n, P)."""
        if self._cell is not None:
            for number, layer in enumerate(self._layers):
                steps = self._cell(layer, state, number, steps)
        match self.architecture.pooling:
            case "last":
                return steps
            case "max":
                return _running_max(state, steps).copy()  # the state itself goes on
            case "mean":
                return _running_mean(state, steps)
            case "max_mean":
                return np.concatenate(
                    [_running_max(state, steps), _running_mean(state, steps)], axis=1
                )
        return self._attend(state, steps)

    def _attend(self, state: State, steps: Array) -> Array:
        """The attention-weighted mean so far: softmax with a running maximum.

        Milakov & Gimelshein 2018, arXiv:1805.02867.
        """
        projected = np.tanh(steps @ self._projection + self._projection_bias)
        score = (projected @ self._query)[:, None]
        highest = np.maximum(state["score"], score)
        keep = np.exp(state["score"] - highest)
        share = np.exp(score - highest)
        state["score"] = highest
        state["weight"] = state["weight"] * keep + share
        state["total"] = state["total"] * keep + share * steps
        pooled: Array = (state["total"] / state["weight"]).astype(np.float32)
        return pooled

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


def _layer(architecture: Architecture, weights: Mapping[str, Array], number: int) -> _Layer:
    """The parameters of one layer: gates that a sigmoid bounds halved, the LSTM's in a row."""
    hidden = architecture.hidden_size
    gates = GATES[architecture.cell]
    # torch's order. LSTM: input, forget, cell, output; GRU: reset, update, new.
    order = {"lstm": (0, 1, 3, 2), "gru": (0, 1, 2), "rnn": (0,)}[architecture.cell]
    bounded = gates - 1  # all but the last of `order` are sigmoids
    scale = np.repeat([0.5] * bounded + [1.0], hidden).astype(np.float32)

    def part(name: str) -> Array:
        blocks = np.split(weights[f"encoder.rnn.{name}_l{number}"], gates)
        joined: Array = np.concatenate([blocks[gate] for gate in order])
        return (joined.T * scale).copy()

    bias, recurrent_bias = part("bias_ih"), part("bias_hh")
    new_bias = recurrent_bias[-hidden:].copy()
    if architecture.cell == "gru":
        recurrent_bias[-hidden:] = 0  # it acts inside the reset gate's product
    return _Layer(part("weight_ih"), part("weight_hh"), bias + recurrent_bias, new_bias)


def _lstm(layer: _Layer, state: State, number: int, steps: Array) -> Array:
    hidden, cell = state[f"hidden{number}"], state[f"cell{number}"]
    size = hidden.shape[1]
    gates = steps @ layer.input
    gates += hidden @ layer.recurrent
    gates += layer.bias
    np.tanh(gates, out=gates)
    bounded = gates[:, : 3 * size]
    bounded *= 0.5
    bounded += 0.5
    new_cell = bounded[:, size : 2 * size] * cell
    new_cell += bounded[:, :size] * gates[:, 3 * size :]
    new_hidden: Array = np.tanh(new_cell)
    new_hidden *= bounded[:, 2 * size :]
    state[f"hidden{number}"], state[f"cell{number}"] = new_hidden, new_cell
    return new_hidden


def _gru(layer: _Layer, state: State, number: int, steps: Array) -> Array:
    hidden = state[f"hidden{number}"]
    size = hidden.shape[1]
    inputs = steps @ layer.input
    inputs += layer.bias
    recurrent = hidden @ layer.recurrent
    gates = inputs[:, : 2 * size]
    gates += recurrent[:, : 2 * size]
    np.tanh(gates, out=gates)
    gates *= 0.5
    gates += 0.5
    new = recurrent[:, 2 * size :]
    new += layer.new_bias
    new *= gates[:, :size]
    new += inputs[:, 2 * size :]
    np.tanh(new, out=new)
    new_hidden: Array = hidden - new
    new_hidden *= gates[:, size:]
    new_hidden += new
    state[f"hidden{number}"] = new_hidden
    return new_hidden


def _rnn(layer: _Layer, state: State, number: int, steps: Array) -> Array:
    sums = steps @ layer.input
    sums += state[f"hidden{number}"] @ layer.recurrent
    sums += layer.bias
    new_hidden: Array = np.tanh(sums, out=sums)
    state[f"hidden{number}"] = new_hidden
    return new_hidden


def _running_max(state: State, steps: Array) -> Array:
    highest: Array = state["max"]
    np.maximum(highest, steps, out=highest)
    return highest


def _running_mean(state: State, steps: Array) -> Array:
    total = state["total"]
    total += steps
    count = state["count"]
    count += 1
    mean: Array = np.divide(total, count, out=np.empty_like(steps), casting="same_kind")
    return mean
