"""A csv or tsv file becomes rows, strictly: no cell is moved, guessed or lost in silence."""

from pathlib import Path
from typing import TYPE_CHECKING

from nlp_rnn.errors import DataError
from nlp_rnn.sources.arrow_cache import arrow_batches, file_key, write_arrow
from nlp_rnn.sources.columns import require_columns
from nlp_rnn.sources.decoding import bad_encoding
from nlp_rnn.sources.file_format import FileForm, delimiter_character

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["number_column", "read_delimited"]

_BLOCK = 16 << 20  # bytes; pyarrow refuses a row that is longer


def read_delimited(
    path: Path, plain: Path, kind: str, wanted: list[str], form: FileForm, notes: list[str]
) -> "Dataset":
    """Read the columns `wanted` of `plain`, a UTF-8 copy of `path` or itself.

    By pyarrow, not by the reader of `datasets` (pandas): that one moves the columns of a row with
    an unquoted comma, takes the text NA for a missing one, and cannot name the row of a fault. An
    empty cell is missing, `""` is an empty text. Without header the columns have the names that
    `form` gives them, else their numbers, from 1.
    """
    import pyarrow
    from pyarrow import csv

    delimiter = delimiter_character(form.delimiter, "\t" if kind == "tsv" else ",")
    parse = csv.ParseOptions(
        delimiter=delimiter,
        quote_char='"' if form.quoting else False,
        newlines_in_values=form.quoting,
    )
    # threads would hide the row of a fault
    read = csv.ReadOptions(
        use_threads=False, block_size=_BLOCK, autogenerate_column_names=not form.header
    )
    try:
        names = csv.open_csv(plain, read_options=read, parse_options=parse).schema.names
        if not form.header:
            names = _given_names(path, len(names), form)
            read.autogenerate_column_names = False
            read.column_names = names
        require_columns(names, wanted, str(path))
        convert = csv.ConvertOptions(
            include_columns=wanted,
            column_types={name: pyarrow.string() for name in wanted},
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        )
        schema = pyarrow.schema([(name, pyarrow.string()) for name in wanted])
        batches = csv.open_csv(plain, read, parse, convert)
        options = (kind, form.header, form.columns, form.delimiter, form.quoting, form.encoding)
        dataset = write_arrow(("csv", *file_key(path), *options, *wanted), schema, batches)
    except pyarrow.ArrowInvalid as error:
        if fault := bad_encoding(plain, path):
            raise DataError(fault) from error
        raise DataError(_broken(path, error, form)) from error
    if form.quoting and (swallowed := _swallowed(dataset, delimiter, len(names))):
        cells = "cell holds" if swallowed == 1 else "cells hold"
        notes.append(
            f"{path.name}: {swallowed:,} {cells} what looks like whole rows, as after an "
            "unpaired quote; if its quotes mean nothing type data.quoting=false"
        )
    return dataset


def _given_names(path: Path, number: int, form: FileForm) -> list[str]:
    if form.columns is None:
        return [str(place) for place in range(1, number + 1)]
    if len(form.columns) != number:
        raise DataError(
            f"{path} has {number} columns in its first row, data.columns names "
            f"{len(form.columns)}.\nName every column, or leave data.columns out and give numbers."
        )
    return list(form.columns)


def _swallowed(dataset: "Dataset", delimiter: str, width: int) -> int:
    """Count cells with a line in them that would be a row of its own."""
    import pyarrow.compute as pc

    number = 0
    for table in arrow_batches(dataset):
        for column in table.columns:
            for cell in column.filter(pc.match_substring(column, "\n")).to_pylist():
                lines = cell.split("\n")[1:-1]
                number += any(line.count(delimiter) == width - 1 for line in lines)
    return number


def _broken(path: Path, error: Exception, form: FileForm) -> str:
    first = str(error).splitlines()[0][:200]
    counted = " (row 1 is the header)" if form.header else ""
    advice = (
        "A text with a comma, a quote or a line break in it must stand in double quotes; "
        "if quotes mean nothing in the file type data.quoting=false"
        if form.quoting
        else "With data.quoting=false a cell ends at every delimiter and a row at every line end."
    )
    return f"{path} is broken: {first}{counted}.\n{advice}"


def number_column(dataset: "Dataset", column: str) -> "Dataset":
    """Make numbers of a column that holds nothing else; the format itself has no types."""
    import pyarrow
    import pyarrow.compute as pc

    values = dataset.data.column(column)
    values = pc.if_else(pc.equal(values, ""), None, values)
    for kind in (pyarrow.int64(), pyarrow.float64()):
        try:
            numbers = values.cast(kind)
        except pyarrow.ArrowInvalid:
            continue
        return dataset.remove_columns(column).add_column(column, numbers.combine_chunks())
    return dataset
