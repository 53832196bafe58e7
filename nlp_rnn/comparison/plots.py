"""Scores, differences, costs and curves become figures, each with its units and its n."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.comparison.pictures import CONTROL, INK, PALE, Style, axes_of, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from nlp_rnn.comparison.behaviour import LengthBand, Reliability
    from nlp_rnn.comparison.evidence import Interval

__all__ = [
    "Cost",
    "Curve",
    "confusion_figure",
    "cost_figure",
    "curve_figure",
    "difference_figure",
    "length_figure",
    "reliability_figure",
    "seed_figure",
]


@dataclass(frozen=True)
class Cost:
    """Where a group stands between cost and quality.

    Attributes:
        cost: one number for each seed, in the unit of the axis.
        score: the score of the same seeds in percent.
        control: whether the group is a yardstick and no candidate.
    """

    cost: NDArray[np.float64]
    score: NDArray[np.float64]
    control: bool = False


@dataclass(frozen=True)
class Curve:
    """How the validation score of one training rose: `at` (updates or seconds) and percent."""

    at: NDArray[np.float64]
    score: NDArray[np.float64]


def seed_figure(
    scores: Mapping[str, Mapping[int, float]],
    spreads: Mapping[str, "Interval"],
    styles: Mapping[str, Style],
    unit: str,
    controls: frozenset[str],
) -> "Figure":
    """A row for each group: a dot for each seed, the mean and its interval, seeds joined.

    `scores` maps group and seed to percent; `unit` names the axis; `controls` are drawn in grey.
    """
    figure = new_figure(0.9 + 0.72 * len(scores))
    axes = axes_of(figure, unit)
    names = list(scores)
    for place, name in enumerate(names):
        height, style = -place, styles[name]
        colour = CONTROL if name in controls else style.colour
        below = scores[names[place + 1]] if place + 1 < len(names) else {}
        if {name, *names[place + 1 : place + 2]} & controls:
            below = {}
        for seed, value in scores[name].items():
            if seed in below:
                axes.plot([value, below[seed]], [height, height - 1], color=PALE, lw=0.9, zorder=1)
        values = list(scores[name].values())
        axes.plot(
            values,
            [height] * len(values),
            style.marker,
            color=colour,
            ms=6.5,
            alpha=0.75,
            mec="white",
            mew=0.6,
            zorder=3,
        )
        if name in spreads:
            spread = spreads[name]
            at = height - 0.2
            axes.plot([spread.low, spread.high], [at, at], color=INK, lw=1.6, zorder=2)
            axes.plot([spread.mean], [at], "|", color=INK, ms=10, mew=2, zorder=4)
        count = f"{len(values)} seed{'s' if len(values) != 1 else ''}"
        _name_row(
            axes,
            height,
            f"{_short(name)}  ({count})" if name not in controls else _short(name),
            colour,
        )
    axes.set_ylim(0.72 - len(names), 0.62)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.margins(x=0.08)
    return figure


def difference_figure(differences: Mapping[str, "Interval"], rope: float, unit: str) -> "Figure":
    """A row for each pair: the paired difference with its interval, over the ROPE's band.

    `differences`, by words such as `A − B`, and `rope`, the half width, are in points.
    """
    figure = new_figure(1.0 + 0.62 * len(differences))
    axes = axes_of(figure, unit)
    axes.axvspan(-rope, rope, color="#DCEBF5", zorder=0, lw=0)
    axes.axvline(0, color="#8A8A8A", lw=1, zorder=1)
    for place, (name, spread) in enumerate(differences.items()):
        axes.plot([spread.low, spread.high], [-place, -place], color=INK, lw=2.2, zorder=3)
        axes.plot([spread.mean], [-place], "D", color=INK, ms=7, mec="white", mew=0.8, zorder=4)
        said = f"{_short(name, 44)}: {spread.mean:+.2f} [{spread.low:+.2f}, {spread.high:+.2f}]"
        _name_row(axes, -place, said, INK)
    edge = 1.15 * max(
        [2 * rope, *(max(abs(each.low), abs(each.high)) for each in differences.values())]
    )
    if np.isfinite(edge) and edge > 0:
        axes.set_xlim(-edge, edge)
    axes.set_ylim(0.6 - len(differences), 0.75)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    return figure


def length_figure(
    bands: Mapping[str, Sequence["LengthBand"]], styles: Mapping[str, Style], unit: str
) -> "Figure":
    """The share right of each group over the length of a text; n of each band under the axis."""
    figure = new_figure(3.3)
    axes = axes_of(figure, "tokens of a text, and number of test texts", unit)
    wide = 0.16 if len(bands) > 1 else 0.0
    for place, (name, row) in enumerate(bands.items()):
        style = styles[name]
        at = np.arange(len(row)) + (place - (len(bands) - 1) / 2) * wide
        middle = np.array([100 * band.share for band in row])
        low = np.array([100 * band.low for band in row])
        high = np.array([100 * band.high for band in row])
        axes.vlines(at, low, high, color=style.colour, lw=1.4, alpha=0.6)
        axes.plot(
            at, middle, style.dash, marker=style.marker, color=style.colour, lw=1.5, ms=5.5,
            label=_short(name),
        )  # fmt: skip
    first = next(iter(bands.values()), [])
    axes.set_xticks(
        range(len(first)), [f"{_range(band)}\nn={band.texts:,}" for band in first], fontsize=9
    )
    _legend(axes)
    return figure


def cost_figure(
    costs: Mapping[str, Cost], styles: Mapping[str, Style], across: str, up: str
) -> "Figure":
    """Quality over cost: each seed small, each group's mean large, the best trade-offs joined."""
    from matplotlib.ticker import EngFormatter

    figure = new_figure(3.3)
    axes = axes_of(figure, across, up)
    means = {name: (float(np.mean(c.cost)), float(np.mean(c.score))) for name, c in costs.items()}
    for name, cost in costs.items():
        colour = CONTROL if cost.control else styles[name].colour
        marker = styles[name].marker
        axes.plot(cost.cost, cost.score, marker, color=colour, ms=4, alpha=0.45, mew=0)
        x, y = means[name]
        axes.plot(
            [x], [y], marker, color=colour, ms=9, mec="white", mew=0.9, label=_short(name), zorder=4
        )
    front = _front(list(means.values()))
    axes.plot(*zip(*front, strict=True), color=PALE, lw=1.4, zorder=1, drawstyle="steps-post")
    every = np.concatenate([cost.cost for cost in costs.values()])
    if every.min() > 0 and every.max() / every.min() > 8:
        axes.set_xscale("log")
    if every.max() >= 10_000:
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.margins(0.12)
    _legend(axes)
    return figure


def curve_figure(
    curves: Mapping[str, Sequence[Curve]], styles: Mapping[str, Style], across: str, up: str
) -> "Figure":
    """Validation score of every training: a thin line a seed, its best point marked."""
    figure = new_figure(3.3)
    axes = axes_of(figure, across, up)
    for name, runs in curves.items():
        style = styles[name]
        for place, curve in enumerate(runs):
            label = f"{_short(name)} ({len(runs)})" if place == 0 else None
            axes.plot(
                curve.at, curve.score, style.dash, color=style.colour, lw=1.3, alpha=0.75,
                label=label,
            )  # fmt: skip
            if np.isfinite(curve.score).any():
                best = int(np.nanargmax(curve.score))
                axes.plot(
                    [curve.at[best]], [curve.score[best]], style.marker, color=style.colour, ms=6,
                    mec="white", mew=0.6,
                )  # fmt: skip
    axes.set_xlim(left=0)
    _legend(axes)
    return figure


def reliability_figure(found: Mapping[str, "Reliability"], styles: Mapping[str, Style]) -> "Figure":
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
            label=_short(name),
        )  # fmt: skip
    axes.set_xlim(0, 103)
    axes.set_ylim(0, 103)
    _legend(axes)
    return figure


def confusion_figure(
    difference: NDArray[np.float64], names: Sequence[str], first: str, second: str
) -> "Figure":
    """Share of each true class (row) that `first` gives a label (column) more than `second`.

    `difference` (C, C) is in points of the row.
    """
    from matplotlib.colors import Normalize

    size = len(names)
    figure = new_figure(min(5.2, 1.9 + 0.42 * size) if size <= 12 else 4.8)
    axes = figure.add_subplot()
    edge = max(float(np.abs(difference).max()), 1e-9)
    image = axes.imshow(difference, cmap="PuOr_r", norm=Normalize(-edge, edge), aspect="auto")
    if size <= 12:
        shown = [_short(name, 14) for name in names]
        axes.set_xticks(range(size), shown, fontsize=9, rotation=90 if size > 4 else 0)
        axes.set_yticks(range(size), shown, fontsize=9)
        for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
            label.set_parse_math(False)
        for (row, column), value in np.ndenumerate(difference):
            if abs(value) >= 0.05:
                axes.text(
                    column,
                    row,
                    f"{value:+.1f}",
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
    scale.ax.set_title(f"{_short(first, 10)}\nmore", fontsize=8.5)
    return figure


def _front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points that none beats in both cost (lower) and score (higher), by rising cost."""
    front: list[tuple[float, float]] = []
    for cost, score in sorted(points, key=lambda point: (point[0], -point[1])):
        if not front or score > front[-1][1]:
            front.append((cost, score))
    return front


def _name_row(axes: "Axes", height: float, words: str, colour: str) -> None:
    axes.text(
        0.005,
        height + 0.24,
        words,
        transform=axes.get_yaxis_transform(),
        fontsize=10.5,
        color=colour,
        parse_math=False,
        va="bottom",
    )


def _legend(axes: "Axes") -> None:
    legend = axes.legend(
        frameon=False, fontsize=10, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2,
        borderaxespad=0.2, columnspacing=1.2, handlelength=1.8,
    )  # fmt: skip
    for text in legend.get_texts():
        text.set_parse_math(False)


def _range(band: "LengthBand") -> str:
    return f"{band.shortest}" if band.shortest == band.longest else (
        f"{band.shortest}–{band.longest}"
    )  # fmt: skip


def _short(name: str, most: int = 30) -> str:
    words = " ".join(name.split())
    return words if len(words) <= most else words[: most - 1] + "…"
