"""Faults of csv and tsv files that a parser accepts without an error."""

import mmap
import re
from pathlib import Path

from nlp_rnn.errors import DataError

__all__ = ["reject_unpaired_quotes"]


def reject_unpaired_quotes(plain: Path, path: Path, delimiter: str, lines: int) -> None:
    """Raise `DataError` where characters follow the quote that ends a cell of several lines.

    Parsers accept it, but then a quote at the beginning of a cell, such as `"open the door,pos`,
    has swallowed the rows up to the next one.

    Parameters
    ----------
    plain : Path
        The file, uncompressed and in UTF-8.
    path : Path
        The file as the user named it, for the message.
    delimiter : str
        The character between two cells.
    lines : int
        The number of rows that were read, the header included. A file with no more line ends has
        no cell of several lines, and is not searched.
    """
    mark = re.escape(delimiter.encode())
    # a quoted cell, wherever one can begin, and the character after it
    cell = re.compile(
        rb'(?:\A(?:\xef\xbb\xbf)?|[\n\r%s])"([^"]*(?:""[^"]*)*)" *([^\r\n%s]?)' % (mark, mark)
    )
    with plain.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if _line_ends(content) <= lines:
            return
        for match in cell.finditer(content):
            if match[2] and b"\n" in match[1]:
                line = content[: match.start(1)].count(b"\n") + 1
                start = match[1].split(b"\n")[0].decode("utf-8", "replace").strip()
                raise DataError(
                    f'{path}: a quote in line {line} is not closed in this line: "{start[:40]}\n'
                    "If quotes have no meaning in the file, set data.quoting=false; otherwise "
                    "close the quote, or double it if it belongs to the text."
                )


def _line_ends(content: mmap.mmap) -> int:
    """Return the number of line ends, without reading the file into memory at once."""
    count = 0
    for start in range(0, len(content), 1 << 24):
        count += content[start : start + (1 << 24)].count(b"\n")
    return count
