"""Label columns of whatever type become label names and ids."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nlp_rnn.errors import DataError

if TYPE_CHECKING:
    import numpy
    from datasets import Dataset

__all__ = ["SplitLabels", "order_labels", "read_labels", "read_values"]


@dataclass(frozen=True)
class SplitLabels:
    """The labels of one split: `names[ids[row]]`; an id of -1 is a row without a label.

    `ids` is int64. `class_names` are the names in the order of a `ClassLabel` column, else None.
    """

    names: tuple[str, ...]
    ids: "numpy.ndarray[Any, Any]"
    class_names: tuple[str, ...] | None

    @property
    def missing(self) -> "numpy.ndarray[Any, Any]":
        """The rows without a label, bool (rows,)."""
        missing: numpy.ndarray[Any, Any] = self.ids < 0
        return missing

    def counts(self, rows: "numpy.ndarray[Any, Any]") -> dict[str, int]:
        """How many of `rows` each label has, labels without any left out."""
        import numpy

        counts = numpy.bincount(self.ids[rows], minlength=len(self.names))
        return {name: int(n) for name, n in zip(self.names, counts, strict=True) if n}

    def numbered(self, labels: Sequence[str]) -> "numpy.ndarray[Any, Any]":
        """The place of each row's label in `labels`, int64 (rows,); -1 for none."""
        import numpy

        place = {name: index for index, name in enumerate(labels)}
        # the last place is that of id -1, a row without a label
        ids = numpy.array([*(place.get(name, -1) for name in self.names), -1], numpy.int64)
        numbered: numpy.ndarray[Any, Any] = ids[self.ids]
        return numbered

    def word_ids(self) -> "numpy.ndarray[Any, Any]":
        """A number for each row that is the same for the same name in every split, uint64."""
        import numpy
        from pandas.util import hash_array

        words = numpy.array([*self.names, ""], dtype=object)  # the last is that of id -1
        numbers: numpy.ndarray[Any, Any] = hash_array(words, categorize=False)[self.ids]
        return numbers


def read_labels(
    dataset: "Dataset",
    column: str,
    where: str,
    class_names: tuple[str, ...] | None = None,
    renamed: Mapping[str, str] | None = None,
) -> SplitLabels:
    """Read integers, strings, booleans, whole floats or a `ClassLabel`.

    Numbers are named by their digits, or by `class_names` (those of train) if given; null, NaN
    and the empty string are no label. `renamed` (`data.label_names`) gives names to labels as they
    were found, numbers or words; one name for two labels makes one class of them. `where` begins
    the sentence of a `DataError`, which is raised for negative numbers (the hub's -1 means no
    label), fractions and anything else.
    """
    feature = dataset.features[column]
    values = dataset.select_columns([column]).with_format("arrow")[:].column(column)
    return read_values(values, feature, column, where, class_names, renamed)


def read_values(
    values: Any,
    feature: Any,
    column: str,
    where: str,
    class_names: tuple[str, ...] | None,
    renamed: Mapping[str, str] | None,
) -> SplitLabels:
    """As `read_labels`, of the Arrow values of a column and the feature that describes them."""
    import pyarrow
    import pyarrow.compute as pc

    kind = values.type
    if pyarrow.types.is_floating(kind) or pyarrow.types.is_decimal(kind):
        values = pc.if_else(pc.is_nan(values.cast("float64")), None, values.cast("float64"))
    elif _is_string(kind):
        values = pc.if_else(pc.equal(values.cast("large_string"), ""), None, values)
    elif not (
        pyarrow.types.is_integer(kind)
        or pyarrow.types.is_boolean(kind)
        or pyarrow.types.is_null(kind)
    ):
        raise DataError(
            f"{where} has in its column {column!r} {_described(feature, values)}, not one label "
            "a row.\n"
            "Name a column of words, whole numbers or lists of them: data.label=COLUMN"
        )
    unique = pc.unique(values).drop_null()
    ids = pc.index_in(values, value_set=unique).fill_null(-1).to_numpy().astype("int64")
    found = unique.to_pylist()
    if not _is_string(kind):
        _check_numbers(found, values, where)
        found = [value if isinstance(value, bool) else int(value) for value in found]
    own_names = tuple(feature.names) if hasattr(feature, "names") else None
    names = own_names or (class_names if pyarrow.types.is_integer(kind) else None)
    if renamed is not None:
        return _renamed([str(value) for value in found], names, ids, renamed, where)
    if names is None:
        return SplitLabels(tuple(str(value) for value in found), ids, None)
    if found and max(found) >= len(names):
        raise DataError(f"{where} has the label {max(found)}, but only {len(names)} label names.")
    return SplitLabels(tuple(names[value] for value in found), ids, own_names)


def _renamed(
    found: list[str],
    names: tuple[str, ...] | None,
    ids: "numpy.ndarray[Any, Any]",
    renamed: Mapping[str, str],
    where: str,
) -> SplitLabels:
    """Give the labels their new names, by number or, in a `ClassLabel`, by their old name."""
    import numpy

    new = []
    for label in found:
        word = renamed.get(label)
        if word is None and names is not None and int(label) < len(names):
            word = renamed.get(names[int(label)])
        if word is None:
            raise DataError(
                f"{where} has the label {label!r}, to which data.label_names gives no name; it has "
                f"names for: {', '.join(list(renamed)[:20])}.\nName every label: "
                f"'data.label_names={{{label}:NAME,…}}', or a list for labels from 0."
            )
        new.append(word)
    order = tuple(dict.fromkeys(renamed.values()))
    place = numpy.array([*(order.index(word) for word in new), -1], numpy.int64)
    return SplitLabels(order, place[ids], order)


def order_labels(
    declared: Sequence[str],
    counts: Mapping[str, Mapping[str, int]],
    notes: list[str],
    several: bool = False,
) -> tuple[str, ...]:
    """Put all labels that have rows in order: those of train first, then those it lacks.

    Within both the order is that of `declared` (a `ClassLabel`, or a column a class), by number if
    all are numbers, else by name. `counts` has the rows of each label of each split. Raises
    `DataError` for a single class; `several` says that a row may have any number of them.
    """
    names = {name for split in counts.values() for name in split}
    order = [*(name for name in declared if name in names), *_sorted(names - {*declared})]
    if unused := [name for name in declared if name not in names]:
        notes.append(f"label names without any row, left out: {', '.join(unused)}")
    seen = [name for name in order if name in counts["train"]]
    if several and len(seen) < 2:
        what = f"a single label, {seen[0]!r}" if seen else "no row with a label"
        raise DataError(
            f"The train split has {what}: that is not several labels to choose from.\n"
            "Name another column, or one that has a class for every text: data.label=COLUMN"
        )
    if len(seen) < 2 and not several:
        raise DataError(
            f"The train split has a single class, {seen[0]!r}: there is nothing to learn.\n"
            "Name another column (data.label=COLUMN) or bring rows of a second class."
        )
    unseen = [name for name in order if name not in counts["train"]]
    for split in counts:
        for name in unseen:
            if rows := counts[split].get(name):
                wrong = "cannot be found" if several else "count as wrong"
                notes.append(
                    f"{split}: label {name!r} is not in train; its rows ({rows:,}) {wrong}"
                )
    return (*seen, *unseen)


def _check_numbers(found: list[Any], values: Any, where: str) -> None:
    import pyarrow.compute as pc

    fractions = [value for value in found if not math.isfinite(value) or value != int(value)]
    if fractions:
        raise DataError(
            f"{where} has labels that are not whole numbers, such as {fractions[0]}.\n"
            "Classes are words or whole numbers from 0; a quantity cannot be learnt as a class."
        )
    if found and (lowest := int(min(found))) < 0:
        rows = pc.sum(pc.less(values, 0)).as_py()
        of_all = "all" if rows == len(values) else f"{rows:,} of {len(values):,}"
        raise DataError(
            f"{where} has label {lowest} in {of_all} rows; -1 means that there is no label.\n"
            "Number the classes from 0 or name them, or use a split that has labels "
            "(data=hub: data.test_split=validation; data=files: take the file away)."
        )


def _sorted(names: set[str]) -> list[str]:
    if all(name.isascii() and name.isdigit() for name in names):
        return sorted(names, key=lambda name: (int(name), name))
    return sorted(names)


def _is_string(kind: Any) -> bool:
    import pyarrow

    return bool(
        pyarrow.types.is_string(kind)
        or pyarrow.types.is_large_string(kind)
        or pyarrow.types.is_string_view(kind)
    )


def _described(feature: Any, values: Any) -> str:
    if type(feature).__name__ == "Json":  # `datasets` keeps what has no one type as JSON
        first: dict[str, str] = {}
        for value in values.drop_null().cast("string").to_pylist()[:10_000]:
            first.setdefault(type(json.loads(value)).__name__, value[:20])
        found = " and ".join(f"{value} ({kind})" for kind, value in list(first.items())[:3])
        return f"values of different kinds, {found}"
    return str(getattr(feature, "dtype", "")) or f"values of the kind {type(feature).__name__}"
