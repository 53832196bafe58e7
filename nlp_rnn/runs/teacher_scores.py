"""Scores of a teacher on the splits of a run, and its agreement with the labels by class."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.data.labels import labels_of
from nlp_rnn.scoring.metrics import choose_thresholds, predicted_labels, score_predictions
from nlp_rnn.teachers.teacher_predictions import TeacherDescription, predicted_rows

if TYPE_CHECKING:
    from nlp_rnn.data.corpus import Corpus
    from nlp_rnn.teachers.teaching import Teaching
    from nlp_rnn.tracking.tracked_run import TrackedRun

__all__ = ["TEACHER", "TeacherScores", "log_teacher", "score_teacher"]

TEACHER = "teacher.json"

SPLITS = ("validation", "test")


@dataclass(frozen=True)
class Agreement:
    """How often the teacher predicts a label for the labelled training texts that have it.

    Attributes
    ----------
    label : str
        The label.
    texts : int
        Training texts with the label and a prediction of the teacher.
    share : float
        Share of them for which the teacher predicts the label, 0 to 1; nan without any text.
    instead : str
        The label that it predicts most often instead; empty if there is none, or multi-label.
    """

    label: str
    texts: int
    share: float
    instead: str


@dataclass(frozen=True)
class TeacherScores:
    """Predictions of a teacher for the texts of the evaluation splits that it predicts.

    Attributes
    ----------
    teacher : TeacherDescription
        The teacher.
    covered : mapping of str to bool (rows,)
        Which rows of validation and test it predicts.
    labels, predictions : mapping of str to int64 (n,) or bool (n, C)
        True and predicted labels of these rows.
    num_labels : int
        C.
    agreement : tuple of Agreement
        One for each label.
    pool_texts : int
        Unlabelled texts that it predicts.
    """

    teacher: TeacherDescription
    covered: Mapping[str, NDArray[np.bool_]]
    labels: Mapping[str, NDArray[Any]]
    predictions: Mapping[str, NDArray[Any]]
    num_labels: int
    agreement: tuple[Agreement, ...]
    pool_texts: int

    def description(self) -> dict[str, Any]:
        """Return the description of the teacher as JSON values."""
        return {key: value for key, value in asdict(self.teacher).items() if key != "notes"}

    def metrics(self) -> dict[str, float]:
        """Return the metrics of the teacher, such as `test/teacher_accuracy`."""
        metrics = {"teacher/unlabelled_texts": float(self.pool_texts)}
        for split in SPLITS:
            if len(self.labels[split]) and not self.teacher.gives_all_labels:
                scores = score_predictions(
                    self.labels[split], self.predictions[split], self.num_labels
                )
                metrics |= {f"{split}/teacher_{name}": value for name, value in scores.items()}
        shares = [one for one in self.agreement if one.texts]
        if shares and not self.teacher.gives_all_labels:
            texts = sum(one.texts for one in shares)
            metrics["train/teacher_agreement"] = (
                sum(one.share * one.texts for one in shares) / texts
            )
        if self.teacher.latency_ms is not None:
            metrics["latency/teacher_batch1_p50_ms"] = self.teacher.latency_ms
        if self.teacher.parameters is not None:
            metrics["parameters/teacher"] = float(self.teacher.parameters)
        if self.teacher.size_bytes is not None:
            metrics["teacher/size_mb"] = self.teacher.size_bytes / 1e6
        return metrics


def score_teacher(teaching: "Teaching", corpus: "Corpus") -> TeacherScores:
    """Score what a teacher predicts for validation and test, and compare it with the labels.

    Multi-label: a label is predicted from the probability that is best on validation.
    """
    predictions = teaching.predictions
    multi_label = corpus.task == "multi_label"
    tables = {split: getattr(predictions, split) for split in SPLITS}
    covered = {split: predicted_rows(table) for split, table in tables.items()}
    labels = {split: labels_of(getattr(corpus, split))[covered[split]] for split in SPLITS}
    thresholds = None
    if multi_label:
        known = tables["validation"][covered["validation"]]
        thresholds = np.full(len(corpus.labels), 0.5)
        if len(known):
            thresholds = choose_thresholds(labels["validation"], known)
    return TeacherScores(
        predictions.teacher,
        covered,
        labels,
        {split: predicted_labels(tables[split][covered[split]], thresholds) for split in SPLITS},
        len(corpus.labels),
        tuple(_agreement(predictions.train, labels_of(corpus.train), corpus.labels, thresholds)),
        int(predicted_rows(predictions.unlabelled).sum()),
    )


def _agreement(
    table: NDArray[np.float32],
    labels: NDArray[Any],
    names: "tuple[str, ...]",
    thresholds: NDArray[np.float64] | None,
) -> list[Agreement]:
    known = predicted_rows(table)
    labels, guesses = labels[known], predicted_labels(table[known], thresholds)
    agreements = []
    for index, name in enumerate(names):
        if labels.ndim == 2:
            of_label = guesses[labels[:, index], index]
            share = float(of_label.mean()) if len(of_label) else float("nan")
            agreements.append(Agreement(name, len(of_label), share, ""))
            continue
        of_label = guesses[labels == index]
        others = of_label[of_label != index]
        instead = names[int(np.bincount(others).argmax())] if len(others) else ""
        share = float((of_label == index).mean()) if len(of_label) else float("nan")
        agreements.append(Agreement(name, len(of_label), share, instead))
    return agreements


def log_teacher(scores: TeacherScores, run: "TrackedRun") -> dict[str, float]:
    """Log a teacher's description and scores to the MLflow run, and return its metrics."""
    teacher = scores.teacher
    run.log_parameters({"teacher.name": teacher.name, "teacher.digest": teacher.digest})
    run.set_tags({"teacher": f"{teacher.kind} {teacher.name}"})
    metrics = scores.metrics()
    content = {
        "teacher": scores.description(),
        "metrics": metrics,
        "agreement": [asdict(one) | {"share": _number(one.share)} for one in scores.agreement],
    }
    run.log_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", TEACHER)
    return metrics


def _number(value: float) -> float | None:
    return None if np.isnan(value) else value
