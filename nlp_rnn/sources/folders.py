"""A folder for each class, with a file for each text, becomes rows, as in `train/pos/1.txt`."""

import codecs
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nlp_rnn.errors import DataError
from nlp_rnn.sources.arrow_cache import write_arrow
from nlp_rnn.sources.columns import listed, require_columns
from nlp_rnn.sources.file_format import FileForm

if TYPE_CHECKING:
    import pyarrow
    from datasets import Dataset

__all__ = ["class_folders", "read_class_folders", "read_text_folder", "text_folder"]

UNLABELLED = ("unsup", "unlabeled", "unlabelled")
"""Names of folders, as in aclImdb, whose texts have no class."""

_BATCH = 200  # texts written together


def class_folders(folder: Path) -> list[Path]:
    """The folders in `folder` that hold files, in the order of their names."""
    return [
        entry
        for entry in sorted(folder.iterdir())
        if entry.is_dir() and not entry.name.startswith(".") and _files(entry)
    ]


def _files(folder: Path) -> list[Path]:
    return sorted(
        file for file in folder.iterdir() if file.is_file() and not file.name.startswith(".")
    )


def read_class_folders(
    folder: Path, wanted: Sequence[str], form: FileForm, notes: list[str]
) -> "Dataset":
    """Read every file in the folders of `folder`: columns `text` and `label`, the folder's name.

    Files stand in the order of class and file name. Folders named as in `UNLABELLED` are left
    out, and said. Raises `DataError` for other columns and naming file, row and byte where the
    bytes are not of the encoding.
    """
    require_columns(("text", "label"), wanted, f"The folder {folder} of a folder for each class")
    classes = class_folders(folder)
    left_out = [entry.name for entry in classes if entry.name.lower() in UNLABELLED]
    if left_out:
        notes.append(
            f"{folder.name}: the texts in {listed(left_out)} have no label and are not used"
        )
    files = [
        (entry.name, file)
        for entry in classes
        if entry.name not in left_out
        for file in _files(entry)
    ]
    return _read(folder, files, form)


def text_folder(folder: Path) -> bool:
    """Whether `folder` holds nothing but text files, one a text, as `train/unsup` of aclImdb."""
    files = _files(folder) if folder.is_dir() else []
    return (
        bool(files)
        and all(file.suffix.lower() == ".txt" for file in files)
        and not class_folders(folder)
    )


def read_text_folder(folder: Path, wanted: Sequence[str], form: FileForm) -> "Dataset":
    """Read every file in `folder`: the column `text`; raises `DataError` as the one above."""
    require_columns(("text",), wanted, f"The folder {folder} of a text a file")
    return _read(folder, [("", file) for file in _files(folder)], form)


def _read(folder: Path, files: list[tuple[str, Path]], form: FileForm) -> "Dataset":
    import pyarrow

    facts = [(name, file.name, (s := file.stat()).st_size, s.st_mtime_ns) for name, file in files]
    schema = pyarrow.schema([("text", pyarrow.string()), ("label", pyarrow.string())])
    key = ("folders", str(folder.resolve()), form.encoding, facts)
    return write_arrow(key, schema, _batches(files, form, schema))


def _batches(
    files: list[tuple[str, Path]], form: FileForm, schema: "pyarrow.Schema"
) -> "Iterator[pyarrow.RecordBatch]":
    import pyarrow

    for start in range(0, len(files), _BATCH):
        some = files[start : start + _BATCH]
        rows = {
            "text": [_text(file, form) for _, file in some],
            "label": [name for name, _ in some],
        }
        yield pyarrow.RecordBatch.from_pydict(rows, schema=schema)


def _text(file: Path, form: FileForm) -> str:
    content = file.read_bytes()
    try:
        text = content.removeprefix(codecs.BOM_UTF8).decode(form.encoding)
    except UnicodeDecodeError as error:
        row = content[: error.start].count(b"\n") + 1
        raise DataError(
            f"{file} is not {form.encoding.upper()}: row {row}, byte "
            f"{error.start + 1} of the file is 0x{content[error.start]:02X}.\n"
            "Name its encoding, such as data.encoding=cp1252"
        ) from error
    return text.removesuffix("\n").removesuffix("\r")
