"""Arrow files in the cache: written once per key, and read memory-mapped in little memory.

Pages of a mapped file that were read count as memory of the process until the system needs the
memory, or until they are released. Without `release_pages` a process seems to grow with its data.
"""

import ctypes
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.caches import datasets_cache

if TYPE_CHECKING:
    import pyarrow
    from datasets import Dataset

__all__ = [
    "RELEASE_AFTER",
    "arrow_batches",
    "cached_file",
    "file_key",
    "mapped_files",
    "release_pages",
    "texts_of",
    "write_arrow",
    "write_arrow_file",
    "write_rows",
]

RELEASE_AFTER = 64 << 20
"""Bytes of mapped files that are read before their pages are released."""

_BATCH = 1000  # rows
_DONTNEED = 4  # MADV_DONTNEED of madvise, on Linux


def write_arrow(
    key: Iterable[object], schema: "pyarrow.Schema", batches: "Iterable[pyarrow.RecordBatch]"
) -> "Dataset":
    """Write `batches` to the cache and return their rows, memory-mapped.

    Parameters
    ----------
    key : iterable
        What determines the rows, as values that JSON can represent. If the cache has a file for
        this key, it is returned, and `batches` is not iterated over.
    schema : pyarrow.Schema
        The schema of the batches.
    batches : iterable of pyarrow.RecordBatch
        The rows.
    """
    return write_arrow_file(_cache_path(key, ".arrow"), schema, batches)


def write_arrow_file(
    path: Path, schema: "pyarrow.Schema", batches: "Iterable[pyarrow.RecordBatch]"
) -> "Dataset":
    """Write `batches` to the file `path` unless it exists; return its rows, memory-mapped."""
    import datasets
    import pyarrow

    def write(path: Path) -> None:
        with path.open("wb") as file, pyarrow.ipc.new_stream(file, schema) as writer:
            for batch in batches:
                writer.write_batch(batch)

    return datasets.Dataset.from_file(str(_write_once(path, write)))


def write_rows(
    key: Iterable[object], columns: Sequence[str], rows: Iterable[Mapping[str, str | None]]
) -> "Dataset":
    """Write `rows` of strings with the named columns to the cache, as `write_arrow` does."""
    import pyarrow

    schema = pyarrow.schema([(name, pyarrow.string()) for name in columns])

    def batches() -> "Iterator[pyarrow.RecordBatch]":
        remaining = iter(rows)
        while batch := list(islice(remaining, _BATCH)):
            yield pyarrow.RecordBatch.from_pylist(batch, schema=schema)

    return write_arrow(key, schema, batches())


def cached_file(key: Iterable[object], suffix: str, write: Callable[[Path], None]) -> Path:
    """Return the cached file for `key`; if there is none, `write` creates it.

    Guarantee: a file is in the cache only if `write` completed it.
    """
    return _write_once(_cache_path(key, suffix), write)


def _cache_path(key: Iterable[object], suffix: str) -> Path:
    return datasets_cache() / (
        hashlib.sha256(json.dumps(list(key)).encode()).hexdigest()[:32] + suffix
    )


def _write_once(path: Path, write: Callable[[Path], None]) -> Path:
    """Return `path`; if it does not exist, write it through a temporary file."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
        os.close(descriptor)
        try:
            write(Path(temporary))
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    return path


def file_key(path: Path) -> tuple[object, ...]:
    """Return what identifies the content of a file: its path, size and modification time."""
    stat = path.stat()
    return (str(path.resolve()), stat.st_size, stat.st_mtime_ns)


def arrow_batches(dataset: "Dataset") -> "Iterator[pyarrow.Table]":
    """Yield the rows in order, a thousand at a time, and release the pages that were read."""
    files, read = mapped_files(dataset), 0
    for table in dataset.with_format("arrow").iter(_BATCH):
        yield table
        read += table.nbytes
        if read >= RELEASE_AFTER:
            release_pages(files)
            read = 0


def texts_of(dataset: "Dataset") -> Iterator[str]:
    """Yield the values of the column `text`."""
    for table in arrow_batches(dataset.select_columns("text")):
        yield from table.column("text").to_pylist()


def mapped_files(dataset: "Dataset") -> frozenset[str]:
    """Return the paths of the files that `dataset` maps into memory."""
    return frozenset(os.path.realpath(file["filename"]) for file in dataset.cache_files)


def release_pages(files: Iterable[str]) -> None:
    """Release the memory of mapped `files`; pages that are used again are read from disk again.

    Only read-only ranges that the system lists for these files are released, so that no data can
    be lost. Without /proc nothing is done.
    """
    mapped = set(files)
    with suppress(OSError):
        for line in Path("/proc/self/maps").read_text(errors="replace").splitlines():
            span, mode, _, _, _, *path = line.split(maxsplit=5)
            if path and path[0] in mapped and "w" not in mode:
                start, end = (int(number, 16) for number in span.split("-"))
                _libc().madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _DONTNEED)


@cache
def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)
