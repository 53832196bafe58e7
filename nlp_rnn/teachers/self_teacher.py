"""The teacher of `teacher=self`: the n-gram models of the run, fitted to the labelled rows."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nlp_rnn.config.defaults import MAX_NGRAM_LABELS
from nlp_rnn.data.labels import labels_of
from nlp_rnn.errors import DataError
from nlp_rnn.ngrams.ensemble import likeliest_weights
from nlp_rnn.ngrams.fitting import fit_parts, out_of_fold_scores
from nlp_rnn.ngrams.linear_models import linear_models
from nlp_rnn.ngrams.probabilities import probabilities_of
from nlp_rnn.sources.arrow_cache import texts_of
from nlp_rnn.teachers.teacher_predictions import (
    FloatArray,
    TeacherDescription,
    TeacherPredictions,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nlp_rnn.data.corpus import Corpus
    from nlp_rnn.tokens.static_vectors import StaticVectors

__all__ = ["SelfTeacher"]


class SelfTeacher:
    """N-gram models that label the pool: linear models learn more from few rows than a network.

    Their weights are the likeliest ones for labels that the models were not fitted to, so their
    scores are logits of calibrated probabilities. The validation split is used for these weights
    alone.

    Parameters
    ----------
    vectors : StaticVectors, optional
        Static embeddings, for one more linear model.
    balanced : bool, default False
        Whether all classes have the same influence, as with `trainer.class_weight=balanced`.
    """

    def __init__(self, vectors: "StaticVectors | None" = None, *, balanced: bool = False) -> None:
        self.models = linear_models(vectors)
        self.balanced = balanced

    def predict(self, corpus: "Corpus", unlabelled: Sequence[str]) -> TeacherPredictions:
        """Return the probabilities of all texts; those of the training texts are out-of-fold.

        Raises
        ------
        DataError
            The data has too many labels.
        """
        if len(corpus.labels) > MAX_NGRAM_LABELS:
            raise DataError(
                f"teacher=self has n-gram models, which can have {MAX_NGRAM_LABELS:,} labels at "
                f"most; the data has {len(corpus.labels):,}.\nSet another teacher, or remove it."
            )
        texts = {s: list(texts_of(getattr(corpus, s))) for s in ("train", "validation", "test")}
        labels, validation_labels = labels_of(corpus.train), labels_of(corpus.validation)
        options: dict[str, Any] = {
            "models": self.models,
            "separator": corpus.separator,
            "balanced": self.balanced,
        }
        count = len(corpus.labels)
        parts = fit_parts(texts["train"], labels, count, **options)
        folds = out_of_fold_scores(texts["train"], labels, count, **options)
        validation = parts.scores(texts["validation"])
        weights = likeliest_weights(
            [np.concatenate(pair) for pair in zip(folds, validation, strict=True)],
            np.concatenate([labels, validation_labels]),
        )

        def probabilities(scores: "list[NDArray[np.float64]]") -> FloatArray:
            logits = np.tensordot(weights, np.stack(scores), 1)
            return probabilities_of(logits, corpus.task == "multi_label")

        return TeacherPredictions(
            train=probabilities(folds),
            unlabelled=probabilities(parts.scores(unlabelled)),
            validation=probabilities(validation),
            test=probabilities(parts.scores(texts["test"])),
            teacher=TeacherDescription("self", "n-gram models", corpus.digest),
        )
