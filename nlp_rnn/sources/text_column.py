"""The text column of a split: text columns joined to one, and hashes of the texts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nlp_rnn.errors import DataError
from nlp_rnn.sources.arrow_cache import arrow_batches, write_arrow
from nlp_rnn.sources.columns import listed
from nlp_rnn.sources.separator import escaped_form

if TYPE_CHECKING:
    import numpy
    import pyarrow
    from datasets import Dataset

__all__ = ["SEPARATOR", "TextHashes", "as_text", "hash_texts"]

SEPARATOR = "[SEP]"
"""Token between the texts of a pair."""

_TEXTS = ("string", "large_string", "string_view")
_BYTES = ("binary", "large_binary", "binary_view")  # text of Hive, Impala and old Spark in parquet

# Part of the key of cached hashes: raise it when the code below would return others.
HASHING_VERSION = 1


def as_text(
    dataset: "Dataset", columns: Sequence[str], where: str, separator: str | None = None
) -> "Dataset":
    """Return the texts of a split as one column `text` (string, null where all columns are null).

    A single string column is not copied.

    Parameters
    ----------
    dataset : Dataset
        The split.
    columns : sequence of str
        The columns to join, in this order.
    where : str
        Description of the split, with which error messages begin.
    separator : str, optional
        Token between the columns; a null column is then empty, and the separator is escaped where
        it is text. By default the columns are joined by a blank, and null columns are left out.

    Raises
    ------
    DataError
        A column does not contain strings.
    """
    import pyarrow
    import pyarrow.compute as pc

    for name in columns:
        kind = getattr(dataset.features[name], "dtype", type(dataset.features[name]).__name__)
        if kind not in (*_TEXTS, *_BYTES, "null"):
            raise DataError(
                f"{where} has values of type {kind}, not texts, in its column {name!r}; "
                f"it has: {listed(dataset.column_names)}.\n"
                + (
                    f"Write one text in each row, in pandas: df.explode({name!r}), or "
                    f"df.{name}.str.join(' ') for one text of all; or set data.text=COLUMN"
                    if kind in ("List", "LargeList", "list")
                    else "Set data.text=COLUMN"
                )
            )
    if [dataset.features[name].dtype for name in columns] == ["string"]:
        column = dataset.select_columns([columns[0]])
        return column if columns[0] == "text" else column.rename_column(columns[0], "text")

    def joined(table: "pyarrow.Table") -> "pyarrow.RecordBatch":
        try:
            parts = [table.column(name).combine_chunks().cast(pyarrow.string()) for name in columns]
        except pyarrow.ArrowInvalid as error:
            raise DataError(
                f"{where} has bytes that are not UTF-8 in {listed(columns)}: {error}.\n"
                "Write the column again as text in UTF-8, or set data.text to another column."
            ) from error
        all_null = pc.is_null(parts[0])
        for part in parts[1:]:
            all_null = pc.and_(all_null, pc.is_null(part))
        # pyarrow 25 drops a row in which all values are null
        parts[0] = pc.if_else(all_null, "", parts[0])
        if separator is None:
            text = pc.binary_join_element_wise(*parts, " ", null_handling="skip")
        else:
            escaped = escaped_form(separator)
            parts = [
                pc.replace_substring(pc.fill_null(part, ""), separator, escaped) for part in parts
            ]
            text = pc.binary_join_element_wise(*parts, f" {separator} ")
        text = pc.if_else(all_null, pyarrow.scalar(None, pyarrow.string()), text)
        return pyarrow.RecordBatch.from_arrays([text], names=["text"])

    return write_arrow(
        ("text", dataset._fingerprint, *columns, *([separator, "escaped"] if separator else [])),
        pyarrow.schema([("text", pyarrow.string())]),
        (joined(table) for table in arrow_batches(dataset)),
    )


@dataclass(frozen=True)
class TextHashes:
    """Hashes of the texts of a split, which stand for texts that may not fit in memory.

    Among 3,000,000 different texts, two have the same hash with a probability of 2e-7.

    Attributes
    ----------
    exact : uint64 array of shape (rows,)
        Hash of each text.
    normal : uint64 array of shape (rows,)
        Hash of each text after normalization: NFKC, lower case, and white space reduced to single
        blanks between words.
    missing : bool array of shape (rows,)
        Whether the text is null. Null is hashed as an empty text.
    num_blank : int
        The number of texts that are empty or blank but not null.
    """

    exact: "numpy.ndarray[Any, Any]"
    normal: "numpy.ndarray[Any, Any]"
    missing: "numpy.ndarray[Any, Any]"
    num_blank: int


def hash_texts(texts: "Dataset") -> TextHashes:
    """Hash the column `text`. The hashes of a file are cached, so that it is read only once."""
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
        table = write_arrow(key, schema, _hash_batches(texts, schema)).data
    else:
        table = pyarrow.Table.from_batches(_hash_batches(texts, schema), schema)
    exact, normal, missing, blank = (table.column(name).to_numpy() for name in schema.names)
    return TextHashes(exact, normal, missing, int(blank.sum()))


def _hash_batches(texts: "Dataset", schema: "pyarrow.Schema") -> "Iterator[pyarrow.RecordBatch]":
    import pyarrow
    import pyarrow.compute as pc
    from pandas.util import hash_array

    for table in arrow_batches(texts):
        nullable = table.column("text").combine_chunks()
        column = pc.fill_null(nullable, "")
        lowered = pc.utf8_lower(pc.utf8_normalize(column, form="NFKC"))
        words = pc.utf8_split_whitespace(pc.utf8_trim_whitespace(lowered))
        hashes = [
            hash_array(strings.to_numpy(zero_copy_only=False), categorize=False)
            for strings in (column, pc.binary_join(words, " "))
        ]
        empty = pc.equal(pc.utf8_trim_whitespace(column), "")
        yield pyarrow.RecordBatch.from_arrays(
            [
                *(pyarrow.array(values) for values in hashes),
                nullable.is_null(),
                pc.and_not(empty, nullable.is_null()),
            ],
            schema=schema,
        )
