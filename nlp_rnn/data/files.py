"""A file, a folder or a saved dataset becomes the rows of its splits, memory-mapped."""

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.errors import DataError

if TYPE_CHECKING:
    import pyarrow
    from datasets import Dataset

__all__ = ["SPLITS", "first_line", "listed", "read_path", "require_columns", "write_arrow"]

SPLITS = ("train", "validation", "test")
_SPELLINGS = {
    "train": ("train",),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test",),
}
_KINDS = (".parquet", ".csv", ".tsv", ".json", ".jsonl")
_CSV_BLOCK = 16 << 20  # bytes; pyarrow refuses a row that is longer


def read_path(
    path: Path, text: Sequence[str], label: str, notes: list[str]
) -> "dict[str, Dataset]":
    """Read a file, a folder of splits or what `save_to_disk` left: `train`, and what else is there.

    The columns of `text` and `label` must be there; others may be left out. What should be said
    about the reading is added to `notes`. Raises `DataError`.
    """
    if path.is_file():
        if path.suffix.lower() not in _KINDS:
            raise DataError(
                f"{path} is of no kind that can be read ({listed(_KINDS)}).\n"
                "Convert it, or name it after what it holds."
            )
        return {"train": _read_file(path, text, label)}
    if not path.is_dir():
        lines = f"There is no file or folder {path.absolute()}."
        if re.fullmatch(r"[\w.-]+(/[\w.-]+)?", str(path)) and path.suffix.lower() not in _KINDS:
            lines += f"\nFor a data set of the Hugging Face hub type data=hub data.path={path}"
        raise DataError(lines)
    if any((path / name).is_file() for name in ("dataset_dict.json", "state.json")):
        return _read_saved(path, notes)
    splits = {}
    for split in SPLITS:
        found = sorted(
            file
            for file in path.iterdir()
            if file.stem.lower() in _SPELLINGS[split] and file.suffix.lower() in _KINDS
        )
        if len(found) > 1:
            raise DataError(
                f"{path} has several files for the {split} split: {listed(f.name for f in found)}."
                "\nLeave one of them there, or give one file: data.path=FILE"
            )
        if found:
            splits[split] = _read_file(found[0], text, label)
        elif split == "train":
            raise DataError(
                f"{path} has no train.* ({listed(_KINDS)}); "
                f"it has: {listed(sorted(file.name for file in path.iterdir()))}.\n"
                "Name the training file train.*, or give one file: data.path=FILE"
            )
    return splits


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


def _read_file(path: Path, text: Sequence[str], label: str) -> "Dataset":
    wanted = list(dict.fromkeys((*text, label)))
    kind = path.suffix.lower()
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty.")
    try:
        if kind == ".parquet":
            return _read_parquet(path, wanted)
        if kind in (".json", ".jsonl"):
            return _read_json(path, wanted)
        return _numbered(_read_csv(path, wanted), label)
    except DataError:
        raise
    except Exception as error:
        # looked for only now: reading every file twice would cost more than it gives
        fault = (kind != ".parquet" and _bad_encoding(path)) or (
            kind.startswith(".json") and _bad_json(path)
        )
        raise DataError(fault or f"{path} cannot be read: {first_line(error)}") from error


def _read_parquet(path: Path, wanted: list[str]) -> "Dataset":
    from pyarrow import parquet

    require_columns(parquet.read_schema(path).names, wanted, str(path))
    return _load("parquet", path, columns=wanted)


def _read_json(path: Path, wanted: list[str]) -> "Dataset":
    dataset = _load("json", path)
    require_columns(dataset.column_names, wanted, str(path))
    return dataset


def _load(kind: str, path: Path, **options: Any) -> "Dataset":
    import datasets

    try:
        return datasets.load_dataset(kind, data_files=str(path), split="train", **options)
    except ValueError as error:
        if "corresponds to no data" in str(error):
            raise DataError(f"{path} has no rows.") from error
        raise


def _read_csv(path: Path, wanted: list[str]) -> "Dataset":
    """Read csv and tsv, strictly.

    By pyarrow, not by the reader of `datasets` (pandas): that one moves the columns of a row with
    an unquoted comma, takes the text NA for a missing one, and cannot name the row of a fault. An
    empty cell is missing, `""` is an empty text.
    """
    import pyarrow
    from pyarrow import csv

    parse = csv.ParseOptions(
        delimiter="\t" if path.suffix.lower() == ".tsv" else ",", newlines_in_values=True
    )
    read = csv.ReadOptions(use_threads=False, block_size=_CSV_BLOCK)  # threads would hide the row
    try:
        names = csv.open_csv(path, read_options=read, parse_options=parse).schema.names
        require_columns(names, wanted, str(path))
        convert = csv.ConvertOptions(
            include_columns=wanted,
            column_types={name: pyarrow.string() for name in wanted},
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        )
        schema = pyarrow.schema([(name, pyarrow.string()) for name in wanted])
        batches = csv.open_csv(path, read, parse, convert)
        stat = path.stat()
        key = ("csv", str(path.resolve()), stat.st_size, stat.st_mtime_ns, *wanted)
        return write_arrow(key, schema, batches)
    except pyarrow.ArrowInvalid as error:
        if fault := _bad_encoding(path):
            raise DataError(fault) from error
        raise DataError(
            f"{path} is broken: {first_line(error)} (row 1 is the header).\n"
            "A text with a comma, a quote or a line break in it must stand in double quotes."
        ) from error


def _numbered(dataset: "Dataset", column: str) -> "Dataset":
    """Make numbers of a csv column that holds nothing else; the format itself has no types."""
    import pyarrow
    import pyarrow.compute as pc

    values = dataset.data.column(column)
    values = pc.if_else(pc.equal(values, ""), None, values)
    for kind in (pyarrow.int64(), pyarrow.float64()):
        try:
            numbers = values.cast(kind)
        except pyarrow.ArrowInvalid:
            continue
        return dataset.remove_columns(column).add_column(column, numbers.combine_chunks())
    return dataset


def write_arrow(
    key: Iterable[object], schema: "pyarrow.Schema", batches: "Iterable[pyarrow.RecordBatch]"
) -> "Dataset":
    """Return the rows of `batches` as memory-mapped Arrow, kept in the cache under `key`.

    What the cache has under `key` already is not written again.
    """
    import datasets
    import pyarrow

    folder = Path(datasets.config.HF_DATASETS_CACHE).expanduser() / "nlp_rnn"
    name = hashlib.sha256(json.dumps(list(key)).encode()).hexdigest()[:32]
    path = folder / f"{name}.arrow"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=folder, suffix=".part")
        try:
            with (
                os.fdopen(descriptor, "wb") as file,
                pyarrow.ipc.new_stream(file, schema) as writer,
            ):
                for batch in batches:
                    writer.write_batch(batch)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    return datasets.Dataset.from_file(str(path))


def require_columns(found: Sequence[str], wanted: Sequence[str], where: str) -> None:
    """Raise `DataError` unless each wanted column is found once; `where` begins the sentence."""
    for name in wanted:
        if name not in found:
            raise DataError(
                f"{where} has no column {name!r}; it has: {listed(found)}.\n"
                "Name the columns to use: data.text=COLUMN data.label=COLUMN"
            )
        if list(found).count(name) > 1:
            raise DataError(f"{where} has several columns named {name!r}. Rename all but one.")


def _bad_encoding(path: Path) -> str | None:
    """Say where the first byte that is not UTF-8 stands."""
    with path.open("rb") as lines:
        for row, line in enumerate(lines, 1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                return (
                    f"{path} is not UTF-8: row {row}, byte {error.start + 1} of it is "
                    f"0x{line[error.start]:02X}.\nSave the file as UTF-8."
                )
    return None


def _bad_json(path: Path) -> str | None:
    """Say where Python's own reader stumbles, which counts lines as an editor does."""
    with path.open(encoding="utf-8-sig", newline="\n") as file:
        start = file.read(1)
        while start.isspace():
            start = file.read(1)
        file.seek(0)
        whole = start == "["
        for number, piece in enumerate([file.read()] if whole else file, 1):
            try:
                if piece.strip():
                    json.loads(piece)
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


def listed(names: Iterable[str]) -> str:
    """Join names for a message: the first twenty, each cut at forty characters."""
    some = [name if len(name) <= 40 else name[:40] + "…" for name in names]
    return ", ".join(some[:20]) + (f" and {len(some) - 20} more" if len(some) > 20 else "")
