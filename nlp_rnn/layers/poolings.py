"""Poolings, which reduce the states of a text to one vector, and the registry of all of them.

A pooling is one class with the shapes of its parameters, its ONNX nodes, and a numpy version that
processes a stream token by token (`prepare`, `start` and `step`). Its torch module is imported only
when a network is created, so that a saved classifier loads without torch. One line in `POOLINGS`
registers it.

Shapes: T steps, B texts, n streams, D features of a state (both directions together), P features of
the pooled vector. The argument `states` is the output of the recurrent layers, and `state` is what
a pooling remembers of the earlier tokens of each stream. `Pooling` describes all methods.
"""

from typing import TYPE_CHECKING

import numpy as np

from nlp_rnn.layers.pooling_interface import Array, Pooling, State, Weights

if TYPE_CHECKING:
    from torch import nn

    from nlp_rnn.layers.onnx_graph import Graph

__all__ = ["POOLINGS", "AttentionPooling", "LastPooling", "MaxMeanPooling"]

FLOAT = 1  # as onnx.TensorProto numbers it: onnx is not imported here
# Below every state; not -inf, from which a runtime may make NaN.
LOWEST = float(np.finfo(np.float32).min)


class LastPooling(Pooling):
    """Pooling to the state of each direction after it has processed the whole text; P = D."""

    from_final_state = True

    def module(self, size: int, bidirectional: bool) -> "nn.Module":
        """Return a `DirectionPooling`, the torch module of all poolings without parameters."""
        from nlp_rnn.layers.pooling_modules import DirectionPooling

        return DirectionPooling("last", bidirectional)

    def add_nodes(self, graph: "Graph", states: str, weights: Weights) -> str:
        """Add no node, because `states` are the final states (B, D) already; return their name."""
        return states

    def step(self, weights: Weights, state: State, states: Array) -> Array:
        """Return `states` (n, D), which are those after the newest token."""
        return states


class MaxMeanPooling(Pooling):
    """Pooling to the maximum of the states over the steps of a text, to their mean, or to both.

    Parameters
    ----------
    kind : str
        `max` or `mean` (P = D), or `max_mean`, which concatenates both (P = 2D).
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def pooled_size(self, size: int) -> int:
        """Return P for states with D = `size` features."""
        return 2 * size if self.kind == "max_mean" else size

    def module(self, size: int, bidirectional: bool) -> "nn.Module":
        """Return a `DirectionPooling`, the torch module of all poolings without parameters."""
        from nlp_rnn.layers.pooling_modules import DirectionPooling

        return DirectionPooling(self.kind, bidirectional)

    def add_nodes(self, graph: "Graph", states: str, weights: Weights) -> str:
        """Add the maximum, the mean or both over the steps within each text; return the name."""
        _, within = graph.text_mask()
        parts = []
        if self.kind != "mean":
            ranked = graph.node(
                "Where", [within, states, graph.constant("lowest", LOWEST)], "ranked"
            )
            parts.append(graph.node("ReduceMax", [ranked, "first_axis"], "max", keepdims=0))
        if self.kind == "max":
            return parts[0]
        masked = graph.node("Where", [within, states, graph.constant("zero", 0.0)], "own_states")
        total = graph.node("ReduceSum", [masked, "first_axis"], "total", keepdims=0)  # (B, D)
        count = graph.node("Unsqueeze", ["lengths", "last_axis"], "count")
        count = graph.node("Cast", [count], "count_float", to=FLOAT)  # (B, 1)
        parts.append(graph.node("Div", [total, count], "mean"))
        return graph.node("Concat", parts, "pooled", axis=1)

    def start(self, streams: int, size: int) -> State:
        """Return a running maximum of -inf, and a running sum and count of 0, for each stream."""
        state: State = {}
        if self.kind != "mean":
            state["max"] = np.full((streams, size), -np.inf, np.float32)
        if self.kind != "max":
            state |= {"total": np.zeros((streams, size)), "count": np.zeros((streams, 1))}
        return state

    def step(self, weights: Weights, state: State, states: Array) -> Array:
        """Return the maximum, the mean or both over the tokens so far; update `state`."""
        parts = []
        if self.kind != "mean":
            np.maximum(state["max"], states, out=state["max"])
            parts.append(state["max"])
        if self.kind != "max":
            state["total"] += states
            state["count"] += 1
            mean = np.empty_like(states)
            np.divide(state["total"], state["count"], out=mean, casting="same_kind")
            parts.append(mean)
        # copies, because the next step changes the maximum
        return np.concatenate(parts, axis=1)


class AttentionPooling(Pooling):
    """Attention pooling: the mean of the states, weighted by a learned score of each; P = D.

    It is the word level of Yang et al. 2016, "Hierarchical Attention Networks for Document
    Classification": the weight of a state is proportional to exp(query · tanh(W state + b)).
    """

    def parameter_shapes(self, size: int) -> dict[str, tuple[int, ...]]:
        """Return the shapes of W (D, D), b (D,) and the query (D,), for D = `size`."""
        return {"projection.weight": (size, size), "projection.bias": (size,), "query": (size,)}

    def module(self, size: int, bidirectional: bool) -> "nn.Module":
        """Return an `AttentionModule`, the torch module of this pooling."""
        from nlp_rnn.layers.pooling_modules import AttentionModule

        return AttentionModule(size)

    def add_nodes(self, graph: "Graph", states: str, weights: Weights) -> str:
        """Add the scores, their softmax over the steps within each text, and the weighted sum.

        Return the name of the sum.
        """
        within, within_states = graph.text_mask()
        masked = graph.node(
            "Where", [within_states, states, graph.constant("zero", 0.0)], "own_states"
        )
        weight = graph.matrix("attention_weight", np.asarray(weights["projection.weight"]).T)
        bias = graph.constant("attention_bias", weights["projection.bias"])
        query = graph.constant("attention_query", weights["query"])
        lowest = graph.constant("lowest", LOWEST)
        projected = graph.node("MatMul", [masked, weight], "attention_product")
        projected = graph.node("Add", [projected, bias], "attention_sum")
        projected = graph.node("Tanh", [projected], "attention_states")
        score = graph.node("MatMul", [projected, query], "attention_score")  # (T, B)
        score = graph.node("Where", [within, score, lowest], "own_score")
        share = graph.node("Softmax", [score], "attention", axis=0)
        share = graph.node("Unsqueeze", [share, "last_axis"], "attention_share")
        weighted = graph.node("Mul", [share, masked], "attention_weighted")
        return graph.node("ReduceSum", [weighted, "first_axis"], "total", keepdims=0)

    def prepare(self, weights: Weights) -> Weights:
        """Add a transposed copy of W, so that `step` multiplies contiguous memory."""
        return {**weights, "transposed": np.ascontiguousarray(weights["projection.weight"].T)}

    def start(self, streams: int, size: int) -> State:
        """Return a highest score of -inf, and sums of weights and of weighted states of 0."""
        return {
            "score": np.full((streams, 1), -np.inf, np.float32),
            "weight": np.zeros((streams, 1)),
            "total": np.zeros((streams, size)),
        }

    def step(self, weights: Weights, state: State, states: Array) -> Array:
        """Return the weighted mean of the states so far; update `state`.

        The softmax is computed online: if a higher score occurs, earlier sums are scaled down
        (Milakov & Gimelshein 2018, arXiv:1805.02867).
        """
        projected = np.tanh(states @ weights["transposed"] + weights["projection.bias"])
        score = (projected @ weights["query"])[:, None]
        highest = np.maximum(state["score"], score)
        keep = np.exp(state["score"] - highest)
        share = np.exp(score - highest)
        state["score"] = highest
        state["weight"] = state["weight"] * keep + share
        state["total"] = state["total"] * keep + share * states
        pooled: Array = (state["total"] / state["weight"]).astype(np.float32)
        return pooled


POOLINGS: dict[str, Pooling] = {
    "last": LastPooling(),
    "mean": MaxMeanPooling("mean"),
    "max": MaxMeanPooling("max"),
    "max_mean": MaxMeanPooling("max_mean"),
    "attention": AttentionPooling(),
}
"""Every pooling by the name that `model.pooling` accepts; one line registers a pooling."""
