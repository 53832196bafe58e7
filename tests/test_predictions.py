"""Tables of predictions come back as they were written, for both tasks, and their report."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import classification_report, f1_score

from nlp_rnn.comparison.resampling import run_scores
from nlp_rnn.errors import TrackingError
from nlp_rnn.scoring.metrics import predicted_labels, score_predictions
from nlp_rnn.scoring.predictions import (
    PARTS,
    PartPredictions,
    Predictions,
    classification_report_text,
    read_predictions,
    write_predictions,
)

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


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("missing", [[], [2], [0, 5], [1, 2, 3]])
def test_the_macro_average_of_the_report_is_the_metric(
    multi_label: bool, missing: list[int]
) -> None:
    random = np.random.default_rng(len(missing))
    names = [f"class {label} {'long ' * label}" for label in range(6)]
    present = np.setdiff1d(np.arange(6), missing)
    certain = np.zeros((200, 6), np.float32)
    certain[np.arange(200), random.choice(present, 200)] = 1
    labels: Any = random.choice(present[1:], 200)  # the first one is only predicted
    thresholds = None
    if multi_label:
        labels, thresholds = np.eye(6, dtype=bool)[labels], np.full(6, 0.5)
    predictions = Predictions.from_probabilities(
        range(200), labels, certain, np.ones(200), names, thresholds
    )
    scores = score_predictions(predictions.labels, predictions.predictions, 6)
    report = classification_report_text(predictions)
    rows = {
        line.rsplit(maxsplit=4)[0].strip(): line.split() for line in report.splitlines() if line
    }
    assert rows["macro avg"][-2] == f"{scores['macro_f1']:.4f}"
    assert all(name.strip() in rows for name in names)
    assert len({len(line) for line in report.split("\n\n")[1].splitlines()}) == 1
    whole = classification_report(
        predictions.labels, predictions.predictions, labels=range(6), target_names=names,
        digits=4, zero_division=0,
    )  # fmt: skip
    if not missing:
        assert report == whole
        return
    assert report.startswith(whole.rpartition("\n\n")[0])
    assert f"\n{len(missing)} of 6 labels are left out of the averages: no text has" in report
    if not multi_label:
        expected = f1_score(predictions.labels, predictions.predictions, average="macro")
        assert rows["macro avg"][-2] == f"{expected:.4f}"
        run = run_scores(
            predictions.labels, predictions.predictions[None].astype(np.int64), 6, "macro_f1"
        )
        assert run[0] == pytest.approx(100 * scores["macro_f1"], rel=1e-6)


def test_texts_without_any_label_have_a_report() -> None:
    nothing = Predictions.from_probabilities(
        range(2), np.zeros((2, 3)), np.zeros((2, 3)), [1, 1], NAMES, np.full(3, 0.5)
    )
    assert "macro avg     0.0000" in classification_report_text(nothing)


@pytest.mark.parametrize("multi_label", [False, True])
def test_predictions_of_an_ensemble_keep_those_of_its_parts(
    tmp_path: Path, multi_label: bool
) -> None:
    random = np.random.default_rng(0)
    tables = {part: random.random((4, 3), np.float32) for part in ("ensemble", *PARTS)}
    thresholds = np.full(3, 0.5) if multi_label else None
    whole = Predictions.from_probabilities(
        rows=range(4),
        labels=random.random((4, 3)) > 0.5 if multi_label else [0, 1, 2, 0],
        probabilities=tables["ensemble"],
        lengths=[1] * 4,
        label_names=("a", "b", "c"),
        thresholds=thresholds,
    )
    parts = {
        part: PartPredictions(predicted_labels(tables[part], thresholds), tables[part])
        for part in PARTS
    }
    write_predictions(tmp_path / "test.parquet", replace(whole, parts=parts))
    saved = read_predictions(tmp_path / "test.parquet")
    assert np.array_equal(saved.probabilities, tables["ensemble"])
    for part in PARTS:
        alone = saved.of(part)
        assert np.array_equal(alone.probabilities, tables[part])
        assert np.array_equal(alone.predictions, parts[part].predictions)
        assert np.array_equal(alone.labels, whole.labels)
        assert not alone.parts
    assert whole.of("network") is whole
    with pytest.raises(ValueError, match="probabilities of network have the shape"):
        replace(whole, parts={"network": PartPredictions(whole.predictions, tables["ngrams"][:2])})
