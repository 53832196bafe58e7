"""Detection of the delimiter of a csv or tsv file from its first rows."""

import csv
import io
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from nlp_rnn.sources.csv_header import find_header
from nlp_rnn.sources.file_format import FileOptions, delimiter_character

__all__ = [
    "Dialect",
    "detect_dialect",
    "encloses_in_quotes",
    "first_rows",
    "has_backslash_quotes",
]

_CANDIDATES = (",", ";", "\t", "|")
_CONTROLS = frozenset(map(chr, range(1, 32))) - frozenset("\t\n\v\f\r\x1a")
_NAMES = {"\t": "tab", " ": "space"}
_ROWS = 21  # the header and twenty rows
_SAMPLE = 1 << 20  # bytes
_SEPARATOR_LINE = re.compile(r'\ufeff?"?sep=(.)"?\r?\n', re.IGNORECASE)


@dataclass(frozen=True)
class Dialect:
    """How the rows of a file are split.

    Attributes
    ----------
    delimiter : str
        The character between two cells.
    skipped_rows : int
        Lines before the header, such as the line `sep=;` that Excel understands, or a title.
    note : str or None
        What was detected, if it is not the default of the format.
    """

    delimiter: str
    skipped_rows: int = 0
    note: str | None = None


def detect_dialect(
    plain: Path, options: FileOptions, default: str, columns: Sequence[str]
) -> Dialect:
    """Return the dialect of a file.

    `data.delimiter` decides, then a first line `sep=;`, then the first rows: a delimiter is
    possible if it splits the header and the first twenty rows into the same number of cells, more
    than one. Of several, one that gives the required columns is used, then the default. If no
    usual delimiter gives them in the first line, other characters and further lines are tried.

    Parameters
    ----------
    plain : Path
        The file, uncompressed and in UTF-8.
    options : FileOptions
        The options about its form.
    default : str
        The delimiter of the format.
    columns : sequence of str
        The required columns.
    """
    sample, is_whole = _sample(plain)
    separator_line = _SEPARATOR_LINE.match(sample)
    skipped = 1 if separator_line else 0
    if options.delimiter is not None:
        delimiter = delimiter_character(options.delimiter, default)
        header = find_header(sample, columns, [delimiter]) if options.header else None
        if not separator_line and header and header[1]:
            return Dialect(delimiter, header[1], _preamble_note(header[1]))
        return Dialect(delimiter, skipped)
    if separator_line:
        delimiter = separator_line[1]
        if not delimiter.isascii():
            delimiter = default
        return Dialect(delimiter, 1, _note(delimiter, default, ", by its first line sep="))
    sample = sample.removeprefix("\ufeff")
    controls = sorted({*sample.split("\n", 1)[0]} & _CONTROLS)  # of Hive, such as \x01
    candidates = dict.fromkeys((*controls, default, *_CANDIDATES))
    header = find_header(sample, columns, list(candidates)) if options.header else None
    if header and (header[1] or header[0] not in candidates):
        notes = [_note(header[0], default, ""), _preamble_note(header[1])]
        return Dialect(*header, "; ".join(note for note in notes if note))
    rows = {known: _rows(sample, is_whole, known, options.quoting) for known in candidates}
    delimiter, others = _by_rows(rows, options, default, columns)
    if others and not options.header:
        names = " or ".join(map(_name, others))
        reason = f"; it could also be {names}: set data.delimiter if it is"
        return Dialect(delimiter, 0, f"read with delimiter {_name(delimiter)}{reason}")
    return Dialect(delimiter, 0, _note(delimiter, default, ""))


def has_backslash_quotes(plain: Path, delimiter: str) -> bool:
    """Return whether quotes seem to be escaped by a backslash, as Spark and MySQL write them."""
    mark = re.escape(delimiter.encode())
    # before other characters, or before the quote that ends a cell
    pattern = re.compile(rb'\\"(?:[^"\r\n%s]|"[\r\n%s])' % (mark, mark))
    with plain.open("rb") as file:
        end = b""  # of the chunk before
        while chunk := file.read(_SAMPLE):
            if pattern.search(end + chunk):
                return True
            end = chunk[-3:]
    return False


def encloses_in_quotes(plain: Path, delimiter: str) -> bool:
    """Return whether quotes enclose cells: some are doubled, or only so the rows are even.

    Only the beginning of the file is read. There, no quote is outside of such cells.
    """
    sample, is_whole = _sample(plain)
    mark = re.escape(delimiter)
    cell = re.compile(rf'(?:^|(?<={mark}))"((?:[^"]|"")*)"(?={mark}|\r?$)', re.MULTILINE)
    cells = [match[1] for match in cell.finditer(sample)]
    if not cells or cell.sub("", sample).count('"') > (0 if is_whole else 1):
        return False
    if any('""' in content for content in cells):
        return True
    with_quotes, without = (
        {len(row) for row in _rows(sample, is_whole, delimiter, quoting)}
        for quoting in (True, False)
    )
    return len(with_quotes) == 1 < len(without)


def _note(delimiter: str, default: str, reason: str) -> str | None:
    if delimiter == default:
        return None
    return f"read with delimiter {_name(delimiter)}{reason}"


def _name(delimiter: str) -> str:
    return _NAMES.get(delimiter, delimiter if delimiter.isprintable() else repr(delimiter))


def _preamble_note(number: int) -> str | None:
    if not number:
        return None
    lines = "line" if number == 1 else "lines"
    return f"{number} {lines} before the header skipped; the header is the line with the columns"


def first_rows(plain: Path, dialect: Dialect, quoting: bool) -> list[list[str]]:
    """Return the header and the first rows, without blank ones."""
    sample, is_whole = _sample(plain)
    below = sample.removeprefix("\ufeff").split("\n", dialect.skipped_rows)[-1]
    rows = _rows(below, is_whole, dialect.delimiter, quoting)
    return [row for row in rows if any(cell.strip() for cell in row)]


def _sample(plain: Path) -> tuple[str, bool]:
    """Return the beginning of a file, and whether it is the whole file."""
    with plain.open("rb") as file:
        content = file.read(_SAMPLE)
    return content.decode("utf-8", "replace"), len(content) < _SAMPLE


def _by_rows(
    rows: dict[str, list[list[str]]], options: FileOptions, default: str, columns: Sequence[str]
) -> tuple[str, list[str]]:
    """Choose a delimiter by the first rows that each gives; return it and others as likely."""
    widths = {known: len(first[0]) if first else 0 for known, first in rows.items()}
    several = [known for known, width in widths.items() if width > 1]
    named = [known for known in several if _has_columns(rows[known][0], options, columns)]
    if options.header and default in named:
        return default, []  # a row of another width is an error
    even = [known for known in several if {len(row) for row in rows[known]} == {widths[known]}]
    for possible in ([known for known in even if known in named], even, named):
        if len(possible) > 1 and not options.header:  # the last column, of labels, has few values
            numbers = {known: _number_of_values(rows[known], columns[-1:]) for known in possible}
            possible = sorted(possible, key=lambda known: numbers[known])
        if options.quoting:  # a wrong delimiter within quotes leaves them in its cells
            possible = sorted(possible, key=lambda known: _number_of_quotes(rows[known]))
        if possible:
            return possible[0], possible[1:]
    return default if widths[default] > 1 else max(widths, key=lambda known: widths[known]), []


def _number_of_quotes(rows: list[list[str]]) -> int:
    return sum('"' in cell for row in rows for cell in row)


def _number_of_values(rows: list[list[str]], columns: Sequence[str]) -> int:
    """Return the number of different cells in a column without a name."""
    index = int(columns[0]) - 1 if columns and columns[0].isdecimal() else -1
    return len({row[index] for row in rows}) if 0 <= index < min(map(len, rows)) else len(rows)


def _has_columns(first: Sequence[str], options: FileOptions, columns: Sequence[str]) -> bool:
    """Return whether the first row gives the required columns."""
    if options.header:
        return all(name in first for name in columns)
    if options.columns is not None:
        return len(options.columns) == len(first)
    # without a header numbers name the columns, and any delimiter gives some
    return False


def _rows(sample: str, is_whole: bool, delimiter: str, quoting: bool) -> list[list[str]]:
    """Return the first rows, without blank ones; fewer where a row cannot be parsed."""
    reader = csv.reader(
        io.StringIO(sample, newline=""),
        delimiter=delimiter,
        quoting=csv.QUOTE_MINIMAL if quoting else csv.QUOTE_NONE,
    )
    rows = []
    with suppress(csv.Error):  # such as a cell of more than 128 KiB
        for row in reader:
            if row:
                rows.append(row)
            if len(rows) == _ROWS:
                return rows
    return rows if is_whole else rows[:-1] or rows
