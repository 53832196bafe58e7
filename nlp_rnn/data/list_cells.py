"""Lists of labels that are written in cells of text: `['a', 'b']`, `{"choices": ["a", "b"]}`."""

import ast
import json
import re
from collections.abc import Sequence
from typing import Any

from nlp_rnn.data.label_names import WHOLE_NUMBER

__all__ = ["lists_in_records", "parse_cells"]

_ITEM = re.compile(
    r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"""
    r"|True|False|None|true|false|null",
    re.DOTALL,
)
_BARE = re.compile(r"""[^,{}"'\\\s][^,{}"\\]*""")
_BETWEEN = re.compile(r"\s*,\s*|\s+")
_BRACKETS = {"[": "]", "{": "}", "(": ")"}
_ARRAY = re.compile(r"array\((\[.*\])(?:,\s*dtype=[^()]*)?\)", re.DOTALL)
_RECORD = re.compile(
    r"""\{\s*(?P<quote>["'])(?P<key>\w+)(?P=quote)\s*:\s*(?P<list>\[.*\])\s*\}""", re.DOTALL
)
_CONSTANTS = {"true": True, "false": False, "none": None, "null": None}


def parse_cells(values: Any) -> Any | None:
    """Return a column of strings such as `['news', 'world']` as an Arrow column of lists.

    Lists are recognized as JSON, Python (also tuples and sets), NumPy and PostgreSQL (`{a,b}`)
    write them. An empty cell is null.

    Parameters
    ----------
    values : pyarrow.ChunkedArray
        A column of strings.

    Returns
    -------
    pyarrow.Array or None
        None unless there are lists, and every cell that is not empty is one.
    """
    import pyarrow
    import pyarrow.compute as pc

    if pyarrow.types.is_null(values.type):
        return None
    first = values.slice(0, 100).drop_null().to_pylist()  # decides nearly always
    if not all(cell.strip()[:1] in ("", "a", "s", *_BRACKETS) for cell in first):
        return None
    unique = pc.unique(values).drop_null().cast(pyarrow.large_string())
    cells = [_without_array(cell.strip()) for cell in _bracketed(unique).to_pylist()]
    if len(cells) < len(unique) or not any(cells):
        return None
    lists = [_parse_cell(cell) if cell else None for cell in cells]
    if any(items is None and cell for items, cell in zip(lists, cells, strict=True)):
        return None
    if len({cell[0] for cell in cells if cell}) > 1:
        return None
    kinds = {type(item) for items in lists for item in items or () if item is not None}
    if kinds == {int, float}:
        lists = [items and [None if i is None else float(i) for i in items] for items in lists]
    elif len(kinds) > 1:
        lists = [items and [None if i is None else str(i) for i in items] for items in lists]
    kind = pyarrow.string() if str in kinds or len(kinds - {int, float}) > 1 else None
    table = pyarrow.array(lists, pyarrow.list_(kind) if kind else None)
    if pyarrow.types.is_null(table.type):
        table = table.cast(pyarrow.list_(pyarrow.null()))
    column = values.combine_chunks().cast(pyarrow.large_string())
    return table.take(pc.index_in(column, value_set=unique))


def lists_in_records(columns: Sequence[Any]) -> list[Any] | None:
    """Return columns of strings such as `{"choices": ["a", "b"]}` as Arrow columns of lists.

    Label Studio writes several labels as the only value of a record, and a single one as text in
    the same column, which becomes a list of one. An empty cell is null.

    Parameters
    ----------
    columns : sequence of pyarrow.ChunkedArray
        The column of each split.

    Returns
    -------
    list of pyarrow.Array or None
        None unless there are such records, all with the same key, and no others.
    """
    import pyarrow
    import pyarrow.compute as pc

    if not any(pc.any(pc.starts_with(values, "{")).as_py() for values in columns):
        return None
    keys, lists = set[str](), []
    for values in columns:
        unique = pc.unique(values).drop_null().cast(pyarrow.large_string())
        items: list[list[str] | None] = []
        for cell in map(str.strip, unique.to_pylist()):
            match = _RECORD.fullmatch(cell)
            labels = _parse_cell(match["list"]) if match else [cell] if cell else None
            if (match and labels is None) or (cell[:1] == "{" and not match):
                return None
            keys |= {match["key"]} if match else set()
            items.append(None if labels is None else list(map(str, labels)))
        table = pyarrow.array(items, pyarrow.list_(pyarrow.string()))
        cells = values.combine_chunks().cast(pyarrow.large_string())
        lists.append(table.take(pc.index_in(cells, value_set=unique)))
    return lists if len(keys) == 1 else None


def _bracketed(unique: Any) -> Any:
    """Return the cells that are empty, or that brackets enclose."""
    import pyarrow.compute as pc

    pattern = r"^\s*(\[(?s:.*)\]|\{(?s:.*)\}|\((?s:.*)\)|array\((?s:.*)\)|set\(\))?\s*$"
    return unique.filter(pc.match_substring_regex(unique, pattern))


def _without_array(cell: str) -> str:
    """Return a NumPy array or an empty set of Python as the list in it."""
    if cell == "set()":
        return "{}"
    return match[1] if (match := _ARRAY.fullmatch(cell)) else cell


def _parse_cell(cell: str) -> list[Any] | None:
    """Return the strings and numbers of a written list; None if it is none.

    Python would join the strings of a NumPy array, `['a' 'b']`, to one: no comma is between them.
    """
    body = cell[1:-1].strip()
    is_tuple = cell[0] == "("
    if is_tuple and body:
        if "," not in body:  # ("a") is no tuple
            return None
        body = body.removesuffix(",").rstrip()
    items: list[Any] = []
    separators = set()
    position = 0
    while position < len(body):
        match = _ITEM.match(body, position)
        bare = _BARE.match(body, position) if cell[0] == "{" else None
        if bare and (not match or bare.end() > match.end()):
            if ": " in bare[0]:  # {key: value}
                return None
            match = bare
            items.append(bare[0].rstrip() if bare[0].rstrip() != "NULL" else None)
        elif match:
            items.append(_value(match[0]))
        else:
            return None
        if items[-1] is NotImplemented:
            return None
        position = match.end()
        if position < len(body):
            if not (between := _BETWEEN.match(body, position)):
                return None
            separators.add("," in between[0])
            position = between.end()
    if cell[0] != "[" and False in separators:
        return None
    return items if len(separators) < 2 else None


def _value(item: str) -> Any:
    if (constant := item.lower()) in _CONSTANTS:
        return _CONSTANTS[constant]
    if item[0] not in "'\"":
        if WHOLE_NUMBER.fullmatch(item):
            # larger ones do not fit into 64 bits
            return int(item) if len(item) < 19 else item
        return item if re.fullmatch(r"[-+]?\d+", item) else float(item)
    if item[0] == '"':
        try:
            return json.loads(item)
        except json.JSONDecodeError:
            pass  # a Python string with an escape that JSON lacks
    try:
        return ast.literal_eval(item)
    except (SyntaxError, ValueError):
        return NotImplemented
