"""Unlabelled texts in memory, saved in the run folder and read from there like any others."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nlp_rnn.api.arguments import as_arguments
from nlp_rnn.errors import DataError

__all__ = ["unlabelled_arguments"]

FORMS = (
    "Pass a path, a list of texts, a pandas DataFrame, a datasets.Dataset, or a mapping from "
    "column\nnames to values."
)


def unlabelled_arguments(unlabelled: Any, text: str | Sequence[str], folder: Path) -> list[str]:
    """Return the option `data.unlabelled` for texts on disk or in memory.

    Texts in memory are saved in `folder/unlabelled.parquet`, so that the run can be resumed and
    repeated.

    Parameters
    ----------
    unlabelled : path, sequence of str, DataFrame, Dataset or mapping; None
        The texts. A table has the columns of the texts.
    text : str or sequence of str
        Columns of the texts.
    folder : Path
        The run folder.

    Returns
    -------
    list of str
        Arguments; empty if `unlabelled` is None.

    Raises
    ------
    DataError
        The texts have another type, or lack a column.
    """
    if unlabelled is None:
        return []
    if isinstance(unlabelled, str | os.PathLike):
        return as_arguments({"data.unlabelled": Path(unlabelled).expanduser().absolute()}, {})
    import datasets

    columns = [text] if isinstance(text, str) else list(text)
    dataset = _dataset(unlabelled, columns)
    for column in columns:
        if column not in dataset.column_names:
            names = ", ".join(map(repr, dataset.column_names))
            raise DataError(
                f"unlabelled has no column {column!r}; it has {names}.\n"
                "Set text to the name of the column."
            )
    path = (folder / "unlabelled.parquet").absolute()
    folder.mkdir(parents=True, exist_ok=True)
    bars = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        dataset.select_columns(columns).to_parquet(path)
    finally:
        if bars:
            datasets.enable_progress_bars()
    return as_arguments({"data.unlabelled": path}, {})


def _dataset(unlabelled: Any, columns: list[str]) -> Any:
    import datasets
    import pandas as pd

    if isinstance(unlabelled, datasets.Dataset):
        return unlabelled
    if isinstance(unlabelled, Mapping):
        unlabelled = pd.DataFrame({name: list(values) for name, values in unlabelled.items()})
    if isinstance(unlabelled, pd.DataFrame):
        return datasets.Dataset.from_pandas(unlabelled, preserve_index=False)
    if not isinstance(unlabelled, Sequence | pd.Series) and not hasattr(unlabelled, "tolist"):
        raise DataError(f"unlabelled is a {type(unlabelled).__name__}.\n{FORMS}")
    texts = list(unlabelled)
    if odd := [one for one in texts if not isinstance(one, str)]:
        raise DataError(f"unlabelled has a {type(odd[0]).__name__} among its texts.\n{FORMS}")
    if len(columns) != 1:
        raise DataError(
            f"unlabelled is a list of texts, which has no columns {', '.join(columns)}.\n"
            "Pass a DataFrame with these columns."
        )
    return datasets.Dataset.from_dict({columns[0]: texts})
