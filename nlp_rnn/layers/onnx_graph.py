"""Nodes and constants, matrices in 8 bits on demand, become an ONNX graph piece by piece."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

__all__ = ["Graph", "quantize"]


class Graph:
    """Nodes and constants in the order they are added; every value is known by its name."""

    def __init__(self, int8: bool) -> None:
        self.int8 = int8
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, name: str, value: Any, dtype: Any = np.float32) -> str:
        """Add a constant and give back its name."""
        array = np.asarray(value, dtype=dtype, order="C")
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def matrix(self, name: str, value: Any) -> str:
        """A constant that in an int8 graph is stored in 8 bits, one scale for each row.

        The runtime multiplies it out once, when it loads the graph.
        """
        if not self.int8:
            return self.constant(name, value)
        whole, scale = quantize(np.asarray(value))
        parts = [self._as_float(self.constant(f"{name}_int8", whole, np.int8), f"{name}_whole")]
        parts.append(self.constant(f"{name}_scale", scale))
        return self.node("Mul", parts, name)

    def rows(self, name: str, value: Any, index: str, output: str) -> str:
        """Rows of a table, in an int8 graph multiplied out after they were looked up."""
        if not self.int8:
            return self.node("Gather", [self.constant(name, value), index], output, axis=0)
        whole, scale = quantize(np.asarray(value))
        table = self.constant(f"{name}_int8", whole, np.int8)
        found = self.node("Gather", [table, index], f"{output}_int8", axis=0)
        scales = self.constant(f"{name}_scale", scale)
        found_scales = self.node("Gather", [scales, index], f"{output}_scale", axis=0)
        found = self._as_float(found, f"{output}_whole")
        return self.node("Mul", [found, found_scales], output)

    def columns(self, name: str, value: Any, index: str, output: str) -> tuple[str, str | None]:
        """Rows of a table; in an int8 graph, what to multiply each of their columns by, (1, C).

        One scale a row, as elsewhere, would take more room than a row of few columns.
        """
        if not self.int8:
            return self.rows(name, value, index, output), None
        whole, scale = quantize(np.asarray(value).T)
        table = self.constant(f"{name}_int8", whole.T, np.int8)
        found = self.node("Gather", [table, index], f"{output}_int8", axis=0)
        return self._as_float(found, output), self.constant(f"{name}_scale", scale.T)

    def _as_float(self, value: str, output: str) -> str:
        return self.node("Cast", [value], output, to=TensorProto.FLOAT)

    def node(
        self, kind: str, inputs: Sequence[str], outputs: str | Sequence[str], **attributes: Any
    ) -> str:
        """Add a node and give back the name of its last output, which is the node's name too."""
        names = [outputs] if isinstance(outputs, str) else list(outputs)
        self.nodes.append(helper.make_node(kind, list(inputs), names, name=names[-1], **attributes))
        return names[-1]


def quantize(matrix: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """`matrix` (…, columns) as whole numbers from -127 to 127 and a scale (…, 1) for each row."""
    scale = np.abs(matrix).max(axis=-1, keepdims=True) / 127
    scale[scale == 0] = 1  # a row of zeros
    return np.rint(matrix / scale).astype(np.int8), scale.astype(np.float32)
