"""The rows of a source become a corpus: three clean splits of texts and label ids."""

import contextlib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nlp_rnn.config.data import DataConfig, TableConfig
from nlp_rnn.data.digest import corpus_digest
from nlp_rnn.data.label_columns import (
    LabelSets,
    has_label_lists,
    read_class_columns,
    read_joined_labels,
    read_label_lists,
)
from nlp_rnn.data.labels import SplitLabels, order_labels, read_labels
from nlp_rnn.data.quality import Quality, describe_split, drop_leaks, leaks
from nlp_rnn.data.splitting import Rows, cut, limit, without_leaks
from nlp_rnn.errors import DataError
from nlp_rnn.sources.files import SPLITS
from nlp_rnn.sources.source import Source, read_source
from nlp_rnn.sources.text_column import TextHashes, as_text, hash_texts

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["Corpus", "load_corpus", "quiet_datasets"]

_TEST_FRACTION = 0.1  # of the rows, when the source has no test split


@dataclass(frozen=True)
class Corpus:
    """Texts with labels, split in three.

    Each split has the columns `text` (string, never null), `label` and `row` (int64, the index of
    the row in the split it was read from). A `label` is an int64, an index into `labels`; or, where
    the task is `multi_label`, a list of booleans, one for each of `labels`. `labels` has every
    label of any split; those that train lacks come last. `digest` is a hash of the texts, the
    label ids and the label names of the three splits: the same data has the same digest wherever
    it lies.
    `notes` has one line for everything that was done to the data, `quality` what was seen in it.
    `parts` names rows of the test split that get a score of their own. `separator` is the token
    between the parts of a text that was several.
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
    task: str = "single_label"
    separator: str | None = None


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
            splits["train"], splits["test"] = cut(
                splits["train"], "test", _TEST_FRACTION, config.seed, notes
            )
        splits["train"] = limit(splits["train"], config, notes)
        if "validation" not in splits:
            splits["train"], splits["validation"] = cut(
                splits["train"], "validation", config.validation_fraction, config.seed, notes
            )
        for split in SPLITS[1:]:
            if split not in given:
                others = SPLITS[:1] if split == "test" else ("train", "test")
                splits[split] = without_leaks(splits, split, others, quality, dropping, notes)
        for split in SPLITS:
            describe_split(split, splits[split].chosen_ids, labels, quality)
        return Corpus(
            name=source.name,
            train=splits["train"].dataset(),
            validation=splits["validation"].dataset(),
            test=splits["test"].dataset(),
            labels=labels,
            digest=corpus_digest([splits[split].parts() for split in SPLITS], labels),
            notes=tuple(notes),
            quality=quality,
            parts=source.parts,
            task="single_label" if splits["train"].ids.ndim == 1 else "multi_label",
            separator=source.separator,
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


def _clean(
    source: Source, notes: list[str], quality: Quality, dropping: bool
) -> tuple[dict[str, Rows], tuple[str, ...]]:
    """Leave out rows without text or label, and by option leaks; number the labels."""
    import numpy

    texts: dict[str, Dataset] = {}
    hashes: dict[str, TextHashes] = {}
    found: dict[str, SplitLabels | LabelSets] = {}
    kept: dict[str, numpy.ndarray[Any, Any]] = {}
    for split, dataset in source.splits.items():
        where = f"The {split} split of {source.name}"
        if not len(dataset):
            raise DataError(f"{where} has no rows.{_without(split)}")
        found[split] = _read_labels(source, split, where, found.get("train"))
        texts[split] = as_text(dataset, source.text, where, source.separator)
        hashes[split] = hash_texts(texts[split])
        no_text = hashes[split].missing
        no_label = found[split].missing
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
    counts = {split: found[split].counts(rows) for split, rows in kept.items()}
    several = isinstance(found["train"], LabelSets)
    labels = order_labels(found["train"].class_names or (), counts, notes, several)
    return {
        split: Rows(dataset, hashes[split], found[split].numbered(labels), kept[split])
        for split, dataset in texts.items()
    }, labels


def _read_labels(
    source: Source, split: str, where: str, train: SplitLabels | LabelSets | None
) -> SplitLabels | LabelSets:
    """The labels of a split in the form that those of `train` have, if they were read already."""
    dataset, renamed = source.splits[split], source.label_names
    if isinstance(source.label, tuple):
        return read_class_columns(dataset, source.label, where, renamed)
    names = train.class_names if train else None
    if source.label_separator is not None:
        sets = read_joined_labels(
            dataset, source.label, source.label_separator, where, names, renamed
        )
        if train is None and sets.members.sum(axis=1).max() < 2:
            raise DataError(
                f"{where} has no text with two labels between which {source.label_separator!r} "
                f"stands in {source.label!r}.\nName what stands there (data.label_separator), or "
                "leave it out."
            )
        return sets
    lists = has_label_lists(dataset, source.label) if train is None else None
    if lists or isinstance(train, LabelSets):
        return read_label_lists(dataset, source.label, where, names, renamed)
    return read_labels(dataset, source.label, where, names, renamed)


def _without(split: str) -> str:
    return "" if split == "train" else "\nTake it away, and one is cut from the training rows."
