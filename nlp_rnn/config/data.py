"""The shape of data and tokenizers: what YAML and the command line may say of them."""

from dataclasses import dataclass
from enum import Enum
from typing import Any

from nlp_rnn.config.option import MISSING

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
"""Tokens of the longest training text of a probe, unless `data.length` says otherwise."""

PROBE_FACTORS = (1, 2, 4, 8)
"""Test texts of a probe are up to so many times as long as its longest training text."""

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
    """What every source of data has. The run's own seed never changes a split."""

    name: str = MISSING
    limit: int | None = None
    fraction: float | None = None
    validation_fraction: float = 0.1
    seed: int = 0


@dataclass
class StoriesConfig(DataConfig):
    """The built-in corpus; lengths are distracting sentences in a story, at most."""

    train_rows: int = 4000
    test_rows: int = 1000
    train_sentences: int = 8
    test_sentences: int = 8


@dataclass
class ProbeConfig(DataConfig):
    """A built-in test of memory; `length` is the longest training text (null: the probe's own).

    `test_rows` are those of each of the four lengths.
    """

    probe: ProbeName = MISSING
    length: int | None = None
    train_rows: int = 2000
    test_rows: int = 300


@dataclass
class TableConfig(DataConfig):
    """Rows with named columns; `text` is one or a list, `label_names` a list or a mapping.

    The columns of a list are joined by a blank, or by a token of its own with `separator_token`.
    `label` is the column of the labels, or a list with a column of 0 and 1 for each class. With
    `label_separator` a cell holds any number of labels, and that between them. `unlabelled` is a
    file or folder of more texts, in the same columns, for a pretraining.
    """

    path: str = MISSING
    text: Any = "text"
    separator_token: bool = False
    label: Any = "label"
    label_names: Any = None
    label_separator: str | None = None
    drop_leaks: bool = False
    unlabelled: str | None = None


@dataclass
class FilesConfig(TableConfig):
    """A file, a folder of splits, or a dataset saved with `save_to_disk`.

    `format=null` goes by the names of the files; the other options are about text files.
    """

    format: str | None = None
    header: bool = True
    columns: list[str] | None = None
    delimiter: str | None = None
    quoting: bool = True
    encoding: str = "utf-8"


@dataclass
class HubConfig(TableConfig):
    """A dataset of the Hugging Face hub; `path` is its name there."""

    subset: str | None = None
    revision: str | None = None
    train_split: str = "train"
    validation_split: str | None = None
    test_split: str | None = "test"
