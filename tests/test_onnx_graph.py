"""The ONNX graph predicts as torch does, for every shape of network."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from nlp_rnn.classifier.onnx_export import build_graph, quantize
from nlp_rnn.model.architecture import Architecture
from nlp_rnn.model.network import TextNetwork
from tests.tiny_classifier import VOCAB_SIZE, random_state, tiny_architecture

POOLINGS = ["last", "mean", "max", "max_mean", "attention"]
LAYERS = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}
SHAPES = [
    *((cell, pooling) for cell in LAYERS for pooling in POOLINGS),
    *(("average", pooling) for pooling in POOLINGS if pooling != "last"),
]
DEPTHS = [(layers, both) for layers in (1, 2, 3) for both in (False, True)]


def session(architecture: Architecture, state: dict[str, np.ndarray]) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    graph = build_graph(architecture, state).SerializeToString()
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def run_session(running: Any, ids: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    return running.run(["logits"], {"input_ids": ids, "lengths": lengths})[0]


def random_batch(lengths: list[int], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Token ids, random ones beyond a text's length too."""
    ids = np.random.default_rng(seed).integers(0, VOCAB_SIZE, (len(lengths), max(lengths)))
    return ids, np.array(lengths)


def one_text(
    architecture: Architecture, state: dict[str, np.ndarray], ids: np.ndarray
) -> np.ndarray:
    """Logits (C,) of one text in plain torch: no batch, no padding."""
    parts = {name: torch.from_numpy(value) for name, value in state.items()}
    steps = parts["embedding.weight"][torch.from_numpy(ids)]  # (T, E)
    hidden = architecture.hidden_size
    if architecture.cell != "average":
        rnn = LAYERS[architecture.cell](
            architecture.embedding_size,
            hidden,
            architecture.num_layers,
            bidirectional=architecture.bidirectional,
        )
        prefix = "encoder.rnn."
        rnn.load_state_dict(
            {k.removeprefix(prefix): v for k, v in parts.items() if k.startswith(prefix)}
        )
        steps = rnn(steps)[0]  # (T, D)
    match architecture.pooling:
        case "last":
            pooled = torch.cat([steps[-1, :hidden], steps[0, hidden:]])
        case "mean":
            pooled = steps.mean(0)
        case "max":
            pooled = steps.amax(0)
        case "max_mean":
            pooled = torch.cat([steps.amax(0), steps.mean(0)])
        case "attention":
            weight, bias = parts["pooling.projection.weight"], parts["pooling.projection.bias"]
            score = torch.tanh(steps @ weight.T + bias) @ parts["pooling.query"]
            pooled = score.softmax(0) @ steps
    return (parts["head.weight"] @ pooled + parts["head.bias"]).numpy()


@pytest.mark.parametrize(("cell", "pooling"), SHAPES)
@torch.no_grad()
def test_equals_plain_torch(cell: str, pooling: str) -> None:
    ids, lengths = random_batch([1, 2, 40, 3, 512, 7])
    for layers, both in [(0, False)] if cell == "average" else DEPTHS:
        architecture = tiny_architecture(cell, pooling, num_layers=layers, bidirectional=both)
        state = random_state(architecture)
        expected = [
            one_text(architecture, state, row[:length])
            for row, length in zip(ids, lengths, strict=True)
        ]
        actual = run_session(session(architecture, state), ids, lengths)
        assert actual.dtype == np.float32
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("cell", "pooling"), SHAPES)
@torch.no_grad()
def test_equals_the_network_that_was_trained(cell: str, pooling: str) -> None:
    architecture = tiny_architecture(cell, pooling, num_layers=0 if cell == "average" else 2)
    network = TextNetwork(architecture).eval()
    state = {name: value.numpy() for name, value in network.state_dict().items()}
    ids, lengths = random_batch([5, 1, 33, 12])
    expected = network(torch.from_numpy(ids), torch.from_numpy(lengths)).numpy()
    actual = run_session(session(architecture, state), ids, lengths)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@torch.no_grad()
def test_equals_the_network_at_every_length(cell: str) -> None:
    architecture = tiny_architecture(cell, "attention")
    network = TextNetwork(architecture).eval()
    network.load_state_dict(
        {name: torch.from_numpy(value) for name, value in random_state(architecture).items()}
    )
    running = session(architecture, random_state(architecture))
    for first in range(1, 513, 64):
        ids, lengths = random_batch(list(range(first, first + 64)), seed=first)
        expected = network(torch.from_numpy(ids), torch.from_numpy(lengths)).numpy()
        actual = run_session(running, ids, lengths)
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("cell", "pooling"), SHAPES)
@torch.no_grad()
def test_equals_the_network_at_lengths_to_512_and_batches_to_64(cell: str, pooling: str) -> None:
    random = np.random.default_rng(0)
    for layers, both in [(0, False)] if cell == "average" else DEPTHS:
        architecture = tiny_architecture(cell, pooling, num_layers=layers, bidirectional=both)
        state = random_state(architecture)
        network = TextNetwork(architecture).eval()
        network.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()})
        running = session(architecture, state)
        for batch, longest in ((1, 1), (1, 512), (2, 3), (7, 130), (64, 40), (64, 512)):
            lengths = [longest, *random.integers(1, longest + 1, batch - 1)]
            ids, sizes = random_batch(random.permutation(lengths).tolist(), seed=batch)
            expected = network(torch.from_numpy(ids), torch.from_numpy(sizes)).numpy()
            np.testing.assert_allclose(
                run_session(running, ids, sizes), expected, rtol=0, atol=1e-5
            )


@pytest.mark.parametrize(("cell", "pooling"), SHAPES)
def test_int8_graph_is_that_of_the_rounded_matrices(cell: str, pooling: str) -> None:
    layers = 0 if cell == "average" else 2
    architecture = tiny_architecture(cell, pooling, num_layers=layers)
    state = random_state(architecture)
    rounded = dict(state)
    for name, value in state.items():
        if value.ndim == 2:
            # one scale a row of what the graph multiplies: attention's is turned round
            turned = value.T if "projection" in name else value
            whole, scale = quantize(turned)
            assert whole.dtype == np.int8
            assert np.abs(whole * scale - turned).max() <= scale.max() / 2 + 1e-6
            product = whole.astype(np.float32) * scale
            rounded[name] = np.ascontiguousarray(product.T if "projection" in name else product)
    ids, lengths = random_batch([5, 1, 33, 12])
    graph = build_graph(architecture, state, int8=True)
    onnx.checker.check_model(graph, full_check=True)
    small = onnxruntime.InferenceSession(
        graph.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    expected = run_session(session(architecture, rounded), ids, lengths)
    np.testing.assert_allclose(run_session(small, ids, lengths), expected, rtol=0, atol=1e-5)


def test_a_row_of_zeros_stays_zero_in_int8() -> None:
    whole, scale = quantize(np.zeros((2, 3), np.float32))
    assert not whole.any()
    assert (scale == 1).all()


@pytest.mark.parametrize(("cell", "pooling"), SHAPES)
def test_padding_changes_nothing(cell: str, pooling: str) -> None:
    architecture = tiny_architecture(cell, pooling)
    running = session(architecture, random_state(architecture))
    ids, lengths = random_batch([4, 9, 1])
    wider = np.zeros((3, 30), np.int64)
    for row, length in enumerate(lengths):
        wider[row, :length] = ids[row, :length]
    actual = run_session(running, ids, lengths)
    np.testing.assert_allclose(run_session(running, wider, lengths), actual, rtol=0, atol=1e-6)
    for row, length in enumerate(lengths):
        alone = run_session(running, ids[row : row + 1, :length], lengths[row : row + 1])
        np.testing.assert_allclose(alone[0], actual[row], rtol=0, atol=1e-6)


def test_states_below_zero_are_not_hidden_by_padding() -> None:
    architecture = tiny_architecture("average", "max")
    state = random_state(architecture)
    state["embedding.weight"] = -np.abs(state["embedding.weight"]) - 1
    ids, lengths = random_batch([3, 8])
    expected = one_text(architecture, state, ids[0, :3])
    np.testing.assert_allclose(
        run_session(session(architecture, state), ids, lengths)[0], expected, atol=1e-5
    )


def test_graph_is_one_that_the_oldest_onnxruntime_reads_without_a_word(
    capfd: pytest.CaptureFixture[str],
) -> None:
    for cell, pooling in SHAPES:
        architecture = tiny_architecture(cell, pooling)
        model = build_graph(architecture, random_state(architecture))
        onnx.checker.check_model(model, full_check=True)
        assert model.ir_version <= 10
        assert [(entry.domain, entry.version <= 21) for entry in model.opset_import] == [("", True)]
        assert [value.name for value in model.graph.input] == ["input_ids", "lengths"]
        assert [value.name for value in model.graph.output] == ["logits"]
        session(architecture, random_state(architecture))
    # onnxruntime prints a warning for every constant that no node reads
    assert capfd.readouterr() == ("", "")
