"""Decompression and decoding: a plain copy of a file, text as UTF-8, in the cache."""

import codecs
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from nlp_rnn.errors import DataError
from nlp_rnn.sources.arrow_cache import cached_file, file_key
from nlp_rnn.sources.content import HEAD, compression_by_content
from nlp_rnn.sources.encoding_advice import encoding_advice
from nlp_rnn.sources.encoding_detection import CHUNK, decodes, evident_encoding, hidden_encoding

__all__ = ["bad_encoding", "encoding_of", "head_of", "plain_file", "reject_hidden_encoding"]


def head_of(path: Path, compression: str | None) -> bytes:
    """Return the first bytes of a file, decompressed; empty if it cannot be decompressed."""
    try:
        with _opened(path, compression) as source:
            head: bytes = source.read(HEAD)
            return head
    except OSError:
        if compression is None:
            raise
        return b""  # `plain_file` raises the error


def encoding_of(path: Path, compression: str | None, encoding: str) -> tuple[str, str]:
    """Return the encoding of a text file, and a note; see `evident_encoding`."""
    try:
        return evident_encoding(_chunks_of(path, compression), encoding)
    except OSError:
        if compression is None:
            raise
        return encoding, ""  # `plain_file` raises the error


def plain_file(path: Path, compression: str | None, encoding: str | None) -> Path:
    """Return an uncompressed copy of a file, text decoded and written as UTF-8.

    Parameters
    ----------
    path : Path
        The file. It is returned itself if there is nothing to do.
    compression : {"gzip", "zstd"} or None
        Its compression.
    encoding : str or None
        Its encoding, as Python names it; None for a file that is not text.

    Raises
    ------
    DataError
        The file cannot be decompressed, or it is not in the encoding (the message names the row
        and the byte).
    """
    copies_bytes = encoding is None or codecs.lookup(encoding).name == "utf-8"
    if compression is None and copies_bytes:
        return path

    def write(copy: Path) -> None:
        with _opened(path, compression) as source, copy.open("wb") as target:
            if encoding is None or copies_bytes:
                while chunk := source.read(CHUNK):
                    target.write(chunk)
            else:
                _recode(source, target, path, encoding, _chunks_of(path, compression))

    key = ("plain", *file_key(path), compression, encoding)
    try:
        return cached_file(key, ".txt", write)
    except OSError as error:
        if compression is None:
            raise
        with path.open("rb") as file:
            is_compressed = compression_by_content(file.read(4)) == compression
        raise DataError(
            f"{path} cannot be decompressed: {str(error).splitlines()[0][:200]}\n"
            "Download it again, or decompress it and set data.path to the result."
            if is_compressed
            else f"{path} cannot be decompressed: its content is not {compression}.\n"
            f"If it is not compressed, rename it to {path.stem}"
        ) from error


def _opened(path: Path, compression: str | None) -> Any:
    import pyarrow

    return pyarrow.input_stream(str(path), compression=compression)


def _chunks_of(path: Path, compression: str | None) -> Callable[[], Iterator[bytes]]:
    def chunks() -> Iterator[bytes]:
        with _opened(path, compression) as source:
            while chunk := source.read(CHUNK):
                yield chunk

    return chunks


def _recode(
    source: Any,
    target: IO[bytes],
    path: Path,
    encoding: str,
    chunks: Callable[[], Iterator[bytes]],
) -> None:
    decoder = codecs.getincrementaldecoder(encoding)()
    rows = position = 0
    ended = False
    while not ended:
        chunk = source.read(CHUNK)
        ended = not chunk
        pending = len(decoder.getstate()[0])
        try:
            text = decoder.decode(chunk, final=ended)
        except UnicodeDecodeError as error:
            good = error.object[: error.start].decode(encoding, "replace")
            row = rows + good.count("\n") + 1
            raise DataError(
                f"{path} is not {encoding}: row {row}, byte {position - pending + error.start + 1} "
                f"of the file is 0x{error.object[error.start]:02X}.\n{_advice(chunks)}"
            ) from error
        except UnicodeError as error:  # such as UTF-16 without a byte order mark
            raise DataError(f"{path} is not {encoding}: {error}.\n{_advice(chunks)}") from error
        rows += text.count("\n")
        position += len(chunk)
        target.write(text.encode("utf-8", "replace"))


def _advice(chunks: Callable[[], Iterator[bytes]]) -> str:
    if decodes(chunks, "utf-8"):
        return "It is UTF-8: remove data.encoding."
    return encoding_advice(chunks)


def reject_hidden_encoding(plain: Path, path: Path) -> None:
    """Raise `DataError` for text in another encoding whose bytes are valid UTF-8."""
    if encoding := hidden_encoding(_chunks_of(plain, None)):
        raise DataError(
            f"{path} is not UTF-8: it looks like {encoding}.\nSet data.encoding={encoding}"
        )


def bad_encoding(plain: Path, path: Path) -> str | None:
    """Return a message about the first byte of `plain` that is not UTF-8; None if all are.

    The message names `path`, the file of which `plain` is a copy, and the likely encoding.
    """
    with plain.open("rb") as lines:
        for row, line in enumerate(lines, 1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                return (
                    f"{path} is not UTF-8: row {row}, byte {error.start + 1} of it is "
                    f"0x{line[error.start]:02X}.\n{encoding_advice(_chunks_of(plain, None))}"
                )
    return None
