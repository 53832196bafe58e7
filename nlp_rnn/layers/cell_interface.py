"""Abstract base class of recurrent cells: what a new cell must implement.

A cell is run in three ways: by torch in training, by ONNX in a saved classifier, and step by step
in numpy for streams and for `nlp-rnn inspect`. B is the number of texts in a batch, T the number of
steps (tokens), H the hidden size and G the number of sigmoid gates.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

    from nlp_rnn.layers.cell_functions import CellFunction
    from nlp_rnn.layers.onnx_graph import Graph

__all__ = ["Array", "Cell", "States", "Weights"]

Array = NDArray[np.float32]
BACKWARD = "_reverse"
"""Suffix of the names that torch gives to parameters of the direction from right to left."""

Weights = Mapping[str, Array]
"""Parameters of one direction of a layer, by their names in `Cell.parameter_shapes`."""

States = tuple[Array, ...]
"""States of n texts after one step, each (n, H), in the order of `Cell.state_names`."""


class Cell(ABC):
    """Abstract recurrent cell: parameter shapes, torch function, ONNX nodes and numpy step.

    A subclass implements `function`, `prepare`, `step`, and either `add_step` or `add_layer`. The
    first of its states is also its output. Weight drop acts on the parameters whose names start
    with `weight_hh`.

    Attributes
    ----------
    gates : tuple of str
        Names of the blocks of H rows in the weights, in torch's order.
    sigmoid_gates : tuple of str
        The gates with a sigmoid activation, in the order in which `step` returns them and
        `nlp-rnn inspect` shows them.
    keep_gate : str or None
        The gate that multiplies the old state (LSTM: forget gate, GRU: update gate).
        `model.forget_bias` is its initial bias. None if the cell has no such gate; it then has no
        option `model.forget_bias`.
    state_names : tuple of str
        Names of the states that are passed from step to step, each (B, H).
    cudnn_mode : str or None
        Name of the cell in cuDNN, if its torch function calls cuDNN on a GPU.
    onednn : bool
        Whether torch computes the cell with oneDNN on a CPU.
    """

    gates: tuple[str, ...]
    sigmoid_gates: tuple[str, ...] = ()
    keep_gate: str | None = None
    state_names: tuple[str, ...] = ("hidden",)
    cudnn_mode: str | None = None
    onednn = False

    def parameter_shapes(self, input_size: int, hidden_size: int) -> dict[str, tuple[int, ...]]:
        """Return the shape of each parameter of one direction of a layer, by name.

        As in torch there are two bias vectors. Override it for a cell with other parameters.
        """
        rows = len(self.gates) * hidden_size
        return {
            "weight_ih": (rows, input_size),
            "weight_hh": (rows, hidden_size),
            "bias_ih": (rows,),
            "bias_hh": (rows,),
        }

    @abstractmethod
    def function(self) -> "CellFunction":
        """Return the torch function that runs one direction of a layer; see `CellFunction`."""

    def initialize(
        self, parameters: Mapping[str, "Tensor"], orthogonal: bool, forget_bias: float | None
    ) -> None:
        """Initialize one direction of a layer in place, as described in `initialize_gates`."""
        from nlp_rnn.layers.cell_functions import initialize_gates

        keep = None if self.keep_gate is None else self.gates.index(self.keep_gate)
        initialize_gates(parameters, len(self.gates), keep, orthogonal, forget_bias)

    @abstractmethod
    def prepare(self, weights: Weights) -> Any:
        """Return the parameters of one direction of a layer in the layout that `step` expects."""

    @abstractmethod
    def step(self, layer: Any, before: States, inputs: Array) -> tuple[States, Array]:
        """Compute one step of n texts in numpy; return the new states and the gate activations.

        Parameters
        ----------
        layer : object
            Parameters of a layer, as `prepare` returned them.
        before : tuple of float32 (n, H)
            States before the step. They are not changed.
        inputs : float32 (n, features)
            Input of the step.

        Returns
        -------
        states : tuple of float32 (n, H)
            States after the step.
        gates : float32 (n, G · H)
            Activations of the `sigmoid_gates`, concatenated.
        """

    def add_layer(
        self,
        graph: "Graph",
        layer: int,
        steps: str,
        weights: Sequence[Weights],
        hidden_size: int,
        final: bool,
    ) -> str:
        """Add one layer to an ONNX graph, and return the name of the value with its outputs.

        By default each direction is an ONNX Scan, whose body is made by `add_step`. After the end
        of a text its states do not change. Override this method for a cell that ONNX has an
        operator for.

        Parameters
        ----------
        graph : Graph
            The graph. It contains the text lengths as the values `lengths`, int64 (B,), and
            `lengths_int32`, the same in int32.
        layer : int
            Number of the layer, from 0. Names of its nodes start with `layer` and this number.
        steps : str
            Name of the layer's input (T, B, features).
        weights : sequence of mappings
            Parameters of each direction, left to right first.
        hidden_size : int
            H.
        final : bool
            Whether the result has only the output after the whole text, (directions, B, H),
            instead of the output at every step, (T, directions, B, H).
        """
        directions = [
            self._add_direction(graph, f"layer{layer}{side}", steps, parameters, hidden_size)
            for side, parameters in zip(("", BACKWARD), weights, strict=False)
        ]
        axis = 0 if final else 1
        parts = []
        for last, states in directions:
            chosen = last if final else states
            axes = graph.constant(f"{chosen}_axis", [axis], np.int64)
            parts.append(graph.node("Unsqueeze", [chosen, axes], f"{chosen}_unsqueezed"))
        return graph.node("Concat", parts, "final" if final else f"layer{layer}_all", axis=axis)

    def _add_direction(
        self, graph: "Graph", name: str, steps: str, weights: Weights, hidden_size: int
    ) -> tuple[str, str]:
        """Add a Scan; return the names of its last output (B, H) and of all outputs (T, B, H)."""
        names = {}
        for parameter, values in weights.items():
            add = graph.matrix if values.ndim == 2 else graph.constant
            names[parameter] = add(f"{name}_{parameter}", values)
        batch = graph.node("Shape", ["lengths"], f"{name}_batch")
        hidden = graph.constant(f"{name}_hidden", [hidden_size], np.int64)
        shape = graph.node("Concat", [batch, hidden], f"{name}_shape", axis=0)
        zero = graph.node("ConstantOfShape", [shape], f"{name}_zero")

        def add_step(body: "Graph", inputs: str, before: Sequence[str]) -> Sequence[str]:
            return self.add_step(body, names, inputs, before)

        start = [zero] * len(self.state_names)
        last, *_, states = graph.scan(name, add_step, steps, start, name.endswith(BACKWARD))
        return last, states

    def add_step(
        self, graph: "Graph", weights: Mapping[str, str], inputs: str, before: Sequence[str]
    ) -> Sequence[str]:
        """Add the ONNX nodes of one step to the body of a Scan; return the names of the new states.

        Parameters
        ----------
        graph : Graph
            Body of the Scan. Names of the values that are added start with the cell's name.
        weights : mapping of str to str
            Name of the ONNX value of each parameter, by the name of the parameter. The values have
            torch's layout.
        inputs : str
            Name of the step's input (B, features).
        before : sequence of str
            Names of the states (B, H) before the step.

        Returns
        -------
        sequence of str
            Names of the states (B, H) after the step.

        Raises
        ------
        NotImplementedError
            The cell overrides neither this method nor `add_layer`, so it has no ONNX version.
        """
        raise NotImplementedError(f"{type(self).__name__} defines neither add_step nor add_layer")
