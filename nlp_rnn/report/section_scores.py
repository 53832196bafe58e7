"""section_scores."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from nlp_rnn.comparison.records import Configuration
from nlp_rnn.report.context import Material, on_the_scale, percent
from nlp_rnn.report.figure_files import (
    CONTROL,
    INK,
    PALE,
    Style,
    axes_of,
    name_row,
    new_figure,
    shortened,
)
from nlp_rnn.report.page import (
    Figures,
    Missing,
    Section,
    Table,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from nlp_rnn.comparison.records import Interval

__all__ = ["seed_figure", "seed_section", "table_section"]


def _answer(share: str) -> tuple[str, ...]:
    return tuple(f"latency/{runtime}_batch1_{share}_ms" for runtime in ("onnx", "sklearn"))


# Heads of the table, the metric of a run (or the next) behind each, how a mean of it is written.
COLUMNS = (
    ("embedding parameters", ("parameters/embedding",), "{:,.0f}"),
    ("recurrent parameters", ("parameters/recurrent",), "{:,.0f}"),
    ("head parameters", ("parameters/head",), "{:,.0f}"),
    ("training, seconds", ("train/seconds",), "{:,.1f}"),
    ("training, tokens/s", ("train/tokens_per_second",), "{:,.0f}"),
    ("one answer p50, ms", _answer("p50"), "{:.2f}"),
    ("one answer p95, ms", _answer("p95"), "{:.2f}"),
)


def table_section(material: Material) -> Section:
    """Every group in a row, the yardsticks first; without yardsticks no table."""
    comparison = material.comparison
    title = "All groups, controls first"
    if not comparison.baselines:
        missing = Missing(
            "No table is shown, because a score without a yardstick misleads: neither the majority "
            "class, nor a linear model, nor the average of embeddings was available on this split."
        )
        return Section("table", title, [missing])
    groups = [*comparison.baselines, *comparison.configurations]
    quiet = frozenset(range(len(comparison.baselines)))
    metric = comparison.rules.metric
    other, key = ("macro-F1", "macro_f1") if metric == "accuracy" else ("accuracy", "accuracy")
    scores = Table(
        [
            "group",
            "seeds",
            f"test {material.score_name}, %",
            "95 % interval",
            "sd of seeds",
            f"test {other}, %",
        ],
        [
            [
                group.name,
                _seeds(group),
                percent(group.score.mean, 2),
                _range(group.score.low, group.score.high),
                percent(group.sd, 2),
                percent(100 * group.means.get(f"test/{key}", math.nan), 2),
            ]
            for group in groups
        ],
        f"Means over the seeds; n = {material.num_texts:,} test texts. The interval counts seeds "
        "and texts as chance; with one seed, texts only. Grey rows are yardsticks: what is no "
        "better than they are has no use for a recurrent layer. A dash: not measured.",
        quiet,
    )
    columns = [e for e in COLUMNS if any(name in g.means for name in e[1] for g in groups)]
    if not columns:
        return Section("table", title, [scores])
    costs = Table(
        ["group", *(head for head, _, _ in columns)],
        [
            [group.name, *(_mean(group, metrics, form) for _, metrics, form in columns)]
            for group in groups
        ],
        "Size and speed, means over the seeds. One answer: one test text on onnxruntime (a linear "
        "model: scikit-learn), one thread; p50 is the median, p95 what 95 % of answers stay below."
        + ("" if comparison.same_machine else " Times are of several machines: not comparable."),
        quiet,
    )
    return Section("table", title, [scores, costs])


def seed_section(material: Material) -> Section:
    """A dot for every seed."""
    comparison = material.comparison
    groups = [
        group for group in (*comparison.baselines, *comparison.configurations) if group.scores
    ]
    title = "Every seed"
    if not any(group.scores for group in comparison.configurations):
        return Section("seeds", title, [Missing("No run of any group has a test score.")])
    close, far = on_the_scale(groups)
    figure = seed_figure(
        {group.name: group.scores for group in close},
        {group.name: group.score for group in close if math.isfinite(group.score.low)},
        material.styles,
        f"test {material.score_name} (%)",
        frozenset(group.name for group in close if group.is_baseline),
    )
    material.tables["seeds"] = [
        {"group": group.name, "control": group.is_baseline, "seed": seed, "score": score}
        for group in groups
        for seed, score in group.scores.items()
    ]
    caption = (
        f"Each dot is a training with its own seed, tested on the same n = {material.num_texts:,} "
        "texts; grey lines join the same seed. The bar under the dots is the mean with its 95 % "
        "interval over seeds and texts." + far
    )
    picture = material.picture(figure, "seeds", f"Test {material.score_name} of every seed")
    return Section("seeds", title, [Figures([(picture, caption)])])


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
        name_row(
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


def _mean(group: Configuration, metrics: Sequence[str], form: str) -> str:
    value = next((group.means[name] for name in metrics if name in group.means), math.nan)
    return form.format(value) if math.isfinite(value) else "–"


def _seeds(group: Configuration) -> str:
    """How many; a control without chance has none."""
    return str(len(group.runs)) if any(run.seed is not None for run in group.runs) else "–"


def _range(low: float, high: float) -> str:
    return f"{low:.1f} to {high:.1f}" if math.isfinite(low) and math.isfinite(high) else "–"
