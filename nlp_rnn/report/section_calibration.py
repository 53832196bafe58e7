"""section_calibration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.report.context import (
    NO_PREDICTIONS,
    Material,
    percent,
)
from nlp_rnn.report.figure_files import (
    Style,
    axes_of,
    legend_above,
    new_figure,
    shortened,
)
from nlp_rnn.report.page import Figures, Missing, Section, Table
from nlp_rnn.scoring.predictions import Predictions

if TYPE_CHECKING:
    from matplotlib.figure import Figure


__all__ = ["Reliability", "calibration_section", "reliability", "reliability_figure"]

BINS = 10
"""Of equal width, over the probability of the label that was given."""


@dataclass(frozen=True)
class Reliability:
    """Whether the probabilities of a group can be taken at their word.

    Attributes:
        confidence: float64 (BINS,), the mean probability of the labels given in each bin.
        right: float64 (BINS,), the share of them that is right.
        counts: int64 (BINS,), answers in each bin, seeds counted one by one.
        error: expected calibration error, a mean over seeds, 0 to 1 (Naeini et al. 2015).
        brier: sum over the classes of the squared distance from the truth, a mean over texts
            and seeds, 0 to 2 (Brier 1950).
    """

    confidence: NDArray[np.float64]
    right: NDArray[np.float64]
    counts: NDArray[np.int64]
    error: float
    brier: float


def calibration_section(material: Material) -> Section:
    """Whether the probabilities mean what they say."""
    title = "Calibration: can the probabilities be trusted?"
    found = {name: reliability(runs) for name, runs in material.predictions.items()}
    if not found:
        return Section("calibration", title, [Missing(NO_PREDICTIONS)])
    material.tables["calibration"] = [
        {
            "group": name,
            "bin": place,
            "confidence": float(each.confidence[place]),
            "right": float(each.right[place]),
            "answers": int(each.counts[place]),
        }
        for name, each in found.items()
        for place in range(len(each.counts))
    ]
    answers = {name: len(runs) for name, runs in material.predictions.items()}
    table = Table(
        ["group", "ECE, points", "Brier, 0 to 2", "mean probability, %", "right, %"],
        [
            [
                name,
                percent(100 * each.error, 2),
                f"{each.brier:.3f}",
                percent(100 * float((each.confidence * each.counts).sum() / each.counts.sum())),
                percent(100 * float((each.right * each.counts).sum() / each.counts.sum())),
            ]
            for name, each in found.items()
        ],
        "ECE: how far the probability of a label is from how often it is right, on average, in 10 "
        "bins (Naeini et al. 2015). Brier: squared distance of all probabilities from the truth. "
        f"Means over seeds, n = {material.num_texts:,} test texts; lower is better for both.",
    )
    seeds = ", ".join(f"{name} × {count}" for name, count in answers.items())
    caption = (
        f"n = {material.num_texts:,} test texts for each seed ({seeds}). On the dotted line "
        "probabilities can be taken at their word; below it the group is too sure of itself, "
        "above it not sure enough. Larger marks are more answers."
    )
    figure = reliability_figure(found, material.styles)
    picture = material.picture(figure, "calibration", "Share right over the probability given")
    return Section("calibration", title, [table, Figures([(picture, caption)])])


def reliability(runs: Sequence[Predictions]) -> Reliability:
    """Measure the calibration of a group, the predictions of its seeds."""
    confidences, rights, errors, briers = [], [], [], []
    for run in runs:
        confidence = run.probabilities.max(axis=1).astype(np.float64)
        right = (run.predictions == run.labels).astype(np.float64)
        counts, mean, share = _binned(confidence, right)
        errors.append(float((counts * np.abs(mean - share)).sum() / max(counts.sum(), 1)))
        truth = np.eye(run.probabilities.shape[1])[run.labels]
        briers.append(float(((run.probabilities - truth) ** 2).sum(axis=1).mean()))
        confidences.append(confidence)
        rights.append(right)
    counts, mean, share = _binned(np.concatenate(confidences), np.concatenate(rights))
    return Reliability(mean, share, counts, float(np.mean(errors)), float(np.mean(briers)))


def reliability_figure(found: Mapping[str, Reliability], styles: Mapping[str, Style]) -> "Figure":
    """How often a label was right over how probable it was said to be, in bins of 10 points."""
    figure = new_figure(3.6)
    axes = axes_of(figure, "probability given to the label (%)", "share of those right (%)")
    axes.plot([0, 100], [0, 100], color="#8A8A8A", lw=1, ls=":", label="perfectly calibrated")
    for name, each in found.items():
        some = each.counts > 0
        sizes = 14 + 130 * each.counts[some] / max(each.counts.sum(), 1)
        style = styles[name]
        x, y = 100 * each.confidence[some], 100 * each.right[some]
        axes.plot(x, y, style.dash, color=style.colour, lw=1.3)
        axes.scatter(
            x, y, s=sizes, marker=style.marker, color=style.colour, alpha=0.85, lw=0,
            label=shortened(name),
        )  # fmt: skip
    axes.set_xlim(0, 103)
    axes.set_ylim(0, 103)
    legend_above(axes)
    return figure


def _binned(
    confidence: NDArray[np.float64], right: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Count, mean confidence and share right of each bin."""
    bins = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    safe = np.maximum(counts, 1)
    mean = np.bincount(bins, confidence, minlength=BINS) / safe
    share = np.bincount(bins, right, minlength=BINS) / safe
    return counts, mean, share
