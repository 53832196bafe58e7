"""Options `data.…` of `predict`: checked as those of the training, which are their defaults."""

import atexit
import re
import shutil
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import fields, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.commands.input_tables import PIPE, STANDARD_INPUT, InputTable
from nlp_rnn.errors import ConfigError, DataError

if TYPE_CHECKING:
    from nlp_rnn.config.data import FilesConfig
    from nlp_rnn.sources.file_format import FileOptions
    from nlp_rnn.sources.files import Entry

__all__ = ["input_errors", "is_option", "open_input"]

_OPTIONS = ("text", "format", "header", "columns", "delimiter", "quoting", "encoding", "rows")
_OPTION = re.compile(r"data\.\w+=")
_TXT = "txt"


def is_option(argument: str) -> bool:
    """Return whether an argument is an option such as `data.text=review`."""
    return _OPTION.match(argument) is not None


def open_input(
    source: str | None,
    arguments: Sequence[str],
    config: Mapping[str, Any],
    split: str | None,
    notes: list[str],
) -> InputTable:
    """Open the input of `predict`.

    Parameters
    ----------
    source : str or None
        File, folder or pattern; None for standard input.
    arguments : sequence of str
        Options of the form `data.…=…`. Those that are not set have the values of the training, if
        the file has the same form and can be read with them.
    config : mapping
        The `config.json` of the classifier.
    split : str or None
        The split to read of a source that has several, or `all`.
    notes : list of str
        Receives lines that the user should see.

    Raises
    ------
    ConfigError
        An option is wrong, or has no effect on predictions.
    DataError
        The source cannot be read, or lacks a column.
    """
    from nlp_rnn.sources.reading import remembered_note, saved_reading

    data, keys = _data_config(arguments)
    reading = saved_reading(config)
    saved = reading.get("options", {})
    texts = [_columns(data.text)]
    if "text" not in keys and "text" in saved:
        texts = [_columns(saved["text"]), *(texts if len(_columns(saved["text"])) == 1 else [])]
    find = _Pipe(_options(data)) if source is None else _Path(Path(source).expanduser())
    form, difference = _form(find, _options(data), reading, keys, texts[0], config)
    try:
        table, attempt_notes = _open(find, replace(data, **form), keys, texts, split, config)
    except DataError as error:
        if difference and "data.header" in difference and "data.text=COLUMN" in str(error):
            raise DataError(
                f"{error}; if its first row is no header, data.header=false, as in training"
            ) from error
        if not form:
            raise
        form, difference = {}, None
        table, attempt_notes = _open(find, data, keys, texts, split, config)
    if "text" not in keys and table.text == texts[0] != ("text",) and "text" in saved:
        form = {"text": table.text[0] if len(table.text) == 1 else [*table.text], **form}
    elif "text" not in keys and "text" in saved and table.format != _TXT and table.text != texts[0]:
        notes.append(
            f"{find.name} has no {_named(texts[0])} as in training; the texts are those of "
            f"{_named(table.text)}"
        )
    if form:
        notes.append(remembered_note(form))
    if difference:
        notes.append(difference)
    notes += attempt_notes
    return table


def _named(columns: Sequence[str]) -> str:
    """Return columns for a message: the column 'text'."""
    return f"{'column' if len(columns) == 1 else 'columns'} {', '.join(map(repr, columns))}"


def _open(
    find: "_Path | _Pipe",
    data: "FilesConfig",
    keys: Collection[str],
    texts: Sequence[tuple[str, ...]],
    split: str | None,
    config: Mapping[str, Any],
) -> tuple[InputTable, list[str]]:
    """Open the input with options, and return it with what the user should see about it."""
    notes: list[str] = []
    entries = _chosen(find.splits(_options(data), texts[0], notes), split, find.name)
    if entries[0].format == _TXT:
        if "text" in keys:
            raise ConfigError(
                f"data.text has no effect on {find.name}, which has one text per line (txt).\n"
                "Remove it, or set data.format to the format of the file."
            )
        texts = [("text",)]
    from nlp_rnn.sources.reading import saved_reading

    reading = saved_reading(config)
    table = InputTable(
        entries,
        texts,
        "text" not in keys,
        config.get("separator"),
        _columns(reading.get("options", {}).get("text", "text")),
        _labels(config, reading),
    )
    table.notes[:0] = notes
    return table, table.notes


def _chosen(splits: "Mapping[str, Sequence[Entry]]", split: str | None, name: str) -> "list[Entry]":
    """Return the files of a split, of `all`, or of the only one."""
    if (split is None and len(splits) == 1) or split == "all":
        return [entry for entries in splits.values() for entry in entries]
    known = ", ".join(splits)
    if split is None:
        raise DataError(
            f"{name} has several splits: {known}.\nSet --split to one of them, or to all."
        )
    if split not in splits:
        raise DataError(
            f"{name} has no split {split}; it has: {known}.\nSet --split to one of them, or to all."
        )
    return list(splits[split])


def _data_config(arguments: Sequence[str]) -> "tuple[FilesConfig, set[str]]":
    """Return the checked options, and the names of those that are set."""
    from nlp_rnn.config.compose import compose
    from nlp_rnn.config.data import FilesConfig

    keys = {argument.partition("=")[0].removeprefix("data.") for argument in arguments}
    for name in sorted(keys & {field.name for field in fields(FilesConfig)} - {*_OPTIONS}):
        advice = "Set --input FILE" if name == "path" else "Remove it"
        raise ConfigError(f"data.{name} has no effect on predictions.\n{advice}.")
    data = compose(["data=files", "data.path=input", *arguments]).data
    assert isinstance(data, FilesConfig)
    return data, keys


def _columns(text: Any) -> tuple[str, ...]:
    return tuple(map(str, text if isinstance(text, list) else [text]))


def _options(data: "FilesConfig") -> "FileOptions":
    from nlp_rnn.sources.source import file_options

    if data.format == _TXT:
        return replace(file_options(replace(data, format=None)), format=_TXT)
    return file_options(data)


class _Path:
    """A file, folder or pattern."""

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, str(path)

    def splits(
        self, options: "FileOptions", text: Sequence[str], notes: list[str]
    ) -> "dict[str, list[Entry]]":
        """Return the files of each split."""
        from nlp_rnn.sources.streams import find_streams

        return find_streams(self.path, text, notes, options)


class _Pipe:
    """Standard input."""

    def __init__(self, options: "FileOptions") -> None:
        self.path, self.name = _standard_input(options), STANDARD_INPUT

    def splits(
        self, options: "FileOptions", text: Sequence[str], notes: list[str]
    ) -> "dict[str, list[Entry]]":
        """Return standard input, whose default format is txt, as a train split."""
        from nlp_rnn.sources.files import Entry
        from nlp_rnn.sources.formats import FORMATS, check_options
        from nlp_rnn.sources.labelled_lines import TEXT_LINES

        name = options.format or _TXT
        check_options(options, {name: FORMATS.get(name, TEXT_LINES).options}, self.name)
        return {"train": [Entry(self.path, options, name)]}


def _standard_input(options: "FileOptions") -> Path:
    """Return standard input as a file.

    txt and jsonl are read as they arrive. Other formats are copied to a temporary file, because
    they are recognized by their beginnings or read from their ends.
    """
    name = options.format or "txt"
    if name in ("txt", "jsonl") and options.is_utf8 and PIPE.exists():
        return PIPE
    folder = tempfile.mkdtemp(prefix="nlp_rnn_")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = Path(folder) / STANDARD_INPUT
    with path.open("wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
    return path


def _form(
    find: _Path | _Pipe,
    options: "FileOptions",
    reading: Mapping[str, Any],
    keys: Collection[str],
    text: Sequence[str],
    config: Mapping[str, Any],
) -> tuple[dict[str, Any], str | None]:
    """Return the options about the form of the training data that apply to the input.

    Those in `keys` are set by the user. The second value is a note on options that do not fit.
    """
    from nlp_rnn.sources.reading import form_defaults
    from nlp_rnn.sources.same_form import fitting_form, has_labels

    entries: list[Entry] = []
    paths, formats = [find.path], set[str]()
    with suppress(DataError):  # where the name shows no format, the saved format may apply
        entries = list(chain.from_iterable(find.splits(options, text, []).values()))
        paths, formats = [entry.path for entry in entries], {entry.format for entry in entries}
    form = form_defaults(reading, paths, formats)
    if not all(path.is_file() for path in paths):  # a pipe, which is not decoded
        form.pop("encoding", None)
    form = {name: value for name, value in form.items() if name not in keys}
    kind = form.get("format")
    if kind in ("lines", "fasttext") and all(entry.path.is_file() for entry in entries):
        labels = _labels(config, reading)
        with suppress(OSError, DataError):
            if not all(has_labels(e, form, labels) for e in entries):
                return {}, (
                    f"not read as in training (data.format={kind}): the lines have no labels; set "
                    "the option if they have"
                )
    return fitting_form(form, entries, text)


def _labels(config: Mapping[str, Any], reading: Mapping[str, Any]) -> set[str]:
    """Return the labels of the training, as they are in its file and by their names."""
    names = reading.get("options", {}).get("label_names") or {}
    numbers = map(str, range(len(names))) if isinstance(names, list) else names
    return {*map(str, config.get("id2label", {}).values()), *numbers}


@contextmanager
def input_errors() -> Iterator[None]:
    """Name the options of `predict` in errors about its input, which name those of the training."""
    try:
        yield
    except DataError as error:
        first, *rest = str(error).splitlines()
        if rest and "data=hub" in rest[0]:
            rest = ["Set --input to a file, a folder or a pattern such as 'data/*.csv'."]
        message = re.sub(
            rf"(\S*/{STANDARD_INPUT}|/dev/stdin)", STANDARD_INPUT, "\n".join([first, *rest])
        )
        message = message.replace("data.path=", "--input ").replace("data.path", "--input")
        message = re.sub(r" (and |or )?data\.label(=[^\s,;)]+)?", "", message)
        raise DataError(message) from error
