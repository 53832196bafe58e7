"""section_cost."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.comparison.records import Configuration
from nlp_rnn.report.context import Material, on_the_scale
from nlp_rnn.report.figure_files import (
    CONTROL,
    PALE,
    Picture,
    Style,
    axes_of,
    legend_above,
    new_figure,
    shortened,
)
from nlp_rnn.report.page import (
    Block,
    Figures,
    Missing,
    Section,
    Words,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


__all__ = ["Cost", "cost_figure", "cost_section"]

# Name of the picture, the metric of a run or the next, the axis, and what is missing without it.
COSTS = (
    (
        "latency",
        ("latency/onnx_batch1_p95_ms", "latency/sklearn_batch1_p95_ms"),
        "one answer, p95 (ms)",
        "latency",
    ),
    ("parameters", ("parameters/total",), "parameters", "the number of parameters"),
    ("training_time", ("train/seconds",), "training with validation (s)", "training time"),
)


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


def cost_section(material: Material) -> Section:
    """Quality over latency, parameters and training time."""
    comparison = material.comparison
    figures, missing = [], []
    for name, metrics, across, words in COSTS:
        found = {
            g.name: _measured(g, metrics)
            for g in (*comparison.configurations, *comparison.baselines)
        }
        groups = [g for g in (*comparison.configurations, *comparison.baselines) if found[g.name]]
        if not any(not group.is_baseline for group in groups):
            missing.append(words)
            continue
        groups, far = on_the_scale(groups)
        picture = _cost_picture(material, groups, found, name, across)
        seeds = ", ".join(f"{each.name} {len(found[each.name])}" for each in groups)
        by = ""
        if name == "latency":
            linear = [g.name for g in groups if metrics[0] not in g.means]
            by = "; on onnxruntime" + (f", {', '.join(linear)} on scikit-learn" if linear else "")
        figures.append(
            (
                picture,
                f"Test {material.score_name} over {across}{by}; runs: {seeds}; "
                f"n = {material.num_texts:,} test texts.{far}",
            )
        )
    blocks: list[Block] = []
    if figures:
        blocks += [
            Words(
                "Up and to the left is better. Small marks are runs, large ones the means of their "
                "groups; the line joins groups that none beats in both, and there is no line where "
                "one group is best in both. Controls are grey."
            ),
            Figures(figures),
        ]
    if not comparison.same_machine:
        blocks.append(
            Words(
                "The times come from several machines: do not compare them. The scores and sizes "
                "are comparable."
            )
        )
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        blocks.append(
            Missing(
                f"Not drawn, because the runs do not hold it: {' and '.join(missing)} {verb} "
                "missing. Runs of this version of nlp-rnn measure it after training; nlp-rnn bench "
                "measures a saved classifier."
            )
        )
    return Section("cost", "What quality costs", blocks)


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


def _cost_picture(
    material: Material,
    groups: list[Configuration],
    found: Mapping[str, list[tuple[float, float]]],
    name: str,
    across: str,
) -> Picture:
    costs = {}
    for group in groups:
        cost, score = np.array(found[group.name], dtype=np.float64).T
        costs[group.name] = Cost(cost, score, group.is_baseline)
    material.tables[f"cost_{name}"] = [
        {"group": group.name, "control": group.is_baseline, "cost": float(x), "score": float(y)}
        for group in groups
        for x, y in zip(costs[group.name].cost, costs[group.name].score, strict=True)
    ]
    up = f"test {material.score_name} (%)"
    figure = cost_figure(costs, material.styles, across, up)
    return material.picture(figure, f"cost_{name}", f"{up} over {across}")


def _measured(group: Configuration, metrics: Sequence[str]) -> list[tuple[float, float]]:
    """Cost, by the first of the metrics that all runs have, and score of the runs."""
    found = []
    metric = next((m for m in metrics if math.isfinite(group.means.get(m, math.nan))), "")
    for run in group.runs:
        cost = run.metrics.get(metric, math.nan)
        score = group.scores.get(run.seed if run.seed is not None else 0, math.nan)
        if math.isfinite(cost) and math.isfinite(score):
            found.append((cost, score))
    return found


def _front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points that none beats in both cost (lower) and score (higher), by rising cost."""
    front: list[tuple[float, float]] = []
    for cost, score in sorted(points, key=lambda point: (point[0], -point[1])):
        if not front or score > front[-1][1]:
            front.append((cost, score))
    return front
