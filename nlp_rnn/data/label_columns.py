"""Columns that give a row several labels, or none, become label names and memberships."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nlp_rnn.data.labels import read_values
from nlp_rnn.errors import DataError

if TYPE_CHECKING:
    import numpy
    from datasets import Dataset

__all__ = [
    "LabelSets",
    "has_label_lists",
    "label_array",
    "labels_of",
    "read_class_columns",
    "read_joined_labels",
    "read_label_lists",
]


@dataclass(frozen=True)
class LabelSets:
    """The labels of one split whose rows have any number of them.

    `members` is bool (rows, names): whether a row has a label. `missing`, bool (rows,), are the
    rows of which nothing is known (null); a row without a label (an empty list) is none of them.
    """

    names: tuple[str, ...]
    members: "numpy.ndarray[Any, Any]"
    missing: "numpy.ndarray[Any, Any]"
    class_names: tuple[str, ...] | None

    def word_ids(self) -> "numpy.ndarray[Any, Any]":
        """A number for each row that is the same for the same labels in every split, uint64."""
        import numpy
        from pandas.util import hash_array

        hashes = hash_array(numpy.array(self.names, dtype=object), categorize=False)
        numbers = numpy.zeros(len(self.members), numpy.uint64)
        for index, value in enumerate(hashes):  # a sum does not ask for the order, and may wrap
            numbers[self.members[:, index]] += value
        return numbers

    def counts(self, rows: "numpy.ndarray[Any, Any]") -> dict[str, int]:
        """How many of `rows` each label has, labels without any left out."""
        counts = self.members[rows].sum(axis=0)
        return {name: int(n) for name, n in zip(self.names, counts, strict=True) if n}

    def numbered(self, labels: Sequence[str]) -> "numpy.ndarray[Any, Any]":
        """Whether each row has each of `labels`, bool (rows, labels)."""
        import numpy

        place = {name: index for index, name in enumerate(labels)}
        numbered = numpy.zeros((len(self.members), len(labels)), bool)
        for index, name in enumerate(self.names):
            if name in place:
                numbered[:, place[name]] |= self.members[:, index]
        return numbered


def has_label_lists(dataset: "Dataset", column: str) -> bool:
    """Whether a row has a list in `column`."""
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
    renamed: Mapping[str, str] | None = None,
) -> LabelSets:
    """Read a column of lists of what `read_labels` reads; arguments and errors are its own.

    An empty list is a row without a label, null a row of which nothing is known. A label that
    stands in a list twice counts once. Raises `DataError` for null or "" within a list too.
    """
    import numpy
    import pyarrow
    import pyarrow.compute as pc

    if not has_label_lists(dataset, column):
        raise DataError(
            f"{where} has one label a row in its column {column!r}, the train split has lists.\n"
            "Give all splits the same form."
        )
    lists = dataset.select_columns([column]).with_format("arrow")[:].column(column)
    lists = lists.combine_chunks()
    missing = lists.is_null().to_numpy(zero_copy_only=False)
    sizes = pc.fill_null(pc.list_value_length(lists), 0).to_numpy().astype(numpy.int64)
    values = pyarrow.chunked_array([pc.list_flatten(lists)])
    inner = getattr(dataset.features[column], "feature", None)
    found = read_values(values, inner, column, where, class_names, renamed)
    owners = numpy.repeat(numpy.arange(len(sizes)), sizes)
    if found.missing.any():
        row = int(owners[found.missing][0])
        raise DataError(
            f"{where} has in row {row + 1} a list of labels with nothing in one place (null or an "
            f"empty word) in its column {column!r}.\nA text without a label has an empty list."
        )
    members = numpy.zeros((len(sizes), len(found.names)), bool)
    members[owners, found.ids] = True
    return LabelSets(found.names, members, missing, found.class_names)


def read_joined_labels(
    dataset: "Dataset",
    column: str,
    separator: str,
    where: str,
    class_names: tuple[str, ...] | None = None,
    renamed: Mapping[str, str] | None = None,
) -> LabelSets:
    """Read a column of words like `news, sport`, cut at `separator`; blanks around them go.

    Nothing in a cell, or between two separators, is no label: in csv there is no other way to
    write that. Raises `DataError` for cells that are neither words nor whole numbers.
    """
    import numpy
    import pyarrow
    import pyarrow.compute as pc

    values = dataset.select_columns([column]).with_format("arrow")[:].column(column)
    values, kind = values.combine_chunks(), values.type
    if pyarrow.types.is_floating(kind) or not (
        pyarrow.types.is_primitive(kind)
        or pyarrow.types.is_null(kind)
        or pyarrow.types.is_string(kind)
        or pyarrow.types.is_large_string(kind)
        or pyarrow.types.is_string_view(kind)
    ):
        raise DataError(
            f"{where} has in its column {column!r} values of the kind {kind}, not words with "
            "data.label_separator between them.\nLeave it out, or name another column."
        )
    words = pc.fill_null(values.cast(pyarrow.large_string()), "")
    parts = pc.split_pattern(words, separator)
    sizes = pc.list_value_length(parts).to_numpy().astype(numpy.int64)
    owners = numpy.repeat(numpy.arange(len(sizes)), sizes)
    flat = pc.utf8_trim_whitespace(pc.list_flatten(parts))
    said = pc.not_equal(flat, "")
    labels = pyarrow.chunked_array([flat.filter(said)])
    owners = owners[said.to_numpy(zero_copy_only=False)]
    found = read_values(labels, None, column, where, class_names, renamed)
    members = numpy.zeros((len(sizes), len(found.names)), bool)
    members[owners, found.ids] = True
    return LabelSets(found.names, members, numpy.zeros(len(sizes), bool), found.class_names)


def read_class_columns(
    dataset: "Dataset",
    columns: Sequence[str],
    where: str,
    renamed: Mapping[str, str] | None = None,
) -> LabelSets:
    """Read one column a class: true or 1 where a row has it, false or 0 where it has not.

    The classes are named by their columns, or by `renamed`. A row with null in one of them is
    missing. Raises `DataError` for another value.
    """
    import numpy
    import pyarrow
    import pyarrow.compute as pc

    members = numpy.zeros((len(dataset), len(columns)), bool)
    missing = numpy.zeros(len(dataset), bool)
    for index, column in enumerate(columns):
        values = dataset.select_columns([column]).with_format("arrow")[:].column(column)
        values = values.combine_chunks()
        if pyarrow.types.is_null(values.type):
            missing[:] = True
            continue
        unique = pc.unique(values).drop_null().to_pylist()
        # True == 1 == 1.0; a word is none of them
        strange = [value for value in unique if value not in (0, 1)]
        if strange:
            raise DataError(
                f"{where} has {str(strange[0])[:40]!r} in its column {column!r}, which should say "
                "with 0 or 1 whether a text has that label.\n"
                "Name the columns of the classes: 'data.label=[a,b]', or the one of the label."
            )
        missing |= values.is_null().to_numpy(zero_copy_only=False)
        ones = pc.fill_null(values.cast(pyarrow.float64()), 0.0)
        members[:, index] = ones.to_numpy(zero_copy_only=False) == 1
    names = tuple(renamed.get(column, column) if renamed else column for column in columns)
    members[missing] = False
    return LabelSets(names, members, missing, names)


def labels_of(dataset: "Dataset") -> "numpy.ndarray[Any, Any]":
    """The labels of a split of a corpus: int64 (rows,), or bool (rows, labels)."""
    return label_array(dataset.select_columns(["label"]).with_format("arrow")[:].column("label"))


def label_array(column: Any) -> "numpy.ndarray[Any, Any]":
    """As `labels_of`, of the Arrow values of a column."""
    import numpy
    import pyarrow

    if not pyarrow.types.is_fixed_size_list(column.type):
        ids: numpy.ndarray[Any, Any] = column.to_numpy().astype(numpy.int64)
        return ids
    size = column.type.list_size
    flags = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks]
    return numpy.concatenate([numpy.empty(0, bool), *flags]).reshape(-1, size)
