"""Decompression and decoding: a plain copy of a file, text as UTF-8, in the cache."""

import codecs
from pathlib import Path
from typing import IO, Any

from nlp_rnn.errors import DataError
from nlp_rnn.sources.arrow_cache import cached_file, file_key

__all__ = ["bad_encoding", "plain_file"]

_CHUNK = 1 << 20  # bytes decoded together


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
                _recode(source, target, path, encoding)

    key = ("plain", *file_key(path), compression, encoding)
    try:
        return cached_file(key, ".txt", write)
    except OSError as error:
        if compression is None:
            raise
        raise DataError(
            f"{path} cannot be decompressed: {str(error).splitlines()[0][:200]}\n"
            "Download it again, or decompress it and set data.path to the result."
        ) from error


def _opened(path: Path, compression: str | None) -> Any:
    import pyarrow

    return pyarrow.input_stream(str(path), compression=compression)


def _recode(source: Any, target: IO[bytes], path: Path, encoding: str) -> None:
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
            raise DataError(
                f"{path} is not {encoding}: row {row}, byte {position - pending + error.start + 1} "
                f"of the file is 0x{error.object[error.start]:02X}.\n"
                "Set data.encoding to another encoding, or remove it for UTF-8."
            ) from error
        rows += text.count("\n")
        position += len(chunk)
        target.write(text.encode("utf-8", "replace"))


def bad_encoding(plain: Path, path: Path) -> str | None:
    """Return a message about the first byte of `plain` that is not UTF-8; None if all are.

    The message names `path`, the file of which `plain` is a copy.
    """
    with plain.open("rb") as lines:
        for row, line in enumerate(lines, 1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                return (
                    f"{path} is not UTF-8: row {row}, byte {error.start + 1} of it is "
                    f"0x{line[error.start]:02X}.\n"
                    "Save the file as UTF-8, or set its encoding, such as data.encoding=cp1252"
                )
    return None
