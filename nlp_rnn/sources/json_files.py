"""The formats json (an array of records, or an object) and jsonl (one record per line)."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.errors import DataError
from nlp_rnn.sources.arrow_cache import cached_file, file_key
from nlp_rnn.sources.columns import nested_names, require_columns, top_columns
from nlp_rnn.sources.decoding import bad_encoding
from nlp_rnn.sources.file_format import FileFormat, SourceFile
from nlp_rnn.sources.json_layout import read_document, rows_of, split_keys
from nlp_rnn.sources.json_records import RepeatedKeyError, read_records

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["JSON", "JSON_LINES"]


def _read_json(file: SourceFile) -> "Dataset":
    if document := read_document(file.plain):
        rows, key = rows_of(document, file.columns, file.options.rows, file.path)
        if key is not None:
            file.notes.append(f"{file.path.name}: the rows are those of {key} (data.rows={key})")
        if rows is not None:
            names = list(dict.fromkeys(name for row in rows for name in row))
            require_columns(names, file.columns, str(file.path))
            file = replace(file, plain=_as_lines(file, rows))
    elif file.options.rows is not None:
        raise DataError(
            f"data.rows={file.options.rows} does not apply to {file.path}: it does not consist of "
            "one object.\nRemove data.rows."
        )
    try:
        # its default would write values of several types as JSON, but only in a part of the rows
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
    return dataset


def _has_dates(dataset: "Dataset", columns: Sequence[str]) -> bool:
    """Return whether pyarrow took strings of required columns for dates, which JSON lacks."""
    tops = top_columns(dataset.column_names, columns)
    types = [field.type for field in dataset.data.schema if field.name in tops]
    return any("timestamp" in str(kind) for kind in types)


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


def _syntax_error(file: SourceFile) -> str | None:
    """Find the fault with Python's own parser, which counts lines as an editor does."""
    path = file.path
    with file.plain.open(encoding="utf-8-sig", newline="\n") as source:
        start = source.read(1)
        while start.isspace():
            start = source.read(1)
        source.seek(0)
        is_array = start == "["
        for number, text in enumerate([source.read()] if is_array else source, 1):
            try:
                if text.strip():
                    json.dumps(json.loads(text), ensure_ascii=False).encode()
            except UnicodeEncodeError:
                line = "" if is_array else f" in line {number}"
                return (
                    f"{path} has half of a surrogate pair{line}, such as \\ud800, which is not a "
                    "character.\nRemove it, or replace it by \\ufffd."
                )
            except json.JSONDecodeError as error:
                row = error.lineno if is_array else number
                return f"{path} is not valid JSON: line {row}, column {error.colno}: {error.msg}."
    return None


JSON = FileFormat("json", _read_json, (".json",), options=("encoding", "rows"), splits=_splits)
JSON_LINES = FileFormat("jsonl", _read_json, suffixes=(".jsonl", ".ndjson"), options=("encoding",))
