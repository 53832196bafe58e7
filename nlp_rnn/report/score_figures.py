"""Scores, differences, costs and curves become figures, each with its units and its n."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.report.figure_files import (
    CONTROL,
    INK,
    PALE,
    Style,
    axes_of,
    legend_above,
    new_figure,
    shortened,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from nlp_rnn.comparison.records import Interval

__all__ = [
    "Cost",
    "Curve",
    "cost_figure",
    "curve_figure",
    "difference_figure",
    "seed_figure",
]


LETTERS = 52
"""That fit into a row of a picture."""


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
            f"{shortened(name)}  ({count})" if name not in controls else shortened(name),
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
        mean, low, high = (f"{each:+.2f}" for each in (spread.mean, spread.low, spread.high))
        numbers = f"{mean} [{low}, {high}]".replace("-", "−")
        said = f"{name}: {numbers if np.isfinite(spread.mean) else 'unknown'}"
        if len(said) > LETTERS:  # the numbers stand in the table as well
            said = shortened(name, LETTERS)
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


def cost_figure(
    costs: Mapping[str, Cost], styles: Mapping[str, Style], across: str, up: str
) -> "Figure":
    """Quality over cost: each seed small, each group's mean large, the best trade-offs joined."""
    from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullFormatter

    figure = new_figure(3.3)
    axes = axes_of(figure, across, up)
    means = {name: (float(np.mean(c.cost)), float(np.mean(c.score))) for name, c in costs.items()}
    for name, cost in costs.items():
        colour = CONTROL if cost.control else styles[name].colour
        marker = styles[name].marker
        axes.plot(cost.cost, cost.score, marker, color=colour, ms=4, alpha=0.45, mew=0)
        x, y = means[name]
        axes.plot(
            [x],
            [y],
            marker,
            color=colour,
            ms=9,
            mec="white",
            mew=0.9,
            label=shortened(name),
            zorder=4,
        )
    front = _front(list(means.values()))
    axes.plot(*zip(*front, strict=True), color=PALE, lw=1.4, zorder=1, drawstyle="steps-post")
    every = np.concatenate([cost.cost for cost in costs.values()])
    if every.min() > 0 and every.max() / every.min() > 8:
        axes.set_xscale("log")
        decades = np.log10(every.max() / every.min())
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 2 else (1,)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
    if every.max() >= 10_000:
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    if axes.get_xscale() == "linear":
        axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.margins(0.12)
    legend_above(axes)
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
            label = f"{shortened(name)} ({len(runs)})" if place == 0 else None
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
    legend_above(axes)
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
        in_layout=False,  # a long name is cut at the edge, it does not squeeze the axes
    )
