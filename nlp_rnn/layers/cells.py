"""Recurrent cells: LSTM, GRU and Elman RNN, and the registry of all of them.

A cell is one class with the shapes of its parameters, its gates, its ONNX nodes, and one step in
numpy for streams and for `nlp-rnn inspect`. Its torch function is imported only when a network is
created, so that a saved classifier loads without torch. One line in `CELLS` registers it.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from nlp_rnn.layers.cell_interface import Array, Cell, States, Weights

if TYPE_CHECKING:
    from nlp_rnn.layers.cell_functions import CellFunction
    from nlp_rnn.layers.onnx_graph import Graph

__all__ = ["AVERAGE", "CELLS", "GRU", "LSTM", "RNN", "recurrent_cell"]

AVERAGE = "average"
"""The value of `model.cell` that stands for no recurrence: embeddings are pooled directly."""


class _TorchCell(Cell):
    """Base class of LSTM, GRU and RNN: one ONNX operator per layer, one block of rows per gate.

    The numpy step computes sigmoid(a) as (1 + tanh(a / 2)) / 2, which is faster and never
    overflows. `prepare` therefore puts the sigmoid gates first and halves their weights.
    """

    operator: str
    onnx_gates: tuple[str, ...]
    onnx_attributes: ClassVar[dict[str, Any]] = {}

    def add_layer(
        self,
        graph: "Graph",
        layer: int,
        steps: str,
        weights: Sequence[Weights],
        hidden_size: int,
        final: bool,
    ) -> str:
        """Add the ONNX operator of a layer, with its parameters in ONNX's order of the gates."""

        def gates(parameters: Weights, name: str) -> Array:
            return self._blocks(parameters[name], self.onnx_gates)

        inputs = [
            steps,
            graph.matrix(
                f"layer{layer}_W", [gates(parameters, "weight_ih") for parameters in weights]
            ),
            graph.matrix(
                f"layer{layer}_R", [gates(parameters, "weight_hh") for parameters in weights]
            ),
            graph.constant(
                f"layer{layer}_B",
                [
                    np.concatenate([gates(parameters, "bias_ih"), gates(parameters, "bias_hh")])
                    for parameters in weights
                ],
            ),
            "lengths_int32",
        ]
        return graph.node(
            self.operator,
            inputs,
            ["", "final"] if final else [f"layer{layer}_states"],
            hidden_size=hidden_size,
            direction="bidirectional" if len(weights) == 2 else "forward",
            **self.onnx_attributes,
        )

    def prepare(self, weights: Weights) -> Any:
        """Return input weights (features, K·H), recurrent weights (H, K·H), and both biases (K·H,).

        K is the number of `gates`, whose blocks are columns here.
        """
        hidden = weights["weight_hh"].shape[1]
        others = tuple(gate for gate in self.gates if gate not in self.sigmoid_gates)
        halves = [0.5] * len(self.sigmoid_gates) + [1.0] * len(others)
        scale = np.repeat(halves, hidden).astype(np.float32)

        def part(name: str) -> Array:
            joined = self._blocks(weights[name], self.sigmoid_gates + others)
            return (joined.T * scale).copy()

        return part("weight_ih"), part("weight_hh"), part("bias_ih"), part("bias_hh")

    def _blocks(self, parameter: Array, order: Sequence[str]) -> Array:
        """Return a parameter with the blocks of rows of its gates in the given order of names."""
        blocks = np.split(np.asarray(parameter), len(self.gates))
        return np.concatenate([blocks[self.gates.index(gate)] for gate in order])


class LSTM(_TorchCell):
    """Long short-term memory, Hochreiter & Schmidhuber 1997, with a forget gate.

    Gers et al. 2000: c = f ⊙ c + i ⊙ g, h = o ⊙ tanh(c).
    """

    gates = ("input", "forget", "cell", "output")
    sigmoid_gates = ("input", "forget", "output")
    keep_gate = "forget"
    state_names = ("hidden", "cell")
    operator, onnx_gates = "LSTM", ("input", "output", "forget", "cell")
    cudnn_mode = "LSTM"
    onednn = True

    def function(self) -> "CellFunction":
        """Return `run_lstm`."""
        from nlp_rnn.layers.cell_functions import run_lstm

        return run_lstm

    def prepare(self, weights: Weights) -> Any:
        """Return the weights, and the sum of both biases."""
        inputs, recurrent, bias, hidden_bias = super().prepare(weights)
        return inputs, recurrent, bias + hidden_bias

    def step(self, layer: Any, before: States, inputs: Array) -> tuple[States, Array]:
        """Compute one step, with one product of the inputs and one of the states for all gates."""
        input_weight, recurrent_weight, bias = layer
        hidden, cell = before
        size = hidden.shape[1]
        gates = inputs @ input_weight
        gates += hidden @ recurrent_weight
        gates += bias
        np.tanh(gates, out=gates)
        bounded = gates[:, : 3 * size]
        bounded *= 0.5
        bounded += 0.5
        new_cell = bounded[:, size : 2 * size] * cell
        new_cell += bounded[:, :size] * gates[:, 3 * size :]
        new_hidden: Array = np.tanh(new_cell)
        new_hidden *= bounded[:, 2 * size :]
        return (new_hidden, new_cell), bounded


class GRU(_TorchCell):
    """Gated recurrent unit, Cho et al. 2014, arXiv:1406.1078: h = z ⊙ h + (1 - z) ⊙ n.

    As in torch, the reset gate multiplies the recurrent product of n, not the state before this
    product. So published weights of the original cell cannot be loaded.
    """

    gates = ("reset", "update", "new")
    sigmoid_gates = ("reset", "update")
    keep_gate = "update"
    operator, onnx_gates = "GRU", ("update", "reset", "new")
    onnx_attributes: ClassVar[dict[str, Any]] = {"linear_before_reset": 1}
    cudnn_mode = "GRU"

    def function(self) -> "CellFunction":
        """Return `run_gru`."""
        from nlp_rnn.layers.cell_functions import run_gru

        return run_gru

    def prepare(self, weights: Weights) -> Any:
        """Return both weights, a bias of all gates, and the recurrent bias of `new` alone.

        The last one is multiplied by the reset gate, so it cannot be added to the others.
        """
        inputs, recurrent, bias, hidden_bias = super().prepare(weights)
        size = len(recurrent)
        new_bias = hidden_bias[2 * size :].copy()
        hidden_bias[2 * size :] = 0
        return inputs, recurrent, bias + hidden_bias, new_bias

    def step(self, layer: Any, before: States, inputs: Array) -> tuple[States, Array]:
        """Compute one step; the reset gate multiplies the recurrent product of `new`."""
        input_weight, recurrent_weight, bias, new_bias = layer
        (hidden,) = before
        size = hidden.shape[1]
        from_input = inputs @ input_weight
        from_input += bias
        recurrent = hidden @ recurrent_weight
        gates: Array = from_input[:, : 2 * size]
        gates += recurrent[:, : 2 * size]
        np.tanh(gates, out=gates)
        gates *= 0.5
        gates += 0.5
        new = recurrent[:, 2 * size :]
        new += new_bias
        new *= gates[:, :size]
        new += from_input[:, 2 * size :]
        np.tanh(new, out=new)
        new_hidden: Array = hidden - new
        new_hidden *= gates[:, size:]
        new_hidden += new
        return (new_hidden,), gates


class RNN(_TorchCell):
    """Elman RNN, Elman 1990, with tanh and without gates: h = tanh(W x + U h + b)."""

    gates = ("new",)
    operator, onnx_gates = "RNN", ("new",)
    cudnn_mode = "RNN_TANH"

    def function(self) -> "CellFunction":
        """Return `run_rnn`."""
        from nlp_rnn.layers.cell_functions import run_rnn

        return run_rnn

    def prepare(self, weights: Weights) -> Any:
        """Return the weights, and the sum of both biases."""
        inputs, recurrent, bias, hidden_bias = super().prepare(weights)
        return inputs, recurrent, bias + hidden_bias

    def step(self, layer: Any, before: States, inputs: Array) -> tuple[States, Array]:
        """Compute the state; the array of gates has no columns."""
        input_weight, recurrent_weight, bias = layer
        sums = inputs @ input_weight
        sums += before[0] @ recurrent_weight
        sums += bias
        hidden: Array = np.tanh(sums, out=sums)
        return (hidden,), hidden[:, :0]


CELLS: dict[str, Cell] = {"lstm": LSTM(), "gru": GRU(), "rnn": RNN()}
"""Every recurrent cell by the name that `model.cell` accepts; one entry registers a cell."""


def recurrent_cell(name: str) -> Cell | None:
    """Return the cell called `name`; None for `average`, which has no recurrence."""
    return None if name == AVERAGE else CELLS[name]
