"""A file, compressed or not, and text in any encoding becomes a plain file, text as UTF-8."""

import codecs
from pathlib import Path
from typing import IO, Any

from nlp_rnn.errors import DataError
from nlp_rnn.sources.arrow_cache import cached_file, file_key
from nlp_rnn.sources.file_format import FileForm

__all__ = ["bad_encoding", "plain_file"]

_CHUNK = 1 << 20  # bytes decoded together


def plain_file(path: Path, compression: str | None, form: FileForm) -> Path:
    """`path` itself if it is plain UTF-8 already, else a plain UTF-8 copy of it in the cache.

    Raises `DataError` naming file, row and byte where the bytes are not of the encoding.
    """
    if compression is None and form.is_utf8:
        return path

    def write(copy: Path) -> None:
        with _opened(path, compression) as source, copy.open("wb") as target:
            if form.is_utf8:
                while chunk := source.read(_CHUNK):
                    target.write(chunk)
            else:
                _recode(source, target, path, form.encoding)

    key = ("plain", *file_key(path), compression, form.encoding)
    try:
        return cached_file(key, ".txt", write)
    except OSError as error:
        if compression is None:
            raise
        raise DataError(
            f"{path} cannot be unpacked: {str(error).splitlines()[0][:200]}\n"
            "Fetch it again, or unpack it yourself and give the plain file."
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
                "Type another data.encoding, or leave it out for UTF-8."
            ) from error
        rows += text.count("\n")
        position += len(chunk)
        target.write(text.encode("utf-8", "replace"))


def bad_encoding(plain: Path, path: Path) -> str | None:
    """Say where the first byte of `plain` that is not UTF-8 stands; the message names `path`."""
    with plain.open("rb") as lines:
        for row, line in enumerate(lines, 1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                return (
                    f"{path} is not UTF-8: row {row}, byte {error.start + 1} of it is "
                    f"0x{line[error.start]:02X}.\n"
                    "Save the file as UTF-8, or name its encoding, such as data.encoding=cp1252"
                )
    return None
