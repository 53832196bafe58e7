"""Misclassified texts of a run, as an HTML page and as a table in MLflow."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.scoring.predictions import Predictions

if TYPE_CHECKING:
    from nlp_rnn.tracking.tracked_run import TrackedRun

__all__ = ["PAGE", "Mistake", "find_mistakes", "likely_wrong_labels", "write_mistakes"]

PAGE = "mistakes.html"
TABLE = "mistakes.json"
HERE = Path(__file__).parent
MAX_MISTAKES = 500
"""Misclassified texts of a split in the page and in the table, the most confident first."""

MAX_CHARACTERS = 1000
"""Characters of a text in the page and in the table."""

BLOCK = 1 << 22
"""Probabilities that are compared at once."""


@dataclass(frozen=True)
class Mistake:
    """A misclassified text.

    Attributes
    ----------
    split : str
        `validation` or `test`.
    row : int
        Index of the row in the split that was read.
    text : str
        The beginning of the text.
    label, prediction : str
        The true and the predicted label; for multi-label data the labels joined by commas.
    confidence : float
        Probability of the prediction. For multi-label data, the probability of the wrong decision
        that the classifier is most certain of.
    label_probability : float or None
        Predicted probability of the true label; None for multi-label data.
    maybe_wrong : bool
        Whether the label may be wrong (`likely_wrong_labels`).
    """

    split: str
    row: int
    text: str
    label: str
    prediction: str
    confidence: float
    label_probability: float | None
    maybe_wrong: bool


def find_mistakes(
    split: str, predictions: Predictions, texts: Sequence[str]
) -> tuple[list[Mistake], int]:
    """Return the most confident mistakes, and the number of all mistakes of a split.

    Parameters
    ----------
    split : str
        Name of the split.
    predictions : Predictions
        Predictions for the n texts of the split.
    texts : sequence of n str
    """
    wrong = np.flatnonzero(~predictions.correct)
    probabilities = predictions.probabilities
    if predictions.multi_label:
        decisions = np.where(predictions.predictions, probabilities, 1 - probabilities)
        differing = predictions.predictions != predictions.labels
        confidences = np.where(differing, decisions, 0).max(axis=1)
    else:
        confidences = probabilities[np.arange(len(probabilities)), predictions.predictions]
    suspects = likely_wrong_labels(predictions)
    order = wrong[np.argsort(-confidences[wrong], kind="stable")][:MAX_MISTAKES]
    mistakes = [
        Mistake(
            split=split,
            row=int(predictions.rows[index]),
            text=_shortened(texts[int(index)]),
            label=_named(predictions.labels[index], predictions),
            prediction=_named(predictions.predictions[index], predictions),
            confidence=round(float(confidences[index]), 4),
            label_probability=None
            if predictions.multi_label
            else round(float(probabilities[index, predictions.labels[index]]), 4),
            maybe_wrong=bool(suspects[index]),
        )
        for index in order
    ]
    return mistakes, len(wrong)


def likely_wrong_labels(predictions: Predictions) -> NDArray[np.bool_]:
    """Return which labels are probably wrong, bool (n,), by confident learning.

    Northcutt et al. 2021, arXiv:1911.00068: each label has a threshold, the mean probability of
    that label for the texts that have it. A label is suspected if another label reaches its
    threshold, is the most probable of those that do, and the given label does not reach its own.
    The predictions have to be for texts that the classifier was not trained on. For multi-label
    data, each label is treated as a task with two labels.
    """
    probabilities = predictions.probabilities
    if predictions.multi_label:
        suspected = np.zeros(len(probabilities), bool)
        for column in range(probabilities.shape[1]):
            share = probabilities[:, column].astype(np.float64)
            pair = np.stack([1 - share, share], axis=1)
            suspected |= _suspected(pair, predictions.labels[:, column].astype(np.int64))
        return suspected
    return _suspected(probabilities, predictions.labels)


def _suspected(
    probabilities: NDArray[np.floating[Any]], labels: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Return which of n labels are suspected, given probabilities (n, C)."""
    n, num_labels = probabilities.shape
    counts = np.bincount(labels, minlength=num_labels)
    given_probability = probabilities[np.arange(n), labels].astype(np.float64)
    sums = np.bincount(labels, weights=given_probability, minlength=num_labels)
    thresholds = np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)
    most_probable = np.empty(n, np.int64)
    rows = max(1, BLOCK // num_labels)
    for start in range(0, n, rows):
        block = probabilities[start : start + rows].astype(np.float64)
        reached = np.where(block >= thresholds, block, -1.0)
        best = reached.argmax(axis=1)
        is_reached = reached.max(axis=1) >= 0
        most_probable[start : start + rows] = np.where(is_reached, best, labels[start:][:rows])
    suspected: NDArray[np.bool_] = (most_probable != labels) & (
        given_probability < thresholds[labels]
    )
    return suspected


def write_mistakes(
    folder: Path, splits: Mapping[str, tuple[Predictions, Sequence[str]]], run: "TrackedRun"
) -> Path:
    """Write the page into the run folder, and log it and the table to MLflow.

    Parameters
    ----------
    folder : Path
        The run folder.
    splits : mapping of str to (Predictions, sequence of str)
        Predictions and texts by the name of the split.
    run : TrackedRun

    Returns
    -------
    Path
        The page.
    """
    mistakes: list[Mistake] = []
    counts: dict[str, tuple[int, int]] = {}
    for split, (predictions, texts) in splits.items():
        confident, count = find_mistakes(split, predictions, texts)
        mistakes += confident
        counts[split] = count, len(predictions.rows)
    page = folder / PAGE
    unfinished = folder / f".{PAGE}.part"
    unfinished.write_text(_rendered(mistakes, counts), encoding="utf-8", errors="replace")
    os.replace(unfinished, page)
    run.log_file(page)
    columns = list(Mistake.__dataclass_fields__)
    run.log_table(columns, [list(asdict(mistake).values()) for mistake in mistakes], TABLE)
    return page


def _rendered(mistakes: Sequence[Mistake], counts: Mapping[str, tuple[int, int]]) -> str:
    from jinja2 import Environment, FileSystemLoader

    template = Environment(loader=FileSystemLoader(HERE), autoescape=True).get_template(
        f"{PAGE}.jinja"
    )
    pairs: dict[tuple[str, str], int] = {}
    for mistake in mistakes:
        pair = mistake.label, mistake.prediction
        pairs[pair] = pairs.get(pair, 0) + 1
    return template.render(
        mistakes=mistakes,
        counts=counts,
        labels=sorted({mistake.label for mistake in mistakes}),
        predictions=sorted({mistake.prediction for mistake in mistakes}),
        pairs=sorted(pairs.items(), key=lambda item: -item[1])[:10],
        maximum=MAX_MISTAKES,
    )


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_CHARACTERS else text[:MAX_CHARACTERS] + " …"


def _named(labels: Any, predictions: Predictions) -> str:
    names = predictions.label_names
    if not predictions.multi_label:
        return names[int(labels)]
    return ", ".join(names[index] for index in np.flatnonzero(labels)) or "(none)"
