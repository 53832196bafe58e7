"""Ensemble of a run: n-gram models next to its network, with their weights and thresholds."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nlp_rnn.classifier.classifier_folder import read_classifier
from nlp_rnn.classifier.predictor import TextClassifier
from nlp_rnn.config.model import Ensemble
from nlp_rnn.data.labels import labels_of
from nlp_rnn.ngrams.ensemble import (
    NETWORK_WEIGHT,
    STUDENT_WEIGHT,
    EnsembleWeights,
    choose_ensemble,
)
from nlp_rnn.ngrams.probabilities import logits_of
from nlp_rnn.ngrams.weighting import NgramModels
from nlp_rnn.runs.ngram_classifier import fit_corpus_ngrams
from nlp_rnn.scoring.metrics import score_logits
from nlp_rnn.sources.arrow_cache import texts_of

if TYPE_CHECKING:
    from typing import Any

    from nlp_rnn.config.run import RunConfig
    from nlp_rnn.data.corpus import Corpus
    from nlp_rnn.teachers.student_data import StudentData

__all__ = ["RunEnsemble", "ensemble_metrics", "fit_ensemble", "unseen_classifier"]


@dataclass(frozen=True)
class RunEnsemble:
    """N-gram models that were fitted next to the network of a run.

    Attributes
    ----------
    models : NgramModels
        The n-gram models, with their weights among each other.
    weights : EnsembleWeights
        The weights of the network and of the n-gram models.
    thresholds : list of float
        Multi-label only: the probability from which a text has each label; else empty.
    validation : dict of str to float
        Metrics of the ensemble for the validation split, which the models have not seen.
    seconds : float
        Wall time of fitting.
    """

    models: NgramModels
    weights: EnsembleWeights
    thresholds: list[float]
    validation: dict[str, float]
    seconds: float

    @property
    def provenance(self) -> "dict[str, Any]":
        """What the `config.json` of the classifier says about the ensemble."""
        models = zip(self.models.unseen.names, self.models.weights.tolist(), strict=True)
        return {
            "validation": self.validation,
            "ensemble": {
                "network_weight": self.weights.network,
                "ngrams_weight": self.weights.ngrams,
                "weights_of_ngram_models": dict(models),
            },
            "fitted_to": ["train", *["validation"] * self.models.refitted],
        }

    @property
    def summary(self) -> str:
        """One line for the terminal."""
        if self.weights.reason:
            return f"ensemble: {self.weights.reason}"
        return (
            f"ensemble: network × {self.weights.network:.2f} + n-gram models × "
            f"{self.weights.ngrams:.2f}, fitted in {self.seconds:.1f} s"
        )


def fit_ensemble(
    network: TextClassifier,
    corpus: "Corpus",
    config: "RunConfig",
    student: "StudentData | None" = None,
) -> RunEnsemble:
    """Fit n-gram models, and the weights of the ensemble with a trained network.

    Parameters
    ----------
    network : TextClassifier
        The classifier without n-gram models.
    corpus : Corpus
        The labelled data that the network was trained on. The test split is not read.
    config : RunConfig
        The requested configuration: with `model.ensemble=auto` a part may be left out.
    student : StudentData, optional
        The training data of a student.
    """
    started = time.perf_counter()
    validation_texts = list(texts_of(corpus.validation))
    validation_labels = labels_of(corpus.validation)
    models = fit_corpus_ngrams(corpus, config, student)
    multi_label = corpus.task == "multi_label"
    logits = logits_of(network.predict_proba(validation_texts), multi_label)
    weights = choose_ensemble(
        logits,
        models.validation_scores,
        validation_labels,
        guarded=config.network.ensemble is Ensemble.auto,
        network_weight=STUDENT_WEIGHT if student and student.pool_rows else NETWORK_WEIGHT,
    )
    ensemble = weights.logits(logits, models.validation_scores).astype(np.float32)
    validation, thresholds = score_logits(validation_labels, ensemble)
    seconds = time.perf_counter() - started
    return RunEnsemble(models, weights, thresholds, validation, seconds)


def unseen_classifier(folder: Path, ensemble: RunEnsemble, threads: int | None) -> TextClassifier:
    """Return the saved classifier with n-gram models that have not seen the validation split.

    Its predictions for validation texts are as good as those of the saved classifier for new texts.
    """
    table = ensemble.models.table(ensemble.weights.ngrams, unseen=True)
    return TextClassifier(replace(read_classifier(folder), ngrams=table), threads)


def ensemble_metrics(ensemble: RunEnsemble, metrics: Mapping[str, float]) -> dict[str, float]:
    """Return the metrics of a run that the ensemble adds or changes.

    Parameters
    ----------
    ensemble : RunEnsemble
        The ensemble.
    metrics : mapping of str to float
        `train/seconds` and `parameters/total` of the network.

    Returns
    -------
    dict of str to float
        The weights, the time of fitting and the number of parameters of the n-gram models, the
        totals of the ensemble, and those of the network alone.
    """
    seconds, parameters = metrics["train/seconds"], metrics["parameters/total"]
    added = {
        "ensemble/network_weight": ensemble.weights.network,
        "ensemble/ngrams_weight": ensemble.weights.ngrams,
        "train/ngrams_seconds": ensemble.seconds,
        "train/network_seconds": seconds,
        "train/seconds": seconds + ensemble.seconds,
    }
    if ensemble.weights.ngrams:
        number = float(ensemble.models.table().num_parameters)
        added["parameters/ngrams"] = number
        added["parameters/network_total"] = parameters
        added["parameters/total"] = parameters + number
    return added
