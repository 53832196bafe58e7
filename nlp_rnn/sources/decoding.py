"""Decompression and decoding: a plain copy of a file, text as UTF-8, in the cache."""

import codecs
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from nlp_rnn.errors import DataError
from nlp_rnn.sources.arrow_cache import cached_file, file_key
from nlp_rnn.sources.encoding_detection import (
    decodes,
    encoding_advice,
    likely_encoding,
    marked_encoding,
)

__all__ = ["bad_encoding", "encoding_of", "is_utf8", "plain_file", "reject_utf16"]

_CHUNK = 1 << 20  # bytes decoded together
_MAGIC = {"gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd"}


def encoding_of(path: Path, compression: str | None, encoding: str) -> str:
    """Return the encoding of a text file: by its byte order mark, UTF-8 if it is, or `encoding`."""
    try:
        with _opened(path, compression) as source:
            if marked := marked_encoding(source.read(4)):
                return marked
        is_other = codecs.lookup(encoding).name != "utf-8"
        return "utf-8" if is_other and is_utf8(_chunks_of(path, compression)) else encoding
    except OSError:
        if compression is None:
            raise
        return encoding  # `plain_file` raises the error


def is_utf8(chunks: Callable[[], Iterator[bytes]]) -> bool:
    """Return whether text is UTF-8 beyond doubt: valid, with characters other than those of ASCII.

    Two Chinese characters in GBK can look like UTF-8, three hardly.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    number = 0
    try:
        for chunk in chunks():
            text = decoder.decode(chunk)
            number += 0 if text.isascii() else sum(character > "\x7f" for character in text)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return number > 2


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
                while chunk := source.read(_CHUNK):
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
            is_compressed = file.read(4).startswith(_MAGIC[compression])
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
            while chunk := source.read(_CHUNK):
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
        chunk = source.read(_CHUNK)
        ended = not chunk
        pending = len(decoder.getstate()[0])
        try:
            text = decoder.decode(chunk, final=ended)
        except UnicodeDecodeError as error:
            good = error.object[: error.start].decode(encoding, "replace")
            row = rows + good.count("\n") + 1
            advice = (
                "It is UTF-8: remove data.encoding."
                if decodes(chunks, "utf-8")
                else encoding_advice(chunks)
            )
            raise DataError(
                f"{path} is not {encoding}: row {row}, byte {position - pending + error.start + 1} "
                f"of the file is 0x{error.object[error.start]:02X}.\n{advice}"
            ) from error
        except UnicodeError as error:  # UTF-16 and UTF-32 need a byte order mark
            advice = encoding_advice(chunks)
            raise DataError(f"{path} is not {encoding}: {error}.\n{advice}") from error
        rows += text.count("\n")
        position += len(chunk)
        target.write(text.encode("utf-8", "replace"))


def reject_utf16(plain: Path, path: Path) -> None:
    """Raise `DataError` for UTF-16 without a byte order mark: its English text is valid UTF-8."""
    with plain.open("rb") as file:
        head = file.read(4096)
    if b"\0" in head and (encoding := likely_encoding(lambda: [head[: len(head) // 2 * 2]])):
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
