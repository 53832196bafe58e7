"""The written-out cells equal torch's layers, and half-lives follow their definition."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from nlp_rnn.inspection.gates import (
    LONGEST_HALF_LIFE,
    LayerTrace,
    half_lives,
    summarize_half_lives,
    trace_layers,
)
from nlp_rnn.layers.cells import CELLS
from nlp_rnn.model.architecture import Architecture
from tests.tiny_classifier import random_state, tiny_architecture

LAYERS = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


def torch_states(architecture: Architecture, state: dict, ids: np.ndarray) -> list[np.ndarray]:
    """Each direction of each layer by torch, (T, H), one layer at a time."""
    steps = torch.from_numpy(state["embedding.weight"][ids])
    states = []
    for number in range(architecture.num_layers):
        layer = LAYERS[architecture.cell](
            steps.shape[1], architecture.hidden_size, bidirectional=architecture.bidirectional
        )
        layer.load_state_dict(
            {
                name: torch.from_numpy(state[f"encoder.rnn.{name.replace('l0', f'l{number}')}"])
                for name in dict(layer.named_parameters())
            }
        )
        with torch.no_grad():
            steps = layer(steps[:, None])[0][:, 0]
        states += [part.numpy() for part in steps.split(architecture.hidden_size, dim=1)]
    return states


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("length", [1, 2, 60])
def test_states_equal_those_of_torch(cell: str, bidirectional: bool, length: int) -> None:
    architecture = tiny_architecture(cell, num_layers=2, bidirectional=bidirectional)
    state = {name: 2 * value for name, value in random_state(architecture, seed=3).items()}
    ids = np.random.default_rng(1).integers(0, architecture.vocab_size, length)
    traces = trace_layers(architecture, state, ids)
    expected = torch_states(architecture, state, ids)
    assert [(trace.layer, trace.backward) for trace in traces] == [
        (layer, backward)
        for layer in range(2)
        for backward in ([False, True] if bidirectional else [False])
    ]
    for trace, states in zip(traces, expected, strict=True):
        np.testing.assert_allclose(trace.states, states, rtol=0, atol=1e-5)
        assert tuple(trace.gates) == CELLS[cell].sigmoid_gates
        for values in trace.gates.values():
            assert values.shape == trace.states.shape
            assert values.min() >= 0
            assert values.max() <= 1


def test_gates_are_those_that_make_the_states() -> None:
    """A GRU's states follow from its update gate: h moves from the old state by 1 - z at most."""
    architecture = tiny_architecture("gru", bidirectional=False)
    state = random_state(architecture)
    (layer,) = trace_layers(architecture, state, np.arange(2, 30))
    before = np.vstack([np.zeros(5, np.float32), layer.states[:-1]])
    new = (layer.states - layer.gates["update"] * before) / (1 - layer.gates["update"])
    assert np.abs(new).max() <= 1 + 1e-5
    assert layer.retention is layer.gates["update"]
    # a closed update gate: the bias of z far below 0 writes a new state at every token
    rows = slice(5, 10)
    state["encoder.rnn.bias_ih_l0"][rows] = -50
    (closed,) = trace_layers(architecture, state, np.arange(2, 30))
    assert closed.saturated("update") == (1.0, 0.0)
    state["encoder.rnn.bias_ih_l0"][rows] = 50
    (opened,) = trace_layers(architecture, state, np.arange(2, 30))
    assert opened.saturated("update") == (0.0, 1.0)
    assert np.abs(opened.states).max() < 1e-5


def layer_that_retains(retention: np.ndarray) -> LayerTrace:
    return LayerTrace(0, False, {"forget": retention}, np.zeros_like(retention), retention)


def test_half_lives() -> None:
    retention = np.tile(np.array([0.5, 0.9, 1.0, 0.0, 0.5**0.1], np.float32), (20, 1))
    lives = half_lives(layer_that_retains(retention))
    assert lives is not None
    assert lives[:2] == pytest.approx([1.0, np.log(0.5) / np.log(0.9)], rel=1e-5)
    assert lives[2] == LONGEST_HALF_LIFE
    assert 0 < lives[3] < 0.02
    assert lives[4] == pytest.approx(10.0, rel=1e-4)
    summary = summarize_half_lives(lives, num_tokens=9)
    assert summary.median == pytest.approx(lives[1])
    assert summary.longest == LONGEST_HALF_LIFE
    assert summary.share_beyond_text == pytest.approx(0.4)
    # a gate that closes once in a while: the same loss, spread evenly
    mixed = np.ones((10, 1), np.float32)
    mixed[4] = 0.5
    assert half_lives(layer_that_retains(mixed)) == pytest.approx([10.0], rel=1e-5)
    assert half_lives(replace(layer_that_retains(mixed), retention=None)) is None


def test_the_most_active_units_come_first() -> None:
    states = np.zeros((4, 3), np.float32)
    states[1, 2], states[:, 0] = 5.0, [1, 2, 1, 2]
    layer = LayerTrace(0, False, {}, states, None)
    assert layer.active_units(2).tolist() == [2, 0]
    assert layer.active_units(9).tolist() == [2, 0, 1]
