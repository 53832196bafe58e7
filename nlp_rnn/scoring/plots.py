"""Figures of a run as PNG files: scores of the labels, early exit, learning-rate range test."""

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.scoring.metrics import confusion_matrix, confusions, f1_of_labels, label_counts
from nlp_rnn.scoring.predictions import Predictions

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "write_confusion_matrix",
    "write_earliness_plot",
    "write_label_scores",
    "write_range_plot",
    "write_range_table",
    "write_risk_coverage_plot",
    "write_score_figure",
]

MAX_DRAWN_LABELS = 300
"""Number of labels up to which a figure shows all of them."""

MARKED_THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
"""Thresholds that the risk–coverage curve marks."""

LISTED_CONFUSIONS = 40
"""Number of the most frequent confusions that a figure lists."""


def write_score_figure(folder: Path, predictions: Predictions) -> Path:
    """Write the figure of the task into `folder` and return its path.

    `confusion_matrix.png` for single-label, `label_scores.png` for multi-label predictions.
    """
    if predictions.multi_label:
        path = folder / "label_scores.png"
        write_label_scores(path, predictions)
    else:
        path = folder / "confusion_matrix.png"
        write_confusion_matrix(path, predictions)
    return path


def write_confusion_matrix(path: Path, predictions: Predictions) -> None:
    """Draw the confusion matrix of single-label predictions, true labels as rows, as a PNG.

    The colour is the share of the row, the text the count. With more than 40 labels the counts
    would be unreadable: the most frequent confusions are listed beside the matrix instead. With
    more than `MAX_DRAWN_LABELS` labels only these are drawn, as bars.
    """
    size = len(predictions.label_names)
    if size > MAX_DRAWN_LABELS:
        _write_frequent_confusions(path, predictions)
        return
    counts = confusion_matrix(predictions.labels, predictions.predictions, size)
    names = [_shortened(name) for name in predictions.label_names]
    # Inches and points, chosen by eye for 2, 6, 20, 40, 77 and 151 labels.
    cell = 1.6 if size <= 2 else 0.95 if size <= 10 else 0.42 if size <= 40 else 0.17
    cell = min(cell, 18 / size)
    font = 10 if size <= 10 else 9 if size <= 40 else min(8, 60 * cell)

    figure = _figure(cell * size, cell * size)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    from matplotlib.colors import PowerNorm

    # The square root makes confusions visible, which would be almost white on a linear scale.
    image = axes.imshow(shares, cmap="Blues", norm=PowerNorm(0.5, vmin=0, vmax=1))
    # A $ in a name starts no formula.
    axes.set_xticks(range(size), names, fontsize=font, parse_math=False)
    axes.set_yticks(range(size), names, fontsize=font, parse_math=False)
    fits = max(map(len, names)) * 0.65 * font < cell * 72
    axes.tick_params(axis="x", labelrotation=0 if fits else 90)
    axes.set_xlabel("predicted", fontsize=11)
    axes.set_ylabel("true", fontsize=11)
    correct, total = int(np.trace(counts)), int(counts.sum())
    title = f"{correct:,} of {total:,} correct ({correct / max(total, 1):.1%})"
    axes.set_title(title, fontsize=12, pad=10)
    if size > 40:
        _list_confusions(axes, counts, names)
    else:
        _write_counts(axes, counts, shares)
        beside = figure.add_axes((1.03, 0.2, 0.15 / (cell * size), 0.6))
        scale = figure.colorbar(image, cax=beside, ticks=[0, 0.05, 0.2, 0.5, 1])
        scale.ax.set_yticklabels(["0%", "5%", "20%", "50%", "100%"], fontsize=9)
        scale.set_label("share of the true label", fontsize=9)
    _save(figure, path)


def _write_frequent_confusions(path: Path, predictions: Predictions) -> None:
    """Draw the most frequent confusions as bars, in memory proportional to the texts."""
    names = predictions.label_names
    true, predicted, counts = confusions(predictions.labels, predictions.predictions, len(names))
    wrong = np.flatnonzero(true != predicted)
    order = wrong[np.argsort(-counts[wrong], kind="stable")][:LISTED_CONFUSIONS][::-1]
    figure = _figure(7.5, 0.24 * len(order) + 1.2)
    axes = figure.add_subplot()
    axes.barh(np.arange(len(order)), counts[order], color="#9ecae1")
    ticks = [f"{_shortened(names[true[i]])} → {_shortened(names[predicted[i]])}" for i in order]
    axes.set_yticks(np.arange(len(order)), ticks, fontsize=9, parse_math=False)
    axes.set_xlabel(f"texts; the most frequent confusions of {len(names):,} labels")
    correct, total = int(predictions.correct.sum()), len(predictions.rows)
    title = f"{correct:,} of {total:,} correct ({correct / max(total, 1):.1%}); true → predicted"
    axes.set_title(title, fontsize=12, pad=10)
    _save(figure, path)


def write_label_scores(path: Path, predictions: Predictions) -> None:
    """Draw F1, precision and recall of every label as a PNG, the most frequent label on top.

    The number beside each name is the number of texts that have the label. Of more than
    `MAX_DRAWN_LABELS` labels the most frequent ones are drawn.
    """
    names = predictions.label_names
    counts = label_counts(predictions.labels, predictions.predictions, len(names))
    # drawn from the bottom
    order = np.argsort(counts.labelled, kind="stable")[-MAX_DRAWN_LABELS:]
    recall = counts.correct / np.maximum(counts.labelled, 1)
    precision = counts.correct / np.maximum(counts.predicted, 1)
    height = min(0.24 * len(order) + 1.2, 60.0)
    figure = _figure(7.5, height)
    axes = figure.add_subplot()
    bars = np.arange(len(order))
    axes.barh(bars, f1_of_labels(counts)[order], color="#9ecae1", label="F1")
    for values, mark, name in ((precision, "|", "precision"), (recall, ".", "recall")):
        axes.plot(values[order], bars, mark, color="#08306b", markersize=8, label=name)
    ticks = [f"{_shortened(names[index])}  {counts.labelled[index]:,}" for index in order]
    font = min(9.0, 700 * height / 12 / len(order))
    axes.set_yticks(bars, ticks, fontsize=font, parse_math=False)
    axes.set_xlim(0, 1)
    axes.set_ylim(-0.7, len(order) - 0.3)
    axes.set_xlabel("share")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False)
    _save(figure, path)


def write_earliness_plot(
    path: Path,
    prefixes: Sequence[tuple[float, float, float]],
    exits: Sequence[tuple[float, float, float]],
    chosen: float,
) -> None:
    """Write a PNG: accuracy over the share of tokens read, at fixed shares and by threshold.

    Parameters
    ----------
    path : Path
    prefixes : sequence of (float, float, float)
        Share of the tokens, accuracy, mean probability of the predicted label.
    exits : sequence of (float, float, float)
        Threshold, mean share of the tokens read, accuracy.
    chosen : float
        The threshold that is marked.
    """
    figure = _figure(7, 4)
    axes = figure.add_subplot()
    shares, accuracies, confidences = zip(*prefixes, strict=True)
    axes.plot(shares, accuracies, color="C0", marker="o", label="accuracy after this share")
    axes.plot(
        shares, confidences, color="0.6", linestyle="--", label="mean probability after this share"
    )
    _, read, correct = zip(*exits, strict=True)
    axes.plot(read, correct, color="C3", marker=".", label="accuracy when stopped at a threshold")
    for threshold, tokens, accuracy in exits:
        if threshold == chosen:
            axes.plot([tokens], [accuracy], color="C3", marker="D", markersize=9)
            axes.annotate(
                f"{threshold:g}", (tokens, accuracy), xytext=(8, -12), textcoords="offset points"
            )
    axes.set_xlim(0, 1.02)
    axes.set_xlabel("share of a text's tokens read (validation)")
    axes.set_ylabel("accuracy, probability")
    axes.legend(frameon=False, loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)
    _save(figure, path)


def write_risk_coverage_plot(
    path: Path, rows: Sequence[tuple[float, float, float | None]], multi_label: bool
) -> None:
    """Write a PNG: accuracy over coverage, with some of the thresholds marked.

    Parameters
    ----------
    path : Path
    rows : sequence of (float, float, float or None)
        Threshold, coverage and accuracy.
    multi_label : bool
        Whether the coverage is a share of labels, not of texts.
    """
    figure = _figure(7, 4)
    axes = figure.add_subplot()
    known = [(t, covered, right) for t, covered, right in rows if right is not None]
    axes.plot([row[1] for row in known], [row[2] for row in known], color="C0")
    for threshold, covered, right in known:
        if threshold in MARKED_THRESHOLDS:
            axes.plot([covered], [right], color="C0", marker="o")
            axes.annotate(
                f"{threshold:g}", (covered, right), xytext=(4, 5), textcoords="offset points"
            )
    axes.set_xlim(0, 1.02)
    axes.set_xlabel(
        "share of the true labels that are predicted (validation)"
        if multi_label
        else "share of the texts that get a label (validation)"
    )
    axes.set_ylabel("share of these labels that are right")
    axes.spines[["top", "right"]].set_visible(False)
    _save(figure, path)


def write_range_table(
    path: Path, rates: Sequence[float], losses: Sequence[float], smoothed: Sequence[float]
) -> None:
    """Write a range test as CSV with the columns `learning_rate`, `loss` and `smoothed_loss`."""
    rows = zip(rates, losses, smoothed, strict=True)
    lines = [",".join(f"{value:.6g}" for value in row) for row in rows]
    path.write_text(
        "\n".join(["learning_rate,loss,smoothed_loss", *lines]) + "\n", encoding="utf-8"
    )


def write_range_plot(
    path: Path,
    rates: Sequence[float],
    losses: Sequence[float],
    smoothed: Sequence[float],
    suggestion: float,
) -> None:
    """Write a PNG of a range test: loss over learning rate, with the suggested rate marked."""
    figure = _figure(7, 4)
    axes = figure.add_subplot()
    axes.plot(rates, losses, color="0.75", linewidth=1, label="loss of a batch")
    axes.plot(rates, smoothed, color="C0", linewidth=2, label="running mean")
    axes.axvline(suggestion, color="C3", linestyle="--", label=f"suggested: {suggestion:.1e}")
    axes.set_xscale("log")
    # a loss far above the first one shows only that the rate is too high
    axes.set_ylim(0, 1.5 * smoothed[0])
    axes.set_xlabel("learning rate")
    axes.set_ylabel("training loss")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    _save(figure, path)


def _write_counts(axes: "Axes", counts: NDArray[Any], shares: NDArray[Any]) -> None:
    roomy = len(counts) <= 10
    for true, predicted in zip(*np.nonzero(counts), strict=True):
        count, share = counts[true, predicted], shares[true, predicted]
        axes.text(
            predicted,
            true,
            f"{count:,}\n{share:.0%}" if roomy else str(count),
            ha="center",
            va="center",
            fontsize=10 if roomy else 7,
            color="white" if share > 0.3 else "black",
        )


def _list_confusions(axes: "Axes", counts: NDArray[Any], names: Sequence[str]) -> None:
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:LISTED_CONFUSIONS]
    order = order[wrong.ravel()[order] > 0]
    lines = [
        "colour: share of the true label",
        "",
        "most frequent confusions, true → predicted",
        "",
    ]
    for true, predicted in zip(*np.unravel_index(order, wrong.shape), strict=True):
        lines.append(
            f"{wrong[true, predicted]:>5,} of {counts[true].sum():<6,} "
            f"{names[true]} → {names[predicted]}"
        )
    axes.annotate(
        "\n".join(lines),
        xy=(1, 1),
        xycoords="axes fraction",
        xytext=(25, 0),
        textcoords="offset points",
        va="top",
        fontsize=10,
        family="monospace",
        parse_math=False,
    )


def _shortened(name: str) -> str:
    one_line = " ".join(name.split())
    return one_line if len(one_line) <= 30 else one_line[:29] + "…"


def _figure(width: float, height: float) -> "Figure":
    """Return a figure, in inches, without pyplot, whose global state may want a display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


def _save(figure: "Figure", path: Path) -> None:
    """Write the figure as a PNG, whole or not at all."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        with warnings.catch_warnings():
            # A script that the font lacks is drawn as boxes; the report has the names.
            warnings.filterwarnings("ignore", message="Glyph .* missing from font")
            figure.set_dpi(110)
            # bbox_inches="tight" would draw everything twice to find the same edges
            renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
            edges = figure.get_tightbbox(renderer).padded(0.2)
            figure.savefig(unfinished, format="png", dpi=110, bbox_inches=edges)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
