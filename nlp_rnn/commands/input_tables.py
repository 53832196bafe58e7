"""A table in a file or a pipe becomes chunks of rows and the texts in them, in flat memory."""

import csv
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from nlp_rnn.errors import ConfigError, DataError

if TYPE_CHECKING:
    import pyarrow

__all__ = ["KINDS", "ArgumentTexts", "Chunk", "InputTable", "format_of_file"]

KINDS = ("csv", "tsv", "jsonl", "parquet", "txt")
DELIMITERS = {"csv": ",", "tsv": "\t"}

# Rows that are in memory at a time: a chunk ends at this many rows or characters of text.
CHUNK_ROWS = 4096
CHUNK_CHARACTERS = 8 << 20


@dataclass(frozen=True)
class Chunk:
    """Some rows as they were read, and the text of each; None where there is none.

    `columns` are those of its first row; `rows` are dicts, or what parquet holds, untouched.
    """

    columns: list[str]
    texts: list[str | None]
    rows: "list[dict[str, Any]] | pyarrow.RecordBatch"


def format_of_file(path: Path) -> str:
    """What a file holds, by its name.

    Raises:
        ConfigError: a name that does not say.
    """
    kind = path.suffix.lower().removeprefix(".")
    if kind not in KINDS:
        raise ConfigError(
            f"{path} is of no kind that can be read or written: {', '.join(KINDS)}.\n"
            "Name it after what it holds, or say --format KIND for what is read."
        )
    return kind


class InputTable:
    """A file, or standard input, that is read once from top to bottom.

    Attributes:
        columns: names of the columns; empty for jsonl, whose rows name their own.
    """

    def __init__(
        self, path: Path | None, kind: str, column: str | None, separator: str | None = None
    ) -> None:
        """Open `path`, or standard input, as `kind`; `column` holds the texts, or the only one.

        Several columns, with commas between them, are joined as the classifier's data was: by the
        token `separator`, or by a blank.

        Raises:
            DataError: it cannot be opened, or has no such column.
        """
        self.path, self.kind = path, kind
        self.name = "standard input" if path is None else str(path)
        self.columns: list[str] = []
        self._file: BinaryIO | None = None
        if path is None:
            self._file = sys.stdin.buffer
        else:
            try:
                if not path.is_file():
                    raise DataError(
                        f"{path} is {'a folder' if path.is_dir() else 'not there'}.\n"
                        f"Type the name of a file: {', '.join(KINDS)}."
                    )
                self._file = path.open("rb")
            except OSError as error:
                raise DataError(f"{path} cannot be read: {error.strerror}.") from error
        self._rows: Iterator[dict[str, Any]] = iter(())
        try:
            self._begin()
            self.column = self._text_column(column)
            self._separator = separator
        except BaseException:
            self.close()
            raise

    def _begin(self) -> None:
        """Learn the columns, and from where rows come."""
        match self.kind:
            case "parquet":
                self._parquet = self._open_parquet()
                self.columns = self._parquet.schema_arrow.names
            case "csv" | "tsv":
                self._rows = self._read_delimited()
            case "jsonl":
                self._rows = self._read_json()
            case _:
                self.columns = ["text"]
                self._rows = ({"text": _without_end(line)} for line in self._lines())

    def chunks(self, skip: int = 0) -> Iterator[Chunk]:
        """The rows after the first `skip`, in order; one empty chunk if there are none at all.

        Raises:
            DataError: a row that cannot be read, named by its number.
        """
        if self.kind == "parquet":
            yield from self._parquet_chunks(skip)
            return
        rows: list[dict[str, Any]] = []
        texts: list[str | None] = []
        characters = number = 0
        for number, row in enumerate(self._rows, 1):
            if number <= skip:
                continue
            text = self._text(row, number)
            rows.append(row)
            texts.append(text)
            characters += len(text or "")
            if len(rows) >= CHUNK_ROWS or characters >= CHUNK_CHARACTERS:
                yield Chunk(list(rows[0]), texts, rows)
                rows, texts, characters = [], [], 0
        if rows or number == 0:
            yield Chunk(list(rows[0]) if rows else self.columns, texts, rows)

    def share_read(self, rows: int) -> float | None:
        """How much has been read after so many rows, 0 to 1; None where nobody knows."""
        if self.kind == "parquet":
            return rows / max(int(self._parquet.metadata.num_rows), 1)
        if self.path is None or self._file is None:
            return None
        return min(self._file.tell() / max(self.path.stat().st_size, 1), 1.0)

    def close(self) -> None:
        """Close the file; standard input stays open."""
        if self.path is not None and self._file is not None:
            self._file.close()

    def _text_column(self, column: str | None) -> str:
        if column is None and (self.kind == "jsonl" or "text" in self.columns):
            column = "text"
        if column is None and len(self.columns) == 1:
            (column,) = self.columns
        wanted = [column or "text"] if column is None or column in self.columns else _parts(column)
        strange = [name for name in wanted if self.columns and name not in self.columns]
        if column is None or strange:
            some = ", ".join(self.columns[:20])
            raise DataError(
                f"{self.name} has no column {(strange or wanted)[0]!r}; it has: {some}.\n"
                "Name the column that holds the texts: --text COLUMN"
            )
        several = sorted({name for name in self.columns if self.columns.count(name) > 1})
        if several:
            raise DataError(
                f"{self.name} has several columns named {several[0]!r}. Rename all but one."
            )
        return column

    def _text(self, row: dict[str, Any], number: int) -> str | None:
        if self.column in row:
            return self._part(row, self.column, number)
        parts = [self._part(row, name, number) for name in _parts(self.column)]
        if all(part is None for part in parts):
            return None
        if self._separator is None:
            return " ".join(part for part in parts if part is not None)
        return f" {self._separator} ".join(part or "" for part in parts)

    def _part(self, row: dict[str, Any], column: str, number: int) -> str | None:
        if column not in row:
            raise DataError(
                f"{self.name}, row {number} has no {column!r}; it has: {', '.join(row)}.\n"
                "Name what holds the texts: --text NAME"
            )
        text = row[column]
        if text is not None and not isinstance(text, str):
            raise DataError(
                f"{self.name}, row {number}: {column!r} is {type(text).__name__}, not a text."
            )
        return text

    def _lines(self) -> Iterator[str]:
        """Lines as UTF-8 with their ends; only a line feed ends one."""
        assert self._file is not None
        for number, line in enumerate(self._file, 1):
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise DataError(
                    f"{self.name} is not UTF-8: line {number}, byte {error.start + 1} of it is "
                    f"0x{line[error.start]:02X}.\nSave it as UTF-8."
                ) from error
            yield text

    def _read_delimited(self) -> Iterator[dict[str, Any]]:
        """Rows of csv or tsv, whose header is read at once."""
        csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
        reader = csv.reader(self._lines(), delimiter=DELIMITERS[self.kind], strict=True)

        def rows() -> Iterator[list[str]]:
            while True:
                try:
                    row = next(reader, None)
                except csv.Error as error:
                    raise DataError(
                        f"{self.name} is broken at line {reader.line_num}: {error}.\n"
                        "A text with a comma, a quote or a line break in it must stand in double "
                        "quotes."
                    ) from error
                if row is None:
                    return
                if row:  # a line with nothing on it is no row
                    yield row

        read = rows()
        self.columns = next(read, [])
        if not self.columns:
            raise DataError(f"{self.name} is empty; its first row must name the columns.")

        def named() -> Iterator[dict[str, Any]]:
            for row in read:
                if len(row) != len(self.columns):
                    raise DataError(
                        f"{self.name}, line {reader.line_num}: {len(row)} fields, "
                        f"the header has {len(self.columns)}.\n"
                        "A text with a comma or a tab in it must stand in double quotes."
                    )
                yield dict(zip(self.columns, row, strict=True))

        return named()

    def _read_json(self) -> Iterator[dict[str, Any]]:
        for number, line in enumerate(self._lines(), 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DataError(f"{self.name}, line {number} is broken JSON: {error}.") from error
            if not isinstance(row, dict):
                raise DataError(
                    f"{self.name}, line {number} is no JSON object.\n"
                    'Write one object a line: {"text": "…"}'
                )
            yield row

    def _open_parquet(self) -> Any:
        import pyarrow
        from pyarrow import parquet

        try:
            return parquet.ParquetFile(self._file, pre_buffer=False)
        except (pyarrow.ArrowException, OSError) as error:
            reason = str(error).splitlines()[0]
            raise DataError(f"{self.name} cannot be read as parquet: {reason}") from error

    def _parquet_chunks(self, skip: int) -> Iterator[Chunk]:
        import pyarrow

        number = 0
        names = [self.column] if self.column in self.columns else _parts(self.column)
        try:
            for batch in self._parquet.iter_batches(batch_size=CHUNK_ROWS):
                first, number = number, number + batch.num_rows
                if number <= skip:
                    continue
                rest = batch.slice(max(0, skip - first))
                kept = rest.select(names).to_pylist()
                start = max(first, skip)
                texts = [self._text(row, start + place) for place, row in enumerate(kept, 1)]
                yield Chunk(self.columns, texts, rest)
            if number == 0:
                empty = pyarrow.RecordBatch.from_pylist([], self._parquet.schema_arrow)
                yield Chunk(self.columns, [], empty)
        except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
            reason = str(error).splitlines()[0]
            raise DataError(f"{self.name} cannot be read after row {number}: {reason}") from error


class ArgumentTexts(InputTable):
    """Texts that were typed, as a table with the column `text`."""

    def __init__(self, texts: list[str]) -> None:
        self.path, self.kind, self.name = None, "txt", "what was typed"
        self.columns, self.column = ["text"], "text"
        self._file = None
        self._rows = ({"text": text} for text in texts)


def _parts(column: str) -> list[str]:
    """The columns that `--text` names."""
    return column.split(",")


def _without_end(line: str) -> str:
    return line.removesuffix("\n").removesuffix("\r")
