"""Output of `nlp-rnn predict`: rows of the input with added columns for the predictions."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.classifier.label_choice import indices_at_least
from nlp_rnn.commands.input_tables import Chunk
from nlp_rnn.commands.output_values import (
    as_cell,
    as_json,
    plain_rows,
    whole_characters,
    whole_values,
)
from nlp_rnn.errors import DataError

if TYPE_CHECKING:
    import pyarrow

__all__ = ["ParquetRows", "PredictionColumns", "TextRows"]

DELIMITERS = {"csv": ",", "tsv": "\t"}


class PredictionColumns:
    """Names and values of the columns that `predict` adds to each row of the input.

    Single-label: `label` and `score`, the probability of the most probable label. Multi-label:
    `labels` and `scores`, lists of the predicted labels and of their probabilities. If the input
    already has one of these columns, all added columns get the prefix `predicted_`.

    Parameters
    ----------
    labels : sequence of str
        The C labels of the classifier.
    proba : bool
        Whether to add a column `probability_LABEL` for each label.
    threshold : float or None
        Smallest probability at which a label is predicted. A single-label row whose labels are all
        below it has the label None. For a multi-label classifier it replaces `thresholds`.
    input_columns : sequence of str
        Names of the columns of the input.
    thresholds : float64 array of shape (C,), optional
        Threshold of each label of a multi-label classifier; None for a single-label one.

    Attributes
    ----------
    names : list of str
        Names of the added columns.

    Raises
    ------
    DataError
        The input has one of these columns without the prefix, and one with it.
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
        """Return the values of the added columns for each row, in the order of `names`.

        Parameters
        ----------
        texts : sequence of (str or None)
            Text of each row; the values of a row without a text are all None.
        probabilities : float32 array of shape (k, C)
            Probabilities of the k rows that have a text.
        """
        rows = iter(probabilities)
        empty = (None,) * len(self.names)
        return [empty if text is None else self._row_values(next(rows)) for text in texts]

    def _row_values(self, row: NDArray[np.float32]) -> tuple[Any, ...]:
        """Return the values for one row of probabilities (C,), rounded to 6 decimals."""
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
    """Encoder of output rows as lines of text, with the same methods as `ParquetRows`.

    Parameters
    ----------
    file_format : str
        `csv`, `tsv`, `jsonl` or `txt`. A line of `txt` has the label, the score and the text,
        separated by tabs, and there is no line with the names of the columns.
    predictions : PredictionColumns
        The columns to add.
    columns : sequence of str
        Names of the columns of the input.
    """

    def __init__(
        self, file_format: str, predictions: PredictionColumns, columns: Sequence[str]
    ) -> None:
        self._format, self._predictions, self._columns = file_format, predictions, list(columns)

    def header(self) -> bytes:
        """Return the line with the names of the columns for csv and tsv, else no bytes."""
        if self._format not in DELIMITERS:
            return b""
        return self._csv_lines([[*self._columns, *self._predictions.names]])

    def resume(self, part: Path) -> None:
        """Do nothing, because new lines do not depend on those in the incomplete file `part`."""

    def encode(self, chunk: Chunk, probabilities: NDArray[np.float32]) -> bytes:
        """Return the lines of one chunk, for which `probabilities` are as in `values`.

        Raises
        ------
        DataError
            A row has a key that is not among the columns (csv, tsv) or that is the name of an
            added column (jsonl).
        """
        predictions = self._predictions.values(chunk.texts, probabilities)
        if self._format == "txt":
            pairs = zip(predictions, chunk.texts, strict=True)
            lines = (_txt_line(label, score, text) for (label, score, *_), text in pairs)
            return whole_characters("".join(lines)).encode()
        rows: list[dict[str, Any]] = (
            chunk.rows if isinstance(chunk.rows, list) else plain_rows(chunk.rows)
        )
        names = self._predictions.names
        if self._format == "jsonl":
            for row in rows:
                if clash := [name for name in names if name in row]:
                    raise DataError(
                        f"A row has the key {clash[0]!r}, which the first rows do not have and "
                        "which is needed for the predictions.\nRename this key."
                    )
            return b"".join(
                as_json(row | dict(zip(names, values, strict=True))) + b"\n"
                for row, values in zip(rows, predictions, strict=True)
            )
        _check_columns(rows, self._columns)
        return self._csv_lines(
            [*(row.get(name) for name in self._columns), *values]
            for row, values in zip(rows, predictions, strict=True)
        )

    def _csv_lines(self, rows: Iterable[Sequence[Any]]) -> bytes:
        """Return rows as UTF-8 lines of csv or tsv; null is an empty cell, an empty text `""`."""
        delimiter = DELIMITERS[self._format]
        lines = (delimiter.join(map(as_cell, row)) + "\n" for row in rows)
        return whole_characters("".join(lines)).encode()


class ParquetRows:
    """Encoder of output rows as messages of an Arrow IPC stream, with the methods of `TextRows`.

    A parquet file cannot be extended after an interruption, but an Arrow stream can. The finished
    stream is converted to parquet by `ResumableFile.finish`.

    Parameters
    ----------
    predictions : PredictionColumns
        The columns to add.
    columns : sequence of str
        Names of the columns of the input.
    types : mapping of str to pyarrow.DataType or None
        Types of the columns, from `column_survey.survey`; values of a column whose type is None
        are written as JSON. Without them, the first rows decide.
    """

    def __init__(
        self,
        predictions: PredictionColumns,
        columns: Sequence[str],
        types: "Mapping[str, pyarrow.DataType | None] | None" = None,
    ) -> None:
        self._predictions, self._columns = predictions, list(columns)
        self._types = dict(types or {})
        self._schema: pyarrow.Schema | None = None

    def header(self) -> bytes:
        """Return no bytes, because `encode` writes the schema before the first rows."""
        return b""

    def resume(self, part: Path) -> None:
        """Read the schema of the incomplete Arrow stream in the file `part`, to continue it."""
        import pyarrow

        with part.open("rb") as file:
            self._schema = pyarrow.ipc.open_stream(file).schema

    def encode(self, chunk: Chunk, probabilities: NDArray[np.float32]) -> bytes:
        """Return the message of one chunk, for which `probabilities` are as in `values`.

        The schema precedes the message of the first chunk, unless a stream is resumed.

        Raises
        ------
        DataError
            A row has a key that is not among the columns, or a value of another type than the
            earlier rows have in this column.
        """
        import pyarrow

        rows = self._predictions.values(chunk.texts, probabilities)
        columns = list(zip(*rows, strict=True)) or [()] * len(self._predictions.names)
        types = [pyarrow.string(), *[pyarrow.float32()] * (len(columns) - 1)]
        if self._predictions.multi_label:
            types[:2] = map(pyarrow.list_, types[:2])
        batch = self._input_batch(chunk)
        for name, column, data_type in zip(self._predictions.names, columns, types, strict=True):
            batch = batch.append_column(name, pyarrow.array(column, data_type))
        resumed = self._schema is not None
        self._schema = batch.schema
        schema = b"" if resumed else batch.schema.serialize().to_pybytes()
        message: bytes = schema + batch.serialize().to_pybytes()
        return message

    def _input_batch(self, chunk: Chunk) -> Any:
        """Return the rows of the input as a `pyarrow.RecordBatch` with the columns of the first."""
        import pyarrow

        schema = None
        if self._schema is not None:
            schema = pyarrow.schema(list(self._schema)[: len(self._columns)])
        try:
            if not isinstance(chunk.rows, list):
                return self._typed_batch(chunk.rows, schema)
            _check_columns(chunk.rows, self._columns)
            rows = [self._typed_row(row) for row in chunk.rows]
            if schema is None and (self._types or not rows):
                kinds = {name: self._types.get(name) or pyarrow.string() for name in self._columns}
                schema = pyarrow.schema(list(kinds.items()))
            return pyarrow.RecordBatch.from_pylist(rows, schema=schema)
        except (pyarrow.ArrowException, TypeError, ValueError, OverflowError) as error:
            raise DataError(
                f"A row does not fit into a parquet column: {str(error).splitlines()[0]}\n"
                "Set --output to a .jsonl file, whose rows may have different types."
            ) from error

    def _typed_row(self, row: dict[str, Any]) -> dict[str, Any]:
        return {
            name: as_json(value).decode()
            if value is not None and self._types.get(name, "") is None
            else whole_values(value)
            for name, value in row.items()
        }

    def _typed_batch(self, batch: Any, schema: Any) -> Any:
        import pyarrow

        for index, field in enumerate(batch.schema):
            # record batch messages do not contain dictionaries
            if pyarrow.types.is_dictionary(field.type):
                plain = batch.column(index).dictionary_decode()
                batch = batch.set_column(index, field.with_type(plain.type), plain)
        if schema is None or batch.schema.equals(schema):
            return batch
        names = batch.schema.names
        if more := [name for name in names if name not in self._columns]:
            raise _unexpected_columns(dict.fromkeys(names), self._columns, more)
        columns = [
            batch.column(field.name).cast(field.type)
            if field.name in names
            else pyarrow.nulls(batch.num_rows, field.type)
            for field in schema
        ]
        return pyarrow.RecordBatch.from_arrays(columns, schema=schema)


def _txt_line(label: Any, score: Any, text: str | None) -> str:
    """Return a line of the format txt: label, score and text, separated by tabs."""
    if isinstance(label, list):
        return f"{', '.join(label)}\t{', '.join(f'{value:.4f}' for value in score)}\t{text}\n"
    return f"{label or ''}\t{score:.4f}\t{text}\n"


def _check_columns(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    """Raise `DataError` if a row has a key that is not among the columns."""
    expected = set(columns)
    for row in rows:
        if not row.keys() <= expected:
            raise _unexpected_columns(row, columns, [name for name in row if name not in expected])


def _unexpected_columns(
    row: dict[str, Any], columns: Sequence[str], names: Sequence[str]
) -> DataError:
    return DataError(
        f"A row has {', '.join(map(repr, names))}, which the first row does not have; it has: "
        f"{', '.join(columns)}.\nSet --output to a .jsonl file, whose rows may have different keys."
    )
