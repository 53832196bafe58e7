"""What a run learns from its teacher: the pool of unlabelled texts, and the predictions for it.

The predictions of a model are computed once for each teacher, corpus and pool, and cached: all runs
of a sweep share them.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile

import numpy as np

from nlp_rnn.config.teacher import TeacherKind
from nlp_rnn.config.training import ClassWeight
from nlp_rnn.teachers.pool import Pool, read_pool
from nlp_rnn.teachers.teacher_predictions import Teacher, TeacherDescription, TeacherPredictions
from nlp_rnn.tokens.tokenization import cache_dir
from nlp_rnn.tracking.uri import resolve_uri

if TYPE_CHECKING:
    from nlp_rnn.config.run import RunConfig
    from nlp_rnn.data.corpus import Corpus

__all__ = ["Teaching", "obtain_teaching"]

VERSION = 1
"""Part of the key of the cache: raise it when a teacher would predict differently."""

PARTS = ("train", "unlabelled", "validation", "test")


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
    config: "RunConfig", corpus: "Corpus", uri: str | None = None
) -> Teaching | None:
    """Return what the teacher of a run predicts; None without one, and for `teacher=self`.

    The predictions of `teacher=self` come from the models of the run, so the pipeline makes them.

    Parameters
    ----------
    config : RunConfig
        The configuration of the run, resolved or as requested.
    corpus : Corpus
        The labelled data.
    uri : str, optional
        Tracking URI of the MLflow store in which `runs:/ID` and `sweep:ID` are looked up; that of
        the configuration by default.

    Raises
    ------
    NlpRnnError
        The unlabelled texts or the teacher cannot be read, or do not fit the corpus.
    """
    kind = config.teacher.kind
    if kind in (TeacherKind.none, TeacherKind.self):
        return None
    pool = read_pool(config.data, corpus)
    if kind is TeacherKind.predictions:
        from nlp_rnn.teachers.prediction_file import PredictionFile

        file = PredictionFile(config.teacher, config.data, pool)
        return Teaching(pool, file.predict(corpus, pool.texts))
    teacher, digest = _model(config, uri)
    return Teaching(pool, _cached(teacher, digest, corpus, pool))


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
        if (saved := _read(path)) is not None:
            return saved
        predictions = teacher.predict(corpus, pool.texts)
        _write(path, predictions)
    return predictions


def _read(path: Path) -> TeacherPredictions | None:
    with suppress(OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile):
        with np.load(path, allow_pickle=False) as saved:
            description = json.loads(saved["description"].tobytes())
            description["notes"] = tuple(description["notes"])
            return TeacherPredictions(
                **{part: saved[part] for part in PARTS}, teacher=TeacherDescription(**description)
            )
    return None


def _write(path: Path, predictions: TeacherPredictions) -> None:
    description = json.dumps(asdict(predictions.teacher)).encode()
    arrays = {part: getattr(predictions, part) for part in PARTS}
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with unfinished.open("wb") as file:
            np.savez(file, description=np.frombuffer(description, np.uint8), **arrays)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
