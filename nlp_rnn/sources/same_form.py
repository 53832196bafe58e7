"""Whether a file has the form of the training file, whose options are its defaults."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from itertools import islice
from typing import Any

from nlp_rnn.errors import DataError
from nlp_rnn.sources.csv_header import looks_like_header, plain_name
from nlp_rnn.sources.dialect import detect_dialect, encloses_in_quotes, first_rows
from nlp_rnn.sources.file_format import DEFAULT_OPTIONS, delimiter_character
from nlp_rnn.sources.files import Entry, plain_copy
from nlp_rnn.sources.formats import FORMATS

__all__ = ["fitting_form", "has_labels"]

_DELIMITERS = {"csv": ",", "tsv": "\t"}
_DIALECT = ("header", "columns", "delimiter", "quoting")
_LINES = 100
_ADDED = {(f"{p}label{s}", f"{p}score{s}") for p in ("", "predicted_") for s in ("", "s")}


def fitting_form(
    form: Mapping[str, Any], entries: Sequence[Entry], text: Sequence[str]
) -> tuple[dict[str, Any], str | None]:
    """Return the options of the training that fit files, and a note on the others.

    A file can have a header, other quotes or another delimiter than the file of the training, such
    as what `predict` wrote. In doubt `header`, `columns` and `quoting` are left out.

    Parameters
    ----------
    form : mapping
        The options of the training about the form.
    entries : sequence of Entry
        The files.
    text : sequence of str
        The text columns of the training.
    """
    fitting = dict(form)
    differs: set[str] = set()
    for entry in entries:
        if entry.format in _DELIMITERS and entry.path.is_file() and {*form} & {*_DIALECT}:
            differs |= _differing(form, entry, text)
    names = [name for name in form if name in differs]
    if not names:
        return fitting, None
    for name in names:
        del fitting[name]
    shown = " ".join(f"data.{name}" for name in names)
    return fitting, (
        f"not read as in training: the file has another form, so that {shown} of the training "
        f"{'does' if len(names) == 1 else 'do'} not apply; set the option if it does"
    )


def has_labels(entry: Entry, form: Mapping[str, Any], labels: Set[str]) -> bool:
    """Return whether the lines of a txt file have labels, as in the formats lines and fasttext.

    Parameters
    ----------
    entry : Entry
        The file.
    form : mapping
        The options of the training about the form. With the format `lines` half of the first lines
        begin with a label; with `fasttext` one has a label.
    labels : set of str
        The labels of the training.
    """
    options = replace(entry.options, encoding=form.get("encoding", entry.options.encoding))
    plain = plain_copy(entry.path, FORMATS[form["format"]], options, [])
    with plain.open(encoding="utf-8-sig", errors="replace") as file:
        lines = [line.strip() for line in islice(file, _LINES) if line.strip()]
    if form["format"] == "fasttext":
        return not lines or any("__label__" in line for line in lines)
    mark = delimiter_character(form.get("delimiter"), "") or None
    first = [line.split(mark, 1)[0].strip() for line in lines]
    labelled = sum(not labels.isdisjoint({word, *word.split(":")}) for word in first)
    return 2 * labelled >= len(lines)


def _differing(form: Mapping[str, Any], entry: Entry, text: Sequence[str]) -> set[str]:
    """Return the names of options that do not fit a file."""
    default = _DELIMITERS[entry.format]
    encoding = form.get("encoding", entry.options.encoding)
    try:
        options = replace(entry.options, encoding=encoding)
        plain = plain_copy(entry.path, FORMATS[entry.format], options, [])
        quoting = form.get("quoting", entry.options.quoting)
        guess = replace(DEFAULT_OPTIONS, delimiter=entry.options.delimiter, quoting=quoting)
        dialect = detect_dialect(plain, guess, default, text)
        raw = first_rows(plain, dialect, quoting=False)
    except (DataError, OSError):  # an error that reading the file reports
        return set()
    if not raw:
        return set()
    header = [plain_name(cell.strip().removeprefix('"').removesuffix('"')) for cell in raw[0]]
    names = {name for name in text if not name.isdecimal()}
    is_named = bool(names) and names <= {*header}
    if form.get("header", entry.options.header):
        has_header = is_named
        is_prediction = _ends_with_predictions(header)
    else:
        has_header = is_named or looks_like_header(header, raw[1:])
        is_prediction = has_header
    differs = {*form} & {"header", "columns"} if has_header else set()
    if "quoting" in form and (is_prediction or encloses_in_quotes(plain, dialect.delimiter)):
        differs.add("quoting")
    if "delimiter" in form:
        delimiter = delimiter_character(str(form["delimiter"]), default)
        widths = {len(row) for row in raw}
        is_even = len(raw) > 1 and len(widths) == 1 and widths != {1}
        is_absent = not any(delimiter in cell for cell in raw[0])
        if delimiter != dialect.delimiter and (has_header or (is_even and is_absent)):
            differs.add("delimiter")
    return differs


def _ends_with_predictions(header: Sequence[str]) -> bool:
    """Return whether the last columns are those that `predict` adds."""
    others = [name for name in header if "probability_" not in name]
    return tuple(others[-2:]) in _ADDED
