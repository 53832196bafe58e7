"""Folders of text files: one folder per class with one file per text, such as `train/pos/1.txt`."""

import codecs
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.errors import DataError
from nlp_rnn.sources.arrow_cache import write_rows
from nlp_rnn.sources.columns import listed, require_columns
from nlp_rnn.sources.content import HEAD, binary_kind, compression_by_content
from nlp_rnn.sources.encoding_advice import encoding_advice
from nlp_rnn.sources.encoding_detection import decodes, evident_encoding, hidden_encoding
from nlp_rnn.sources.file_format import FileOptions, TableStream
from nlp_rnn.sources.folder_checks import reject_lists, reject_project

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = [
    "class_folders",
    "read_class_folders",
    "read_text_folder",
    "stream_texts",
    "text_files",
    "text_folder",
]

UNLABELLED = ("unsup", "unlabeled", "unlabelled")
"""Names of class folders whose texts have no label, as in aclImdb."""

_DATA = (".txt", ".csv", ".tsv", ".json", ".jsonl", ".parquet", ".arrow", ".gz", ".zst", ".xlsx")
_OF_THE_SYSTEM = ("desktop.ini", "thumbs.db", "ehthumbs.db")  # as Windows writes them
_NO_CLASSES = (".", "__pycache__", "__MACOSX")
_MARK = codecs.BOM_UTF8
_SPLIT_NAMES = ("train", "training", "validation", "valid", "val", "dev", "test")


def class_folders(folder: Path) -> list[Path]:
    """Return the folders in `folder` that contain files, sorted by name."""
    return [
        entry
        for entry in sorted(folder.iterdir())
        if entry.is_dir() and not entry.name.startswith(_NO_CLASSES) and _files(entry)
    ]


def _files(folder: Path) -> list[Path]:
    return sorted(
        file
        for file in folder.iterdir()
        if file.is_file()
        and not file.name.startswith(".")
        and not file.name.endswith("~")
        and file.name.lower() not in _OF_THE_SYSTEM
    )


def read_class_folders(
    folder: Path, columns: Sequence[str], options: FileOptions, notes: list[str]
) -> "Dataset":
    """Read the text files of all class folders in `folder`, sorted by class and file name.

    Folders with a name in `UNLABELLED` are left out, and `notes` receives a line about them.

    Parameters
    ----------
    folder : Path
        The folder of class folders.
    columns : sequence of str
        The required columns.
    options : FileOptions
        Their encoding applies.
    notes : list of str
        Receives lines that the user should see.

    Returns
    -------
    Dataset
        The columns `text` and `label` (the name of the class folder).

    Raises
    ------
    DataError
        Other columns are required, or a file is not in the encoding.
    """
    require_columns(("text", "label"), columns, f"The folder {folder} of class folders")
    return _read(folder, _labelled_files(folder, columns, options, notes), options)


def stream_texts(
    folder: Path, columns: Sequence[str], options: FileOptions, notes: list[str]
) -> TableStream:
    """Stream the text files in `folder`, or in its class folders, with their paths in it.

    Raises
    ------
    DataError
        As in `read_class_folders`.
    """
    is_flat = text_folder(folder)
    names = ["file", "text", *([] if is_flat else ["label"])]
    require_columns(names, columns, f"The folder {folder} of text files")
    files = text_files(folder) if is_flat else _labelled_files(folder, (), options, notes)

    def blocks() -> Iterator[list[dict[str, Any]]]:
        for name, file in files:
            try:
                row = {"file": str(file.relative_to(folder)), "text": _text(file, options)}
            except UnicodeError as error:
                raise _bad_encoding(error, [file], options) from error
            yield [row if is_flat else row | {"label": name}]

    return TableStream(names, blocks())


def text_files(folder: Path) -> list[tuple[str, Path]]:
    """Return the class, empty for a folder without classes, and the path of every text file."""
    if text_folder(folder):
        return [("", file) for file in _files(folder)]
    return [(entry.name, file) for entry in class_folders(folder) for file in _files(entry)]


def _labelled_files(
    folder: Path, columns: Sequence[str], options: FileOptions, notes: list[str]
) -> list[tuple[str, Path]]:
    """Return the class and the path of every text with a label."""
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
    reject_project(folder, [entry for entry in classes if entry.name not in left_out], files)
    names = list(dict.fromkeys(name for name, _ in files))
    if "label" in columns and all(name.lower() in _SPLIT_NAMES for name in names):
        raise DataError(
            f"{folder} has no folder for each class: {listed(names)} have texts without labels.\n"
            f"Move the texts to folders of their classes, such as {folder / names[0]}/positive."
        )
    if "label" in columns:
        reject_lists(folder, names, [file for _, file in files])
    notes.extend(_notes_on_files(folder, classes, [file for _, file in files]))
    if "label" in columns:
        notes.append(
            f"{folder.name}: {len(names):,} {'class' if len(names) == 1 else 'classes'} by the "
            f"names of folders: {listed(names)}"
        )
    if not options.is_utf8 and (number := sum(_is_evident(file, options) for _, file in files)):
        notes.append(
            f"{folder.name}: {number:,} files read in the encoding that their bytes show, such as "
            f"UTF-8, not as data.encoding={options.encoding}"
        )
    return files


def _notes_on_files(folder: Path, classes: Sequence[Path], files: Sequence[Path]) -> list[str]:
    """Return notes on folders within class folders, and on files with an unusual suffix."""
    notes = []
    folders = [entry for entry in sorted(folder.iterdir()) if entry.is_dir()]
    empty = [
        entry.name
        for entry in folders
        if entry not in classes
        and not entry.name.startswith(_NO_CLASSES)
        and any(file.is_file() for file in entry.rglob("*"))
    ]
    if empty:
        notes.append(
            f"{folder.name}: {listed(empty)} have no texts but folders, so they are no classes; "
            "move their texts up if they are"
        )
    if beside := [file.name for file in _files(folder) if _may_be_data(file)]:
        notes.append(
            f"{folder.name}: files beside the class folders are not read: {listed(beside)}"
        )
    inner = [
        entry.relative_to(folder)
        for name in classes
        for entry in sorted(name.iterdir())
        if entry.is_dir() and not entry.name.startswith(_NO_CLASSES)
    ]
    if inner:
        notes.append(
            f"{folder.name}: folders within class folders are not read: {listed(map(str, inner))}"
        )
    suffixes = Counter(file.suffix.lower() for file in files)
    usual, number = suffixes.most_common(1)[0] if suffixes else ("", 0)
    unusual = [file.relative_to(folder) for file in files if file.suffix.lower() != usual]
    if unusual and 2 * number > len(files):
        notes.append(
            f"{folder.name}: read as texts although most files end in {usual or 'no suffix'}: "
            f"{listed(map(str, unusual))}"
        )
    return notes


def _may_be_data(file: Path) -> bool:
    """Return whether a file may hold texts, unlike a description of the data."""
    return file.suffix.lower() in _DATA and not file.name.lower().startswith("readme")


def text_folder(folder: Path) -> bool:
    """Return whether `folder` contains nothing but text files, as `train/unsup` of aclImdb."""
    files = _files(folder) if folder.is_dir() else []
    return (
        bool(files)
        and all(file.suffix.lower() == ".txt" for file in files)
        and not class_folders(folder)
    )


def read_text_folder(folder: Path, columns: Sequence[str], options: FileOptions) -> "Dataset":
    """Read the text files in `folder` as the column `text`; errors as in `read_class_folders`."""
    require_columns(("text",), columns, f"The folder {folder} of text files")
    return _read(folder, [("", file) for file in _files(folder)], options)


def _read(folder: Path, files: list[tuple[str, Path]], options: FileOptions) -> "Dataset":
    sizes = [(name, file.name, (s := file.stat()).st_size, s.st_mtime_ns) for name, file in files]
    key = ("folders", str(folder.resolve()), options.encoding, sizes)

    def rows() -> Iterator[dict[str, str | None]]:
        for index, (name, file) in enumerate(files):
            try:
                yield {"text": _text(file, options), "label": name}
            except UnicodeError as error:
                raise _bad_encoding(error, [file for _, file in files[index:]], options) from error

    return write_rows(key, ("text", "label"), rows())


def _text(file: Path, options: FileOptions) -> str:
    content = file.read_bytes()
    encoding, _ = evident_encoding(lambda: [content], options.encoding)
    if encoding == options.encoding and options.is_utf8 and not content.startswith(_MARK):
        if hidden := hidden_encoding(lambda: [content]):
            raise DataError(
                f"{file} is not UTF-8: it looks like {hidden}.\nSet data.encoding={hidden}"
            )
    text = content.removeprefix(_MARK).decode(encoding)
    return text.removesuffix("\n").removesuffix("\r")


def _is_evident(file: Path, options: FileOptions) -> bool:
    content = file.read_bytes()
    return bool(evident_encoding(lambda: [content], options.encoding)[1])


def _bad_encoding(error: UnicodeError, files: Sequence[Path], options: FileOptions) -> DataError:
    """Return an error about the first of `files`, with advice by all that are not UTF-8."""
    if known := binary_kind(files[0].read_bytes()[:HEAD], files[0]):
        return DataError(f"{files[0]} is {known[0]}, not a text.\nRemove it from the folder.")
    if compression := compression_by_content(files[0].read_bytes()[:HEAD]):
        program = {"gzip": "gunzip", "zstd": "unzstd --rm"}[compression]
        return DataError(
            f"{files[0]} is compressed with {compression}; in class folders texts are not.\n"
            f"Decompress it: {program} {shlex.quote(str(files[0]))}"
        )

    def wrong() -> Iterator[bytes]:
        for file in files:
            content = file.read_bytes()
            if not decodes(lambda content=content: [content], "utf-8"):  # type: ignore[misc]
                yield content + b"\n"

    where = ""
    if isinstance(error, UnicodeDecodeError):
        row = error.object[: error.start].count(b"\n") + 1
        byte = error.object[error.start]
        where = f": row {row}, byte {error.start + 1} of the file is 0x{byte:02X}"
    advice = encoding_advice(wrong)
    return DataError(f"{files[0]} is not {options.encoding.upper()}{where}.\n{advice}")
