"""A recurrent cell that is defined here and registered by one line does everything others do."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from nlp_rnn.classifier.onnx_export import build_graph
from nlp_rnn.inspection.gates import trace_layers
from nlp_rnn.layers.cell_functions import CellFunction
from nlp_rnn.layers.cell_functions import State as TorchState
from nlp_rnn.layers.cell_interface import Array, Cell, States, Weights
from nlp_rnn.layers.cells import CELLS
from nlp_rnn.layers.onnx_graph import Graph
from nlp_rnn.model.network import TextNetwork
from tests.test_add_a_pooling import check_everything
from tests.tiny_classifier import random_state, tiny_architecture


def run_minimal_gated_unit(
    steps: Tensor, weights: Sequence[Tensor], before: TorchState, training: bool
) -> tuple[Tensor, TorchState]:
    """Run one direction over `steps` (T, B, features): states (T, B, H), and the last ones."""
    weight_ih, weight_hh, bias_ih, bias_hh = weights
    from_input = steps @ weight_ih.t() + bias_ih  # (T, B, 2H)
    (hidden,) = before
    states = []
    for inputs in from_input:
        forget_input, new_input = inputs.chunk(2, dim=1)
        forget_state, new_state = (hidden @ weight_hh.t() + bias_hh).chunk(2, dim=1)
        forget = torch.sigmoid(forget_input + forget_state)
        new = torch.tanh(new_input + forget * new_state)
        hidden = forget * hidden + (1 - forget) * new
        states.append(hidden)
    return torch.stack(states), (hidden.detach(),)


class MinimalGatedUnit(Cell):
    """One gate that both retains and resets: Zhou et al. 2016, arXiv:1603.09420.

    What differs: the gate acts after the recurrent product, as torch's reset gate does, and it is
    the share of the old state, not that of the new one.
    """

    gates = ("forget", "new")
    sigmoid_gates = ("forget",)
    keep_gate = "forget"

    def function(self) -> CellFunction:
        return run_minimal_gated_unit

    def prepare(self, weights: Weights) -> Weights:
        return {name: np.ascontiguousarray(values.T) for name, values in weights.items()}

    def step(self, layer: Weights, before: States, inputs: Array) -> tuple[States, Array]:
        (hidden,) = before
        size = hidden.shape[1]
        from_input = inputs @ layer["weight_ih"] + layer["bias_ih"]
        from_state = hidden @ layer["weight_hh"] + layer["bias_hh"]
        forget = 1 / (1 + np.exp(-from_input[:, :size] - from_state[:, :size]))
        new = np.tanh(from_input[:, size:] + forget * from_state[:, size:])
        return (forget * hidden + (1 - forget) * new,), forget

    def add_step(
        self, graph: Graph, weights: Mapping[str, str], inputs: str, before: Sequence[str]
    ) -> Sequence[str]:
        for kind, value in (("ih", inputs), ("hh", before[0])):
            operands = [value, weights[f"weight_{kind}"], weights[f"bias_{kind}"]]
            product = graph.node("Gemm", operands, f"mgu_{kind}", transB=1)
            parts = [f"mgu_{kind}_forget", f"mgu_{kind}_new"]
            graph.node("Split", [product], parts, axis=1, num_outputs=2)
        forget = graph.node("Add", ["mgu_ih_forget", "mgu_hh_forget"], "mgu_sum")
        forget = graph.node("Sigmoid", [forget], "mgu_forget")
        new = graph.node("Mul", [forget, "mgu_hh_new"], "mgu_reset")
        new = graph.node("Add", ["mgu_ih_new", new], "mgu_new_sum")
        new = graph.node("Tanh", [new], "mgu_new")
        change = graph.node("Sub", [before[0], new], "mgu_difference")
        change = graph.node("Mul", [forget, change], "mgu_retained")
        return [graph.node("Add", [new, change], "mgu_hidden")]


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CELLS, "mgu", MinimalGatedUnit())


@pytest.mark.parametrize(
    ("direction", "pooling"),
    [
        ("model.bidirectional=true", "max_mean"),
        pytest.param("model.bidirectional=false", "last", marks=pytest.mark.slow),
        pytest.param("model.bidirectional=true", "last", marks=pytest.mark.slow),
        pytest.param("model.bidirectional=false", "max_mean", marks=pytest.mark.slow),
    ],
)
def test_a_cell_is_one_class_and_one_line(
    direction: str, pooling: str, tmp_path: Path, store_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    overrides = ["model=gru", "model.cell=mgu", "model.num_layers=2", direction]
    classifier = check_everything(
        tmp_path / "run", monkeypatch, *overrides, f"model.pooling={pooling}"
    )
    assert "MGU" in repr(classifier)


@pytest.mark.parametrize("int8", [False, True])
def test_its_graph_has_its_predictions_in_float32_and_int8(int8: bool) -> None:
    import onnxruntime

    architecture = tiny_architecture("mgu", "mean", num_layers=2)
    state = random_state(architecture)
    graph = build_graph(architecture, state, int8)
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    tokens = np.array([[2, 3, 4, 5, 6], [7, 8, 0, 0, 0]])
    lengths = np.array([5, 2])
    (logits,) = session.run(None, {"input_ids": tokens, "lengths": lengths})
    network = TextNetwork(architecture).eval()
    network.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()})
    expected = network(torch.from_numpy(tokens), torch.from_numpy(lengths)).detach().numpy()
    np.testing.assert_allclose(logits, expected, atol=0.2 if int8 else 1e-5)


def test_its_gates_are_shown() -> None:
    architecture = tiny_architecture("mgu")
    for layer in trace_layers(architecture, random_state(architecture), np.array([2, 3, 4])):
        assert list(layer.gates) == ["forget"]
        assert layer.retention is layer.gates["forget"]
        assert ((layer.retention > 0) & (layer.retention < 1)).all()
