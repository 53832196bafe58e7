"""Section on confusion: difference of the confusion matrices of two configurations."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.report.context import NO_PAIR, ReportContext, format_percent, format_points
from nlp_rnn.report.figure_files import INK, new_figure, shorten
from nlp_rnn.report.page import Block, Figures, Placeholder, Section, Table
from nlp_rnn.report.section_labels import label_section
from nlp_rnn.scoring.plots import MAX_DRAWN_LABELS
from nlp_rnn.scoring.predictions import Predictions

if TYPE_CHECKING:
    from matplotlib.figure import Figure


__all__ = ["confusion_figure", "confusion_section", "confusion_shares"]

MAX_CONFUSIONS = 15
"""Number of rows of the table."""


def confusion_section(context: ReportContext) -> Section:
    """Return the section: the confusions that one configuration makes more often than the other.

    Of multi-label data it has the differences on the single labels.
    """
    if context.comparison.label_differences:
        return label_section(context)
    title = "Confusion: where the errors differ"
    pair = context.best_pair()
    if pair is None:
        return Section("confusion", title, [Placeholder(NO_PAIR)])
    names = context.comparison.label_names
    shares = [confusion_shares(context.predictions[name]) for name in (pair.first, pair.second)]
    cells = np.union1d(*(cells for cells, _ in shares))
    first, second = np.zeros((2, len(cells)))
    for values, (known, known_values) in zip((first, second), shares, strict=True):
        values[np.searchsorted(cells, known)] = known_values
    true, predicted = np.divmod(cells, len(names))
    counts = np.bincount(context.predictions[pair.first][0].labels, minlength=len(names))
    context.tables["confusion"] = [
        {
            "label": names[true[cell]],
            "prediction": names[predicted[cell]],
            "first": float(first[cell]),
            "second": float(second[cell]),
            "texts": int(counts[true[cell]]),
        }
        for cell in range(len(cells))
    ]
    absent = [name for name, count in zip(names, counts, strict=True) if not count]
    difference = first - second
    caption = (
        f"Difference of the two confusion matrices, {pair.first} minus {pair.second}: for each "
        f"true label (row, n = {counts[counts > 0].min():,} to {counts.max():,} texts per label), "
        "the share of each predicted label in points, mean over the seeds. Orange: "
        f"{pair.first} predicts the label more often; purple: {pair.second} does. On the diagonal, "
        "more is better."
    )
    if absent:
        caption += f" No test text has the label {', '.join(map(repr, absent[:5]))}."
    blocks: list[Block] = []
    if len(names) <= MAX_DRAWN_LABELS:
        matrix = np.zeros((len(names), len(names)))
        matrix[true, predicted] = difference
        title_of_figure = f"Confusion, {pair.first} minus {pair.second}"
        figure = confusion_figure(matrix, names)
        saved = context.save_figure(figure, "confusion", title_of_figure)
        blocks.append(Figures([(saved, caption)]))
    else:
        blocks.append(Placeholder(f"The matrix of {len(names):,} labels is too large to draw."))
    errors = np.where(true == predicted, 0, difference)
    order = np.argsort(-np.abs(errors) * counts[true], kind="stable")
    rows = [
        [
            f"{names[true[cell]]} → {names[predicted[cell]]}",
            format_percent(float(first[cell])),
            format_percent(float(second[cell])),
            format_points(float(errors[cell])),
            f"{counts[true[cell]]:,}",
        ]
        for cell in order[:MAX_CONFUSIONS]
        if errors[cell]
    ]
    if rows:
        head = ["true → predicted", f"{pair.first}, %", f"{pair.second}, %", "points", "n texts"]
        largest = (
            "The confusions that differ in the largest number of texts, as shares of the texts "
            "with the true label."
        )
        blocks.append(Table(head, rows, largest))
    return Section("confusion", title, blocks)


def confusion_shares(
    runs: Sequence[Predictions],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the confusion matrix (C, C) over all seeds, in percent of the true label (row).

    Only cells that are not 0 are returned, so that the memory grows with the texts.

    Returns
    -------
    cells : int64 array of shape (k,)
        C × row + column of each cell, ascending.
    shares : float64 array of shape (k,)
        Their values.
    """
    size = len(runs[0].label_names)
    pairs = np.concatenate([run.labels * size + run.predictions for run in runs])
    cells, counts = np.unique(pairs, return_counts=True)
    rows = cells // size
    return cells, 100 * counts / np.bincount(rows, counts, size)[rows]


def confusion_figure(difference: NDArray[np.float64], names: Sequence[str]) -> "Figure":
    """Draw the difference (C, C) of two confusion matrices in points; positive values are orange.

    Up to 12 labels are named, and their values are written.
    """
    from matplotlib.colors import Normalize

    size = len(names)
    figure = new_figure(min(5.2, 1.9 + 0.42 * size) if size <= 12 else 4.8)
    axes = figure.add_subplot()
    edge = max(float(np.abs(difference).max()), 1e-9)
    image = axes.pcolormesh(
        difference,
        cmap="PuOr_r",
        norm=Normalize(-edge, edge),
        rasterized=size > 12,  # thousands of SVG squares would make the page large
    )
    axes.invert_yaxis()
    centres = np.arange(size) + 0.5
    if size <= 12:
        short_names = [shorten(name, 14) for name in names]
        axes.set_xticks(centres, short_names, fontsize=9, rotation=90 if size > 4 else 0)
        axes.set_yticks(centres, short_names, fontsize=9)
        for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
            label.set_parse_math(False)
        for (row, column), value in np.ndenumerate(difference):
            if abs(value) >= 0.05:
                axes.text(
                    column + 0.5,
                    row + 0.5,
                    f"{value:+.1f}".replace("-", "−"),
                    ha="center",
                    va="center",
                    fontsize=9,
                    color="white" if abs(value) > 0.65 * edge else INK,
                )
    else:
        axes.set_xticks([])
        axes.set_yticks([])
    axes.set_xlabel("predicted label", fontsize=10)
    axes.set_ylabel("true label", fontsize=10)
    scale = figure.colorbar(image, shrink=0.8)
    scale.ax.tick_params(labelsize=9)
    scale.set_label("points of the true label", fontsize=9)
    return figure
