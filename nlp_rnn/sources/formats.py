"""The registry of file formats, and how the format of a file is recognized."""

from collections.abc import Mapping
from pathlib import Path

from nlp_rnn.errors import DataError
from nlp_rnn.sources.arrow_files import ARROW, PARQUET
from nlp_rnn.sources.delimited import CSV, TSV
from nlp_rnn.sources.excel_files import EXCEL
from nlp_rnn.sources.file_format import FileFormat, FileOptions
from nlp_rnn.sources.json_files import JSON, JSON_LINES
from nlp_rnn.sources.labelled_lines import FASTTEXT, LINES

__all__ = ["FORMATS", "check_options", "compression_of", "format_of", "plain_stem"]

FORMATS: dict[str, FileFormat] = {
    file_format.name: file_format
    for file_format in (
        PARQUET,
        CSV,
        TSV,
        JSON,
        JSON_LINES,
        ARROW,
        LINES,
        FASTTEXT,
        EXCEL,
    )
}
"""All file formats by name, in the order in which messages list them."""

_COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}


def format_of(path: Path, options: FileOptions) -> FileFormat | None:
    """Return the format of a file by `data.format`, else by its suffix; None if it has none."""
    if options.format is not None:
        return FORMATS[options.format]
    suffix = _without_compression(path).suffix.lower()
    return next((known for known in FORMATS.values() if suffix in known.suffixes), None)


def compression_of(path: Path) -> str | None:
    """Return the compression of a file by its suffix: `gzip`, `zstd` or None."""
    return _COMPRESSIONS.get(path.suffix.lower())


def plain_stem(path: Path) -> str:
    """Return the file name without suffixes of format and compression: `train`.csv.gz."""
    return _without_compression(path).stem


def _without_compression(path: Path) -> Path:
    return path.with_suffix("") if compression_of(path) else path


def check_options(
    options: FileOptions, applicable: Mapping[str, tuple[str, ...]], where: str
) -> None:
    """Raise `DataError` for a changed option that applies to none of the files to be read.

    Parameters
    ----------
    options : FileOptions
        The options to check.
    applicable : mapping of str to tuple of str
        The options that apply, by the name of each format that is read.
    where : str
        The file or folder, for the message.
    """
    changed = {
        "header": not options.header,
        "columns": options.columns is not None,
        "quoting": not options.quoting,
        "delimiter": options.delimiter is not None,
        "encoding": not options.is_utf8,
        "rows": options.rows is not None,
    }
    for option, is_changed in changed.items():
        if is_changed and not any(option in known for known in applicable.values()):
            formats = [known.name for known in FORMATS.values() if option in known.options]
            formats += ["folders of text files"] if option == "encoding" else []
            raise DataError(
                f"data.{option} does not apply to {where} ({', '.join(sorted(applicable))}), but "
                f"to {', '.join(formats)}.\nRemove data.{option}."
            )
