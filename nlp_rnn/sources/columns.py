"""Selection of columns from a table, including fields of nested records."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.errors import DataError
from nlp_rnn.sources.arrow_cache import arrow_batches, write_arrow

if TYPE_CHECKING:
    import pyarrow
    from datasets import Dataset

__all__ = [
    "MissingColumnError",
    "distinct_names",
    "is_binary",
    "is_list",
    "is_string",
    "listed",
    "nested_names",
    "require_columns",
    "select_columns",
    "top_columns",
    "unused_column_notes",
]


_SPLIT_COLUMNS = ("split", "splits", "partition", "dataset_split", "data_split")
_STATUS_COLUMNS = ("answer", "assignmentstatus", "was_cancelled", "is_deleted", "deleted")


class MissingColumnError(DataError):
    """A table lacks required columns.

    Attributes
    ----------
    missing : tuple of str
        The columns that it lacks.
    names : tuple of str
        The columns that it has.
    """

    def __init__(self, message: str, missing: Sequence[str], names: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.missing, self.names = tuple(missing), tuple(names)

    def with_advice(self, advice: str) -> "MissingColumnError":
        """Return the same error with another second line; with its own if `advice` is empty."""
        first, _, default = str(self).partition("\n")
        return MissingColumnError(f"{first}\n{advice or default}", self.missing, self.names)


def require_columns(names: Sequence[str], required: Sequence[str], where: str) -> None:
    """Raise `DataError` unless each required column exists exactly once.

    Parameters
    ----------
    names : sequence of str
        The names of all columns.
    required : sequence of str
        Names of columns, or of fields in nested columns such as `utterance.text`, for which the
        column `utterance` is enough.
    where : str
        Description of the table, with which the message begins.
    """
    for name in top_columns(names, required):
        if name not in names:
            raise MissingColumnError(
                f"{where} has no column {name!r}; it has: {listed(names)}.\n"
                "Set the columns to use: data.text=COLUMN data.label=COLUMN",
                [column for column in required if top_columns(names, [column])[0] not in names],
                names,
            )
        if list(names).count(name) > 1:
            raise DataError(f"{where} has several columns named {name!r}. Rename all but one.")


def top_columns(names: Sequence[str], required: Sequence[str]) -> list[str]:
    """Return the columns that hold the required ones, such as `utterance` for `utterance.text`."""
    tops = []
    for name in required:
        top = name.split(".")[0]
        tops.append(top if name not in names and top in names else name)
    return list(dict.fromkeys(tops))


def distinct_names(names: Sequence[str]) -> list[str]:
    """Return names of columns in which a repeated name has a number, as in pandas: `a`, `a.1`."""
    distinct: list[str] = []
    for name in names:
        number, unique = 0, name
        while unique in distinct or (number and unique in names):
            number += 1
            unique = f"{name}.{number}"
        distinct.append(unique)
    return distinct


def unused_column_notes(names: Sequence[str], columns: Sequence[str], path: Path) -> list[str]:
    """Return notes on columns that are not used but may say which rows to use, and for what.

    Parameters
    ----------
    names : sequence of str
        The names of all columns.
    columns : sequence of str
        Those that are used.
    path : Path
        The file.
    """
    unused = [name for name in names if name not in columns]
    return [
        f"{path.name}: the column {name!r} is not used; if it has the split of each row, write the "
        "rows of each split to a file of its own, such as train.csv and test.csv"
        for name in unused
        if name.strip().lower() in _SPLIT_COLUMNS
    ] + [
        f"{path.name}: the column {name!r} is not used; if it says that rows were rejected or "
        "deleted, remove them"
        for name in unused
        if name.strip().lower() in _STATUS_COLUMNS
    ]


def select_columns(dataset: "Dataset", required: Sequence[str], where: str) -> "Dataset":
    """Return `dataset` with all required columns; it is rewritten only if one of them is nested.

    Parameters
    ----------
    dataset : Dataset
        The table.
    required : sequence of str
        Names of columns, or of fields in nested columns such as `utterance.text`.
    where : str
        Description of the table, with which error messages begin.

    Raises
    ------
    DataError
        A column or field does not exist.
    """
    from datasets import Features

    require_columns(dataset.column_names, required, where)
    if all(name in dataset.column_names for name in required):
        return dataset
    features = {name: _feature(dataset, name, where) for name in required}
    for name, feature in features.items():
        if _is_within_list(dataset, name) and _has_single_values(dataset, name):
            features[name] = feature.feature
    schema = Features(features).arrow_schema
    batches = (_select(table, required, schema) for table in arrow_batches(dataset))
    return write_arrow(("columns", 2, dataset._fingerprint, *required), schema, batches)


def nested_names(features: Mapping[str, Any]) -> list[str]:
    """Return the names of all columns and, of nested ones, of their fields, such as `a.b`."""
    names = []
    for name, feature in features.items():
        names.append(name)
        while isinstance(feature, list) or hasattr(feature, "feature"):
            feature = feature[0] if isinstance(feature, list) else feature.feature
        if isinstance(feature, dict):
            names[-1:] = [f"{name}.{inner}" for inner in nested_names(feature)]
    return names


def _is_within_list(dataset: "Dataset", name: str) -> bool:
    """Return whether a field is within a list of records, as `annotations.result` is."""
    if name in dataset.column_names:
        return False
    top, *fields = name.split(".")
    feature = dataset.features[top]
    for field in fields:
        if hasattr(feature, "feature"):
            return True
        feature = feature[field]
    return False


def _has_single_values(dataset: "Dataset", name: str) -> bool:
    """Return whether no row has several values of a field within a list."""
    top, *fields = name.split(".")
    return all(
        max(_sizes(*_flattened(table.column(top), fields)[1:]), default=0) <= 1
        for table in arrow_batches(dataset.select_columns([top]))
    )


def _flattened(column: Any, fields: Sequence[str]) -> "tuple[pyarrow.Array, Any, int]":
    """Return the values of a field within lists, the row of each of them, and the rows."""
    import numpy
    import pyarrow.compute as pc

    values = column.combine_chunks()
    number = len(values)
    rows = numpy.arange(number)
    for field in (*fields, None):
        while is_list(values.type):
            rows = rows[pc.list_parent_indices(values).to_numpy()]
            values = pc.list_flatten(values)
        if field is not None:
            values = pc.struct_field(values, field)
    filled = pc.is_valid(values)
    return values.filter(filled), rows[filled.to_numpy(zero_copy_only=False)], number


def _sizes(rows: Any, number: int) -> Any:
    import numpy

    return numpy.bincount(rows, minlength=number)


def is_list(kind: Any) -> bool:
    """Return whether an Arrow type is one of the list types."""
    import pyarrow

    return bool(
        pyarrow.types.is_list(kind)
        or pyarrow.types.is_large_list(kind)
        or pyarrow.types.is_fixed_size_list(kind)
    )


def is_string(kind: Any) -> bool:
    """Return whether an Arrow type is one of the string types."""
    import pyarrow

    return bool(
        pyarrow.types.is_string(kind)
        or pyarrow.types.is_large_string(kind)
        or pyarrow.types.is_string_view(kind)
    )


def is_binary(kind: Any) -> bool:
    """Return whether an Arrow type is bytes, as which Hive and Impala store text in parquet."""
    import pyarrow

    return bool(
        pyarrow.types.is_binary(kind)
        or pyarrow.types.is_large_binary(kind)
        or pyarrow.types.is_binary_view(kind)
    )


def _feature(dataset: "Dataset", name: str, where: str) -> Any:
    """Return the type of a column, or of a field within a nested column.

    A field within a list of records has a list of values in each row.
    """
    import datasets

    if name in dataset.column_names:
        return dataset.features[name]
    top, *fields = name.split(".")
    feature, path = dataset.features[top], top
    for field in fields:
        while hasattr(feature, "feature"):
            feature = feature.feature
        if not isinstance(feature, dict):
            raise DataError(
                f"{where} has no nested records in {path!r}, so that {name!r} does not exist.\n"
                f"It has the columns: {listed(dataset.column_names)}."
            )
        if field not in feature:
            raise DataError(
                f"{where} has no field {field!r} in {path!r}; it has: {listed(feature)}."
            )
        feature, path = feature[field], f"{path}.{field}"
    if not _is_within_list(dataset, name):
        return feature
    while hasattr(feature, "feature"):
        feature = feature.feature
    return datasets.List(feature)


def _select(
    table: "pyarrow.Table", required: Sequence[str], schema: "pyarrow.Schema"
) -> "pyarrow.RecordBatch":
    import pyarrow
    import pyarrow.compute as pc

    columns = []
    for name, field in zip(required, schema, strict=True):
        if name in table.column_names:
            column = table.column(name)
        elif _crosses_list(table.column(top := name.split(".")[0]).type, name.split(".")[1:]):
            values, rows, number = _flattened(table.column(top), name.split(".")[1:])
            sizes = _sizes(rows, number)
            offsets = pyarrow.array([0, *sizes.cumsum()], pyarrow.int32())
            if is_list(field.type):
                column = pyarrow.ListArray.from_arrays(offsets, values)
            else:
                index = pyarrow.array(offsets.to_numpy()[:-1], mask=sizes == 0)
                column = values.take(index)
            columns.append(column.cast(field.type))
            continue
        else:
            top, *inner = name.split(".")
            column = pc.struct_field(table.column(top), inner)
        columns.append(column.combine_chunks().cast(field.type))
    return pyarrow.RecordBatch.from_arrays(columns, schema=schema)


def _crosses_list(kind: Any, fields: Sequence[str]) -> bool:
    """Return whether a list is on the way from a column to a field."""
    for field in fields:
        if is_list(kind):
            return True
        kind = kind.field(field).type
    return False


def listed(names: Iterable[str]) -> str:
    """Join names for a message: the first twenty, each in one line of at most forty characters."""
    lines = [" ".join(name.split()) if "\n" in name or "\r" in name else name for name in names]
    short = [name if len(name) <= 40 else name[:40] + "…" for name in lines]
    return ", ".join(short[:20]) + (f" and {len(short) - 20} more" if len(short) > 20 else "")
