"""Layouts of folders: which files or class folders belong to which split."""

import glob
import re
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from nlp_rnn.errors import DataError
from nlp_rnn.sources.columns import listed
from nlp_rnn.sources.file_format import FileOptions
from nlp_rnn.sources.folder_advice import folder_advice, versioned_table
from nlp_rnn.sources.folders import class_folders
from nlp_rnn.sources.formats import FORMATS, format_of, plain_stem
from nlp_rnn.sources.split_files import (
    SPELLINGS,
    SPLITS,
    data_files,
    is_ignored,
    natural_order,
    split_files,
)

__all__ = ["folder_splits", "matching_splits", "suffixes"]

_PART = re.compile(r"part-(\d+)")

Splits = dict[str, list[Path]]
"""The files of each split, or the folder that contains its class folders."""


def suffixes() -> str:
    """Return the suffixes of all formats, for messages."""
    return listed(suffix for known in FORMATS.values() for suffix in known.suffixes)


def matching_splits(pattern: Path, options: FileOptions, notes: list[str]) -> Splits:
    """Return the files of each split that match a pattern such as `data/*.csv`.

    If no name contains `train`, the files without the name of a split are the train split.

    Raises
    ------
    DataError
        No file with a known format matches, or two files of a split are not shards of each other.
    """
    format_name = _format_name(options)
    matches = [Path(match) for match in glob.glob(str(pattern), recursive=True)]
    fixed = len(pattern.parent.parts)
    while fixed and any(sign in part for part in pattern.parts[:fixed] for sign in "*?["):
        fixed -= 1

    def is_hidden(file: Path) -> bool:
        """Return whether a pattern found the file in an ignored folder, such as `_delta_log`."""
        return any(is_ignored(Path(part)) for part in file.parts[fixed:])

    files = natural_order(file for file in matches if file.is_file() and not is_hidden(file))
    known = [file for file in files if format_name(file)]
    if not known:
        what = f"no file with a supported suffix ({suffixes()})" if files else "no file"
        raise DataError(
            f"data.path={pattern} matches {what}.\n"
            + ("Set data.format=FORMAT." if files else "Set it to a file, a folder or a pattern.")
        )
    splits = split_files(known, plain_stem, format_name, f"data.path={pattern}")
    if "train" not in splits:
        named = {file for files in splits.values() for file in files}
        rest = [file for file in known if file not in named]
        splits = {"train": rest, **splits} if rest else {"train": known}
    _add_notes(splits, known, notes)
    return splits


def folder_splits(
    path: Path, options: FileOptions, notes: list[str], needs_train: bool = True
) -> Splits:
    """Return the files of each split of a folder, or of the only folder in it that has splits.

    Without `needs_train`, a folder that has only other splits is not an error.

    Raises
    ------
    DataError
        There are no files for train, or two files of a split are not shards of each other.
    """
    if problem := versioned_table(path):
        raise DataError(problem)
    format_name = _format_name(options)
    splits = _splits_in(path, format_name, notes)
    if "train" in splits or (splits and not needs_train):
        used = {file for files in splits.values() for file in files}
        others = [inner for inner in _with_train(path, format_name) if not _is_used(inner, used)]
        _add_note_on_folders(others, notes)
        return splits
    if parts := _parts(path, format_name):
        _add_notes({"train": parts}, parts, notes)
        numbers = {int(match[1]) for part in parts if (match := _PART.match(part.name))}
        if absent := sorted(set(range(max(numbers, default=0))) - numbers):
            numbered = listed(f"part-{number:05}" for number in absent)
            notes.append(f"files that may be missing (Spark leaves out empty ones): {numbered}")
        return {"train": parts}
    if not splits:
        inner = _with_train(path, format_name)
        named = [folder for folder in inner if folder.name == "data"] or inner
        if len(named) == 1:
            notes.append(f"read from the folder {named[0].name} in {path.name}")
            _add_note_on_folders([other for other in inner if other != named[0]], notes)
            return _splits_in(named[0], format_name, notes)
        if inner:
            raise DataError(
                f"{path} has several folders with a train split: "
                f"{listed(folder.name for folder in inner)}.\n"
                f"Set data.path to one of them, such as data.path={inner[0]}"
            )
        if len(class_folders(path)) > 1:
            return {"train": [path]}
    known = data_files(path, format_name)
    names = "train.*" if needs_train else "train.*, validation.* or test.*"
    rename = "Name the training file train.*, or set" if needs_train else "Set"
    raise DataError(
        f"{path} has no {names} ({suffixes()}); "
        f"it has: {listed(sorted(entry.name for entry in path.iterdir()))}.\n"
        + folder_advice(path, known, rename)
    )


def _format_name(options: FileOptions) -> Callable[[Path], str | None]:
    def format_name(path: Path) -> str | None:
        known = format_of(path, options)
        return known.name if known else None

    return format_name


def _with_train(path: Path, format_name: Callable[[Path], str | None]) -> list[Path]:
    """Return the folders in `path` that have a train split."""
    return [
        folder
        for folder in sorted(path.iterdir())
        if folder.is_dir() and not is_ignored(folder) and _has_train(folder, format_name)
    ]


def _is_used(folder: Path, used: Collection[Path]) -> bool:
    return folder in used or any(file.parent == folder for file in used)


def _add_note_on_folders(folders: Sequence[Path], notes: list[str]) -> None:
    if folders:
        names = listed(folder.name for folder in folders)
        notes.append(f"folders with a train split of their own that are not read: {names}")


def _has_train(folder: Path, format_name: Callable[[Path], str | None]) -> bool:
    try:
        return "train" in _splits_in(folder, format_name, [])
    except DataError:
        return True  # the error is reported where the folder is read


def _splits_in(folder: Path, format_name: Callable[[Path], str | None], notes: list[str]) -> Splits:
    """Return the splits of a folder: a file, shards, a folder of shards or of class folders."""
    known = data_files(folder, format_name)
    for link in sorted(folder.iterdir()):
        if link.is_symlink() and not link.exists() and format_name(link):
            notes.append(f"{link.name}: a link to {link.readlink()}, which does not exist")
    splits = split_files(known, plain_stem, format_name, str(folder))
    for entry in sorted(folder.iterdir()):
        stem = plain_stem(entry).lower()
        split = next((split for split in SPLITS if stem in SPELLINGS[split]), None)
        if split is None or not entry.is_dir():
            continue
        if entries := [entry] if class_folders(entry) else data_files(entry, format_name):
            if split in splits:
                raise DataError(
                    f"{folder} has several files for the {split} split: "
                    f"{listed(sorted([splits[split][0].name, entry.name]))}.\n"
                    "Remove all but one of them, or set data.path to a single file."
                )
            splits[split] = entries
        elif splits or any((folder / name).is_dir() for name in SPELLINGS["train"]):
            if any(file.is_file() and not is_ignored(file) for file in entry.iterdir()):
                notes.append(f"{split}: the folder {entry.name} has no class folders; not used")
    splits = {split: splits[split] for split in SPLITS if split in splits}
    _add_notes(splits, known, notes)
    return splits


def _parts(folder: Path, format_name: Callable[[Path], str | None]) -> list[Path]:
    """Return the files of a folder that Spark wrote, such as `part-00000-….csv`."""
    parts = data_files(folder, format_name)
    return parts if all(file.name.startswith("part-") for file in parts) else []


def _add_notes(splits: Splits, known: Sequence[Path], notes: list[str]) -> None:
    """Note the files of a split that has several, and those that belong to none."""
    for split, files in splits.items():
        if len(files) > 1:
            notes.append(f"{split}: read from {len(files):,} files, {_names(files)}")
    used = {file for files in splits.values() for file in files}
    if "train" in splits and (unused := [file for file in known if file not in used]):
        notes.append(f"files not used: {listed(file.name for file in unused)}")


def _names(files: Sequence[Path]) -> str:
    if len(files) < 4:
        names = [file.name for file in files]
        if len(set(names)) < len(names):  # in several folders
            names = [f"{file.parent.name}/{file.name}" for file in files]
        return listed(names)
    return f"{files[0].name} to {files[-1].name}"
