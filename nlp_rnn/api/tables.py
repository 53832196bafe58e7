"""Training data in memory, saved in the run folder and read from there like any other data."""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.api.arguments import as_arguments
from nlp_rnn.data.corpus import quiet_datasets
from nlp_rnn.errors import DataError
from nlp_rnn.sources.formats import plain_stem
from nlp_rnn.sources.split_files import SPELLINGS

if TYPE_CHECKING:
    import pandas as pd
    from datasets import Dataset

__all__ = ["data_arguments"]

Columns = str | Sequence[str]
FORMS = (
    "Pass a path, a pandas DataFrame, a datasets.Dataset or DatasetDict, a mapping from column "
    "names to values,\nor a pair of texts and labels."
)


def data_arguments(
    data: Any, validation: Any, test: Any, text: Columns, label: Columns, folder: Path
) -> list[str]:
    """Return the data options of `nlp-rnn train` for data on disk or in memory.

    Data in memory is saved in `folder/data` first (`DatasetDict.save_to_disk`), so that the run can
    be resumed and repeated.

    Parameters
    ----------
    data : path, DataFrame, Dataset, DatasetDict, mapping, or pair of sequences; None
        Training data, or all splits. A pair holds texts and labels. With None, the data is set by
        other arguments.
    validation, test : like `data`, optional
        Further splits.
    text, label : str or sequence of str
        Columns of the texts and labels.
    folder : Path
        The run folder.

    Returns
    -------
    list of str
        Arguments; empty if `data` is None.

    Raises
    ------
    DataError
        The data has another type, lacks a column, or sets a split twice.
    """
    if data is None:
        if validation is not None or test is not None:
            raise DataError("validation and test need training data.\nPass data as well.")
        return []
    splits = _splits(data, validation, test)
    for name, split in splits.items():
        if isinstance(split, str) and not split.strip():
            raise DataError(
                f"{'data' if name == 'train' else name} is an empty path.\n"
                "Pass the path of a file or folder."
            )
    options: dict[str, Any] = {"data": "files", "data.path": None}
    for key, columns in (("data.text", text), ("data.label", label)):
        options[key] = _names(columns)[0] if _is_single(columns) else _names(columns)
    if all(isinstance(split, str | os.PathLike) for split in splits.values()):
        paths = {name: Path(split).expanduser().absolute() for name, split in splits.items()}
        options["data.path"] = paths["train"] if len(paths) == 1 else _link(paths, folder / "data")
        return as_arguments(options, {})
    saved = {name: _dataset(split, name, text, label) for name, split in splits.items()}
    shutil.rmtree(folder / "data", ignore_errors=True)
    import datasets

    with quiet_datasets():
        datasets.DatasetDict(saved).save_to_disk(folder / "data")
    options["data.path"] = (folder / "data").absolute()
    return as_arguments(options, {})


def _splits(data: Any, validation: Any, test: Any) -> dict[str, Any]:
    """Return the splits by name, with `train` first."""
    splits = {"train": data}
    if _is_dataset_dict(data):
        splits = {}
        for name, spellings in SPELLINGS.items():
            if names := [spelling for spelling in spellings if spelling in data]:
                splits[name] = data[names[0]]
        if "train" not in splits:
            raise DataError(
                f"The DatasetDict has no split train; it has {', '.join(map(str, data))}.\n"
                "Rename the split that is to be trained on to train."
            )
    for name, split in (("validation", validation), ("test", test)):
        if split is None:
            continue
        if name in splits:
            raise DataError(f"The split {name} is set twice: in data, and by {name}=….")
        splits[name] = split
    return splits


def _is_dataset_dict(data: Any) -> bool:
    import datasets

    return isinstance(data, datasets.DatasetDict)


def _link(paths: Mapping[str, Path], folder: Path) -> Path:
    """Return a folder in which files are named by their splits."""
    for path in paths.values():
        if not path.is_file():
            raise DataError(
                f"{path} is not a file. Where validation or test is set, every split is one file."
            )
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, path in paths.items():
        (folder / f"{name}{path.name[len(plain_stem(path)) :]}").symlink_to(path)
    return folder.absolute()


def _dataset(split: Any, name: str, text: Columns, label: Columns) -> "Dataset":
    """Return the columns of texts and labels of one split."""
    import datasets
    import pandas as pd

    columns = [*_names(text), *_names(label)]
    if isinstance(split, str | os.PathLike):
        raise DataError(f"{name} is a path, but other splits are in memory.\n{FORMS}")
    if isinstance(split, Mapping):
        try:
            split = pd.DataFrame({column: list(values) for column, values in split.items()})
        except ValueError as error:
            raise DataError(
                f"The columns of {name} have different lengths.\n"
                "Pass as many values in each column."
            ) from error
    elif isinstance(split, tuple | list) and len(split) == 2:
        paired = _paired(split, name, columns)
        split = split if paired is None else paired
    if not isinstance(split, pd.DataFrame | datasets.Dataset):
        raise DataError(f"{name} is a {type(split).__name__}.\n{FORMS}")
    if isinstance(split, pd.DataFrame):
        split = split.set_axis([*map(str, split.columns)], axis=1)
    existing = list(split.columns if isinstance(split, pd.DataFrame) else split.column_names)
    for column in columns:
        if column not in existing:
            raise DataError(
                f"{name} has no column {column!r}; it has {', '.join(map(repr, existing))}.\n"
                "Set text and label to the names of the columns."
            )
        if existing.count(column) > 1:
            raise DataError(
                f"{name} has several columns named {column!r}.\nRename all but one of them."
            )
    if isinstance(split, datasets.Dataset):
        return split.select_columns(columns)
    return _from_frame(split[columns], name)


def _from_frame(frame: "pd.DataFrame", name: str) -> "Dataset":
    import datasets
    import pyarrow as pa

    arrays = {}
    for column in frame:
        try:
            array = pa.array(frame[column], from_pandas=True)
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise DataError(
                f"The column {column!r} of {name} holds values of several types: {error}.\n"
                f"Convert them, for example to strings: frame[{column!r}].astype(str)"
            ) from error
        if pa.types.is_dictionary(array.type):  # a categorical column
            array = array.dictionary_decode()
        if isinstance(array.type, pa.BaseExtensionType):  # periods and intervals of pandas
            array = pa.array(frame[column].astype(str).where(frame[column].notna()))
        arrays[str(column)] = array
    return datasets.Dataset(pa.table(arrays))


def _paired(split: Sequence[Any], name: str, columns: list[str]) -> "pd.DataFrame | None":
    """Return a pair of texts and labels as a table; None if they are not sequences."""
    import pandas as pd

    texts, labels = (_values(values) for values in split)
    if texts is None or labels is None:
        return None
    if len(texts) != len(labels):
        raise DataError(
            f"{name} has {len(texts):,} texts and {len(labels):,} labels.\n"
            "Pass as many labels as texts."
        )
    if len(columns) != 2:
        raise DataError(
            f"{name} is a pair of texts and labels, which has no columns {', '.join(columns)}.\n"
            "Pass a DataFrame with these columns."
        )
    return pd.DataFrame({columns[0]: texts, columns[1]: labels})


def _values(values: Any) -> list[Any] | None:
    """Return texts or labels as a list; None for a string or another scalar."""
    if isinstance(values, str | bytes | Mapping) or not hasattr(values, "__len__"):
        return None
    return [item.tolist() if hasattr(item, "tolist") else item for item in values]


def _is_single(columns: Columns | int) -> bool:
    return isinstance(columns, str | int)


def _names(columns: Columns | int) -> list[str]:
    """Return the names of columns; pandas has numbers for columns without a name."""
    return [str(columns)] if isinstance(columns, str | int) else [*map(str, columns)]
