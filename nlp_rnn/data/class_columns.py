"""Reader of multi-label data with one column of 0 and 1 for each class."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nlp_rnn.data.label_values import is_string, label_column
from nlp_rnn.data.labels import MultiLabels
from nlp_rnn.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["read_class_columns"]


def read_class_columns(
    dataset: "Dataset",
    columns: Sequence[str],
    where: str,
    label_names: Mapping[str, str] | None = None,
) -> MultiLabels:
    """Read one column for each class: true or 1 where a row has it, false or 0 where not.

    The classes are named by their columns, or by `label_names`. A row with null in one of the
    columns is missing. Any other value raises `DataError`.
    """
    import numpy
    import pyarrow
    import pyarrow.compute as pc

    members = numpy.zeros((len(dataset), len(columns)), bool)
    missing = numpy.zeros(len(dataset), bool)
    for index, column in enumerate(columns):
        values = label_column(dataset, column).combine_chunks()
        if pyarrow.types.is_null(values.type):
            missing[:] = True
            continue
        if is_string(values.type):
            values = _numbers(values, where, column)
        unique = pc.unique(values).drop_null().to_pylist()
        # True == 1 == 1.0
        if invalid := [value for value in unique if value not in (0, 1)]:
            raise _not_a_class(invalid[0], where, column)
        missing |= values.is_null().to_numpy(zero_copy_only=False)
        ones = pc.fill_null(values.cast(pyarrow.float64()), 0.0)
        members[:, index] = ones.to_numpy(zero_copy_only=False) == 1
    names = tuple(label_names.get(column, column) if label_names else column for column in columns)
    members[missing] = False
    return MultiLabels(names, members, missing, names)


def _numbers(values: Any, where: str, column: str) -> Any:
    """Return cells of text that are 0, 1, true, false or empty as floats."""
    import pyarrow
    import pyarrow.compute as pc

    written = {"0": 0.0, "0.0": 0.0, "false": 0.0, "1": 1.0, "1.0": 1.0, "true": 1.0, "": None}
    unique = pc.unique(values).drop_null()
    cells = unique.to_pylist()
    if invalid := [cell for cell in cells if cell.strip().lower() not in written]:
        raise _not_a_class(invalid[0], where, column)
    table = pyarrow.array([written[cell.strip().lower()] for cell in cells], pyarrow.float64())
    return table.take(pc.index_in(values, value_set=unique))


def _not_a_class(value: Any, where: str, column: str) -> DataError:
    return DataError(
        f"{where} has {str(value)[:40]!r} in its column {column!r}, not 0 or 1.\n"
        "Set data.label to the columns of the classes, 'data.label=[a,b]', or to the one "
        "column of the labels."
    )
