"""Label values of a column, of any supported type, as label names and ids."""

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nlp_rnn.data.labels import SingleLabels
from nlp_rnn.errors import DataError

if TYPE_CHECKING:
    import numpy
    from datasets import Dataset

__all__ = ["is_string", "label_column", "read_single_labels", "read_values"]


def read_single_labels(
    dataset: "Dataset",
    column: str,
    where: str,
    class_names: tuple[str, ...] | None = None,
    label_names: Mapping[str, str] | None = None,
) -> SingleLabels:
    """Read a column of integers, strings, booleans, whole floats or `ClassLabel` ids.

    Null, NaN and the empty string are no label. A number is named by its digits, or by
    `class_names` where they are passed.

    Parameters
    ----------
    dataset : Dataset
        A split.
    column : str
        Name of the label column.
    where : str
        Description of the split, with which error messages begin.
    class_names : tuple of str, optional
        Names of the labels 0, 1, … in train.
    label_names : mapping of str to str, optional
        `data.label_names`: a name for each label as it is in the data. One name for two labels
        makes them one class.

    Raises
    ------
    DataError
        A label is negative (on the hub -1 means no label), a fraction or of another type, or
        has no name in `label_names`.
    """
    values = label_column(dataset, column)
    return read_values(values, dataset.features[column], column, where, class_names, label_names)


def label_column(dataset: "Dataset", column: str) -> Any:
    """Return the Arrow values of a column, with the row selection of `dataset` applied."""
    return dataset.select_columns([column]).with_format("arrow")[:].column(column)


def read_values(
    values: Any,
    feature: Any,
    column: str,
    where: str,
    class_names: tuple[str, ...] | None,
    label_names: Mapping[str, str] | None,
) -> SingleLabels:
    """Read labels from Arrow values and their feature, as `read_single_labels` does."""
    import pyarrow
    import pyarrow.compute as pc

    kind = values.type
    if pyarrow.types.is_floating(kind) or pyarrow.types.is_decimal(kind):
        values = pc.if_else(pc.is_nan(values.cast("float64")), None, values.cast("float64"))
    elif is_string(kind):
        values = pc.if_else(pc.equal(values.cast("large_string"), ""), None, values)
    elif not (
        pyarrow.types.is_integer(kind)
        or pyarrow.types.is_boolean(kind)
        or pyarrow.types.is_null(kind)
    ):
        raise DataError(
            f"{where} has {_described(feature, values)} in its column {column!r}, not one label "
            "per row.\nSet data.label to a column of strings, of whole numbers or of lists of them."
        )
    unique = pc.unique(values).drop_null()
    ids = pc.index_in(values, value_set=unique).fill_null(-1).to_numpy().astype("int64")
    labels = unique.to_pylist()
    if not is_string(kind):
        _check_numbers(labels, values, where)
        labels = [value if isinstance(value, bool) else int(value) for value in labels]
    declared = tuple(feature.names) if hasattr(feature, "names") else None
    names = declared or (class_names if pyarrow.types.is_integer(kind) else None)
    if label_names is not None:
        return _renamed([str(value) for value in labels], names, ids, label_names, where)
    if names is None:
        return SingleLabels(tuple(str(value) for value in labels), ids, None)
    if labels and max(labels) >= len(names):
        raise DataError(
            f"{where} has the label {max(labels)}, but there are only {len(names)} label names."
        )
    return SingleLabels(tuple(names[value] for value in labels), ids, declared)


def _renamed(
    labels: list[str],
    names: tuple[str, ...] | None,
    ids: "numpy.ndarray[Any, Any]",
    label_names: Mapping[str, str],
    where: str,
) -> SingleLabels:
    """Name the labels as `label_names` says: by number or, in a `ClassLabel`, by old name."""
    import numpy

    new_names = []
    for label in labels:
        name = label_names.get(label)
        if name is None and names is not None and int(label) < len(names):
            name = label_names.get(names[int(label)])
        if name is None:
            raise DataError(
                f"{where} has the label {label!r}, which has no name in data.label_names; there "
                f"are names for: {', '.join(list(label_names)[:20])}.\nName every label: "
                f"'data.label_names={{{label}:NAME,…}}', or a list for the labels from 0."
            )
        new_names.append(name)
    order = tuple(dict.fromkeys(label_names.values()))
    table = numpy.array([*(order.index(name) for name in new_names), -1], numpy.int64)
    return SingleLabels(order, table[ids], order)


def _check_numbers(labels: list[Any], values: Any, where: str) -> None:
    import pyarrow.compute as pc

    fractions = [value for value in labels if not math.isfinite(value) or value != int(value)]
    if fractions:
        raise DataError(
            f"{where} has labels that are not whole numbers, such as {fractions[0]}.\n"
            "Classes are strings or whole numbers from 0; regression is not supported."
        )
    if labels and (lowest := int(min(labels))) < 0:
        rows = pc.sum(pc.less(values, 0)).as_py()
        of_all = "all" if rows == len(values) else f"{rows:,} of {len(values):,}"
        raise DataError(
            f"{where} has label {lowest} in {of_all} rows; -1 means that there is no label.\n"
            "Number the classes from 0 or name them, or use a split that has labels "
            "(data=hub: data.test_split=validation; data=files: remove the file)."
        )


def is_string(kind: Any) -> bool:
    """Return whether an Arrow type is one of the string types."""
    import pyarrow

    return bool(
        pyarrow.types.is_string(kind)
        or pyarrow.types.is_large_string(kind)
        or pyarrow.types.is_string_view(kind)
    )


def _described(feature: Any, values: Any) -> str:
    if type(feature).__name__ == "Json":  # `datasets` stores what has no single type as JSON
        first: dict[str, str] = {}
        for value in values.drop_null().cast("string").to_pylist()[:10_000]:
            first.setdefault(type(json.loads(value)).__name__, value[:20])
        examples = " and ".join(f"{value} ({kind})" for kind, value in list(first.items())[:3])
        return f"values of different types, {examples},"
    return f"values of type {getattr(feature, 'dtype', '') or type(feature).__name__}"
