"""A saved classifier predicts as the network does, independently of the rest of the batch."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
import torch
from onnx import TensorProto, helper

from nlp_rnn.classifier import batched_network as batched
from nlp_rnn.classifier import input_texts
from nlp_rnn.classifier.classifier_folder import read_state
from nlp_rnn.classifier.predictor import TextClassifier
from nlp_rnn.errors import ClassifierError
from nlp_rnn.model.network import TextNetwork
from tests.test_classifier_folder import replace
from tests.tiny_classifier import save_tiny, tiny_architecture, tiny_parts, tiny_texts

SHAPES = [
    ("lstm", "attention"),
    ("lstm", "last"),
    ("gru", "max_mean"),
    ("gru", "last"),
    ("rnn", "mean"),
    ("average", "max"),
    ("average", "attention"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_tiny(tmp_path / "classifier")


@pytest.fixture
def classifier(folder: Path) -> TextClassifier:
    return TextClassifier.load(folder)


def error_message(classifier: TextClassifier, texts: Any) -> str:
    messages = []
    for ask in (classifier.predict, classifier.predict_proba, classifier.token_counts):
        with pytest.raises(ClassifierError) as caught:
            ask(texts)
        messages.append(str(caught.value))
    assert len(set(messages)) == 1
    assert 1 <= len(messages[0].splitlines()) <= 2
    return messages[0]


@pytest.mark.parametrize(("cell", "pooling"), SHAPES)
@torch.no_grad()
def test_probabilities_are_the_networks(tmp_path: Path, cell: str, pooling: str) -> None:
    folder = save_tiny(tmp_path / "c", cell=cell, pooling=pooling)
    network = TextNetwork(tiny_architecture(cell, pooling)).eval()
    network.load_state_dict(
        {name: torch.from_numpy(value) for name, value in read_state(folder).items()}
    )
    texts = ["w2 w3 w29", "", "unknown w4", " ".join(["w5", "w6"] * 30)]
    ids = [[2, 3, 29], [1], [1, 4], [5, 6] * 20]  # cut at 40
    expected = [
        network(torch.tensor([tokens]), torch.tensor([len(tokens)])).softmax(1)[0] for tokens in ids
    ]
    classifier = TextClassifier.load(folder)
    probabilities = classifier.predict_proba(texts)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, np.stack(expected), rtol=0, atol=1e-6)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=0, atol=1e-6)
    assert classifier.predict(texts) == [
        ["bad", "fair", "good"][index] for index in probabilities.argmax(1)
    ]
    assert classifier.token_counts(texts).tolist() == [3, 1, 2, 40]


@pytest.mark.parametrize(("cell", "pooling"), SHAPES)
def test_batch_mates_order_and_batch_size_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cell: str, pooling: str
) -> None:
    classifier = TextClassifier.load(save_tiny(tmp_path / "c", cell=cell, pooling=pooling))
    texts = tiny_texts(200)
    together = classifier.predict_proba(texts)
    alone = np.concatenate([classifier.predict_proba([text]) for text in texts])
    np.testing.assert_allclose(alone, together, rtol=0, atol=1e-6)
    backwards = classifier.predict_proba(texts[::-1])[::-1]
    np.testing.assert_allclose(backwards, together, rtol=0, atol=1e-6)
    # many chunks of many batches, some of one text because a text is longer than a batch
    monkeypatch.setattr(input_texts, "CHUNK_TEXTS", 17)
    monkeypatch.setattr(batched, "BATCH_TOKENS", 30)
    np.testing.assert_allclose(classifier.predict_proba(texts), together, rtol=0, atol=1e-6)
    assert classifier.token_counts(texts).tolist() == [
        min(max(len(text.split()), 1), 40) for text in texts
    ]


def test_batches_hold_every_text_once_within_their_limits() -> None:
    lengths = np.random.default_rng(0).integers(1, 2000, 1000).tolist()
    lengths.append(50_000)
    batches = list(batched.batches(lengths))
    assert sorted(np.concatenate(batches)) == list(range(1001))
    assert lengths[batches[0][0]] == 50_000
    for rows in batches:
        places = max(lengths[row] for row in rows) * len(rows)
        assert len(rows) <= 64
        assert places <= 4096 or len(rows) == 1


def test_threads_change_nothing(folder: Path) -> None:
    texts = tiny_texts(300)
    one, many = (TextClassifier.load(folder, threads=n) for n in (1, 4))
    np.testing.assert_array_equal(one.predict_proba(texts), many.predict_proba(texts))
    for wrong in (0, -1, 1.5, True, "2"):
        with pytest.raises(ClassifierError, match="threads is"):
            TextClassifier.load(folder, threads=wrong)  # type: ignore[arg-type]


def test_default_threads_are_the_cores_this_process_may_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3, 5, 7}, raising=False)
    assert batched.usable_threads(None) == 3


def test_one_classifier_serves_many_threads(classifier: TextClassifier) -> None:
    texts = [tiny_texts(80, seed) for seed in range(8)]
    expected = [classifier.predict_proba(batch) for batch in texts]
    probabilities: dict[int, np.ndarray] = {}

    def work(index: int) -> None:
        for _ in range(5):
            probabilities[index] = classifier.predict_proba(texts[index])

    threads = [threading.Thread(target=work, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index in range(8):
        np.testing.assert_array_equal(probabilities[index], expected[index])


FRESH = """
import json, sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked}:
            raise ImportError(name + " is blocked")
sys.meta_path.insert(0, Blocked())
from nlp_rnn.classifier.predictor import TextClassifier
classifier = TextClassifier.load({folder!r})
found = classifier.predict_proba({texts!r})
print(json.dumps([found.tolist(), sorted(sys.modules)]))
"""


def test_fresh_process_gives_the_same_and_needs_only_three_libraries(
    folder: Path, classifier: TextClassifier
) -> None:
    texts = tiny_texts(30)
    blocked = {"torch", "datasets", "mlflow", "hydra", "omegaconf", "onnx", "safetensors", "pandas"}
    program = FRESH.format(blocked=blocked, folder=str(folder), texts=texts)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    probabilities, modules = json.loads(done.stdout)
    np.testing.assert_array_equal(np.float32(probabilities), classifier.predict_proba(texts))
    assert blocked & set(modules) == set()
    assert "onnxruntime" in modules


def test_sizes_classes_and_description(tmp_path: Path, classifier: TextClassifier) -> None:
    assert classifier.labels == ["bad", "fair", "good"]
    assert classifier.classes_.tolist() == classifier.labels
    assert classifier.config["max_length"] == 40
    parts = tiny_parts()
    assert classifier.num_parameters == sum(value.size for value in parts["state"].values())
    assert "bidirectional GRU 1 × 5, max_mean pooling" in repr(classifier)
    assert "3 labels (bad, fair, good)" in repr(classifier)
    average = TextClassifier.load(save_tiny(tmp_path / "a", cell="average"))
    assert "average of embeddings" in repr(average)


def test_score(classifier: TextClassifier) -> None:
    texts = tiny_texts(10)
    truth = classifier.predict(texts)
    assert classifier.score(texts, truth) == 1
    assert classifier.score(texts, ["other", *truth[1:]]) == pytest.approx(0.9)
    with pytest.raises(ClassifierError, match="10 texts and 9 labels"):
        classifier.score(texts, truth[1:])
    with pytest.raises(ClassifierError, match="0 texts"):
        classifier.score([], [])
    with pytest.raises(ClassifierError, match=r"labels\[0\] is int 1"):
        classifier.score(texts, [1] * 10)  # type: ignore[list-item]


@pytest.mark.parametrize(
    "same",
    [
        tuple,
        iter,
        np.array,
        lambda texts: np.array(texts, dtype=object),
        pd.Series,
        lambda texts: pd.Series(texts, index=[7, 7, 3], dtype=object),
    ],
)
def test_sequences_of_every_kind(classifier: TextClassifier, same: Any) -> None:
    texts = ["w2", "w3 w4", ""]
    expected = classifier.predict_proba(texts)
    np.testing.assert_array_equal(classifier.predict_proba(same(texts)), expected)
    assert classifier.predict(same(texts)) == classifier.predict(texts)


@pytest.mark.parametrize("empty", [[], (), np.array([]), pd.Series([], dtype=str)])
def test_no_texts_give_no_predictions(classifier: TextClassifier, empty: Iterable[str]) -> None:
    assert classifier.predict(empty) == []
    assert classifier.predict_proba(empty).shape == (0, 3)
    assert classifier.token_counts(empty).shape == (0,)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n\t",
        "\x00",
        "w2\x00w3",
        "\ud800 w2",
        "😀",
        "\x85w2\u2028",
        "w2 " * 300_000,
        "x" * 10**6,
    ],
)
def test_strange_texts_get_a_prediction(classifier: TextClassifier, text: str) -> None:
    probabilities = classifier.predict_proba([text, "w2 w3"])
    assert np.isfinite(probabilities).all()
    np.testing.assert_allclose(
        probabilities[1:], classifier.predict_proba(["w2 w3"]), rtol=0, atol=1e-6
    )


def test_one_text_instead_of_a_list_is_rejected_with_the_fix(classifier: TextClassifier) -> None:
    assert (
        "is one str, not a list of str.\nPut a single text into a list: [text]."
        in error_message(classifier, "w2 w3")
    )
    assert "is one bytes" in error_message(classifier, b"w2")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "NoneType None"),
        (float("nan"), "float nan"),
        (3, "int 3"),
        (b"w2", "bytes b'w2'"),
        (["w2"], "list ['w2']"),
        (pd.NA, "NAType <NA>"),
    ],
)
def test_what_is_no_text_is_rejected_with_its_position(
    classifier: TextClassifier, value: Any, message: str
) -> None:
    assert f"texts[2] is {message}, not a str" in error_message(classifier, ["w2", "w3", value])


def test_what_is_no_sequence_of_texts_is_rejected(classifier: TextClassifier) -> None:
    table = pd.DataFrame({"id": [1], "text": ["w2"]})
    assert 'columns id, text.\nPass one of them: predict(table["text"])' in error_message(
        classifier, table
    )
    assert "texts is dict, " in error_message(classifier, {"text": ["w2"]})
    assert "texts is set, " in error_message(classifier, {"w2", "w3"})
    assert "texts is int, " in error_message(classifier, 3)
    assert "texts is NoneType, " in error_message(classifier, None)
    assert "is ndarray" in error_message(classifier, np.array([["w2"], ["w3"]]))


def graph_that_returns(value: np.ndarray) -> bytes:
    constant = onnx.numpy_helper.from_array(value, "value")
    graph = helper.make_graph(
        [helper.make_node("Identity", ["value"], ["logits"])],
        "other",
        [
            helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["b", "t"]),
            helper.make_tensor_value_info("lengths", TensorProto.INT64, ["b"]),
        ],
        [helper.make_tensor_value_info("logits", constant.data_type, value.shape)],
        [constant],
    )
    opset = [helper.make_opsetid("", 18)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()


def test_graph_of_another_network_is_rejected(tmp_path: Path, folder: Path) -> None:
    smaller = save_tiny(tmp_path / "smaller", vocab_size=29)
    fewer = save_tiny(tmp_path / "fewer", num_labels=2)
    for data, message in [
        ((smaller / "model.onnx").read_bytes(), "cannot run"),
        (
            (fewer / "model.onnx").read_bytes(),
            "(1, 2) for one text, not one float32 for each of 3 labels",
        ),
        (graph_that_returns(np.zeros((1, 3), np.float64)), "returns float64"),
        (b"no graph", "cannot run"),
        (b"", "cannot run"),
    ]:
        replace(folder, "model.onnx", data)
        with pytest.raises(ClassifierError) as caught:
            TextClassifier.load(folder)
        assert message in str(caught.value)
        assert len(str(caught.value).splitlines()) == 2
