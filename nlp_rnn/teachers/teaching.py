"""What a run learns from its teacher: the pool of unlabelled texts, and the predictions for it.

The predictions of a model are computed once for each teacher, corpus and pool, and cached: all runs
of a sweep share them.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nlp_rnn.caches import cache_dir
from nlp_rnn.config.teacher import TeacherKind
from nlp_rnn.config.training import ClassWeight
from nlp_rnn.data.corpus import quiet_datasets
from nlp_rnn.teachers.pool import Pool, read_pool
from nlp_rnn.teachers.saved_predictions import read_saved_predictions, save_predictions
from nlp_rnn.teachers.teacher_predictions import Teacher, TeacherPredictions
from nlp_rnn.tracking.uri import resolve_uri

if TYPE_CHECKING:
    from nlp_rnn.config.run import RunConfig
    from nlp_rnn.data.corpus import Corpus
    from nlp_rnn.tokens.static_vectors import StaticVectors

__all__ = ["Teaching", "data_digest", "obtain_teaching"]

VERSION = 1
"""Part of the key of the cache: raise it when a teacher would predict differently."""


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


def obtain_teaching(
    config: "RunConfig", corpus: "Corpus", uri: str | None = None, saved: Path | None = None
) -> Teaching | None:
    """Return what the teacher of a run predicts; None without one.

    Parameters
    ----------
    config : RunConfig
        The configuration of the run, resolved or as requested.
    corpus : Corpus
        The labelled data.
    uri : str, optional
        Tracking URI of the MLflow store in which `runs:/ID` and `sweep:ID` are looked up; that of
        the configuration by default.
    saved : Path, optional
        File with the predictions of an interrupted run, which are not made again.

    Raises
    ------
    NlpRnnError
        The unlabelled texts or the teacher cannot be read, or do not fit the corpus.
    """
    kind = config.teacher.kind
    if kind is TeacherKind.none:
        return None
    with quiet_datasets():
        pool = read_pool(config.data, corpus)
    predictions = read_saved_predictions(saved) if saved else None
    if predictions is not None and len(predictions.unlabelled) == len(pool.texts):
        return Teaching(pool, predictions)
    if kind is TeacherKind.self:
        from nlp_rnn.teachers.self_teacher import SelfTeacher

        balanced = config.trainer.class_weight is ClassWeight.balanced
        models = SelfTeacher(_static_vectors(config), balanced=balanced)
        return Teaching(pool, models.predict(corpus, pool.texts))
    if kind is TeacherKind.predictions:
        from nlp_rnn.teachers.prediction_file import PredictionFile

        file = PredictionFile(config.teacher, config.data, pool)
        return Teaching(pool, file.predict(corpus, pool.texts))
    teacher, digest = _model(config, uri)
    return Teaching(pool, _cached(teacher, digest, corpus, pool))


def data_digest(corpus: "Corpus", teaching: Teaching | None) -> str:
    """Return a hash of the labelled texts and of the pool, by which a run can be resumed."""
    return corpus.digest + (f"+{teaching.pool.digest}" if teaching else "")


def _static_vectors(config: "RunConfig") -> "StaticVectors | None":
    """Return the static embeddings of `model.vectors`, which the n-gram models use too."""
    from nlp_rnn.tokens.static_vectors import is_static, load_static_vectors

    vectors: str | None = getattr(config.model, "vectors", None)
    return None if vectors is None or not is_static(vectors) else load_static_vectors(vectors)


def _model(config: "RunConfig", uri: str | None) -> tuple[Teacher, str]:
    """Return the model that is the teacher, and a hash of all that its predictions depend on."""
    path, threads = config.teacher.path, config.trainer.threads
    if config.teacher.kind is TeacherKind.encoder:
        from nlp_rnn.teachers.encoder_teacher import EncoderTeacher
        from nlp_rnn.teachers.sentence_encoder import SentenceEncoder

        balanced = config.trainer.class_weight is ClassWeight.balanced
        encoder = SentenceEncoder(path, config.trainer.device, threads)
        return EncoderTeacher(encoder, balanced), f"{encoder.digest} {balanced}"
    from nlp_rnn.teachers.classifier_teacher import ClassifierTeacher

    paths: Sequence[str] = path if isinstance(path, list) else [path]
    store = uri or resolve_uri(config.tracking.uri, Path.cwd())
    classifiers = ClassifierTeacher(paths, store, threads)
    return classifiers, classifiers.digest()


def _cached(teacher: Teacher, digest: str, corpus: "Corpus", pool: Pool) -> TeacherPredictions:
    """Return the predictions from the cache; of processes that need the same, one computes them."""
    from filelock import FileLock

    parts = [VERSION, digest, corpus.digest, corpus.separator, pool.digest]
    key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]
    path = cache_dir() / "teachers" / f"{key}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if (saved := read_saved_predictions(path)) is not None:
            return saved
        predictions = teacher.predict(corpus, pool.texts)
        save_predictions(path, predictions)
    return predictions
