"""Hashes and labels of the splits become what should be known before training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nlp_rnn.errors import DataError
from nlp_rnn.sources.columns import listed
from nlp_rnn.sources.text_column import TextHashes

if TYPE_CHECKING:
    import numpy

__all__ = ["Quality", "describe_split", "drop_leaks", "leaks", "overlap"]


@dataclass(frozen=True)
class Quality:
    """What was counted: `figures` by name, for metrics, and `lines` for people."""

    figures: dict[str, float] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    def add_leak(self, split: str, other: str, exact: int, normal: int, rows: int) -> None:
        """Texts of `split` that stand in `other` too: as they are, and after normalization."""
        self.figures[f"data/{split}_texts_in_{other}"] = exact
        self.figures[f"data/{split}_texts_in_{other}_normalized"] = normal
        if normal:
            self.lines.append(
                f"{split}: {exact:,} of {rows:,} texts also stand in {other}, "
                f"{normal:,} after normalization"
            )


def overlap(
    mine: TextHashes,
    rows: "numpy.ndarray[Any, Any]",
    theirs: TextHashes,
    their_rows: "numpy.ndarray[Any, Any]",
) -> "tuple[numpy.ndarray[Any, Any], numpy.ndarray[Any, Any]]":
    """Which of `rows` stand in `their_rows` too: two masks, exactly and after normalization."""
    import numpy

    return (
        numpy.isin(mine.exact[rows], theirs.exact[their_rows]),
        numpy.isin(mine.normal[rows], theirs.normal[their_rows]),
    )


def leaks(
    hashes: Mapping[str, TextHashes],
    kept: "Mapping[str, numpy.ndarray[Any, Any]]",
    labels: "Mapping[str, numpy.ndarray[Any, Any]]",
    quality: Quality,
) -> None:
    """Count texts that stand in two splits, repeat an earlier one, or have different labels.

    `kept` are the rows to look at; `labels` has a number for each row that is the same for the
    same label in every split.
    """
    import numpy

    for split, other in (("test", "train"), ("validation", "train"), ("validation", "test")):
        if split in kept and other in kept:
            exact, normal = overlap(hashes[split], kept[split], hashes[other], kept[other])
            quality.add_leak(split, other, int(exact.sum()), int(normal.sum()), len(exact))
    for split, rows in kept.items():
        repeated = len(rows) - len(numpy.unique(hashes[split].exact[rows]))
        quality.figures[f"data/{split}_repeated_texts"] = repeated
        if repeated:
            quality.lines.append(f"{split}: {repeated:,} texts repeat an earlier one")
    texts = numpy.concatenate([hashes[split].exact[rows] for split, rows in kept.items()])
    numbers = numpy.concatenate([labels[split][rows] for split, rows in kept.items()])
    order = numpy.lexsort((numbers, texts))
    texts, numbers = texts[order], numbers[order]
    # the same text as the one before it, but with another label
    clashes = texts[1:][(texts[1:] == texts[:-1]) & (numbers[1:] != numbers[:-1])]
    contradicted = len(numpy.unique(clashes))
    quality.figures["data/texts_with_different_labels"] = contradicted
    if contradicted:
        quality.lines.append(f"{contradicted:,} texts stand there with different labels")


def drop_leaks(
    hashes: Mapping[str, TextHashes],
    kept: "dict[str, numpy.ndarray[Any, Any]]",
    notes: list[str],
) -> None:
    """Take out of train what stands in validation or test, out of validation what is in test.

    By the hashes after normalization. The test split stays whole, so that scores on it can be
    compared. Raises `DataError` when nothing is left.
    """
    import numpy

    for split, others in (("validation", ("test",)), ("train", ("validation", "test"))):
        present = [other for other in others if other in kept]
        if split not in kept or not present:
            continue
        theirs = numpy.concatenate([hashes[other].normal[kept[other]] for other in present])
        shared = numpy.isin(hashes[split].normal[kept[split]], theirs)
        if shared.all():
            raise DataError(
                f"Every text of the {split} split also stands in {' or '.join(present)}: "
                "data.drop_leaks=true would leave none.\nBring another split."
            )
        if shared.any():
            kept[split] = kept[split][~shared]
            notes.append(
                f"{split}: {int(shared.sum()):,} texts that stand in {' or '.join(present)} dropped"
            )


def describe_split(
    split: str, ids: "numpy.ndarray[Any, Any]", labels: Sequence[str], quality: Quality
) -> None:
    """Note the smallest and largest class of a split, and for train those with a single row.

    `ids` is int64 (rows,), or bool (rows, labels) where a row may have several labels.
    """
    import numpy

    if ids.ndim == 1:
        counts = numpy.bincount(ids, minlength=len(labels))
    else:
        counts = ids.sum(axis=0)
        per_text, without = float(ids.sum(axis=1).mean()), int((~ids.any(axis=1)).sum())
        quality.figures[f"data/{split}_labels_per_text"] = per_text
        quality.figures[f"data/{split}_without_labels"] = without
        quality.lines.append(
            f"{split}: {per_text:.2f} labels a text (mean), {without:,} texts without any"
        )
    quality.figures[f"data/{split}_rows"] = len(ids)
    quality.figures[f"data/{split}_smallest_class"] = int(counts.min())
    quality.figures[f"data/{split}_largest_class"] = int(counts.max())
    if split != "train":
        return
    low, high = int(counts.argmin()), int(counts.argmax())
    if counts[low] == counts[high]:
        span = f"{counts[low]:,} rows each"
    else:
        span = f"{counts[low]:,} ({labels[low]}) to {counts[high]:,} ({labels[high]}) rows"
    quality.lines.append(f"train: {len(labels)} classes of {span}")
    if single := [labels[int(index)] for index in numpy.flatnonzero(counts == 1)]:
        quality.lines.append(f"train: a single row each of: {listed(single)}")
