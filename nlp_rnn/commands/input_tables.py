"""Input of `predict`: tables in files, folders or standard input, read in chunks for memory."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.commands.input_values import column_texts, joined_text
from nlp_rnn.data.suspect_texts import text_notes
from nlp_rnn.errors import DataError
from nlp_rnn.sources.columns import MissingColumnError, listed

if TYPE_CHECKING:
    import pyarrow

    from nlp_rnn.sources.file_format import TableStream
    from nlp_rnn.sources.files import Entry

__all__ = ["PIPE", "STANDARD_INPUT", "ArgumentTexts", "Chunk", "InputTable"]

STANDARD_INPUT = "standard input"
"""Name of standard input in messages."""

# A chunk, the rows that are in memory together, ends at this many rows or characters of text.
CHUNK_ROWS = 4096
CHUNK_CHARACTERS = 8 << 20

_FEWEST = 5  # texts, for what could be a coincidence

PIPE = Path("/dev/stdin")
"""Standard input, where it can be read as it arrives."""


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
        The rows; those of files with typed columns are unchanged.
    """

    columns: list[str]
    texts: list[str | None]
    rows: "list[dict[str, Any]] | pyarrow.RecordBatch"


class InputTable:
    """The files of a table, which are read once from top to bottom, one after the other.

    Parameters
    ----------
    entries : sequence of Entry
        The files, from `sources.streams.find_streams`.
    text : sequence of tuple of str
        Possible text columns: the first tuple whose columns exist is used. Several columns are
        joined as in the training data.
    only_column : bool
        Whether the only column of a table has the texts, whatever its name; not for pairs.
    separator : str, optional
        Token between joined columns; by default a space.
    names : sequence of str
        The text columns of the training, which can be the first line of a txt file.
    labels : collection of str
        The labels of the classifier, with which the lines of a txt file can begin.

    Attributes
    ----------
    format : str
        Format of the first file.
    columns : list of str
        Names of its columns; empty for json and jsonl, whose rows have keys of their own.
    text : tuple of str
        The columns of the texts.
    types : dict of str to pyarrow.DataType or None
        Types of the columns after `find_columns`, otherwise empty.
    notes : list of str
        Lines that the user should see; reading adds some.

    Raises
    ------
    DataError
        A file cannot be opened or has none of the text columns.
    """

    def __init__(
        self,
        entries: "Sequence[Entry]",
        text: Sequence[tuple[str, ...]],
        only_column: bool = True,
        separator: str | None = None,
        names: Sequence[str] = (),
        labels: Collection[str] = (),
    ) -> None:
        self._labels = {*labels}
        self._names = {name.casefold() for name in names if not name.isdecimal()} | {"text"}
        self.entries, self.format = list(entries), entries[0].format
        self.notes: list[str] = []
        self.types: dict[str, pyarrow.DataType | None] = {}
        self._separator = separator
        self._stream, self.text = self._open_first(text, only_column)
        self.columns = self._stream.columns
        self._entry = self._rows = 0
        self._sizes = [_size(entry.path) for entry in entries]

    def _open_first(
        self, possible: Sequence[tuple[str, ...]], only_column: bool
    ) -> "tuple[TableStream, tuple[str, ...]]":
        from nlp_rnn.sources.streams import open_stream

        first: MissingColumnError | None = None
        names: Sequence[str] = ()
        for text in possible:
            notes: list[str] = []
            try:
                stream = open_stream(self.entries[0], text, notes)
            except MissingColumnError as error:
                first, names = first or error, error.names
            else:
                self.notes = notes
                return stream, text
        if only_column and len(names) == 1 and max(map(len, possible)) == 1:
            if self.format in ("csv", "tsv"):
                self.notes.append(
                    f"{_name(self.entries[0].path)}: the texts are those of its only column, whose "
                    f"header is {names[0][:40]!r}; if this is a text, set data.header=false"
                )
            return open_stream(self.entries[0], names, self.notes), tuple(names)
        assert first is not None
        raise first

    def find_columns(self, typed: bool) -> None:
        """Find the columns and types of rows that have keys of their own, by reading all of them.

        Nothing is done for standard input, which can be read only once. With `typed` a note names
        the columns whose values have different types.
        """
        from nlp_rnn.commands.column_survey import survey
        from nlp_rnn.sources.streams import open_stream

        if self.columns or any(entry.path == PIPE for entry in self.entries):
            return
        streams = (open_stream(entry, self.text, []) for entry in self.entries)
        blocks = chain.from_iterable(stream.blocks for stream in streams)
        rows = chain.from_iterable(block for block in blocks if isinstance(block, list))
        self.types = survey(rows)
        self.columns = list(self.types)
        if typed and (mixed := [name for name, kind in self.types.items() if kind is None]):
            self.notes.append(
                f"{_name(self.entries[0].path)}: values of different types in {listed(mixed)}; "
                "a parquet file has them as JSON"
            )

    def chunks(self, skip: int = 0) -> Iterator[Chunk]:
        """Yield the rows after the first `skip` in order; a single empty chunk for an empty table.

        Raises
        ------
        DataError
            A row cannot be read; the message has its number.
        """
        is_empty = True
        for index, entry in enumerate(self.entries):
            name, number, blank = _name(entry.path), 0, 0
            self._entry, self._rows = index, 0
            self._stream = self._stream if index == 0 else self._open_next(entry)
            for rows in _sliced(self._stream.blocks):
                length = len(rows) if isinstance(rows, list) else rows.num_rows
                number = self._rows = number + length
                if skip >= length:
                    skip -= length
                    is_empty = False
                    continue
                rows, start = _rest(rows, skip), number - length + skip + 1
                skip = 0
                chunk = self._chunk(rows, name, start)
                if start == 1:
                    self.notes += text_notes(name, [text for text in chunk.texts if text])
                    if self.format == "txt":
                        self._note_columns(chunk, name)
                blank += sum(text is not None and not text.strip() for text in chunk.texts)
                if is_empty and not any(text is not None for text in chunk.texts):
                    self._check_fields(chunk, name)
                is_empty = False
                yield chunk
            if blank:
                self.notes.append(f"{name}: {blank:,} of {number:,} texts are empty")
        if is_empty:
            yield Chunk(self.columns, [], [])

    def share_read(self) -> float | None:
        """Return the share of the table that has been read, 0 to 1; None if it is unknown."""
        if not self._sizes or (share := self._stream.share(self._rows)) is None:
            return None
        before, size = sum(self._sizes[: self._entry]), self._sizes[self._entry]
        return min((before + share * size) / max(sum(self._sizes), 1), 1.0)

    def _note_columns(self, chunk: Chunk, name: str) -> None:
        """Add notes if the lines of a txt file seem to be more than texts."""
        texts = [text.strip(" \ufeff") for text in chunk.texts if text and text.strip()]
        if texts and (first := texts[0].strip('"')).casefold() in self._names:
            self.notes.append(
                f"{name}: line 1 looks like a header, {first!r}, but each line is read as a text; "
                "if it is one, set data.format=csv"
            )
        words = [text.split()[0] for text in texts]
        known = [word for word in words if word in self._labels]
        if len(texts) >= _FEWEST and len(known) >= 0.9 * len(texts) and len({*known}) > 1:
            self.notes.append(
                f"{name}: the texts begin with labels, such as {texts[0][:40]!r}; if these are not "
                "a part of the texts, set data.format=lines"
            )

    def _check_fields(self, chunk: Chunk, name: str) -> None:
        """Raise an error if a text column is a field of records that no row has."""
        for column in self.text:
            if column not in chunk.columns:
                raise DataError(
                    f"{name} has no texts in the field {column!r}; it has the columns: "
                    f"{listed(chunk.columns)}.\nSet the column of the texts: data.text=COLUMN"
                )

    def _open_next(self, entry: "Entry") -> "TableStream":
        from nlp_rnn.sources.streams import open_stream

        return open_stream(entry, self.text, self.notes)

    def _chunk(self, rows: Any, name: str, start: int) -> Chunk:
        """Return rows with their texts; `start` is the number of the first one in the file."""
        parts = [column_texts(rows, column, name, start) for column in self.text]
        texts = [joined_text(row, self._separator) for row in zip(*parts, strict=True)]
        if isinstance(rows, list):
            columns = list(dict.fromkeys(key for row in rows for key in row))
            return Chunk(self.columns or columns, texts, rows)
        return Chunk(self.columns, texts, rows)


class ArgumentTexts(InputTable):
    """Texts from the command line as a table with the column `text`."""

    def __init__(self, texts: list[str]) -> None:
        self.entries, self.format = [], "txt"
        self.columns, self.text, self.notes, self.types = ["text"], ("text",), [], {}
        self._texts, self._sizes = texts, []

    def chunks(self, skip: int = 0) -> Iterator[Chunk]:
        """Yield all texts."""
        yield Chunk(["text"], [*self._texts], [{"text": text} for text in self._texts])


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _name(path: Path) -> str:
    return STANDARD_INPUT if path == PIPE or path.name == STANDARD_INPUT else str(path)


def _sliced(blocks: Iterator[Any]) -> Iterator[Any]:
    """Divide and combine blocks so that they have the size of chunks."""
    rows: list[dict[str, Any]] = []
    characters = 0
    for block in blocks:
        if not isinstance(block, list):
            for start in range(0, block.num_rows, CHUNK_ROWS):
                yield block.slice(start, CHUNK_ROWS)
            continue
        for row in block:
            rows.append(row)
            characters += sum(len(value) for value in row.values() if isinstance(value, str))
            if len(rows) >= CHUNK_ROWS or characters >= CHUNK_CHARACTERS:
                yield rows
                rows, characters = [], 0
    if rows:
        yield rows


def _rest(rows: Any, skip: int) -> Any:
    if not skip:
        return rows
    return rows[skip:] if isinstance(rows, list) else rows.slice(skip)
