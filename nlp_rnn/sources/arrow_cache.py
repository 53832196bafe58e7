"""Batches of rows become a memory-mapped Arrow file in the cache, written once under their key."""

import ctypes
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow
    from datasets import Dataset

__all__ = [
    "AT_ONCE",
    "arrow_batches",
    "cached_file",
    "file_key",
    "forget_pages",
    "mapped_files",
    "texts_of",
    "write_arrow",
    "write_arrow_file",
]

AT_ONCE = 64 << 20
"""Bytes of mapped files that are read before their memory is given back."""

_BATCH = 1000  # rows
_DONTNEED = 4  # of madvise, on Linux


def write_arrow(
    key: Iterable[object], schema: "pyarrow.Schema", batches: "Iterable[pyarrow.RecordBatch]"
) -> "Dataset":
    """Return the rows of `batches` as memory-mapped Arrow, kept in the cache under `key`.

    What the cache has under `key` already is not written again.
    """
    return write_arrow_file(_place(key, ".arrow"), schema, batches)


def write_arrow_file(
    path: Path, schema: "pyarrow.Schema", batches: "Iterable[pyarrow.RecordBatch]"
) -> "Dataset":
    """As `write_arrow`, in the file `path`."""
    import datasets
    import pyarrow

    def write(path: Path) -> None:
        with path.open("wb") as file, pyarrow.ipc.new_stream(file, schema) as writer:
            for batch in batches:
                writer.write_batch(batch)

    return datasets.Dataset.from_file(str(_made(path, write)))


def cached_file(key: Iterable[object], suffix: str, write: Callable[[Path], None]) -> Path:
    """The file kept in the cache under `key`; if there is none, `write` makes it, whole or not."""
    return _made(_place(key, suffix), write)


def _place(key: Iterable[object], suffix: str) -> Path:
    import datasets

    folder = Path(datasets.config.HF_DATASETS_CACHE).expanduser() / "nlp_rnn"
    return folder / (hashlib.sha256(json.dumps(list(key)).encode()).hexdigest()[:32] + suffix)


def _made(path: Path, write: Callable[[Path], None]) -> Path:
    """`path`, written by `write` if it is not there yet: whole or not at all."""
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
    """What says that a file is still the one that was read: its place, size and time."""
    stat = path.stat()
    return (str(path.resolve()), stat.st_size, stat.st_mtime_ns)


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
