"""A pooling that is defined here and registered by one line does everything that others do."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import nlp_rnn
from nlp_rnn.classifier.predictor import TextClassifier
from nlp_rnn.cli import main
from nlp_rnn.layers.onnx_graph import Graph
from nlp_rnn.layers.pooling_interface import Array, Pooling, State, Weights
from nlp_rnn.layers.pooling_modules import mask
from nlp_rnn.layers.poolings import POOLINGS

SMALL = [
    "data=stories",
    "data.train_rows=200",
    "data.test_rows=60",
    "data.train_sentences=2",
    "model.hidden_size=8",
    "model.embedding_size=8",
    "trainer.max_epochs=2",
    "trainer.threads=1",
    "tracking.system_metrics=false",
    "tracking.speed=none",
]
TEXTS = ["Mary went to the garden.", "Where is John? John went to the office. ", "", "unknown"]


class MinimumModule(nn.Module):
    """Smallest value of each feature over the steps of a text, times a learned scale."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(size))

    def forward(self, states: Tensor, lengths: Tensor) -> Tensor:
        within = mask(lengths, len(states))  # bool (T, B, 1)
        return states.masked_fill(~within, torch.inf).amin(0) * self.scale


class MinimumPooling(Pooling):
    """Smallest value of each feature over the steps of a text, times a learned scale; P = D."""

    def parameter_shapes(self, size: int) -> dict[str, tuple[int, ...]]:
        return {"scale": (size,)}

    def module(self, size: int, bidirectional: bool) -> nn.Module:
        return MinimumModule(size)

    def add_nodes(self, graph: Graph, states: str, weights: Weights) -> str:
        _, within = graph.text_mask()  # bool (T, B, 1)
        highest = graph.constant("minimum_highest", np.finfo(np.float32).max)
        ranked = graph.node("Where", [within, states, highest], "minimum_ranked")
        minimum = graph.node("ReduceMin", [ranked, "first_axis"], "minimum", keepdims=0)
        scale = graph.constant("minimum_scale", weights["scale"])
        return graph.node("Mul", [minimum, scale], "minimum_scaled")

    def start(self, streams: int, size: int) -> State:
        return {"minimum": np.full((streams, size), np.inf, np.float32)}

    def step(self, weights: Weights, state: State, states: Array) -> Array:
        state["minimum"] = np.minimum(state["minimum"], states)
        return state["minimum"] * weights["scale"]


class FirstPooling(Pooling):
    """State after the first token, which has no parameters."""

    def module(self, size: int, bidirectional: bool) -> nn.Module:
        class First(nn.Module):
            def forward(self, states: Tensor, lengths: Tensor) -> Tensor:
                return states[0]

        return First()

    def add_nodes(self, graph: Graph, states: str, weights: Weights) -> str:
        index = graph.constant("first_index", 0, np.int64)
        return graph.node("Gather", [states, index], "first_state", axis=0)

    def start(self, streams: int, size: int) -> State:
        return {"first": np.full((streams, size), np.nan, np.float32)}

    def step(self, weights: Weights, state: State, states: Array) -> Array:
        state["first"] = np.where(np.isnan(state["first"]), states, state["first"])
        return state["first"]


def check_everything(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *overrides: str
) -> TextClassifier:
    """Train, save, export, load without torch and stream; return the loaded classifier."""
    assert main(["train", *SMALL, f"hydra.run.dir={folder}", *overrides]) == 0
    result = json.loads((folder / "result.json").read_text())
    assert 0 <= result["metrics"]["test/accuracy"] <= 1
    from_torch = nlp_rnn.load(folder / "classifier", runtime="torch").predict_proba(TEXTS)
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "torch", None)
        classifier: TextClassifier = nlp_rnn.load(folder / "classifier")
        from_onnx = classifier.predict_proba(TEXTS)
        np.testing.assert_allclose(from_onnx, from_torch, atol=1e-5)
        # neither padding nor the other texts change a prediction
        alone = [classifier.predict_proba([text])[0] for text in TEXTS]
        np.testing.assert_allclose(alone, from_onnx, atol=1e-5)
        if "model.bidirectional=false" in overrides:
            stream = classifier.stream()
            rows = [*stream.read(TEXTS[1]), *stream.finish()]
            np.testing.assert_allclose(rows[-1], from_onnx[1], atol=1e-5)
            pool = classifier.stream_pool()
            pool.read({number: text for number, text in enumerate(TEXTS)})
            last = pool.finish(*range(len(TEXTS)))
            np.testing.assert_allclose([*last.values()], from_onnx, atol=1e-5)
    return classifier


@pytest.mark.parametrize("direction", ["model.bidirectional=true", "model.bidirectional=false"])
@pytest.mark.parametrize("pooling", [MinimumPooling(), FirstPooling()])
def test_a_pooling_is_one_class_and_one_line(
    pooling: Pooling,
    direction: str,
    tmp_path: Path,
    store_uri: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(POOLINGS, "toy", pooling)
    overrides = ["model=gru", "model.pooling=toy", direction]
    assert "toy pooling" in repr(check_everything(tmp_path / "run", monkeypatch, *overrides))


@pytest.mark.parametrize("page", ["add-a-pooling", "add-a-cell"])
def test_the_code_of_the_pages_for_contributors_is_the_code_that_is_tested(page: str) -> None:
    tests = Path(__file__).parent
    text = (tests.parent / "docs" / "how-to" / f"{page}.md").read_text(encoding="utf-8")
    program = (tests / f"test_{page.replace('-', '_')}.py").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    definitions = [block for block in blocks if block.startswith(("class", "def"))]
    assert len(definitions) == 2
    for block in definitions:
        assert block in program
