"""A file, a folder or a saved dataset becomes the rows of its splits, memory-mapped."""

import glob
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.errors import DataError
from nlp_rnn.sources.arrow_cache import file_key, write_arrow
from nlp_rnn.sources.columns import listed, require_columns, top_columns
from nlp_rnn.sources.decoding import bad_encoding, plain_file
from nlp_rnn.sources.delimited import number_column, read_delimited
from nlp_rnn.sources.file_format import (
    BY_NAME,
    KINDS,
    FileForm,
    kind_of,
    plain_stem,
    refuse_unused,
)
from nlp_rnn.sources.folders import class_folders, read_class_folders
from nlp_rnn.sources.labelled_lines import read_lines

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["SPLITS", "first_line", "read_path"]

SPLITS = ("train", "validation", "test")
_SPELLINGS = {
    "train": ("train",),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test",),
}
_ENDINGS = tuple(f".{kind}" for kind in KINDS[:6])


def read_path(
    path: Path,
    text: Sequence[str],
    label: Sequence[str],
    notes: list[str],
    form: FileForm = BY_NAME,
) -> "dict[str, Dataset]":
    """Read a file, a folder of splits or what `save_to_disk` left: `train`, and what else is there.

    The columns of `text` and `label` must be there; others may be left out. What should be said
    about the reading is added to `notes`. Raises `DataError`, also for an option of `form` that
    says nothing about what is read.
    """
    if path.is_file():
        kind, _ = kind_of(path, form)
        if kind is None:
            raise DataError(_unknown_kind(path))
        refuse_unused(form, [kind], str(path))
        return {"train": _read_file(path, text, label, form, notes)}
    if not path.is_dir():
        lines = f"There is no file or folder {path.absolute()}."
        if re.fullmatch(r"[\w.-]+(/[\w.-]+)?", str(path)) and kind_of(path, form)[0] is None:
            lines += f"\nFor a data set of the Hugging Face hub type data=hub data.path={path}"
        raise DataError(lines)
    if any((path / name).is_file() for name in ("dataset_dict.json", "state.json")):
        _refuse_format(form, path)
        refuse_unused(form, ["save_to_disk"], str(path))
        return _read_saved(path, notes)
    return _read_folder(path, text, label, form, notes)


def _unknown_kind(path: Path) -> str:
    if path.suffix.lower() in (".zip", ".tar", ".tgz", ".bz2", ".xz", ".7z", ".rar") or (
        path.stem.lower().endswith(".tar")
    ):
        return (
            f"{path} is an archive, which is not opened here.\nUnpack it, and give what was in it."
        )
    return (
        f"{path} is of no kind that can be read ({listed(_ENDINGS)}; each also .gz, .zst).\n"
        f"Name it after what it holds, or type data.format=FORMAT ({listed(KINDS)})."
    )


def _refuse_format(form: FileForm, path: Path) -> None:
    if form.format is not None:
        raise DataError(
            f"data.format={form.format} says nothing about the folder {path}: its form is seen "
            "without it.\nLeave it out."
        )


def _read_folder(
    path: Path, text: Sequence[str], label: Sequence[str], form: FileForm, notes: list[str]
) -> "dict[str, Dataset]":
    """Read a folder with a file or a folder of class folders for each split."""
    files: dict[str, Path] = {}
    for split in SPLITS:
        found = sorted(
            entry
            for entry in path.iterdir()
            if (
                plain_stem(entry).lower() in _SPELLINGS[split]
                if entry.is_file() and kind_of(entry, form)[0]
                else entry.name.lower() in _SPELLINGS[split]
                and entry.is_dir()
                and class_folders(entry)
            )
        )
        if len(found) > 1:
            raise DataError(
                f"{path} has several files for the {split} split: {listed(f.name for f in found)}."
                "\nLeave one of them there, or give one file: data.path=FILE"
            )
        if found:
            files[split] = found[0]
    if "train" not in files and not files and len(class_folders(path)) > 1:
        files = {"train": path}
    if "train" not in files:
        raise DataError(
            f"{path} has no train.* ({listed(_ENDINGS)}); "
            f"it has: {listed(sorted(file.name for file in path.iterdir()))}.\n"
            "Name the training file train.*, or give one file: data.path=FILE"
        )
    kinds = [
        "folder" if entry.is_dir() else kind_of(entry, form)[0] or "" for entry in files.values()
    ]
    refuse_unused(form, kinds, str(path))
    if set(kinds) == {"folder"}:
        _refuse_format(form, path)
    return {
        split: read_class_folders(entry, [*text, *label], form, notes)
        if entry.is_dir()
        else _read_file(entry, text, label, form, notes)
        for split, entry in files.items()
    }


def _read_saved(path: Path, notes: list[str]) -> "dict[str, Dataset]":
    """Read what `save_to_disk` left."""
    import datasets

    try:
        saved: Dataset | dict[str, Dataset] = datasets.load_from_disk(str(path))
    except Exception as error:
        raise DataError(
            f"{path} was left by save_to_disk but is damaged: {first_line(error)}"
        ) from error
    if not isinstance(saved, dict):
        return {"train": saved}
    splits = {}
    for split, spellings in _SPELLINGS.items():
        if found := [name for name in spellings if name in saved]:
            splits[split] = saved[found[0]]
    if "train" not in splits:
        raise DataError(f"{path} has no split named train; it has: {listed(saved)}.")
    if unused := [
        name for name in saved if not any(saved[name] is used for used in splits.values())
    ]:
        notes.append(f"splits not used: {listed(unused)}")
    return splits


def _read_file(
    path: Path, text: Sequence[str], label: Sequence[str], form: FileForm, notes: list[str]
) -> "Dataset":
    wanted = list(dict.fromkeys((*text, *label)))
    kind, compression = kind_of(path, form)
    assert kind is not None
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty.")
    plain = plain_file(path, compression, form)
    if plain.stat().st_size == 0:
        raise DataError(f"{path} is empty.")
    if kind in ("parquet", "arrow"):
        try:
            return _read_parquet(path, plain, wanted) if kind == "parquet" else _read_arrow(plain)
        except DataError:
            raise
        except Exception as error:
            raise DataError(f"{path} cannot be read: {first_line(error)}") from error
    try:
        if kind in ("json", "jsonl"):
            return _read_json(path, plain, wanted)
        if kind in ("lines", "fasttext"):
            return read_lines(path, plain, kind, wanted, form)
        table = read_delimited(path, plain, kind, wanted, form, notes)
        for column in () if form.several else label:
            table = number_column(table, column)
        return table
    except DataError:
        raise
    except Exception as error:
        # looked for only now: reading every file twice would cost more than it gives
        fault = bad_encoding(plain, path) or (kind.startswith("json") and _bad_json(plain, path))
        raise DataError(fault or f"{path} cannot be read: {first_line(error)}") from error


def _read_parquet(path: Path, plain: Path, wanted: list[str]) -> "Dataset":
    from pyarrow import parquet

    names = parquet.read_schema(plain).names
    require_columns(names, wanted, str(path))
    return _load("parquet", path, plain, columns=top_columns(names, wanted))


def _read_arrow(path: Path) -> "Dataset":
    """Read an Arrow stream where it lies, or a copy of an Arrow (Feather) file."""
    import datasets
    import pyarrow

    try:
        with pyarrow.memory_map(str(path)) as file:
            reader = pyarrow.ipc.open_file(file)
            batches = (reader.get_batch(i) for i in range(reader.num_record_batches))
            return write_arrow(("arrow", *file_key(path)), reader.schema, batches)
    except pyarrow.ArrowInvalid:
        return datasets.Dataset.from_file(str(path))


def _read_json(path: Path, plain: Path, wanted: list[str]) -> "Dataset":
    dataset = _load("json", path, plain)
    require_columns(dataset.column_names, wanted, str(path))
    return dataset


def _load(kind: str, path: Path, plain: Path, **options: Any) -> "Dataset":
    import datasets

    try:
        return datasets.load_dataset(
            kind, data_files=glob.escape(str(plain)), split="train", **options
        )
    except ValueError as error:
        if "corresponds to no data" in str(error):
            raise DataError(f"{path} has no rows.") from error
        raise


def _bad_json(plain: Path, path: Path) -> str | None:
    """Say where Python's own reader stumbles, which counts lines as an editor does."""
    with plain.open(encoding="utf-8-sig", newline="\n") as file:
        start = file.read(1)
        while start.isspace():
            start = file.read(1)
        file.seek(0)
        whole = start == "["
        for number, piece in enumerate([file.read()] if whole else file, 1):
            try:
                if piece.strip():
                    json.dumps(json.loads(piece), ensure_ascii=False).encode()
            except UnicodeEncodeError:
                part = "" if whole else f" in line {number}"
                return (
                    f"{path} holds half of a surrogate pair{part}, such as \\ud800: that is no "
                    "character.\nTake it out, or write \\ufffd for it."
                )
            except json.JSONDecodeError as error:
                line = error.lineno if whole else number
                return f"{path} is broken JSON: line {line}, column {error.colno}: {error.msg}."
    return None


def first_line(error: BaseException) -> str:
    """Return the first line of what really went wrong; `datasets` wraps it in general words."""
    while error.__cause__ is not None:
        error = error.__cause__
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return line if len(line) <= 200 else line[:200] + "…"
