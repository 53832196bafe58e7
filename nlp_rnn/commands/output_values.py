"""Values of `predict` as cells of csv, as JSON, and as text that UTF-8 can hold."""

import json
import re
import sys
from typing import Any

__all__ = ["as_cell", "as_json", "escaped", "for_output", "whole_characters", "whole_values"]

_SPECIAL = re.compile('[,\t"\r\n]')  # in a cell, they need quotes around it
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def as_cell(value: Any) -> str:
    """Return a cell of csv or tsv: null is empty, an empty text is `""`.

    A text `\\N` has quotes, because without them it is the null of PostgreSQL and MySQL. Lists,
    dicts and booleans are JSON.
    """
    if value is None:
        return ""
    if isinstance(value, dict | list | bool):
        value = as_json(value).decode()
    text = str(value)
    if text and text != r"\N" and not _SPECIAL.search(text):
        return text
    return '"' + text.replace('"', '""') + '"'


def as_json(value: Any) -> bytes:
    """Return a value as UTF-8 JSON; values of unknown types as strings."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    try:
        return text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can escape
        return json.dumps(value, default=str).encode()


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
