"""Changes of a configuration that often raise the accuracy, and which of two runs is better."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.errors import TrackingError
from nlp_rnn.scoring.predictions import Predictions, read_predictions
from nlp_rnn.sweeps.child_runs import Child

__all__ = ["FURTHER_SEEDS", "STEPS", "Change", "distilled", "is_better"]

FURTHER_SEEDS = 2
"""Number of seeds with which the best configuration is trained again."""

STUDENT_COST = 3.0
PREDICTIONS = "validation_predictions.parquet"
SMALLEST = 1e-12
"""Bound of probabilities, which have a logarithm then."""


@dataclass(frozen=True)
class Change:
    """Options that are tried together.

    Attributes
    ----------
    name : str
        Name for people.
    arguments : mapping of str to str
        Values of the options by their keys.
    cost : float
        Factor by which they prolong a training, roughly.
    pretrains : bool
        Whether language models are pretrained first, on unlabelled texts (`data.unlabelled`) too.
    has_teacher : bool
        Whether unlabelled texts are labelled by a teacher. Without such texts it is not tried.
    margin : float
        Standard errors by which the change has to be better, so that chance does not choose what
        is of no use on average.
    """

    name: str
    arguments: Mapping[str, str]
    cost: float
    pretrains: bool = False
    has_teacher: bool = False
    margin: float = 1.0


def _adversarial(perturbation: int) -> Change:
    options = {"trainer.adversarial": "1", "trainer.perturbation": str(perturbation)}
    return Change(f"adversarial{perturbation}", options, 2.5)


LARGE = Change(
    "large",
    {
        "model.embedding_size": "256",
        "model.hidden_size": "256",
        "trainer.average_decay": "0.99",
    },
    4.0,
)

PRETRAINED = Change(
    "pretrained",
    {
        "model.pretrained": "auto",
        "model.embedding_size": "256",
        "model.hidden_size": "384",
        "optimizer.learning_rate": "4e-3",
        "optimizer.encoder_rate": "0.25",
    },
    5.0,
    pretrains=True,
)

STEPS: tuple[tuple[Change, ...], ...] = (
    (Change("self", {"teacher": "self"}, STUDENT_COST, has_teacher=True, margin=0.0),),
    (PRETRAINED, LARGE),
    (Change("r_drop", {"trainer.r_drop": "1"}, 2.0), _adversarial(1), _adversarial(5)),
)
"""Changes by step; one of each step is kept at most."""


def distilled(classifiers: Sequence[Path]) -> Change:
    """Return the change to a student of the average of trained classifiers."""
    quoted = (
        "'" + str(path).replace("\\", "\\\\").replace("'", "\\'") + "'" for path in classifiers
    )
    options = {"teacher": "classifier", "teacher.path": f"[{','.join(quoted)}]"}
    return Change("distilled", options, STUDENT_COST, has_teacher=True, margin=0.0)


def is_better(run: Child, other: Child, margin: float) -> bool:
    """Return whether a run is better than another one on the same validation texts.

    If the accuracies differ by more than two standard errors of their difference, they decide.
    Else the mean log-likelihood of the labels does, which varies less from sample to sample.
    Multi-label runs are compared by log-likelihood alone.

    Parameters
    ----------
    run, other : Child
        The runs.
    margin : float
        Standard errors by which the log-likelihood has to be better.

    Raises
    ------
    TrackingError
        The validation predictions cannot be read, or are not those of the same texts.
    """
    first, second = (
        read_predictions(Path(r.tags["run_folder"]) / PREDICTIONS) for r in (run, other)
    )
    if not np.array_equal(first.rows, second.rows):
        raise TrackingError(f"{run.name} and {other.name} were validated on different texts.")
    if not first.multi_label:
        mean, error = _mean_and_error(first.correct.astype(np.float64) - second.correct)
        if abs(mean) > 2 * error:
            return mean > 0
    mean, error = _mean_and_error(_log_likelihoods(first) - _log_likelihoods(second))
    return mean > margin * error


def _mean_and_error(differences: NDArray[np.float64]) -> tuple[float, float]:
    return float(differences.mean()), float(differences.std() / np.sqrt(len(differences)))


def _log_likelihoods(predictions: Predictions) -> NDArray[np.float64]:
    """Return the log-likelihood of the labels of each text, float64 (n,)."""
    probabilities = np.clip(predictions.probabilities.astype(np.float64), SMALLEST, 1 - SMALLEST)
    if not predictions.multi_label:
        of_labels: NDArray[np.float64] = np.log(
            probabilities[np.arange(len(probabilities)), predictions.labels]
        )
        return of_labels
    likely = np.where(predictions.labels, probabilities, 1 - probabilities)
    total: NDArray[np.float64] = np.log(likely).sum(axis=1)
    return total
