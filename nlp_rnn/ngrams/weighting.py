"""N-gram models with their weights, fitted so that some texts remain unseen by them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.ngrams.ensemble import likeliest_weights
from nlp_rnn.ngrams.fitting import NgramParts, fit_parts, merge, out_of_fold_scores
from nlp_rnn.ngrams.linear_models import LINEAR_MODELS, LinearModel
from nlp_rnn.ngrams.table import NgramTable

__all__ = ["NgramModels", "fit_ngrams", "refit_ngrams"]

ENOUGH_TEXTS = 1000
"""Validation texts from which on no folds of the training texts are needed for the weights."""

FOLD_TEXTS = 5000
"""Largest number of training texts that are divided into folds."""

REFIT_TEXTS = 20_000
"""Largest number of training texts for which the models are fitted to the validation texts too."""


@dataclass(frozen=True)
class NgramModels:
    """Fitted n-gram models and their weights.

    Attributes
    ----------
    weights : float64 (k,)
        Factor of the scores of each model, by the likelihood of texts that it was not fitted to.
    unseen : NgramParts
        The models as fitted to the training texts: they have not seen the validation texts.
    final : NgramParts
        The models that are saved. They may have been fitted to the validation texts too.
    validation_scores : float64 (n, C)
        Weighted scores of the validation texts by `unseen`.
    """

    weights: NDArray[np.float64]
    unseen: NgramParts
    final: NgramParts
    validation_scores: NDArray[np.float64]

    @property
    def refitted(self) -> bool:
        """Whether the saved models were fitted to the validation texts too."""
        return self.final is not self.unseen

    def table(self, factor: float = 1.0, *, unseen: bool = False) -> NgramTable:
        """Return the models as one table, whose scores are multiplied by `factor`.

        Parameters
        ----------
        factor : float
            Factor of the scores.
        unseen : bool, default False
            Merge the models that have not seen the validation texts, to predict these.
        """
        parts = self.unseen if unseen else self.final
        return merge(parts, (factor * self.weights).tolist())


def fit_ngrams(
    texts: Sequence[str],
    labels: NDArray[Any],
    validation_texts: Sequence[str],
    validation_labels: NDArray[Any],
    num_labels: int,
    *,
    models: Mapping[str, LinearModel] = LINEAR_MODELS,
    separator: str | None = None,
    balanced: bool = False,
) -> NgramModels:
    """Fit linear models, their weights, and the models that are saved.

    1. The models are fitted to the training texts. They score the validation texts.
    2. The weights of the models are the likeliest ones for the validation labels. Where there are
       few, the training texts are added, each scored by models that were fitted to other folds.
    3. The models are fitted again, to training and validation texts. Whoever needs predictions for
       the validation texts that are as good as those for new texts uses the models of step 1.

    Parameters
    ----------
    texts, labels : sequence of n str, and int64 (n,) or bool (n, C)
        The training split.
    validation_texts, validation_labels : likewise
        The validation split.
    num_labels : int
        C.
    models : mapping of str to LinearModel
        The linear models, as `linear_models.linear_models` returns them.
    separator : str, optional
        Token between the parts of texts that are pairs.
    balanced : bool, default False
        Whether all classes have the same influence, as with `trainer.class_weight=balanced`.
    """
    options: dict[str, Any] = {"models": models, "separator": separator, "balanced": balanced}
    unseen = fit_parts(texts, labels, num_labels, **options)
    validation = unseen.scores(validation_texts)
    scores, scored_labels = validation, validation_labels
    if len(validation_texts) < ENOUGH_TEXTS:
        rows = list(range(len(texts)))
        if len(texts) > FOLD_TEXTS:
            rows = sorted(np.random.default_rng(0).permutation(len(texts))[:FOLD_TEXTS].tolist())
        folds = out_of_fold_scores(
            [texts[row] for row in rows], labels[rows], num_labels, **options
        )
        scores = [np.concatenate(pair) for pair in zip(folds, validation, strict=True)]
        scored_labels = np.concatenate([labels[rows], validation_labels])
    weights = likeliest_weights(scores, scored_labels)
    return _weighted(
        weights, unseen, validation, texts, labels, validation_texts, validation_labels, options
    )


def refit_ngrams(
    fitted: NgramModels,
    texts: Sequence[str],
    labels: NDArray[Any],
    validation_texts: Sequence[str],
    validation_labels: NDArray[Any],
    *,
    models: Mapping[str, LinearModel] = LINEAR_MODELS,
    separator: str | None = None,
    balanced: bool = False,
) -> NgramModels:
    """Fit the linear models to other texts, with the weights of models that were fitted before.

    For texts whose labels a teacher predicted: the weights stay those by true labels. Parameters as
    in `fit_ngrams`.
    """
    options: dict[str, Any] = {"models": models, "separator": separator, "balanced": balanced}
    unseen = fit_parts(texts, labels, fitted.unseen.num_labels, **options)
    validation = unseen.scores(validation_texts)
    return _weighted(
        fitted.weights,
        unseen,
        validation,
        texts,
        labels,
        validation_texts,
        validation_labels,
        options,
    )


def _weighted(
    weights: NDArray[np.float64],
    unseen: NgramParts,
    validation: list[NDArray[np.float64]],
    texts: Sequence[str],
    labels: NDArray[Any],
    validation_texts: Sequence[str],
    validation_labels: NDArray[Any],
    options: dict[str, Any],
) -> NgramModels:
    """Return weighted models; of few texts, those that are saved have seen validation too."""
    final = unseen
    if len(texts) <= REFIT_TEXTS:
        final = fit_parts(
            [*texts, *validation_texts],
            np.concatenate([labels, validation_labels]),
            unseen.num_labels,
            **options,
        )
    weighted = np.tensordot(weights, np.stack(validation), 1)
    return NgramModels(weights, unseen, final, weighted)
