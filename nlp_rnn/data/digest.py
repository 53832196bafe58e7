"""The digest of a corpus: a hash of its texts, label ids and label names, cached once computed."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.sources.arrow_cache import arrow_batches, cached_file

if TYPE_CHECKING:
    from datasets import Dataset
    from numpy import ndarray

    Part = tuple[Dataset, ndarray[Any, Any], ndarray[Any, Any]]

__all__ = ["corpus_digest"]

# Part of the key of cached digests: raise it when `_content_digest` would return others.
DIGEST_VERSION = 1


def corpus_digest(splits: "Sequence[Part]", labels: Sequence[str]) -> str:
    """Return the hash of a corpus; where and in which format it is stored does not matter.

    The texts of files are hashed once. Afterwards the digest is found in the cache, under the
    fingerprints of the files.

    Parameters
    ----------
    splits : sequence of tuple
        For each split: a data set with the column `text`, the chosen rows (int64, ascending)
        and their label ids (int64, or packed bits for multi-label data).
    labels : sequence of str
        The label names.

    Returns
    -------
    str
        32 hexadecimal digits (BLAKE2b).
    """
    if not all(texts.cache_files for texts, _, _ in splits):
        return _content_digest(splits, labels)
    choice = hashlib.blake2b()
    for _, rows, ids in splits:
        choice.update(rows.data)
        choice.update(ids.data)

    def write(path: Path) -> None:
        path.write_text(_content_digest(splits, labels))

    fingerprints = [texts._fingerprint for texts, _, _ in splits]
    key = ("digest", DIGEST_VERSION, fingerprints, choice.hexdigest(), *labels)
    return cached_file(key, ".digest", write).read_text()


def _content_digest(splits: "Sequence[Part]", labels: Sequence[str]) -> str:
    import pyarrow
    import pyarrow.compute as pc

    digest = hashlib.blake2b(json.dumps(list(labels)).encode(), digest_size=16)
    for split_texts, rows, ids in splits:
        # lengths beside the bytes: "ab", "c" is not "a", "bc"
        contents, lengths = hashlib.blake2b(), hashlib.blake2b()
        start = 0
        for table in arrow_batches(split_texts):
            texts = table.column("text").combine_chunks()
            first, last = rows.searchsorted((start, start + len(texts)))
            if last - first < len(texts):
                texts = texts.take(pyarrow.array(rows[first:last] - start))
            start += table.num_rows
            lengths.update(pc.binary_length(texts).to_numpy().astype("<i8"))
            joined = pc.binary_join(pyarrow.ListArray.from_arrays([0, len(texts)], texts), "")
            contents.update(joined[0].as_buffer())
        for part in (contents.digest(), lengths.digest(), ids.astype("<i8").data):
            digest.update(hashlib.blake2b(part).digest())
    return digest.hexdigest()
