"""Export of a network to an ONNX graph that gives the same predictions."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, checker, helper

from nlp_rnn.layers.cell_interface import Cell
from nlp_rnn.layers.cells import recurrent_cell
from nlp_rnn.layers.onnx_graph import Graph, quantize
from nlp_rnn.layers.poolings import POOLINGS
from nlp_rnn.model.architecture import Architecture, direction_weights, pooling_weights

__all__ = ["build_graph", "quantize"]

# ONNX Runtime 1.20, the oldest that is allowed, reads opset 21 and IR version 10. These two
# belong together and are older, so that other runtimes can read the graph too.
OPSET = 18
IR_VERSION = 8


def build_graph(
    architecture: Architecture,
    state: Mapping[str, NDArray[np.float32]],
    int8: bool = False,
    multi_label: bool = False,
    in_ensemble: bool = False,
) -> ModelProto:
    """Build the ONNX graph of a network, with its parameters inside.

    The inputs are `input_ids` int64 (batch, time) and `lengths` int64 (batch,), each at least 1.
    The output is `logits` float32 (batch, num_labels), or their sigmoid, `probabilities`.

    Guarantee: the logits equal torch's within 1e-5, and token ids beyond a text's length do not
    change them.

    Parameters
    ----------
    architecture : Architecture
        Sizes of the network.
    state : mapping of str to float32 array
        The parameters by torch's names.
    int8 : bool
        Whether every matrix is stored in 8 bits. The guarantee then holds for the rounded matrices.
    multi_label : bool
        Whether the graph ends in a sigmoid.
    in_ensemble : bool
        Whether a multi-label graph returns the logits too, to which n-gram models are added.
    """
    graph = Graph(int8)
    graph.node("Transpose", ["input_ids"], "tokens", perm=[1, 0])  # (T, B)
    states = graph.rows("embedding", state["embedding.weight"], "tokens", "embedded")  # (T, B, E)
    pooling = POOLINGS[architecture.pooling]
    if (cell := recurrent_cell(architecture.cell)) is not None:
        states = _encode(graph, architecture, cell, state, states, pooling.from_final_state)
    pooled = pooling.add_nodes(graph, states, pooling_weights(state))
    weight = graph.matrix("head_weight", state["head.weight"])
    bias = graph.constant("head_bias", state["head.bias"])
    output = graph.node("Gemm", [pooled, weight, bias], "logits", transB=1)
    outputs = [output] if in_ensemble or not multi_label else []
    if multi_label:
        outputs.insert(0, graph.node("Sigmoid", [output], "probabilities"))

    integer, real = TensorProto.INT64, TensorProto.FLOAT
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "classifier",
            [
                helper.make_tensor_value_info("input_ids", integer, ["batch", "time"]),
                helper.make_tensor_value_info("lengths", integer, ["batch"]),
            ],
            [
                helper.make_tensor_value_info(name, real, ["batch", architecture.num_labels])
                for name in outputs
            ],
            graph.constants,
        ),
        producer_name="nlp_rnn",
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    checker.check_model(model)
    return model


def _encode(
    graph: Graph,
    architecture: Architecture,
    cell: Cell,
    state: Mapping[str, Any],
    steps: str,
    final: bool,
) -> str:
    """The states (T, B, D) of the last layer, or its final states (B, D).

    The final state of a direction is the one after it has processed the whole text.
    """
    graph.node("Cast", ["lengths"], "lengths_int32", to=TensorProto.INT32)  # for the operators
    suffixes, directions = architecture.direction_suffixes(), architecture.num_directions
    for layer in range(architecture.num_layers):
        weights = [
            direction_weights(cell, state, suffix)
            for suffix in suffixes[layer * directions : (layer + 1) * directions]
        ]
        last = final and layer == architecture.num_layers - 1
        states = cell.add_layer(graph, layer, steps, weights, architecture.hidden_size, last)
        # (directions, B, H) → (B, D), or (T, directions, B, H) → (T, B, D)
        perm, shape = ([1, 0, 2], [0, -1]) if last else ([0, 2, 1, 3], [0, 0, -1])
        by_text = graph.node("Transpose", [states], f"{states}_by_text", perm=perm)
        joined = graph.constant(f"{states}_shape", shape, np.int64)
        steps = graph.node("Reshape", [by_text, joined], f"{states}_joined")
    return steps
