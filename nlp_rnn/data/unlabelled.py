"""Unlabelled texts, for the pretraining of a language model and for a teacher."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.config.data import TableConfig
from nlp_rnn.data.quality import is_in
from nlp_rnn.errors import DataError
from nlp_rnn.sources.arrow_cache import arrow_batches
from nlp_rnn.sources.columns import select_columns
from nlp_rnn.sources.file_format import DEFAULT_OPTIONS
from nlp_rnn.sources.files import read_path
from nlp_rnn.sources.folders import read_text_folder, text_folder
from nlp_rnn.sources.hub import offline
from nlp_rnn.sources.text_column import as_text, hash_texts

if TYPE_CHECKING:
    import numpy
    from datasets import Dataset

    from nlp_rnn.data.corpus import Corpus

__all__ = ["Unlabelled", "read_unlabelled", "texts_digest"]


@dataclass(frozen=True)
class Unlabelled:
    """Unlabelled texts.

    Attributes
    ----------
    texts : Dataset
        The column `text` (string, never null).
    rows : int64 array
        Index of each text's row in the file.
    digest : str
        Hash of the texts.
    notes : tuple of str
        One line for each kind of text that was left out, and the number of texts.
    """

    texts: "Dataset"
    rows: "numpy.ndarray[Any, Any]"
    digest: str
    notes: tuple[str, ...]


def read_unlabelled(config: TableConfig, corpus: "Corpus") -> Unlabelled:
    """Read the text columns of `config.unlabelled`; of a folder of splits, those of train.

    Empty texts are left out, and so are the texts of the validation and test split of `corpus`.

    Raises
    ------
    DataError
        The path cannot be read, or no text is left.
    """
    import numpy

    assert config.unlabelled is not None
    path = Path(config.unlabelled).expanduser()
    columns = tuple(map(str, config.text if isinstance(config.text, list) else [config.text]))
    notes: list[str] = []
    where = f"data.unlabelled={path}"
    with offline():
        if text_folder(path):
            rows = read_text_folder(path, columns, DEFAULT_OPTIONS)
        else:
            rows = read_path(path, columns, (), notes)["train"]
    texts = as_text(select_columns(rows, columns, where), columns, where, corpus.separator)
    hashes = hash_texts(texts)
    blank = hash_texts(_blank()).normal[0]
    usable = ~hashes.missing & (hashes.normal != blank)
    if empty := int((~usable).sum()):
        notes.append(f"unlabelled: {empty:,} empty texts left out")
    evaluation_texts = numpy.concatenate(
        [
            hash_texts(split.select_columns("text")).normal
            for split in (corpus.validation, corpus.test)
        ]
    )
    leaks = usable & is_in(hashes.normal, evaluation_texts)
    if leaks.any():
        notes.append(f"unlabelled: {int(leaks.sum()):,} texts of validation or test left out")
    usable &= ~leaks
    if not usable.any():
        raise DataError(
            f"{where} has no text that can be used.\nSet data.unlabelled to a file with texts."
        )
    rows_left = numpy.flatnonzero(usable)
    chosen = texts.select(rows_left)
    notes.append(f"unlabelled: {len(chosen):,} texts")
    return Unlabelled(chosen, rows_left, texts_digest(chosen), tuple(notes))


def _blank() -> "Dataset":
    from datasets import Dataset

    return Dataset.from_dict({"text": [""]})


def texts_digest(texts: "Dataset") -> str:
    """Return the hash of the column `text`, as 32 hexadecimal digits."""
    digest = hashlib.blake2b(digest_size=16)
    for table in arrow_batches(texts):
        for text in table.column("text").to_pylist():
            encoded = text.encode()
            digest.update(len(encoded).to_bytes(8, "little") + encoded)
    return digest.hexdigest()
