"""Cache of the vectors of texts: files of a few thousand vectors each, by model and text.

A file is written as soon as its vectors have been computed, so that an interrupted run resumes
after the last one.
"""

import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from nlp_rnn.caches import cache_dir
from nlp_rnn.teachers.teacher_predictions import FloatArray

__all__ = ["VectorCache"]

KEY_BYTES = 16


class VectorCache:
    """Vectors of texts by one model, on disk.

    Parameters
    ----------
    digest : str
        Hash of the model and of everything else that its vectors depend on.
    """

    def __init__(self, digest: str) -> None:
        self._folder = cache_dir() / "vectors" / digest
        self._place: dict[bytes, tuple[Path, int]] = {}
        for path in sorted(self._folder.glob("*.npz")):
            with suppress(OSError, ValueError, KeyError, EOFError, BadZipFile):
                with np.load(path) as saved:
                    keys = saved["keys"].tobytes()
                for row in range(len(keys) // KEY_BYTES):
                    self._place[keys[row * KEY_BYTES : (row + 1) * KEY_BYTES]] = (path, row)

    def missing(self, texts: Sequence[str]) -> list[int]:
        """Return the indices of the texts that have no vector yet; of equal texts only one."""
        missing: dict[bytes, int] = {}
        for index, text in enumerate(texts):
            key = _key(text)
            if key not in self._place:
                missing.setdefault(key, index)
        return list(missing.values())

    def read(self, texts: Sequence[str]) -> FloatArray:
        """Return the vectors of n texts, float32 (n, D); each of them must be there."""
        by_file: dict[Path, tuple[list[int], list[int]]] = {}
        for index, text in enumerate(texts):
            path, row = self._place[_key(text)]
            here, there = by_file.setdefault(path, ([], []))
            here.append(index)
            there.append(row)
        vectors = np.empty((0, 0), np.float32)
        for path, (here, there) in by_file.items():
            with np.load(path) as saved:
                values = saved["vectors"]
            if not len(vectors):
                vectors = np.empty((len(texts), values.shape[1]), np.float32)
            vectors[here] = values[there]
        return vectors

    def add(self, texts: Sequence[str], vectors: FloatArray) -> None:
        """Write the vectors of texts as one more file, atomically."""
        keys = b"".join(map(_key, texts))
        path = self._folder / f"{hashlib.blake2b(keys, digest_size=12).hexdigest()}.npz"
        self._folder.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            with unfinished.open("wb") as file:
                np.savez(
                    file,
                    keys=np.frombuffer(keys, np.uint8).reshape(-1, KEY_BYTES),
                    vectors=np.asarray(vectors, np.float32),
                )
            os.replace(unfinished, path)
        finally:
            unfinished.unlink(missing_ok=True)
        for row, text in enumerate(texts):
            self._place[_key(text)] = (path, row)


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=KEY_BYTES).digest()
