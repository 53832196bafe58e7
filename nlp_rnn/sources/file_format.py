"""The name of a file and the options about its form become the way to read it."""

import codecs
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from nlp_rnn.errors import DataError

__all__ = [
    "BY_NAME",
    "KINDS",
    "FileForm",
    "delimiter_character",
    "kind_of",
    "plain_stem",
    "refuse_unused",
]

KINDS = ("parquet", "csv", "tsv", "json", "jsonl", "arrow", "lines", "fasttext")
"""The forms a file can have, in the order of messages."""

_ENDINGS = {f".{kind}": kind for kind in KINDS[:6]} | {".ndjson": "jsonl", ".label": "lines"}
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
_TEXT_KINDS = ("csv", "tsv", "json", "jsonl", "lines", "fasttext", "folder")
_DELIMITERS = {"tab": "\t", "\\t": "\t", "space": " ", "comma": ",", "semicolon": ";"}


@dataclass(frozen=True)
class FileForm:
    """The form of files as options say it; `format` None goes by the name of each file.

    `columns` are the names of a csv file without `header`; `delimiter` None is that of the format.
    `several` says that a line of fastText may have any number of labels.
    """

    format: str | None = None
    header: bool = True
    columns: tuple[str, ...] | None = None
    delimiter: str | None = None
    quoting: bool = True
    encoding: str = "utf-8"
    several: bool = False

    @property
    def is_utf8(self) -> bool:
        """Whether the encoding is UTF-8, by whatever name."""
        return codecs.lookup(self.encoding).name == "utf-8"


BY_NAME = FileForm()
"""Every file is what its name says, plainly written."""


def kind_of(path: Path, form: FileForm) -> tuple[str | None, str | None]:
    """The kind of a file, None if it is unknown, and its compression (`gzip`, `zstd`, None)."""
    compression = COMPRESSIONS.get(path.suffix.lower())
    name = path.with_suffix("") if compression else path
    return form.format or _ENDINGS.get(name.suffix.lower()), compression


def plain_stem(path: Path) -> str:
    """The name without the endings of kind and compression: `train` of `train.csv.gz`."""
    return (path.with_suffix("") if path.suffix.lower() in COMPRESSIONS else path).stem


def delimiter_character(word: str | None, default: str) -> str:
    """The one character that an option's word means: `;`, `tab`, `space`."""
    return default if word is None else _DELIMITERS.get(word, word)


def refuse_unused(form: FileForm, kinds: Iterable[str], where: str) -> None:
    """Raise `DataError` for an option about the form of text files that none of `kinds` heeds."""
    found = set(kinds)
    for option, given, heeding in (
        ("header=false", not form.header, ("csv", "tsv")),
        ("columns", form.columns is not None, ("csv", "tsv")),
        ("quoting=false", not form.quoting, ("csv", "tsv")),
        ("delimiter", form.delimiter is not None, ("csv", "tsv", "lines")),
        ("encoding", not form.is_utf8, _TEXT_KINDS),
    ):
        if given and not found & set(heeding):
            raise DataError(
                f"data.{option} says nothing about {where} ({', '.join(sorted(found))}): "
                f"it is for {', '.join(heeding)}.\nLeave it out."
            )
