"""Pool of unlabelled texts that a teacher labels: the texts of `data.unlabelled`, each once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nlp_rnn.config.data import DataConfig, TableConfig

if TYPE_CHECKING:
    import numpy

    from nlp_rnn.data.corpus import Corpus

__all__ = ["Pool", "read_pool"]


@dataclass(frozen=True)
class Pool:
    """Unlabelled texts, none of which is in the corpus.

    Attributes
    ----------
    texts : sequence of str
        The texts. No two are the same after normalization.
    rows : int64 array
        Index of each text's row in the file of unlabelled texts.
    digest : str
        Hash of the texts.
    notes : tuple of str
        One line for each kind of text that was left out, and the number of texts.
    """

    texts: Sequence[str]
    rows: "numpy.ndarray[Any, Any]"
    digest: str
    notes: tuple[str, ...]


def read_pool(config: DataConfig, corpus: "Corpus") -> Pool:
    """Read the texts of `data.unlabelled`; without that option the pool is empty.

    Empty texts, texts of the validation and test split, texts that have a label in the training
    split, and repeated texts are left out. Texts are compared after normalization: case and white
    space make no difference.

    Raises
    ------
    DataError
        The path cannot be read, or no text is left.
    """
    import numpy

    from nlp_rnn.data.unlabelled import read_unlabelled, texts_digest
    from nlp_rnn.errors import DataError
    from nlp_rnn.sources.arrow_cache import texts_of
    from nlp_rnn.sources.text_column import hash_texts

    if not isinstance(config, TableConfig) or config.unlabelled is None:
        return Pool((), numpy.empty(0, numpy.int64), "", ())
    unlabelled = read_unlabelled(config, corpus)
    notes = list(unlabelled.notes[:-1])
    hashes = hash_texts(unlabelled.texts).normal
    labelled = numpy.isin(hashes, corpus.hashes["train"])
    first = numpy.zeros(len(hashes), bool)
    first[numpy.unique(hashes, return_index=True)[1]] = True
    if labelled.any():
        notes.append(f"unlabelled: {int(labelled.sum()):,} texts that have labels left out")
    if repeated := int((~first & ~labelled).sum()):
        notes.append(f"unlabelled: {repeated:,} repeated texts left out")
    rows = numpy.flatnonzero(first & ~labelled)
    if not len(rows):
        raise DataError(
            f"Every text of data.unlabelled={config.unlabelled} is in the labelled data.\n"
            "Set data.unlabelled to a file with other texts, or remove it."
        )
    texts = unlabelled.texts.select(rows)
    notes.append(f"unlabelled: {len(texts):,} texts")
    return Pool(tuple(texts_of(texts)), unlabelled.rows[rows], texts_digest(texts), tuple(notes))
