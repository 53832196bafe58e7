"""What a file format consists of: a name, file suffixes, options and a function that reads a file.

Every format is defined in one file as a `FileFormat` and registered in `formats.FORMATS`.
"""

import codecs
import dataclasses
import glob
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from nlp_rnn.errors import DataError
from nlp_rnn.sources.arrow_cache import file_key, write_rows

if TYPE_CHECKING:
    import pyarrow
    from datasets import Dataset

__all__ = [
    "DEFAULT_OPTIONS",
    "FileFormat",
    "FileOptions",
    "SourceFile",
    "TableStream",
    "delimiter_character",
]

_HEAD = 1 << 16  # bytes in which a line ends
_DELIMITERS = {
    **{"tab": "\t", "\\t": "\t", "space": " ", "comma": ",", "semicolon": ";"},
    "newline": "\n",  # between labels
}


@dataclass(frozen=True)
class FileOptions:
    """The options `data.…` about the form of files.

    Attributes
    ----------
    format : str or None
        Name of the format; None: by the name of each file.
    header : bool
        Whether the first row of a csv or tsv file names its columns.
    columns : tuple of str or None
        Column names of a file without header; None: their numbers, from 1.
    delimiter : str or None
        A character or its name, such as `tab`; None: the delimiter of the format.
    quoting : bool
        Whether a cell can be enclosed in double quotes.
    encoding : str
        Encoding of text files, as Python names it.
    multi_label : bool
        Whether a row may have any number of labels.
    rows : str or None
        Key of the list of records in a json file; None: by its content.
    """

    format: str | None = None
    header: bool = True
    columns: tuple[str, ...] | None = None
    delimiter: str | None = None
    quoting: bool = True
    encoding: str = "utf-8"
    multi_label: bool = False
    rows: str | None = None

    @property
    def is_utf8(self) -> bool:
        """Whether the encoding is UTF-8, by any of its names."""
        return codecs.lookup(self.encoding).name == "utf-8"


DEFAULT_OPTIONS = FileOptions()
"""The options that a user has not changed."""


@dataclass(frozen=True)
class SourceFile:
    """A file to be read, and what to read from it.

    Attributes
    ----------
    path : Path
        The file as the user named it, for messages and cache keys.
    plain : Path
        A copy of the file that is uncompressed and, if it is a text file, UTF-8; `path` itself
        where it is both.
    text, label : tuple of str
        Names of the text and label columns.
    options : FileOptions
        The options about the form of the file.
    notes : list of str
        Receives lines that the user should see.
    opened : list of file objects
        Receives the open `plain`, from which rows are streamed, for the progress.
    """

    path: Path
    plain: Path
    text: tuple[str, ...]
    label: tuple[str, ...]
    options: FileOptions
    notes: list[str]
    opened: list[Any] = dataclasses.field(default_factory=list)

    @property
    def columns(self) -> list[str]:
        """The columns to read, each of them once."""
        return list(dict.fromkeys((*self.text, *self.label)))

    def open_text(self) -> TextIO:
        """Open the file as text in which a line feed ends a line, or in its absence `\\r`."""
        newline = "\n"
        if self.plain.is_file():
            with self.plain.open("rb") as beginning:
                head = beginning.read(_HEAD)
            newline = "\r" if b"\r" in head and b"\n" not in head else "\n"
        file = self.plain.open(encoding="utf-8-sig", newline=newline)
        self.opened.append(file)
        return file

    def share_read(self) -> float | None:
        """Return the share of the open file that has been read, 0 to 1; None if it is unknown."""
        if not self.opened or not self.plain.is_file():
            return None
        file = getattr(self.opened[-1], "buffer", self.opened[-1])
        share: float = 1.0 if file.closed else file.tell() / max(self.plain.stat().st_size, 1)
        return min(share, 1.0)

    def lines(self) -> Iterator[tuple[int, str]]:
        """Yield line numbers from 1 and lines, which end as in `open_text`."""
        with self.open_text() as file:
            for number, line in enumerate(file, 1):
                yield number, line.removesuffix("\n").removesuffix("\r")

    def from_rows(
        self, key: tuple[object, ...], rows: Iterable[Mapping[str, str | None]]
    ) -> "Dataset":
        """Write `columns` of `rows` to the cache, as strings, and return them memory-mapped.

        Parameters
        ----------
        key : tuple
            Name and version of the parser. While neither the key nor the file nor its options
            change, the cached rows are returned, and `rows` is not iterated over.
        rows : iterable of mappings
            A value, or None, for each column.
        """
        options = dataclasses.astuple(self.options)
        return write_rows((*key, *file_key(self.path), options, *self.columns), self.columns, rows)

    def load_dataset(self, builder: str, **options: Any) -> "Dataset":
        """Load the file with a `builder` of the library `datasets`, such as `json`.

        Raises `DataError` if the file has no rows.
        """
        import datasets

        pattern = glob.escape(str(self.plain))
        try:
            return datasets.load_dataset(builder, data_files=pattern, split="train", **options)
        except ValueError as error:
            if "corresponds to no data" in str(error):
                raise DataError(f"{self.path} has no rows.") from error
            raise


@dataclass(frozen=True)
class TableStream:
    """The rows of a file with all of its columns, read once from top to bottom.

    Attributes
    ----------
    columns : list of str
        Names of the columns; empty where each row has keys of its own.
    blocks : iterator of pyarrow.RecordBatch, or of lists of dict
        Consecutive rows, few enough for memory.
    share : callable, optional
        Function that takes the number of rows read and returns their share of the file, 0 to 1;
        None where it is unknown.
    """

    columns: list[str]
    blocks: "Iterator[pyarrow.RecordBatch | list[dict[str, Any]]]"
    share: Callable[[int], float | None] = lambda rows: None


@dataclass(frozen=True)
class FileFormat:
    """A file format.

    Attributes
    ----------
    name : str
        The name that `data.format` accepts.
    read : callable
        Function that takes a `SourceFile` and returns a `Dataset` with at least its `columns`. It
        raises `DataError` for what the user can correct; other exceptions are reported with the
        name of the file.
    suffixes : tuple of str
        File name suffixes by which the format is recognized, with the dot and in lower case.
        Without any the format must be chosen with `data.format`.
    options : tuple of str
        Those of `header`, `columns`, `delimiter`, `quoting`, `encoding` and `rows` that apply. A
        format without `encoding` is binary: its files are not decoded.
    splits : callable, optional
        Function that takes the plain copy of a file and the required columns, and returns the
        values of `data.rows` by split; empty for a file without splits.
    stream : callable, optional
        Function that takes a `SourceFile` and returns a `TableStream`, for `nlp-rnn predict`. A
        format without it is read with `read`, and other columns are not in the output.
    """

    name: str
    read: "Callable[[SourceFile], Dataset]"
    suffixes: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    splits: Callable[[Path, Sequence[str]], dict[str, str]] | None = None
    stream: Callable[[SourceFile], TableStream] | None = None


def delimiter_character(option: str | None, default: str) -> str:
    """Return the character that a delimiter option stands for, such as a tab for `tab`."""
    return default if option is None else _DELIMITERS.get(option, option)
