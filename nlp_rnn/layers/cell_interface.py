"""Interface of a recurrent cell, with an ONNX version that works for every cell."""

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
"""Suffix of torch's names for the direction from right to left."""

Weights = Mapping[str, Array]
"""Parameters of one direction of a layer, by the names of `Cell.parameter_shapes`."""

States = tuple[Array, ...]
"""The states of a cell at one step, each (n, H), in the order of `Cell.state_names`."""


class Cell(ABC):
    """A recurrent cell, as parameters' shapes, torch function, ONNX nodes and numpy step.

    One direction of a layer has the parameters of `parameter_shapes`. Weight drop acts on those
    whose names start with `weight_hh`. The first state of a cell is its output.

    Attributes
    ----------
    gates : tuple of str
        Blocks of H rows in the weights, in torch's order.
    sigmoid_gates : tuple of str
        Those of the gates whose values are between 0 and 1, in the order in which `step` returns
        them and `nlp-rnn inspect` shows them.
    keep_gate : str or None
        The gate that is the share of the old state that is retained: `model.forget_bias` is its
        bias. None if the cell has no such gate; `model.forget_bias` is an error then.
    state_names : tuple of str
        The states that are carried from step to step, each (B, H).
    cudnn_mode : str or None
        cuDNN's name of the cell, if its torch function calls cuDNN on a GPU.
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

        As in torch there are two bias vectors.
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
        """Set the parameters of one direction of a layer, as `initialize_gates` documents."""
        from nlp_rnn.layers.cell_functions import initialize_gates

        keep = None if self.keep_gate is None else self.gates.index(self.keep_gate)
        initialize_gates(parameters, len(self.gates), keep, orthogonal, forget_bias)

    @abstractmethod
    def prepare(self, weights: Weights) -> Any:
        """Return the parameters of one direction of a layer in the layout that `step` reads."""

    @abstractmethod
    def step(self, layer: Any, before: States, inputs: Array) -> tuple[States, Array]:
        """Return the states (n, H) after one more input (n, features) of n streams, and the gates.

        `layer` is the result of `prepare`. The gates are those of `sigmoid_gates` side by side,
        (n, G · H). The arrays of `before` are not changed.
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
        """Add one layer to an ONNX graph; return the name of its states.

        By default each direction is a Scan over `add_step`, which retains the states where a
        text has ended; a cell that ONNX has an operator for overrides this method.

        Parameters
        ----------
        graph : Graph
            Has the values `lengths` int64 (B,) and `lengths_int32`.
        layer : int
            Number of the layer, from 0; it starts the names of its nodes.
        steps : str
            Name of the layer's input (T, B, features).
        weights : sequence of mappings
            Parameters of each direction, left to right first.
        hidden_size : int
            H.
        final : bool
            Return the state after the whole text (directions, B, H) instead of all states
            (T, directions, B, H).
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
        """Names of the last output (B, H) of one direction, and of all outputs (T, B, H)."""
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
        """Add one step to the body of a Scan; return the names of the new states (B, H).

        `weights` are the names of the parameters' values in torch's layout, `inputs` (B, features)
        and `before` (B, H) those of the step. Names of new values start with the cell's name.

        Raises
        ------
        NotImplementedError
            The cell has no ONNX version: neither this method nor `add_layer` is overridden.
        """
        raise NotImplementedError(f"{type(self).__name__} defines neither add_step nor add_layer")
