"""Assignment of the files of a folder to the splits of a data set, by their names."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nlp_rnn.errors import DataError
from nlp_rnn.sources.columns import listed

__all__ = ["SPELLINGS", "SPLITS", "data_files", "is_ignored", "natural_order", "split_files"]

SPLITS = ("train", "validation", "test")
SPELLINGS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing"),
}
"""Names of the splits in file names."""

_SPLIT_OF = {spelling: split for split, names in SPELLINGS.items() for spelling in names}
_NAME = re.compile(
    rf"(?:(?P<before>.+)[-_.])?(?P<spelling>{'|'.join(_SPLIT_OF)})"
    r"(?:[-_.](?P<number>\d+)(?:-of-(?P<count>\d+)(?:-[0-9a-f]{6,})?)?)?"
    r"(?:[-_.](?P<after>.+))?"
)


@dataclass(frozen=True)
class _SplitFile:
    """A file and what its name says.

    Attributes
    ----------
    path : Path
        The file.
    split : str
        `train`, `validation` or `test`.
    name : str
        The rest of its name: empty for `train.csv`, `imdb` for `imdb_train.csv`.
    number, count : int or None
        1 and 2 for the shard `train-00001-of-00002.parquet`.
    family : tuple
        What all shards of a split share.
    """

    path: Path
    split: str
    name: str
    number: int | None
    count: int | None
    family: tuple[str, ...]


def is_ignored(path: Path) -> bool:
    """Return whether a file or folder is hidden, or a mark of Spark such as `_SUCCESS`."""
    return path.name.startswith((".", "_"))


def data_files(folder: Path, format_name: Callable[[Path], str | None]) -> list[Path]:
    """Return the files of a folder that have a format, in natural order."""
    files = (file for file in folder.iterdir() if not is_ignored(file) and file.is_file())
    return natural_order(file for file in files if format_name(file))


def natural_order(paths: Iterable[Path]) -> list[Path]:
    """Sort paths so that `part-2` comes before `part-10`."""

    def key(path: Path) -> list[tuple[int, int | str]]:
        parts = re.split(r"(\d+)", str(path))
        return [(0, int(part)) if part.isdecimal() else (1, part) for part in parts]

    return sorted(paths, key=key)


def split_files(
    files: Iterable[Path],
    stem: Callable[[Path], str],
    format_name: Callable[[Path], str | None],
    where: str,
) -> dict[str, list[Path]]:
    """Return the files of each split, in the order in which they are read.

    Files named `train`, `validation` (or `valid`, `val`, `dev`) and `test`, and their shards such
    as `train-1` or `train-00000-of-00002`. If there is none for train, names such as `imdb_train`
    and `train_imdb` count too.

    Parameters
    ----------
    files : iterable of Path
        The files that have a format.
    stem : callable
        Returns the name of a file without its suffixes.
    format_name : callable
        Returns the name of the format of a file.
    where : str
        The folder, for messages.

    Raises
    ------
    DataError
        Several files that are not shards of each other belong to one split, or a shard is missing.
    """
    matches = [match for file in files if (match := _match(file, stem(file), format_name(file)))]
    if any(match.split == "train" and not match.name for match in matches):
        matches = [match for match in matches if not match.name]
    splits = {split: [match for match in matches if match.split == split] for split in SPLITS}
    return {split: _ordered(members, split, where) for split, members in splits.items() if members}


def _match(path: Path, stem: str, format_name: str | None) -> _SplitFile | None:
    match = _NAME.fullmatch(stem.lower())
    if match is None or (match["before"] and match["after"]):
        return None
    spelling, number, count = match["spelling"], match["number"], match["count"]
    name = match["before"] or match["after"] or ""
    if spelling == "training":
        spelling, name = "train", name or spelling
    return _SplitFile(
        path,
        _SPLIT_OF[spelling],
        name,
        int(number) if number else None,
        int(count) if count else None,
        (spelling, name, format_name or "", count or ""),
    )


def _ordered(files: Sequence[_SplitFile], split: str, where: str) -> list[Path]:
    files = sorted(files, key=lambda file: (file.number is not None, file.number or 0, file.path))
    numbers = [file.number for file in files]
    families = {file.family for file in files}
    if len(families) > 1 or len(set(numbers)) < len(numbers):
        raise DataError(
            f"{where} has several files for the {split} split: "
            f"{listed(sorted(file.path.name for file in files))}.\n"
            "Remove all but one of them, or set data.path to a single file."
        )
    count = files[0].count
    if count is not None and (missing := set(range(count)) - set(numbers)):
        raise DataError(
            f"{where} has {len(files)} of {count} files of the {split} split; "
            f"number {min(missing)} is missing.\n"
            "Download the folder again."
        )
    return [file.path for file in files]
