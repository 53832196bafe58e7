"""A file with a label and a text on each line becomes rows: `label text`, fastText."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from nlp_rnn.errors import DataError
from nlp_rnn.sources.arrow_cache import file_key, write_arrow
from nlp_rnn.sources.columns import require_columns
from nlp_rnn.sources.file_format import FileForm, delimiter_character

if TYPE_CHECKING:
    import pyarrow
    from datasets import Dataset

__all__ = ["read_lines"]

FASTTEXT_PREFIX = "__label__"
_COLUMNS = {
    "lines": ("text", "label", "coarse_label", "fine_label"),
    "fasttext": ("text", "label"),
}
_BATCH = 1000  # rows written together
_Row = dict[str, str | None]


def read_lines(path: Path, plain: Path, kind: str, wanted: list[str], form: FileForm) -> "Dataset":
    """Read the columns `wanted` of `plain`, a UTF-8 copy of `path` or itself.

    `lines`: the label goes to the first `form.delimiter` (any white space if there is none), the
    text is the rest; of a label `COARSE:fine`, `coarse_label` is what stands before the first
    colon and `fine_label` what stands after it. `fasttext`: the words that begin with `__label__`
    come first, and with `form.several` are joined by blanks. A line ends at a line feed and nothing
    else; blank ones are skipped.
    """
    import pyarrow

    require_columns(_COLUMNS[kind], wanted, f"The {kind} file {path}")
    delimiter = delimiter_character(form.delimiter, "") or None
    parse: Callable[[str], _Row] = (
        (lambda line: _fasttext(line, form.several))
        if kind == "fasttext"
        else lambda line: _labelled(line, delimiter)
    )
    schema = pyarrow.schema([(name, pyarrow.string()) for name in wanted])
    key = (kind, *file_key(path), form.delimiter, form.encoding, form.several, *wanted)
    return write_arrow(key, schema, _batches(path, plain, parse, schema))


def _batches(
    path: Path, plain: Path, parse: Callable[[str], _Row], schema: "pyarrow.Schema"
) -> "Iterator[pyarrow.RecordBatch]":
    import pyarrow

    def rows() -> Iterator[_Row]:
        with plain.open(encoding="utf-8-sig", newline="\n") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    try:
                        yield parse(line.removesuffix("\n").removesuffix("\r"))
                    except ValueError as error:
                        raise DataError(f"{path}: row {number} {error}") from error

    for some in _some(rows()):
        yield pyarrow.RecordBatch.from_pylist(some, schema=schema)


def _some(rows: Iterable[_Row]) -> Iterator[list[_Row]]:
    some: list[_Row] = []
    for row in rows:
        some.append(row)
        if len(some) == _BATCH:
            yield some
            some = []
    if some:
        yield some


def _labelled(line: str, delimiter: str | None) -> _Row:
    parts = line.split(delimiter, 1)
    if len(parts) == 1 and delimiter is None and line[-1].isspace():
        parts.append("")  # a label and the delimiter, but no text
    if len(parts) < 2:
        what = "white space" if delimiter is None else repr(delimiter)
        raise ValueError(
            f"has no {what} between a label and a text: {line[:40]!r}.\n"
            "Type data.delimiter=tab or another, or data.format for a file of another form."
        )
    label = parts[0]
    coarse, _, fine = label.partition(":")
    return {
        "text": parts[1],
        "label": label,
        "coarse_label": coarse,
        "fine_label": fine or None,
    }


def _fasttext(line: str, several: bool) -> _Row:
    words = line.split()
    labels = []
    for word in words:
        if not word.startswith(FASTTEXT_PREFIX):
            break
        labels.append(word.removeprefix(FASTTEXT_PREFIX))
    if len(labels) > 1 and not several:
        raise ValueError(
            f"has {len(labels)} labels: {', '.join(labels)[:60]}.\n"
            "Leave one on each line, or if there may be several type data.label_separator=space"
        )
    return {
        "text": [*line.split(None, len(labels)), ""][len(labels)] if labels else line,
        "label": " ".join(labels) if labels or several else None,
    }
