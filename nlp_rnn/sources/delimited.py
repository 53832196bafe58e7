"""The formats csv and tsv, read strictly: no cell is moved or silently lost."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from nlp_rnn.errors import DataError
from nlp_rnn.sources.arrow_cache import file_key, write_arrow
from nlp_rnn.sources.columns import (
    MissingColumnError,
    distinct_names,
    listed,
    require_columns,
    unused_column_notes,
)
from nlp_rnn.sources.copy_text import NULL, has_nulls, unescaped
from nlp_rnn.sources.csv_advice import DOUBLE_QUOTES, column_advice, drawn_table, syntax_message
from nlp_rnn.sources.csv_cells import with_whole_floats, without_headers
from nlp_rnn.sources.csv_faults import Rows, check_quotes, count_line_ends, line_end_notes
from nlp_rnn.sources.csv_header import (
    corrected_names,
    looks_like_header,
    misplaced_number,
    names_without_header,
    skip_blank_row,
)
from nlp_rnn.sources.decoding import bad_encoding
from nlp_rnn.sources.dialect import (
    Dialect,
    detect_dialect,
    encloses_in_quotes,
    first_rows,
    has_backslash_quotes,
)
from nlp_rnn.sources.file_format import FileFormat, SourceFile, TableStream

if TYPE_CHECKING:
    import pyarrow
    from datasets import Dataset

__all__ = ["CSV", "TSV"]

_BLOCK = 16 << 20  # bytes; pyarrow rejects a row that is longer
_SMALL_BLOCK = 1 << 20


@dataclass(frozen=True)
class _Table:
    """An open file: its dialect, the names of all its columns, and the options for pyarrow.

    `spare` is the index of a column that the header lacks, see `csv_header.CorrectedNames`.
    """

    file: SourceFile
    dialect: Dialect
    names: list[str]
    read: Any
    parse: Any
    is_copy: bool
    spare: int | None = None

    def batches(
        self, columns: Sequence[str], block_sizes: Sequence[int] = (_BLOCK,)
    ) -> "Iterator[pyarrow.RecordBatch]":
        """Yield the rows of the named columns as strings; raises `DataError` with the row.

        pyarrow reads up to 32 blocks ahead. If a row is longer than a block, the next of
        `block_sizes` is used.
        """
        import pyarrow
        from pyarrow import csv

        names = list(columns)
        if self.spare is not None:
            # a stream has other names for repeated ones
            spare = (self.read.column_names or self.names)[self.spare]
            names = list(dict.fromkeys([*names, spare]))
        convert = csv.ConvertOptions(
            include_columns=names,
            column_types={name: pyarrow.string() for name in names},
            null_values=[NULL] if self.is_copy else ["", NULL],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        )
        done = 0
        for size in block_sizes:
            self.read.block_size = size
            position = 0
            try:
                source = pyarrow.OSFile(str(self.file.plain))
                self.file.opened.append(source)
                for batch in csv.open_csv(source, self.read, self.parse, convert):
                    position += batch.num_rows
                    if position > done:
                        batch = batch.slice(max(0, batch.num_rows - (position - done)))
                        if self.spare is not None:
                            self._check_spare(batch.column(spare), done)
                            batch = batch.select(columns)
                        yield unescaped(batch) if self.is_copy else batch
                        done = position
                return
            except pyarrow.ArrowInvalid as error:
                if "straddl" not in str(error) or size == block_sizes[-1]:
                    raise _fault(self.file, error, self.dialect.delimiter) from error

    def _check_spare(self, cells: "pyarrow.Array", done: int) -> None:
        """Raise `DataError` if the column that the header lacks has other cells than in the first
        rows.
        """
        import pyarrow.compute as pc

        pattern = r"^\s*$" if self.spare else r"^\s*\d*\s*$"
        is_as_expected = pc.fill_null(pc.match_substring_regex(cells, pattern), True)
        if pc.all(is_as_expected).as_py() is False:
            index = pc.index(is_as_expected, False).as_py()
            raise DataError(
                f"{self.file.path}: row {done + index + 2} has {str(cells[index])[:40]!r} in the "
                f"{'last' if self.spare else 'first'} column, which has no name in the header and "
                f"is {'empty' if self.spare else 'a number'} in the rows before.\n"
                "Complete the header, or enclose texts that contain the delimiter in double quotes."
            )

    def check_rows(self, rows: Rows) -> None:
        """Add notes on line ends and quotes; reject quotes that have swallowed rows.

        Parameters
        ----------
        rows : Rows
            What was read from the file.
        """
        file, delimiter = self.file, self.dialect.delimiter
        quoting, ends = file.options.quoting and not self.is_copy, count_line_ends(file.plain)
        file.notes.extend(line_end_notes(file.plain, file.path, ends, quoting))
        if not quoting:
            return
        notes = check_quotes(file.plain, file.path, delimiter, rows, ends)
        if has_backslash_quotes(file.plain, delimiter):
            notes = [
                f"{file.path.name}: has a backslash before a quote within a cell; if it escapes "
                f"the quote, the texts are wrong. Convert the file: {DOUBLE_QUOTES}"
            ]
        file.notes.extend(notes)


def _open(file: SourceFile, default_delimiter: str) -> _Table:
    """Detect the dialect of a file and read its header; `file.columns` have to be there."""
    import pyarrow
    from pyarrow import csv

    options, columns = file.options, file.columns
    dialect = detect_dialect(file.plain, options, default_delimiter, columns)
    if dialect.note:
        file.notes.append(f"{file.path.name}: {dialect.note}")
    is_copy = (
        dialect.delimiter == "\t"
        and has_nulls(file.plain)
        and not (options.quoting and encloses_in_quotes(file.plain, "\t"))
    )
    if is_copy:
        file.notes.append(
            f"{file.path.name}: read as PostgreSQL and MySQL write text: {NULL} is null, and "
            "backslashes escape tabs and line ends"
        )
    spare: int | None = None
    quoting = options.quoting and not is_copy
    parse = csv.ParseOptions(
        delimiter=dialect.delimiter,
        quote_char='"' if quoting else False,
        newlines_in_values=quoting,
        invalid_row_handler=skip_blank_row,
    )
    # with threads, errors would not name the row
    read = csv.ReadOptions(
        use_threads=False,
        block_size=_BLOCK,
        autogenerate_column_names=not options.header,
        skip_rows=dialect.skipped_rows,
    )
    if options.header:
        header, *rows = first_rows(file.plain, dialect, quoting) or [[]]
        if not header:
            raise DataError(
                f"{file.path} has no rows: all of its lines are blank.\n"
                "Set data.path to another file."
            )
        if advice := drawn_table(file.plain):
            raise DataError(f"{file.path} is a table drawn with lines.\n{advice}")
        if column := misplaced_number(header, columns):
            raise DataError(
                f"{file.path}: row 1 is no header with a column {column!r}; it is: "
                f"{listed(header)}.\nIf it has no header, set data.header=false; otherwise set "
                "the names of the columns: data.text=COLUMN data.label=COLUMN"
            )
        corrected, note, spare = corrected_names(header, rows, columns)
        if corrected != header:
            read.column_names, read.skip_rows_after_names = corrected, 1
        if note:
            file.notes.append(f"{file.path.name}: {note}")
    names: list[str] = []
    for read.block_size in (_SMALL_BLOCK, _BLOCK):
        try:
            names = csv.open_csv(file.plain, read_options=read, parse_options=parse).schema.names
            break
        except pyarrow.ArrowInvalid as error:
            if "straddl" not in str(error) or read.block_size == _BLOCK:
                raise _fault(file, error, dialect.delimiter) from error
    if not options.header:
        first, *rows = first_rows(file.plain, dialect, quoting) or [[]]
        if looks_like_header(first, rows):
            file.notes.append(
                f"{file.path.name}: row 1 looks like a header: {listed(first)}; if it is one, set "
                "data.header=true and the names of the columns"
            )
        names = names_without_header(file.path, len(names), options)
        read.autogenerate_column_names = False
        read.column_names = names
    try:
        require_columns(names, columns, str(file.path))
    except MissingColumnError as error:
        advice = column_advice(file.plain, names, columns, dialect.delimiter, options.header)
        raise error.with_advice(advice) from error
    if fields := [name for name in columns if name not in names]:
        raise MissingColumnError(
            f"{file.path} has no column {fields[0]!r}; it has: {listed(names)}.\n"
            "Fields of nested columns are read from jsonl and parquet: write the data as one of "
            "them, or set the names of columns",
            fields,
            names,
        )
    file.notes.extend(unused_column_notes(names, columns, file.path))
    return _Table(file, dialect, names, read, parse, is_copy, spare)


def _read_delimited(file: SourceFile, default_delimiter: str) -> "Dataset":
    """Read `file.columns` with pyarrow; an empty cell is missing, `""` is an empty text.

    The reader of `datasets` (pandas) is not used: it moves the columns of a row with an unquoted
    comma, takes the text NA for a missing one, and cannot name the row of an error.
    """
    import pyarrow

    options, columns = file.options, file.columns
    table = _open(file, default_delimiter)
    delimiter, skipped_rows = table.dialect.delimiter, table.dialect.skipped_rows
    schema = pyarrow.schema([(name, pyarrow.string()) for name in columns])
    form: tuple[object, ...] = (options.header, options.columns, delimiter)
    form += (options.quoting, options.encoding)
    form += (skipped_rows,) if skipped_rows else ()
    key = ("csv", 2, *file_key(file.path), *form, *columns)
    dataset = write_arrow(key, schema, table.batches(columns))
    table.check_rows(_read_rows(dataset, table.names, file, skipped_rows))
    dataset = without_headers(dataset, file) if options.header else dataset
    for column in () if options.multi_label else file.label:
        dataset = with_whole_floats(dataset, column)
    return dataset


def _stream_delimited(file: SourceFile, default_delimiter: str) -> TableStream:
    """Stream the rows with all columns; a repeated name gets a number, as in pandas."""
    table = _open(file, default_delimiter)
    names = distinct_names(table.names)
    # before anything is predicted; without labels, a cell with a line like a row is no reason
    table.check_rows(Rows(0, len(names), label=0))
    if file.options.header and names != table.read.column_names:
        table.read.column_names, table.read.skip_rows_after_names = names, 1
    return TableStream(names, table.batches(names, (_SMALL_BLOCK, _BLOCK)))


def _read_rows(dataset: "Dataset", names: Sequence[str], file: SourceFile, skipped: int) -> Rows:
    import pyarrow.compute as pc

    number = len(dataset) + file.options.header + skipped
    if len(file.label) != 1:
        return Rows(number, len(names))
    labels = pc.unique(dataset.data.column(file.label[0])).to_pylist()
    return Rows(
        number, len(names), names.index(file.label[0]), {str(text).strip() for text in labels}
    )


def _fault(file: SourceFile, error: Exception, delimiter: str) -> DataError:
    """Return the error about bytes that are not UTF-8, or about the syntax of a row."""
    if fault := bad_encoding(file.plain, file.path):
        return DataError(fault)
    if file.options.quoting and has_backslash_quotes(file.plain, delimiter):
        return DataError(
            f"{file.path} has a syntax error: {str(error).splitlines()[0][:200]}.\n"
            f"Backslashes seem to escape its quotes. Convert it: {DOUBLE_QUOTES}"
        )
    return DataError(syntax_message(file.path, file.plain, error, file.options, delimiter))


_OPTIONS = ("header", "columns", "delimiter", "quoting", "encoding")


def _format(name: str, delimiter: str) -> FileFormat:
    return FileFormat(
        name,
        partial(_read_delimited, default_delimiter=delimiter),
        (f".{name}",),
        _OPTIONS,
        stream=partial(_stream_delimited, default_delimiter=delimiter),
    )


CSV = _format("csv", ",")
TSV = _format("tsv", "\t")
