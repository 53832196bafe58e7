"""Schemas of the data: the built-in corpora, files, and the Hugging Face hub."""

from dataclasses import dataclass
from enum import Enum
from typing import Any

from nlp_rnn.config.option import INSIDE_UNIT, MISSING, SEED, at_least, between, option

__all__ = [
    "PROBE_FACTORS",
    "PROBE_LENGTHS",
    "DataConfig",
    "FilesConfig",
    "HubConfig",
    "ProbeConfig",
    "ProbeName",
    "StoriesConfig",
    "TableConfig",
]


PROBE_LENGTHS = {
    "counting": 32,
    "counting3": 48,
    "dyck1": 32,
    "dyck2": 32,
    "majority": 32,
    "recall": 400,
    "pairs": 32,
    "agreement": 33,
    "permutation": 8,
}
"""Tokens of a probe's longest training text where `data.length` is null."""

PROBE_FACTORS = (1, 2, 4, 8)
"""Longest test texts of a probe, as multiples of its longest training text."""

ProbeName = Enum(
    "ProbeName",
    [
        "counting",
        "counting3",
        "dyck1",
        "dyck2",
        "majority",
        "recall",
        "pairs",
        "agreement",
        "permutation",
    ],
)


@dataclass
class DataConfig:
    """Options of every data source. The seed of the run never changes a split."""

    name: str = option(MISSING, "Name of the data set, for run names and tables.")
    limit: int | None = option(None, "Training rows to use, stratified (null: all).", at_least(2))
    fraction: float | None = option(
        None, "Fraction of the training rows to use, stratified (null: all)."
    )
    validation_fraction: float = option(
        0.1,
        "Fraction of the training rows for validation where the data has no validation split.",
        INSIDE_UNIT,
    )
    seed: int = option(0, "Seed of all splits and samples of the data.", SEED)


@dataclass
class StoriesConfig(DataConfig):
    """The built-in corpus of short stories, which a bag of words cannot classify."""

    train_rows: int = option(4000, "Texts to generate for training and validation.", at_least(20))
    test_rows: int = option(1000, "Texts to generate for the test split.", at_least(2))
    train_sentences: int = option(
        8, "Distracting sentences in a training story at most.", at_least(0)
    )
    test_sentences: int = option(8, "Distracting sentences in a test story at most.", at_least(0))


@dataclass
class ProbeConfig(DataConfig):
    """A built-in diagnostic task that asks one thing of a memory."""

    probe: ProbeName = option(MISSING, "Name of the task.")
    length: int | None = option(
        None,
        "Tokens of the longest training text (null: the task's own length).",
        between(1, 100000),
    )
    train_rows: int = option(2000, "Texts to generate for training and validation.", at_least(20))
    test_rows: int = option(
        300, "Test texts to generate for each of the four lengths.", at_least(2)
    )


@dataclass
class TableConfig(DataConfig):
    """Options of rows with named columns, from files or from the hub."""

    path: str = option(MISSING, "File, folder, or name of the data set on the hub.")
    text: Any = option("text", "Column of the text, or a list of columns to join.")
    separator_token: bool = option(
        False, "Join text columns by a separator token instead of a blank (text pairs)."
    )
    label: Any = option(
        "label", "Column of the label, or a list of columns of 0 and 1, one per class."
    )
    label_names: Any = option(
        None,
        "Names of the labels: a list in the order of the ids, or a mapping from value to name "
        "(null: as they are written in the data).",
    )
    label_separator: str | None = option(
        None, "Text between the labels of a multi-label cell (null: one label per cell)."
    )
    drop_leaks: bool = option(
        False, "Drop training texts that also occur in the validation or test split."
    )
    unlabelled: str | None = option(
        None,
        "File or folder of unlabelled texts for a teacher or for pretraining, with the same text "
        "columns (null: none).",
    )


@dataclass
class FilesConfig(TableConfig):
    """A file, a folder with splits, or a data set saved with `save_to_disk`."""

    format: str | None = option(None, "Format of the files (null: by their names).")
    header: bool = option(True, "The first line of a csv or tsv file holds the column names.")
    columns: list[str] | None = option(
        None, "Column names of a csv or tsv file without a header (null: numbers from 1)."
    )
    delimiter: str | None = option(
        None, "Character between the columns of a text file (null: by the format)."
    )
    quoting: bool = option(True, "Quotation marks enclose the cells of a csv or tsv file.")
    encoding: str = option("utf-8", "Encoding of text files.")
    rows: str | None = option(
        None, "Key of the list of records in a json file that is one object (null: by its content)."
    )


@dataclass
class HubConfig(TableConfig):
    """A data set of the Hugging Face hub."""

    subset: str | None = option(
        None, "Configuration of the data set on the hub (null: its only one)."
    )
    revision: str | None = option(
        None, "Branch, tag or commit on the hub (null: the default branch)."
    )
    train_split: str = option("train", "Split to train on.")
    validation_split: str | None = option(
        None, "Split to validate on (null: cut from the training split)."
    )
    test_split: str | None = option("test", "Split to test on (null: cut from the training split).")
