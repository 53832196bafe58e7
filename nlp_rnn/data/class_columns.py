"""Reader of multi-label data with one column of 0 and 1 for each class."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nlp_rnn.data.label_values import label_column
from nlp_rnn.data.labels import MultiLabels
from nlp_rnn.errors import DataError
from nlp_rnn.sources.columns import is_string

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["has_only_marks", "read_class_columns"]

_ONES = ("1", "1.0", "true", "t", "yes", "y", "x")
_ZEROS = ("0", "0.0", "false", "f", "no", "n")


def has_only_marks(splits: "Mapping[str, Dataset]", columns: Sequence[str]) -> bool:
    """Return whether the columns of classes have ones and empty cells, but no 0 in any split."""
    import pyarrow.compute as pc

    has_empty = False
    for dataset in splits.values():
        for column in columns:
            for value in pc.unique(label_column(dataset, column)).to_pylist():
                text = "" if value is None or value != value else str(value).strip().lower()
                if text and text not in _ONES:
                    return False
                has_empty |= not text
    return has_empty


def read_class_columns(
    dataset: "Dataset",
    columns: Sequence[str],
    where: str,
    label_names: Mapping[str, str] | None = None,
    only_marks: bool = False,
) -> MultiLabels:
    """Read one column for each class: true or 1 where a row has it, false or 0 where not.

    Text can also be `yes`, `y`, `t` or `x`, and `no`, `n` or `f`. Any other value raises
    `DataError`.

    Parameters
    ----------
    dataset : Dataset
        The split.
    columns : sequence of str
        One column for each class.
    where : str
        Description of the split, with which error messages begin.
    label_names : mapping of str to str, optional
        Names of the classes by column. By default they are named by their columns.
    only_marks : bool
        Whether null or an empty cell means 0, as where a spreadsheet has only marks; otherwise a
        row with null in one of the columns is missing.
    """
    import numpy
    import pyarrow
    import pyarrow.compute as pc

    members = numpy.zeros((len(dataset), len(columns)), bool)
    missing = numpy.zeros(len(dataset), bool)
    for index, column in enumerate(columns):
        values = label_column(dataset, column).combine_chunks()
        if pyarrow.types.is_null(values.type):
            missing[:] = not only_marks
            continue
        if is_string(values.type):
            values = _numbers(values, where, column)
        unique = pc.unique(values).drop_null().to_pylist()
        # True == 1 == 1.0, and NaN is no label
        if invalid := [value for value in unique if value not in (0, 1) and value == value]:
            raise _not_a_class(invalid[0], where, column)
        if not only_marks:
            missing |= values.is_null(nan_is_null=True).to_numpy(zero_copy_only=False)
        ones = pc.fill_null(values.cast(pyarrow.float64()), 0.0)
        members[:, index] = ones.to_numpy(zero_copy_only=False) == 1
    names = tuple(label_names.get(column, column) if label_names else column for column in columns)
    members[missing] = False
    return MultiLabels(names, members, missing, names)


def _numbers(values: Any, where: str, column: str) -> Any:
    """Return cells of text that mean 0 or 1, or are empty, as floats."""
    import pyarrow
    import pyarrow.compute as pc

    written: dict[str, float | None] = {"": None}
    written |= dict.fromkeys(_ZEROS, 0.0) | dict.fromkeys(_ONES, 1.0)
    unique = pc.unique(values).drop_null()
    cells = unique.to_pylist()
    if invalid := [cell for cell in cells if cell.strip().lower() not in written]:
        raise _not_a_class(invalid[0], where, column)
    table = pyarrow.array([written[cell.strip().lower()] for cell in cells], pyarrow.float64())
    return table.take(pc.index_in(values, value_set=unique))


def _not_a_class(value: Any, where: str, column: str) -> DataError:
    return DataError(
        f"{where} has {str(value)[:40]!r} in its column {column!r}, not 0 or 1 (true or false, "
        "yes or no).\n"
        f"Such columns need 0 or 1 for each class. If {column!r} has names of labels, set it "
        f"alone: data.label={column}"
    )
