"""A data configuration becomes the rows of its splits: files, hub, or made here."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from nlp_rnn.config.data import (
    PROBE_LENGTHS,
    DataConfig,
    FilesConfig,
    HubConfig,
    ProbeConfig,
    StoriesConfig,
    TableConfig,
)
from nlp_rnn.errors import DataError
from nlp_rnn.sources.arrow_cache import AT_ONCE, forget_pages, mapped_files
from nlp_rnn.sources.columns import select_columns
from nlp_rnn.sources.file_format import FileForm, delimiter_character
from nlp_rnn.sources.files import read_path
from nlp_rnn.sources.hub import offline, read_hub
from nlp_rnn.sources.probe_tasks import PROBES, make_probe, test_parts
from nlp_rnn.sources.stories import make_stories
from nlp_rnn.sources.text_column import SEPARATOR

if TYPE_CHECKING:
    import pyarrow
    from datasets import Dataset

__all__ = ["Source", "read_source"]


@dataclass(frozen=True)
class Source:
    """The splits that were found (`train` always, `validation`, `test`) and the columns to use.

    `text` are the columns that make up a text, joined by the token `separator` if there is one;
    `label` is the one of the labels, or there is one for each class; `label_separator` is what
    stands between several labels in a cell, and `label_names` are names for labels as they were
    found. `notes` say what the reading had to decide. `parts` are the rows of the test split that
    are worth a score of their own.
    """

    name: str
    splits: "dict[str, Dataset]"
    text: tuple[str, ...]
    label: str | tuple[str, ...]
    notes: tuple[str, ...] = ()
    label_names: dict[str, str] | None = None
    parts: Mapping[str, range] = field(default_factory=dict)
    label_separator: str | None = None
    separator: str | None = None


def read_source(config: DataConfig) -> Source:
    """Read what `config` points at; only the hub ever uses the network.

    Raises `DataError` when it cannot be found or read, or lacks a column.
    """
    if isinstance(config, StoriesConfig):
        return _read_stories(config)
    if isinstance(config, ProbeConfig):
        return _read_probe(config)
    if not isinstance(config, TableConfig):
        raise DataError(f"data={config.name} cannot be read. Type data=stories, files or hub.")
    # without a header, columns are named by their numbers
    text = tuple(map(str, config.text if isinstance(config.text, list) else [config.text]))
    several = isinstance(config.label, list)
    label = tuple(map(str, config.label if several else [config.label]))
    wanted = tuple(dict.fromkeys((*text, *label)))
    notes: list[str] = []
    if isinstance(config, HubConfig):
        name = config.path
        splits = read_hub(config, notes)
    else:
        assert isinstance(config, FilesConfig)
        path = Path(config.path).expanduser()
        name = path.stem if path.is_file() else path.absolute().name
        with offline():
            splits = read_path(path, text, label, notes, _form(config))
    for split, dataset in splits.items():
        where = f"The {split} split of {config.path}"
        splits[split] = select_columns(dataset, wanted, where)
        _check_encoding(splits[split], wanted, where)
    names = config.label_names
    if isinstance(names, list):
        names = dict(zip(label, names, strict=True) if several else enumerate(names))
    label_names = {str(label): str(word) for label, word in names.items()} if names else None
    separator = config.label_separator
    return Source(
        name,
        splits,
        text,
        label if several else label[0],
        tuple(notes),
        label_names,
        label_separator=separator and delimiter_character(separator, ""),
        separator=SEPARATOR if config.separator_token else None,
    )


def _form(config: FilesConfig) -> FileForm:
    return FileForm(
        format=config.format.name if config.format else None,
        header=config.header,
        columns=tuple(config.columns) if config.columns else None,
        delimiter=config.delimiter,
        quoting=config.quoting,
        encoding=config.encoding,
        several=config.label_separator is not None,
    )


def _check_encoding(dataset: "Dataset", columns: Sequence[str], where: str) -> None:
    """Refuse strings that are not UTF-8: parquet and Arrow's reader of JSON let them through."""
    import pyarrow

    files, read = mapped_files(dataset), 0
    for name in columns:
        first = 1
        for chunk in dataset.data.column(name).chunks:
            if (read := read + chunk.nbytes) >= AT_ONCE:
                forget_pages(files)
                read = 0
            try:
                chunk.validate(full=True)
            except pyarrow.ArrowInvalid as error:
                row, byte = _bad_value(chunk)
                raise DataError(
                    f"{where} is not UTF-8: row {first + row}, column {name!r}, holds byte "
                    f"0x{byte:02X}.\nWrite the data again as UTF-8."
                ) from error
            first += len(chunk)


def _bad_value(chunk: "pyarrow.Array") -> tuple[int, int]:
    """Return the index of the first string that is not UTF-8, and its first wrong byte."""
    for row, value in enumerate(chunk):
        try:
            value.as_py()
        except UnicodeDecodeError as error:
            return row, error.object[error.start]
    raise ValueError("every value can be decoded")


def _read_stories(config: StoriesConfig) -> Source:
    from datasets import Dataset

    taken: set[str] = set()  # test first, so that it stays the same whatever train asks for
    test = make_stories(config.test_rows, config.test_sentences, 2 * config.seed + 1, taken)
    train = make_stories(config.train_rows, config.train_sentences, 2 * config.seed, taken)
    splits = {
        split: Dataset.from_dict({"text": texts, "label": labels})
        for split, (texts, labels) in {"train": train, "test": test}.items()
    }
    return Source(config.name, splits, ("text",), "label")


def _read_probe(config: ProbeConfig) -> Source:
    from datasets import Dataset

    name = config.probe.name
    probe, length = PROBES[name], config.length or PROBE_LENGTHS[name]
    if length < probe.shortest:
        raise DataError(
            f"data.length={length} is too short for the probe {name}.\n"
            f"Type data.length={probe.shortest} or more."
        )
    parts = test_parts(probe, length)
    train = make_probe(
        probe, config.train_rows, *parts["1x"], chance=random.Random(2 * config.seed)
    )
    chance = random.Random(2 * config.seed + 1)
    texts: list[str] = []
    labels: list[str] = []
    for shortest, longest in parts.values():
        more_texts, more_labels = make_probe(probe, config.test_rows, shortest, longest, chance)
        texts += more_texts
        labels += more_labels
    rows = config.test_rows
    return Source(
        name,
        {
            "train": Dataset.from_dict({"text": train[0], "label": train[1]}),
            "test": Dataset.from_dict({"text": texts, "label": labels}),
        },
        ("text",),
        "label",
        notes=(
            f"asks: {probe.question}",
            f"a second direction gives away {probe.second_direction}",
            f"trained at up to {length} tokens, tested at up to {', '.join(parts)} as many",
        ),
        parts={
            part: range(number * rows, (number + 1) * rows) for number, part in enumerate(parts)
        },
    )
