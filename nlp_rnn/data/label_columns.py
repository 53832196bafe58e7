"""Readers of label columns, one for each of the forms that labels have in data sets.

| form | reader | result |
|---|---|---|
| one label per row: string, whole number, boolean or `ClassLabel` | `read_single_labels` | single |
| a list of labels per row | `read_label_lists` | multi-label |
| a string of labels with a separator between them | `read_joined_labels` | multi-label |
| one column of 0 and 1 for each class | `read_class_columns` | multi-label |

`read_labels` picks the reader for a source.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nlp_rnn.data.label_values import is_string, label_column, read_single_labels, read_values
from nlp_rnn.data.labels import MultiLabels, SingleLabels
from nlp_rnn.errors import DataError
from nlp_rnn.sources.source import Source

if TYPE_CHECKING:
    import numpy
    from datasets import Dataset

__all__ = [
    "read_class_columns",
    "read_joined_labels",
    "read_label_lists",
    "read_labels",
]


def read_labels(
    source: Source, split: str, train: SingleLabels | MultiLabels | None
) -> SingleLabels | MultiLabels:
    """Read the labels of one split of `source`.

    The form of the labels follows from the options and from the train split, which is read first.

    Parameters
    ----------
    source : Source
        The splits, the label column or columns, and the options about labels.
    split : str
        `train`, `validation` or `test`.
    train : SingleLabels or MultiLabels or None
        The labels of train; None while train itself is read.

    Raises
    ------
    DataError
        The column holds no labels, or labels in another form than train.
    """
    dataset, label_names = source.splits[split], source.label_names
    where = f"The {split} split of {source.name}"
    if isinstance(source.label, tuple):
        return read_class_columns(dataset, source.label, where, label_names)
    class_names = train.class_names if train else None
    if (separator := source.label_separator) is not None:
        labels = read_joined_labels(
            dataset, source.label, separator, where, class_names, label_names
        )
        if train is None and labels.members.sum(axis=1).max() < 2:
            raise DataError(
                f"{where} has no text with two labels separated by {separator!r} in its column "
                f"{source.label!r}.\nSet data.label_separator to the separator that the column "
                "has, or remove it for single-label data."
            )
        return labels
    lists = _has_lists(dataset, source.label) if train is None else isinstance(train, MultiLabels)
    read = read_label_lists if lists else read_single_labels
    return read(dataset, source.label, where, class_names, label_names)


def _has_lists(dataset: "Dataset", column: str) -> bool:
    import pyarrow

    kind = dataset.data.schema.field(column).type
    return bool(
        pyarrow.types.is_list(kind)
        or pyarrow.types.is_large_list(kind)
        or pyarrow.types.is_fixed_size_list(kind)
    )


def read_label_lists(
    dataset: "Dataset",
    column: str,
    where: str,
    class_names: tuple[str, ...] | None = None,
    label_names: Mapping[str, str] | None = None,
) -> MultiLabels:
    """Read a column of lists of labels; parameters and errors as in `read_single_labels`.

    An empty list is a row without a label, null a row whose labels are unknown. A label that is
    in a list twice counts once. Null or "" within a list raises `DataError`.
    """
    import numpy
    import pyarrow
    import pyarrow.compute as pc

    if not _has_lists(dataset, column):
        raise DataError(
            f"{where} has one label per row in its column {column!r}, but the train split has "
            "lists.\nUse the same form in all splits."
        )
    lists = label_column(dataset, column).combine_chunks()
    missing = lists.is_null().to_numpy(zero_copy_only=False)
    sizes = pc.fill_null(pc.list_value_length(lists), 0).to_numpy().astype(numpy.int64)
    values = pyarrow.chunked_array([pc.list_flatten(lists)])
    inner = getattr(dataset.features[column], "feature", None)
    labels = read_values(values, inner, column, where, class_names, label_names)
    rows = numpy.repeat(numpy.arange(len(sizes)), sizes)
    if labels.missing.any():
        raise DataError(
            f"{where} has null or an empty string within the list of labels of row "
            f"{int(rows[labels.missing][0]) + 1}, column {column!r}.\n"
            "Write an empty list for a text without a label."
        )
    return _members(labels, rows, missing)


def _members(
    labels: SingleLabels, rows: "numpy.ndarray[Any, Any]", missing: "numpy.ndarray[Any, Any]"
) -> MultiLabels:
    """Collect labels by the row, int64 (labels,), to which each of them belongs."""
    import numpy

    members = numpy.zeros((len(missing), len(labels.names)), bool)
    members[rows, labels.ids] = True
    return MultiLabels(labels.names, members, missing, labels.class_names)


def read_joined_labels(
    dataset: "Dataset",
    column: str,
    separator: str,
    where: str,
    class_names: tuple[str, ...] | None = None,
    label_names: Mapping[str, str] | None = None,
) -> MultiLabels:
    """Read a column of strings such as `news, sport`, split at `separator`.

    White space around a label is removed. An empty cell is a row without a label: csv files have
    no other way to write it. Other parameters as in `read_single_labels`. A cell that is neither
    a string nor a whole number raises `DataError`.
    """
    import numpy
    import pyarrow
    import pyarrow.compute as pc

    values = label_column(dataset, column).combine_chunks()
    kind = values.type
    if pyarrow.types.is_floating(kind) or not (
        pyarrow.types.is_primitive(kind) or pyarrow.types.is_null(kind) or is_string(kind)
    ):
        raise DataError(
            f"{where} has values of type {kind} in its column {column!r}, not strings that "
            "data.label_separator can split.\nRemove data.label_separator, or set data.label to "
            "another column."
        )
    cells = pc.fill_null(values.cast(pyarrow.large_string()), "")
    parts = pc.split_pattern(cells, separator)
    sizes = pc.list_value_length(parts).to_numpy().astype(numpy.int64)
    rows = numpy.repeat(numpy.arange(len(sizes)), sizes)
    flat = pc.utf8_trim_whitespace(pc.list_flatten(parts))
    filled = pc.not_equal(flat, "")
    chunks = pyarrow.chunked_array([flat.filter(filled)])
    labels = read_values(chunks, None, column, where, class_names, label_names)
    rows = rows[filled.to_numpy(zero_copy_only=False)]
    return _members(labels, rows, numpy.zeros(len(sizes), bool))


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
        unique = pc.unique(values).drop_null().to_pylist()
        # True == 1 == 1.0; a string equals neither
        if invalid := [value for value in unique if value not in (0, 1)]:
            raise DataError(
                f"{where} has {str(invalid[0])[:40]!r} in its column {column!r}, not 0 or 1.\n"
                "Set data.label to the columns of the classes, 'data.label=[a,b]', or to the one "
                "column of the labels."
            )
        missing |= values.is_null().to_numpy(zero_copy_only=False)
        ones = pc.fill_null(values.cast(pyarrow.float64()), 0.0)
        members[:, index] = ones.to_numpy(zero_copy_only=False) == 1
    names = tuple(label_names.get(column, column) if label_names else column for column in columns)
    members[missing] = False
    return MultiLabels(names, members, missing, names)
