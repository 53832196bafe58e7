"""The format excel: the first sheet of a spreadsheet (xlsx, xlsm, xlsb, xls or ods)."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from nlp_rnn.errors import DataError
from nlp_rnn.sources.columns import distinct_names, listed, require_columns
from nlp_rnn.sources.csv_header import corrected_names, names_without_header
from nlp_rnn.sources.file_format import FileFormat, SourceFile, TableStream

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["EXCEL"]

_BLOCK = 10_000
_EXPORT = "save its sheet as csv (in Excel: CSV UTF-8), and set data.path to that file."


def _open_sheet(file: SourceFile) -> tuple[list[str], list[list[Any]]]:
    """Return the names of the columns of the first sheet, and its rows without blank ones."""
    try:
        from python_calamine import CalamineError, CalamineWorkbook
    except ImportError:
        raise DataError(
            f"{file.path} is a spreadsheet, which needs the library python-calamine.\n"
            f"Run pip install 'nlp_rnn[excel]', or {_EXPORT}"
        ) from None
    try:
        workbook = CalamineWorkbook.from_path(str(file.plain))
        rows = workbook.get_sheet_by_index(0).to_python(skip_empty_area=True)
    except (CalamineError, OSError) as error:
        raise DataError(
            f"{file.path} is a spreadsheet that cannot be read: {str(error).splitlines()[0][:100]}."
            f"\n{_EXPORT[0].upper() + _EXPORT[1:]}"
        ) from error
    if len(sheets := workbook.sheet_names) > 1:
        file.notes.append(
            f"{file.path.name}: the sheet {sheets[0]} is read; not used: {listed(sheets[1:])}"
        )
    if not rows:
        raise DataError(f"{file.path} has no rows.")
    if file.options.header:
        header = [_text(cell) or "" for cell in rows.pop(0)]
        names, note = corrected_names(header, [], file.columns)
        if note:
            file.notes.append(f"{file.path.name}: {note}")
    else:
        names = names_without_header(file.path, len(rows[0]), file.options)
    require_columns(names, file.columns, str(file.path))
    return names, [row for row in rows if any(cell != "" for cell in row)]


def _read_excel(file: SourceFile) -> "Dataset":
    """Read all cells as text: numbers by their digits, dates in ISO format, empty cells as null."""
    names, rows = _open_sheet(file)
    positions = {name: names.index(name) for name in file.columns}
    records = ({name: _text(row[position]) for name, position in positions.items()} for row in rows)
    return file.from_rows(("excel", 1), records)


def _stream_excel(file: SourceFile) -> TableStream:
    """Return the rows of the sheet, with all of its columns as text."""
    names, rows = _open_sheet(file)
    names = distinct_names(names)

    def blocks() -> Iterator[list[dict[str, str | None]]]:
        for start in range(0, len(rows), _BLOCK):
            yield [
                dict(zip(names, map(_text, row), strict=True))
                for row in rows[start : start + _BLOCK]
            ]

    return TableStream(names, blocks())


def _text(cell: Any) -> str | None:
    if cell == "" or cell is None:
        return None
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell)


EXCEL = FileFormat(
    "excel",
    _read_excel,
    (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"),
    ("header", "columns"),
    stream=_stream_excel,
)
