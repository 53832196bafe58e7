"""The formats json (an array of records, or an object) and jsonl (one record per line)."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.errors import DataError
from nlp_rnn.sources.arrow_cache import cached_file, file_key
from nlp_rnn.sources.columns import (
    MissingColumnError,
    listed,
    nested_names,
    require_columns,
    top_columns,
    unused_column_notes,
)
from nlp_rnn.sources.decoding import bad_encoding
from nlp_rnn.sources.file_format import FileFormat, SourceFile, TableStream
from nlp_rnn.sources.json_advice import json_advice
from nlp_rnn.sources.json_layout import (
    mapping_advice,
    numbers_advice,
    read_document,
    rows_of,
    split_keys,
)
from nlp_rnn.sources.json_records import (
    RepeatedKeyError,
    is_part_of_record,
    may_have_null_rows,
    read_records,
    records,
)

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["JSON", "JSON_LINES"]

_BLOCK = 100  # rows


def _read_json(file: SourceFile) -> "Dataset":
    rows, original = _rows_inside(file), file.plain
    if rows is not None:
        names = list(dict.fromkeys(name for row in rows for name in row))
        try:
            require_columns(names, file.columns, str(file.path))
        except MissingColumnError as error:
            raise error.with_advice(numbers_advice(rows)) from error
        file = replace(file, plain=_as_lines(file, rows))
    try:
        # its default would write values of several types as JSON, but only in a part of the rows
        if may_have_null_rows(file.plain):
            dataset = read_records(file)
        else:
            dataset = file.load_dataset("json", on_mixed_types=None)
        if _has_dates(dataset, file.columns):
            dataset = read_records(file)
    except DataError:
        raise
    except Exception as error:
        # searched only now: to read every file twice would cost more than the message is worth
        if fault := bad_encoding(file.plain, file.path) or _syntax_error(file):
            raise DataError(fault) from error
        try:
            dataset = read_records(file)
        except RepeatedKeyError:
            raise error from error.__cause__
    names = dataset.column_names
    if not set(top_columns(names, file.columns)) <= set(names):
        names = nested_names(dataset.features)  # for the error message
    require_columns(names, file.columns, str(file.path))
    file.notes.extend(unused_column_notes(names, file.columns, file.path))
    for name in file.label:
        if str(getattr(dataset.features.get(name), "dtype", "")).startswith("float"):
            file.notes.extend(_notes_on_spelling(file, original, name))
    return dataset


def _notes_on_spelling(file: SourceFile, plain: Path, name: str) -> list[str]:
    """Return a note on a number such as 1.10, which JSON does not tell apart from 1.1."""
    key = re.escape(json.dumps(name)).encode()
    number = re.compile(key + rb"\s*:\s*(-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)")
    with plain.open("rb") as lines:
        for line in lines:
            for written in map(bytes.decode, number.findall(line)):
                if not written.lstrip("-").isdecimal() and written != repr(float(written)):
                    return [
                        f"{file.path.name}: the label {written} is a number and read as "
                        f"{float(written)}; for labels as they are written, enclose them in quotes"
                    ]
    return []


def _has_dates(dataset: "Dataset", columns: Sequence[str]) -> bool:
    """Return whether pyarrow took strings of required columns for dates, which JSON lacks."""
    tops = top_columns(dataset.column_names, columns)
    types = [field.type for field in dataset.data.schema if field.name in tops]
    return any("timestamp" in str(kind) for kind in types)


def _rows_inside(file: SourceFile) -> Sequence[Mapping[str, Any]] | None:
    """Return the rows within the object that a file consists of; None for any other file."""
    rows, key = None, None
    if document := read_document(file.plain):
        rows, key = rows_of(document, file.columns, file.options.rows, file.path)
        is_record = not {*document}.isdisjoint(top_columns(list(document), file.columns))
        if rows is None and not is_record and (advice := mapping_advice(document)):
            raise DataError(f"{file.path} has no records with columns.\n{advice}")
    elif file.options.rows is not None:
        raise DataError(
            f"data.rows={file.options.rows} does not apply to {file.path}: it does not consist of "
            "one object.\nRemove data.rows."
        )
    if key:  # "" is a list of lists
        file.notes.append(f"{file.path.name}: the rows are those of {key} (data.rows={key})")
    return rows


def _stream_json(file: SourceFile) -> TableStream:
    """Stream the records as they are; only what Python's parser rejects is an error."""
    rows = _rows_inside(file) if file.plain.is_file() else None  # a pipe is read only once

    def blocks() -> Iterator[list[dict[str, Any]]]:
        read = records(file, top_columns((), file.columns)) if rows is None else enumerate(rows, 1)
        number = 0
        try:
            while block := list(islice(read, _BLOCK)):
                number = block[-1][0]
                yield [dict(row) for _, row in block]
        except RepeatedKeyError as error:
            raise DataError(
                f"{file.path}: a row has the key {listed(file.columns)} twice.\nRename one of them."
            ) from error
        except RecursionError as error:
            raise DataError(f"{file.path} is no valid JSON: it is nested too deeply.") from error
        except ValueError as error:  # of the syntax, or of the encoding
            fault = None
            if isinstance(error, UnicodeDecodeError) and not file.plain.is_file():
                raise
            if file.plain.is_file():
                fault = bad_encoding(file.plain, file.path) or _syntax_error(file, surrogates=True)
            message = f"{file.path} is not valid JSON after row {number}: {error}"
            raise DataError(fault or message) from error

    return TableStream([], blocks())


def _as_lines(file: SourceFile, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write the required columns of rows to the cache, one record per line."""
    columns = dict.fromkeys((*file.columns, *(name.split(".")[0] for name in file.columns)))

    def write(copy: Path) -> None:
        with copy.open("w", encoding="utf-8") as target:
            for row in rows:
                record = {name: row[name] for name in columns if name in row}
                target.write(json.dumps(record) + "\n")

    key = ("rows", 1, *file_key(file.plain), file.options.rows, *columns)
    return cached_file(key, ".jsonl", write)


def _splits(plain: Path, columns: Sequence[str]) -> dict[str, str]:
    """Return the keys of a file that hold the rows of splits, by split."""
    document = read_document(plain)
    return split_keys(document, columns) if document else {}


def _syntax_error(file: SourceFile, surrogates: bool = False) -> str | None:
    """Find the fault with Python's own parser, which counts lines as an editor does.

    Half of a surrogate pair is a fault too, unless `surrogates` allows it.
    """
    path = file.path
    with file.plain.open(encoding="utf-8-sig", newline="\n") as source:
        if is_part_of_record(next(filter(str.strip, source), "")):
            return None  # indented records, which lines do not divide
        source.seek(0)
        start = source.read(1)
        while start.isspace():
            start = source.read(1)
        source.seek(0)
        is_array = start == "["
        for number, text in enumerate([source.read()] if is_array else source, 1):
            try:
                if text.strip():
                    content = json.dumps(json.loads(text), ensure_ascii=False)
                    content.encode("utf-8", "surrogatepass" if surrogates else "strict")
            except UnicodeEncodeError:
                line = "" if is_array else f" in line {number}"
                return (
                    f"{path} has half of a surrogate pair{line}, such as \\ud800, which is not a "
                    "character.\nRemove it, or replace it by \\ufffd."
                )
            except json.JSONDecodeError as error:
                row = error.lineno if is_array else number
                return (
                    f"{path} is not valid JSON: line {row}, column {error.colno}: {error.msg}.\n"
                    f"{json_advice(file.plain)}"
                )
    return None


JSON = FileFormat(
    "json", _read_json, (".json",), ("encoding", "rows"), splits=_splits, stream=_stream_json
)
JSON_LINES = FileFormat(
    "jsonl", _read_json, (".jsonl", ".ndjson"), ("encoding",), stream=_stream_json
)
