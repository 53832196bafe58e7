"""section_confusion."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.report.context import NO_PAIR, Material, percent, points
from nlp_rnn.report.figure_files import INK, new_figure, shortened
from nlp_rnn.report.page import Block, Figures, Missing, Section, Table
from nlp_rnn.scoring.predictions import Predictions

if TYPE_CHECKING:
    from matplotlib.figure import Figure


__all__ = ["confusion_figure", "confusion_section", "confusion_shares"]

MOST_CONFUSIONS = 15


def confusion_section(material: Material) -> Section:
    """Which confusions one group makes more often than the other."""
    title = "Confusion: where the errors differ"
    pair = material.pair()
    if pair is None:
        return Section("confusion", title, [Missing(NO_PAIR)])
    names = material.comparison.label_names
    first = confusion_shares(material.predictions[pair.first])
    second = confusion_shares(material.predictions[pair.second])
    gap = first - second
    counts = np.bincount(material.predictions[pair.first][0].labels, minlength=len(names))
    material.tables["confusion"] = [
        {
            "label": names[row],
            "answer": names[column],
            "first": float(first[row, column]),
            "second": float(second[row, column]),
            "texts": int(counts[row]),
        }
        for row, column in np.ndindex(*gap.shape)
        if first[row, column] or second[row, column]
    ]
    absent = [name for name, count in zip(names, counts, strict=True) if not count]
    seen = np.nan_to_num(gap)
    caption = (
        f"Of each true label (row, n = {counts[counts > 0].min():,} to {counts.max():,} texts a "
        f"label), the share given each label by {pair.first} minus that by {pair.second}, in "
        f"points, means over the seeds. Purple: {pair.second} more often; orange: {pair.first}. "
        "On the diagonal, more is better."
    )
    if absent:
        caption += f" No test text has the label {', '.join(map(repr, absent[:5]))}."
    figure = confusion_figure(seen, names)
    picture = material.picture(figure, "confusion", f"Confusion, {pair.first} minus {pair.second}")
    blocks: list[Block] = [Figures([(picture, caption)])]
    apart = seen.copy()
    np.fill_diagonal(apart, 0)
    order = np.argsort(-np.abs(apart) * counts[:, None], axis=None, kind="stable")
    places = [np.unravel_index(place, apart.shape) for place in order[:MOST_CONFUSIONS]]
    rows = [
        [
            f"{names[row]} → {names[column]}",
            percent(float(first[row, column])),
            percent(float(second[row, column])),
            points(float(apart[row, column])),
            f"{counts[row]:,}",
        ]
        for row, column in places
        if apart[row, column]
    ]
    if rows:
        heads = ["true → given", f"{pair.first}, %", f"{pair.second}, %", "points", "n texts"]
        told = "The confusions that differ in most texts, as shares of the texts of the true label."
        blocks.append(Table(heads, rows, told))
    return Section("confusion", title, blocks)


def confusion_shares(runs: Sequence[Predictions]) -> NDArray[np.float64]:
    """Share (C, C) in percent of each true class (row) that is given each label, over all seeds.

    The row of a class that no test text has is NaN.
    """
    size = len(runs[0].label_names)
    counts = np.zeros((size, size))
    for run in runs:
        pairs = run.labels * size + run.predictions
        counts += np.bincount(pairs, minlength=size * size).reshape(size, size)
    with np.errstate(invalid="ignore"):
        shares: NDArray[np.float64] = 100 * counts / counts.sum(axis=1, keepdims=True)
    return shares


def confusion_figure(difference: NDArray[np.float64], names: Sequence[str]) -> "Figure":
    """Share of each true class (row) that one group gives a label (column) more than another.

    `difference` (C, C) is in points of the row; what is above 0 is orange.
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
        rasterized=size > 12,  # or thousands of squares would make the page heavy
    )
    axes.invert_yaxis()
    middles = np.arange(size) + 0.5
    if size <= 12:
        shown = [shortened(name, 14) for name in names]
        axes.set_xticks(middles, shown, fontsize=9, rotation=90 if size > 4 else 0)
        axes.set_yticks(middles, shown, fontsize=9)
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
    axes.set_xlabel("label given", fontsize=10)
    axes.set_ylabel("true label", fontsize=10)
    scale = figure.colorbar(image, shrink=0.8)
    scale.ax.tick_params(labelsize=9)
    scale.set_label("points of the true label", fontsize=9)
    return figure
