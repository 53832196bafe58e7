"""Unlabelled texts, for the pretraining of a language model and for a teacher."""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.config.data import TableConfig
from nlp_rnn.data.quality import is_in
from nlp_rnn.errors import DataError
from nlp_rnn.sources.arrow_cache import arrow_batches
from nlp_rnn.sources.columns import listed, select_columns
from nlp_rnn.sources.file_format import DEFAULT_OPTIONS
from nlp_rnn.sources.files import read_path, read_splits
from nlp_rnn.sources.folders import read_text_folder, text_folder
from nlp_rnn.sources.hub import offline
from nlp_rnn.sources.reading import form_defaults, remembered_note
from nlp_rnn.sources.same_form import fitting_form, has_labels
from nlp_rnn.sources.saved_folders import is_saved
from nlp_rnn.sources.streams import find_streams
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
        rows = _rows(path, columns, corpus.reading, corpus.labels, notes)
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


def _rows(
    path: Path,
    columns: tuple[str, ...],
    reading: Mapping[str, Any],
    labels: Collection[str],
    notes: list[str],
) -> "Dataset":
    """Return the text columns of a file or folder; of several splits, those of train.

    Options about the form of the labelled data apply to files of the same form, as in `predict`.
    """
    if is_saved(path):
        return read_path(path, columns, (), notes)["train"]
    splits = find_streams(path, columns, notes, DEFAULT_OPTIONS)
    if "train" not in splits and len(splits) > 1:
        raise DataError(
            f"data.unlabelled={path} has no train split, but several others: {listed(splits)}.\n"
            "Set data.unlabelled to one of the files."
        )
    entries = list(splits["train"] if "train" in splits else next(iter(splits.values())))
    form = form_defaults(reading, [e.path for e in entries], {e.format for e in entries})
    form, difference = fitting_form(form, entries, columns)
    if form.get("format") in ("lines", "fasttext") and not all(
        has_labels(entry, form, {*labels}) for entry in entries
    ):
        form = {}  # lines without labels are texts
    if form:
        notes.append(f"unlabelled: {remembered_note(form)}")
    notes += [difference] if difference else []
    for index, entry in enumerate(entries):
        options = replace(entry.options, **form)
        entries[index] = replace(entry, options=options, format=options.format or entry.format)
    first = entries[0]
    only_texts = first.format in ("txt", "folder") and len(columns) == 1
    names = ("text",) if only_texts else columns
    if first.format == "folder" and text_folder(first.path):
        rows = read_text_folder(first.path, names, first.options)
    else:
        rows = read_splits(path, {"train": entries}, names, (), notes)["train"]
    return rows if names == columns else rows.rename_column("text", columns[0])


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
