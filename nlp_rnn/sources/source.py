"""Read the splits of the data set that a data configuration describes."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.config.data import (
    PROBE_LENGTHS,
    DataConfig,
    FilesConfig,
    HubConfig,
    ProbeConfig,
    StoriesConfig,
    TableConfig,
)
from nlp_rnn.errors import ConfigError, DataError
from nlp_rnn.sources.arrow_cache import RELEASE_AFTER, mapped_files, release_pages
from nlp_rnn.sources.columns import select_columns
from nlp_rnn.sources.file_format import FileOptions, delimiter_character
from nlp_rnn.sources.files import (
    Entry,
    find_bad_encoding,
    find_splits,
    read_path,
    read_splits,
)
from nlp_rnn.sources.formats import FORMATS
from nlp_rnn.sources.hub import offline, read_hub
from nlp_rnn.sources.path_errors import readable
from nlp_rnn.sources.probe_tasks import PROBES, make_probe, test_parts
from nlp_rnn.sources.reading import described_reading
from nlp_rnn.sources.saved_folders import is_saved
from nlp_rnn.sources.stories import make_stories
from nlp_rnn.sources.text_column import SEPARATOR

if TYPE_CHECKING:
    import pyarrow
    from datasets import Dataset

__all__ = ["Source", "bad_value", "file_options", "read_source"]


@dataclass(frozen=True)
class Source:
    """The splits of a data set as they were read, and the columns to use.

    Attributes
    ----------
    name : str
        Name of the data set.
    splits : dict of str to Dataset
        `train`, and `validation` and `test` where the data set has them.
    text : tuple of str
        The columns that make up a text.
    label : str or tuple of str
        The label column, or one column for each class.
    notes : tuple of str
        Lines that the user should see.
    label_names : dict of str to str or None
        New names of labels, by their names in the data.
    parts : mapping of str to range
        Named rows of the test split that get separate scores.
    label_separator : str or None
        Separator between the labels of a cell.
    separator : str or None
        Token between the text columns; None: they are joined by a blank.
    reading : mapping of str to JSON values
        How the data was read, from `reading.described_reading`; empty for generated data.
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
    reading: Mapping[str, Any] = field(default_factory=dict)


def read_source(config: DataConfig) -> Source:
    """Read the splits of a data set. Only `HubConfig` uses the network.

    Raises
    ------
    DataError
        The data set does not exist, cannot be read, or lacks a column.
    ConfigError
        `data.format` is not the name of a file format.
    """
    if isinstance(config, StoriesConfig):
        return _read_stories(config)
    if isinstance(config, ProbeConfig):
        return _read_probe(config)
    if not isinstance(config, TableConfig):
        raise DataError(f"data={config.name} cannot be read. Set data=stories, files or hub.")
    # without a header, columns may be numbers
    text = tuple(map(str, config.text if isinstance(config.text, list) else [config.text]))
    per_class = isinstance(config.label, list)
    label = tuple(map(str, config.label if per_class else [config.label]))
    columns = tuple(dict.fromkeys((*text, *label)))
    notes: list[str] = []
    train: list[Entry] = []
    if isinstance(config, HubConfig):
        name = config.path
        splits = read_hub(config, notes)
    else:
        assert isinstance(config, FilesConfig)
        path = Path(config.path).expanduser()
        with readable(path):
            name = path.stem if path.is_file() else path.absolute().name
        options = file_options(config)
        with offline():
            if is_saved(path):
                splits = read_path(path, text, label, notes, options)
            else:
                entries = find_splits(path, (*text, *label), notes, options)
                splits = read_splits(path, entries, text, label, notes)
                train = entries["train"]
    for split, dataset in splits.items():
        where = f"The {split} split of {config.path}"
        splits[split] = select_columns(dataset, columns, where)
        try:
            _check_encoding(splits[split], columns, where)
        except DataError as error:
            files = isinstance(config, FilesConfig)
            fault = find_bad_encoding(Path(config.path).expanduser()) if files else None
            if fault is None:
                raise
            advice = fault.splitlines()[1]
            raise DataError(f"{str(error).splitlines()[0]}\n{advice}") from error
    names = config.label_names
    if isinstance(names, list):
        names = dict(zip(label, names, strict=True) if per_class else enumerate(names))
    label_names = {str(old): str(new) for old, new in names.items()} if names else None
    separator = config.label_separator
    return Source(
        name,
        splits,
        text,
        label if per_class else label[0],
        tuple(notes),
        label_names,
        label_separator=separator and delimiter_character(separator, ""),
        separator=SEPARATOR if config.separator_token else None,
        reading=described_reading(config, train),
    )


def file_options(config: FilesConfig) -> FileOptions:
    """Return the options about the form of files; raises `ConfigError` for an unknown format."""
    if config.format is not None and config.format not in FORMATS:
        raise ConfigError(
            f"data.format={config.format} is not a file format. "
            f"Set data.format to one of: {', '.join(FORMATS)}."
        )
    return FileOptions(
        format=config.format,
        header=config.header,
        columns=tuple(config.columns) if config.columns else None,
        delimiter=config.delimiter,
        quoting=config.quoting,
        encoding=config.encoding,
        multi_label=config.label_separator is not None,
        rows=config.rows,
    )


def _check_encoding(dataset: "Dataset", columns: Sequence[str], where: str) -> None:
    """Reject strings that are not UTF-8: parquet and Arrow's reader of JSON accept them."""
    import pyarrow

    files, read = mapped_files(dataset), 0
    for name in columns:
        first = 1
        for chunk in dataset.data.column(name).chunks:
            if (read := read + chunk.nbytes) >= RELEASE_AFTER:
                release_pages(files)
                read = 0
            try:
                chunk.validate(full=True)
            except pyarrow.ArrowInvalid as error:
                row, byte = bad_value(chunk)
                raise DataError(
                    f"{where} is not UTF-8: row {first + row}, column {name!r}, has the byte "
                    f"0x{byte:02X}.\nWrite the data again as UTF-8."
                ) from error
            first += len(chunk)


def bad_value(chunk: "pyarrow.Array") -> tuple[int, int]:
    """Return the index of the first string that is not UTF-8, and its first wrong byte."""
    for row, value in enumerate(chunk):
        try:
            value.as_py()
        except UnicodeDecodeError as error:
            return row, error.object[error.start]
    raise ValueError("every value can be decoded")


def _read_stories(config: StoriesConfig) -> Source:
    from datasets import Dataset

    taken: set[str] = set()  # test first, so that it does not depend on the options of train
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
            f"Set data.length={probe.shortest} or more."
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
            f"question: {probe.question}",
            f"what a second direction reveals: {probe.second_direction}",
            f"trained on up to {length} tokens, tested on up to {', '.join(parts)} as many",
        ),
        parts={
            part: range(number * rows, (number + 1) * rows) for number, part in enumerate(parts)
        },
    )
