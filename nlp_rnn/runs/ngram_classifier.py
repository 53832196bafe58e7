"""The classifier of a run with `model=ngrams`: n-gram models alone, fitted and saved."""

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.classifier.classifier_folder import read_classifier
from nlp_rnn.classifier.classifier_saving import save_classifier
from nlp_rnn.classifier.predictor import TextClassifier
from nlp_rnn.config.defaults import MAX_NGRAM_LABELS
from nlp_rnn.config.teacher import TeacherKind
from nlp_rnn.config.training import ClassWeight
from nlp_rnn.data.labels import labels_of
from nlp_rnn.ngrams.linear_models import linear_models
from nlp_rnn.ngrams.probabilities import probabilities_of
from nlp_rnn.ngrams.weighting import NgramModels, fit_ngrams, refit_ngrams
from nlp_rnn.runs.vectors import static_vectors
from nlp_rnn.scoring.metrics import predicted_labels, score_logits
from nlp_rnn.sources.arrow_cache import texts_of

if TYPE_CHECKING:
    from nlp_rnn.config.run import RunConfig
    from nlp_rnn.data.corpus import Corpus
    from nlp_rnn.teachers.student_data import StudentData

__all__ = ["fit_and_save_ngrams", "fit_corpus_ngrams", "labelled_only_predictions"]


def fit_corpus_ngrams(
    corpus: "Corpus", config: "RunConfig", student: "StudentData | None" = None
) -> NgramModels:
    """Fit n-gram models to the train and validation split of a run. The test split is not read.

    Those of a student are fitted to the pool too, with the most probable labels by its teacher.
    Their weights stay those of models that were fitted to the labelled rows, by labels that these
    had not seen. With `teacher=self` they are the teacher, and their own labels teach them nothing.
    """
    options: dict[str, Any] = {
        "separator": corpus.separator,
        "balanced": config.trainer.class_weight is ClassWeight.balanced,
        "models": linear_models(static_vectors(config.model)),
    }
    (texts, labels), (validation_texts, validation_labels) = (
        (list(texts_of(split)), labels_of(split)) for split in (corpus.train, corpus.validation)
    )
    validation = validation_texts, validation_labels
    fitted = fit_ngrams(texts, labels, *validation, len(corpus.labels), **options)
    if student is None or not student.pool_rows or config.teacher.kind is TeacherKind.self:
        return fitted
    train = student.corpus.train
    return refit_ngrams(fitted, list(texts_of(train)), labels_of(train), *validation, **options)


def labelled_only_predictions(
    corpus: "Corpus", config: "RunConfig", student: "StudentData | None"
) -> dict[str, NDArray[Any]] | None:
    """Return the labels that n-gram models predict which were fitted to the labelled texts alone.

    They say what a student has gained by its teacher: int64 (n,) or bool (n, C) for each of
    validation and test. The models that predict validation have not seen it. None for a classifier
    that has no unlabelled texts, or whose teacher is these models.
    """
    itself = config.teacher.kind is TeacherKind.self
    if student is None or not student.pool_rows or itself or len(corpus.labels) > MAX_NGRAM_LABELS:
        return None
    models = fit_corpus_ngrams(corpus, config)
    multi_label = corpus.task == "multi_label"
    scores = models.final.scores(list(texts_of(corpus.test)))
    logits = {
        "validation": models.validation_scores,
        "test": np.tensordot(models.weights, np.stack(scores), 1),
    }
    thresholds = None
    if multi_label:
        validation = logits["validation"].astype(np.float32)
        thresholds = np.asarray(score_logits(labels_of(corpus.validation), validation)[1])
    return {
        split: predicted_labels(probabilities_of(values, multi_label), thresholds)
        for split, values in logits.items()
    }


def fit_and_save_ngrams(
    folder: Path,
    corpus: "Corpus",
    config: "RunConfig",
    provenance: Mapping[str, Any],
    student: "StudentData | None" = None,
) -> tuple[dict[str, float], TextClassifier]:
    """Fit n-gram models, and save them as a classifier.

    Parameters
    ----------
    folder : Path
        The classifier folder.
    corpus : Corpus
        The data. The test split is not read.
    config : RunConfig
        The requested configuration.
    provenance : mapping
        Origin of the classifier, for its `config.json`.
    student : StudentData, optional
        The training data of a student.

    Returns
    -------
    metrics : dict of str to float
        `train/…` and `parameters/…` of the run.
    unseen : TextClassifier
        The classifier with models that have not seen the validation split.
    """
    started = time.perf_counter()
    models = fit_corpus_ngrams(corpus, config, student)
    trained_on = student.corpus if student else corpus
    validation, thresholds = score_logits(
        labels_of(corpus.validation), models.validation_scores.astype(np.float32)
    )
    table = models.table()
    weights = zip(models.unseen.names, models.weights.tolist(), strict=True)
    save_classifier(
        folder,
        architecture=None,
        state={},
        tokenizer_json=None,
        labels=corpus.labels,
        thresholds=thresholds or None,
        separator=corpus.separator,
        provenance={
            **provenance,
            "validation": validation,
            "weights_of_ngram_models": dict(weights),
            "fitted_to": ["train", *["validation"] * models.refitted],
        },
        ngrams=table,
        text_hashes=trained_on.hashes,
    )
    seconds = time.perf_counter() - started
    tokens = sum(table.token_counts(list(texts_of(trained_on.train))))
    metrics = {
        "train/seconds": seconds,
        "train/tokens_per_second": tokens / seconds,
        "parameters/ngrams": float(table.num_parameters),
        "parameters/total": float(table.num_parameters),
    }
    saved = replace(read_classifier(folder), ngrams=models.table(unseen=True))
    return metrics, TextClassifier(saved, config.trainer.threads)
