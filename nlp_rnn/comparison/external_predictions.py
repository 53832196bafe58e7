"""Predictions of other models, read from files as runs that are compared with those in MLflow."""

import glob
import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from nlp_rnn.comparison.compared_run import EXTERNAL, Run
from nlp_rnn.comparison.read import read_test_texts, with_predictions
from nlp_rnn.errors import ComparisonError, ConfigError, DataError
from nlp_rnn.scoring.metrics import score_predictions
from nlp_rnn.scoring.predictions import Predictions
from nlp_rnn.teachers.label_matching import LabelMatching
from nlp_rnn.teachers.prediction_rows import PredictionRows
from nlp_rnn.teachers.prediction_table import PredictionTable, find_columns, read_table
from nlp_rnn.teachers.prediction_values import PredictionValues
from nlp_rnn.teachers.teacher_predictions import predicted_rows

__all__ = ["read_external", "split_names"]

LATENCY_COLUMN = "latency_ms"
"""Column with the milliseconds that the prediction of one text took."""

LABEL_COLUMNS = ("predicted_labels", "predicted_label", "prediction", "predictions")
"""Columns of labels that decide what a multi-label model predicts beside its probabilities."""

ROW, THRESHOLD = "row", 0.5


def split_names(values: Sequence[str]) -> dict[str, list[Path]]:
    """Return the files by name of `NAME=FILE`, in which FILE may be a pattern with `*`.

    Raises
    ------
    ConfigError
        A value has no name, or its file does not exist.
    """
    files: dict[str, list[Path]] = defaultdict(list)
    for value in values:
        name, _, pattern = value.partition("=")
        if not name.strip() or not pattern.strip():
            raise ConfigError(
                f"--predictions is {value!r}, without a name.\nSet --predictions "
                "NAME=FILE, such as --predictions distilbert=predictions.parquet."
            )
        path = Path(pattern).expanduser()
        matches = [path] if path.exists() else [Path(one) for one in sorted(glob.glob(str(path)))]
        if not matches:
            raise ConfigError(
                f"--predictions {name}: {pattern} does not exist.\nSet NAME=FILE to a file with a "
                "label or probabilities for each test text."
            )
        files[name.strip()] += matches
    return dict(files)


def read_external(
    files: Mapping[str, Sequence[Path]], runs: Sequence[Run], uri: str | None
) -> list[Run]:
    """Return a run for each file, with its predictions for the test texts of the other runs.

    The rows of a file are matched by its column `row`, the row of the test split, or else by the
    text. Several files of a name are several seeds.

    Parameters
    ----------
    files : mapping of str to sequence of Path
        Files by the name of the model.
    runs : sequence of Run
        Runs on one data set, of which at least one has saved predictions.
    uri : str or None
        MLflow store with their predictions; None if they have them.

    Raises
    ------
    ComparisonError
        The runs are on several data sets or have no predictions, or a name is taken.
    DataError
        A file cannot be read, or does not have a prediction for each test text.
    """
    example = _example(runs, uri)
    reference = example.predictions
    assert reference is not None
    taken = {run.configuration_name.removesuffix(f" {run.signature}") for run in runs}
    rows = _TestTexts(Dataset.from_dict({ROW: reference.rows}), (), None)
    texts: _TestTexts | None = None
    external = []
    for name, paths in files.items():
        if name in taken:
            raise ComparisonError(
                f"--predictions {name}: a configuration has this name already.\nSet another name."
            )
        for number, path in enumerate(paths, 1):
            table = read_table(path)
            if _has_rows(table, reference):
                external.append(_run(name, number, path, _by_row(table), example, rows))
                continue
            texts = texts or _texts(example, uri, table)
            table = replace(table, columns={k: v for k, v in table.columns.items() if k != ROW})
            external.append(_run(name, number, path, table, example, texts))
    return external


def _example(runs: Sequence[Run], uri: str | None) -> Run:
    """A finished run with predictions; all such runs are on the same data."""
    usable = [run for run in runs if run.status == "FINISHED" and run.digest]
    data = {run.digest: f"{run.tags.get('data', '?')} {run.digest[:8]}" for run in usable}
    if len(data) > 1:
        raise ComparisonError(
            f"--predictions needs runs on one data set, and these are on {len(data)}: "
            f"{', '.join(sorted(data.values())[:5])}.\nSet --sweep ID or --experiment NAME."
        )
    for run in usable:
        (read,) = with_predictions(uri, [run])
        if read.predictions is not None:
            return read
    raise ComparisonError(
        "--predictions needs a run with saved predictions for the test split, and there is none.\n"
        "Train one on this data: nlp-rnn train."
    )


def _has_rows(table: PredictionTable, reference: Predictions) -> bool:
    """Whether the column `row` has most rows of the test split, and so is no other column."""
    try:
        rows = {int(value) for value in table.columns.get(ROW, ())}
    except (TypeError, ValueError):
        return False
    return 2 * len(rows.intersection(reference.rows.tolist())) > len(reference.rows)


def _by_row(table: PredictionTable) -> PredictionTable:
    """Drop the texts, and say that the row numbers are those of the test split."""
    columns = {"split": ["test"] * table.num_rows, **table.columns}
    return replace(table, columns={k: v for k, v in columns.items() if k != "text"})


class _TestTexts(NamedTuple):
    """The test split with the names of its text columns in the data; without texts only its rows.

    `separator` is the token between the texts of a pair.
    """

    dataset: Dataset
    columns: tuple[str, ...]
    separator: str | None

    def match(self, table: PredictionTable, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the values of the table's rows for the test texts; nan for a text without any."""
        rows = PredictionRows(table, values, self.columns or ("text",), self.separator, False)
        return rows.match_split("test", self.dataset).probabilities


def _texts(example: Run, uri: str | None, table: PredictionTable) -> _TestTexts:
    """Load the test texts.

    Raises
    ------
    DataError
        They are not available, or have changed since the run.
    """
    corpus, columns, why_not = read_test_texts(example, uri)
    if corpus is None:
        raise DataError(
            f"{table.where} has no column row with the rows of the test texts, and its texts "
            f"cannot be compared with them: {why_not}\nAdd a column row: the row of each text in "
            "the test split, from 0."
        )
    return _TestTexts(corpus.test, columns, corpus.separator)


def _run(
    name: str, number: int, path: Path, table: PredictionTable, example: Run, test: _TestTexts
) -> Run:
    reference = example.predictions
    assert reference is not None
    labels, multi_label = reference.label_names, reference.multi_label
    columns = find_columns(table, labels, of_teacher=False)
    matching = LabelMatching(labels, table.where, of_teacher=False)
    of_texts = test.match(
        table, PredictionValues(table, columns, matching, multi_label).probabilities()
    )
    matching.note()  # raises an error about labels that the data does not have
    missing = ~predicted_rows(of_texts)
    if missing.any():
        first, text = int(missing.argmax()), ""
        if test.columns:
            text = f", {test.dataset[first]['text'][:60]!r}"
        raise DataError(
            f"{table.where} has no prediction for {int(missing.sum()):,} of {len(missing):,} test "
            f"texts, the first of them in row {int(reference.rows[first]):,}{text}.\n"
            "Predict the test split of the data that the runs were trained on."
        )
    predicted: NDArray[Any] = of_texts.argmax(axis=1)
    if multi_label:
        decided = next((one for one in LABEL_COLUMNS if one in table.columns), None)
        predicted = of_texts >= THRESHOLD
        if decided is not None:
            of_labels = replace(find_columns(table, labels, decided), confidence=None)
            values = PredictionValues(table, of_labels, matching, True).probabilities()
            matching.note()
            predicted = test.match(table, values) >= THRESHOLD
    predictions = replace(
        reference, predictions=predicted, probabilities=of_texts.astype(np.float32), parts={}
    )
    scores = score_predictions(reference.labels, predicted, len(labels))
    metrics = {f"test/{metric}": value for metric, value in scores.items()} | _latency(table)
    tags = {key: example.tags[key] for key in ("data", "task") if key in example.tags}
    if columns.cell is not None and columns.confidence is None and not _has_shares(of_texts):
        tags["labels_only"] = "true"
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return Run(
        run_id=f"{path} ({name})",
        name=f"{name} {path.name}",
        experiment_id="",
        configuration_name=name,
        signature=f"{EXTERNAL}-{digest}",
        cell="",
        seed=number,
        kind=EXTERNAL,
        status="FINISHED",
        config={},
        metrics=metrics,
        tags=tags,
        machine="",
        digest=example.digest,
        started=number,
        artifacts="",
        predictions=predictions,
    )


def _has_shares(probabilities: NDArray[np.float32]) -> bool:
    """Whether some probabilities are neither 0 nor 1, so that they are no labels."""
    return bool(((probabilities > 1e-6) & (probabilities < 1 - 1e-6)).any())


def _latency(table: PredictionTable) -> dict[str, float]:
    """Median and 95th percentile of the column of latencies, if there is one."""
    if LATENCY_COLUMN not in table.columns:
        return {}
    try:
        times = np.array([float(value) for value in table.columns[LATENCY_COLUMN]])
    except (TypeError, ValueError):
        times = np.array([np.nan])
    if not np.isfinite(times).all() or (times < 0).any():
        raise DataError(
            f"{table.where}: the column {LATENCY_COLUMN} has a value that is no time in "
            "milliseconds.\nCorrect it, or remove the column."
        )
    return {
        "latency/external_batch1_p50_ms": float(np.quantile(times, 0.5)),
        "latency/external_batch1_p95_ms": float(np.quantile(times, 0.95)),
    }
