"""The formats lines (`label text`) and fasttext (`__label__a text`): one labelled text per line."""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from nlp_rnn.errors import DataError
from nlp_rnn.sources.columns import require_columns
from nlp_rnn.sources.file_format import (
    FileFormat,
    SourceFile,
    TableStream,
    delimiter_character,
)

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["FASTTEXT", "LINES", "TEXT_LINES"]

_LINES_COLUMNS = ("text", "label", "coarse_label", "fine_label")
_FASTTEXT_COLUMNS = ("text", "label")
_TEXT_COLUMNS = ("text",)
_BLOCK = 100  # rows
_TRIED = 200  # lines

_PREFIX = "__label__"
_LABEL = re.compile(rf"(?<!\S){_PREFIX}\S+\s*")
_GLUED = re.compile(rf"""["']{_PREFIX}|{_PREFIX}.*{_PREFIX}""")
_Row = dict[str, str | None]


def _read_lines(file: SourceFile) -> "Dataset":
    """Split each line at the first delimiter (by default white space) into label and text.

    A label `COARSE:fine` also gives the columns `coarse_label` and `fine_label`.
    """
    if file.options.delimiter is None:
        file.notes.extend(f"{file.path.name}: {note}" for note in _notes_on_lines(file))
    return file.from_rows(("lines", 1), _labelled_lines(file))


def _notes_on_lines(file: SourceFile) -> list[str]:
    """Return a note if few values are at the ends of the first lines, or if lines are indented."""
    read = [line for _, line in islice(file.lines(), _TRIED) if line.strip()]
    lines = [line.strip() for line in read]
    if 0 < (indented := sum(line[0].isspace() for line in read)) < len(read):
        return [
            f"{indented:,} of the first {len(read):,} lines begin with white space; if they "
            "continue the line before, write each text in one line"
        ]
    for mark, name, share in (("\t", "tab", 2), (" ", "blank", 5)):
        cells = [line.rpartition(mark) for line in lines]
        labels, words = {label for _, _, label in cells}, {line.split()[0] for line in lines}
        if len(cells) < 4 or not all(" " in before.strip() for before, _, _ in cells):
            continue
        if not all(any(map(str.isalnum, label)) for label in labels):
            continue
        if share * len(labels) > len(cells) or (mark == " " and len(labels) >= len(words)):
            continue
        advice = (
            "set data.format=tsv data.header=false data.text=1 data.label=2"
            if mark == "\t"
            else r"run sed -E 's/(.*) ([^ ]+)$/\2 \1/' OLD > NEW"
        )
        return [
            f"each line ends with a {name} and a value like {cells[0][2][:40]!r}, which is read as "
            f"text; if it is the label, {advice}"
        ]
    return []


def _labelled_lines(file: SourceFile) -> "Iterator[_Row]":
    require_columns(_LINES_COLUMNS, file.columns, f"The lines file {file.path}")
    delimiter = delimiter_character(file.options.delimiter, "") or None
    return _rows(file, lambda line: _parse_line(line, delimiter))


def _read_fasttext(file: SourceFile) -> "Dataset":
    """Take the words that begin with `__label__`, anywhere in a line, as its labels.

    They are removed from the text. For multi-label data they are joined by blanks.
    """
    return file.from_rows(("fasttext", 2), _fasttext_lines(file, file.options.multi_label))


def _fasttext_lines(file: SourceFile, multi_label: bool) -> "Iterator[_Row]":
    require_columns(_FASTTEXT_COLUMNS, file.columns, f"The fasttext file {file.path}")
    if file.label and file.plain.is_file():
        _reject_other_prefix(file)
    labelled = bool(file.label)  # of texts to predict, `__label__` within a word is text
    return _rows(file, lambda line: _parse_words(line, multi_label, labelled))


def _reject_other_prefix(file: SourceFile) -> None:
    """Raise `DataError` for a file without `__label__`, which names the prefix that it has."""
    first = ""
    for _, line in file.lines():
        if _PREFIX in line:
            return
        first = first or line.strip()
    prefix = re.match(r"[_#@]+([A-Za-z]+[_#@]+)?|(label|class)[:=_]", first)
    raise DataError(
        f"{file.path} has no word that begins with {_PREFIX}, as the labels of fastText do; its "
        f"first line is {first[:40]!r}.\n"
        + (
            f"If {prefix[0]!r} marks its labels, run sed -E 's/(^| ){prefix[0]}/\\1{_PREFIX}/g' "
            "OLD > NEW"
            if prefix
            else "Set data.format=lines if each line begins with its label."
        )
    )


def _text_lines(file: SourceFile) -> "Iterator[_Row]":
    require_columns(_TEXT_COLUMNS, file.columns, f"The txt file {file.path}")
    if file.plain.is_file():
        first = next((line for _, line in file.lines()), "")
        for name, mark in (("csv", ","), ("csv", ";"), ("tsv", "\t"), ("csv", "|")):
            cells = [cell.strip(' "').lower() for cell in first.removeprefix("\ufeff").split(mark)]
            if len(cells) > 1 and not {"text", "label", "id"}.isdisjoint(cells):
                file.notes.append(
                    f"{file.path.name}: line 1 looks like a header, {first[:40]!r}, but each line "
                    f"is read as a text; if it is one, set data.format={name}"
                )
                break
    return ({"text": line} for _, line in file.lines())


def _rows(file: SourceFile, parse: Callable[[str], _Row]) -> Iterator[_Row]:
    for number, line in file.lines():
        if line.strip():
            try:
                yield parse(line)
            except ValueError as error:
                raise DataError(f"{file.path}: row {number} {error}") from error


def _parse_line(line: str, delimiter: str | None) -> _Row:
    parts = line.split(delimiter, 1)
    if len(parts) == 1 and delimiter is None and line[-1].isspace():
        parts.append("")  # a label and the delimiter, but no text
    if len(parts) < 2:
        what = "white space" if delimiter is None else repr(delimiter)
        raise ValueError(
            f"has no {what} between a label and a text: {line[:40]!r}.\n"
            "Set data.delimiter to tab or another character, or data.format to another format."
        )
    label = parts[0]
    if label.startswith(_PREFIX):
        raise ValueError(
            f"has the label {label[:40]!r} as fastText writes it.\nSet data.format=fasttext"
        )
    coarse, _, fine = label.partition(":")
    return {
        "text": parts[1],
        "label": label,
        "coarse_label": coarse,
        "fine_label": fine or None,
    }


def _parse_words(line: str, multi_label: bool, labelled: bool) -> _Row:
    words = line.split()
    labels = [word.removeprefix(_PREFIX) for word in words if word.startswith(_PREFIX)]
    for label in labels:
        if "," in label or not label:
            raise ValueError(
                f"has {'a comma in' if label else 'no name after'} {_PREFIX + label[:40]!r}.\n"
                "Separate labels and text by blanks: __label__a __label__b text"
            )
    if labelled and line.count(_PREFIX) > len(labels):
        # two labels in a word, or one in quotes
        if glued := list(filter(_GLUED.match, words)):
            raise ValueError(
                f"has {_PREFIX!r} within the word {glued[0][:60]!r}.\n"
                "Separate labels and text by blanks: __label__a __label__b text"
            )
    if len(labels) > 1 and not multi_label:
        raise ValueError(
            f"has {len(labels)} labels: {', '.join(labels)[:60]}.\n"
            "For multi-label data set data.label_separator=space; otherwise leave one label."
        )
    text = line
    if labels:
        text = _LABEL.sub("", line)
        text = text.lstrip() if words[0].startswith(_PREFIX) else text
        text = text.rstrip() if len(labels) < len(words) and words[-1].startswith(_PREFIX) else text
    return {"text": text, "label": " ".join(labels) if labels or multi_label else None}


def _stream(columns: Sequence[str], rows: "Callable[[SourceFile], Iterator[_Row]]") -> Any:
    """Return the function that streams the rows of a format."""

    def stream(file: SourceFile) -> TableStream:
        remaining = rows(file)
        blocks = iter(lambda: list(islice(remaining, _BLOCK)), [])
        return TableStream(list(columns), blocks)

    return stream


def _read_texts(file: SourceFile) -> "Dataset":
    """Read one text per line, for unlabelled texts."""
    if file.label:
        raise DataError(f"{file.path} has texts, but no labels.\nSet data.path to another file.")
    return file.from_rows(("txt", 1), _text_lines(file))


LINES = FileFormat(
    "lines",
    _read_lines,
    (".label",),
    options=("delimiter", "encoding"),
    stream=_stream(_LINES_COLUMNS, _labelled_lines),
)
FASTTEXT = FileFormat(
    "fasttext",
    _read_fasttext,
    options=("encoding",),
    # labels that are there do not matter for predictions, also if there are several
    stream=_stream(_FASTTEXT_COLUMNS, partial(_fasttext_lines, multi_label=True)),
)
TEXT_LINES = FileFormat(
    "txt", _read_texts, (".txt",), ("encoding",), stream=_stream(_TEXT_COLUMNS, _text_lines)
)
"""One text per line, without labels: only for `nlp-rnn predict`."""
