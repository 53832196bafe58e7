"""Training data of a student: the labelled rows and the pool, with soft targets by a teacher.

A student is trained like any other classifier, on more rows and with probabilities in place of
labels. Validation and test stay as they are: true labels alone.

Hinton et al. 2015, arXiv:1503.02531. Here the teacher's probabilities are softened, not those of
the student.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.config.teacher import TeacherConfig
from nlp_rnn.data.corpus import Corpus
from nlp_rnn.data.labels import labels_of
from nlp_rnn.teachers.teacher_predictions import FloatArray
from nlp_rnn.teachers.teaching import Teaching

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["StudentData", "make_student_data", "soften"]

TINY = np.finfo(np.float32).tiny
"""Lower bound of probabilities, which have a logarithm then."""


@dataclass(frozen=True)
class StudentData:
    """What a student is trained on.

    Attributes
    ----------
    corpus : Corpus
        The corpus, whose training split has the labelled rows first, then those of the pool with
        the most probable label by the teacher. The column `row` is -1 for a row of the pool.
    targets : float32 (training rows, C)
        Soft targets of the training split.
    labelled_rows : int
        Number of the labelled rows.
    notes : tuple of str
        What was left out.
    """

    corpus: Corpus
    targets: FloatArray
    labelled_rows: int
    notes: tuple[str, ...] = ()

    @property
    def pool_rows(self) -> int:
        """Number of rows of the pool."""
        return len(self.targets) - self.labelled_rows


def make_student_data(corpus: Corpus, teaching: Teaching, config: TeacherConfig) -> StudentData:
    """Return the training data of a student.

    Parameters
    ----------
    corpus : Corpus
        The labelled data.
    teaching : Teaching
        The pool and the teacher's predictions. Texts without a prediction are left out of the
        pool; labelled rows without one have their label alone.
    config : TeacherConfig
        Its options say how the predictions become targets.
    """
    multi_label = corpus.task == "multi_label"
    predictions = teaching.predictions
    labels = labels_of(corpus.train)
    targets = _labelled_targets(labels, predictions.train, config, multi_label)
    rows: list[int] = np.flatnonzero(~np.isnan(predictions.unlabelled).any(axis=1)).tolist()
    notes = []
    if missing := len(predictions.unlabelled) - len(rows):
        notes.append(f"unlabelled: {missing:,} texts without a prediction of the teacher left out")
    if not len(rows):
        return StudentData(corpus, targets, len(targets), tuple(notes))
    probabilities = predictions.unlabelled[rows]
    pool = _labelled_pool([teaching.pool.texts[row] for row in rows], probabilities, corpus)
    pool_targets = soften(probabilities, config.temperature, multi_label)
    return StudentData(
        _joined(corpus, pool),
        np.concatenate([targets, pool_targets]),
        len(targets),
        tuple(notes),
    )


def soften(probabilities: FloatArray, temperature: float, multi_label: bool) -> FloatArray:
    """Return probabilities (n, C) whose logits are divided by the temperature."""
    if temperature == 1:
        return probabilities.astype(np.float32)
    likely = np.clip(probabilities, TINY, 1, dtype=np.float64)
    if multi_label:
        unlikely = np.clip(1 - likely, TINY, 1)
        powers = likely ** (1 / temperature)
        total = powers + unlikely ** (1 / temperature)
    else:
        powers = (likely / likely.max(axis=1, keepdims=True)) ** (1 / temperature)
        total = powers.sum(axis=1, keepdims=True)
    softened: FloatArray = (powers / total).astype(np.float32)
    return softened


def _labelled_targets(
    labels: NDArray[Any], probabilities: FloatArray, config: TeacherConfig, multi_label: bool
) -> FloatArray:
    """Return the targets of the labelled rows: labels and probabilities of the teacher, mixed."""
    true = labels if multi_label else labels[:, None] == np.arange(probabilities.shape[1])
    weight = np.where(np.isnan(probabilities).any(axis=1), 1.0, config.label_weight)[:, None]
    softened = soften(np.nan_to_num(probabilities), config.temperature, multi_label)
    targets: FloatArray = (weight * true + (1 - weight) * softened).astype(np.float32)
    return targets


def _labelled_pool(texts: list[str], probabilities: FloatArray, corpus: Corpus) -> "Dataset":
    """Return the pool as rows of a training split, with the teacher's labels."""
    from datasets import Dataset

    labels = probabilities.argmax(axis=1) if corpus.task == "single_label" else probabilities >= 0.5
    rows = {"text": texts, "label": labels.tolist(), "row": [-1] * len(texts)}
    features = corpus.train.features
    return Dataset.from_dict({name: rows[name] for name in features}, features=features)


def _joined(corpus: Corpus, pool: "Dataset") -> Corpus:
    """Return a corpus whose training split ends with the pool.

    The digest depends on the texts of the pool and not on their labels, so that the tokenizer and
    the token ids of all teachers are the same.
    """
    from datasets import concatenate_datasets

    from nlp_rnn.data.unlabelled import texts_digest
    from nlp_rnn.sources.text_column import hash_texts

    train = np.concatenate([corpus.hashes["train"], hash_texts(pool.select_columns("text")).normal])
    return replace(
        corpus,
        train=concatenate_datasets([corpus.train, pool]),
        digest=f"{corpus.digest}+{texts_digest(pool)}",
        hashes={**corpus.hashes, "train": train},
    )
