"""Batches of rows become a memory-mapped Arrow file in the cache, written once under their key."""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow
    from datasets import Dataset

__all__ = ["cached_file", "file_key", "write_arrow", "write_arrow_file"]


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
