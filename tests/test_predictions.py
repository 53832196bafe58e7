import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nlp_rnn.errors import TrackingError
from nlp_rnn.scoring.metrics import wilson_interval
from nlp_rnn.scoring.plots import write_confusion_matrix, write_label_scores
from nlp_rnn.scoring.predictions import (
    Predictions,
    classification_report_text,
    read_predictions,
    write_predictions,
)
from nlp_rnn.tracking.note import RunSummary, run_note

NAMES = ("négative", "positive $x$", "日本\n語")


def random_predictions(n: int, num_labels: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, num_labels, n)
    probabilities = generator.dirichlet(np.ones(num_labels), n).astype(np.float32)
    return labels, probabilities


def predicted(labels: Any, predictions: Any, names: Sequence[str]) -> Predictions:
    """Predictions that are certain."""
    count = np.arange(len(labels))
    certain = np.eye(len(names), dtype=np.float32)[np.asarray(predictions)]
    return Predictions.from_probabilities(count, labels, certain, count + 1, names)


@pytest.mark.parametrize("n", [0, 1, 57])
def test_predictions_come_back_as_they_were(tmp_path: Path, n: int) -> None:
    labels, probabilities = random_predictions(n, 3)
    rows, lengths = np.arange(n)[::-1] * 10, np.arange(n) + 1
    predictions = Predictions.from_probabilities(rows, labels, probabilities, lengths, NAMES)
    write_predictions(tmp_path / "test.parquet", predictions)
    read = read_predictions(tmp_path / "test.parquet")
    assert read.label_names == NAMES
    for column, expected in (
        (read.rows, rows),
        (read.labels, labels),
        (read.predictions, probabilities.argmax(axis=1)),
        (read.probabilities, probabilities),
        (read.lengths, lengths),
    ):
        np.testing.assert_array_equal(column, expected)
    assert read.probabilities.dtype == np.float32
    assert {column.dtype for column in (read.rows, read.labels, read.lengths)} == {
        np.dtype(np.int64)
    }
    assert [file.name for file in tmp_path.iterdir()] == ["test.parquet"]


@pytest.mark.parametrize("n", [0, 1, 57])
def test_multi_label_predictions_come_back_as_they_were(tmp_path: Path, n: int) -> None:
    random = np.random.default_rng(0)
    labels, probabilities = random.random((n, 3)) < 0.4, random.random((n, 3), np.float32)
    thresholds, path = np.array([0.2, 0.5, 0.8]), tmp_path / "test.parquet"
    written = Predictions.from_probabilities(
        range(n), labels, probabilities, np.ones(n), NAMES, thresholds
    )
    assert written.multi_label
    write_predictions(path, written)
    read = read_predictions(path)
    assert read.multi_label
    assert read.label_names == NAMES
    for name in ("rows", "labels", "predictions", "probabilities", "lengths", "correct"):
        np.testing.assert_array_equal(getattr(read, name), getattr(written, name))
    np.testing.assert_array_equal(read.predictions, probabilities >= thresholds)


def test_anyone_can_read_the_predictions(tmp_path: Path) -> None:
    import pandas as pd
    import pyarrow.parquet as pq

    path = tmp_path / "test.parquet"
    predictions = Predictions.from_probabilities(
        [7, 9], [0, 1], [[0.2, 0.8], [0.25, 0.75]], [3, 4], ["no", "yes"]
    )
    write_predictions(path, predictions)
    table = pd.read_parquet(path)
    assert list(table.columns) == ["row", "label", "prediction", "length", "probabilities"]
    assert table["row"].tolist() == [7, 9]
    assert table["label"].tolist() == ["no", "yes"]
    assert table["prediction"].tolist() == ["yes", "yes"]
    assert table["probabilities"][1].tolist() == [0.25, 0.75]
    metadata = pq.read_schema(path).metadata
    assert json.loads(metadata[b"label_names"]) == ["no", "yes"]
    assert pq.ParquetFile(path).metadata.row_group(0).column(0).compression == "ZSTD"


def test_predictions_of_different_shapes_raise_an_error() -> None:
    for wrong, message in (
        ({"label_names": NAMES}, r"probabilities have the shape \(1, 2\), not \(1, 3\)"),
        ({"rows": [1, 2]}, r"labels have the shape \(1,\), not \(2,\)"),
        ({"lengths": [3, 4]}, r"lengths have the shape \(2,\), not \(1,\)"),
        ({"thresholds": np.full(2, 0.5)}, r"predictions have the shape \(1, 2\), not \(1,\)"),
    ):
        columns = {"rows": [1], "labels": [0], "probabilities": [[0.5, 0.5]], "lengths": [3]}
        with pytest.raises(ValueError, match=message):
            Predictions.from_probabilities(**{**columns, "label_names": NAMES[:2], **wrong})


def test_files_that_are_no_predictions_raise_an_error(tmp_path: Path) -> None:
    import pandas as pd

    pd.DataFrame({"row": [1], "label": ["a"]}).to_parquet(tmp_path / "other.parquet")
    (tmp_path / "text.parquet").write_text("not parquet")
    for name in ("other.parquet", "text.parquet", "missing.parquet"):
        with pytest.raises(TrackingError, match=f"{name} is not a table of predictions"):
            read_predictions(tmp_path / name)


def test_the_report_names_every_class() -> None:
    report = classification_report_text(
        predicted([0, 0, 1, 1], [0, 1, 1, 1], ["no", "yes", "never seen"])
    )
    by_name = {line.strip().split("  ")[0]: line.split() for line in report.splitlines() if line}
    assert by_name["no"][1:] == ["1.0000", "0.5000", "0.6667", "2"]
    assert by_name["yes"][1:] == ["0.6667", "1.0000", "0.8000", "2"]
    assert by_name["never seen"][2:] == ["0.0000", "0.0000", "0.0000", "0"]


def drawn_texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every text that matplotlib draws from now on."""
    from matplotlib.backends.backend_agg import RendererAgg

    texts: list[str] = []
    draw_text = RendererAgg.draw_text

    def listening(self, gc, x, y, s, *others, **options):  # type: ignore[no-untyped-def]
        texts.append(s)
        return draw_text(self, gc, x, y, s, *others, **options)

    monkeypatch.setattr(RendererAgg, "draw_text", listening)
    return texts


def test_the_picture_shows_counts_shares_and_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = drawn_texts(monkeypatch)
    labels = [0] * 1200 + [1] * 4 + [2] * 2
    predictions = [0] * 1200 + [1, 1, 1, 0] + [2, 1]
    write_confusion_matrix(tmp_path / "picture.png", predicted(labels, predictions, NAMES))
    assert {"négative", "positive $x$", "日本 語", "1,204 of 1,206 correct (99.8%)"} <= set(texts)
    # true class 0, then 1, then 2; a count of zero is not written
    cells = [text for text in texts if text.replace(",", "").isdigit()]
    assert sorted(cells) == ["1", "1", "1", "1,200", "3"]
    assert texts.count("25%") == texts.count("75%") == 1
    assert [file.name for file in tmp_path.iterdir()] == ["picture.png"]


def test_a_picture_of_many_classes_lists_the_confusions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = drawn_texts(monkeypatch)
    labels = np.repeat(np.arange(77), 10)
    predictions = labels.copy()
    predictions[[30, 31, 32]] = 5  # three of class 3
    predictions[[700]] = 1  # one of class 70
    names = [f"class {number}" for number in range(77)]
    write_confusion_matrix(tmp_path / "picture.png", predicted(labels, predictions, names))
    confusions = [text for text in texts if "→ class" in text]
    assert [text.split() for text in confusions] == [
        "3 of 10 class 3 → class 5".split(),
        "1 of 10 class 70 → class 1".split(),
    ]
    assert "10" not in texts


def test_the_picture_of_multi_label_predictions_has_the_most_frequent_label_on_top(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = drawn_texts(monkeypatch)
    labels = np.array([[1, 1, 0], [1, 0, 0], [1, 1, 1]], bool)
    predictions = Predictions.from_probabilities(
        range(3), labels, labels * np.float32(0.9), [1, 1, 1], NAMES, np.full(3, 0.5)
    )
    write_label_scores(tmp_path / "picture.png", predictions)
    names = [
        text for text in texts if text[-1].isdigit() and text.split()[0] in "négative 日本 positive"
    ]
    assert names == ["日本 語  1", "positive $x$  2", "négative  3"]
    assert {"F1", "precision", "recall"} <= set(texts)
    assert [file.name for file in tmp_path.iterdir()] == ["picture.png"]


@pytest.mark.parametrize("num_labels", [2, 20, pytest.param(151, marks=pytest.mark.slow)])
def test_pictures_are_large_enough_for_their_classes(tmp_path: Path, num_labels: int) -> None:
    from matplotlib.image import imread

    labels, probabilities = random_predictions(300, num_labels)
    names = [f"a rather long name of class {number} is cut" for number in range(num_labels)]
    path = tmp_path / "picture.png"
    write_confusion_matrix(path, predicted(labels, probabilities.argmax(axis=1), names))
    height, width, _ = imread(path).shape
    # every class has a line of at least 11 pixels, and no picture is larger than a browser takes
    assert 300 + 11 * num_labels < min(height, width)
    assert max(height, width) < 4000


def test_pictures_leave_pyplot_alone(tmp_path: Path) -> None:
    import subprocess
    import sys

    script = f"""
import sys
from pathlib import Path
from nlp_rnn.scoring.plots import write_confusion_matrix
from nlp_rnn.scoring.predictions import Predictions
predictions = Predictions.from_probabilities(range(2), [0, 1], [[1, 0], [0, 1]], [1, 1], ["a", "b"])
write_confusion_matrix(Path({str(tmp_path)!r}) / "picture.png", predictions)
print("matplotlib.pyplot" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("False\n", "")


def summary(**changes: object) -> RunSummary:
    values: dict[str, object] = {
        "title": "bidirectional GRU, max pooling",
        "dataset": "trec6",
        "digest": "0123abcd",
        "run_id": "feed",
        "command": "nlp-rnn train data=files data.path=/data/trec6 model=gru seed=1",
        "metrics": {
            "test/accuracy": 0.9,
            "test/macro_f1": 0.8761,
            "validation/accuracy": 0.91,
            "validation/macro_f1": 0.9,
            "train/tokens_per_second": 123456.7,
            "train/seconds": 34.56,
            "latency/onnx_batch1_p50_ms": 0.72,
        },
        "rows": {"train": 4907, "validation": 545, "test": 500},
        "num_labels": 6,
        "parameters": {"embedding": 1000, "recurrent": 200, "head": 34, "total": 1234},
        "remarks": ["3 rows without a text were left out."],
    }
    return RunSummary(**{**values, **changes})  # type: ignore[arg-type]


def test_the_note_tells_the_run() -> None:
    note = run_note(summary())
    assert note.splitlines()[0] == (
        "**bidirectional GRU, max pooling** on **trec6**: "
        "accuracy **90.0%**, macro-F1 0.876 on 500 test texts."
    )
    plain = note.replace("\u00a0", "")
    assert "| test | 500 | 90.00% | 87.1% to 92.3% | 0.8761 |" in plain
    assert "| validation | 545 | 91.00% | none, the weights were chosen on it | 0.9000 |" in plain
    assert "1,234 parameters (1,000 embedding, 200 recurrent, 34 head)" in note
    assert "4,907 train, 545 validation, 500 test; digest `0123abcd`" in note
    assert "3 rows without a text were left out." in note
    assert "123,457 tokens per second in training; trained in 34.6 seconds" in note
    assert 'nlp_rnn.load("runs:/feed/classifier")' in note
    assert summary().command in note.splitlines()


def test_a_note_tells_only_what_is_known() -> None:
    note = run_note(summary(metrics={"validation/accuracy": 0.5, "validation/macro_f1": 0.4}))
    assert "not tested" in note.splitlines()[0]
    assert "| test" not in note
    assert "**Speed**: not measured." in note


def test_the_interval_is_wilsons() -> None:
    # Newcombe 1998, doi:10.1002/(SICI)1097-0258(19980430)17:8<857, table I, method 3
    for successes, trials, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        assert wilson_interval(successes, trials) == pytest.approx((low, high), abs=5e-5)
        mirrored = wilson_interval(trials - successes, trials)
        assert mirrored == pytest.approx((1 - high, 1 - low), abs=5e-5)
