"""Stratified, seeded cuts and limits of splits; every class keeps a row in train."""

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
    """Selected rows of a split. The texts are not copied until `dataset` is called.

    Attributes
    ----------
    texts : Dataset
        The column `text` of all rows of the split as it was read.
    hashes : TextHashes
        The hashes of all texts.
    ids : array
        The labels of all rows: int64 (all rows,), -1 for none; or bool (all rows, labels).
    rows : int64 array
        The chosen rows, ascending.
    """

    texts: "Dataset"
    hashes: TextHashes
    ids: "numpy.ndarray[Any, Any]"
    rows: "numpy.ndarray[Any, Any]"

    def digest_part(self) -> "Part":
        """Return texts, rows and labels in the form of `corpus_digest`."""
        import numpy

        ids = self.chosen_ids
        return self.texts, self.rows, numpy.packbits(ids, axis=1) if ids.ndim == 2 else ids

    @property
    def chosen_ids(self) -> "numpy.ndarray[Any, Any]":
        """The labels of the chosen rows."""
        chosen: numpy.ndarray[Any, Any] = self.ids[self.rows]
        return chosen

    def dataset(self) -> "Dataset":
        """Return the chosen rows with the columns of a corpus: `text`, `label` and `row`."""
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
    """Cut a stratified split from the training rows.

    Parameters
    ----------
    train : Rows
        The training rows.
    split : {"validation", "test"}
        The split to cut.
    fraction : float
        Its share of the rows; at least one row is cut.
    seed : int
        `data.seed`.
    notes : list of str
        Receives a line about the cut.

    Returns
    -------
    train, cut : Rows
        The remaining training rows and the new split.

    Raises
    ------
    DataError
        There are not enough rows to leave one of each class in train.
    """
    import numpy

    key = (seed, SPLITS.index(split))
    strata = Strata.of(train.chosen_ids, key)
    ids, counts = strata.ids, strata.counts
    most = counts - strata.least
    if not most.sum():
        is_column_of_ids = 2 * strata.classes > len(ids)
        raise DataError(
            f"{len(ids)} training rows are too few to cut a {split} split from: "
            f"each of the {strata.classes} classes needs one training row.\n"
            f"Add rows, or provide a {split} split (a file {split}.*)."
            + (" If these are no classes, set data.label to another column." * is_column_of_ids)
        )
    total = int(numpy.clip(round(fraction * len(ids)), 1, most.sum()))
    shares = allocate(counts, total, numpy.zeros_like(counts), most)
    mask = sample(ids, shares, key, last=strata.representatives)
    notes.append(
        f"{split}: the data has none; cut {total:,} of {len(ids):,} training rows "
        f"(stratified, data.seed={seed})"
    )
    return replace(train, rows=train.rows[~mask]), replace(train, rows=train.rows[mask])


def limit(train: Rows, config: DataConfig, notes: list[str]) -> Rows:
    """Reduce train to a stratified sample of `config.limit` rows or of `config.fraction`.

    At least one row of each class remains. Raises `DataError` if `config.limit` is too small for
    that. A line about the sample is added to `notes`.
    """
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
            f"Set data.limit={2 * least.sum()} or more."
        )
    notes.append(
        f"train: limited to {most:,} of {len(ids):,} rows (stratified, data.seed={config.seed})"
    )
    mask = sample(ids, allocate(counts, most, least, counts), key, first=strata.representatives)
    return replace(train, rows=train.rows[mask])


def without_leaks(
    splits: dict[str, Rows],
    split: str,
    others: Sequence[str],
    quality: Quality,
    dropping: bool,
    notes: list[str],
) -> Rows:
    """Count the texts of a cut split that are in other splits too; remove them if asked to.

    They are removed from the cut split, not from train, so that every class keeps its training
    rows.

    Parameters
    ----------
    splits : dict of str to Rows
        All splits.
    split : {"validation", "test"}
        The split that was cut.
    others : sequence of str
        The splits to compare it with.
    quality : Quality
        Receives the counts.
    dropping : bool
        Whether to remove shared texts (`data.drop_leaks`).
    notes : list of str
        Receives a line if texts were removed.

    Raises
    ------
    DataError
        Nothing would be left of the split.
    """
    import numpy

    cut_rows = splits[split]
    shared = numpy.zeros(len(cut_rows.rows), bool)
    for other in others:
        exact, normal = overlap(
            cut_rows.hashes, cut_rows.rows, splits[other].hashes, splits[other].rows
        )
        quality.add_leak(split, other, int(exact.sum()), int(normal.sum()), len(exact))
        shared |= normal
    if not dropping or not shared.any():
        return cut_rows
    if shared.all():
        raise DataError(
            f"Every text of the {split} split that was cut is also in {' or '.join(others)}, so "
            "that data.drop_leaks=true would leave none.\nAdd rows, or set data.drop_leaks=false."
        )
    notes.append(
        f"{split}: {int(shared.sum()):,} texts dropped that are also in {' or '.join(others)}"
    )
    return replace(cut_rows, rows=cut_rows.rows[~shared])
