"""The formats csv and tsv, read strictly: no cell is moved or silently lost."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from nlp_rnn.errors import DataError
from nlp_rnn.sources.arrow_cache import file_key, write_arrow
from nlp_rnn.sources.columns import require_columns
from nlp_rnn.sources.csv_faults import Rows, check_quotes
from nlp_rnn.sources.decoding import bad_encoding
from nlp_rnn.sources.dialect import detect_dialect, has_backslash_quotes
from nlp_rnn.sources.file_format import FileFormat, FileOptions, SourceFile

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["CSV", "TSV"]

_DOUBLED = "write the file with doubled quotes (Spark: escape='\"')"
_BLOCK = 16 << 20  # bytes; pyarrow rejects a row that is longer


def _read_delimited(file: SourceFile, default_delimiter: str) -> "Dataset":
    """Read `file.columns` with pyarrow; an empty cell is missing, `""` is an empty text.

    The reader of `datasets` (pandas) is not used: it moves the columns of a row with an unquoted
    comma, takes the text NA for a missing one, and cannot name the row of an error.
    """
    import pyarrow
    from pyarrow import csv

    options, columns = file.options, file.columns
    dialect = detect_dialect(file.plain, options, default_delimiter, columns)
    delimiter = dialect.delimiter
    if dialect.note:
        file.notes.append(f"{file.path.name}: {dialect.note}")
    parse = csv.ParseOptions(
        delimiter=delimiter,
        quote_char='"' if options.quoting else False,
        newlines_in_values=options.quoting,
    )
    # with threads, errors would not name the row
    read = csv.ReadOptions(
        use_threads=False,
        block_size=_BLOCK,
        autogenerate_column_names=not options.header,
        skip_rows=dialect.skipped_rows,
    )
    try:
        names = csv.open_csv(file.plain, read_options=read, parse_options=parse).schema.names
        if not options.header:
            names = _column_names(file.path, len(names), options)
            read.autogenerate_column_names = False
            read.column_names = names
        elif not set(columns) <= set(names) and set(columns) <= {name.strip() for name in names}:
            names = [name.strip() for name in names]  # a header such as `text, label`
            read.column_names, read.skip_rows_after_names = names, 1
        require_columns(names, columns, str(file.path))
        convert = csv.ConvertOptions(
            include_columns=columns,
            column_types={name: pyarrow.string() for name in columns},
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        )
        schema = pyarrow.schema([(name, pyarrow.string()) for name in columns])
        batches = csv.open_csv(file.plain, read, parse, convert)
        form: tuple[object, ...] = (options.header, options.columns, delimiter)
        form += (options.quoting, options.encoding)
        form += (dialect.skipped_rows,) if dialect.skipped_rows else ()
        dataset = write_arrow(("csv", *file_key(file.path), *form, *columns), schema, batches)
    except pyarrow.ArrowInvalid as error:
        if fault := bad_encoding(file.plain, file.path):
            raise DataError(fault) from error
        escaped = options.quoting and has_backslash_quotes(file.plain, delimiter)
        raise DataError(_syntax_error(file.path, error, options, escaped)) from error
    if options.quoting and has_backslash_quotes(file.plain, delimiter):
        file.notes.append(
            f"{file.path.name}: has a backslash before a quote within a cell; if it escapes the "
            f"quote, the texts are wrong: {_DOUBLED}"
        )
    elif options.quoting:
        read_rows = _read_rows(dataset, names, file, dialect.skipped_rows)
        file.notes.extend(check_quotes(file.plain, file.path, delimiter, read_rows))
    for column in () if options.multi_label else file.label:
        dataset = _with_whole_floats(dataset, column)
    return dataset


def _column_names(path: Path, number: int, options: FileOptions) -> list[str]:
    """Return the names of a file without header: `data.columns`, else numbers from 1."""
    if options.columns is None:
        return [str(index) for index in range(1, number + 1)]
    if len(options.columns) != number:
        raise DataError(
            f"{path} has {number} columns in its first row, but data.columns has "
            f"{len(options.columns)} names.\nName every column, or remove data.columns and use "
            "column numbers."
        )
    return list(options.columns)


def _read_rows(dataset: "Dataset", names: Sequence[str], file: SourceFile, skipped: int) -> Rows:
    import pyarrow.compute as pc

    number = len(dataset) + file.options.header + skipped
    if len(file.label) != 1:
        return Rows(number, len(names))
    labels = pc.unique(dataset.data.column(file.label[0])).to_pylist()
    return Rows(
        number, len(names), names.index(file.label[0]), {str(text).strip() for text in labels}
    )


def _syntax_error(path: Path, error: Exception, options: FileOptions, escaped: bool) -> str:
    first = str(error).splitlines()[0][:200]
    counted = " (row 1 is the header)" if options.header else ""
    advice = (
        "Enclose a text with a comma, a quote or a line break in double quotes; if quotes have no "
        "meaning in the file, set data.quoting=false"
        if options.quoting
        else "With data.quoting=false a cell ends at every delimiter and a row at every line end."
    )
    if escaped:
        advice = f"Backslashes seem to escape its quotes: {_DOUBLED}."
    return f"{path} has a syntax error: {first}{counted}.\n{advice}"


def _with_whole_floats(dataset: "Dataset", column: str) -> "Dataset":
    """Convert a column of 1.0, 2.0 … to float64: pandas writes integers so, beside empty cells.

    All other labels are text as it is written, since a number would lose `07` and `1.10`.
    """
    import pyarrow.compute as pc

    values = dataset.data.column(column)
    values = pc.if_else(pc.equal(values, ""), None, values)
    unique = pc.unique(values).drop_null()
    whole = pc.match_substring_regex(unique, r"^(-?[1-9][0-9]{0,14}|0)\.0$")
    if not len(unique) or not pc.all(whole).as_py():
        return dataset
    numbers = values.cast("float64").combine_chunks()
    return dataset.remove_columns(column).add_column(column, numbers)


_OPTIONS = ("header", "columns", "delimiter", "quoting", "encoding")
CSV = FileFormat("csv", partial(_read_delimited, default_delimiter=","), (".csv",), _OPTIONS)
TSV = FileFormat("tsv", partial(_read_delimited, default_delimiter="\t"), (".tsv",), _OPTIONS)
