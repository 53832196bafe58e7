"""The format excel: the first sheet of a spreadsheet (xlsx, xlsm, xlsb, xls or ods)."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from nlp_rnn.errors import DataError
from nlp_rnn.sources.columns import listed, require_columns
from nlp_rnn.sources.file_format import FileFormat, SourceFile

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["EXCEL"]

_EXPORT = "save its sheet as csv (in Excel: CSV UTF-8), and set data.path to that file."


def _read_excel(file: SourceFile) -> "Dataset":
    """Read all cells as text: numbers by their digits, dates in ISO format, empty cells as null."""
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
            f"\n{_EXPORT.capitalize()}"
        ) from error
    if len(sheets := workbook.sheet_names) > 1:
        file.notes.append(
            f"{file.path.name}: the sheet {sheets[0]} is read; not used: {listed(sheets[1:])}"
        )
    if not rows:
        raise DataError(f"{file.path} has no rows.")
    names = [_text(cell) or "" for cell in rows[0]]
    if not file.options.header:
        names = list(file.options.columns or map(str, range(1, len(rows[0]) + 1)))
    require_columns(names, file.columns, str(file.path))

    def records() -> Iterator[dict[str, str | None]]:
        for row in rows[1:] if file.options.header else rows:
            if any(cell != "" for cell in row):
                record = dict(zip(names, row, strict=False))
                yield {name: _text(record[name]) for name in file.columns}

    return file.from_rows(("excel", 1), records())


def _text(cell: Any) -> str | None:
    if cell == "" or cell is None:
        return None
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell)


EXCEL = FileFormat(
    "excel", _read_excel, (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"), ("header", "columns")
)
