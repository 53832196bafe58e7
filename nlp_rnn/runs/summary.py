"""What the end of a run says: scores beside those of simple models, and the weakest labels."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.classifier.location import CLASSIFIER
from nlp_rnn.classifier.manifest import read_config
from nlp_rnn.runs.differences import Difference, paired_difference, text_scores
from nlp_rnn.runs.mistakes import write_mistakes
from nlp_rnn.runs.reference_scores import References, reference_predictions
from nlp_rnn.runs.teacher_scores import TeacherScores
from nlp_rnn.runs.teacher_summary import teacher_conclusions
from nlp_rnn.scoring.metrics import (
    Z_95,
    f1_of_labels,
    label_counts,
    score_predictions,
    wilson_interval,
)
from nlp_rnn.scoring.predictions import PART_NAMES, Predictions, read_predictions
from nlp_rnn.tracking.scored_configurations import scored_advice

if TYPE_CHECKING:
    from nlp_rnn.data.corpus import Corpus
    from nlp_rnn.runs.run_folder import Origin
    from nlp_rnn.tracking.tracked_run import TrackedRun

__all__ = [
    "SUMMARY",
    "compare_with",
    "score_table",
    "summary_lines",
    "weakest_labels",
    "write_summary",
]

SUMMARY = "summary.txt"

SPLITS = ("validation", "test")
NAMES = {"linear": "linear model", "majority": "majority class"}
WEAKEST = 3


def compare_with(predictions: Predictions, reference: NDArray[Any]) -> Difference:
    """Compare predictions with those of another model for the same n texts, paired by text."""
    return paired_difference(predictions.labels, predictions.predictions, reference)


def score_table(
    splits: Mapping[str, Predictions],
    parts: Mapping[str, Mapping[str, NDArray[Any]]],
    references: References,
    teacher: TeacherScores | None = None,
) -> list[str]:
    """Return the lines of a table of scores by model and split.

    Parameters
    ----------
    splits : mapping of str to Predictions
        Predictions for validation and test.
    parts : mapping of str to mapping
        Predicted labels of further models by name and split, such as the network alone.
    references : References
        Predictions of simple models.
    teacher : TeacherScores, optional
        Predictions of the teacher that the classifier was trained with.
    """
    first = splits["test"]
    metric = "micro-F1" if first.multi_label else "accuracy"
    rows = [["", *(f"{split} ({len(splits[split].rows):,} texts)" for split in SPLITS)]]
    rows.append(
        [metric, *(_with_interval(splits[s].labels, splits[s].predictions) for s in SPLITS)]
    )
    if teacher is not None and not teacher.teacher.gives_all_labels:
        rows.append(["  teacher", *(_teacher_cell(teacher, split) for split in SPLITS)])
    for name, by_split in (*parts.items(), *references.predictions.items()):
        cells = [_with_interval(splits[split].labels, by_split[split]) for split in SPLITS]
        rows.append([f"  {NAMES.get(name, name)}", *cells])
    scores = [
        score_predictions(splits[s].labels, splits[s].predictions, len(first.label_names))
        for s in SPLITS
    ]
    rows.append(["macro-F1", *(f"{100 * score['macro_f1']:.1f} %" for score in scores)])
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return [
        "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _teacher_cell(teacher: TeacherScores, split: str) -> str:
    """Return the score of the teacher, and for how many texts if it does not predict all."""
    labels, total = teacher.labels[split], len(teacher.covered[split])
    if not len(labels):
        return "no predictions"
    cell = _with_interval(labels, teacher.predictions[split])
    return cell if len(labels) == total else f"{cell}, {len(labels):,} texts"


def _with_interval(labels: NDArray[Any], predictions: NDArray[Any]) -> str:
    values = text_scores(labels, predictions)
    mean = float(values.mean())
    if labels.ndim == 1:
        low, high = wilson_interval(int(values.sum()), len(values))
    else:
        half = Z_95 * float(values.std()) / math.sqrt(len(values))
        low, high = max(0.0, mean - half), min(1.0, mean + half)
    return f"{100 * mean:5.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def weakest_labels(predictions: Predictions) -> list[str]:
    """Return a phrase for each of the labels with the lowest F1 below 1, the lowest first.

    It says how many texts have the label, and for single-label data which label most of the
    misclassified ones get.
    """
    names = predictions.label_names
    counts = label_counts(predictions.labels, predictions.predictions, len(names))
    f1 = f1_of_labels(counts)
    occurring = np.flatnonzero(counts.labelled)
    order = occurring[np.argsort(f1[occurring], kind="stable")][:WEAKEST]
    phrases = []
    for label in order:
        if f1[label] >= 1:
            continue
        texts = int(counts.labelled[label])
        phrase = f"{names[label]}: F1 {100 * f1[label]:.0f} %, {texts:,} text{'s' * (texts != 1)}"
        if not predictions.multi_label:
            others = predictions.predictions[predictions.labels == label]
            others = others[others != label]
            if len(others):
                other = int(np.bincount(others, minlength=len(names)).argmax())
                number = int((others == other).sum())
                phrase += f", {number:,} taken for {names[other]}"
        phrases.append(phrase)
    return phrases


def summary_lines(
    splits: Mapping[str, Predictions],
    parts: Mapping[str, Mapping[str, NDArray[Any]]],
    references: References,
    train_texts: int,
    teacher: TeacherScores | None = None,
    latency_ms: float | None = None,
) -> list[str]:
    """Return what the end of a run says about the quality of the classifier.

    Parameters
    ----------
    splits, parts, references
        As in `score_table`.
    train_texts : int
        Number of training texts, for the advice.
    teacher : TeacherScores, optional
        Predictions of the teacher that the classifier was trained with.
    latency_ms : float, optional
        Time in which the classifier predicts one text.
    """
    lines = [
        *score_table(splits, parts, references, teacher),
        "In parentheses: 95 % intervals.",
        "",
    ]
    if references.skipped:
        lines.append(f"The linear model was not fitted: {references.skipped}.")
    weakest = weakest_labels(splits["test"])
    if weakest:
        lines += ["Weakest labels on test:", *(f"  {phrase}" for phrase in weakest)]
    if teacher is not None:
        lines += teacher_conclusions(splits["test"], teacher, latency_ms)
    return [*lines, *_conclusions(splits["test"], references, train_texts)]


def _conclusions(test: Predictions, references: References, train_texts: int) -> Sequence[str]:
    majority = compare_with(test, references.predictions["majority"]["test"])
    if majority.points < 0 and not test.multi_label:
        return [
            f"WORSE THAN THE MAJORITY CLASS: always predicting {references.majority!r} is "
            f"{-majority.points:.1f} points more accurate."
        ]
    if "linear" not in references.predictions:
        return []
    difference = compare_with(test, references.predictions["linear"]["test"])
    if difference.low > 0:
        return [f"Better than the linear model ({difference})."]
    if difference.high < 0:
        return [
            f"Worse than the linear model ({difference}). With {train_texts:,} training texts, "
            "try model=ngrams, and choose by the validation score."
        ]
    return [f"Not significantly better than the linear model ({difference})."]


def write_summary(
    corpus: "Corpus",
    folder: Path,
    run: "TrackedRun",
    metrics: Mapping[str, float],
    origin: "Origin | None",
    teacher: TeacherScores | None = None,
    labelled_only: Mapping[str, NDArray[Any]] | None = None,
) -> list[str]:
    """Write the page of mistakes and the summary into the run folder, and log both to MLflow.

    Parameters
    ----------
    corpus : Corpus
        The data of the run.
    folder : Path
        The run folder, which holds the predictions for both splits.
    run : TrackedRun
        The MLflow run.
    metrics : mapping of str to float
        Metrics of the run. The time for the linear model follows from `train/seconds`.
    origin : Origin or None
        Where the run is logged. None for a job of a sweep, which has no summary: the sweep trains
        the baselines once, and counts what was scored on the test split.
    teacher : TeacherScores, optional
        Predictions of the teacher that the classifier was trained with.
    labelled_only : mapping of str to labels, optional
        What a model without the teacher predicts for each split.

    Returns
    -------
    list of str
        The lines of the summary.
    """
    splits = {split: read_predictions(folder / f"{split}_predictions.parquet") for split in SPLITS}
    texts = {split: getattr(corpus, split)["text"] for split in SPLITS}
    write_mistakes(folder, {split: (splits[split], texts[split]) for split in SPLITS}, run)
    if origin is None:
        return []
    simple = reference_predictions(corpus, metrics.get("train/seconds", 0.0))
    parts: dict[str, Mapping[str, NDArray[Any]]] = {
        name: {split: splits[split].parts[part].predictions for split in SPLITS}
        for part, name in PART_NAMES.items()
        if part in splits["test"].parts
    }
    if labelled_only is not None:
        parts["n-grams, labelled texts only"] = labelled_only
    latency = metrics.get("latency/onnx_batch1_p50_ms")
    lines = summary_lines(splits, parts, simple, len(corpus.train), teacher, latency)
    provenance = read_config(folder / CLASSIFIER)["provenance"]
    lines += scored_advice(
        origin.tracking_uri, origin.experiment_id, corpus.digest, [provenance["signature"]]
    )
    text = "".join(f"{line}\n" for line in lines)
    (folder / SUMMARY).write_text(text, encoding="utf-8", errors="replace")
    run.log_text(text, SUMMARY)
    return lines
