"""Read the splits of a data set from a file, a folder, or a data set saved with `save_to_disk`."""

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
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
    reject_utf16,
)
from nlp_rnn.sources.file_format import DEFAULT_OPTIONS, FileOptions, SourceFile
from nlp_rnn.sources.folder_layout import folder_splits, matching_splits, suffixes
from nlp_rnn.sources.folders import read_class_folders
from nlp_rnn.sources.formats import FORMATS, check_options, compression_of, format_of
from nlp_rnn.sources.shards import concatenated
from nlp_rnn.sources.split_files import SPELLINGS, SPLITS

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["SPLITS", "find_bad_encoding", "first_line", "read_path", "readable"]


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
        if path.is_file():
            file_format = format_of(path, options)
            if file_format is None:
                raise DataError(_unknown_format(path))
            check_options(options, {file_format.name: file_format.options}, str(path))
            return _read_single_file(path, text, label, options, notes)
        if not path.is_dir():
            if not path.exists() and any(sign in str(path) for sign in "*?["):
                splits = matching_splits(path, options, notes)
                return _read_splits(path, splits, text, label, options, notes)
            raise DataError(_missing(path, options))
        if any((path / name).is_file() for name in ("dataset_dict.json", "state.json")):
            _reject_format(options, path)
            check_options(options, {"save_to_disk": ()}, str(path))
            return _read_saved(path, notes)
        splits = folder_splits(path, options, notes)
        return _read_splits(path, splits, text, label, options, notes)


@contextlib.contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn the errors of the operating system about `path` into `DataError`."""
    try:
        yield
    except OSError as error:
        name = error.filename or path
        reason = error.strerror or first_line(error)
        raise DataError(f"{name} cannot be read: {reason}.\n{_remedy(error, path)}") from error


def _remedy(error: OSError, path: Path) -> str:
    if isinstance(error, PermissionError):
        return f"Change its permissions (chmod -R u+rX {path}), or set data.path to a copy."
    return "Check that it is complete and on a file system that works, or set data.path to a copy."


def _missing(path: Path, options: FileOptions) -> str:
    if path.exists():
        return (
            f"{path} is neither a file nor a folder.\n"
            "Write its content to a file, and set data.path to that file."
        )
    message = f"There is no file or folder {path.absolute()}."
    if path.is_symlink():
        return message + f"\nIt is a symbolic link to {path.readlink()}, which does not exist."
    if re.fullmatch(r"[\w.-]+(/[\w.-]+)?", str(path)) and format_of(path, options) is None:
        message += f"\nFor a data set of the Hugging Face hub set data=hub data.path={path}"
    return message


def _unknown_format(path: Path) -> str:
    if path.suffix.lower() in (".zip", ".tar", ".tgz", ".bz2", ".xz", ".7z", ".rar") or (
        path.stem.lower().endswith(".tar")
    ):
        return (
            f"{path} is an archive. Archives are not supported.\n"
            "Unpack it, and set data.path to a file or folder from it."
        )
    if path.suffix.lower() in (".xlsx", ".xls", ".ods", ".numbers"):
        return (
            f"{path} is a spreadsheet. Spreadsheets are not supported.\n"
            "Save its sheet as csv (in Excel: CSV UTF-8), and set data.path to that file."
        )
    return (
        f"{path} has no suffix of a supported format ({suffixes()}; also with .gz or .zst).\n"
        f"Rename the file, or set data.format=FORMAT ({listed(FORMATS)})."
    )


def _reject_format(options: FileOptions, path: Path) -> None:
    if options.format is not None:
        raise DataError(
            f"data.format={options.format} does not apply to the folder {path}: its form is "
            "recognized without it.\nRemove data.format."
        )


def _read_single_file(
    path: Path, text: Sequence[str], label: Sequence[str], options: FileOptions, notes: list[str]
) -> "dict[str, Dataset]":
    """Read a file, which is the train split or has several splits."""
    known = format_of(path, options)
    keys: dict[str, str] = {}
    if known and known.splits and options.rows is None:
        keys = known.splits(_plain(path, options, []), (*text, *label))
    if not keys:
        return {"train": _read_file(path, text, label, options, notes)}
    notes.append(f"{path.name}: splits {listed(keys.values())}")
    return {
        split: _read_file(path, text, label, replace(options, rows=key), notes)
        for split, key in keys.items()
    }


def _read_splits(
    path: Path,
    splits: dict[str, list[Path]],
    text: Sequence[str],
    label: Sequence[str],
    options: FileOptions,
    notes: list[str],
) -> "dict[str, Dataset]":
    """Read the files, or the class folders, of each split."""
    applicable: dict[str, tuple[str, ...]] = {}
    for entry in chain.from_iterable(splits.values()):
        file_format = None if entry.is_dir() else format_of(entry, options)
        if file_format is None:
            applicable["folder"] = ("encoding",)
        else:
            applicable[file_format.name] = file_format.options
    check_options(options, applicable, str(path))
    if set(applicable) == {"folder"}:
        _reject_format(options, path)
    datasets: dict[str, Dataset] = {}
    for split, files in splits.items():
        try:
            datasets[split] = _read_entries(files, text, label, options, notes)
        except MissingColumnError as error:
            if split == "train" or set(error.missing) != set(label):
                raise
            notes.append(_without_labels(split, files[0], text, label))
    return datasets


def _without_labels(split: str, file: Path, text: Sequence[str], label: Sequence[str]) -> str:
    option = "" if list(text) == ["text"] else f" --text {','.join(text)}"
    return (
        f"{split}: {file.name} has no column {listed(label)}, so it is not used and {split} is cut "
        f"from train. To predict its labels, run nlp-rnn predict CLASSIFIER --input {file}{option} "
        "--output predictions.csv"
    )


def _read_entries(
    entries: Sequence[Path],
    text: Sequence[str],
    label: Sequence[str],
    options: FileOptions,
    notes: list[str],
) -> "Dataset":
    """Read the files of one split one after another, or its class folders."""
    if entries[0].is_dir():
        return read_class_folders(entries[0], [*text, *label], options, notes)
    tables = [_read_file(entry, text, label, options, notes) for entry in entries]
    if len(tables) == 1:
        return tables[0]
    columns = list(dict.fromkeys((*text, *label)))
    return concatenated(
        [
            select_columns(table, columns, str(entry)).select_columns(columns)
            for entry, table in zip(entries, tables, strict=True)
        ],
        entries,
    )


def _read_saved(path: Path, notes: list[str]) -> "dict[str, Dataset]":
    """Read a data set, or a dictionary of splits, that `save_to_disk` wrote."""
    import datasets

    try:
        saved: Dataset | dict[str, Dataset] = datasets.load_from_disk(str(path))
    except Exception as error:
        raise DataError(
            f"{path} was written by save_to_disk but is damaged: {first_line(error)}"
        ) from error
    if not isinstance(saved, dict):
        return {"train": saved}
    splits = {}
    for split, spellings in SPELLINGS.items():
        if names := [name for name in spellings if name in saved]:
            splits[split] = saved[names[0]]
    if "train" not in splits:
        raise DataError(f"{path} has no split named train; it has: {listed(saved)}.")
    if unused := [
        name for name in saved if not any(saved[name] is used for used in splits.values())
    ]:
        notes.append(f"splits not used: {listed(unused)}")
    return splits


def _read_file(
    path: Path, text: Sequence[str], label: Sequence[str], options: FileOptions, notes: list[str]
) -> "Dataset":
    file_format = format_of(path, options)
    assert file_format is not None
    is_text = "encoding" in file_format.options
    plain = _plain(path, options, notes)
    try:
        return file_format.read(SourceFile(path, plain, tuple(text), tuple(label), options, notes))
    except DataError:
        raise
    except Exception as error:
        fault = bad_encoding(plain, path) if is_text else None
        raise DataError(fault or f"{path} cannot be read: {first_line(error)}") from error


def _plain(path: Path, options: FileOptions, notes: list[str]) -> Path:
    """Return the uncompressed copy of a file, in UTF-8 if it is a text file."""
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty.")
    file_format, encoding = format_of(path, options), None
    assert file_format is not None
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
        reject_utf16(plain, path)
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


def first_line(error: BaseException) -> str:
    """Return the first line of the error at the root of `error`, at most 200 characters.

    `datasets` wraps errors in others that do not name the cause.
    """
    while error.__cause__ is not None:
        error = error.__cause__
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return line if len(line) <= 200 else line[:200] + "…"
