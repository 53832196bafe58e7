"""The model card tells a stranger what a classifier is, and changes nothing about the folder."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

import nlp_rnn
from nlp_rnn.classifier.classifier_saving import save_classifier
from nlp_rnn.classifier.risk_coverage import risk_coverage
from nlp_rnn.errors import ClassifierError
from nlp_rnn.runs.model_card import write_card
from nlp_rnn.scoring.predictions import Predictions, read_predictions, write_predictions
from tests.tiny_classifier import tiny_parts, tiny_texts

ORIGIN: dict[str, Any] = {
    "data": "reviews",
    "data_digest": "abc123",
    "rows": {"train": 80, "validation": 10, "test": 50},
    "seed": 7,
    "signature": "00c0ffee",
    "best_epoch": 3,
    "validation": {},
    "mlflow_run_id": "f00d",
}


def carded(folder: Path, labels: list[str] | None = None, **changes: Any) -> Path:
    """A classifier folder with a card, and its answers to the test split beside it."""
    parts = tiny_parts(**changes) | {"provenance": ORIGIN}
    if labels is not None:
        parts["labels"] = labels
    save_classifier(folder, **parts)
    classifier = nlp_rnn.load(folder)
    texts = tiny_texts(50)
    probabilities = classifier.predict_proba(texts)
    right = probabilities.argmax(axis=1)
    right[:10] = (right[:10] + 1) % len(classifier.labels)
    predictions = Predictions.from_probabilities(
        rows=range(50),
        labels=right,
        probabilities=probabilities,
        lengths=classifier.token_counts(texts),
        label_names=classifier.labels,
    )
    write_predictions(folder.parent / "test_predictions.parquet", predictions)
    metrics = {
        "test/macro_f1": 0.71234,
        "validation/accuracy": 0.9,
        "validation/macro_f1": 0.88,
        "latency/onnx_batch1_p50_ms": 0.512,
        "latency/onnx_batch1_p95_ms": 0.9,
    }
    if (folder / "model.int8.onnx").exists():
        metrics |= {"int8/agreement": 0.98, "int8/texts": 50.0}
    remarks = ["test: the data has none; cut 50 rows"]
    table = risk_coverage(predictions.labels, predictions.probabilities)
    write_card(classifier, folder, predictions, metrics, remarks, "A Processor 9", table)
    return folder


def test_the_card_says_what_it_is_and_how_good(tmp_path: Path) -> None:
    card = (carded(tmp_path / "c") / "README.md").read_text()
    for phrase in (
        "trained on `reviews`",
        "`bad`, `fair`, `good`",
        "a bidirectional GRU with 5 hidden units, `max_mean` pooling and a vocabulary of 30 tokens",
        "The classifier has 633 parameters.",
        "80 train, 10 validation, 50 test texts",
        "`abc123`",
        "cut 50 rows",
        "| test | 50 | 80.00% | 67.0% to 88.8% | 0.7123 |",  # Wilson's interval of 40 in 50
        "accuracy 90.00%, macro-F1 0.8800",
        "| threshold | texts with a label | of these labels right |",
        "Measured on the 50 validation texts",
        "first 40 tokens",
        "no streaming",
        "A Processor 9: 0.51 ms (median), 0.90 ms",
        "run `f00d`, seed 7",
    ):
        assert phrase in card, phrase
    assert "int8" not in card
    one_way = carded(tmp_path / "d", bidirectional=False, embedding_size=64, vocab_size=2000)
    text = (one_way / "README.md").read_text()
    assert "no streaming" not in text
    assert "the same labels for 98.00% of 50 test texts" in text
    average = (carded(tmp_path / "e", cell="average") / "README.md").read_text()
    assert "an average of embeddings" in average


def test_the_python_of_the_card_gives_what_was_logged(tmp_path: Path) -> None:
    folder = carded(tmp_path / "c")
    (block,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    assert len(block.strip().splitlines()) <= 5
    texts = tiny_texts(50)
    program = block.replace('["a text", "another"]', repr(texts))
    program = "import numpy, sys; numpy.set_printoptions(threshold=sys.maxsize)\n" + program
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(Path(nlp_rnn.__file__).parents[1])},
    )
    labels, _, rows = done.stdout.partition("\n")
    logged = read_predictions(tmp_path / "test_predictions.parquet")
    assert eval(labels) == [logged.label_names[label] for label in logged.predictions]
    probabilities = np.array(re.findall(r"[\d.e-]+", rows), dtype=float).reshape(50, 3)
    np.testing.assert_allclose(probabilities, logged.probabilities, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("truncation", "phrase"),
    [
        ({"direction": "left"}, "reads at most the last 40 tokens"),
        ({"stride": 15}, "reads at most the first 25 and the last 15 tokens"),
    ],
)
def test_the_tokens_that_are_read_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, truncation: dict[str, Any], phrase: str
) -> None:
    tokenizer = Tokenizer.from_str(tiny_parts()["tokenizer_json"])
    tokenizer.enable_truncation(40, **truncation)
    parts = tiny_parts() | {"tokenizer_json": tokenizer.to_str()}
    monkeypatch.setattr("tests.test_model_card.tiny_parts", lambda **_: dict(parts))
    assert phrase in (carded(tmp_path / "c") / "README.md").read_text()


def test_balanced_weights_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    phrase = "those of rare labels are too high"
    assert phrase not in (carded(tmp_path / "one") / "README.md").read_text()
    monkeypatch.setitem(ORIGIN, "class_weight", "balanced")
    assert phrase in (carded(tmp_path / "two") / "README.md").read_text()


def test_a_changed_card_changes_nothing(tmp_path: Path) -> None:
    folder = carded(tmp_path / "c")
    expected = nlp_rnn.load(folder).predict_proba(["w2"])
    for change in (
        lambda card: card.write_text("mine"),
        lambda card: card.write_bytes(b"\xff\x00"),
        lambda card: card.unlink(),
        lambda card: card.symlink_to("/etc/hostname"),
    ):
        change(folder / "README.md")
        np.testing.assert_array_equal(nlp_rnn.load(folder).predict_proba(["w2"]), expected)
    (folder / "README.md").unlink()
    (folder / "README.md").write_text("mine")
    carded(folder)  # trained again into the same folder
    assert "## Scores" in (folder / "README.md").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c", "test_predictions.parquet"]
    (folder / "notes.md").write_text("mine")
    with pytest.raises(ClassifierError, match=r"other files: notes\.md"):
        carded(folder)


def test_names_of_labels_cannot_leave_their_place(tmp_path: Path) -> None:
    labels = ["`|\n# pwn", "", "x" * 100]
    card = (carded(tmp_path / "c", labels) / "README.md").read_text()
    assert "\n# pwn" not in card
    assert "`'¦ # pwn`" in card
    assert "x" * 41 not in card
