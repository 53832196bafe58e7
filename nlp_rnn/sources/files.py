"""Read the splits of a data set from a file, a folder, or a data set saved with `save_to_disk`."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nlp_rnn.errors import DataError
from nlp_rnn.sources.columns import listed
from nlp_rnn.sources.decoding import bad_encoding, encoding_of, plain_file, reject_utf16
from nlp_rnn.sources.file_format import DEFAULT_OPTIONS, FileOptions, SourceFile
from nlp_rnn.sources.folders import class_folders, read_class_folders
from nlp_rnn.sources.formats import FORMATS, check_options, compression_of, format_of, plain_stem

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["SPLITS", "find_bad_encoding", "first_line", "read_path"]

SPLITS = ("train", "validation", "test")
_SPELLINGS = {
    "train": ("train",),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test",),
}


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
    if path.is_file():
        file_format = format_of(path, options)
        if file_format is None:
            raise DataError(_unknown_format(path))
        check_options(options, {file_format.name: file_format.options}, str(path))
        return {"train": _read_file(path, text, label, options, notes)}
    if not path.is_dir():
        message = f"There is no file or folder {path.absolute()}."
        if re.fullmatch(r"[\w.-]+(/[\w.-]+)?", str(path)) and format_of(path, options) is None:
            message += f"\nFor a data set of the Hugging Face hub set data=hub data.path={path}"
        raise DataError(message)
    if any((path / name).is_file() for name in ("dataset_dict.json", "state.json")):
        _reject_format(options, path)
        check_options(options, {"save_to_disk": ()}, str(path))
        return _read_saved(path, notes)
    return _read_folder(path, text, label, options, notes)


def _suffixes() -> str:
    return listed(suffix for known in FORMATS.values() for suffix in known.suffixes)


def _unknown_format(path: Path) -> str:
    if path.suffix.lower() in (".zip", ".tar", ".tgz", ".bz2", ".xz", ".7z", ".rar") or (
        path.stem.lower().endswith(".tar")
    ):
        return (
            f"{path} is an archive. Archives are not supported.\n"
            "Unpack it, and set data.path to a file or folder from it."
        )
    return (
        f"{path} has no suffix of a supported format ({_suffixes()}; also with .gz or .zst).\n"
        f"Rename the file, or set data.format=FORMAT ({listed(FORMATS)})."
    )


def _reject_format(options: FileOptions, path: Path) -> None:
    if options.format is not None:
        raise DataError(
            f"data.format={options.format} does not apply to the folder {path}: its form is "
            "recognized without it.\nRemove data.format."
        )


def _read_folder(
    path: Path, text: Sequence[str], label: Sequence[str], options: FileOptions, notes: list[str]
) -> "dict[str, Dataset]":
    """Read a folder that has a file, or a folder of class folders, for each split."""
    entries: dict[str, Path] = {}
    for split in SPLITS:
        matches = sorted(
            entry
            for entry in path.iterdir()
            if (
                plain_stem(entry).lower() in _SPELLINGS[split]
                if entry.is_file() and format_of(entry, options)
                else entry.name.lower() in _SPELLINGS[split]
                and entry.is_dir()
                and class_folders(entry)
            )
        )
        if len(matches) > 1:
            raise DataError(
                f"{path} has several files for the {split} split: "
                f"{listed(entry.name for entry in matches)}.\n"
                "Remove all but one of them, or set data.path to a single file."
            )
        if matches:
            entries[split] = matches[0]
    if not entries and len(class_folders(path)) > 1:
        entries = {"train": path}
    if "train" not in entries:
        raise DataError(
            f"{path} has no train.* ({_suffixes()}); "
            f"it has: {listed(sorted(entry.name for entry in path.iterdir()))}.\n"
            "Name the training file train.*, or set data.path to a single file."
        )
    applicable: dict[str, tuple[str, ...]] = {}
    for entry in entries.values():
        file_format = None if entry.is_dir() else format_of(entry, options)
        if file_format is None:
            applicable["folder"] = ("encoding",)
        else:
            applicable[file_format.name] = file_format.options
    check_options(options, applicable, str(path))
    if set(applicable) == {"folder"}:
        _reject_format(options, path)
    return {
        split: read_class_folders(entry, [*text, *label], options, notes)
        if entry.is_dir()
        else _read_file(entry, text, label, options, notes)
        for split, entry in entries.items()
    }


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
    for split, spellings in _SPELLINGS.items():
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
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty.")
    encoding = None
    if "encoding" in file_format.options:
        encoding = encoding_of(path, compression_of(path), options.encoding)
        if encoding != options.encoding and encoding != "utf-8":
            notes.append(f"{path.name}: read as {encoding.upper()}, by its byte order mark")
    plain = plain_file(path, compression_of(path), encoding)
    if plain.stat().st_size == 0:
        raise DataError(f"{path} is empty.")
    if encoding and options.is_utf8:
        reject_utf16(plain, path)
    try:
        return file_format.read(SourceFile(path, plain, tuple(text), tuple(label), options, notes))
    except DataError:
        raise
    except Exception as error:
        fault = bad_encoding(plain, path) if encoding else None
        raise DataError(fault or f"{path} cannot be read: {first_line(error)}") from error


def find_bad_encoding(path: Path) -> str | None:
    """Return a message about the first text file at `path` that is not UTF-8; None if all are."""
    for file in [path] if path.is_file() else sorted(path.rglob("*")):
        known = format_of(file, DEFAULT_OPTIONS) if file.is_file() else None
        if known and "encoding" in known.options:
            compression = compression_of(file)
            plain = plain_file(file, compression, encoding_of(file, compression, "utf-8"))
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
