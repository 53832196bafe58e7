"""Memory-mapped rows become batches, read one after the other, and their memory is given back.

What was read of a mapped file counts as memory of the process until the system wants it back or
it is told that nobody needs it: without the latter the process seems to grow with its data.
"""

import ctypes
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow
    from datasets import Dataset

__all__ = ["AT_ONCE", "arrow_batches", "forget_pages", "mapped_files", "texts_of"]

AT_ONCE = 64 << 20
"""Bytes of mapped files that are read before their memory is given back."""

_BATCH = 1000  # rows
_DONTNEED = 4  # of madvise, on Linux


def arrow_batches(dataset: "Dataset") -> "Iterator[pyarrow.Table]":
    """The rows in their order, a thousand at a time; what was read before is given back."""
    files, read = mapped_files(dataset), 0
    for table in dataset.with_format("arrow").iter(_BATCH):
        yield table
        read += table.nbytes
        if read >= AT_ONCE:
            forget_pages(files)
            read = 0


def texts_of(dataset: "Dataset") -> Iterator[str]:
    """The column `text`, one after the other."""
    for table in arrow_batches(dataset.select_columns("text")):
        yield from table.column("text").to_pylist()


def mapped_files(dataset: "Dataset") -> frozenset[str]:
    """The files that `dataset` reads in place."""
    return frozenset(os.path.realpath(file["filename"]) for file in dataset.cache_files)


def forget_pages(files: Iterable[str]) -> None:
    """Give back the memory of mapped `files`; what is read again comes from the file again.

    Only ranges that the system itself says are these files, and that nobody can write, so that
    nothing else can be lost. Does nothing where there is no /proc.
    """
    wanted = set(files)
    with suppress(OSError):
        for line in Path("/proc/self/maps").read_text(errors="replace").splitlines():
            span, mode, _, _, _, *path = line.split(maxsplit=5)
            if path and path[0] in wanted and "w" not in mode:
                start, end = (int(number, 16) for number in span.split("-"))
                _libc().madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _DONTNEED)


@cache
def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)
