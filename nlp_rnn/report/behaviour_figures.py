"""What a mean hides becomes figures: lengths, trust in probabilities, confusions."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.report.behaviour import LengthBand, Reliability
from nlp_rnn.report.figure_files import INK, Style, axes_of, legend_above, new_figure, shortened

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["confusion_figure", "length_figure", "reliability_figure"]


def length_figure(
    bands: Mapping[str, Sequence[LengthBand]], styles: Mapping[str, Style], unit: str
) -> "Figure":
    """The share right of each group over the length of a text; n of each band under the axis."""
    figure = new_figure(3.3)
    axes = axes_of(figure, "tokens of a text, and number of test texts", unit)
    wide = min(0.16, 0.7 / len(bands))
    for place, (name, row) in enumerate(bands.items()):
        style = styles[name]
        at = np.arange(len(row)) + (place - (len(bands) - 1) / 2) * wide
        middle = np.array([100 * band.share for band in row])
        low = np.array([100 * band.low for band in row])
        high = np.array([100 * band.high for band in row])
        axes.vlines(at, low, high, color=style.colour, lw=1.4, alpha=0.6)
        axes.plot(
            at, middle, style.dash, marker=style.marker, color=style.colour, lw=1.5, ms=5.5,
            label=shortened(name),
        )  # fmt: skip
    first = next(iter(bands.values()), [])
    axes.set_xticks(
        range(len(first)), [f"{_range(band)}\nn={band.texts:,}" for band in first], fontsize=9
    )
    legend_above(axes)
    return figure


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


def _range(band: LengthBand) -> str:
    return f"{band.shortest}" if band.shortest == band.longest else (
        f"{band.shortest}–{band.longest}"
    )  # fmt: skip
