"""Files of word vectors: GloVe, fastText (.vec) and word2vec (.bin), also in .gz and .zip."""

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
    """A file of word vectors.

    Attributes
    ----------
    path : Path
        The file.
    member : str or None
        The name of the file within a zip archive.
    binary : bool
        True for the `.bin` files of word2vec: a word, a blank, and `size` little-endian float32.
        False for text files: one line with a word and its numbers.
    size : int
        The number of dimensions.
    num_words : int or None
        The number of words according to the header, if the file has one.
    """

    path: Path
    member: str | None
    binary: bool
    size: int
    num_words: int | None

    def entries(self) -> Iterator[tuple[str | None, bytes]]:
        """Yield each word, None for a broken line, with its vector in the form of the file.

        Raises
        ------
        DataError
            The file is truncated or cannot be decompressed.
        """
        try:
            with _open(self.path, self.member) as stream:
                if self.num_words is not None:
                    stream.readline(_LONGEST_LINE)
                yield from self._binary(stream) if self.binary else self._lines(stream)
        except _DAMAGED as error:
            raise DataError(_damaged(self.path, error)) from error

    def vector(self, content: bytes) -> NDArray[np.float32] | None:
        """Parse a vector of `entries`, float32 (`size`,); None unless all numbers are finite."""
        try:
            if self.binary:
                vector = np.frombuffer(content, "<f4").astype(np.float32)
            else:
                vector = np.array(content.split(), dtype=np.float32)
        except ValueError:
            return None
        return vector if len(vector) == self.size and np.isfinite(vector).all() else None

    def _lines(self, stream: IO[bytes]) -> Iterator[tuple[str | None, bytes]]:
        for line in stream:
            line = line.replace(b"\t", b" ").rstrip(b" \r\n")
            blanks = line.count(b" ")
            if blanks == self.size:
                word, _, content = line.partition(b" ")
            elif blanks > self.size:  # some words of GloVe contain blanks
                word = line.rsplit(None, self.size)[0]
                content = line[len(word) :]
            else:
                yield None, line
                continue
            yield _decode(word), content

    def _binary(self, stream: IO[bytes]) -> Iterator[tuple[str | None, bytes]]:
        width, rest, at = 4 * self.size, b"", 0
        for _ in range(self.num_words or 0):
            while (end := rest.find(b" ", at)) < 0 or len(rest) < end + 1 + width:
                if not (more := stream.read(_CHUNK)):
                    return
                rest, at = rest[at:] + more, 0
            yield _decode(rest[at:end].lstrip(b"\n")), rest[end + 1 : end + 1 + width]
            at = end + 1 + width


def open_vector_file(path: Path, size: int) -> VectorFile:
    """Open a file of word vectors with `size` dimensions; in a zip archive, find the right file.

    Raises
    ------
    ConfigError
        There is no such file, or its vectors have another size.
    DataError
        The file does not contain word vectors, or is damaged.
    """
    if not path.is_file():
        raise ConfigError(f"There is no file {path}. Set model.vectors=FILE, or remove it.")
    try:
        members: list[str | None] = [None]
        if path.suffix.lower() == ".zip":
            with zipfile.ZipFile(path) as archive:
                members = [entry.filename for entry in archive.infolist() if not entry.is_dir()]
        files = [_inspect(path, member) for member in members]
    except _DAMAGED as error:
        raise DataError(_damaged(path, error)) from error
    fitting = [file for file in files if file.size == size]
    if not fitting:
        sizes = sorted({file.size for file in files})
        raise ConfigError(
            f"{path} has vectors of {' or '.join(map(str, sizes)) or 'no'} numbers, but "
            f"model.embedding_size={size}. "
            + (f"Set model.embedding_size={sizes[0]}." if sizes else "Set another model.vectors.")
        )
    if len(fitting) > 1:
        raise ConfigError(
            f"{path} contains several files with {size} numbers per word: "
            f"{listed(str(file.member) for file in fitting)}. Unpack it, and set model.vectors to "
            "one of them."
        )
    return fitting[0]


def _inspect(path: Path, member: str | None) -> VectorFile:
    """Recognize the form of a file by its name and first line."""
    where = path if member is None else f"{path} ({member})"
    name = Path(member or path)
    if name.suffix.lower() == ".gz":
        name = name.with_suffix("")
    binary = name.suffix.lower() == ".bin"
    with _open(path, member) as stream:
        line = stream.readline(_LONGEST_LINE)
    if line.startswith(_FASTTEXT_MODEL):
        raise DataError(
            f"{where} is a fastText model, not word vectors. Set model.vectors to its .vec file."
        )
    words = line.split()
    size, num_words = len(words) - 1, None
    if len(words) == 2 and all(word.isdigit() for word in words):
        num_words, size = int(words[0]), int(words[1])
    if size < 1 or (num_words is None and (binary or not _is_number(words[-1]))):
        raise DataError(
            f"{where} is not a file of word vectors: its first line is {_excerpt(line)}. Use GloVe "
            "or fastText files (one line per word, with its numbers) or a .bin file of word2vec."
        )
    return VectorFile(path, member, binary, size, num_words)


@contextmanager
def _open(path: Path, member: str | None) -> Iterator[IO[bytes]]:
    """Open `path`, or a file in it; it is decompressed while it is read, not on disk."""
    if member is not None:
        with zipfile.ZipFile(path) as archive, archive.open(member) as stream:
            yield io.BufferedReader(stream, _CHUNK)  # type: ignore[type-var]
    elif path.suffix.lower() == ".gz":
        with gzip.open(path, "rb") as stream:
            yield io.BufferedReader(stream, _CHUNK)
    else:
        with path.open("rb", buffering=_CHUNK) as stream:
            yield stream


def _decode(word: bytes) -> str | None:
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


def _excerpt(line: bytes) -> str:
    return repr(line[:40].decode("utf-8", "replace").rstrip("\n")) if line else "missing"


def _damaged(path: Path, error: BaseException) -> str:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
    return f"{path} is damaged or cannot be decompressed: {reason}. Download it again."
