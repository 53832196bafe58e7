"""Predictions of a teacher for the texts of a run, and the interface of a teacher."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from nlp_rnn.data.corpus import Corpus

__all__ = [
    "FloatArray",
    "Teacher",
    "TeacherDescription",
    "TeacherPredictions",
    "predicted_rows",
]

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class TeacherDescription:
    """What a run logs about its teacher.

    Attributes
    ----------
    kind : str
        Name of the kind, as in `teacher.kind`.
    name : str
        Name of the model, or of the file with its predictions.
    digest : str
        Hash of the model or of the file.
    parameters : int or None
        Number of parameters; None if it is unknown.
    size_bytes : int or None
        Size of the model on disk in bytes; None if it is unknown.
    latency_ms : float or None
        Median time in milliseconds to predict one text on one thread; None if it is unknown.
    licence : str or None
        Licence as its model card names it.
    gives_all_labels : bool
        Whether all labels of the data are its own predictions, so that nothing measures accuracy.
    notes : tuple of str
        One line for each thing that a user should know about the predictions.
    """

    kind: str
    name: str
    digest: str
    parameters: int | None = None
    size_bytes: int | None = None
    latency_ms: float | None = None
    licence: str | None = None
    gives_all_labels: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class TeacherPredictions:
    """Probabilities by a teacher, with one column for each label of the corpus, in its order.

    The rows of a single-label task sum to 1. A row of nan stands for a text about which the
    teacher says nothing.

    Attributes
    ----------
    train : float32 (training rows, C)
        Out-of-sample probabilities of the training texts: no model was fitted to a text that it
        predicts.
    unlabelled : float32 (unlabelled texts, C)
        Probabilities of the texts of `data.unlabelled`.
    validation, test : float32 (rows, C)
        Probabilities of the evaluation splits. They serve to score the teacher, for nothing else.
    teacher : TeacherDescription
        The teacher.
    """

    train: FloatArray
    unlabelled: FloatArray
    validation: FloatArray
    test: FloatArray
    teacher: TeacherDescription


def predicted_rows(probabilities: FloatArray) -> NDArray[np.bool_]:
    """Return for which rows of a table (n, C) there is a prediction, bool (n,)."""
    return np.asarray(~np.isnan(probabilities).any(axis=1), np.bool_)


class Teacher(Protocol):
    """A model that predicts probabilities for the texts of a run."""

    def predict(self, corpus: "Corpus", unlabelled: Sequence[str]) -> TeacherPredictions:
        """Return the probabilities of all texts of a corpus and of unlabelled texts.

        Parameters
        ----------
        corpus : Corpus
            Labelled texts. A teacher may be fitted to the training split, and may choose options
            by the validation split. The labels of the test split are not read.
        unlabelled : sequence of str
            Unlabelled texts, none of which is in the validation or test split.
        """
        ...
