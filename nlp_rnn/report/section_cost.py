"""Section on costs: test score over latency, number of parameters and training time."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.comparison.records import Configuration
from nlp_rnn.report.context import ReportContext, within_scale
from nlp_rnn.report.figure_files import (
    BASELINE_COLOUR,
    PALE,
    LineStyle,
    add_axes,
    legend_above,
    new_figure,
    shorten,
)
from nlp_rnn.report.page import Block, Figures, Paragraph, Placeholder, Section

if TYPE_CHECKING:
    from matplotlib.figure import Figure


__all__ = ["Cost", "cost_figure", "cost_section"]

# Name of the figure, metrics (the first that a configuration has is drawn), label of the axis,
# name of the cost if it is missing.
COSTS = (
    (
        "latency",
        ("latency/onnx_batch1_p95_ms", "latency/sklearn_batch1_p95_ms"),
        "latency (one text), p95 (ms)",
        "latency",
    ),
    ("parameters", ("parameters/total",), "parameters", "number of parameters"),
    ("training_time", ("train/seconds",), "training and validation (s)", "training time"),
)


@dataclass(frozen=True)
class Cost:
    """Cost and test score of the runs of one configuration.

    Attributes
    ----------
    cost : float64 (R,)
        Cost of each of the R runs, in the unit of the axis.
    score : float64 (R,)
        Test score of the same runs in percent.
    is_baseline : bool
        Whether the configuration is a baseline, which is drawn in grey.
    """

    cost: NDArray[np.float64]
    score: NDArray[np.float64]
    is_baseline: bool


def cost_section(context: ReportContext) -> Section:
    """Return the section: test score over latency, number of parameters and training time."""
    comparison = context.comparison
    figures, missing = [], []
    for name, metrics, xlabel, missing_name in COSTS:
        measured = [
            configuration
            for configuration in (*comparison.configurations, *comparison.baselines)
            if _cost(configuration, metrics) is not None
        ]
        if all(configuration.is_baseline for configuration in measured):
            missing.append(missing_name)
            continue
        drawn, outside = within_scale(measured)
        costs = {c.name: cost for c in drawn if (cost := _cost(c, metrics)) is not None}
        context.tables[f"cost_{name}"] = [
            {
                "configuration": key,
                "baseline": cost.is_baseline,
                "cost": float(x),
                "score": float(y),
            }
            for key, cost in costs.items()
            for x, y in zip(cost.cost, cost.score, strict=True)
        ]
        ylabel = f"test {context.score_name} (%)"
        figure = cost_figure(costs, context.styles, xlabel, ylabel)
        saved = context.save_figure(figure, f"cost_{name}", f"{ylabel} over {xlabel}")
        runs = ", ".join(f"{key} {len(cost.cost)}" for key, cost in costs.items())
        runtime = ""
        if name == "latency":
            linear = [c.name for c in drawn if metrics[0] not in c.means]
            runtime = " on onnxruntime"
            runtime += f" ({', '.join(linear)}: scikit-learn)" if linear else ""
        caption = (
            f"Test {context.score_name} over {xlabel}{runtime}. Runs: {runs}; "
            f"n = {context.num_texts:,} test texts.{outside}"
        )
        figures.append((saved, caption))
    blocks: list[Block] = []
    if figures:
        explanation = (
            "Up and to the left is better. Small marks are runs, large marks are the means of the "
            "configurations. The line connects the configurations for which no other is better in "
            "both score and cost; there is no line if one configuration is best in both. Baselines "
            "are grey."
        )
        blocks += [Paragraph(explanation), Figures(figures)]
    if not comparison.same_machine:
        machines = (
            "The times come from several machines, so they are not comparable. The scores and "
            "numbers of parameters are comparable."
        )
        blocks.append(Paragraph(machines))
    if missing:
        unavailable = (
            f"The runs have not logged the {' and the '.join(missing)}. Runs of this version of "
            "nlp-rnn log it after training; nlp-rnn bench measures the latency of a saved "
            "classifier."
        )
        blocks.append(Placeholder(unavailable))
    return Section("cost", "Score and cost", blocks)


def cost_figure(
    costs: Mapping[str, Cost], styles: Mapping[str, LineStyle], xlabel: str, ylabel: str
) -> "Figure":
    """Draw the score over the cost: small marks are runs, large marks are means.

    A line connects the Pareto front of the means.
    """
    from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullFormatter

    figure = new_figure(3.3)
    axes = add_axes(figure, xlabel, ylabel)
    means = {name: (float(np.mean(c.cost)), float(np.mean(c.score))) for name, c in costs.items()}
    for name, cost in costs.items():
        colour = BASELINE_COLOUR if cost.is_baseline else styles[name].colour
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
            label=shorten(name),
            zorder=4,
        )
    front = _front(list(means.values()))
    axes.plot(*zip(*front, strict=True), color=PALE, lw=1.4, zorder=1, drawstyle="steps-post")
    values = np.concatenate([cost.cost for cost in costs.values()])
    if values.min() > 0 and values.max() / values.min() > 8:
        axes.set_xscale("log")
        decades = np.log10(values.max() / values.min())
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 2 else (1,)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
    if values.max() >= 10_000:
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    if axes.get_xscale() == "linear":
        axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.margins(0.12)
    legend_above(axes)
    return figure


def _cost(configuration: Configuration, metrics: Sequence[str]) -> Cost | None:
    """Return cost and score of the runs that have both, by the first metric all runs have."""
    means = configuration.means
    metric = next((name for name in metrics if math.isfinite(means.get(name, math.nan))), "")
    values = [
        (cost, score)
        for run in configuration.runs
        if math.isfinite(cost := run.metrics.get(metric, math.nan))
        and math.isfinite(score := configuration.scores.get(run.seed or 0, math.nan))
    ]
    if not values:
        return None
    cost, score = np.array(values, dtype=np.float64).T
    return Cost(cost, score, configuration.is_baseline)


def _front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the Pareto front: lower cost and higher score are better, ordered by cost."""
    front: list[tuple[float, float]] = []
    for cost, score in sorted(points, key=lambda point: (point[0], -point[1])):
        if not front or score > front[-1][1]:
            front.append((cost, score))
    return front
