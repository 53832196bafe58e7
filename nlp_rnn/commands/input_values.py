"""Texts of the rows of a table: values of columns and of fields in nested records, joined."""

from collections.abc import Sequence
from typing import Any

from nlp_rnn.errors import DataError
from nlp_rnn.sources.columns import is_binary, listed
from nlp_rnn.sources.separator import escape_separator

__all__ = ["column_texts", "joined_text"]


def column_texts(rows: Any, column: str, name: str, start: int) -> list[str | None]:
    """Return the values of a column, or of a field in nested records."""
    if not isinstance(rows, list):
        if column in rows.schema.names:
            return _arrow_values(rows, column, name, start)
        top = column.split(".")[0]
        rows = [{top: value} for value in rows.column(top).to_pylist()]
    texts = []
    for number, row in enumerate(rows, start):
        values = [row[column]] if column in row else _leaves(row, column.split("."))
        wrong = [value for value in values if not isinstance(value, str | None)]
        if wrong or len(values) > 1:
            what = f"is {type(wrong[0]).__name__}, not a string" if wrong else "has several texts"
            raise DataError(
                f"{name}, row {number}: {column!r} {what}.\n"
                "Write one text in each row, or set another column: data.text=COLUMN"
            )
        texts.append(values[0] if values else None)
    return texts


def _leaves(value: Any, keys: Sequence[str]) -> list[Any]:
    """Return the values of a field in nested records and in lists of records."""
    if isinstance(value, list):
        return [leaf for element in value for leaf in _leaves(element, keys)]
    if not keys:
        return [] if value is None else [value]
    return _leaves(value.get(keys[0]), keys[1:]) if isinstance(value, dict) else []


def _arrow_values(batch: Any, column: str, name: str, start: int) -> list[str | None]:
    import pyarrow

    from nlp_rnn.sources.arrow_files import plain_array
    from nlp_rnn.sources.source import bad_value

    values = plain_array(batch.column(column))
    if pyarrow.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if is_binary(values.type):  # texts of Hive; `validate` below finds what is not UTF-8
        values = values.cast(pyarrow.large_binary()).view(pyarrow.large_string())
    if str(values.type) not in ("string", "large_string", "string_view", "null"):
        raise DataError(
            f"{name} has values of type {values.type}, not texts, in its column {column!r}; "
            f"it has: {listed(batch.schema.names)}.\nSet data.text=COLUMN"
        )
    try:
        texts: list[str | None] = values.to_pylist()
    except UnicodeDecodeError:
        row, byte = bad_value(values)
        raise DataError(
            f"{name} is not UTF-8: row {start + row}, column {column!r}, has the byte "
            f"0x{byte:02X}.\nWrite the data again as UTF-8."
        ) from None
    return texts


def joined_text(parts: Sequence[str | None], separator: str | None) -> str | None:
    """Join the text columns of a row as `sources.text_column.as_text` does."""
    if len(parts) == 1 or all(part is None for part in parts):
        return parts[0]
    if separator is None:
        return " ".join(part for part in parts if part is not None)
    return f" {separator} ".join(escape_separator(part or "", separator) for part in parts)
