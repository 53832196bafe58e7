"""Reader of multi-label data with several labels in a cell, such as `news, sport`."""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from nlp_rnn.data.label_lists import as_numbers, indicator_labels, indicator_length
from nlp_rnn.data.label_values import distinct_values, name_labels
from nlp_rnn.data.labels import MultiLabels, SingleLabels
from nlp_rnn.errors import DataError
from nlp_rnn.sources.columns import is_string

if TYPE_CHECKING:
    import numpy

__all__ = ["labels_by_row", "read_joined_labels"]


def labels_by_row(
    labels: SingleLabels, rows: "numpy.ndarray[Any, Any]", missing: "numpy.ndarray[Any, Any]"
) -> MultiLabels:
    """Collect labels by the row, int64 (labels,), to which each of them belongs."""
    import numpy

    members = numpy.zeros((len(missing), len(labels.names)), bool)
    members[rows, labels.ids] = True
    return MultiLabels(labels.names, members, missing, labels.class_names)


def read_joined_labels(
    values: Mapping[str, Any],
    column: str,
    separator: str,
    where: Mapping[str, str],
    label_names: Mapping[str, str] | None = None,
    known_labels: Collection[str] = (),
    notes: list[str] | None = None,
) -> dict[str, MultiLabels]:
    """Read a column of strings such as `news, sport`, split at `separator`.

    White space around a label is removed. An empty cell is a row without a label: csv files have
    no other way to write it. Cells such as `1,0,0` have 0 or 1 for each class. Other parameters as
    in `read_single_labels`.

    Raises
    ------
    DataError
        A cell is neither a string nor a whole number, or no row of train has two labels.
    """
    import numpy
    import pyarrow
    import pyarrow.compute as pc

    splits, rows, number_of_rows, cells_of = {}, {}, {}, {}
    for split, chunks in values.items():
        cells = chunks.combine_chunks()
        kind = cells.type
        if pyarrow.types.is_floating(kind) or not (
            pyarrow.types.is_primitive(kind) or pyarrow.types.is_null(kind) or is_string(kind)
        ):
            raise DataError(
                f"{where[split]} has values of type {kind} in its column {column!r}, not strings "
                "that data.label_separator can split.\nRemove data.label_separator, or set "
                "data.label to another column."
            )
        parts = pc.split_pattern(pc.fill_null(cells.cast(pyarrow.large_string()), ""), separator)
        sizes = pc.list_value_length(parts).to_numpy().astype(numpy.int64)
        flat = pc.utf8_trim_whitespace(pc.list_flatten(parts))
        filled = pc.not_equal(flat, "")
        labels = pyarrow.chunked_array([flat.filter(filled)])
        splits[split] = distinct_values(labels, None, column, where[split])
        rows[split] = numpy.repeat(numpy.arange(len(sizes)), sizes)[
            filled.to_numpy(zero_copy_only=False)
        ]
        number_of_rows[split] = len(sizes)
        offsets = numpy.cumsum([0, *numpy.bincount(rows[split], minlength=len(sizes))])
        cells_of[split] = pyarrow.ListArray.from_arrays(
            pyarrow.array(offsets, pyarrow.int32()), labels.combine_chunks().cast("string")
        )
    numbers = as_numbers(cells_of)
    if numbers is not cells_of and (
        length := indicator_length(numbers, dict.fromkeys(values), where)
    ):
        name = f"the column {column!r}"
        return indicator_labels(numbers, length, label_names, name, [] if notes is None else notes)
    named = name_labels(splits, label_names, known_labels)
    labels = {
        split: labels_by_row(named[split], rows[split], numpy.zeros(number_of_rows[split], bool))
        for split in values
    }
    if labels["train"].members.sum(axis=1).max() < 2:
        raise DataError(
            f"{where['train']} has no text with two labels separated by {separator!r} in its "
            f"column {column!r}.\nSet data.label_separator to the separator that the column "
            "has, or remove it for single-label data."
        )
    return labels
