"""What the end of a run says: scores beside those of simple models, and the weakest labels."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.runs.mistakes import write_mistakes
from nlp_rnn.runs.reference_scores import References, reference_predictions
from nlp_rnn.scoring.metrics import (
    Z_95,
    f1_of_labels,
    label_counts,
    score_predictions,
    wilson_interval,
)
from nlp_rnn.scoring.predictions import PART_NAMES, Predictions, read_predictions

if TYPE_CHECKING:
    from nlp_rnn.data.corpus import Corpus
    from nlp_rnn.tracking.tracked_run import TrackedRun

__all__ = [
    "SUMMARY",
    "Difference",
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


@dataclass(frozen=True)
class Difference:
    """Difference in accuracy, or micro-F1 for multi-label data, in points with a 95 % interval."""

    points: float
    low: float
    high: float

    def __str__(self) -> str:
        """Return the difference with its interval."""
        return f"{self.points:+.1f} points, 95 % interval {self.low:+.1f} to {self.high:+.1f}"


def text_scores(labels: NDArray[Any], predictions: NDArray[Any]) -> NDArray[np.float64]:
    """Return values (n,) whose mean is the accuracy, or the micro-F1 for multi-label data.

    For micro-F1, a ratio of sums, these are its values linearized at the observed sums, so that
    their variance gives its standard error.
    """
    if labels.ndim == 1:
        right: NDArray[np.float64] = (labels == predictions).astype(np.float64)
        return right
    correct = (labels & predictions).sum(axis=1)
    total = labels.sum(axis=1) + predictions.sum(axis=1)
    f1 = 2 * correct.sum() / max(int(total.sum()), 1)
    values: NDArray[np.float64] = f1 + len(labels) * (2 * correct - f1 * total) / max(
        int(total.sum()), 1
    )
    return values


def compare_with(predictions: Predictions, reference: NDArray[Any]) -> Difference:
    """Compare predictions with those of another model for the same n texts, paired by text.

    The interval is the normal approximation for the mean of n paired differences.
    """
    values = text_scores(predictions.labels, predictions.predictions)
    differences = 100 * (values - text_scores(predictions.labels, reference))
    half = (
        Z_95 * float(differences.std(ddof=1)) / math.sqrt(len(values))
        if len(values) > 1
        else np.inf
    )
    mean = float(differences.mean())
    return Difference(mean, mean - half, mean + half)


def score_table(
    splits: Mapping[str, Predictions],
    parts: Mapping[str, Mapping[str, NDArray[Any]]],
    references: References,
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
    """
    first = splits["test"]
    metric = "micro-F1" if first.multi_label else "accuracy"
    rows = [["", *(f"{split} ({len(splits[split].rows):,} texts)" for split in SPLITS)]]
    rows.append(
        [metric, *(_with_interval(splits[s].labels, splits[s].predictions) for s in SPLITS)]
    )
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
) -> list[str]:
    """Return what the end of a run says about the quality of the classifier.

    Parameters
    ----------
    splits, parts, references
        As in `score_table`.
    train_texts : int
        Number of training texts, for the advice.
    """
    lines = [*score_table(splits, parts, references), "In parentheses: 95 % intervals.", ""]
    if references.skipped:
        lines.append(f"The linear model was not fitted: {references.skipped}.")
    weakest = weakest_labels(splits["test"])
    if weakest:
        lines += ["Weakest labels on test:", *(f"  {phrase}" for phrase in weakest)]
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
    return [f"Not shown to be better than the linear model ({difference})."]


def write_summary(
    corpus: "Corpus",
    folder: Path,
    run: "TrackedRun",
    metrics: Mapping[str, float],
    references: bool,
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
    references : bool
        Write the summary. A job of a sweep has none, since the sweep trains the baselines once.

    Returns
    -------
    list of str
        The lines of the summary.
    """
    splits = {split: read_predictions(folder / f"{split}_predictions.parquet") for split in SPLITS}
    texts = {split: getattr(corpus, split)["text"] for split in SPLITS}
    write_mistakes(folder, {split: (splits[split], texts[split]) for split in SPLITS}, run)
    if not references:
        return []
    simple = reference_predictions(corpus, metrics.get("train/seconds", 0.0))
    parts = {
        name: {split: splits[split].parts[part].predictions for split in SPLITS}
        for part, name in PART_NAMES.items()
        if part in splits["test"].parts
    }
    lines = summary_lines(splits, parts, simple, len(corpus.train))
    text = "".join(f"{line}\n" for line in lines)
    (folder / SUMMARY).write_text(text, encoding="utf-8", errors="replace")
    run.log_text(text, SUMMARY)
    return lines
