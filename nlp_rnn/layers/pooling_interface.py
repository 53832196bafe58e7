"""Interface of a pooling, which reduces the states of a text to one vector."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import nn

    from nlp_rnn.layers.onnx_graph import Graph

__all__ = ["Array", "Pooling", "State", "Weights"]

Array = NDArray[np.float32]
State = dict[str, NDArray[Any]]
"""State of n streams between two tokens: arrays (n, …) by name, such as sums."""

Weights = Mapping[str, Array]
"""Parameters of a pooling by the names that it gives them."""


class Pooling(ABC):
    """Reduction of a text's states to one vector, as torch module, ONNX nodes and numpy steps.

    States are float32 (T, B, D), the pooled vectors (B, P), T steps of B texts. Steps beyond a
    text's length must not change its vector. Parameters have the names that the torch module
    gives them; in `model.safetensors` they start with `pooling.`.

    Attributes
    ----------
    from_final_state : bool
        Whether the vector consists of each direction's state after it has processed the whole
        text, which the encoder computes anyway. If so, the pooling needs a recurrent network, and
        `add_nodes` receives these final states (B, D) instead of all states.
    """

    from_final_state = False

    def pooled_size(self, size: int) -> int:
        """Return P, the number of features of the pooled vector, for states of D = `size`."""
        return size

    def parameter_shapes(self, size: int) -> dict[str, tuple[int, ...]]:
        """Return the shape of each parameter by name, for states of D = `size`."""
        return {}

    @abstractmethod
    def module(self, size: int, bidirectional: bool) -> "nn.Module":
        """Return the torch module, with fresh parameters from torch's default generator.

        It is called with the states (T, B, D) and the lengths int64 (B,), each in 1..T. If
        `bidirectional`, the first D / 2 features are those of the direction left to right.
        """

    @abstractmethod
    def add_nodes(self, graph: "Graph", states: str, weights: Weights) -> str:
        """Add the ONNX nodes that pool the value `states`; return the name of the result (B, P).

        The graph contains the values `tokens` int64 (T, B) and `lengths` int64 (B,).
        `graph.text_mask` adds a mask of the steps within each text.
        """

    def prepare(self, weights: Weights) -> Weights:
        """Return the parameters in the layout that `step` reads, for instance transposed."""
        return weights

    def start(self, streams: int, size: int) -> State:
        """Return the state of n = `streams` streams before their first token.

        Sums are float64, so that a stream of millions of tokens loses nothing.
        """
        return {}

    @abstractmethod
    def step(self, weights: Weights, state: State, states: Array) -> Array:
        """Return the pooled vectors (n, P) of n streams after one more step; update `state`.

        `states` (n, D) are the states of the encoder at this step.
        """
