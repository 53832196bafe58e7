"""The labels of a split as arrays: one label per row, or any number of labels per row.

`SingleLabels` and `MultiLabels` have the same properties and methods, so that the corpus treats
both tasks alike. `label_columns` reads them from the columns of a data set.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nlp_rnn.errors import DataError

if TYPE_CHECKING:
    import numpy
    from datasets import Dataset

__all__ = [
    "MultiLabels",
    "SingleLabels",
    "label_array",
    "labels_of",
    "order_labels",
]


@dataclass(frozen=True)
class SingleLabels:
    """The labels of a split for single-label classification.

    Attributes
    ----------
    names : tuple of str
        Label names in the order in which `ids` counts them.
    ids : int64 array of shape (rows,)
        Index into `names`; -1 for a row without a label.
    class_names : tuple of str or None
        Names in the order that the data declares (a `ClassLabel` column, `data.label_names`).
    """

    names: tuple[str, ...]
    ids: "numpy.ndarray[Any, Any]"
    class_names: tuple[str, ...] | None

    @property
    def missing(self) -> "numpy.ndarray[Any, Any]":
        """Mask of the rows without a label, bool (rows,)."""
        missing: numpy.ndarray[Any, Any] = self.ids < 0
        return missing

    def counts(self, rows: "numpy.ndarray[Any, Any]") -> dict[str, int]:
        """Count `rows` (int64) by label; labels without any row are left out."""
        import numpy

        counts = numpy.bincount(self.ids[rows], minlength=len(self.names))
        return {name: int(n) for name, n in zip(self.names, counts, strict=True) if n}

    def encode(self, labels: Sequence[str]) -> "numpy.ndarray[Any, Any]":
        """Return the index of each row's label in `labels`, int64 (rows,); -1 for none."""
        import numpy

        index_of = {name: index for index, name in enumerate(labels)}
        # the last entry serves the id -1, a row without a label
        table = numpy.array([*(index_of.get(name, -1) for name in self.names), -1], numpy.int64)
        encoded: numpy.ndarray[Any, Any] = table[self.ids]
        return encoded

    def row_hashes(self) -> "numpy.ndarray[Any, Any]":
        """Hash each row's label name, uint64 (rows,): equal labels are equal in every split."""
        import numpy
        from pandas.util import hash_array

        names = numpy.array([*self.names, ""], dtype=object)  # the last entry serves the id -1
        hashes: numpy.ndarray[Any, Any] = hash_array(names, categorize=False)[self.ids]
        return hashes


@dataclass(frozen=True)
class MultiLabels:
    """The labels of a split for multi-label classification.

    Attributes
    ----------
    names : tuple of str
        Label names, one for each column of `members`.
    members : bool array of shape (rows, names)
        Whether a row has a label. A row may have none.
    missing : bool array of shape (rows,)
        Rows whose labels are unknown (null); a row with an empty list is not among them.
    class_names : tuple of str or None
        Names in the order that the data declares, as in `SingleLabels`.
    """

    names: tuple[str, ...]
    members: "numpy.ndarray[Any, Any]"
    missing: "numpy.ndarray[Any, Any]"
    class_names: tuple[str, ...] | None

    def counts(self, rows: "numpy.ndarray[Any, Any]") -> dict[str, int]:
        """Count `rows` (int64) by label; labels without any row are left out."""
        counts = self.members[rows].sum(axis=0)
        return {name: int(n) for name, n in zip(self.names, counts, strict=True) if n}

    def encode(self, labels: Sequence[str]) -> "numpy.ndarray[Any, Any]":
        """Return whether each row has each of `labels`, bool (rows, labels)."""
        import numpy

        index_of = {name: index for index, name in enumerate(labels)}
        encoded = numpy.zeros((len(self.members), len(labels)), bool)
        for column, name in enumerate(self.names):
            if name in index_of:
                encoded[:, index_of[name]] |= self.members[:, column]
        return encoded

    def row_hashes(self) -> "numpy.ndarray[Any, Any]":
        """Hash each row's set of labels, uint64 (rows,): equal sets are equal in every split."""
        import numpy
        from pandas.util import hash_array

        name_hashes = hash_array(numpy.array(self.names, dtype=object), categorize=False)
        hashes = numpy.zeros(len(self.members), numpy.uint64)
        for column, value in enumerate(name_hashes):  # a sum ignores the order, and may overflow
            hashes[self.members[:, column]] += value
        return hashes


def order_labels(
    class_names: Sequence[str],
    counts: Mapping[str, Mapping[str, int]],
    notes: list[str],
    multi_label: bool = False,
    least: int = 2,
) -> tuple[str, ...]:
    """Return all labels that have rows: first those of train, then those that train lacks.

    Within both parts the order is that of `class_names`, then numerical if all remaining labels
    are numbers, else alphabetical.

    Parameters
    ----------
    class_names : sequence of str
        Declared label names, in their order; may be empty.
    counts : mapping of str to mapping of str to int
        For each split, the number of rows of each label.
    notes : list of str
        Receives a line for unused names and for labels that are missing in train.
    multi_label : bool, default False
        Whether a row may have any number of labels.
    least : int, default 2
        Number of labels that the train split needs; 0 for data that is only evaluated.

    Raises
    ------
    DataError
        The train split has fewer labels.
    """
    names = {name for split in counts.values() for name in split}
    order = [*(name for name in class_names if name in names), *_sorted(names - {*class_names})]
    if unused := [name for name in class_names if name not in names]:
        notes.append(f"label names without any row, left out: {', '.join(unused)}")
    seen = [name for name in order if name in counts["train"]]
    if multi_label and len(seen) < least:
        what = f"a single label, {seen[0]!r}" if seen else "no row with a label"
        raise DataError(
            f"The train split has {what}: multi-label classification needs two labels or more.\n"
            "Set data.label=COLUMN to another column, or to one that has a class for every text."
        )
    if len(seen) < least:
        raise DataError(
            f"The train split has a single class, {seen[0]!r}: there is nothing to learn.\n"
            "Set data.label=COLUMN to another column, or add rows of a second class."
        )
    unseen = [name for name in order if name not in counts["train"]]
    consequence = "cannot be found" if multi_label else "count as wrong"
    for split in counts:
        for name in unseen:
            if rows := counts[split].get(name):
                notes.append(
                    f"{split}: label {name!r} is not in train; its rows ({rows:,}) {consequence}"
                )
    return (*seen, *unseen)


def _sorted(names: set[str]) -> list[str]:
    digits = {name: name.removeprefix("-") for name in names}
    # Python does not convert thousands of digits
    if all(text.isascii() and text.isdigit() and len(text) < 1000 for text in digits.values()):
        return sorted(names, key=lambda name: (int(name), name))
    return sorted(names)


def labels_of(dataset: "Dataset") -> "numpy.ndarray[Any, Any]":
    """Return the labels of a corpus split: int64 (rows,), or bool (rows, labels)."""
    return label_array(dataset.select_columns(["label"]).with_format("arrow")[:].column("label"))


def label_array(column: Any) -> "numpy.ndarray[Any, Any]":
    """Return an Arrow column of labels as an array: int64 (rows,), or bool (rows, labels)."""
    import numpy
    import pyarrow

    if not pyarrow.types.is_fixed_size_list(column.type):
        ids: numpy.ndarray[Any, Any] = column.to_numpy().astype(numpy.int64)
        return ids
    size = column.type.list_size
    flags = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks]
    return numpy.concatenate([numpy.empty(0, bool), *flags]).reshape(-1, size)
