"""Recognition of what a file contains by its first bytes, where its name says something else."""

import json
import re
import zipfile
from contextlib import suppress
from pathlib import Path

from nlp_rnn.errors import DataError

__all__ = ["HEAD", "binary_kind", "check_content", "compression_by_content"]

HEAD = 4096
"""The number of bytes by which content is recognized."""

_COMPRESSIONS = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}

_UNPACK = "Unpack it, and set data.path to a file or folder from it."
_EXPORT = "Save its sheet as csv (in Excel: CSV UTF-8), and set data.path to that file."
_CONVERT = "Export its rows as csv, jsonl or parquet, and set data.path to that file."
_REMOVE = "Remove it, or set data.path to a file with texts and labels."
_SIGNATURES = (
    (b"PK\x03\x04", "a zip archive", _UNPACK),
    (b"PK\x05\x06", "an empty zip archive", _UNPACK),
    (
        b"BZh91AY&SY",
        "compressed with bzip2",
        "Decompress it (bunzip2), and set data.path to the result.",
    ),
    (b"\xfd7zXZ\0", "compressed with xz", "Decompress it (unxz), and set data.path to the result."),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (b"Rar!\x1a", "a rar archive", _UNPACK),
    (b"\xd0\xcf\x11\xe0", "a document of old versions of Microsoft Office", _EXPORT),
    (b"SQLite format 3\0", "an SQLite database", _CONVERT),
    (b"\x89HDF\r\n", "an HDF5 file", _CONVERT),
    (b"\x93NUMPY", "a NumPy array", _CONVERT),
    (b"\x80\x04\x95", "a pickle", _CONVERT),
    (b"\x80\x05\x95", "a pickle", _CONVERT),
    (b"Obj\x01", "an Avro file", _CONVERT),
    (b"ORC", "an ORC file", _CONVERT),
    (b"%PDF-", "a PDF document", _REMOVE),
    (b"\x89PNG\r\n", "a PNG image", _REMOVE),
    (b"\xff\xd8\xff", "a JPEG image", _REMOVE),
    (b"GIF8", "a GIF image", _REMOVE),
    (b"\x7fELF", "a program", _REMOVE),
)
_FORMATS = {b"PAR1": "parquet", b"ARROW1": "arrow"}
_SPREADSHEETS = ("xl/workbook.xml", "content.xml")
_MARKUP = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype|html|\?xml|head|body|table)\b", re.IGNORECASE
)
_POINTER = b"version https://git-lfs.github.com/spec/"


def compression_by_content(head: bytes) -> str | None:
    """Return the compression of a file by its first bytes: `gzip`, `zstd` or None."""
    return next((name for magic, name in _COMPRESSIONS.items() if head.startswith(magic)), None)


def binary_kind(head: bytes, path: Path) -> tuple[str, str] | None:
    """Return what a file is that no format can read, and how to read it; None for others."""
    if head.startswith(b"PK\x03\x04"):
        with suppress(OSError, zipfile.BadZipFile), zipfile.ZipFile(path) as archive:
            if any(name in archive.namelist() for name in _SPREADSHEETS):
                return "a spreadsheet", _EXPORT
    for signature, kind, remedy in _SIGNATURES:
        # letters alone, such as `ORC`, can begin a text
        if head.startswith(signature) and (not signature.isalnum() or b"\0" in head):
            return kind, remedy
    if head[257:262] == b"ustar":
        return "a tar archive", _UNPACK
    return None


def check_content(head: bytes, path: Path, format_name: str, is_text: bool) -> None:
    """Raise `DataError` if a file plainly contains something else than its format.

    Parameters
    ----------
    head : bytes
        Its first `HEAD` bytes, decompressed.
    path : Path
        The file, for messages.
    format_name : str
        Name of the format in which it is to be read.
    is_text : bool
        Whether the format is text.

    Raises
    ------
    DataError
        The file is an image, an archive, a web page, in another format, or not downloaded.
    """
    known = binary_kind(head, path)
    is_damaged = head.startswith(b"PK\x03\x04") and not zipfile.is_zipfile(path)
    if format_name == "excel" and (known is None or known[1] == _EXPORT or is_damaged):
        return  # its reader reports what it cannot open
    if known:
        raise DataError(f"{path} is {known[0]}, not {format_name}.\n{known[1]}")
    if compression := compression_by_content(head):
        raise DataError(
            f"{path} is compressed twice: its content is {compression} again.\n"
            "Decompress it once, and set data.path to the result."
        )
    if head.startswith(_POINTER):
        raise DataError(
            f"{path} is a pointer of Git LFS, not the file itself.\n"
            "Download the file: run git lfs pull in the clone."
        )
    if _MARKUP.match(head):
        raise DataError(
            f"{path} is a web page or XML, not {format_name}: {_first_line(head)!r}.\n"
            "Download the file itself (on GitHub: Raw), or export its rows as csv or jsonl."
        )
    actual = next(
        (name for magic, name in _FORMATS.items() if head.startswith(magic) and b"\0" in head), None
    )
    if actual is None and (is_text or b"\0" not in head):
        actual = _text_format(head, format_name)
    if actual is not None and actual != format_name:
        raise DataError(
            f"{path} is not {format_name}: its content is {actual}, {_first_line(head)!r}.\n"
            f"Set data.format={actual}, or rename the file."
        )


def _first_line(head: bytes) -> str:
    return head.lstrip().split(b"\n")[0].decode("utf-8", "replace").strip()[:40]


def _is_json(line: str) -> bool:
    with suppress(ValueError):
        json.loads(line)
        return True
    return False


def _text_format(head: bytes, format_name: str) -> str | None:
    """Return the format of text in a file of another format; None if it can be `format_name`."""
    text = head.decode("utf-8", "ignore").removeprefix("\ufeff").lstrip()
    is_json = format_name in ("json", "jsonl")
    if text.startswith("{") and not is_json and format_name in ("csv", "tsv", "parquet", "arrow"):
        line = text.split("\n")[0]
        with suppress(ValueError):
            return "jsonl" if isinstance(json.loads(line), dict) else None
        return "json" if re.match(r'\{\s*"[^"\n]*"\s*:', text) else None
    if re.match(r"\[\s*\{\s*\"", text) and not is_json:
        return "json" if format_name in ("csv", "tsv", "parquet", "arrow") else None
    if format_name in ("parquet", "arrow") or (
        is_json and re.match(r'(?!null|true|false|nan|-?inf)["\w]', text, re.IGNORECASE)
    ):
        line = text.split("\n")[0]
        if is_json and (_is_json(line) or re.search(r'\{\s*"', line)):
            return None  # strings, or records with something before them
        return next(
            (name for mark, name in (("\t", "tsv"), (",", "csv"), (";", "csv")) if mark in line),
            None,
        )
    return None
