"""Section on calibration: reliability diagram, expected calibration error and Brier score."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.report.context import NO_PREDICTIONS, ReportContext, format_percent
from nlp_rnn.report.figure_files import LineStyle, add_axes, legend_above, new_figure, shorten
from nlp_rnn.report.page import Figures, Placeholder, Section, Table
from nlp_rnn.scoring.predictions import Predictions

if TYPE_CHECKING:
    from matplotlib.figure import Figure


__all__ = ["Reliability", "calibration_section", "reliability", "reliability_figure"]

BINS = 10
"""Number of bins of equal width over the probability of the predicted label."""


@dataclass(frozen=True)
class Reliability:
    """Calibration of the probabilities of one configuration.

    Of multi-label data every label of every text counts: its probability, and whether the text has
    it.

    Attributes
    ----------
    confidence : float64 (BINS,)
        Mean probability of the predicted labels in each bin.
    accuracy : float64 (BINS,)
        Share of the predictions in each bin that are correct.
    counts : int64 (BINS,)
        Number of predictions in each bin over all seeds.
    ece : float
        Expected calibration error, mean over seeds, 0 to 1 (Naeini et al. 2015).
    brier : float
        Brier score: squared distance of the probabilities from the true label, summed over the
        labels, mean over texts and seeds, 0 to 2 (Brier 1950). Of multi-label data the mean over
        the labels, 0 to 1.
    """

    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    counts: NDArray[np.int64]
    ece: float
    brier: float


def calibration_section(context: ReportContext) -> Section:
    """Return the section: how well the probabilities of predicted labels match the accuracy."""
    title = "Calibration of the probabilities"
    without = {
        configuration.name
        for configuration in context.comparison.configurations
        for run in configuration.runs
        if "labels_only" in run.tags
    }
    predictions = {k: runs for k, runs in context.predictions.items() if k not in without}
    by_name = {name: reliability(runs) for name, runs in predictions.items()}
    if not by_name:
        return Section("calibration", title, [Placeholder(NO_PREDICTIONS)])
    context.tables["calibration"] = [
        {
            "configuration": name,
            "bin": index,
            "confidence": float(diagram.confidence[index]),
            "accuracy": float(diagram.accuracy[index]),
            "predictions": int(diagram.counts[index]),
        }
        for name, diagram in by_name.items()
        for index in range(BINS)
    ]
    multi_label = context.comparison.is_multi_label
    head = ["configuration", "ECE, points", "Brier, 0 to 2", "mean probability, %", "accuracy, %"]
    if multi_label:
        head[2:] = ["Brier, 0 to 1", "mean probability, %", "texts with the label, %"]
    table = Table(
        head,
        [
            [
                name,
                format_percent(100 * diagram.ece, 2),
                f"{diagram.brier:.3f}",
                format_percent(100 * _mean(diagram.confidence, diagram.counts)),
                format_percent(100 * _mean(diagram.accuracy, diagram.counts)),
            ]
            for name, diagram in by_name.items()
        ],
        "ECE: expected calibration error, the mean distance between probability and accuracy over "
        "10 bins (Naeini et al. 2015). Brier: squared distance between all probabilities and the "
        f"true label{'s' if multi_label else ''}. Means over the seeds, n = "
        f"{context.num_texts:,} test texts; lower is better for both."
        + (" Every label of every text counts." if multi_label else ""),
    )
    seeds = ", ".join(f"{name} × {len(runs)}" for name, runs in predictions.items())
    caption = (
        f"n = {context.num_texts:,} test texts for each seed ({seeds}). On the dotted line the "
        "probabilities match the accuracy; below it the configuration is overconfident, above it "
        "underconfident. Larger marks are more predictions."
    )
    if multi_label:
        caption += " Accuracy is the share of texts that have the label."
    if without:
        caption += f" Labels without probabilities: {', '.join(sorted(without))}."
    figure = reliability_figure(by_name, context.styles)
    saved = context.save_figure(figure, "calibration", "Accuracy over the predicted probability")
    return Section("calibration", title, [table, Figures([(saved, caption)])])


def reliability(runs: Sequence[Predictions]) -> Reliability:
    """Measure the calibration of one configuration from the predictions of its seeds."""
    bins, errors, briers = [], [], []
    for run in runs:
        if run.multi_label:
            confidence = run.probabilities.ravel().astype(np.float64)
            correct = run.labels.ravel().astype(np.float64)
            briers.append(float(((confidence - correct) ** 2).mean()))
        else:
            confidence = run.probabilities.max(axis=1).astype(np.float64)
            correct = (run.predictions == run.labels).astype(np.float64)
            briers.append(float(_squared_distances(run).mean()))
        counts, mean, accuracy = _binned(confidence, correct)
        errors.append(_mean(np.abs(mean - accuracy), counts))
        bins.append((counts, counts * mean, counts * accuracy))
    total, confidences, corrects = (np.sum(parts, axis=0) for parts in zip(*bins, strict=True))
    safe = np.maximum(total, 1)
    ece, brier = float(np.mean(errors)), float(np.mean(briers))
    return Reliability(confidences / safe, corrects / safe, total, ece, brier)


def _squared_distances(run: Predictions) -> NDArray[np.float64]:
    """Return the squared distance of each text's probabilities from its label, float64 (n,)."""
    size = max(1, (1 << 22) // run.probabilities.shape[1])
    parts = []
    for start in range(0, len(run.labels), size):
        # subtracted from a copy in float64, in blocks: the whole table of many labels is too large
        distances = run.probabilities[start : start + size].astype(np.float64)
        distances[np.arange(len(distances)), run.labels[start : start + size]] -= 1
        parts.append((distances**2).sum(axis=1))
    return np.concatenate(parts)


def reliability_figure(
    diagrams: Mapping[str, Reliability], styles: Mapping[str, LineStyle]
) -> "Figure":
    """Draw the accuracy over the predicted probability in bins of 10 points."""
    figure = new_figure(3.6)
    axes = add_axes(figure, "probability of the predicted label (%)", "accuracy (%)")
    axes.plot([0, 100], [0, 100], color="#8A8A8A", lw=1, ls=":", label="perfectly calibrated")
    for name, diagram in diagrams.items():
        filled = diagram.counts > 0
        sizes = 14 + 130 * diagram.counts[filled] / max(diagram.counts.sum(), 1)
        style = styles[name]
        x, y = 100 * diagram.confidence[filled], 100 * diagram.accuracy[filled]
        axes.plot(x, y, style.dash, color=style.colour, lw=1.3)
        axes.scatter(
            x, y, s=sizes, marker=style.marker, color=style.colour, alpha=0.85, lw=0,
            label=shorten(name),
        )  # fmt: skip
    axes.set_xlim(0, 103)
    axes.set_ylim(0, 103)
    legend_above(axes)
    return figure


def _binned(
    confidence: NDArray[np.float64], correct: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the count, the mean confidence and the accuracy of each bin."""
    bins = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    safe = np.maximum(counts, 1)
    mean = np.bincount(bins, confidence, minlength=BINS) / safe
    accuracy = np.bincount(bins, correct, minlength=BINS) / safe
    return counts, mean, accuracy


def _mean(values: NDArray[np.float64], counts: NDArray[np.int64]) -> float:
    """Return the mean of the values (BINS,), weighted by the counts."""
    return float((values * counts).sum() / max(counts.sum(), 1))
