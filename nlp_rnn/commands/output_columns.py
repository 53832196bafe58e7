"""Chunks of rows and their probabilities become a table with the answers beside the rows."""

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
    """The answers of a classifier as columns: `label`, `score`, and every class if wanted.

    With `thresholds` (C,) a text may have several labels: the columns are `labels` and `scores`,
    lists of those that reach theirs, or `threshold`. Where the input has columns of such names,
    all of them begin with `predicted_` instead.
    """

    def __init__(
        self,
        labels: Sequence[str],
        proba: bool,
        threshold: float | None,
        taken: Sequence[str],
        thresholds: NDArray[np.float64] | None = None,
    ) -> None:
        """Name the columns.

        Raises:
            DataError: the input has columns of both spellings.
        """
        self.labels, self.threshold = list(labels), threshold
        self.several = thresholds is not None
        self._limits = thresholds if threshold is None else threshold
        first = ("labels", "scores") if self.several else ("label", "score")
        classes = [f"probability_{label}" for label in labels] if proba else []
        for prefix in ("", "predicted_"):
            self.names = [f"{prefix}{name}" for name in (*first, *classes)]
            clash = [name for name in self.names if name in taken]
            if not clash:
                return
        raise DataError(
            f"The input has columns named {', '.join(clash)} already.\n"
            "Rename them, so that the answers have a place."
        )

    def values(
        self, texts: Sequence[str | None], probabilities: NDArray[np.float32]
    ) -> list[tuple[Any, ...]]:
        """One tuple a row: strings, floats, or None; `probabilities` (k, C) of the k texts."""
        rows = iter(probabilities)
        none = (None,) * len(self.names)
        return [none if text is None else self._row(next(rows)) for text in texts]

    def _row(self, row: NDArray[np.float32]) -> tuple[Any, ...]:
        if self._limits is not None and self.several:
            places = indices_at_least(row, self._limits)
            own = [self.labels[place] for place in places]
            shares = [round(float(share), 6) for share in row]
            scores = [shares[place] for place in places]
            return (own, scores, *(shares if len(self.names) > 2 else ()))
        best = int(row.argmax())
        certain = self.threshold is None or row[best] >= self.threshold
        label = self.labels[best] if certain else None
        shares = [round(float(share), 6) for share in row]
        return (label, shares[best], *(shares if len(self.names) > 2 else ()))


class TextRows:
    """Rows as lines of csv, tsv or jsonl, or as label, score and text without a header (txt)."""

    def __init__(self, kind: str, answers: PredictionColumns, columns: Sequence[str]) -> None:
        self.kind, self._answers, self._columns = kind, answers, list(columns)

    def begin(self) -> bytes:
        """What comes before the first row: the names of the columns, or nothing."""
        if self.kind not in DELIMITERS:
            return b""
        return self._delimited([[*self._columns, *self._answers.names]])

    def resume(self, part: Path) -> None:
        """Nothing has to be known of what is written already."""

    def lines(self, chunk: Chunk, probabilities: NDArray[np.float32]) -> bytes:
        """The lines of one chunk.

        Raises:
            DataError: a row that does not fit the columns.
        """
        answers = self._answers.values(chunk.texts, probabilities)
        if self.kind == "txt":
            texts = zip(answers, chunk.texts, strict=True)
            plain = (_plain(label, score, text) for (label, score, *_), text in texts)
            return "".join(plain).encode("utf-8", "replace")
        rows: list[dict[str, Any]] = (
            chunk.rows if isinstance(chunk.rows, list) else chunk.rows.to_pylist()
        )
        names = self._answers.names
        if self.kind == "jsonl":
            for row in rows:
                if clash := [name for name in names if name in row]:
                    raise _unlike(row, self._columns, clash)
            return b"".join(
                _json(row | dict(zip(names, answer, strict=True))) + b"\n"
                for row, answer in zip(rows, answers, strict=True)
            )
        _check_columns(rows, self._columns)
        return self._delimited(
            [*(_cell(row.get(name)) for name in self._columns), *map(_cell, answer)]
            for row, answer in zip(rows, answers, strict=True)
        )

    def _delimited(self, rows: Iterable[Sequence[Any]]) -> bytes:
        out = io.StringIO()
        delimiter = DELIMITERS[self.kind]
        csv.writer(out, delimiter=delimiter, lineterminator="\n").writerows(rows)
        return out.getvalue().encode("utf-8", "replace")


class ParquetRows:
    """Rows as Arrow messages, which can be added to a file and become parquet at the end."""

    kind = "parquet"

    def __init__(self, answers: PredictionColumns, columns: Sequence[str]) -> None:
        self._answers, self._columns = answers, list(columns)
        self._schema: pyarrow.Schema | None = None

    def begin(self) -> bytes:
        """Nothing: the schema comes with the first row."""
        return b""

    def resume(self, part: Path) -> None:
        """Learn the types of what is written already."""
        import pyarrow

        with part.open("rb") as file:
            self._schema = pyarrow.ipc.open_stream(file).schema

    def lines(self, chunk: Chunk, probabilities: NDArray[np.float32]) -> bytes:
        """The messages of one chunk; the first begins with the schema.

        Raises:
            DataError: a row that does not fit the columns and their types.
        """
        import pyarrow

        answers = self._answers.values(chunk.texts, probabilities)
        columns = list(zip(*answers, strict=True)) or [()] * len(self._answers.names)
        kinds = [pyarrow.string(), *[pyarrow.float32()] * (len(columns) - 1)]
        if self._answers.several:
            kinds[:2] = map(pyarrow.list_, kinds[:2])
        batch = self._batch(chunk)
        for name, column, kind in zip(self._answers.names, columns, kinds, strict=True):
            batch = batch.append_column(name, pyarrow.array(column, kind))
        begun = self._schema is not None
        self._schema = batch.schema
        schema = b"" if begun else batch.schema.serialize().to_pybytes()
        message: bytes = schema + batch.serialize().to_pybytes()
        return message

    def _batch(self, chunk: Chunk) -> Any:
        import pyarrow

        if not isinstance(chunk.rows, list):
            batch = chunk.rows
            for place, field in enumerate(batch.schema):
                if pyarrow.types.is_dictionary(field.type):  # a message has no room for one
                    plain = batch.column(place).dictionary_decode()
                    batch = batch.set_column(place, field.with_type(plain.type), plain)
            return batch
        _check_columns(chunk.rows, self._columns)
        if self._schema is not None:
            known = pyarrow.schema(list(self._schema)[: len(self._columns)])
        elif chunk.rows:
            known = None
        else:
            known = pyarrow.schema([(name, pyarrow.string()) for name in self._columns])
        try:
            return pyarrow.RecordBatch.from_pylist(chunk.rows, schema=known)
        except (pyarrow.ArrowException, TypeError, ValueError, OverflowError) as error:
            raise DataError(
                f"A row does not fit into a parquet column: {str(error).splitlines()[0]}\n"
                "Write jsonl, whose rows need not be alike."
            ) from error


def _plain(label: Any, score: Any, text: str | None) -> str:
    if isinstance(label, list):
        return f"{', '.join(label)}\t{', '.join(f'{each:.4f}' for each in score)}\t{text}\n"
    return f"{label or ''}\t{score:.4f}\t{text}\n"


def _check_columns(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    known = set(columns)
    for row in rows:
        if not row.keys() <= known:
            raise _unlike(row, columns, [name for name in row if name not in known])


def _unlike(row: dict[str, Any], columns: Sequence[str], strange: Sequence[str]) -> DataError:
    return DataError(
        f"A row has {', '.join(map(repr, strange))}, which the first has not; "
        f"that has: {', '.join(columns)}.\nMake the rows alike, or name the key otherwise."
    )


def _cell(value: Any) -> Any:
    """A value as csv has it: nothing for None, JSON for what has parts."""
    return _json(value).decode() if isinstance(value, dict | list | bool) else value


def _json(value: Any) -> bytes:
    text = json.dumps(value, ensure_ascii=False, default=str)
    try:
        return text.encode()
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can escape
        return json.dumps(value, default=str).encode()
