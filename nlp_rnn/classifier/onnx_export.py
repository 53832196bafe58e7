"""A network's sizes and parameters become an ONNX graph that answers as the network does."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, checker, helper

from nlp_rnn.classifier.ngram_scores import add_wide_path
from nlp_rnn.layers.onnx_graph import Graph, quantize
from nlp_rnn.model.architecture import GATES, Architecture

__all__ = ["build_graph", "quantize"]

# ONNX Runtime 1.20, the oldest that is allowed, reads opset 21 and IR version 10. These two
# belong together and are older, so that other runtimes can read the graph too.
OPSET = 18
IR_VERSION = 8

# Where ONNX finds its gates among torch's.
# LSTM: torch input, forget, cell, output → ONNX input, output, forget, cell.
# GRU: torch reset, update, new → ONNX update, reset, hidden.
_GATE_ORDER = {"lstm": (0, 3, 1, 2), "gru": (1, 0, 2), "rnn": (0,)}

# Below every state; not -inf, from which a runtime may make NaN.
_LOWEST = float(np.finfo(np.float32).min)


def build_graph(
    architecture: Architecture,
    state: Mapping[str, NDArray[np.float32]],
    int8: bool = False,
    multi_label: bool = False,
) -> ModelProto:
    """Build the graph of a network, its parameters inside.

    Inputs `input_ids` int64 (batch, time) and `lengths` int64 (batch,), each at least 1;
    output `logits` float32 (batch, num_labels), or their sigmoid, `probabilities`. Any token
    id may stand beyond a text's length.

    Promise: the logits equal torch's within 1e-5, and what lies beyond a length changes none.

    Args:
        architecture: the sizes.
        state: the network's parameters by torch's names, float32.
        int8: store every matrix in 8 bits; the promise then holds for the rounded matrices.
        multi_label: end in a sigmoid.
    """
    graph = Graph(int8)
    graph.node("Transpose", ["input_ids"], "tokens", perm=[1, 0])  # (T, B)
    steps = graph.rows("embedding", state["embedding.weight"], "tokens", "embedded")  # (T, B, E)
    if architecture.cell != "average":
        steps = _encode(graph, architecture, state, steps)  # (T, B, D), or (B, D) for `last`
    pooled = steps if architecture.pooling == "last" else _pool(graph, architecture, state, steps)
    weight = graph.matrix("head_weight", state["head.weight"])
    bias = graph.constant("head_bias", state["head.bias"])
    output = graph.node(
        "Gemm", [pooled, weight, bias], "deep_logits" if architecture.ngrams else "logits", transB=1
    )
    if architecture.ngrams:
        wide = add_wide_path(graph, architecture, state["wide.table.weight"])
        output = graph.node("Add", [output, wide], "logits")
    if multi_label:
        output = graph.node("Sigmoid", [output], "probabilities")

    integer, real = TensorProto.INT64, TensorProto.FLOAT
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "classifier",
            [
                helper.make_tensor_value_info("input_ids", integer, ["batch", "time"]),
                helper.make_tensor_value_info("lengths", integer, ["batch"]),
            ],
            [helper.make_tensor_value_info(output, real, ["batch", architecture.num_labels])],
            graph.constants,
        ),
        producer_name="nlp_rnn",
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    checker.check_model(model)
    return model


def _encode(graph: Graph, architecture: Architecture, state: Mapping[str, Any], steps: str) -> str:
    """The last layer's states (T, B, D), zero beyond a length; for pooling `last` its final (B, D).

    A direction's final state is the one after it has read the whole text, as `last` wants it.
    """
    hidden, directions = architecture.hidden_size, architecture.num_directions
    order = _GATE_ORDER[architecture.cell]
    attributes: dict[str, Any] = {
        "hidden_size": hidden,
        "direction": "bidirectional" if architecture.bidirectional else "forward",
    }
    if architecture.cell == "gru":
        attributes["linear_before_reset"] = 1  # the reset gate acts after the product, as in torch

    def gates(parameter: str) -> NDArray[np.float32]:
        blocks = np.split(np.asarray(state[f"encoder.rnn.{parameter}"]), GATES[architecture.cell])
        return np.concatenate([blocks[gate] for gate in order])

    lengths = graph.node(
        "Cast", ["lengths"], "lengths_int32", to=TensorProto.INT32
    )  # the type the cells read
    for layer in range(architecture.num_layers):
        suffixes = [f"l{layer}", f"l{layer}_reverse"][:directions]
        inputs = [
            steps,
            graph.matrix(f"layer{layer}_W", [gates(f"weight_ih_{s}") for s in suffixes]),
            graph.matrix(f"layer{layer}_R", [gates(f"weight_hh_{s}") for s in suffixes]),
            graph.constant(
                f"layer{layer}_B",
                [np.concatenate([gates(f"bias_ih_{s}"), gates(f"bias_hh_{s}")]) for s in suffixes],
            ),
            lengths,
        ]
        if layer == architecture.num_layers - 1 and architecture.pooling == "last":
            outputs, perm, shape = ["", "final"], [1, 0, 2], [0, -1]  # (dirs, B, H) → (B, D)
        else:  # (T, dirs, B, H) → (T, B, D)
            outputs, perm, shape = [f"layer{layer}_states"], [0, 2, 1, 3], [0, 0, -1]
        states = graph.node(architecture.cell.upper(), inputs, outputs, **attributes)
        by_text = graph.node("Transpose", [states], f"{states}_by_text", perm=perm)
        joined = graph.constant(f"{states}_shape", shape, np.int64)
        steps = graph.node("Reshape", [by_text, joined], f"{states}_joined")
    return steps


def _pool(graph: Graph, architecture: Architecture, state: Mapping[str, Any], steps: str) -> str:
    """Steps (T, B, D) pooled over each text's own to (B, P)."""
    first = graph.constant("first_axis", [0], np.int64)
    last = graph.constant("last_axis", [-1], np.int64)
    time = graph.node("Shape", ["tokens"], "time", start=0, end=1)
    time = graph.node("Squeeze", [time, first], "time_scalar")
    numbers = [graph.constant("start", 0, np.int64), time, graph.constant("stride", 1, np.int64)]
    step = graph.node("Unsqueeze", [graph.node("Range", numbers, "numbers"), last], "step")
    within = graph.node("Less", [step, "lengths"], "within")  # bool (T, B)
    within_states = graph.node("Unsqueeze", [within, last], "within_states")  # (T, B, 1)

    parts = []
    if architecture.pooling in ("max", "max_mean"):
        lowest = graph.constant("lowest", _LOWEST)
        ranked = graph.node("Where", [within_states, steps, lowest], "ranked")
        parts.append(graph.node("ReduceMax", [ranked, first], "max", keepdims=0))
    if architecture.pooling == "max":
        return parts[0]

    own = graph.node("Where", [within_states, steps, graph.constant("zero", 0.0)], "own_states")
    if architecture.pooling == "attention":
        projection = np.asarray(state["pooling.projection.weight"]).T
        weight = graph.matrix("attention_weight", projection)
        bias = graph.constant("attention_bias", state["pooling.projection.bias"])
        query = graph.constant("attention_query", state["pooling.query"])
        lowest = graph.constant("lowest", _LOWEST)
        projected = graph.node("MatMul", [own, weight], "attention_product")
        projected = graph.node("Add", [projected, bias], "attention_sum")
        projected = graph.node("Tanh", [projected], "attention_states")
        score = graph.node("MatMul", [projected, query], "attention_score")  # (T, B)
        score = graph.node("Where", [within, score, lowest], "own_score")
        share = graph.node("Softmax", [score], "attention", axis=0)
        share = graph.node("Unsqueeze", [share, last], "attention_share")
        own = graph.node("Mul", [share, own], "attention_weighted")
    total = graph.node("ReduceSum", [own, first], "total", keepdims=0)  # (B, D)
    if architecture.pooling == "attention":
        return total
    count = graph.node("Unsqueeze", ["lengths", last], "count")
    count = graph.node("Cast", [count], "count_float", to=TensorProto.FLOAT)  # (B, 1)
    parts.append(graph.node("Div", [total, count], "mean"))
    return graph.node("Concat", parts, "pooled", axis=1)
