"""A corpus: the train, validation and test split of a data set, with texts and label ids.

`load_corpus` does it in this order: read the source, read labels and hash texts, drop rows
without text or label, compare the splits, cut or limit splits, describe the result.
"""

import contextlib
import logging
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from nlp_rnn.config.data import DataConfig, TableConfig
from nlp_rnn.data.digest import corpus_digest
from nlp_rnn.data.label_columns import read_labels
from nlp_rnn.data.labels import MultiLabels, SingleLabels, order_labels
from nlp_rnn.data.quality import Quality, compare_splits, describe_split, drop_leaks
from nlp_rnn.data.splitting import Rows, cut, limit, without_leaks
from nlp_rnn.data.suspect_labels import edge_notes, label_notes
from nlp_rnn.data.suspect_texts import text_notes
from nlp_rnn.errors import DataError
from nlp_rnn.sources.files import SPLITS
from nlp_rnn.sources.source import Source, read_source
from nlp_rnn.sources.text_column import TextHashes, as_text, hash_texts

if TYPE_CHECKING:
    import numpy
    from datasets import Dataset

__all__ = ["Corpus", "load_corpus", "quiet_datasets"]

_SAMPLED = 1000  # texts of each split, by which a wrong column is noticed
_TEST_FRACTION = 0.1  # of the rows, when the source has no test split


@dataclass(frozen=True)
class Corpus:
    """Texts with labels in three splits.

    Attributes
    ----------
    name : str
        Name of the data set.
    train, validation, test : Dataset
        Columns `text` (string, never null), `label` and `row` (int64, index of the row in the
        split that was read). `label` is int64, an index into `labels`; for multi-label data, a
        list of booleans, one for each of `labels`.
    labels : tuple of str
        The labels of all splits; those that train lacks come last.
    digest : str
        Hash of the texts, the label ids and the label names. It does not depend on where or in
        which file format the data is stored.
    notes : tuple of str
        One line for each change that was made to the data.
    quality : Quality
        Findings about the data, such as leaks and class sizes.
    parts : mapping of str to range
        Named rows of the test split that get separate scores.
    task : {"single_label", "multi_label"}
        Whether a text has exactly one label or any number of labels.
    separator : str or None
        Token between the parts of a text that was joined from several columns.
    reading : mapping of str to JSON values
        How the data was read, see `sources.reading`.
    hashes : mapping of str to uint64 array
        Hashes of the normalized texts of each split, in the order of its rows.
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
    reading: Mapping[str, Any] = field(default_factory=dict)
    hashes: "Mapping[str, numpy.ndarray[Any, Any]]" = field(default_factory=dict)


def load_corpus(
    config: DataConfig, known_labels: Collection[str] = (), cutting: bool = True
) -> Corpus:
    """Load the data set that `config` describes and prepare its three splits.

    A missing test split is cut from train first. Then `limit` or `fraction` is applied to train.
    Then a missing validation split is cut from the remaining rows. Every cut is stratified,
    seeded by `config.seed`, and leaves at least one training row of each class.

    Parameters
    ----------
    config : DataConfig
        The options of the data.
    known_labels : collection of str, optional
        The labels of the classifier that is evaluated: where a number can be read in two ways, as
        `1` or as `1.0`, it is read as the label that the classifier knows. The data may have a
        single class then.
    cutting : bool, default True
        Whether missing splits are cut from train; without it they have no rows.

    Raises
    ------
    DataError
        The data cannot be read, or its texts or labels cannot be used.
    """
    with quiet_datasets():
        source = read_source(config)
        notes = list(source.notes)
        dropping = isinstance(config, TableConfig) and config.drop_leaks
        quality = Quality()
        splits, labels = _clean(source, notes, quality, dropping, known_labels)
        uncut = set(splits)
        if not cutting:
            empty = replace(splits["train"], rows=splits["train"].rows[:0])
            splits = {split: splits.get(split, empty) for split in SPLITS}
            uncut = set(splits)
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
            if split not in uncut:
                others = SPLITS[:1] if split == "test" else ("train", "test")
                splits[split] = without_leaks(splits, split, others, quality, dropping, notes)
        for split in SPLITS if cutting else ():
            describe_split(split, splits[split].chosen_ids, labels, quality)
        return Corpus(
            name=source.name,
            train=splits["train"].dataset(),
            validation=splits["validation"].dataset(),
            test=splits["test"].dataset(),
            labels=labels,
            digest=corpus_digest([splits[split].digest_part() for split in SPLITS], labels),
            notes=tuple(notes),
            quality=quality,
            parts=source.parts,
            task="single_label" if splits["train"].ids.ndim == 1 else "multi_label",
            separator=source.separator,
            reading=source.reading,
            hashes={split: rows.hashes.normal[rows.rows] for split, rows in splits.items()},
        )


@contextlib.contextmanager
def quiet_datasets() -> Iterator[None]:
    """Hide progress bars and log lines of `datasets`: the notes hold what a user should know."""
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
    source: Source,
    notes: list[str],
    quality: Quality,
    dropping: bool,
    known_labels: Collection[str],
) -> tuple[dict[str, Rows], tuple[str, ...]]:
    """Drop rows without text or label, and leaks if asked to; encode the labels."""
    import numpy

    texts: dict[str, Dataset] = {}
    hashes: dict[str, TextHashes] = {}
    usable: dict[str, numpy.ndarray[Any, Any]] = {}
    for split, dataset in source.splits.items():
        if not len(dataset):
            raise DataError(
                f"The {split} split of {source.name} has no rows.{_removal_advice(split)}"
            )
    labels = read_labels(source, notes, known_labels)
    for split, dataset in source.splits.items():
        where = f"The {split} split of {source.name}"
        texts[split] = as_text(dataset, source.text, where, source.separator)
        hashes[split] = hash_texts(texts[split])
        no_text, no_label = hashes[split].missing, labels[split].missing
        usable[split] = numpy.flatnonzero(~(no_text | no_label))
        if not len(usable[split]):
            raise DataError(
                f"{where} is empty: none of its {len(dataset):,} rows has a text and a label."
                + (_removal_advice(split) or "\nSet data.text and data.label to other columns.")
            )
        for rows, what in (
            (int(no_text.sum()), "without a text (null) dropped"),
            (int((no_label & ~no_text).sum()), "without a label (null) dropped"),
            (hashes[split].num_blank, "with an empty text retained"),
        ):
            if rows:
                notes.append(f"{split}: {rows:,} {'row' if rows == 1 else 'rows'} {what}")
    label_hashes = {split: split_labels.row_hashes() for split, split_labels in labels.items()}
    compare_splits(hashes, usable, label_hashes, quality)
    if dropping:
        drop_leaks(hashes, usable, notes)
    counts = {split: labels[split].counts(rows) for split, rows in usable.items()}
    # labels that are read from several columns have their names
    columns = (*source.text, source.label) if isinstance(source.label, str) else ()
    notes += label_notes(counts, columns)
    for split, usable_rows in usable.items():
        notes += text_notes(split, *_sample(texts[split], labels[split], usable_rows))
        if isinstance(part := labels[split], SingleLabels):
            notes += edge_notes(split, part.names, part.ids[usable_rows])
    multi_label = isinstance(labels["train"], MultiLabels)
    least = 0 if known_labels else 2
    order = order_labels(labels["train"].class_names or (), counts, notes, multi_label, least)
    return {
        split: Rows(dataset, hashes[split], labels[split].encode(order), usable[split])
        for split, dataset in texts.items()
    }, order


def _sample(
    texts: "Dataset", labels: SingleLabels | MultiLabels, rows: "numpy.ndarray[Any, Any]"
) -> tuple[list[str], list[str]]:
    """Return texts from the whole split, and their labels; none for multi-label data."""
    import numpy

    places = numpy.linspace(0, len(rows) - 1, min(len(rows), _SAMPLED)).astype(numpy.int64)
    sample = list(texts[rows[places]]["text"])
    if isinstance(labels, MultiLabels):
        return sample, []
    return sample, [labels.names[index] for index in labels.ids[rows[places]]]


def _removal_advice(split: str) -> str:
    if split == "train":
        return ""
    return f"\nRemove the {split} split, and one is cut from the training rows."
