"""The rows of a source become a corpus: three clean splits of texts and label ids."""

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from nlp_rnn.data.digest import corpus_digest
from nlp_rnn.data.files import SPLITS
from nlp_rnn.data.labels import SplitLabels, order_labels, read_labels
from nlp_rnn.data.quality import Quality, describe_split, drop_leaks, leaks, overlap
from nlp_rnn.data.sampling import allocate, sample
from nlp_rnn.data.sources import Source, read_source
from nlp_rnn.data.texts import TextHashes, as_text, hash_texts
from nlp_rnn.data_config import DataConfig, TableConfig
from nlp_rnn.errors import DataError

if TYPE_CHECKING:
    import numpy
    from datasets import Dataset

    from nlp_rnn.data.digest import Part

__all__ = ["Corpus", "load_corpus", "quiet_datasets"]

_TEST_FRACTION = 0.1  # of the rows, when the source has no test split


@dataclass(frozen=True)
class Corpus:
    """Texts with labels, split in three.

    Each split has the columns `text` (string, never null), `label` (int64, an index into `labels`)
    and `row` (int64, the index of the row in the split it was read from). `labels` has every label
    of any split; those that train lacks come last. `digest` is a hash of the texts, the label ids
    and the label names of the three splits: the same data has the same digest wherever it lies.
    `notes` has one line for everything that was done to the data, `quality` what was seen in it.
    `parts` names rows of the test split that get a score of their own.
    """

    name: str
    train: "Dataset"
    validation: "Dataset"
    test: "Dataset"
    labels: tuple[str, ...]
    digest: str
    notes: tuple[str, ...]
    quality: Quality
    parts: Mapping[str, range] = field(default_factory=dict)


def load_corpus(config: DataConfig) -> Corpus:
    """Read, clean, limit and split the data that `config` points at.

    A missing test split is cut from train first, then `limit` or `fraction` is applied to train,
    then a missing validation split is cut from what is left; every cut is stratified, seeded by
    `config.seed` and leaves each class at least one training row. Raises `DataError`.
    """
    with quiet_datasets():
        source = read_source(config)
        notes = list(source.notes)
        dropping = isinstance(config, TableConfig) and config.drop_leaks
        quality = Quality()
        splits, labels = _clean(source, notes, quality, dropping)
        given = set(splits)
        if "test" not in splits:
            splits["train"], splits["test"] = _cut(
                splits["train"], "test", _TEST_FRACTION, config.seed, notes
            )
        splits["train"] = _limit(splits["train"], config, notes)
        if "validation" not in splits:
            splits["train"], splits["validation"] = _cut(
                splits["train"], "validation", config.validation_fraction, config.seed, notes
            )
        for split in SPLITS[1:]:
            if split not in given:
                others = SPLITS[:1] if split == "test" else ("train", "test")
                splits[split] = _without_leaks(splits, split, others, quality, dropping, notes)
        for split in SPLITS:
            describe_split(split, splits[split].chosen_ids, labels, quality)
        return Corpus(
            name=source.name,
            train=_dataset(splits["train"]),
            validation=_dataset(splits["validation"]),
            test=_dataset(splits["test"]),
            labels=labels,
            digest=corpus_digest([splits[split].parts() for split in SPLITS], labels),
            notes=tuple(notes),
            quality=quality,
            parts=source.parts,
        )


@contextlib.contextmanager
def quiet_datasets() -> Iterator[None]:
    """No progress bars or log lines of `datasets`: what the user should know is in the notes."""
    import datasets

    level = datasets.logging.get_verbosity()
    bars = not datasets.are_progress_bars_disabled()
    datasets.logging.set_verbosity(logging.CRITICAL)
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        datasets.logging.set_verbosity(level)
        if bars:
            datasets.enable_progress_bars()


@dataclass(frozen=True)
class _Rows:
    """Some rows of a split as it was read; the texts stay where they are until the choice is made.

    `texts` has the column `text` of all rows; `ids` (int64) their labels, -1 for none; `rows`
    (int64, ascending) are the rows that were chosen.
    """

    texts: "Dataset"
    hashes: TextHashes
    ids: "numpy.ndarray[Any, Any]"
    rows: "numpy.ndarray[Any, Any]"

    def parts(self) -> "Part":
        """What the digest is made of."""
        return self.texts, self.rows, self.chosen_ids

    @property
    def chosen_ids(self) -> "numpy.ndarray[Any, Any]":
        """The labels of the rows that were chosen."""
        chosen: numpy.ndarray[Any, Any] = self.ids[self.rows]
        return chosen


def _clean(
    source: Source, notes: list[str], quality: Quality, dropping: bool
) -> tuple[dict[str, _Rows], tuple[str, ...]]:
    """Leave out rows without text or label, and by option leaks; number the labels."""
    import numpy

    texts: dict[str, Dataset] = {}
    hashes: dict[str, TextHashes] = {}
    found: dict[str, SplitLabels] = {}
    kept: dict[str, numpy.ndarray[Any, Any]] = {}
    for split, dataset in source.splits.items():
        where = f"The {split} split of {source.name}"
        if not len(dataset):
            raise DataError(f"{where} has no rows.{_without(split)}")
        names = found["train"].class_names if found else None
        found[split] = read_labels(dataset, source.label, where, names, source.label_names)
        texts[split] = as_text(dataset, source.text, where)
        hashes[split] = hash_texts(texts[split])
        no_text = hashes[split].missing
        no_label = found[split].ids < 0
        kept[split] = numpy.flatnonzero(~(no_text | no_label))
        if not len(kept[split]):
            raise DataError(
                f"{where} is empty: none of its {len(dataset):,} rows has a text and a label."
                + _without(split)
            )
        for rows, what in (
            (int(no_text.sum()), "without a text (null) dropped"),
            (int((no_label & ~no_text).sum()), "without a label (null) dropped"),
            (hashes[split].num_blank, "with an empty text kept"),
        ):
            if rows:
                notes.append(f"{split}: {rows:,} {'row' if rows == 1 else 'rows'} {what}")
    leaks(hashes, kept, {split: labels.word_ids() for split, labels in found.items()}, quality)
    if dropping:
        drop_leaks(hashes, kept, notes)
    counts = {split: _count(found[split], rows) for split, rows in kept.items()}
    labels = order_labels(found, counts, notes)
    place = {name: index for index, name in enumerate(labels)}
    splits = {}
    for split, dataset in texts.items():
        # the last place is that of id -1, a row without a label
        ids = numpy.array([*(place.get(name, -1) for name in found[split].names), -1], numpy.int64)
        splits[split] = _Rows(dataset, hashes[split], ids[found[split].ids], kept[split])
    return splits, labels


def _without(split: str) -> str:
    return "" if split == "train" else "\nTake it away, and one is cut from the training rows."


def _count(labels: SplitLabels, rows: "numpy.ndarray[Any, Any]") -> dict[str, int]:
    import numpy

    counts = numpy.bincount(labels.ids[rows], minlength=len(labels.names))
    return {name: int(n) for name, n in zip(labels.names, counts, strict=True) if n}


def _cut(
    train: _Rows, split: str, fraction: float, seed: int, notes: list[str]
) -> tuple[_Rows, _Rows]:
    """Cut a stratified split off the training rows; return what is left and what was cut."""
    import numpy

    ids = train.ids[train.rows]
    counts = numpy.bincount(ids)
    most = numpy.maximum(counts - 1, 0)
    if not most.sum():
        raise DataError(
            f"{len(ids)} training rows are too few to cut a {split} split from: "
            f"each of the {numpy.count_nonzero(counts)} classes must keep one.\n"
            f"Bring more rows, or a {split} split of your own (a file {split}.*)."
        )
    total = int(numpy.clip(round(fraction * len(ids)), 1, most.sum()))
    shares = allocate(counts, total, numpy.zeros_like(counts), most)
    mask = sample(ids, shares, (seed, SPLITS.index(split)))
    notes.append(
        f"{split}: none was given; cut {total:,} of {len(ids):,} training rows "
        f"(stratified, data.seed={seed})"
    )
    return replace(train, rows=train.rows[~mask]), replace(train, rows=train.rows[mask])


def _limit(train: _Rows, config: DataConfig, notes: list[str]) -> _Rows:
    """Keep a stratified sample of `limit` rows or of a `fraction`, at least one of each class."""
    import numpy

    ids = train.chosen_ids
    counts = numpy.bincount(ids)
    least = numpy.minimum(counts, 1)
    if config.fraction is not None:
        limit = max(round(config.fraction * len(ids)), int(least.sum()))
    elif config.limit is not None:
        limit = config.limit
    else:
        return train
    if limit >= len(ids):
        return train
    if limit < least.sum():
        raise DataError(
            f"data.limit={limit} is less than one row for each of the {least.sum()} classes.\n"
            f"Type data.limit={2 * least.sum()} or more."
        )
    notes.append(
        f"train: limited to {limit:,} of {len(ids):,} rows (stratified, data.seed={config.seed})"
    )
    shares = allocate(counts, limit, least, counts)
    mask = sample(ids, shares, (config.seed, SPLITS.index("train")))
    return replace(train, rows=train.rows[mask])


def _without_leaks(
    splits: dict[str, _Rows],
    split: str,
    others: Sequence[str],
    quality: Quality,
    dropping: bool,
    notes: list[str],
) -> _Rows:
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


def _dataset(split: _Rows) -> "Dataset":
    """Return the chosen rows with the columns of a corpus."""
    import numpy

    dataset = split.texts.add_column("label", split.ids)
    dataset = dataset.add_column("row", numpy.arange(len(dataset), dtype=numpy.int64))
    return dataset if len(split.rows) == len(dataset) else dataset.select(split.rows)
