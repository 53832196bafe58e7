"""Teacher that consists of a sentence encoder and, where it helps, of n-gram models.

A logistic regression on the vectors of the encoder is fitted to the labelled rows. Its logits and
the scores of the linear models on n-grams are added with the weights that make the labels of
held-out rows most likely. Where the encoder alone predicts these rows better, the n-gram models
are left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.data.labels import labels_of
from nlp_rnn.ngrams.ensemble import likeliest_weights
from nlp_rnn.ngrams.fitting import fit_parts, out_of_fold_scores
from nlp_rnn.ngrams.probabilities import probabilities_of
from nlp_rnn.ngrams.weighting import REFIT_TEXTS
from nlp_rnn.sources.arrow_cache import texts_of
from nlp_rnn.teachers.sentence_encoder import SentenceEncoder
from nlp_rnn.teachers.teacher_predictions import (
    FloatArray,
    TeacherDescription,
    TeacherPredictions,
)
from nlp_rnn.teachers.vector_head import VectorHead, choose_c, out_of_fold_logits

if TYPE_CHECKING:
    from nlp_rnn.data.corpus import Corpus

__all__ = ["EncoderTeacher"]

MANY_TEXTS = 20_000
"""Training texts from which on there are two folds instead of five."""


@dataclass(frozen=True)
class _Texts:
    """Texts with their vectors, float32 (n, D), and labels where they are used."""

    texts: list[str]
    vectors: FloatArray
    labels: NDArray[Any]

    def joined(self, other: "_Texts") -> "_Texts":
        return _Texts(
            [*self.texts, *other.texts],
            np.concatenate([self.vectors, other.vectors]),
            np.concatenate([self.labels, other.labels]),
        )


class EncoderTeacher:
    """A sentence encoder with a linear model, fitted to the labelled rows of a corpus.

    Parameters
    ----------
    encoder : SentenceEncoder
        The encoder. It is not trained.
    balanced : bool
        Whether all classes have the same influence, as with `trainer.class_weight=balanced`.
    """

    def __init__(self, encoder: SentenceEncoder, balanced: bool = False) -> None:
        self._encoder, self._balanced = encoder, balanced

    def predict(self, corpus: "Corpus", unlabelled: Sequence[str]) -> TeacherPredictions:
        """Fit the linear models, and predict all texts.

        Training texts are predicted by models that were fitted to other folds, validation texts by
        models that were fitted to train, the others by models that were fitted to both.
        """
        train, validation, test, pool = self._encoded(corpus, unlabelled)
        models = _LinearModels(len(corpus.labels), corpus.separator, self._balanced)
        models.choose_c(train)
        out_of_fold = models.out_of_fold(train)
        of_validation = models.fitted_scores(train, [validation])[0]
        held_out = [np.concatenate(pair) for pair in zip(out_of_fold, of_validation, strict=True)]
        note = models.weigh(held_out, np.concatenate([train.labels, validation.labels]))
        both = train.joined(validation) if len(train.texts) <= REFIT_TEXTS else train
        of_test, of_pool = models.fitted_scores(both, [test, pool])
        multi_label = corpus.task == "multi_label"
        encoder = self._encoder
        return TeacherPredictions(
            train=probabilities_of(models.weighted(out_of_fold), multi_label),
            unlabelled=probabilities_of(models.weighted(of_pool), multi_label),
            validation=probabilities_of(models.weighted(of_validation), multi_label),
            test=probabilities_of(models.weighted(of_test), multi_label),
            teacher=TeacherDescription(
                "encoder",
                encoder.name,
                encoder.digest,
                encoder.num_parameters,
                encoder.size_bytes,
                encoder.latency_ms(validation.texts),
                encoder.licence,
                notes=(note,),
            ),
        )

    def _encoded(self, corpus: "Corpus", unlabelled: Sequence[str]) -> list[_Texts]:
        """Return the training, validation, test and unlabelled texts with their vectors."""
        splits = (corpus.train, corpus.validation, corpus.test)
        texts = [*(list(texts_of(split)) for split in splits), list(unlabelled)]
        labels = [labels_of(corpus.train), labels_of(corpus.validation), *[np.empty(0)] * 2]
        stacked = self._encoder.vectors([text for part in texts for text in part])
        vectors = np.split(stacked, np.cumsum([len(part) for part in texts])[:-1])
        return [_Texts(*parts) for parts in zip(texts, vectors, labels, strict=True)]


class _LinearModels:
    """The n-gram models and, last, the model on vectors, with their weights."""

    def __init__(self, num_labels: int, separator: str | None, balanced: bool) -> None:
        self._num_labels, self._separator, self._balanced = num_labels, separator, balanced
        self._c = 1.0
        self._weights = np.ones(0)
        self._encoder_alone = False

    def choose_c(self, train: _Texts) -> None:
        self._c = choose_c(train.vectors, train.labels, self._num_labels, self._balanced)

    def out_of_fold(self, train: _Texts) -> list[NDArray[np.float64]]:
        """Return the scores of training texts by models that were fitted without them."""
        folds = 5 if len(train.texts) <= MANY_TEXTS else 2
        ngrams = out_of_fold_scores(
            train.texts,
            train.labels,
            self._num_labels,
            folds=folds,
            separator=self._separator,
            balanced=self._balanced,
        )
        vectors = out_of_fold_logits(
            train.vectors, train.labels, self._num_labels, self._c, self._balanced, folds
        )
        return [*ngrams, vectors]

    def fitted_scores(
        self, fitted_to: _Texts, texts: Sequence[_Texts]
    ) -> list[list[NDArray[np.float64]]]:
        """Fit the models to some texts, and return their scores of others."""
        head = VectorHead.fit(
            fitted_to.vectors, fitted_to.labels, self._num_labels, self._c, self._balanced
        )
        scores = [[head.logits(part.vectors)] if len(part.texts) else [] for part in texts]
        if self._encoder_alone:
            return scores
        parts = fit_parts(
            fitted_to.texts,
            fitted_to.labels,
            self._num_labels,
            separator=self._separator,
            balanced=self._balanced,
        )
        return [
            [*parts.scores(part.texts), *of_head] if of_head else []
            for part, of_head in zip(texts, scores, strict=True)
        ]

    def weigh(self, scores: Sequence[NDArray[np.float64]], labels: NDArray[Any]) -> str:
        """Set the weights by the scores of held-out texts, and return a line about them."""
        self._weights = likeliest_weights(scores, labels)
        alone = likeliest_weights(scores[-1:], labels)
        together = _accuracy(np.tensordot(self._weights, np.stack(scores), 1), labels)
        encoder = _accuracy(alone[0] * scores[-1], labels)
        self._encoder_alone = encoder > together
        figures = f"held-out accuracy {encoder:.1%} alone, {together:.1%} with n-gram models"
        if self._encoder_alone:
            self._weights = alone
        used = "alone" if self._encoder_alone else "with n-gram models"
        return f"teacher: encoder {used}, C={self._c:g} ({figures})"

    def weighted(self, scores: Sequence[NDArray[np.float64]]) -> FloatArray:
        """Return the weighted sum of the scores, float32 (n, C)."""
        if not scores:
            return np.empty((0, self._num_labels), np.float32)
        used = scores[-len(self._weights) :]
        return np.tensordot(self._weights, np.stack(used), 1).astype(np.float32)


def _accuracy(logits: NDArray[np.float64], labels: NDArray[Any]) -> float:
    """Return the share of correctly predicted texts; multi-label: of texts times labels."""
    if labels.ndim == 1:
        return float((logits.argmax(axis=1) == labels).mean())
    return float(((logits > 0) == labels).mean())
