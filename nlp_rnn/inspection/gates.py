"""Gate activations and hidden states of a recurrent encoder, and the half-lives they imply.

The cells run step by step in numpy. A test checks that the states equal those of torch's layers.

A half-life is the number of tokens after which half of a unit's content is lost. It
includes only the path through the gates. A network can also pass content on through the recurrent
matrix, so the gradient may reach further back than the half-life.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.layers.cell_interface import Cell
from nlp_rnn.layers.cells import recurrent_cell
from nlp_rnn.model.architecture import Architecture, direction_weights

__all__ = [
    "LONGEST_HALF_LIFE",
    "LayerTrace",
    "MemorySummary",
    "half_lives",
    "summarize_half_lives",
    "trace_layers",
]

Array = NDArray[np.float32]

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
    if (cell := recurrent_cell(architecture.cell)) is None:
        return traces
    for layer in range(architecture.num_layers):
        directions = []
        for backward in (False, True)[: architecture.num_directions]:
            suffix = f"l{layer}{'_reverse' if backward else ''}"
            parameters = direction_weights(cell, weights, suffix)
            inputs = steps[::-1] if backward else steps
            gates, states = _run_direction(cell, parameters, inputs, architecture.hidden_size)
            if backward:
                states = states[::-1]
                gates = {name: values[::-1] for name, values in gates.items()}
            retention = None if cell.keep_gate is None else gates[cell.keep_gate]
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


def _run_direction(
    cell: Cell, weights: Mapping[str, Array], inputs: Array, hidden_size: int
) -> tuple[dict[str, Array], Array]:
    """Return the gates by name and the states, (T, H) each, of one direction over (T, features)."""
    layer = cell.prepare(weights)
    before = (np.zeros((1, hidden_size), np.float32),) * len(cell.state_names)
    states, gates = [], []
    for step in range(len(inputs)):
        before, activations = cell.step(layer, before, inputs[step : step + 1])
        states.append(before[0])
        gates.append(activations.copy())
    columns = np.split(np.concatenate(gates), len(cell.sigmoid_gates) or 1, axis=1)
    return dict(zip(cell.sigmoid_gates, columns, strict=False)), np.concatenate(states)
