"""Read the splits of a data set from a file, a folder, or a data set saved with `save_to_disk`."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from nlp_rnn.errors import DataError
from nlp_rnn.sources.columns import MissingColumnError, listed, select_columns
from nlp_rnn.sources.content import check_content, compression_by_content
from nlp_rnn.sources.decoding import (
    bad_encoding,
    encoding_of,
    head_of,
    plain_file,
    reject_hidden_encoding,
)
from nlp_rnn.sources.file_format import DEFAULT_OPTIONS, FileFormat, FileOptions, SourceFile
from nlp_rnn.sources.folder_layout import folder_splits, matching_splits
from nlp_rnn.sources.folders import read_class_folders
from nlp_rnn.sources.formats import FORMATS, check_options, compression_of, format_of
from nlp_rnn.sources.labelled_lines import TEXT_LINES
from nlp_rnn.sources.path_errors import first_line, missing_path, readable, unknown_format
from nlp_rnn.sources.saved_folders import is_saved, load_saved, reject_format, saved_splits
from nlp_rnn.sources.shards import concatenated
from nlp_rnn.sources.split_files import SPLITS

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = [
    "SPLITS",
    "Entry",
    "find_bad_encoding",
    "find_splits",
    "plain_copy",
    "read_path",
    "read_splits",
]


@dataclass(frozen=True)
class Entry:
    """A file, or a folder of class folders, to be read.

    Attributes
    ----------
    path : Path
        The file or the folder.
    options : FileOptions
        Those of the user, and the key of the rows in a json file of several splits.
    format : str
        Name of the format; `folder` for class folders.
    """

    path: Path
    options: FileOptions
    format: str


def read_path(
    path: Path,
    text: Sequence[str],
    label: Sequence[str],
    notes: list[str],
    options: FileOptions = DEFAULT_OPTIONS,
) -> "dict[str, Dataset]":
    """Read the splits at `path`, memory-mapped.

    Parameters
    ----------
    path : Path
        A file, which becomes the train split; a folder with a file, or a folder of class folders,
        for each split; or a folder written by `save_to_disk`.
    text, label : sequence of str
        Columns that must exist. Other columns may be left out.
    notes : list of str
        Receives lines that the user should see.
    options : FileOptions
        Format and form of the files.

    Returns
    -------
    dict of str to Dataset
        `train`, and `validation` and `test` where they exist.

    Raises
    ------
    DataError
        Nothing readable is at `path`, or an option does not apply to it.
    """
    with readable(path):
        if is_saved(path):
            return saved_splits(load_saved(path, options), path, notes)
    entries = find_splits(path, (*text, *label), notes, options)
    return read_splits(path, entries, text, label, notes)


def read_splits(
    path: Path,
    splits: Mapping[str, Sequence[Entry]],
    text: Sequence[str],
    label: Sequence[str],
    notes: list[str],
) -> "dict[str, Dataset]":
    """Read what `find_splits` found at `path`; parameters and errors as in `read_path`.

    Another split than train that has no label column is left out, with a note.
    """
    with readable(path):
        datasets: dict[str, Dataset] = {}
        for split, entries in splits.items():
            try:
                datasets[split] = _read_entries(entries, text, label, notes)
            except MissingColumnError as error:
                if split == "train":
                    raise
                if set(error.missing) != set(label):
                    raise _unlike_train(error, splits["train"]) from error
                notes.append(_without_labels(split, path, entries, label))
        return datasets


def find_splits(
    path: Path,
    columns: Sequence[str],
    notes: list[str],
    options: FileOptions = DEFAULT_OPTIONS,
    needs_train: bool = True,
) -> dict[str, list[Entry]]:
    """Return what is to be read for each split at `path`, which `save_to_disk` did not write.

    Parameters
    ----------
    path, notes, options
        As in `read_path`.
    columns : sequence of str
        The required columns, by which the rows in a json file are found.
    needs_train : bool, default True
        Whether a folder without a train split is an error.

    Raises
    ------
    DataError
        As in `read_path`.
    """
    with readable(path):
        if path.is_file():
            file_format = format_of(path, options)
            if file_format is None:
                raise DataError(unknown_format(path))
            check_options(options, {file_format.name: file_format.options}, str(path))
            keys: dict[str, str] = {}
            if file_format.splits and options.rows is None:
                keys = file_format.splits(plain_copy(path, file_format, options, []), columns)
            if not keys:
                return {"train": [Entry(path, options, file_format.name)]}
            unused = [key for split, key in keys.items() if split not in SPLITS]
            keys = {split: key for split, key in keys.items() if split in SPLITS}
            notes.append(f"{path.name}: splits {listed(keys.values())}")
            if unused:
                notes.append(f"{path.name}: lists of records that are not used: {listed(unused)}")
            return {
                split: [Entry(path, replace(options, rows=key), file_format.name)]
                for split, key in keys.items()
            }
        if path.is_dir():
            files = folder_splits(path, options, notes, needs_train)
        elif not path.exists() and any(sign in str(path) for sign in "*?["):
            files = matching_splits(path, options, notes)
        else:
            raise DataError(missing_path(path, options))
    splits = {
        split: [Entry(file, options, _format_name(file, options)) for file in paths]
        for split, paths in files.items()
    }
    formats = {entry.format for entry in chain.from_iterable(splits.values())}
    check_options(
        options,
        {name: ("encoding",) if name == "folder" else FORMATS[name].options for name in formats},
        str(path),
    )
    if formats == {"folder"}:
        reject_format(options, path)
    return splits


def _format_name(path: Path, options: FileOptions) -> str:
    known = None if path.is_dir() else format_of(path, options)
    return known.name if known else "folder"


def _without_labels(split: str, path: Path, entries: Sequence[Entry], label: Sequence[str]) -> str:
    """Return the note about a split without labels, such as the test file of a competition."""
    name = entries[0].path.name
    what = f"--input {shlex.quote(str(entries[0].path))}"
    if len(entries) > 1 or entries[0].options.rows is not None or path.is_file():
        what = f"--input {shlex.quote(str(path))} --split {split}"
    return (
        f"{split}: {name} has no column {listed(label)}, so it is not used and {split} is cut "
        f"from train. To predict its labels, run nlp-rnn predict CLASSIFIER {what} "
        "--output predictions.csv"
    )


def _read_entries(
    entries: Sequence[Entry], text: Sequence[str], label: Sequence[str], notes: list[str]
) -> "Dataset":
    """Read the files of one split one after another, or its class folders."""
    first = entries[0]
    if first.path.is_dir():
        return read_class_folders(first.path, [*text, *label], first.options, notes)
    tables = []
    for entry in entries:
        try:
            tables.append(_read_file(entry, text, label, notes))
        except MissingColumnError as error:
            if not tables:
                raise
            raise _unlike_train(error, entries) from error
    if len(tables) == 1:
        return tables[0]
    columns = list(dict.fromkeys((*text, *label)))
    return concatenated(
        [
            select_columns(table, columns, str(entry.path)).select_columns(columns)
            for entry, table in zip(entries, tables, strict=True)
        ],
        [entry.path for entry in entries],
    )


def _unlike_train(error: MissingColumnError, entries: Sequence[Entry]) -> MissingColumnError:
    """Return the error about a file that lacks columns of the first file of train."""
    return error.with_advice(
        f"It needs the columns of {entries[0].path.name}: rename its columns, write the same "
        "header, or remove it."
    )


def _read_file(
    entry: Entry, text: Sequence[str], label: Sequence[str], notes: list[str]
) -> "Dataset":
    path, options = entry.path, entry.options
    file_format = FORMATS.get(entry.format, TEXT_LINES)
    is_text = "encoding" in file_format.options
    plain = plain_copy(path, file_format, options, notes)
    try:
        return file_format.read(SourceFile(path, plain, tuple(text), tuple(label), options, notes))
    except DataError:
        raise
    except Exception as error:
        fault = bad_encoding(plain, path) if is_text else None
        raise DataError(fault or f"{path} cannot be read: {first_line(error)}") from error


def plain_copy(path: Path, file_format: FileFormat, options: FileOptions, notes: list[str]) -> Path:
    """Return the uncompressed copy of a file, in UTF-8 if it is a text file."""
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty.")
    encoding = None
    compression = compression_of(path) or compression_by_content(head_of(path, None))
    if compression != compression_of(path):
        notes.append(f"{path.name}: decompressed, because its content is {compression}")
    is_text = "encoding" in file_format.options
    check_content(head_of(path, compression), path, file_format.name, is_text)
    if is_text:
        encoding, note = encoding_of(path, compression, options.encoding)
        if note:
            notes.append(f"{path.name}: {note}")
    plain = plain_file(path, compression, encoding)
    if plain.stat().st_size == 0:
        raise DataError(f"{path} is empty.")
    if encoding and options.is_utf8:
        reject_hidden_encoding(plain, path)
    return plain


def find_bad_encoding(path: Path) -> str | None:
    """Return a message about the first text file at `path` that is not UTF-8; None if all are."""
    for file in [path] if path.is_file() else sorted(path.rglob("*")):
        known = format_of(file, DEFAULT_OPTIONS) if file.is_file() else None
        if known and "encoding" in known.options:
            compression = compression_of(file)
            plain = plain_file(file, compression, encoding_of(file, compression, "utf-8")[0])
            if fault := bad_encoding(plain, file):
                return fault
    return None
