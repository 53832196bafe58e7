"""Tolerant reading of json records: only the required columns need one type in all rows."""

import json
import mmap
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from nlp_rnn.errors import DataError
from nlp_rnn.sources.arrow_cache import file_key, write_arrow
from nlp_rnn.sources.columns import require_columns
from nlp_rnn.sources.file_format import SourceFile
from nlp_rnn.sources.json_advice import row_advice

if TYPE_CHECKING:
    import pyarrow
    from datasets import Dataset

__all__ = [
    "RepeatedKeyError",
    "is_part_of_record",
    "may_have_null_rows",
    "read_records",
    "records",
]

_BATCH = 1000  # rows
_BLOCK = 1 << 20  # characters
_LONGEST = 64 << 20  # characters of a record of several lines
_NULL_LINE = re.compile(rb"\n[ \t\r]*null\b")
_NULL_ELEMENT = re.compile(rb"[\[,]\s*null\s*[,\]]")
_KINDS = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list"}


class RepeatedKeyError(ValueError):
    """A record has a required key twice."""


def may_have_null_rows(plain: Path) -> bool:
    """Return whether a row may be null, on which pyarrow ends the process (segmentation fault).

    A null in a list within a record is not told apart from a row of an array.
    """
    if not plain.stat().st_size:
        return False
    with plain.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        start = content[:_BLOCK].removeprefix(b"\xef\xbb\xbf").lstrip()
        if start.startswith(b"["):
            is_list_of_texts = start[1:].lstrip().startswith(b'"')
            return not is_list_of_texts and _NULL_ELEMENT.search(content) is not None
        return start.startswith(b"null") or _NULL_LINE.search(content) is not None


def read_records(file: SourceFile) -> "Dataset":
    """Read the required columns of records with Python's parser, in two passes.

    It is slower than pyarrow, but neither stops at other columns that change their types, are
    repeated or appear late, nor at NaN.

    Raises
    ------
    DataError
        A required column is missing in all rows, or changes its type.
    RepeatedKeyError
        A record has a required key twice.
    """
    import pyarrow

    columns = list(dict.fromkeys(name.split(".")[0] for name in file.columns))
    types = _types(file, columns)
    schema = pyarrow.schema(list(types.items()))

    def batches() -> "Iterator[pyarrow.RecordBatch]":
        for rows in _batches(records(file)):
            arrays = [
                pyarrow.array([row.get(name) for _, row in rows], kind)
                for name, kind in types.items()
            ]
            yield pyarrow.RecordBatch.from_arrays(arrays, schema=schema)

    return write_arrow(("records", 1, *file_key(file.plain), *columns), schema, batches())


def _types(file: SourceFile, columns: Sequence[str]) -> "dict[str, pyarrow.DataType]":
    """Return the Arrow types of the columns; every row is checked."""
    import pyarrow

    kinds: dict[str, str] = {}
    names: dict[str, None] = {}
    schemas = []
    for rows in _batches(records(file, columns)):
        for number, row in rows:
            names |= dict.fromkeys(row)
            for name in columns:
                value = row.get(name)
                if value is None:
                    continue
                kind = _KINDS.get(type(value), "an object")
                if kinds.setdefault(name, kind) != kind:
                    raise DataError(
                        f"{file.path}: the column {name!r} has values of different types: {kind} "
                        f"in row {number}, {kinds[name]} in the rows before.\n"
                        "Write the same type in all rows."
                    )
        try:
            schemas.append(
                pyarrow.schema(
                    [(n, _type([r.get(n) for _, r in rows])) for n in names if n in columns]
                )
            )
        except (pyarrow.ArrowException, OverflowError) as error:
            raise DataError(
                f"{file.path}: a column has values of different types in the rows {rows[0][0]} to "
                f"{rows[-1][0]}: {str(error).splitlines()[0][:120]}.\n"
                "Write the same type in all rows."
            ) from error
    require_columns(list(names), columns, str(file.path))
    common = pyarrow.unify_schemas(schemas, promote_options="permissive")
    return {name: common.field(name).type for name in columns}


def _type(values: list[Any]) -> "pyarrow.DataType":
    import pyarrow

    return pyarrow.array(values).type


def _batches(
    rows: Iterable[tuple[int, dict[str, Any]]],
) -> Iterator[list[tuple[int, dict[str, Any]]]]:
    remaining = iter(rows)
    while batch := list(islice(remaining, _BATCH)):
        yield batch


def records(file: SourceFile, columns: Sequence[str] = ()) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the number of each row (of a jsonl file, of its line) and the row.

    The file is read in blocks, also if it is an array. Raises `json.JSONDecodeError` for what is
    no JSON, `RepeatedKeyError` for a row that has one of `columns` twice, and `DataError` for a
    row that is no object.
    """

    def checked(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        record = dict(pairs)
        if len(record) < len(pairs):
            keys = [key for key, _ in pairs]
            if any(keys.count(name) > 1 for name in columns):
                raise RepeatedKeyError
        return record

    with file.open_text() as source:
        first, beginning = 1, source.readline(_BLOCK)
        while beginning.isspace():
            first, beginning = first + beginning.endswith("\n"), source.readline(_BLOCK)
        rows: Iterable[tuple[int, Any]]
        is_array = beginning.lstrip().startswith("[")
        if not is_array and not beginning.endswith("\n"):
            beginning += source.readline()
        if is_array:
            decoder = json.JSONDecoder(object_pairs_hook=checked)
            rows = enumerate(_elements(source, beginning.lstrip()[1:], decoder), 1)
        elif is_part_of_record(beginning):
            decoder = json.JSONDecoder(object_pairs_hook=checked)
            rows = enumerate(_concatenated(source, beginning, decoder), 1)
        else:
            rows = (
                (number, json.loads(line.removeprefix("\ufeff"), object_pairs_hook=checked))
                for number, line in enumerate(chain([beginning], source), first)
                if line.strip()
            )
        for number, row in rows:
            if not isinstance(row, dict):
                raise DataError(
                    f"{file.path}: row {number} is not an object: "
                    f"{json.dumps(row, ensure_ascii=False)[:40]}.\n"
                    f"{row_advice(row)}"
                )
            yield number, row


def is_part_of_record(line: str) -> bool:
    """Return whether a first line has only a part of a record, or several records."""
    try:
        json.loads(line)
    except json.JSONDecodeError as error:
        rest = line[error.pos :].strip()
        return line.lstrip().startswith("{") and (
            not rest or (error.msg == "Extra data" and rest.startswith("{"))
        )
    return False


def _concatenated(source: TextIO, text: str, decoder: json.JSONDecoder) -> Iterator[Any]:
    """Yield records that follow each other; `text` is what was read of the file."""
    ended, size = False, _BLOCK
    while text.strip() or not ended:
        try:
            record, end = decoder.raw_decode(text := text.lstrip())
        except json.JSONDecodeError:
            if ended or len(text) > _LONGEST:
                raise
            more = source.read(size)
            text, size, ended = text + more, 2 * size, not more
        else:
            yield record
            text, size = text[end:], _BLOCK


def _elements(source: TextIO, text: str, decoder: json.JSONDecoder) -> Iterator[Any]:
    """Yield the elements of an array; `text` is what was read of it after its first bracket."""
    ended, size, after = False, _BLOCK, "["
    while True:
        text = text.lstrip()
        if text.startswith("]") and after != ",":
            if rest := (text[1:] + source.read()).strip():
                raise json.JSONDecodeError("Extra data", rest, 0)
            return
        if after not in "[," and text:
            if not text.startswith(","):
                raise json.JSONDecodeError("Expecting ',' delimiter", text, 0)
            text, after = text[1:].lstrip(), ","
        try:
            element, end = decoder.raw_decode(text)
            if not ended and not text[end:].lstrip().startswith((",", "]")):
                raise json.JSONDecodeError("Incomplete", text, end)  # a number may go on
        except json.JSONDecodeError:
            if ended:
                raise
            more = source.read(size)
            text, size, ended = text + more, 2 * size, not more
        else:
            yield element
            text, size, after = text[end:], _BLOCK, "}"
