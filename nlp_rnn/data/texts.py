"""The text columns of a split become one column of texts, and each text two hashes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nlp_rnn.data.arrow_cache import write_arrow
from nlp_rnn.data.columns import listed
from nlp_rnn.errors import DataError

if TYPE_CHECKING:
    import numpy
    import pyarrow
    from datasets import Dataset

__all__ = ["TextHashes", "as_text", "hash_texts", "missing_texts"]

_BATCH = 1000  # rows looked at together


def as_text(dataset: "Dataset", columns: Sequence[str], where: str) -> "Dataset":
    """Return the texts as the one column `text` (string), rewritten only if they must be."""
    import pyarrow
    import pyarrow.compute as pc

    for name in columns:
        kind = getattr(dataset.features[name], "dtype", type(dataset.features[name]).__name__)
        if kind not in ("string", "large_string", "string_view", "null"):
            raise DataError(
                f"{where} has in its column {name!r} values of the kind {kind}, not texts; "
                f"it has: {listed(dataset.column_names)}.\nType data.text=COLUMN"
            )
    kinds = [dataset.features[name].dtype for name in columns]
    if kinds == ["string"]:
        only = dataset.select_columns([columns[0]])
        return only if columns[0] == "text" else only.rename_column(columns[0], "text")

    def joined(table: "pyarrow.Table") -> "pyarrow.RecordBatch":
        parts = [table.column(name).combine_chunks().cast(pyarrow.string()) for name in columns]
        nothing = pc.is_null(parts[0])
        for part in parts[1:]:
            nothing = pc.and_(nothing, pc.is_null(part))
        # pyarrow 25 leaves a row out when there is nothing to join in it
        parts[0] = pc.if_else(nothing, "", parts[0])
        text = pc.binary_join_element_wise(*parts, " ", null_handling="skip")
        text = pc.if_else(nothing, pyarrow.scalar(None, pyarrow.string()), text)
        return pyarrow.RecordBatch.from_arrays([text], names=["text"])

    batches = dataset.with_format("arrow").iter(_BATCH)
    return write_arrow(
        ("text", dataset._fingerprint, *columns),
        pyarrow.schema([("text", pyarrow.string())]),
        (joined(table) for table in batches),
    )


def missing_texts(texts: "Dataset") -> tuple["numpy.ndarray[Any, Any]", int]:
    """Return which texts are null (a mask over the rows) and how many are empty or blank."""
    import numpy
    import pyarrow.compute as pc

    nulls = []
    num_blank = 0
    for table in texts.with_format("arrow").iter(_BATCH):
        column = table.column("text")
        nulls.append(column.is_null().to_numpy())
        num_blank += pc.sum(pc.equal(pc.utf8_trim_whitespace(column), "")).as_py() or 0
    return numpy.concatenate(nulls), num_blank


@dataclass(frozen=True)
class TextHashes:
    """Of each text of a split 64 bits of a hash, uint64 (rows,): texts would not fit in memory.

    `normal` is that of the text after NFKC and lower-casing, with every run of white space as one
    blank and none at its ends. Two different texts of 3,000,000 share a hash with a probability
    of 2e-7.
    """

    exact: "numpy.ndarray[Any, Any]"
    normal: "numpy.ndarray[Any, Any]"


def hash_texts(texts: "Dataset") -> TextHashes:
    """Hash the column `text`; a null as the empty text."""
    import numpy
    import pyarrow.compute as pc
    from pandas.util import hash_array

    exact = numpy.empty(len(texts), numpy.uint64)
    normal = numpy.empty(len(texts), numpy.uint64)
    start = 0
    for table in texts.with_format("arrow").iter(_BATCH):
        column = pc.fill_null(table.column("text").combine_chunks(), "")
        lowered = pc.utf8_lower(pc.utf8_normalize(column, form="NFKC"))
        words = pc.utf8_split_whitespace(pc.utf8_trim_whitespace(lowered))
        end = start + len(column)
        for hashes, some in ((exact, column), (normal, pc.binary_join(words, " "))):
            values = some.to_numpy(zero_copy_only=False)
            hashes[start:end] = hash_array(values, categorize=False)
        start = end
    return TextHashes(exact, normal)
