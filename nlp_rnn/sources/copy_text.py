r"""Tables as PostgreSQL (`COPY`) and MySQL write them as text: `\N` for null, backslash escapes.

Their cells are separated by tabs and have no quotes; `\t`, `\n` and `\\` stand for a tab, a line
end and a backslash.
"""

import mmap
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow

__all__ = ["NULL", "has_nulls", "unescaped"]

NULL = r"\N"
"""The cell that stands for null."""

_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_SIGNS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def has_nulls(plain: Path) -> bool:
    r"""Return whether a file has a cell `\N` between tabs or line ends."""
    with plain.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        position = content.find(rb"\N")
        while position >= 0:
            before, after = (
                content[max(0, position - 1) : position],
                content[position + 2 : position + 3],
            )
            if before in (b"", b"\t", b"\n") and after in (b"", b"\t", b"\r", b"\n"):
                return True
            position = content.find(rb"\N", position + 2)
    return False


def unescaped(batch: "pyarrow.RecordBatch") -> "pyarrow.RecordBatch":
    """Return strings without the backslashes that escape other characters."""
    import pyarrow
    import pyarrow.compute as pc

    columns = []
    for column in batch.columns:
        if pc.any(pc.match_substring(column, "\\")).as_py():
            cells = [cell and _ESCAPE.sub(_sign, cell) for cell in column.to_pylist()]
            column = pyarrow.array(cells, column.type)
        columns.append(column)
    return pyarrow.RecordBatch.from_arrays(columns, schema=batch.schema)


def _sign(match: re.Match[str]) -> str:
    return _SIGNS.get(match[1], match[1])
