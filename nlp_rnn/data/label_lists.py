"""Lists of labels: lists of 0 and 1 for each class, and notes on other lists."""

from collections.abc import Collection, Mapping
from typing import Any

from nlp_rnn.data.labels import MultiLabels
from nlp_rnn.errors import DataError
from nlp_rnn.sources.columns import is_string

__all__ = [
    "as_numbers",
    "indicator_labels",
    "indicator_length",
    "inner_feature",
    "list_notes",
]

_WRITTEN = {"0": 0, "0.0": 0, "false": 0, "no": 0, "1": 1, "1.0": 1, "true": 1, "yes": 1}
"""What texts of lists mean that have one of them for each class."""


def inner_feature(feature: Any) -> Any:
    """Return the feature of the elements of a list feature of `datasets`, or None."""
    return getattr(feature, "feature", None)


def indicator_length(
    lists: Mapping[str, Any], features: Mapping[str, Any], where: Mapping[str, str]
) -> int | None:
    """Return the length of the lists if all of them hold only 0 and 1, one per class.

    Lists of ids never hold an id twice: where one holds 0 or 1 twice, an empty list means that
    the row has no label, and lists of other lengths are an error.

    Parameters
    ----------
    lists : mapping of str to pyarrow.Array
        For each split, the column of lists.
    features : mapping of str to feature
        For each split, the feature of the elements, or None.
    where : mapping of str to str
        Description of each split, with which error messages begin.

    Returns
    -------
    int or None
        The length, at least 2, which all lists have; None for lists of labels.

    Raises
    ------
    DataError
        The lists of 0 and 1 differ in their lengths, or one of them has another number.
    """
    import numpy
    import pyarrow
    import pyarrow.compute as pc

    lengths: dict[int, int] = {}  # the number of lists of each length
    others: dict[str, Any] = {}  # a list with other numbers than 0 and 1, by split
    repeating = ""  # a split in which a list has 0 or 1 twice
    for split, column in lists.items():
        inner = column.type.value_type
        if hasattr(features[split], "names") or not (
            pyarrow.types.is_integer(inner)
            or pyarrow.types.is_floating(inner)
            or pyarrow.types.is_boolean(inner)
            or pyarrow.types.is_null(inner)
        ):
            return None
        unique = pc.unique(pc.list_flatten(column)).to_pylist()
        if wrong := {value for value in unique if value not in (0, 1)}:
            _check_repetitions(column, wrong, where[split])
            others[split] = _first_with(column, wrong)[1]
            continue
        sizes = pc.list_value_length(column).drop_null().to_numpy(zero_copy_only=False)
        for length, number in zip(*numpy.unique(sizes, return_counts=True), strict=True):
            lengths[int(length)] = lengths.get(int(length), 0) + int(number)
        pairs = column.filter(pc.equal(pc.list_value_length(column), 2))
        values = pc.list_flatten(pairs).cast("float64").to_numpy(zero_copy_only=False)
        if sizes.max(initial=0) > 2 or (values[::2] == values[1::2]).any():
            repeating = repeating or split
    if others:
        split, example = next(iter(others.items()))
        if repeating:
            raise DataError(
                f"{where[repeating]} has lists of 0 and 1 for each class, but the {split} split "
                f"has lists with other numbers: {example}.\n"
                "Write 0 or 1 for each class in all splits, or the ids of the labels, each of them "
                "once: [0, 2]."
            )
        return None
    has_empty = bool(lengths.pop(0, 0))
    if not lengths or max(lengths) < 2 or ((has_empty or len(lengths) > 1) and not repeating):
        return None
    length = max(lengths, key=lambda known: (lengths[known], known))
    if len(lengths) > 1:
        raise _uneven(lists, length, where)
    return length


def as_numbers(lists: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return lists of texts that all mean 0 or 1, such as `["1", "0"]`, as lists of numbers.

    Other columns of lists are returned as they are.
    """
    import pyarrow
    import pyarrow.compute as pc

    numbers = dict(lists)
    for split, column in lists.items():
        if not is_string(column.type.value_type):
            continue
        values = pc.list_flatten(column)
        unique = pc.unique(values)
        written = [_WRITTEN.get((text or "").strip().lower()) for text in unique.to_pylist()]
        if None in written:
            return lists
        flat = pyarrow.array(written, pyarrow.int8()).take(pc.index_in(values, value_set=unique))
        sizes = pc.fill_null(pc.list_value_length(column), 0)
        offsets = pyarrow.array([0, *pc.cumulative_sum(sizes).to_pylist()], pyarrow.int32())
        numbers[split] = pyarrow.ListArray.from_arrays(offsets, flat, mask=column.is_null())
    return numbers


def _check_repetitions(column: Any, others: Collection[Any], where: str) -> None:
    """Raise an error if equally long lists are no ids, as most of them have a number twice.

    `others` are their numbers besides 0 and 1.
    """
    import numpy
    import pyarrow.compute as pc

    sizes = pc.list_value_length(column).drop_null().to_numpy(zero_copy_only=False)
    length = int(sizes.max(initial=0))
    if length < 2 or ((sizes != length) & (sizes != 0)).any():
        return
    rows = pc.list_flatten(column).cast("float64").to_numpy(zero_copy_only=False)
    ordered = numpy.sort(rows.reshape(-1, length), axis=1)
    repeating = (ordered[:, 1:] == ordered[:, :-1]).any(axis=1)
    if 2 * repeating.sum() < len(ordered):
        return
    row, example = _first_with(column, others)
    raise DataError(
        f"{where} has lists that repeat numbers, so that they are no ids, but the list in row "
        f"{row} has other numbers than 0 and 1: {example}.\n"
        "Write 0 or 1 for each class, or the ids of the labels, each of them once: [0, 2]."
    )


def _first_with(column: Any, wanted: Collection[Any]) -> tuple[int, Any]:
    """Return the row, from 1, and the first list with one of the values, or with NaN."""
    return next(
        (row, values)
        for row, values in enumerate(column.to_pylist(), 1)
        if any(value in wanted or value != value for value in values or ())
    )


def list_notes(lists: Mapping[str, Any], features: Mapping[str, Any]) -> list[str]:
    """Return notes on lists that are read as labels, but may be a single label, or votes.

    Parameters
    ----------
    lists, features : mapping
        As for `indicator_length`, which returned None.
    """
    import pyarrow
    import pyarrow.compute as pc

    sizes = {
        size
        for column in lists.values()
        for size in pc.unique(pc.list_value_length(column)).drop_null().to_pylist()
    }
    if max(sizes, default=0) == 1:
        return [
            "labels: no list has two labels, but the data is read as multi-label; if each text has "
            "exactly one label, write it without a list, in pandas: df.label.str[0]"
        ]
    kinds = [column.type.value_type for column in lists.values()]
    if repeated := {
        split: number for split, column in lists.items() if (number := _repeating(column))
    }:
        rows = sum(repeated.values())
        return [
            f"labels: {rows:,} {'list has' if rows == 1 else 'lists have'} a label twice, which "
            "counts once; if the lists are the votes of several people, write the label that most "
            "of them chose"
        ]
    if len(sizes) > 1 or any(hasattr(feature, "names") for feature in features.values()):
        return []
    if not all(pyarrow.types.is_integer(k) or pyarrow.types.is_floating(k) for k in kinds):
        return []
    return [
        f"labels: all lists have {sizes.pop()} numbers, which are read as the ids of the labels; "
        "votes, ranks or scores of each class are not supported: write the labels that each text "
        "has"
    ]


def _repeating(column: Any) -> int:
    """Return the number of lists that have a label twice."""
    import numpy
    import pyarrow.compute as pc

    values = pc.list_flatten(column)
    codes = pc.index_in(values, value_set=pc.unique(values)).to_numpy(zero_copy_only=False)
    sizes = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    rows = numpy.repeat(numpy.arange(len(sizes)), sizes)
    order = numpy.lexsort((codes, rows))
    same = (rows[order][1:] == rows[order][:-1]) & (codes[order][1:] == codes[order][:-1])
    return len(numpy.unique(rows[order][1:][same]))


def _uneven(lists: Mapping[str, Any], length: int, where: Mapping[str, str]) -> DataError:
    """Return the error about the first list of another length than the most frequent one."""
    import pyarrow.compute as pc

    for split, column in lists.items():
        sizes = pc.fill_null(pc.list_value_length(column), 0).to_pylist()
        for row, size in enumerate(sizes, 1):
            if size not in (0, length):
                return DataError(
                    f"{where[split]} has {size} instead of {length} numbers in the list of 0 and 1 "
                    f"in row {row}.\nWrite 0 or 1 for each class in every row, or the ids of the "
                    "labels, each of them once: [0, 2]."
                )
    raise AssertionError("all lists have the same length")


def indicator_labels(
    lists: Mapping[str, Any],
    length: int,
    label_names: Mapping[str, str] | None,
    name: str,
    notes: list[str],
) -> dict[str, MultiLabels]:
    """Return the labels of lists of 0 and 1, one number per class.

    Parameters
    ----------
    lists : mapping of str to pyarrow.Array
        For each split, the column of lists; null is a row whose labels are unknown.
    length : int
        Length of every list.
    label_names : mapping of str to str or None
        The names of the classes by their position from 0.
    name : str
        Name of the data set, for messages.
    notes : list of str
        Receives a line that says how the lists are read.

    Raises
    ------
    DataError
        `label_names` does not name every class.
    """
    import numpy
    import pyarrow.compute as pc

    names = tuple((label_names or {}).get(str(index), "") for index in range(length))
    if "" in names or len(set(names)) < length or len(label_names or {}) != length:
        number = f", not {len(label_names)}" if label_names else ""
        example = ",".join(f"name{index}" for index in range(1, length + 1))
        raise DataError(
            f"The labels of {name} are lists of {length} numbers, 0 or 1 for each class, so that "
            f"data.label_names must have {length} different names{number}.\n"
            f"Set the names of the classes in their order: 'data.label_names=[{example}]'."
        )
    labels: dict[str, MultiLabels] = {}
    for split, column in lists.items():
        missing = column.is_null().to_numpy(zero_copy_only=False)
        members = numpy.zeros((len(column), length), bool)
        filled = pc.fill_null(pc.equal(pc.list_value_length(column), length), False)
        flat = pc.list_flatten(column).cast("float64").to_numpy(zero_copy_only=False)
        members[filled.to_numpy(zero_copy_only=False)] = flat.reshape(-1, length) == 1
        labels[split] = MultiLabels(names, members, missing, names)
    one_hot = all((part.members.sum(axis=1) == 1)[~part.missing].all() for part in labels.values())
    hint = " Every row has exactly one 1; for a single-label task write its name instead."
    shown = ", ".join(names[:20]) + (", …" if length > 20 else "")
    notes.append(
        f"labels: lists of {length} numbers are read as 0 or 1 for each class ({shown}), as "
        f"multi-label data.{hint if one_hot else ''}"
    )
    return labels
