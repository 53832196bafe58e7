"""Readers of label columns, one for each of the forms that labels have in data sets.

| form | reader | result |
|---|---|---|
| one label per row: string, number, boolean or `ClassLabel` | `read_single_labels` | single |
| a list of labels per row, also in a cell: `['a', 'b']` | `read_label_lists` | multi-label |
| equally long lists of 0 and 1, one number for each class | `indicator_labels` | multi-label |
| a string of labels with a separator between them | `read_joined_labels` | multi-label |
| one column of 0 and 1 for each class | `read_class_columns` | multi-label |

`read_labels` picks the reader for a source, once for all of its splits.
"""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from nlp_rnn.data.class_columns import has_only_marks, read_class_columns
from nlp_rnn.data.joined_labels import labels_by_row, read_joined_labels
from nlp_rnn.data.label_lists import (
    as_numbers,
    indicator_labels,
    indicator_length,
    inner_feature,
    list_notes,
)
from nlp_rnn.data.label_values import distinct_values, label_column, name_labels
from nlp_rnn.data.labels import MultiLabels, SingleLabels
from nlp_rnn.data.list_cells import lists_in_records, parse_cells
from nlp_rnn.errors import DataError
from nlp_rnn.sources.columns import is_list, is_string
from nlp_rnn.sources.source import Source

if TYPE_CHECKING:
    pass

__all__ = [
    "read_label_lists",
    "read_labels",
    "read_single_labels",
]


def read_labels(
    source: Source, notes: list[str], known_labels: Collection[str] = ()
) -> dict[str, SingleLabels] | dict[str, MultiLabels]:
    """Read the labels of all splits of `source`.

    The form of the labels and the type of their values are decided once, over all splits.

    Parameters
    ----------
    source : Source
        The splits, the label column or columns, and the options about labels.
    notes : list of str
        Receives a line where the form of the labels was recognized from the values.
    known_labels : collection of str, optional
        The labels of the classifier that is evaluated, as for `name_labels`.

    Raises
    ------
    DataError
        The column holds no labels, or the splits have labels in different forms.
    """
    where = {split: f"The {split} split of {source.name}" for split in source.splits}
    if isinstance(source.label, tuple):
        only_marks = has_only_marks(source.splits, source.label)
        if only_marks:
            notes.append("labels: the columns of the classes have no 0; empty cells are read as 0")
        return {
            split: read_class_columns(
                dataset, source.label, where[split], source.label_names, only_marks
            )
            for split, dataset in source.splits.items()
        }
    column = source.label
    values = {split: label_column(dataset, column) for split, dataset in source.splits.items()}
    features = {split: dataset.features[column] for split, dataset in source.splits.items()}
    lists, written = _lists(values, column, where, notes)
    separator = source.label_separator
    if separator is not None and not (written and lists):
        return read_joined_labels(
            values, column, separator, where, source.label_names, known_labels, notes
        )
    if separator is not None:
        raise DataError(
            f"The column {column!r} of {source.name} has lists in its cells already, which "
            "data.label_separator cannot split.\nRemove data.label_separator."
        )
    if lists is None:
        return read_single_labels(
            values, features, column, where, source.label_names, known_labels, notes
        )
    inner = {split: None if written else inner_feature(features[split]) for split in lists}
    numbers = as_numbers(lists)
    if length := indicator_length(numbers, inner, where):
        return indicator_labels(numbers, length, source.label_names, source.name, notes)
    notes += list_notes(lists, inner)
    return read_label_lists(lists, inner, column, where, source.label_names, known_labels)


def _lists(
    values: Mapping[str, Any], column: str, where: Mapping[str, str], notes: list[str]
) -> tuple[dict[str, Any] | None, bool]:
    """Return the lists of every split, or None for single labels; and whether they were parsed."""
    import pyarrow
    import pyarrow.compute as pc

    lists: dict[str, Any] = {}
    parsed: list[str] = []
    if all(is_string(cells.type) for cells in values.values()) and (
        in_records := lists_in_records(list(values.values()))
    ):
        lists = dict(zip(values, in_records, strict=True))
        parsed = list(lists)
    for split, cells in values.items() if not lists else ():
        if is_list(cells.type):
            lists[split] = cells.combine_chunks()
        elif is_string(cells.type) and (parsed_lists := parse_cells(cells)) is not None:
            lists[split] = parsed_lists
            parsed.append(split)
    if not lists:
        for split, cells in values.items():
            number = pc.sum(_bracketed(cells)).as_py() or 0 if is_string(cells.type) else 0
            if number and 2 * number >= len(cells) - cells.null_count:
                notes.append(
                    f"{split}: {number:,} cells of the column {column!r} look like lists of "
                    f"labels, but others are not: {_first_other(cells)!r}. All are read as text"
                )
        return None, False
    for split, cells in values.items():
        if split not in lists and (not len(cells) or cells.null_count == len(cells)):
            kind = next(iter(lists.values())).type.value_type
            lists[split] = pyarrow.nulls(len(cells), pyarrow.list_(kind))
        if split not in lists:
            listing = next(iter(lists))
            raise DataError(
                f"{where[split]} has one label per row in its column {column!r}, but the {listing} "
                "split has lists.\nUse the same form in all splits."
            )
    if parsed:
        notes.append(
            f"labels: the cells of the column {column!r} are read as lists, such as "
            f"{_example(values[parsed[0]])}"
        )
    return lists, bool(parsed)


def _bracketed(cells: Any) -> Any:
    import pyarrow.compute as pc

    # `[PAD]` is a name
    pattern = r"(?s)^\s*[\[{](?:[^\w].*|.*[,\s].*)?[\]}]?\s*$"
    return pc.match_substring_regex(cells.cast("large_string"), pattern)


def _first_other(cells: Any) -> str:
    import pyarrow
    import pyarrow.compute as pc

    others = pc.unique(cells.filter(pc.invert(_bracketed(cells)))).drop_null()
    texts = [text for text in others.to_pylist() if text.strip()]
    if not texts:  # none of the brackets can be parsed
        texts = [text for text in pc.unique(cells).drop_null().to_pylist() if text.strip()]
        texts = [text for text in texts if parse_cells(pyarrow.chunked_array([[text]])) is None]
    return str(texts[0])[:40]


def _example(cells: Any) -> str:
    import pyarrow.compute as pc

    longest = pc.max(pc.utf8_length(cells.cast("large_string"))).as_py()
    return next(
        str(cell)[:40] for cell in pc.unique(cells).to_pylist() if cell and len(cell) == longest
    )


def read_single_labels(
    values: Mapping[str, Any],
    features: Mapping[str, Any],
    column: str,
    where: Mapping[str, str],
    label_names: Mapping[str, str] | None = None,
    known_labels: Collection[str] = (),
    notes: list[str] | None = None,
) -> dict[str, SingleLabels]:
    """Read a column with one label per row. Null, NaN and an empty string are no label.

    Parameters
    ----------
    values : mapping of str to pyarrow.ChunkedArray
        The label column of each split.
    features : mapping of str to feature
        The type of the column in each split, as `datasets` has it.
    column : str
        Name of the column.
    where : mapping of str to str
        Description of each split, with which error messages begin.
    label_names, known_labels, notes
        As for `name_labels`.

    Raises
    ------
    DataError
        A value is no label, or has no name in `label_names`.
    """
    splits = {
        split: distinct_values(cells, features[split], column, where[split])
        for split, cells in values.items()
    }
    return name_labels(splits, label_names, known_labels, notes)


def read_label_lists(
    lists: Mapping[str, Any],
    features: Mapping[str, Any],
    column: str,
    where: Mapping[str, str],
    label_names: Mapping[str, str] | None = None,
    known_labels: Collection[str] = (),
) -> dict[str, MultiLabels]:
    """Read a column of lists of labels; parameters and errors as in `read_single_labels`.

    An empty list is a row without a label, null a row whose labels are unknown. A label that is
    in a list twice counts once. Null or "" within a list, and a fraction, raise `DataError`.
    """
    import numpy
    import pyarrow
    import pyarrow.compute as pc

    splits, rows = {}, {}
    for split, cells in lists.items():
        sizes = pc.fill_null(pc.list_value_length(cells), 0).to_numpy().astype(numpy.int64)
        values = pyarrow.chunked_array([pc.list_flatten(cells)])
        part = distinct_values(values, features[split], column, where[split])
        rows[split] = numpy.repeat(numpy.arange(len(sizes)), sizes)
        if (part.ids < 0).any():
            raise DataError(
                f"{where[split]} has null or an empty string within the list of labels of row "
                f"{int(rows[split][part.ids < 0][0]) + 1}, column {column!r}.\n"
                "Write an empty list for a text without a label."
            )
        if part.kind == "float" and (
            fractions := [value for value in part.values if value % 1 != 0]
        ):
            raise DataError(
                f"{where[split]} has lists with numbers that are not whole numbers, such as "
                f"{fractions[0]}, in its column {column!r}.\nWrite the labels that each text has, "
                'such as ["rude", "spam"] or [0, 2]; probabilities are not supported.'
            )
        splits[split] = part
    named = name_labels(splits, label_names, known_labels)
    missing = {
        split: cells.is_null().to_numpy(zero_copy_only=False) for split, cells in lists.items()
    }
    return {split: labels_by_row(named[split], rows[split], missing[split]) for split in lists}
