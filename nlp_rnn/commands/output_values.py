"""Values of `predict` as cells of csv, as JSON, and as text that UTF-8 can hold."""

import json
import re
import sys
from contextlib import suppress
from typing import Any

__all__ = [
    "as_cell",
    "as_json",
    "escaped",
    "for_output",
    "plain_rows",
    "whole_characters",
    "whole_values",
]

_SPECIAL = re.compile('[,\t"\r\n]')  # in a cell, they need quotes around it
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def as_cell(value: Any) -> str:
    """Return a cell of csv or tsv: null is empty, an empty text is `""`.

    A text `\\N` has quotes, because without them it is the null of PostgreSQL and MySQL. Lists and
    dicts are JSON; booleans are `True` and `False`, as the labels of such columns.
    """
    if value is None:
        return ""
    if isinstance(value, dict | list):
        value = as_json(value).decode()
    text = _as_text(value)
    if text and text != r"\N" and not _SPECIAL.search(text):
        return text
    return '"' + text.replace('"', '""') + '"'


def as_json(value: Any) -> bytes:
    """Return a value as UTF-8 JSON; values of unknown types as strings."""
    text = json.dumps(value, ensure_ascii=False, default=_as_text)
    try:
        return text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can escape
        return json.dumps(value, default=_as_text).encode()


def _as_text(value: Any) -> str:
    """Return a value as text; bytes, as which Hive stores texts, are UTF-8 if they can be."""
    if isinstance(value, bytes):
        with suppress(UnicodeDecodeError):
            return value.decode()
    return str(value)


def plain_rows(batch: Any) -> list[dict[str, Any]]:
    """Return the rows of an Arrow batch; numbers of 32 bits have no digits of 64 bits."""
    import pyarrow

    for index, field in enumerate(batch.schema):
        if pyarrow.types.is_float32(field.type) or pyarrow.types.is_float16(field.type):
            column = batch.column(index).cast(pyarrow.float32()).cast("string").cast("float64")
            batch = batch.set_column(index, field.name, column)
    rows: list[dict[str, Any]] = batch.to_pylist()
    return rows


def escaped(text: str, keep: str = "") -> str:
    """Return text that is one line of a terminal and cannot control it.

    Control characters, line separators and marks that change the direction of writing become
    escape sequences, such as `\\n` and `\\x1b`, except the characters in `keep`.
    """
    return _CONTROL.sub(
        lambda match: match[0] if match[0] in keep else match[0].encode("unicode_escape").decode(),
        text,
    )


def for_output(content: bytes) -> bytes:
    """Return lines for standard output: escaped if it is a terminal, else as they are."""
    if not sys.stdout.isatty():
        return content
    return escaped(content.decode("utf-8", "replace"), keep="\n\t").encode()


def whole_characters(text: str) -> str:
    """Replace halves of surrogate pairs, which UTF-8 cannot hold, by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return _SURROGATE.sub("\ufffd", text)
    return text


def whole_values(value: Any) -> Any:
    """Return a JSON value with `whole_characters` in all its texts."""
    if isinstance(value, str):
        return whole_characters(value)
    if isinstance(value, dict):
        return {whole_values(key): whole_values(inner) for key, inner in value.items()}
    return [whole_values(inner) for inner in value] if isinstance(value, list) else value
