"""The text columns of a split become one column of texts, and each text two hashes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nlp_rnn.errors import DataError
from nlp_rnn.sources.arrow_cache import arrow_batches, write_arrow
from nlp_rnn.sources.columns import listed

if TYPE_CHECKING:
    import numpy
    import pyarrow
    from datasets import Dataset

__all__ = ["SEPARATOR", "TextHashes", "as_text", "hash_texts"]

SEPARATOR = "[SEP]"
"""Token between the texts of a pair."""

# Part of the key of kept hashes: raise it when the code below would give others.
HASHING_VERSION = 1


def as_text(
    dataset: "Dataset", columns: Sequence[str], where: str, separator: str | None = None
) -> "Dataset":
    """Return the texts as the one column `text` (string), rewritten only if they must be.

    Several columns are joined by a blank, a null one left out; or by `separator` between blanks,
    which shows which text is which, so that a null one is empty.
    """
    import pyarrow
    import pyarrow.compute as pc

    for name in columns:
        kind = getattr(dataset.features[name], "dtype", type(dataset.features[name]).__name__)
        if kind not in ("string", "large_string", "string_view", "null"):
            raise DataError(
                f"{where} has in its column {name!r} values of type {kind}, not texts; "
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
        if separator is None:
            text = pc.binary_join_element_wise(*parts, " ", null_handling="skip")
        else:
            parts = [pc.fill_null(part, "") for part in parts]
            text = pc.binary_join_element_wise(*parts, f" {separator} ")
        text = pc.if_else(nothing, pyarrow.scalar(None, pyarrow.string()), text)
        return pyarrow.RecordBatch.from_arrays([text], names=["text"])

    return write_arrow(
        ("text", dataset._fingerprint, *columns, *([separator] if separator else [])),
        pyarrow.schema([("text", pyarrow.string())]),
        (joined(table) for table in arrow_batches(dataset)),
    )


@dataclass(frozen=True)
class TextHashes:
    """Of each text of a split 64 bits of a hash, uint64 (rows,): texts would not fit in memory.

    `normal` is that of the text after NFKC and lower-casing, with every run of white space as one
    blank and none at its ends. Two different texts of 3,000,000 share a hash with a probability
    of 2e-7. `missing`, bool (rows,), are the texts that are null, and hashed as empty ones;
    `num_blank` counts the others that are empty or blank.
    """

    exact: "numpy.ndarray[Any, Any]"
    normal: "numpy.ndarray[Any, Any]"
    missing: "numpy.ndarray[Any, Any]"
    num_blank: int


def hash_texts(texts: "Dataset") -> TextHashes:
    """Hash the column `text`; of a file once only, what was found is kept in the cache."""
    import pyarrow

    schema = pyarrow.schema(
        [
            ("exact", pyarrow.uint64()),
            ("normal", pyarrow.uint64()),
            ("missing", pyarrow.bool_()),
            ("blank", pyarrow.bool_()),
        ]
    )
    if texts.cache_files:
        key = ("hashes", HASHING_VERSION, texts._fingerprint)
        found = write_arrow(key, schema, _hashed(texts, schema)).data
    else:
        found = pyarrow.Table.from_batches(_hashed(texts, schema), schema)
    exact, normal, missing, blank = (found.column(name).to_numpy() for name in schema.names)
    return TextHashes(exact, normal, missing, int(blank.sum()))


def _hashed(texts: "Dataset", schema: "pyarrow.Schema") -> "Iterator[pyarrow.RecordBatch]":
    import pyarrow
    import pyarrow.compute as pc
    from pandas.util import hash_array

    for table in arrow_batches(texts):
        given = table.column("text").combine_chunks()
        column = pc.fill_null(given, "")
        lowered = pc.utf8_lower(pc.utf8_normalize(column, form="NFKC"))
        words = pc.utf8_split_whitespace(pc.utf8_trim_whitespace(lowered))
        hashes = [
            hash_array(some.to_numpy(zero_copy_only=False), categorize=False)
            for some in (column, pc.binary_join(words, " "))
        ]
        empty = pc.equal(pc.utf8_trim_whitespace(column), "")
        yield pyarrow.RecordBatch.from_arrays(
            [
                *(pyarrow.array(some) for some in hashes),
                given.is_null(),
                pc.and_not(empty, given.is_null()),
            ],
            schema=schema,
        )
