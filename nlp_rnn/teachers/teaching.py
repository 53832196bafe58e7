"""What a run learns from its teacher: the pool of unlabelled texts, and the predictions for it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nlp_rnn.config.teacher import TeacherKind
from nlp_rnn.errors import ConfigError
from nlp_rnn.teachers.pool import Pool, read_pool
from nlp_rnn.teachers.teacher_predictions import Teacher, TeacherPredictions

if TYPE_CHECKING:
    from nlp_rnn.config.run import RunConfig
    from nlp_rnn.config.teacher import TeacherConfig
    from nlp_rnn.data.corpus import Corpus

__all__ = ["Teaching", "obtain_teaching"]


@dataclass(frozen=True)
class Teaching:
    """The pool of a run, and what its teacher predicts.

    Attributes
    ----------
    pool : Pool
        Unlabelled texts; empty without `data.unlabelled`.
    predictions : TeacherPredictions
        Predictions for the texts of the corpus and of the pool.
    """

    pool: Pool
    predictions: TeacherPredictions


def obtain_teaching(config: "RunConfig", corpus: "Corpus") -> Teaching | None:
    """Return what the teacher of a run predicts; None without one, and for `teacher=self`.

    The predictions of `teacher=self` come from the models of the run, so the pipeline makes them.

    Raises
    ------
    NlpRnnError
        The unlabelled texts or the teacher cannot be read, or do not fit the corpus.
    """
    if config.teacher.kind in (TeacherKind.none, TeacherKind.self):
        return None
    pool = read_pool(config.data, corpus)
    return Teaching(pool, _make_teacher(config.teacher).predict(corpus, pool.texts))


def _make_teacher(config: "TeacherConfig") -> Teacher:
    raise ConfigError(f"teacher={config.kind.name} is not available yet. Remove it.")
