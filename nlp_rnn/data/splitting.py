"""The rows of a split become fewer or two splits: stratified, seeded, every class kept in train."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from nlp_rnn.config.data import DataConfig
from nlp_rnn.data.quality import Quality, overlap
from nlp_rnn.data.sampling import Strata, allocate, sample
from nlp_rnn.errors import DataError
from nlp_rnn.sources.files import SPLITS
from nlp_rnn.sources.text_column import TextHashes

if TYPE_CHECKING:
    import numpy
    from datasets import Dataset

    from nlp_rnn.data.digest import Part

__all__ = ["Rows", "cut", "limit", "without_leaks"]


@dataclass(frozen=True)
class Rows:
    """Some rows of a split as it was read; the texts stay where they are until the choice is made.

    `texts` has the column `text` of all rows; `ids` their labels: int64 (rows,), -1 for none, or
    bool (rows, labels) where a row may have several; `rows` (int64, ascending) are the rows that
    were chosen.
    """

    texts: "Dataset"
    hashes: TextHashes
    ids: "numpy.ndarray[Any, Any]"
    rows: "numpy.ndarray[Any, Any]"

    def parts(self) -> "Part":
        """What the digest is made of."""
        import numpy

        ids = self.chosen_ids
        return self.texts, self.rows, numpy.packbits(ids, axis=1) if ids.ndim == 2 else ids

    @property
    def chosen_ids(self) -> "numpy.ndarray[Any, Any]":
        """The labels of the rows that were chosen."""
        chosen: numpy.ndarray[Any, Any] = self.ids[self.rows]
        return chosen

    def dataset(self) -> "Dataset":
        """The chosen rows with the columns of a corpus."""
        import datasets
        import numpy

        if self.ids.ndim == 1:
            dataset = self.texts.add_column("label", self.ids)
        else:
            import pyarrow

            width = self.ids.shape[1]
            flags = pyarrow.array(self.ids.ravel())
            column = pyarrow.FixedSizeListArray.from_arrays(flags, width)
            feature = datasets.List(datasets.Value("bool"), length=width)
            table = pyarrow.table({"label": column})
            labels = datasets.Dataset(
                table, info=datasets.DatasetInfo(features=datasets.Features({"label": feature}))
            )
            dataset = datasets.concatenate_datasets([self.texts, labels], axis=1)
        dataset = dataset.add_column("row", numpy.arange(len(dataset), dtype=numpy.int64))
        return dataset if len(self.rows) == len(dataset) else dataset.select(self.rows)


def cut(train: Rows, split: str, fraction: float, seed: int, notes: list[str]) -> tuple[Rows, Rows]:
    """Cut a stratified split off the training rows; return what is left and what was cut."""
    import numpy

    key = (seed, SPLITS.index(split))
    strata = Strata.of(train.chosen_ids, key)
    ids, counts = strata.ids, strata.counts
    most = counts - strata.least
    if not most.sum():
        raise DataError(
            f"{len(ids)} training rows are too few to cut a {split} split from: "
            f"each of the {strata.classes} classes must keep one.\n"
            f"Bring more rows, or a {split} split of your own (a file {split}.*)."
        )
    total = int(numpy.clip(round(fraction * len(ids)), 1, most.sum()))
    shares = allocate(counts, total, numpy.zeros_like(counts), most)
    mask = sample(ids, shares, key, last=strata.kept)
    notes.append(
        f"{split}: none was given; cut {total:,} of {len(ids):,} training rows "
        f"(stratified, data.seed={seed})"
    )
    return replace(train, rows=train.rows[~mask]), replace(train, rows=train.rows[mask])


def limit(train: Rows, config: DataConfig, notes: list[str]) -> Rows:
    """Keep a stratified sample of `limit` rows or of a `fraction`, at least one of each class."""
    key = (config.seed, SPLITS.index("train"))
    if config.fraction is None and config.limit is None:
        return train
    strata = Strata.of(train.chosen_ids, key)
    ids, counts, least = strata.ids, strata.counts, strata.least
    if config.fraction is not None:
        most = max(round(config.fraction * len(ids)), int(least.sum()))
    else:
        assert config.limit is not None
        most = config.limit
    if most >= len(ids):
        return train
    if most < least.sum():
        raise DataError(
            f"data.limit={most} is less than one row for each of the {strata.classes} classes.\n"
            f"Type data.limit={2 * least.sum()} or more."
        )
    notes.append(
        f"train: limited to {most:,} of {len(ids):,} rows (stratified, data.seed={config.seed})"
    )
    mask = sample(ids, allocate(counts, most, least, counts), key, first=strata.kept)
    return replace(train, rows=train.rows[mask])


def without_leaks(
    splits: dict[str, Rows],
    split: str,
    others: Sequence[str],
    quality: Quality,
    dropping: bool,
    notes: list[str],
) -> Rows:
    """Count, and by option leave out, texts of a cut split that stand in another one too.

    They are left out of the cut, not of train, so that every class keeps its training rows.
    """
    import numpy

    mine = splits[split]
    shared = numpy.zeros(len(mine.rows), bool)
    for other in others:
        theirs = splits[other]
        exact, normal = overlap(mine.hashes, mine.rows, theirs.hashes, theirs.rows)
        quality.add_leak(split, other, int(exact.sum()), int(normal.sum()), len(exact))
        shared |= normal
    if not dropping or not shared.any():
        return mine
    if shared.all():
        raise DataError(
            f"Every text of the {split} split that was cut also stands in {' or '.join(others)}: "
            "data.drop_leaks=true would leave none.\nBring other rows."
        )
    notes.append(
        f"{split}: {int(shared.sum()):,} texts that stand in {' or '.join(others)} dropped"
    )
    return replace(mine, rows=mine.rows[~shared])
