"""The parameters of a recurrent layer and a text become its gates and states at every token.

Written out step by step in numpy, as torch defines the cells; a test holds the states equal to
the layers that torch runs.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.model.architecture import Architecture

__all__ = [
    "GATE_NAMES",
    "LONGEST",
    "LayerTrace",
    "MemorySummary",
    "half_lives",
    "summarize",
    "trace",
]

Array = NDArray[np.float32]

GATE_NAMES = {"lstm": ("input", "forget", "output"), "gru": ("reset", "update"), "rnn": ()}
"""The gates of each cell, each between 0 and 1; a plain RNN has none."""

LONGEST = 1e6
"""A half-life, in tokens, is at most this: a gate that never lets go has none."""


@dataclass(frozen=True)
class LayerTrace:
    """One layer in one direction over T tokens, in the order of the text.

    Attributes:
        layer: from 0.
        backward: whether it reads from the end of the text.
        gates: by name, (T, H), between 0 and 1.
        states: (T, H), what the layer hands on.
        kept: (T, H), the share of what a unit held that it keeps at this token (LSTM: the forget
            gate; GRU: the update gate); None for a plain RNN, which has no such number.
    """

    layer: int
    backward: bool
    gates: dict[str, Array]
    states: Array
    kept: Array | None

    @property
    def name(self) -> str:
        """As a person would say it."""
        return f"layer {self.layer + 1}, {'right to left' if self.backward else 'left to right'}"

    def saturated(self, name: str) -> tuple[float, float]:
        """Share of a gate's values below 0.1 and above 0.9, over all tokens and units.

        Karpathy et al. 2015, arXiv:1506.02078.
        """
        values = self.gates[name]
        return float((values < 0.1).mean()), float((values > 0.9).mean())

    def active_units(self, number: int) -> NDArray[np.int64]:
        """The units whose states change most over the text, the most active first."""
        order: NDArray[np.int64] = np.argsort(-self.states.std(axis=0), kind="stable")[:number]
        return order


@dataclass(frozen=True)
class MemorySummary:
    """Half-lives in tokens over the H units of a layer: the median, the longest tenth, the longest.

    `beyond` is the share of units whose half-life is longer than the text.
    """

    median: float
    longest_tenth: float
    longest: float
    beyond: float


def trace(
    architecture: Architecture, weights: Mapping[str, Array], ids: NDArray[np.int64]
) -> list[LayerTrace]:
    """Run the encoder over token ids int64 (T,): by layer, left to right before right to left.

    `weights` are those of `model.safetensors`. No layer for the average of embeddings.
    """
    steps = weights["embedding.weight"][ids]  # (T, E)
    found: list[LayerTrace] = []
    for layer in range(architecture.num_layers):
        of_layer = []
        for backward in (False, True)[: architecture.num_directions]:
            suffix = f"l{layer}{'_reverse' if backward else ''}"
            parameters = [
                weights[f"encoder.rnn.{name}_{suffix}"]
                for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            ]
            inputs = steps[::-1] if backward else steps
            gates, states = {"lstm": _lstm, "gru": _gru, "rnn": _rnn}[architecture.cell](
                inputs, *parameters
            )
            if backward:
                states = states[::-1]
                gates = {name: values[::-1] for name, values in gates.items()}
            kept = gates.get("forget", gates.get("update"))
            of_layer.append(LayerTrace(layer, backward, gates, states, kept))
        found += of_layer
        steps = np.concatenate([each.states for each in of_layer], axis=1)  # (T, D)
    return found


def half_lives(trace: LayerTrace) -> NDArray[np.float64] | None:
    """The half-life of each unit over the text, in tokens, (H,); None without a gate that keeps.

    A unit that keeps the shares k₁ … k_T keeps their product over the text; the half-life is that
    of the same loss spread evenly, T ln 2 / -Σ ln k.
    """
    if trace.kept is None:
        return None
    loss = -np.log(np.clip(trace.kept.astype(np.float64), 1e-30, 1.0)).mean(axis=0)
    lives: NDArray[np.float64] = np.minimum(np.log(2) / np.maximum(loss, 1e-12), LONGEST)
    return lives


def summarize(lives: NDArray[np.float64], tokens: int) -> MemorySummary:
    """The half-lives (H,) of a layer over a text of so many `tokens`."""
    return MemorySummary(
        median=float(np.median(lives)),
        longest_tenth=float(np.quantile(lives, 0.9)),
        longest=float(lives.max()),
        beyond=float((lives > tokens).mean()),
    )


def _sigmoid(values: Array) -> Array:
    halved: Array = 0.5 * np.tanh(0.5 * values) + np.float32(0.5)  # overflows nowhere
    return halved


def _lstm(
    steps: Array, weight_ih: Array, weight_hh: Array, bias_ih: Array, bias_hh: Array
) -> tuple[dict[str, Array], Array]:
    """c = f ⊙ c + i ⊙ g, h = o ⊙ tanh(c); torch's order of gates is i, f, g, o."""
    time, hidden = len(steps), weight_hh.shape[1]
    inputs = steps @ weight_ih.T + bias_ih + bias_hh  # (T, 4H)
    gates = np.empty((time, 3, hidden), np.float32)
    states = np.empty((time, hidden), np.float32)
    state = cell = np.zeros(hidden, np.float32)
    for step in range(time):
        i, f, g, o = np.split(inputs[step] + weight_hh @ state, 4)
        i, f, o = _sigmoid(i), _sigmoid(f), _sigmoid(o)
        cell = f * cell + i * np.tanh(g)
        state = o * np.tanh(cell)
        gates[step], states[step] = (i, f, o), state
    return dict(zip(GATE_NAMES["lstm"], gates.transpose(1, 0, 2), strict=True)), states


def _gru(
    steps: Array, weight_ih: Array, weight_hh: Array, bias_ih: Array, bias_hh: Array
) -> tuple[dict[str, Array], Array]:
    """h = z ⊙ h + (1 - z) ⊙ n; torch's order is r, z, n, and r acts after the product with h."""
    time, hidden = len(steps), weight_hh.shape[1]
    inputs = steps @ weight_ih.T + bias_ih  # (T, 3H)
    gates = np.empty((time, 2, hidden), np.float32)
    states = np.empty((time, hidden), np.float32)
    state = np.zeros(hidden, np.float32)
    for step in range(time):
        input_r, input_z, input_n = np.split(inputs[step], 3)
        state_r, state_z, state_n = np.split(weight_hh @ state + bias_hh, 3)
        r, z = _sigmoid(input_r + state_r), _sigmoid(input_z + state_z)
        n = np.tanh(input_n + r * state_n)
        state = z * state + (1 - z) * n
        gates[step], states[step] = (r, z), state
    return dict(zip(GATE_NAMES["gru"], gates.transpose(1, 0, 2), strict=True)), states


def _rnn(
    steps: Array, weight_ih: Array, weight_hh: Array, bias_ih: Array, bias_hh: Array
) -> tuple[dict[str, Array], Array]:
    """h = tanh(W x + U h + b): no gates."""
    inputs = steps @ weight_ih.T + bias_ih + bias_hh
    states = np.empty((len(steps), weight_hh.shape[1]), np.float32)
    state = np.zeros(weight_hh.shape[1], np.float32)
    for step in range(len(steps)):
        state = np.tanh(inputs[step] + weight_hh @ state)
        states[step] = state
    return {}, states
