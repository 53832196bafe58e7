"""Builder of an ONNX graph, whose matrices are stored in 8 bits if requested."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

__all__ = ["Graph", "quantize"]


class Graph:
    """Nodes and constants of an ONNX graph in the order in which they are added.

    Values are referred to by their names.

    Parameters
    ----------
    int8 : bool
        Whether `matrix` and `rows` store their values in 8 bits.
    """

    def __init__(self, int8: bool) -> None:
        self.int8 = int8
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, name: str, value: Any, dtype: Any = np.float32) -> str:
        """Add a constant and return its name."""
        array = np.asarray(value, dtype=dtype, order="C")
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def matrix(self, name: str, value: Any) -> str:
        """Add a constant that an int8 graph stores in 8 bits, with one scale for each row.

        The runtime dequantizes it once, when it loads the graph.
        """
        if not self.int8:
            return self.constant(name, value)
        whole, scale = quantize(np.asarray(value))
        parts = [self._as_float(self.constant(f"{name}_int8", whole, np.int8), f"{name}_whole")]
        parts.append(self.constant(f"{name}_scale", scale))
        return self.node("Mul", parts, name)

    def rows(self, name: str, value: Any, index: str, output: str) -> str:
        """Look up rows of a table; an int8 graph dequantizes them after the look-up."""
        if not self.int8:
            return self.node("Gather", [self.constant(name, value), index], output, axis=0)
        whole, scale = quantize(np.asarray(value))
        table = self.constant(f"{name}_int8", whole, np.int8)
        rows = self.node("Gather", [table, index], f"{output}_int8", axis=0)
        scales = self.constant(f"{name}_scale", scale)
        row_scales = self.node("Gather", [scales, index], f"{output}_scale", axis=0)
        rows = self._as_float(rows, f"{output}_whole")
        return self.node("Mul", [rows, row_scales], output)

    def _as_float(self, value: str, output: str) -> str:
        return self.node("Cast", [value], output, to=TensorProto.FLOAT)

    def node(
        self, kind: str, inputs: Sequence[str], outputs: str | Sequence[str], **attributes: Any
    ) -> str:
        """Add a node and return the name of its last output, which is also the node's name."""
        names = [outputs] if isinstance(outputs, str) else list(outputs)
        self.nodes.append(helper.make_node(kind, list(inputs), names, name=names[-1], **attributes))
        return names[-1]

    def text_mask(self) -> tuple[str, str]:
        """Add masks of the steps within each text: bool (T, B) and (T, B, 1).

        They are made from the values `tokens` (T, B) and `lengths` (B,), once for a graph. The
        constants `first_axis` and `last_axis` are added too, as axes for further nodes.
        """
        names = "within", "within_states"
        if any(node.name == names[1] for node in self.nodes):
            return names
        first = self.constant("first_axis", [0], np.int64)
        last = self.constant("last_axis", [-1], np.int64)
        time = self.node("Shape", ["tokens"], "time", start=0, end=1)
        time = self.node("Squeeze", [time, first], "time_scalar")
        limits = [self.constant("start", 0, np.int64), time, self.constant("stride", 1, np.int64)]
        step = self.node("Unsqueeze", [self.node("Range", limits, "numbers"), last], "step")
        self.node("Less", [step, "lengths"], names[0])
        self.node("Unsqueeze", [names[0], last], names[1])
        return names

    def scan(
        self,
        name: str,
        add_step: Callable[["Graph", str, Sequence[str]], Sequence[str]],
        steps: str,
        states: Sequence[str],
        backward: bool,
    ) -> list[str]:
        """Add a loop over the steps of each text, in which states are carried from step to step.

        Beyond a text's length its states stay as they are.

        Parameters
        ----------
        name : str
            Start of the names of all values inside.
        add_step : callable
            Function that adds one step to the body of the loop. Its arguments are the body, the
            name of the step's input and the names of the states before the step. It returns the
            names of the states after the step.
        steps : str
            Name of the input float32 (T, B, features).
        states : sequence of str
            Names of the states before the first step, float32 (B, H).
        backward : bool
            Whether the last step is computed first.

        Returns
        -------
        list of str
            The names of the last states (B, H), then that of the first state at every step
            (T, B, H).
        """
        body = Graph(int8=False)
        before = [f"{name}_before{number}" for number in range(len(states))]
        after = []
        for number, new in enumerate(add_step(body, f"{name}_input", before)):
            choice = [f"{name}_within", new, before[number]]
            after.append(body.node("Where", choice, f"{name}_after{number}"))
        output = body.node("Identity", [after[0]], f"{name}_output")
        real, boolean = TensorProto.FLOAT, TensorProto.BOOL

        def value(name: str, kind: int = real) -> Any:
            return helper.make_tensor_value_info(name, kind, None)

        inputs = [*map(value, before), value(f"{name}_input"), value(f"{name}_within", boolean)]
        outputs = [*map(value, after), value(output)]
        names = [f"{name}_last{number}" for number in range(len(states))] + [f"{name}_states"]
        self.node(
            "Scan",
            [*states, steps, self.text_mask()[1]],
            names,
            body=helper.make_graph(body.nodes, f"{name}_body", inputs, outputs, body.constants),
            num_scan_inputs=2,
            scan_input_directions=[int(backward)] * 2,
            scan_output_directions=[int(backward)],
        )
        return names


def quantize(matrix: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return `matrix` (…, columns) as int8 from -127 to 127, and a scale (…, 1) for each row."""
    scale = np.abs(matrix).max(axis=-1, keepdims=True) / 127
    scale[scale == 0] = 1  # a row of zeros
    return np.rint(matrix / scale).astype(np.int8), scale.astype(np.float32)
