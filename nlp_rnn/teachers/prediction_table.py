"""Table of predictions: the columns of a file that any model has written, or of a DataFrame."""

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nlp_rnn.errors import DataError
from nlp_rnn.sources.columns import listed
from nlp_rnn.sources.file_format import DEFAULT_OPTIONS
from nlp_rnn.sources.streams import find_streams, open_stream

__all__ = ["PredictionColumns", "PredictionTable", "find_columns", "read_table"]

CLASS_PREFIXES = ("predicted_probability_", "probability_", "proba_", "prob_", "p_", "logit_")
"""Beginnings of the names of columns with the values of one class."""

CELLS = ("predicted_probabilities", "probabilities", "probs", "proba", "logits")
"""Names of a column with the values of all classes."""

LABELS = ("predicted_labels", "predicted_label", "prediction", "predictions", "labels", "label")
"""Names of a column of predicted labels. `label` may be the true one beside the others."""

CONFIDENCES = ("predicted_scores", "predicted_score", "scores", "score", "confidence")
"""Names of a column with the probability of the predicted label."""

TXT_LINE = re.compile(r"([^\t]*)\t([01]\.\d{4}(?:, [01]\.\d{4})*)\t(.*)", re.DOTALL)
"""A line of `nlp-rnn predict --output predictions.txt`."""


@dataclass(frozen=True)
class PredictionTable:
    """Rows of predictions.

    Attributes
    ----------
    columns : mapping of str to list
        Values of all rows by the name of the column; None where a value is missing.
    where : str
        Name of the file or the table, with which error messages begin.
    class_names : tuple of str or None
        Labels in the order of lists of probabilities, if the file names it.
    """

    columns: Mapping[str, list[Any]]
    where: str
    class_names: tuple[str, ...] | None = None

    @property
    def num_rows(self) -> int:
        """The number of rows."""
        return len(next(iter(self.columns.values()), []))


@dataclass(frozen=True)
class PredictionColumns:
    """Columns of a table in which the predictions are.

    Attributes
    ----------
    classes : tuple of str
        Columns with one value per class; empty if one column has the predictions.
    class_names : tuple of str
        The label of each of `classes`, as its name has it.
    cell : str or None
        Column of labels, lists or dictionaries.
    confidence : str or None
        Column with the probability of the label in `cell`.
    logits : bool
        Whether the values are logits, by the name of the columns.
    """

    classes: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    cell: str | None = None
    confidence: str | None = None
    logits: bool = False


def read_table(path: Path) -> PredictionTable:
    """Read a file in any format that `nlp-rnn predict` reads, with all of its columns.

    Raises
    ------
    DataError
        It cannot be read, or has no rows.
    """
    notes: list[str] = []
    columns: dict[str, list[Any]] = {}
    rows = 0
    splits = find_streams(path, (), notes, DEFAULT_OPTIONS)
    for split, entries in splits.items():
        for entry in entries:
            for block in open_stream(entry, (), notes).blocks:
                records = block if isinstance(block, list) else block.to_pylist()
                for record in records:
                    if len(splits) > 1:
                        record.setdefault("split", split)
                    for name in record.keys() - columns.keys():
                        columns[name] = [None] * rows
                    for name, values in columns.items():
                        values.append(record.get(name))
                    rows += 1
    if not rows:
        raise DataError(f"{path} has no rows. Set a file with predictions.")
    if list(columns) == ["text"] and (parsed := _txt_predictions(columns["text"])):
        columns = parsed
    return PredictionTable(columns, str(path), _saved_class_names(path))


def _txt_predictions(lines: Sequence[str]) -> dict[str, list[Any]] | None:
    """Return the columns of lines that `nlp-rnn predict` wrote; None if one is no such line."""
    matches = [TXT_LINE.fullmatch(line or "") for line in lines]
    if not all(matches):
        return None
    labels, scores, texts = zip(*(match.groups() for match in matches if match), strict=True)
    several = any(", " in score for score in scores)
    if several:
        labels = tuple(label.split(", ") if label else [] for label in labels)
        scores = tuple([float(one) for one in score.split(", ")] for score in scores)
    return {"label": list(labels), "score": list(scores), "text": list(texts)}


def _saved_class_names(path: Path) -> tuple[str, ...] | None:
    """Return the order of the classes in a parquet file of predictions that a run wrote."""
    if path.suffix != ".parquet" or not path.is_file():
        return None
    import pyarrow
    import pyarrow.parquet as pq

    with suppress(OSError, pyarrow.ArrowException, KeyError, TypeError, ValueError):
        return tuple(json.loads(pq.read_schema(path).metadata[b"label_names"]))
    return None


def find_columns(
    table: PredictionTable,
    labels: Sequence[str],
    column: Any = None,
    data_label: str | None = None,
    *,
    of_teacher: bool = True,
) -> PredictionColumns:
    """Find the columns of the predictions.

    Parameters
    ----------
    table : PredictionTable
        The table.
    labels : sequence of str
        Labels of the data.
    column : str, list of str, or None
        The option `teacher.column`; None: by the names of the columns.
    data_label : str or None
        Column of the labels in the labelled data, which is looked for last.
    of_teacher : bool
        Whether errors name the option `teacher.column`.

    Raises
    ------
    DataError
        There are none, or not those that `column` names.
    """
    names = list(table.columns)
    if column is not None:
        wanted = [str(name) for name in column] if isinstance(column, list) else [str(column)]
        for name in wanted:
            if name not in names:
                raise DataError(
                    f"{table.where} has no column {name!r}; it has: {listed(names)}.\n"
                    "Set teacher.column to one of them."
                )
        if isinstance(column, list):
            return _classes(wanted, _prefix(wanted[0]))
        return _cell(wanted[0], names)
    for prefix in CLASS_PREFIXES:
        if len(columns := [name for name in names if name.startswith(prefix)]) > 1:
            return _classes(columns, prefix)
    lowered = {name.casefold(): name for name in names}
    if all(label.casefold() in lowered for label in labels):
        return _classes([lowered[label.casefold()] for label in labels], "")
    for name in (*CELLS, *LABELS, *([data_label] if data_label else [])):
        if name in names:
            return _cell(name, names)
    advice = "Set teacher.column=COLUMN, or name" if of_teacher else "Name"
    raise DataError(
        f"{table.where} has no column of predictions that is recognized; it has: {listed(names)}.\n"
        f"{advice} the column label, prediction or probabilities."
    )


def _classes(columns: list[str], prefix: str) -> PredictionColumns:
    class_names = tuple(name.removeprefix(prefix) for name in columns)
    return PredictionColumns(tuple(columns), class_names, logits=prefix == "logit_")


def _cell(column: str, names: Sequence[str]) -> PredictionColumns:
    confidence = next((name for name in CONFIDENCES if name in names and name != column), None)
    if column in CELLS:
        confidence = None
    return PredictionColumns(cell=column, confidence=confidence, logits=column == "logits")


def _prefix(name: str) -> str:
    return next((prefix for prefix in CLASS_PREFIXES if name.startswith(prefix)), "")
