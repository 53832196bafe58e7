"""The format excel: one sheet of a spreadsheet (xlsx, xlsm, xlsb, xls or ods)."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from nlp_rnn.errors import DataError
from nlp_rnn.sources.columns import MissingColumnError, distinct_names, listed, require_columns
from nlp_rnn.sources.csv_header import (
    HEADER_LINES,
    corrected_names,
    is_number,
    names_without_header,
    plain_name,
)
from nlp_rnn.sources.file_format import FileFormat, SourceFile, TableStream

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["EXCEL"]

_BLOCK = 10_000
_EXACT = 1e15  # spreadsheets store 15 digits
_EXPORT = "save its sheet as csv (in Excel: CSV UTF-8), and set data.path to that file."


def _open_sheet(file: SourceFile) -> tuple[list[str], list[list[Any]]]:
    """Return the names of the columns of a sheet, and its rows without blank ones."""
    try:
        from python_calamine import CalamineError, CalamineWorkbook
    except ImportError:
        raise DataError(
            f"{file.path} is a spreadsheet, which needs the library python-calamine.\n"
            f"Run pip install 'nlp_rnn[excel]', or {_EXPORT}"
        ) from None
    try:
        workbook = CalamineWorkbook.from_path(str(file.plain))
        sheets = [
            (name, workbook.get_sheet_by_name(name).to_python(skip_empty_area=True))
            for name in workbook.sheet_names
        ]
    except (CalamineError, OSError) as error:
        raise DataError(
            f"{file.path} is a spreadsheet that cannot be read: {str(error).splitlines()[0][:100]}."
            f"\n{_EXPORT[0].upper() + _EXPORT[1:]}"
        ) from error
    filled = [(name, rows) for name, rows in sheets if rows]
    if not filled:
        raise DataError(f"{file.path} has no rows.")
    name, rows, header = _chosen(filled, file)
    if others := [other for other, _ in sheets if other != name]:
        file.notes.append(f"{file.path.name}: the sheet {name} is read; not used: {listed(others)}")
    if header:
        file.notes.append(
            f"{file.path.name}: {header} {'row' if header == 1 else 'rows'} before the header "
            "skipped; the header is the row with the columns"
        )
    if file.options.header:
        names, note, _ = corrected_names(_names(rows[header]), [], file.columns)
        if note:
            file.notes.append(f"{file.path.name}: {note}")
        rows = rows[header + 1 :]
    else:
        names = names_without_header(file.path, len(rows[0]), file.options)
    require_columns(names, file.columns, str(file.path))
    return names, [row for row in rows if any(cell != "" for cell in row)]


def _chosen(
    sheets: Sequence[tuple[str, list[list[Any]]]], file: SourceFile
) -> tuple[str, list[list[Any]], int]:
    """Return the first sheet whose first rows have the required columns, and the header's index."""
    if not file.options.header:
        return *sheets[0], 0
    # a number is the name of a column without a name, and it can be a value in any row
    searched = 1 if any(map(is_number, file.columns)) else HEADER_LINES
    for name, rows in sheets:
        for number, row in enumerate(rows[:searched]):
            if {*file.columns} <= {plain_name(cell) for cell in _names(row)}:
                return name, rows, number
    first = _names(sheets[0][1][0])
    if len(sheets) == 1:
        require_columns(first, file.columns, str(file.path))
    missing = [column for column in file.columns if column not in first]
    shown = "; ".join(f"{name} ({listed(_names(rows[0]))})" for name, rows in sheets[:5])
    raise MissingColumnError(
        f"{file.path} has no sheet with the columns {listed(file.columns)}; its sheets begin with: "
        f"{shown}.\nSet the columns to use: data.text=COLUMN data.label=COLUMN",
        missing,
        first,
    )


def _names(row: Sequence[Any]) -> list[str]:
    return [_text(cell) or "" for cell in row]


def _read_excel(file: SourceFile) -> "Dataset":
    """Read all cells as text: numbers by their digits, dates in ISO format, empty cells as null."""
    names, rows = _open_sheet(file)
    positions = {name: names.index(name) for name in file.columns}
    for name in file.label:
        for row in rows:
            if isinstance(cell := row[positions[name]], float) and abs(cell) >= _EXACT:
                raise DataError(
                    f"{file.path} has the number {cell:.0f} in its column {name!r}: spreadsheets "
                    "store at most 15 digits.\nFormat the column as text before the labels are "
                    "entered, or set data.label to another column."
                )
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
