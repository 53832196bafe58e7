"""Streams of tables with all of their columns, from whatever `data=files` reads, for predictions.

Rows come in blocks, so that a file of any size takes little memory. Compressed files and files in
other encodings than UTF-8 are first copied to the cache, as for training.
"""

import glob
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.errors import DataError
from nlp_rnn.sources.arrow_cache import arrow_batches
from nlp_rnn.sources.columns import distinct_names, require_columns
from nlp_rnn.sources.decoding import bad_encoding
from nlp_rnn.sources.file_format import FileFormat, FileOptions, SourceFile, TableStream
from nlp_rnn.sources.files import Entry, find_splits, plain_copy
from nlp_rnn.sources.folders import stream_texts, text_files, text_folder
from nlp_rnn.sources.formats import FORMATS, check_options, compression_of
from nlp_rnn.sources.labelled_lines import TEXT_LINES
from nlp_rnn.sources.path_errors import first_line, readable
from nlp_rnn.sources.saved_folders import is_saved, load_saved
from nlp_rnn.sources.split_files import natural_order

if TYPE_CHECKING:
    import pyarrow

__all__ = ["find_streams", "open_stream", "stream_files"]

_SAVED, _TEXTS = "save_to_disk", "folder"


def find_streams(
    path: Path, columns: Sequence[str], notes: list[str], options: FileOptions
) -> dict[str, list[Entry]]:
    """Return what is to be read for each split at `path`.

    Besides what `data=files` reads, these are txt files with one text per line (by their names,
    or with the format `txt`), folders of text files, and folders without a train split.

    Parameters
    ----------
    path, columns, notes, options
        As in `files.find_splits`.

    Raises
    ------
    DataError
        Nothing readable is at `path`, or an option does not apply to it.
    """
    with readable(path):
        if path.is_dir() and is_saved(path):
            saved = load_saved(path, options)
            if not isinstance(saved, dict):
                return {"train": [Entry(path, options, _SAVED)]}
            return {split: [Entry(path / split, options, _SAVED)] for split in saved}
        if files := _txt_files(path, options):
            check_options(options, {"txt": TEXT_LINES.options}, str(path))
            return {"train": [Entry(file, options, TEXT_LINES.name) for file in files]}
        if options.format is None and text_folder(path):
            check_options(options, {_TEXTS: ("encoding",)}, str(path))
            return {"train": [Entry(path, options, _TEXTS)]}
        return find_splits(path, columns, notes, options, needs_train=False)


def _txt_files(path: Path, options: FileOptions) -> list[Path]:
    """Return the files at `path` if all of them have one text per line."""
    if options.format not in (None, TEXT_LINES.name):
        return []
    files = [path] if path.is_file() else []
    if not path.exists() and any(sign in str(path) for sign in "*?["):
        matches = (Path(match) for match in glob.glob(str(path), recursive=True))
        files = natural_order(match for match in matches if match.is_file())

    def is_txt(file: Path) -> bool:
        return (file.with_suffix("") if compression_of(file) else file).suffix.lower() == ".txt"

    return files if options.format or all(map(is_txt, files)) else []


def stream_files(entries: Sequence[Entry]) -> list[Path]:
    """Return the files that `entries` are read from, in order."""

    def files(entry: Entry) -> list[Path]:
        if entry.format == _SAVED:
            return sorted(entry.path.glob("*.arrow"))
        if entry.path.is_dir():
            return [file for _, file in text_files(entry.path)]
        return [entry.path]

    return list(chain.from_iterable(map(files, entries)))


def open_stream(entry: Entry, text: Sequence[str], notes: list[str]) -> TableStream:
    """Open a file or folder, and return its rows with all columns.

    Parameters
    ----------
    entry : Entry
        What to open, from `find_streams`.
    text : sequence of str
        Columns that must exist.
    notes : list of str
        Receives lines that the user should see, some of them after the last row.

    Raises
    ------
    DataError
        It cannot be read, or lacks a column (`MissingColumnError`). Rows that cannot be read
        raise `DataError` when they are reached.
    """
    path = entry.path
    with readable(path):
        if entry.format == _SAVED:
            return _saved(path, text)
        if path.is_dir():
            return stream_texts(path, text, entry.options, notes)
        file_format = FORMATS.get(entry.format, TEXT_LINES)
        is_pipe = not path.is_file()
        if not is_pipe and path.stat().st_size == 0 and entry.format in ("txt", "jsonl"):
            return TableStream(["text"] if entry.format == "txt" else [], iter(()))
        plain = path if is_pipe else plain_copy(path, file_format, entry.options, notes)
        file = SourceFile(path, plain, tuple(text), (), entry.options, notes)
        try:
            stream = file_format.stream(file) if file_format.stream else _cached(file_format, file)
        except Exception as error:
            raise _as_data_error(error, file, file_format) from error
    known_share = stream.share

    def share(rows: int) -> float | None:
        of_bytes = file.share_read()
        return known_share(rows) if of_bytes is None else of_bytes

    stream = replace(stream, blocks=_guarded(stream.blocks, file, file_format), share=share)
    return stream if stream.columns else _with_first_keys(stream, file)


def _saved(path: Path, text: Sequence[str]) -> TableStream:
    import datasets

    dataset = datasets.load_from_disk(str(path))
    require_columns(dataset.column_names, text, str(path))

    def blocks() -> "Iterator[pyarrow.RecordBatch]":
        for table in arrow_batches(dataset):
            yield from table.combine_chunks().to_batches()

    return TableStream(distinct_names(dataset.column_names), blocks())


def _cached(file_format: FileFormat, file: SourceFile) -> TableStream:
    """Return the required columns of a format that has no stream."""
    dataset = file_format.read(file).select_columns(file.columns)
    blocks = (batch for table in arrow_batches(dataset) for batch in table.to_batches())
    return TableStream(file.columns, blocks)


def _guarded(blocks: Iterator[Any], file: SourceFile, file_format: FileFormat) -> Iterator[Any]:
    """Yield the blocks; errors become `DataError`."""
    with readable(file.path):
        try:
            yield from blocks
        except OSError:
            raise
        except Exception as error:
            raise _as_data_error(error, file, file_format) from error


def _as_data_error(error: Exception, file: SourceFile, file_format: FileFormat) -> Exception:
    if isinstance(error, DataError):
        return error
    if isinstance(error, RecursionError):
        return DataError(f"{file.path} is no valid JSON: it is nested too deeply.")
    if isinstance(error, UnicodeDecodeError) and not file.plain.is_file():  # a pipe
        return DataError(
            f"{file.path} is not UTF-8: it has the byte 0x{error.object[error.start]:02X}.\n"
            "Set data.encoding to its encoding, such as data.encoding=cp1252"
        )
    is_text = "encoding" in file_format.options and file.plain.is_file()
    fault = bad_encoding(file.plain, file.path) if is_text else None
    return DataError(fault or f"{file.path} cannot be read: {first_line(error)}")


def _with_first_keys(stream: TableStream, file: SourceFile) -> TableStream:
    """Check that the first rows have the required keys."""
    first = next(stream.blocks, None)
    if first is None:
        return stream
    names = list(dict.fromkeys(name for row in first for name in row))
    require_columns(names, file.columns, str(file.path))
    return replace(stream, blocks=chain([first], stream.blocks))
