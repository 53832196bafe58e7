"""Headers of csv and tsv files that are not in the first line, or do not fit the rows."""

import csv
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from nlp_rnn.errors import DataError
from nlp_rnn.sources.columns import distinct_names
from nlp_rnn.sources.file_format import FileOptions

__all__ = [
    "BLANK",
    "HEADER_LINES",
    "CorrectedNames",
    "corrected_names",
    "find_header",
    "is_number",
    "looks_like_header",
    "misplaced_number",
    "names_without_header",
    "plain_name",
    "skip_blank_row",
]

_NO_DELIMITERS = frozenset("\"'\r\n")
_LABELS = re.compile(r"(predicted_)?labels?|(predicted_)?probability_.+")
_WORD = re.compile(r"[^\W\d]\w*")
_NUMBER = re.compile(r"[-+]?\d+([.,]\d+)?")
HEADER_LINES = 11
"""The number of lines among which the header is searched."""

BLANK = " \t\r\n\0\x1a"  # 0x1A ends the files of old programs


def find_header(
    sample: str, columns: Sequence[str], delimiters: Sequence[str]
) -> tuple[str, int] | None:
    """Return the delimiter and the number of lines before the header; None if there is none.

    The header is the first line that has all required columns. Of delimiters other than the usual
    ones, one counts if all further lines have as many cells.

    Parameters
    ----------
    sample : str
        The beginning of a file.
    columns : sequence of str
        The required columns.
    delimiters : sequence of str
        The usual delimiters, or the one that is set.
    """
    if "\n" not in sample:
        sample = sample.replace("\r", "\n")  # the line ends of old Macs
    lines = sample.split("\n", HEADER_LINES + 30)
    # a number is the name of a column without a name, and it can be a value in any row
    searched = 1 if any(map(is_number, columns)) else HEADER_LINES
    for number, line in enumerate(lines[:searched]):
        for delimiter in delimiters:
            if _has(line, columns, delimiter):
                return delimiter, number
    if len(delimiters) == 1:
        return None
    first, *others = [line.rstrip("\r") for line in lines[:-1] if line.strip(BLANK)] or [""]
    for delimiter in sorted({*first} - _NO_DELIMITERS - {*delimiters}):
        is_ascii_mark = delimiter.isascii() and not delimiter.isalnum()
        if is_ascii_mark and others and _has(first, columns, delimiter):
            widths = {len(row) for row in csv.reader([first, *others], delimiter=delimiter)}
            if len(widths) == 1:
                return delimiter, 0
    return None


def _has(line: str, columns: Sequence[str], delimiter: str) -> bool:
    if not columns or delimiter not in line:
        return False
    try:
        cells = next(csv.reader([line.rstrip("\r")], delimiter=delimiter), [])
    except csv.Error:  # such as a carriage return within the line
        return False
    return {*columns} <= {plain_name(cell) for cell in cells}


def is_number(column: str) -> bool:
    """Return whether a column can be the number of a column without a name: 1, 2 …"""
    return column.isdecimal() and int(column) > 0


def looks_like_header(first: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Return whether a first row looks like a header, in doubt yes."""
    folded = [cell.casefold() for cell in first]
    if any(cell == "text" or _LABELS.fullmatch(cell) for cell in folded):
        return True
    if len(first) > 1 and any(first == [str(n + s) for n in range(len(first))] for s in (0, 1)):
        return True
    rows = [row for row in rows if len(row) == len(first)]
    if len(rows) < 2:
        return False
    columns = list(zip(first, zip(*rows, strict=True), strict=True))
    if any(
        name and not _NUMBER.fullmatch(name) and all(map(_NUMBER.fullmatch, cells))
        for name, cells in columns
    ):
        return True
    are_words = all(_WORD.fullmatch(name) and name not in cells for name, cells in columns)
    return are_words and any(all(" " in cell.strip() for cell in cells) for _, cells in columns)


def misplaced_number(names: Sequence[str], columns: Sequence[str]) -> str | None:
    """Return a required column that is a number and stands at another place of the first row.

    Such a first row is no header: its cell is a value, as in `3,2,good film`. The first column of
    a header has the number 0 or 1, or comes after a column without a name.
    """
    for column in filter(is_number, columns):
        places = [index for index, name in enumerate(names) if name == column]
        number = int(column)
        if places and number <= len(names) and {number - 1, number, number + 1}.isdisjoint(places):
            return column
    return None


def plain_name(name: str) -> str:
    """Return the name of a column in one line, without invisible characters, composed (NFC)."""
    visible = "".join(letter for letter in name if unicodedata.category(letter) != "Cf")
    line = " ".join(visible.split()) if "\n" in visible or "\r" in visible else visible.strip()
    return unicodedata.normalize("NFC", line)


class CorrectedNames(NamedTuple):
    """The names of the columns as the rows need them.

    Attributes
    ----------
    names : list of str
        The names.
    note : str
        What was corrected; empty for nothing.
    spare : int or None
        Index of a column that the header lacks: the last one, which has to be empty, or the first
        one, of the numbers of the rows.
    """

    names: list[str]
    note: str
    spare: int | None


def corrected_names(
    names: Sequence[str], rows: Sequence[Sequence[str]], columns: Sequence[str]
) -> CorrectedNames:
    """Return the names of the columns as the rows need them.

    Parameters
    ----------
    names : sequence of str
        The cells of the header.
    rows : sequence of sequence of str
        The first rows after it.
    columns : sequence of str
        The required columns.
    """
    corrected, note, spare = list(names), "", None
    widths = {len(row) for row in rows}
    if len(names) > 1 and widths == {len(names) + 1}:
        if all(not row[-1].strip() for row in rows):
            spare = len(names)
            corrected = [*names, distinct_names([*names, ""])[-1]]
            note = "each row ends with a delimiter, which the header lacks"
        elif len(rows) > 1 and all(row[0] == str(n) for n, row in enumerate(rows, 1)):
            spare = 0
            corrected = [distinct_names([*names, ""])[-1], *names]
            note = "the numbers of the rows are not counted as a column, as the header has none"
    elif len(names) > 1 and not names[-1].strip() and widths == {len(names) - 1}:
        corrected, note = list(names[:-1]), "the header ends with a delimiter, which the rows lack"
    plain = [plain_name(name) for name in corrected]
    if not {*columns} <= {*corrected} and {*columns} <= {*plain}:
        corrected = plain  # a header such as `text, label`
    return CorrectedNames(corrected, note, spare)


def skip_blank_row(row: Any) -> str:
    """Return whether pyarrow shall skip a row of a wrong length: it has nothing but blanks."""
    return "error" if row.text.strip(BLANK) else "skip"


def names_without_header(path: Path, number: int, options: FileOptions) -> list[str]:
    """Return the names of a file without header: `data.columns`, else numbers from 1.

    Raises
    ------
    DataError
        `data.columns` has another number of names than the file has columns.
    """
    if options.columns is None:
        return [str(index) for index in range(1, number + 1)]
    if len(options.columns) != number:
        raise DataError(
            f"{path} has {number} columns in its first row, but data.columns has "
            f"{len(options.columns)} names.\nName every column, or remove data.columns and use "
            "column numbers."
        )
    return list(options.columns)
