"""Data sets that `save_to_disk` of the library `datasets` wrote."""

from pathlib import Path
from typing import TYPE_CHECKING

from nlp_rnn.errors import DataError
from nlp_rnn.sources.columns import listed
from nlp_rnn.sources.file_format import FileOptions
from nlp_rnn.sources.formats import check_options
from nlp_rnn.sources.path_errors import first_line
from nlp_rnn.sources.split_files import SPELLINGS

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["is_saved", "load_saved", "reject_format", "saved_splits"]


def is_saved(path: Path) -> bool:
    """Return whether `save_to_disk` wrote the folder `path`."""
    return any((path / name).is_file() for name in ("dataset_dict.json", "state.json"))


def load_saved(path: Path, options: FileOptions) -> "Dataset | dict[str, Dataset]":
    """Return the data set, or the dictionary of splits, that `save_to_disk` wrote."""
    import datasets

    reject_format(options, path)
    check_options(options, {"save_to_disk": ()}, str(path))
    try:
        saved: Dataset | dict[str, Dataset] = datasets.load_from_disk(str(path))
    except Exception as error:
        raise DataError(
            f"{path} was written by save_to_disk but is damaged: {first_line(error)}"
        ) from error
    return saved


def saved_splits(
    saved: "Dataset | dict[str, Dataset]", path: Path, notes: list[str]
) -> "dict[str, Dataset]":
    """Return the splits of a saved data set."""
    if not isinstance(saved, dict):
        return {"train": saved}
    splits = {}
    for split, spellings in SPELLINGS.items():
        if names := [name for name in spellings if name in saved]:
            splits[split] = saved[names[0]]
    if "train" not in splits:
        first = next(iter(saved))
        raise DataError(
            f"{path} has no split named train; it has: {listed(saved)}.\nSave it with other names: "
            f"python3 -c \"import datasets as d; s = d.load_from_disk('{path}'); "
            f"d.DatasetDict(train=s['{first}']).save_to_disk('NEW')\""
        )
    if unused := [
        name for name in saved if not any(saved[name] is used for used in splits.values())
    ]:
        notes.append(f"splits not used: {listed(unused)}")
    return splits


def reject_format(options: FileOptions, path: Path) -> None:
    """Raise `DataError` if `data.format` is set, which does not apply to such a folder."""
    if options.format is not None:
        raise DataError(
            f"data.format={options.format} does not apply to the folder {path}: its form is "
            "recognized without it.\nRemove data.format."
        )
