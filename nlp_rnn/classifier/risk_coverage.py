"""Risk–coverage table of a classifier: what each confidence threshold does on validation texts.

For each threshold the table has the coverage, the share of the texts that get a label, and the
accuracy, the share of these labels that are right. For multi-label data, where the threshold is the
same for all labels, the coverage is the share of the true labels that are predicted, and the
accuracy the share of the predicted labels that are true.
"""

import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "MIN_LABELS",
    "RISK_COVERAGE",
    "Table",
    "lowest_threshold",
    "read_table",
    "risk_coverage",
    "write_table",
]

RISK_COVERAGE = "risk_coverage.json"
"""Name of the file in a classifier folder."""

THRESHOLDS = np.round(np.arange(0, 100) / 100, 2)

MIN_LABELS = 20
"""With fewer predicted labels, an accuracy is too uncertain to choose a threshold by."""

BLOCK = 1 << 22
"""Probabilities that are counted at once."""

Table = dict[str, Any]
"""`texts`: number of texts; `rows`: threshold, coverage and accuracy (None without a predicted
label); `labels`: number of predicted labels for each row."""


def risk_coverage(labels: NDArray[Any], probabilities: NDArray[np.float32]) -> Table:
    """Return the table of n texts.

    Parameters
    ----------
    labels : int64 (n,) or bool (n, C)
        The true labels.
    probabilities : float32 (n, C)
        The predicted probabilities.
    """
    if labels.ndim == 1:
        scores = probabilities.max(axis=1)
        predicted = _counts(scores)
        right = _counts(scores[probabilities.argmax(axis=1) == labels])
        coverage = predicted / max(len(labels), 1)
    else:
        predicted = _counts(probabilities.ravel())
        right = _counts(probabilities[labels])
        coverage = right / max(int(labels.sum()), 1)
    rows = [
        [threshold, float(covered), float(correct / count) if count else None]
        for threshold, covered, correct, count in zip(
            THRESHOLDS.tolist(), coverage, right, predicted, strict=True
        )
    ]
    return {"texts": len(labels), "rows": rows, "labels": predicted.tolist()}


def _counts(scores: NDArray[np.float32]) -> NDArray[np.int64]:
    """Count the scores that reach each threshold."""
    counts = np.zeros(len(THRESHOLDS), np.int64)
    for start in range(0, len(scores), BLOCK):
        reached = np.searchsorted(THRESHOLDS, scores[start : start + BLOCK], side="right") - 1
        counts += np.bincount(reached, minlength=len(THRESHOLDS))
    return counts[::-1].cumsum()[::-1]


def write_table(folder: Path, table: Table) -> None:
    """Write the table into a classifier folder."""
    unfinished = folder.with_name(f".{folder.name}.{RISK_COVERAGE}")
    unfinished.write_text(json.dumps(table) + "\n", encoding="utf-8")
    os.replace(unfinished, folder / RISK_COVERAGE)


def read_table(folder: Path) -> Table | None:
    """Return the table of a classifier folder; None if it has none or a damaged one."""
    try:
        table = json.loads((folder / RISK_COVERAGE).read_text(encoding="utf-8"))
        valid = len(table["rows"]) == len(table["labels"]) == len(THRESHOLDS) and all(
            _is_row(row) for row in table["rows"]
        )
        return dict(table) if valid and type(table["texts"]) is int else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _is_row(row: Sequence[Any]) -> bool:
    threshold, coverage, accuracy = row
    shares = (coverage,) if accuracy is None else (coverage, accuracy)
    return math.isfinite(threshold) and all(0 <= share <= 1 for share in shares)


def lowest_threshold(table: Table, accuracy: float) -> float | None:
    """Return the lowest threshold above 0 whose labels have this accuracy; None if none has."""
    for (threshold, _, reached), labels in zip(table["rows"][1:], table["labels"][1:], strict=True):
        if labels >= MIN_LABELS and reached >= accuracy:
            return float(threshold)
    return None
