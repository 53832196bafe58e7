"""A file of word vectors (GloVe, fastText, word2vec) becomes words, each with its numbers."""

import gzip
import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.errors import ConfigError, DataError
from nlp_rnn.sources.columns import listed

__all__ = ["VectorFile", "open_vector_file"]

_FASTTEXT_MODEL = struct.pack("<i", 793712314)
_LONGEST_LINE = 1 << 20  # bytes of a first line
_CHUNK = 1 << 22  # bytes of a binary file read together
_DAMAGED = (OSError, EOFError, zlib.error, zipfile.BadZipFile, RuntimeError, NotImplementedError)


@dataclass(frozen=True)
class VectorFile:
    """Vectors of `size` numbers; `member` is a file within a zip, `words` what a header promises.

    `binary`: each word, a blank, and `size` float32 in little-endian order (word2vec's `.bin`).
    Otherwise a line for each word, numbers written out, after a header line or none.
    """

    path: Path
    member: str | None
    binary: bool
    size: int
    words: int | None

    def entries(self) -> Iterator[tuple[str | None, bytes]]:
        """Every word with its numbers as they are written, for `numbers`; None for a broken line.

        Raises:
            DataError: the file ends before its time or cannot be unpacked.
        """
        try:
            with _opened(self.path, self.member) as stream:
                if self.words is not None:
                    stream.readline(_LONGEST_LINE)
                yield from self._binary(stream) if self.binary else self._lines(stream)
        except _DAMAGED as error:
            raise DataError(_damaged(self.path, error)) from error

    def numbers(self, written: bytes) -> NDArray[np.float32] | None:
        """The vector, float32 (`size`,); None if these are no finite numbers."""
        try:
            if self.binary:
                vector = np.frombuffer(written, "<f4").astype(np.float32)
            else:
                vector = np.array(written.split(), dtype=np.float32)
        except ValueError:
            return None
        return vector if len(vector) == self.size and np.isfinite(vector).all() else None

    def _lines(self, stream: IO[bytes]) -> Iterator[tuple[str | None, bytes]]:
        for line in stream:
            line = line.replace(b"\t", b" ").rstrip(b" \r\n")
            blanks = line.count(b" ")
            if blanks == self.size:
                word, _, written = line.partition(b" ")
            elif blanks > self.size:  # GloVe has words with blanks in them
                word = line.rsplit(None, self.size)[0]
                written = line[len(word) :]
            else:
                yield None, line
                continue
            yield _decoded(word), written

    def _binary(self, stream: IO[bytes]) -> Iterator[tuple[str | None, bytes]]:
        width, rest, at = 4 * self.size, b"", 0
        for _ in range(self.words or 0):
            while (end := rest.find(b" ", at)) < 0 or len(rest) < end + 1 + width:
                if not (more := stream.read(_CHUNK)):
                    return
                rest, at = rest[at:] + more, 0
            yield _decoded(rest[at:end].lstrip(b"\n")), rest[end + 1 : end + 1 + width]
            at = end + 1 + width


def open_vector_file(path: Path, size: int) -> VectorFile:
    """The vectors of `path` if they have `size` numbers; of a zip, the file within that has them.

    Raises:
        ConfigError: there is no such file, or its vectors have another size.
        DataError: it holds no vectors, or is damaged.
    """
    if not path.is_file():
        raise ConfigError(f"There is no file {path}. Type model.vectors=FILE, or leave it out.")
    try:
        members: list[str | None] = [None]
        if path.suffix.lower() == ".zip":
            with zipfile.ZipFile(path) as archive:
                members = [entry.filename for entry in archive.infolist() if not entry.is_dir()]
        found = [_looked_at(path, member) for member in members]
    except _DAMAGED as error:
        raise DataError(_damaged(path, error)) from error
    fitting = [file for file in found if file.size == size]
    if not fitting:
        sizes = sorted({file.size for file in found})
        raise ConfigError(
            f"{path} has vectors of {' or '.join(map(str, sizes)) or 'no'} numbers, but "
            f"model.embedding_size={size}. "
            + (f"Type model.embedding_size={sizes[0]}." if sizes else "Give another file.")
        )
    if len(fitting) > 1:
        raise ConfigError(
            f"{path} holds several files with {size} numbers a word: "
            f"{listed(str(file.member) for file in fitting)}. Unpack it and give one of them."
        )
    return fitting[0]


def _looked_at(path: Path, member: str | None) -> VectorFile:
    """What the first line of a file says of it."""
    where = path if member is None else f"{path} ({member})"
    name = Path(member or path)
    if name.suffix.lower() == ".gz":
        name = name.with_suffix("")
    binary = name.suffix.lower() == ".bin"
    with _opened(path, member) as stream:
        line = stream.readline(_LONGEST_LINE)
    if line.startswith(_FASTTEXT_MODEL):
        raise DataError(
            f"{where} is a whole model of fastText, not word vectors. Give its .vec file."
        )
    words = line.split()
    size, promised = len(words) - 1, None
    if len(words) == 2 and all(word.isdigit() for word in words):
        promised, size = int(words[0]), int(words[1])
    if size < 1 or (promised is None and (binary or not _is_number(words[-1]))):
        raise DataError(
            f"{where} is no file of word vectors: its first line is {_shown(line)}. Give a file "
            "of GloVe or fastText (a word and its numbers a line), or word2vec's .bin."
        )
    return VectorFile(path, member, binary, size, promised)


@contextmanager
def _opened(path: Path, member: str | None) -> Iterator[IO[bytes]]:
    """The bytes of `path` or of a file in it, unpacked as they are read; nothing is written."""
    if member is not None:
        with zipfile.ZipFile(path) as archive, archive.open(member) as stream:
            yield io.BufferedReader(stream, _CHUNK)  # type: ignore[type-var]
    elif path.suffix.lower() == ".gz":
        with gzip.open(path, "rb") as stream:
            yield io.BufferedReader(stream, _CHUNK)
    else:
        with path.open("rb", buffering=_CHUNK) as stream:
            yield stream


def _decoded(word: bytes) -> str | None:
    try:
        return word.decode()
    except UnicodeDecodeError:
        return None


def _is_number(word: bytes) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _shown(line: bytes) -> str:
    return repr(line[:40].decode("utf-8", "replace").rstrip("\n")) if line else "not there"


def _damaged(path: Path, error: BaseException) -> str:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
    return f"{path} is damaged or cannot be unpacked: {reason}. Fetch it again."
