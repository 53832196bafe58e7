"""The formats json (one array of records) and jsonl (one record per line)."""

import json
from typing import TYPE_CHECKING

from nlp_rnn.errors import DataError
from nlp_rnn.sources.columns import require_columns
from nlp_rnn.sources.decoding import bad_encoding
from nlp_rnn.sources.file_format import FileFormat, SourceFile

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["JSON", "JSON_LINES"]


def _read_json(file: SourceFile) -> "Dataset":
    try:
        dataset = file.load_dataset("json")
    except Exception as error:
        # searched only now: to read every file twice would cost more than the message is worth
        if fault := bad_encoding(file.plain, file.path) or _syntax_error(file):
            raise DataError(fault) from error
        raise
    require_columns(dataset.column_names, file.columns, str(file.path))
    return dataset


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


JSON = FileFormat("json", _read_json, suffixes=(".json",), options=("encoding",))
JSON_LINES = FileFormat("jsonl", _read_json, suffixes=(".jsonl", ".ndjson"), options=("encoding",))
