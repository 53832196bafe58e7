"""Data quality: texts shared between splits, repeated texts, contradicting labels, class sizes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nlp_rnn.errors import DataError
from nlp_rnn.sources.columns import listed
from nlp_rnn.sources.text_column import TextHashes

if TYPE_CHECKING:
    import numpy

__all__ = ["Quality", "compare_splits", "describe_split", "drop_leaks", "is_in", "overlap"]


@dataclass(frozen=True)
class Quality:
    """Findings about a data set, collected while it is prepared.

    Attributes
    ----------
    figures : dict of str to float
        Values by metric name, such as `data/train_rows`.
    lines : list of str
        The same findings as lines for the terminal.
    """

    figures: dict[str, float] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    def add_leak(self, split: str, other: str, exact: int, normal: int, rows: int) -> None:
        """Record how many of the `rows` texts of `split` are in `other` too.

        `exact` counts identical texts, `normal` those that are equal after normalization.
        """
        self.figures[f"data/{split}_texts_in_{other}"] = exact
        self.figures[f"data/{split}_texts_in_{other}_normalized"] = normal
        if normal:
            self.lines.append(
                f"{split}: {exact:,} of {rows:,} texts are also in {other}, "
                f"{normal:,} after normalization"
            )


def overlap(
    hashes: TextHashes,
    rows: "numpy.ndarray[Any, Any]",
    other_hashes: TextHashes,
    other_rows: "numpy.ndarray[Any, Any]",
) -> "tuple[numpy.ndarray[Any, Any], numpy.ndarray[Any, Any]]":
    """Return which of `rows` have a text that `other_rows` has too.

    Returns
    -------
    exact, normal : bool arrays of shape (rows,)
        Whether an identical text, or one that is equal after normalization, is there.
    """
    return (
        is_in(hashes.exact[rows], other_hashes.exact[other_rows]),
        is_in(hashes.normal[rows], other_hashes.normal[other_rows]),
    )


def is_in(
    hashes: "numpy.ndarray[Any, Any]", others: "numpy.ndarray[Any, Any]"
) -> "numpy.ndarray[Any, Any]":
    """Return which hashes are among others, bool; ten times faster than `numpy.isin`."""
    from pandas import Series

    matches: numpy.ndarray[Any, Any] = Series(hashes).isin(others).to_numpy()
    return matches


def compare_splits(
    hashes: Mapping[str, TextHashes],
    rows: "Mapping[str, numpy.ndarray[Any, Any]]",
    label_hashes: "Mapping[str, numpy.ndarray[Any, Any]]",
    quality: Quality,
) -> None:
    """Count texts that are in two splits, repeat an earlier one, or have different labels.

    Parameters
    ----------
    hashes : mapping of str to TextHashes
        The text hashes of each split.
    rows : mapping of str to int64 array
        The rows of each split to look at.
    label_hashes : mapping of str to uint64 array
        One number per row, which is equal for equal labels in all splits.
    quality : Quality
        Receives the counts.
    """
    import numpy
    import pandas

    for split, other in (("test", "train"), ("validation", "train"), ("validation", "test")):
        if split in rows and other in rows:
            exact, normal = overlap(hashes[split], rows[split], hashes[other], rows[other])
            quality.add_leak(split, other, int(exact.sum()), int(normal.sum()), len(exact))
    for split, chosen in rows.items():
        # faster than `numpy.unique`
        repeated = len(chosen) - len(pandas.unique(hashes[split].exact[chosen]))
        quality.figures[f"data/{split}_repeated_texts"] = repeated
        if repeated:
            quality.lines.append(f"{split}: {repeated:,} texts repeat an earlier one")
    texts = numpy.concatenate([hashes[split].exact[chosen] for split, chosen in rows.items()])
    labels = numpy.concatenate([label_hashes[split][chosen] for split, chosen in rows.items()])
    order = numpy.lexsort((labels, texts))
    texts, labels = texts[order], labels[order]
    # the same text as the one before it, but with another label
    clashes = texts[1:][(texts[1:] == texts[:-1]) & (labels[1:] != labels[:-1])]
    contradicted = len(numpy.unique(clashes))
    quality.figures["data/texts_with_different_labels"] = contradicted
    if contradicted:
        quality.lines.append(f"{contradicted:,} texts occur with different labels")


def drop_leaks(
    hashes: Mapping[str, TextHashes],
    rows: "dict[str, numpy.ndarray[Any, Any]]",
    notes: list[str],
) -> None:
    """Remove validation and test texts from train, and test texts from validation.

    Texts are compared after normalization. The test split stays whole, so that scores on it
    remain comparable.

    Parameters
    ----------
    hashes : mapping of str to TextHashes
        The text hashes of each split.
    rows : dict of str to int64 array
        The rows of each split; changed in place.
    notes : list of str
        Receives one line for each split that lost rows.

    Raises
    ------
    DataError
        Nothing would be left of a split.
    """
    import numpy

    for split, others in (("validation", ("test",)), ("train", ("validation", "test"))):
        present = [other for other in others if other in rows]
        if split not in rows or not present:
            continue
        forbidden = numpy.concatenate([hashes[other].normal[rows[other]] for other in present])
        shared = is_in(hashes[split].normal[rows[split]], forbidden)
        if shared.all():
            raise DataError(
                f"Every text of the {split} split is also in {' or '.join(present)}, so that "
                "data.drop_leaks=true would leave none.\nReplace the split, or set "
                "data.drop_leaks=false."
            )
        if shared.any():
            rows[split] = rows[split][~shared]
            notes.append(
                f"{split}: {int(shared.sum()):,} texts dropped that are also in "
                f"{' or '.join(present)}"
            )


def describe_split(
    split: str, labels: "numpy.ndarray[Any, Any]", names: Sequence[str], quality: Quality
) -> None:
    """Record the smallest and largest class of a split, and the single-row classes of train.

    Parameters
    ----------
    split : str
        `train`, `validation` or `test`.
    labels : array
        int64 (rows,), or bool (rows, labels) for multi-label data.
    names : sequence of str
        The label names.
    quality : Quality
        Receives figures and lines.
    """
    import numpy

    if labels.ndim == 1:
        counts = numpy.bincount(labels, minlength=len(names))
    else:
        counts = labels.sum(axis=0)
        per_text, without = float(labels.sum(axis=1).mean()), int((~labels.any(axis=1)).sum())
        quality.figures[f"data/{split}_labels_per_text"] = per_text
        quality.figures[f"data/{split}_without_labels"] = without
        quality.lines.append(
            f"{split}: {per_text:.2f} labels per text (mean), {without:,} texts without labels"
        )
    quality.figures[f"data/{split}_rows"] = len(labels)
    quality.figures[f"data/{split}_smallest_class"] = int(counts.min())
    quality.figures[f"data/{split}_largest_class"] = int(counts.max())
    if split != "train":
        return
    low, high = int(counts.argmin()), int(counts.argmax())
    if counts[low] == counts[high]:
        span = f"{counts[low]:,} rows each"
    else:
        span = f"{counts[low]:,} ({names[low]}) to {counts[high]:,} ({names[high]}) rows"
    quality.lines.append(f"train: {len(names)} classes of {span}")
    if single := [names[int(index)] for index in numpy.flatnonzero(counts == 1)]:
        quality.lines.append(f"train: classes with a single row: {listed(single)}")
