"""Gate activations and hidden states of a recurrent encoder, and the half-lives they imply.

The cells are written out step by step in numpy, as torch defines them. A test checks that the
states equal those of torch's layers.

A half-life is the number of tokens after which half of a unit's content is lost. It counts only
what the gates let pass directly. A network can also write its content again through the recurrent
matrix, so the gradient may reach further back than the half-life.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.model.architecture import Architecture

__all__ = [
    "GATE_NAMES",
    "LONGEST_HALF_LIFE",
    "LayerTrace",
    "MemorySummary",
    "half_lives",
    "summarize_half_lives",
    "trace_layers",
]

Array = NDArray[np.float32]

GATE_NAMES = {"lstm": ("input", "forget", "output"), "gru": ("reset", "update"), "rnn": ()}
"""Names of the gates of each cell. All values lie between 0 and 1; a plain RNN has no gates."""

LONGEST_HALF_LIFE = 1e6
"""Upper limit of a half-life in tokens; a gate that never closes would have an infinite one."""


@dataclass(frozen=True)
class LayerTrace:
    """Activations of one layer in one direction over T tokens, in the order of the text.

    Attributes
    ----------
    layer : int
        Index of the layer, from 0.
    backward : bool
        Whether this direction reads from the end of the text.
    gates : dict of str to float32 (T, H)
        Gate activations by the name of the gate, between 0 and 1.
    states : float32 (T, H)
        Hidden states, the output of the layer.
    retention : float32 (T, H) or None
        Share of a unit's previous content that it retains at each token: the forget gate of an
        LSTM, the update gate of a GRU. None for a plain RNN, which has no such gate.
    """

    layer: int
    backward: bool
    gates: dict[str, Array]
    states: Array
    retention: Array | None

    @property
    def name(self) -> str:
        """Human-readable name of the layer and direction."""
        return f"layer {self.layer + 1}, {'right to left' if self.backward else 'left to right'}"

    def saturated(self, name: str) -> tuple[float, float]:
        """Return the shares of a gate's values below 0.1 and above 0.9, over tokens and units.

        Saturation of gates: Karpathy et al. 2015, arXiv:1506.02078.
        """
        values = self.gates[name]
        return float((values < 0.1).mean()), float((values > 0.9).mean())

    def active_units(self, number: int) -> NDArray[np.int64]:
        """Return the `number` units whose states vary most over the text, the most active first."""
        order: NDArray[np.int64] = np.argsort(-self.states.std(axis=0), kind="stable")[:number]
        return order


@dataclass(frozen=True)
class MemorySummary:
    """Distribution of the half-lives over the H units of a layer.

    Attributes
    ----------
    median, percentile_90, longest : float
        In tokens.
    share_beyond_text : float
        Share of the units whose half-life is longer than the text.
    """

    median: float
    percentile_90: float
    longest: float
    share_beyond_text: float


def trace_layers(
    architecture: Architecture, weights: Mapping[str, Array], ids: NDArray[np.int64]
) -> list[LayerTrace]:
    """Run the encoder over one text and record the activations of every layer and direction.

    Parameters
    ----------
    architecture : Architecture
        Architecture of the network.
    weights : mapping of str to float32 array
        Weights by the names that they have in `model.safetensors`.
    ids : int64 (T,)
        Token ids of the text.

    Returns
    -------
    list of LayerTrace
        Ordered by layer; left to right comes before right to left. Empty for the average of
        embeddings, which has no recurrent layer.
    """
    steps = weights["embedding.weight"][ids]  # (T, E)
    traces: list[LayerTrace] = []
    for layer in range(architecture.num_layers):
        directions = []
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
            retention = gates.get("forget", gates.get("update"))
            directions.append(LayerTrace(layer, backward, gates, states, retention))
        traces += directions
        steps = np.concatenate([direction.states for direction in directions], axis=1)  # (T, D)
    return traces


def half_lives(trace: LayerTrace) -> NDArray[np.float64] | None:
    """Return the half-life of each unit over the text in tokens, float64 (H,).

    A unit that retains the shares k₁ … k_T retains their product over the whole text. The
    half-life spreads this loss evenly over the tokens: T ln 2 / -Σ ln k. The result is None for a
    layer without a forget or update gate.
    """
    if trace.retention is None:
        return None
    loss = -np.log(np.clip(trace.retention.astype(np.float64), 1e-30, 1.0)).mean(axis=0)
    lives: NDArray[np.float64] = np.minimum(np.log(2) / np.maximum(loss, 1e-12), LONGEST_HALF_LIFE)
    return lives


def summarize_half_lives(lives: NDArray[np.float64], num_tokens: int) -> MemorySummary:
    """Summarize the half-lives float64 (H,) of a layer for a text of `num_tokens` tokens."""
    return MemorySummary(
        median=float(np.median(lives)),
        percentile_90=float(np.quantile(lives, 0.9)),
        longest=float(lives.max()),
        share_beyond_text=float((lives > num_tokens).mean()),
    )


def _sigmoid(values: Array) -> Array:
    # the form with tanh cannot overflow
    result: Array = 0.5 * np.tanh(0.5 * values) + np.float32(0.5)
    return result


def _lstm(
    steps: Array, weight_ih: Array, weight_hh: Array, bias_ih: Array, bias_hh: Array
) -> tuple[dict[str, Array], Array]:
    """Run an LSTM: c = f ⊙ c + i ⊙ g, h = o ⊙ tanh(c). Torch stores the gates as i, f, g, o."""
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
    """Run a GRU: h = z ⊙ h + (1 - z) ⊙ n. Torch stores r, z, n and applies r to U h + b."""
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
    """Run an Elman RNN: h = tanh(W x + U h + b). It has no gates."""
    inputs = steps @ weight_ih.T + bias_ih + bias_hh
    states = np.empty((len(steps), weight_hh.shape[1]), np.float32)
    state = np.zeros(weight_hh.shape[1], np.float32)
    for step in range(len(steps)):
        state = np.tanh(inputs[step] + weight_hh @ state)
        states[step] = state
    return {}, states
