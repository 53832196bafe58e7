"""Input of `predict`: tables in files or standard input, read in chunks of bounded memory."""

import csv
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from nlp_rnn.errors import ConfigError, DataError
from nlp_rnn.sources.separator import escape_separator

if TYPE_CHECKING:
    import pyarrow

__all__ = ["FORMATS", "ArgumentTexts", "Chunk", "InputTable", "format_of_file"]

FORMATS = ("csv", "tsv", "jsonl", "parquet", "txt")
DELIMITERS = {"csv": ",", "tsv": "\t"}

# A chunk, the rows that are in memory together, ends at this many rows or characters of text.
CHUNK_ROWS = 4096
CHUNK_CHARACTERS = 8 << 20


@dataclass(frozen=True)
class Chunk:
    """Consecutive rows of a table.

    Attributes
    ----------
    columns : list of str
        Columns of the first row.
    texts : list of str or None
        Text of each row; None for a row without one.
    rows : list of dict, or pyarrow.RecordBatch
        The rows; of a parquet file they are unchanged.
    """

    columns: list[str]
    texts: list[str | None]
    rows: "list[dict[str, Any]] | pyarrow.RecordBatch"


def format_of_file(path: Path) -> str:
    """Return the format of a file by the end of its name.

    Raises
    ------
    ConfigError
        The name does not end in a supported format.
    """
    file_format = path.suffix.lower().removeprefix(".")
    if file_format not in FORMATS:
        raise ConfigError(
            f"The name of {path} does not end in a supported format: {', '.join(FORMATS)}.\n"
            "Rename the file, or set --format for the input."
        )
    return file_format


class InputTable:
    """A file, or standard input, that is read once from top to bottom.

    Parameters
    ----------
    path : Path or None
        The file; None for standard input.
    file_format : str
        One of `FORMATS`.
    column : str or None
        Column with the texts; by default `text` or the only column. Several columns, separated by
        commas, are joined as in the training data.
    separator : str, optional
        Token between joined columns; by default a space.

    Attributes
    ----------
    columns : list of str
        Names of the columns; empty for jsonl, whose rows have keys of their own.

    Raises
    ------
    DataError
        The file cannot be opened or has no such column.
    """

    def __init__(
        self, path: Path | None, file_format: str, column: str | None, separator: str | None = None
    ) -> None:
        self.path, self.format = path, file_format
        self.name = "standard input" if path is None else str(path)
        self.columns: list[str] = []
        self._file: BinaryIO | None = None
        if path is None:
            self._file = sys.stdin.buffer
        else:
            try:
                if not path.is_file():
                    raise DataError(
                        f"{path} {'is a folder' if path.is_dir() else 'does not exist'}.\n"
                        f"Pass the name of a {', '.join(FORMATS[:-1])} or {FORMATS[-1]} file."
                    )
                self._file = path.open("rb")
            except OSError as error:
                raise DataError(f"{path} cannot be read: {error.strerror}.") from error
        self._rows: Iterator[dict[str, Any]] = iter(())
        try:
            self._open_rows()
            self.column = self._text_column(column)
            self._separator = separator
        except BaseException:
            self.close()
            raise

    def _open_rows(self) -> None:
        """Set the columns and the iterator of the rows."""
        match self.format:
            case "parquet":
                self._parquet = self._open_parquet()
                self.columns = self._parquet.schema_arrow.names
            case "csv" | "tsv":
                self._rows = self._read_delimited()
            case "jsonl":
                self._rows = self._read_json()
            case _:
                self.columns = ["text"]
                self._rows = ({"text": _without_line_end(line)} for line in self._lines())

    def chunks(self, skip: int = 0) -> Iterator[Chunk]:
        """Yield the rows after the first `skip` in order; a single empty chunk for an empty table.

        Raises
        ------
        DataError
            A row cannot be read; the message has its number.
        """
        if self.format == "parquet":
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
        """Return the share of the table in the first `rows` rows, 0 to 1; None if it is unknown."""
        if self.format == "parquet":
            return rows / max(int(self._parquet.metadata.num_rows), 1)
        if self.path is None or self._file is None:
            return None
        return min(self._file.tell() / max(self.path.stat().st_size, 1), 1.0)

    def close(self) -> None:
        """Close the file; standard input stays open."""
        if self.path is not None and self._file is not None:
            self._file.close()

    def _text_column(self, column: str | None) -> str:
        if column is None and (self.format == "jsonl" or "text" in self.columns):
            column = "text"
        if column is None and len(self.columns) == 1:
            (column,) = self.columns
        names = [column or "text"] if column is None or column in self.columns else _names(column)
        missing = [name for name in names if self.columns and name not in self.columns]
        if column is None or missing:
            columns = ", ".join(self.columns[:20])
            raise DataError(
                f"{self.name} has no column {(missing or names)[0]!r}; it has: {columns}.\n"
                "Set the column of the texts: --text COLUMN"
            )
        repeated = sorted({name for name in self.columns if self.columns.count(name) > 1})
        if repeated:
            raise DataError(
                f"{self.name} has several columns named {repeated[0]!r}. Rename all but one."
            )
        return column

    def _text(self, row: dict[str, Any], number: int) -> str | None:
        if self.column in row:
            return self._part(row, self.column, number)
        parts = [self._part(row, name, number) for name in _names(self.column)]
        if all(part is None for part in parts):
            return None
        if self._separator is None:
            return " ".join(part for part in parts if part is not None)
        return f" {self._separator} ".join(
            escape_separator(part or "", self._separator) for part in parts
        )

    def _part(self, row: dict[str, Any], column: str, number: int) -> str | None:
        if column not in row:
            raise DataError(
                f"{self.name}, row {number} has no {column!r}; it has: {', '.join(row)}.\n"
                "Set the key of the texts: --text NAME"
            )
        text = row[column]
        if text is not None and not isinstance(text, str):
            raise DataError(
                f"{self.name}, row {number}: {column!r} is {type(text).__name__}, not a string."
            )
        return text

    def _lines(self) -> Iterator[str]:
        """Yield the lines, decoded from UTF-8, with their ends; only a line feed ends a line."""
        assert self._file is not None
        for number, line in enumerate(self._file, 1):
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise DataError(
                    f"{self.name} is not UTF-8: byte {error.start + 1} of line {number} is "
                    f"0x{line[error.start]:02X}.\nSave the file as UTF-8."
                ) from error
            yield text

    def _read_delimited(self) -> Iterator[dict[str, Any]]:
        """Read the header of csv or tsv, and return an iterator over the rows."""
        csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
        reader = csv.reader(self._lines(), delimiter=DELIMITERS[self.format], strict=True)

        def rows() -> Iterator[list[str]]:
            while True:
                try:
                    row = next(reader, None)
                except csv.Error as error:
                    raise DataError(
                        f"{self.name}, line {reader.line_num} is not valid: {error}.\n"
                        "Enclose texts with a comma, a quote or a line break in double quotes."
                    ) from error
                if row is None:
                    return
                if row:  # an empty line is no row
                    yield row

        read = rows()
        self.columns = next(read, [])
        if not self.columns:
            raise DataError(f"{self.name} is empty; its first row must name the columns.")

        def named() -> Iterator[dict[str, Any]]:
            for row in read:
                if len(row) != len(self.columns):
                    raise DataError(
                        f"{self.name}, line {reader.line_num} has {len(row)} fields, but the "
                        f"header has {len(self.columns)}.\n"
                        "Enclose texts with a comma or a tab in double quotes."
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
                raise DataError(f"{self.name}, line {number} is no valid JSON: {error}.") from error
            if not isinstance(row, dict):
                raise DataError(
                    f"{self.name}, line {number} is no JSON object.\n"
                    'Write one object per line: {"text": "…"}'
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
        names = [self.column] if self.column in self.columns else _names(self.column)
        try:
            for batch in self._parquet.iter_batches(batch_size=CHUNK_ROWS):
                first, number = number, number + batch.num_rows
                if number <= skip:
                    continue
                rest = batch.slice(max(0, skip - first))
                rows = rest.select(names).to_pylist()
                start = max(first, skip)
                texts = [self._text(row, start + offset) for offset, row in enumerate(rows, 1)]
                yield Chunk(self.columns, texts, rest)
            if number == 0:
                empty = pyarrow.RecordBatch.from_pylist([], self._parquet.schema_arrow)
                yield Chunk(self.columns, [], empty)
        except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
            reason = str(error).splitlines()[0]
            raise DataError(f"{self.name} cannot be read after row {number}: {reason}") from error


class ArgumentTexts(InputTable):
    """Texts from the command line as a table with the column `text`."""

    def __init__(self, texts: list[str]) -> None:
        self.path, self.format, self.name = None, "txt", "the command line"
        self.columns, self.column = ["text"], "text"
        self._file = None
        self._rows = ({"text": text} for text in texts)


def _names(column: str) -> list[str]:
    """Return the column names in the value of `--text`."""
    return column.split(",")


def _without_line_end(line: str) -> str:
    return line.removesuffix("\n").removesuffix("\r")
