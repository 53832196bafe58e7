"""Output of `predict`: the rows of the input with columns for the predictions."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.classifier.label_choice import indices_at_least
from nlp_rnn.commands.input_tables import DELIMITERS, Chunk
from nlp_rnn.errors import DataError

if TYPE_CHECKING:
    import pyarrow

__all__ = ["ParquetRows", "PredictionColumns", "TextRows"]


class PredictionColumns:
    """Columns for the predictions of a classifier: `label` and `score`, or `labels` and `scores`.

    If the input already has one of these columns, all of them get the prefix `predicted_`.

    Parameters
    ----------
    labels : sequence of str
        The C labels of the classifier.
    proba : bool
        Whether to add a column `probability_LABEL` for each label.
    threshold : float or None
        As in `TextClassifier.predict`.
    input_columns : sequence of str
        Columns of the input.
    thresholds : float64 array of shape (C,), optional
        Thresholds of a multi-label classifier, whose columns `labels` and `scores` are lists.

    Raises
    ------
    DataError
        The input has columns of both names, with and without the prefix.
    """

    def __init__(
        self,
        labels: Sequence[str],
        proba: bool,
        threshold: float | None,
        input_columns: Sequence[str],
        thresholds: NDArray[np.float64] | None = None,
    ) -> None:
        self.labels, self.threshold = list(labels), threshold
        self.multi_label = thresholds is not None
        self._limits = thresholds if threshold is None else threshold
        first = ("labels", "scores") if self.multi_label else ("label", "score")
        classes = [f"probability_{label}" for label in labels] if proba else []
        for prefix in ("", "predicted_"):
            self.names = [f"{prefix}{name}" for name in (*first, *classes)]
            clash = [name for name in self.names if name in input_columns]
            if not clash:
                return
        raise DataError(
            f"The input already has columns named {', '.join(clash)}.\n"
            "Rename them: the columns of the predictions need these names."
        )

    def values(
        self, texts: Sequence[str | None], probabilities: NDArray[np.float32]
    ) -> list[tuple[Any, ...]]:
        """Return a tuple of values per row, Nones without text; `probabilities` (k, C)."""
        rows = iter(probabilities)
        empty = (None,) * len(self.names)
        return [empty if text is None else self._row(next(rows)) for text in texts]

    def _row(self, row: NDArray[np.float32]) -> tuple[Any, ...]:
        rounded = [round(float(probability), 6) for probability in row]
        probabilities = rounded if len(self.names) > 2 else ()
        if self._limits is not None and self.multi_label:
            indices = indices_at_least(row, self._limits)
            chosen = [self.labels[index] for index in indices]
            scores = [rounded[index] for index in indices]
            return (chosen, scores, *probabilities)
        best = int(row.argmax())
        certain = self.threshold is None or row[best] >= self.threshold
        return (self.labels[best] if certain else None, rounded[best], *probabilities)


class TextRows:
    """Rows as lines of csv, tsv or jsonl; as label, score and text without a header if txt."""

    def __init__(
        self, file_format: str, predictions: PredictionColumns, columns: Sequence[str]
    ) -> None:
        self._format, self._predictions, self._columns = file_format, predictions, list(columns)

    def header(self) -> bytes:
        """Return what precedes the first row: the names of the columns, or nothing."""
        if self._format not in DELIMITERS:
            return b""
        return self._delimited([[*self._columns, *self._predictions.names]])

    def resume(self, part: Path) -> None:
        """Do nothing: lines do not depend on earlier lines."""

    def encode(self, chunk: Chunk, probabilities: NDArray[np.float32]) -> bytes:
        """Return the lines of one chunk.

        Raises
        ------
        DataError
            A row does not fit the columns.
        """
        predictions = self._predictions.values(chunk.texts, probabilities)
        if self._format == "txt":
            pairs = zip(predictions, chunk.texts, strict=True)
            lines = (_plain(label, score, text) for (label, score, *_), text in pairs)
            return "".join(lines).encode("utf-8", "replace")
        rows: list[dict[str, Any]] = (
            chunk.rows if isinstance(chunk.rows, list) else chunk.rows.to_pylist()
        )
        names = self._predictions.names
        if self._format == "jsonl":
            for row in rows:
                if clash := [name for name in names if name in row]:
                    raise _unexpected_columns(row, self._columns, clash)
            return b"".join(
                _json(row | dict(zip(names, values, strict=True))) + b"\n"
                for row, values in zip(rows, predictions, strict=True)
            )
        _check_columns(rows, self._columns)
        return self._delimited(
            [*(_cell(row.get(name)) for name in self._columns), *map(_cell, values)]
            for row, values in zip(rows, predictions, strict=True)
        )

    def _delimited(self, rows: Iterable[Sequence[Any]]) -> bytes:
        out = io.StringIO()
        delimiter = DELIMITERS[self._format]
        csv.writer(out, delimiter=delimiter, lineterminator="\n").writerows(rows)
        return out.getvalue().encode("utf-8", "replace")


class ParquetRows:
    """Rows as Arrow messages, which can be appended to a file and are converted at the end."""

    def __init__(self, predictions: PredictionColumns, columns: Sequence[str]) -> None:
        self._predictions, self._columns = predictions, list(columns)
        self._schema: pyarrow.Schema | None = None

    def header(self) -> bytes:
        """Return nothing: the schema precedes the first rows."""
        return b""

    def resume(self, part: Path) -> None:
        """Read the types of the rows that are already written."""
        import pyarrow

        with part.open("rb") as file:
            self._schema = pyarrow.ipc.open_stream(file).schema

    def encode(self, chunk: Chunk, probabilities: NDArray[np.float32]) -> bytes:
        """Return the messages of one chunk; the first begins with the schema.

        Raises
        ------
        DataError
            A row does not fit the columns and their types.
        """
        import pyarrow

        rows = self._predictions.values(chunk.texts, probabilities)
        columns = list(zip(*rows, strict=True)) or [()] * len(self._predictions.names)
        types = [pyarrow.string(), *[pyarrow.float32()] * (len(columns) - 1)]
        if self._predictions.multi_label:
            types[:2] = map(pyarrow.list_, types[:2])
        batch = self._batch(chunk)
        for name, column, data_type in zip(self._predictions.names, columns, types, strict=True):
            batch = batch.append_column(name, pyarrow.array(column, data_type))
        resumed = self._schema is not None
        self._schema = batch.schema
        schema = b"" if resumed else batch.schema.serialize().to_pybytes()
        message: bytes = schema + batch.serialize().to_pybytes()
        return message

    def _batch(self, chunk: Chunk) -> Any:
        import pyarrow

        if not isinstance(chunk.rows, list):
            batch = chunk.rows
            for index, field in enumerate(batch.schema):
                if pyarrow.types.is_dictionary(field.type):  # messages of rows hold no dictionary
                    plain = batch.column(index).dictionary_decode()
                    batch = batch.set_column(index, field.with_type(plain.type), plain)
            return batch
        _check_columns(chunk.rows, self._columns)
        if self._schema is not None:
            schema = pyarrow.schema(list(self._schema)[: len(self._columns)])
        elif chunk.rows:
            schema = None
        else:
            schema = pyarrow.schema([(name, pyarrow.string()) for name in self._columns])
        try:
            return pyarrow.RecordBatch.from_pylist(chunk.rows, schema=schema)
        except (pyarrow.ArrowException, TypeError, ValueError, OverflowError) as error:
            raise DataError(
                f"A row does not fit into a parquet column: {str(error).splitlines()[0]}\n"
                "Set --output to a .jsonl file, whose rows may have different types."
            ) from error


def _plain(label: Any, score: Any, text: str | None) -> str:
    if isinstance(label, list):
        return f"{', '.join(label)}\t{', '.join(f'{value:.4f}' for value in score)}\t{text}\n"
    return f"{label or ''}\t{score:.4f}\t{text}\n"


def _check_columns(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    expected = set(columns)
    for row in rows:
        if not row.keys() <= expected:
            raise _unexpected_columns(row, columns, [name for name in row if name not in expected])


def _unexpected_columns(
    row: dict[str, Any], columns: Sequence[str], names: Sequence[str]
) -> DataError:
    return DataError(
        f"A row has {', '.join(map(repr, names))}, which the first row does not have; it has: "
        f"{', '.join(columns)}.\nGive every row the same keys, or rename this key."
    )


def _cell(value: Any) -> Any:
    """Return a value for csv, which has no lists, dicts and booleans: they are JSON."""
    return _json(value).decode() if isinstance(value, dict | list | bool) else value


def _json(value: Any) -> bytes:
    text = json.dumps(value, ensure_ascii=False, default=str)
    try:
        return text.encode()
    except UnicodeEncodeError:  # a lone surrogate, which JSON can escape
        return json.dumps(value, default=str).encode()
