"""The page of misclassified texts: what it lists, in which order, and which labels it suspects."""

from pathlib import Path
from typing import Any

import numpy as np

from nlp_rnn.runs.mistakes import MAX_MISTAKES, find_mistakes, likely_wrong_labels, write_mistakes
from nlp_rnn.scoring.predictions import Predictions


class Recorder:
    """What a run would log."""

    def __init__(self) -> None:
        self.files: list[Path] = []
        self.tables: dict[str, Any] = {}

    def log_file(self, path: Path, folder: str | None = None) -> None:
        self.files.append(path)

    def log_table(self, columns: list[str], rows: list[list[Any]], file: str) -> None:
        self.tables[file] = {"columns": columns, "data": rows}


def predicted(labels: Any, probabilities: Any, thresholds: Any = None) -> Predictions:
    table = np.asarray(probabilities, np.float32)
    return Predictions.from_probabilities(
        rows=np.arange(len(table)) + 10,
        labels=labels,
        probabilities=table,
        lengths=np.ones(len(table)),
        label_names=["no", "yes", "maybe"][: table.shape[1]],
        thresholds=thresholds,
    )


def test_mistakes_are_listed_by_confidence_with_their_rows() -> None:
    predictions = predicted([0, 1, 0, 1], [[0.9, 0.1], [0.6, 0.4], [0.1, 0.9], [0.2, 0.8]])
    mistakes, count = find_mistakes("test", predictions, ["a", "b", "c", "d"])
    assert count == 2
    assert [(m.row, m.text, m.label, m.prediction) for m in mistakes] == [
        (12, "c", "no", "yes"),
        (11, "b", "yes", "no"),
    ]
    assert [m.confidence for m in mistakes] == [0.9, 0.6]
    assert [m.label_probability for m in mistakes] == [0.1, 0.4]


def test_swapped_labels_are_suspected_and_hard_texts_are_not() -> None:
    rng = np.random.default_rng(0)
    true = rng.integers(0, 3, 600)
    probabilities = np.full((600, 3), 0.05)
    probabilities[np.arange(600), true] = 0.9
    hard = np.arange(600) >= 560
    probabilities[hard] = [0.4, 0.35, 0.25]
    labels = true.copy()
    labels[:20] = (true[:20] + 1) % 3
    suspected = likely_wrong_labels(predicted(labels, probabilities))
    assert suspected[:20].all()
    assert not suspected[20:].any()


def test_multi_label_mistakes_name_all_labels_and_the_surest_wrong_decision() -> None:
    labels = np.array([[1, 0, 0], [0, 0, 0], [1, 1, 0]], bool)
    probabilities = [[0.9, 0.2, 0.1], [0.1, 0.7, 0.95], [0.8, 0.1, 0.2]]
    predictions = predicted(labels, probabilities, np.full(3, 0.5))
    mistakes, count = find_mistakes("validation", predictions, ["a", "b", "c"])
    assert count == 2
    assert [(m.text, m.label, m.prediction) for m in mistakes] == [
        ("b", "(none)", "yes, maybe"),
        ("c", "no, yes", "no"),
    ]
    assert [m.confidence for m in mistakes] == [0.95, 0.9]
    assert mistakes[0].label_probability is None


def test_the_page_escapes_texts_and_the_table_has_the_misclassified_ones(tmp_path: Path) -> None:
    texts = ["<script>alert(1)</script>", "x" * 5000, "مرحبا \ud800", "fine"]
    predictions = predicted([1, 1, 1, 0], [[0.9, 0.1]] * 4)
    recorder: Any = Recorder()
    page = write_mistakes(tmp_path, {"test": (predictions, texts)}, recorder)
    html = page.read_text(encoding="utf-8")
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(1)" in html
    assert "x" * 1001 not in html
    assert "3 of 4 texts are misclassified" in html
    assert recorder.files == [page]
    table = recorder.tables["mistakes.json"]
    assert table["columns"][:5] == ["split", "row", "text", "label", "prediction"]
    assert [row[0] for row in table["data"]] == ["test"] * 3
    assert [path.name for path in tmp_path.iterdir()] == ["mistakes.html"]


def test_a_run_without_mistakes_and_one_with_many(tmp_path: Path) -> None:
    recorder: Any = Recorder()
    right = predicted([0, 1], [[0.9, 0.1], [0.1, 0.9]])
    page = write_mistakes(tmp_path, {"test": (right, ["a", "b"])}, recorder)
    assert "0 of 2 texts" in page.read_text(encoding="utf-8")
    assert recorder.tables["mistakes.json"]["data"] == []
    rows = MAX_MISTAKES + 7
    wrong = predicted([1] * rows, [[0.9, 0.1]] * rows)
    mistakes, count = find_mistakes("test", wrong, ["t"] * rows)
    assert (len(mistakes), count) == (MAX_MISTAKES, rows)
