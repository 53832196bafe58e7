"""Faults of csv and tsv files that a parser accepts without an error."""

import codecs
import mmap
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from nlp_rnn.errors import DataError
from nlp_rnn.sources.arrow_cache import RELEASE_AFTER
from nlp_rnn.sources.csv_advice import DOUBLE_QUOTES

__all__ = ["LineEnds", "Rows", "check_quotes", "count_line_ends", "line_end_notes"]

_SAMPLE = 1 << 20  # bytes
_SHOWN = 40  # bytes of a cell that a note shows


class Rows(NamedTuple):
    """What was read from a file, to be compared with its lines.

    Attributes
    ----------
    number : int
        The number of rows, the header included; 0 before they are read.
    width : int
        The number of cells in each row.
    label : int or None
        Index of the label column; None for several or no label columns.
    labels : collection of str
        The labels that were read.
    """

    number: int
    width: int
    label: int | None = None
    labels: Collection[str] = ()


class LineEnds(NamedTuple):
    """The line ends of a file.

    Attributes
    ----------
    number : int
        The number of line feeds.
    has_returns : bool
        Whether there are carriage returns without a line feed after them.
    has_backslashes : bool
        Whether there are backslashes before line ends.
    """

    number: int
    has_returns: bool
    has_backslashes: bool


def count_line_ends(plain: Path) -> LineEnds:
    """Return the line ends of a file, without reading it into memory at once."""
    number = returns = 0
    has_backslashes = False
    with plain.open("rb") as file:
        before = b""
        while chunk := file.read(_SAMPLE):
            number += chunk.count(b"\n")
            if all_returns := chunk.count(b"\r"):
                returns += all_returns - chunk.count(b"\r\n")
            returns -= before.endswith(b"\r") and chunk.startswith(b"\n")
            part = before[-2:] + chunk
            has_backslashes |= b"\\\n" in part or (all_returns > 0 and b"\\\r\n" in part)
            before = chunk
    return LineEnds(number, returns > 0, has_backslashes)


def line_end_notes(plain: Path, path: Path, ends: LineEnds, quoting: bool) -> list[str]:
    """Return notes on line ends within cells, at which a row is divided into two.

    Parameters
    ----------
    plain, path : Path
        As in `check_quotes`.
    ends : LineEnds
        The line ends of the file.
    quoting : bool
        Whether quotes enclose cells.
    """
    notes: list[str] = []
    kinds = (
        # a file of an old Mac has no other line ends
        (
            ends.has_returns and ends.number > 0,
            rb"\r(?![\r\n])",
            "ends with a carriage return, other rows with a line feed",
        ),
        (
            ends.has_backslashes,
            rb"(?<!\\)\\(?=\r?\n)",
            "ends with a backslash, which may escape the line end",
        ),
    )
    if not any(is_possible for is_possible, _, _ in kinds):
        return notes
    with _mapped(plain) as content:
        for is_possible, pattern, what in kinds:
            for match in _matches(content, pattern) if is_possible else ():
                line = content[content.rfind(b"\n", 0, match.start()) + 1 : match.start()]
                if not quoting or line.count(b'"') % 2 == 0:
                    row = line.split(b"\r")[-1][-_SHOWN:].decode("utf-8", "replace")
                    notes.append(
                        f"{path.name}: a row {what}: {row!r}; if the next line belongs to the same "
                        "text, enclose the text in double quotes"
                    )
                    break
    return notes


def check_quotes(plain: Path, path: Path, delimiter: str, rows: Rows, ends: LineEnds) -> list[str]:
    """Return notes on the quotes of a file, in all of its columns.

    A quote at the beginning of a cell, such as `"open the door,pos`, swallows the rows up to the
    next quote, and parsers accept it. A file that has no cell of several lines is not searched
    for it: it has as many line ends as rows.

    Parameters
    ----------
    plain : Path
        The file, uncompressed and in UTF-8.
    path : Path
        The file as the user named it, for messages.
    delimiter : str
        The character between two cells.
    rows : Rows
        What was read from it.
    ends : LineEnds
        Its line ends.

    Raises
    ------
    DataError
        A quote is not closed, or characters follow the quote that ends a cell of several lines.
    """
    swallowed = 0
    start = 0
    with _mapped(plain) as content:
        if rows.number and ends.number <= rows.number:
            start = content.rfind(b"\n", 0, len(content) - 1) + 1  # the last line
        for match in _quoted_cells(content, delimiter.encode(), start):
            is_open = match[2] is None
            if is_open or (match[2] and b"\n" in match[1]):
                line = content[: match.start(1)].count(b"\n") + 1
                begin = match[1].split(b"\n")[0].decode("utf-8", "replace").strip()
                where = "in this line" if b"\n" in match[1] else "up to the end of the file"
                escaped = b'\\"' in match[0]
                raise DataError(
                    f'{path}: a quote in line {line} is not closed {where}: "{begin[:40]}\n'
                    + (
                        f"Backslashes seem to escape its quotes. Convert it: {DOUBLE_QUOTES}"
                        if escaped
                        else "If quotes have no meaning in the file, set data.quoting=false; "
                        "otherwise close the quote, or double it if it belongs to the text."
                    )
                )
            swallowed += match[1].count(b"\n") > 1 and _has_row(match[1], delimiter, rows)
        return [*_swallowed_note(path, swallowed), *_quote_notes(content, path, delimiter)]


def _quoted_cells(content: mmap.mmap, delimiter: bytes, start: int) -> Iterator[re.Match[bytes]]:
    """Yield the quoted cells of a file from a position on, wherever one can begin.

    A match goes up to the end of the file, or to the character after the closing quote.
    """
    cell = re.compile(rb'"([^"]*(?:""[^"]*)*)(?:\Z|" *([^\r\n%s]?))' % re.escape(delimiter))
    first = len(codecs.BOM_UTF8) if content[:3] == codecs.BOM_UTF8 else 0
    position = released = max(start, first)
    while True:
        quote = content.find(b'"', position, position + RELEASE_AFTER)
        if quote < 0 and position + RELEASE_AFTER >= len(content):
            return
        if position - released >= RELEASE_AFTER:
            _release(content)
            released = position
        position = position + RELEASE_AFTER if quote < 0 else quote + 1
        before = content[max(quote - 1, first) : quote] if quote >= 0 else None
        if before in (b"", b"\n", b"\r", delimiter) and (match := cell.match(content, quote)):
            position = max(match.end(), position)
            yield match


@contextmanager
def _mapped(plain: Path) -> Iterator[mmap.mmap]:
    with plain.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        yield content


def _has_row(cell: bytes, delimiter: str, rows: Rows) -> bool:
    """Return whether a line within a cell looks like a row: as many cells, and a known label."""
    for line in cell.split(b"\n")[1:-1]:
        if line.count(delimiter.encode()) == rows.width - 1:
            cells = line.decode("utf-8", "replace").split(delimiter)
            if rows.label is None or cells[rows.label].strip().strip('"') in rows.labels:
                return True
    return False


def _swallowed_note(path: Path, number: int) -> list[str]:
    if not number:
        return []
    cells = "cell contains" if number == 1 else "cells contain"
    return [
        f"{path.name}: {number:,} {cells} what looks like whole rows, as after an unpaired quote; "
        "if quotes have no meaning in the file, set data.quoting=false"
    ]


def _quote_notes(content: mmap.mmap, path: Path, delimiter: str) -> list[str]:
    """Return notes on quotes that do not enclose a whole cell."""
    notes = []
    mark = re.escape(delimiter.encode())
    # patterns that begin with a quote or a blank and a quote are searched fast
    before = rb"|".join(rb'(?<=[%s\n]%s")' % (mark, b" " * number) for number in (1, 2, 3))
    if match := next(_matches(content, rb' "(?:%s)[^"\r\n]+"' % before), None):
        notes.append(
            f"{path.name}: there is a blank before {_shown(match[0])}, so that the quotes are part "
            "of the text; remove the blanks after the delimiters"
        )
    cell = re.compile(rb'(?:^|%s)"(?!")[^"]*(?:""[^"]*)*" *\Z' % mark)
    checked = 0
    for match in _matches(content, rb'"(?<=[^"%s\n]")(?= *[^\s"%s])' % (mark, mark)):
        if match.start() < checked:
            continue
        end, line = content.find(b"\n", match.end()), content.rfind(b"\n", 0, match.start()) + 1
        checked = end if end >= 0 else len(content)
        if cell.search(content[line : match.end()]):
            start = content.rfind(b'"', line, match.start())
            notes.append(
                f"{path.name}: quotes enclose only a part of {_shown(content[start:checked])} and "
                "are removed; if they belong to the texts, set data.quoting=false"
            )
            break
    return notes


def _matches(content: mmap.mmap, pattern: bytes) -> Iterator[re.Match[bytes]]:
    """Yield the matches of a pattern, some of them twice; little of the file is in memory."""
    compiled = re.compile(pattern)
    for start in range(0, len(content), RELEASE_AFTER):
        yield from compiled.finditer(content, start, start + RELEASE_AFTER + _SHOWN)
        _release(content)


def _release(content: mmap.mmap) -> None:
    """Free the pages of a mapped file, which count as memory of the process."""
    if len(content) > RELEASE_AFTER and hasattr(mmap, "MADV_DONTNEED"):
        content.madvise(mmap.MADV_DONTNEED)


def _shown(part: bytes) -> str:
    return part[:_SHOWN].strip().decode(errors="replace")
