"""Changes of a configuration that often raise the accuracy, and which of two runs is better."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nlp_rnn.errors import TrackingError
from nlp_rnn.scoring.predictions import read_predictions
from nlp_rnn.sweeps.child_runs import Child

__all__ = ["FURTHER_SEEDS", "STEPS", "Change", "distilled", "is_better"]

FURTHER_SEEDS = 2
"""Number of seeds with which the best configuration is trained again."""

STUDENT_COST = 3.0
PREDICTIONS = "validation_predictions.parquet"
LOSS = "validation/loss"


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
    """

    name: str
    arguments: Mapping[str, str]
    cost: float
    pretrains: bool = False
    has_teacher: bool = False


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
    (Change("self", {"teacher": "self"}, STUDENT_COST, has_teacher=True),),
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
    return Change("distilled", options, STUDENT_COST, has_teacher=True)


def is_better(run: Child, other: Child) -> bool:
    """Return whether a run is better than another one on the same validation texts.

    If the accuracies differ by more than two standard errors of their difference, they decide.
    Else the mean log-likelihood of the labels does, which varies less from sample to sample.
    Multi-label runs are compared by log-likelihood alone.

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
        gain = first.correct.astype(np.float64) - second.correct
        error = gain.std() / np.sqrt(len(gain))
        if abs(gain.mean()) > 2 * error:
            return bool(gain.mean() > 0)
    return run.metrics[LOSS] < other.metrics[LOSS]
