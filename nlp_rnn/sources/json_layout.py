"""Layouts of json files that hold one object: rows inside, columns, several splits."""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nlp_rnn.errors import DataError
from nlp_rnn.sources.columns import listed, top_columns
from nlp_rnn.sources.split_files import SPELLINGS

__all__ = ["mapping_advice", "numbers_advice", "read_document", "rows_of", "split_keys"]

_Row = Mapping[str, Any]

_FEWEST = 5  # texts, for what could be a coincidence
_PRINT = "print(json.dumps({'text': t, 'label': l}))"
_FROM_LISTS = (
    f'python3 -c "import json, sys; [{_PRINT} for l, ts in json.load(sys.stdin).items() for t in '
    'ts]" < OLD > NEW.jsonl'
)
_FROM_PAIRS = (
    f'python3 -c "import json, sys; [{_PRINT} for t, l in json.load(sys.stdin).items()]" '
    "< OLD > NEW.jsonl"
)


def read_document(plain: Path) -> dict[str, Any] | None:
    """Return the object that a json file consists of; None for records.

    A list of lists, or one list per line, is returned under the key "".
    """
    with plain.open(encoding="utf-8-sig", errors="replace", newline="\n") as file:
        first = file.readline()
        while first.isspace():
            first = file.readline()
        if first.lstrip().startswith("["):
            return _lists(first, file)
        if not first.lstrip().startswith("{"):
            return None
        try:
            document = json.loads(first)
            is_single = not any(line.strip() for line in file)
        except ValueError:
            try:
                document = json.loads(first + file.read())
            except ValueError:
                return None
            is_single = True
    return document if is_single and isinstance(document, dict) else None


def _lists(first: str, lines: Iterable[str]) -> dict[str, Any] | None:
    start = first
    for line in lines if not start.strip("[ \t\r\n") else ():
        start += line
        if start.strip("[ \t\r\n"):
            break
    if not re.match(r'\s*\[\s*["\[]', start):
        return None
    try:
        if re.match(r"\s*\[\s*\[", start):
            return {"": json.loads(start + "".join(lines))}
        rows = [json.loads(line) for line in (start, *lines) if line.strip()]
        # a single list of strings is no table
        return {"": rows} if len(rows) > 1 or len(rows[0]) < 3 else None
    except ValueError:
        return None


def numbers_advice(rows: Sequence[_Row]) -> str:
    """Return the advice for rows whose columns have numbers; empty for others."""
    names = list(rows[0])
    if names != [str(number) for number in range(1, len(names) + 1)] or len(names) < 2:
        return ""
    sizes = {name: sum(len(str(row[name])) for row in rows[:1000]) for name in names}
    text = max(names, key=lambda name: sizes[name])
    others = [name for name in names if name != text]
    label = min(others, key=lambda name: len({str(row[name]) for row in rows[:1000]}))
    return (
        "Its rows are lists, whose elements have numbers: such as "
        f"data.text={text} data.label={label}"
    )


def mapping_advice(document: Mapping[str, Any]) -> str | None:
    """Return the advice for texts by label, or labels by text; None for other objects."""
    values = list(document.values())
    if len(values) < 2:
        return None
    if all(isinstance(v, list) and v and all(isinstance(t, str) for t in v) for v in values):
        return f"If its keys are labels of the texts in the lists, convert it: {_FROM_LISTS}"
    is_text = all(isinstance(value, str) for value in values)
    if len(values) >= _FEWEST and is_text and 2 * len({*values}) <= len(values):
        return f"If its keys are texts and its values are labels, convert it: {_FROM_PAIRS}"
    return None


def split_keys(document: Mapping[str, Any], columns: Sequence[str]) -> dict[str, str]:
    """Return the keys of a document that hold the rows of splits, by split; empty without train.

    Other keys that hold rows stand for themselves.
    """
    keys: dict[str, str] = {}
    for split, spellings in SPELLINGS.items():
        for key, value in document.items():
            if key.lower() in spellings and split not in keys and _table(value, columns):
                keys[split] = key
    if "train" not in keys:
        return {}
    others = [key for key in document if key not in keys.values()]
    return keys | {key: key for key in others if _table(document[key], columns)}


def rows_of(
    document: dict[str, Any], columns: Sequence[str], key: str | None, path: Path
) -> tuple[Sequence[_Row] | None, str | None]:
    """Return the rows of a document and the key that holds them; None if it is a single row.

    Parameters
    ----------
    document : dict
        The object that the file consists of.
    columns : sequence of str
        The required columns.
    key : str or None
        `data.rows`, with dots between nested keys; None: by the content.
    path : Path
        The file, for messages.

    Raises
    ------
    DataError
        There are no rows at `key`, or several keys hold rows.
    """
    if key is not None:
        value: Any = document
        for part in [key] if key in document else key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if not (table := _table(value, columns)):
            tables = _tables(document, columns)
            raise DataError(
                f"{path} has no list of records at data.rows={key}.\n"
                + _choices(tables, "Remove data.rows: the file has no list of records in a key.")
            )
        return table(), None
    if table := _table(document, columns):
        return table(), None
    if all(name in document for name in top_columns(list(document), columns)):
        return None, None  # a file with one record
    tables = _tables(document, columns)
    named = {
        name: table
        for name, table in tables.items()
        if (rows := table()) and set(top_columns(list(rows[0]), columns)) <= set(rows[0])
    }
    for possible in (named, tables):
        if len(possible) == 1:
            ((name, table),) = possible.items()
            return table(), name
    if tables:
        raise DataError(
            f"{path} has several lists of records: {listed(tables)}.\n{_choices(tables, '')}"
        )
    return None, None


def _choices(tables: Mapping[str, Any], otherwise: str) -> str:
    if not tables:
        return otherwise
    return f"Set data.rows to one of {listed(tables)}, such as data.rows={next(iter(tables))}"


def _tables(value: Any, columns: Sequence[str], depth: int = 3) -> dict[str, Any]:
    """Return the functions that return the rows in a nested object, by dotted key."""
    tables = {}
    for key, inner in value.items() if isinstance(value, dict) and depth else ():
        if table := _table(inner, columns):
            tables[key] = table
        else:
            nested = _tables(inner, columns, depth - 1)
            tables |= {f"{key}.{name}": table for name, table in nested.items()}
    return tables


def _table(value: Any, columns: Sequence[str]) -> Callable[[], Sequence[_Row]] | None:
    """Return a function that returns the rows of a value, in whichever layout; None without any.

    The layouts are those of pandas (`orient` records, columns, list, index and split). Keys of
    rows, such as ids, are in the column `index`.
    """
    if isinstance(value, list):
        if value and all(isinstance(row, list) for row in value):
            return _list_rows(value, columns)
        return (lambda: value) if value and all(isinstance(row, dict) for row in value) else None
    if not isinstance(value, dict) or not value:
        return None
    names, data = value.get("columns"), value.get("data")
    if isinstance(names, list) and isinstance(data, list) and data:
        if all(isinstance(row, list) and len(row) == len(names) for row in data):
            return lambda: _with_keys(
                value.get("index"), [dict(zip(map(str, names), row, strict=True)) for row in data]
            )
        return None
    if all(name in value for name in columns):
        # {"text": […], "label": […]}, or {"text": {"0": …}, "label": {"0": …}}
        first = value[columns[0]]
        series = {name: one for name, one in value.items() if _is_parallel(one, first)}
        if any(name not in series for name in columns):
            return None
        keys = list(first) if isinstance(first, dict) else None
        if keys is not None:
            series = {name: list(one.values()) for name, one in series.items()}
        return lambda: _with_keys(
            keys,
            [dict(zip(series, row, strict=True)) for row in zip(*series.values(), strict=True)],
        )
    rows = list(value.values())
    if all(isinstance(row, dict) and all(name in row for name in columns) for row in rows):
        return lambda: _with_keys(list(value), rows)  # {"0": {"text": …, "label": …}}
    return None


def _with_keys(keys: Any, rows: Sequence[_Row]) -> Sequence[_Row]:
    """Return rows with their keys in a column `index`, unless these count the rows from 0."""
    if not isinstance(keys, list) or len(keys) != len(rows):
        return rows
    if all(str(key) == str(number) for number, key in enumerate(keys)):
        return rows
    return [{"index": key, **row} for key, row in zip(keys, rows, strict=True)]


def _list_rows(
    value: Sequence[Sequence[Any]], columns: Sequence[str]
) -> Callable[[], Sequence[_Row]] | None:
    """Return rows that are lists; the first one can hold the names of the columns."""
    first, rows = value[0], value
    if len(first) < 2 or any(len(row) != len(first) for row in value):
        return None
    names = [str(number) for number in range(1, len(first) + 1)]
    if len(value) > 1 and all(name in first for name in columns):
        names, rows = [str(name) for name in first], value[1:]
    return lambda: [dict(zip(names, row, strict=True)) for row in rows]


def _is_parallel(series: Any, first: Any) -> bool:
    """Return whether a value can be a column beside the column `first`."""
    if isinstance(first, dict):
        return isinstance(series, dict) and list(series) == list(first)
    return isinstance(first, list) and isinstance(series, list) and len(series) == len(first)
