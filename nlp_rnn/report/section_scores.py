"""Sections on test scores: the table of all configurations, and the scores of every seed."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from nlp_rnn.comparison.records import Configuration
from nlp_rnn.comparison.rules import METRIC_NAMES, METRICS
from nlp_rnn.report.context import ReportContext, format_percent, within_scale
from nlp_rnn.report.figure_files import (
    BASELINE_COLOUR,
    INK,
    PALE,
    LineStyle,
    add_axes,
    new_figure,
    shorten,
    write_row_name,
)
from nlp_rnn.report.page import Figures, Placeholder, Section, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from nlp_rnn.comparison.records import Interval

__all__ = ["seeds_figure", "seeds_section", "table_section"]


def _latency(share: str) -> tuple[str, ...]:
    return tuple(
        f"latency/{runtime}_batch1_{share}_ms" for runtime in ("onnx", "sklearn", "external")
    )


# Column head, metrics (the first that a run has is shown), format of the mean.
COLUMNS = (
    ("embedding parameters", ("parameters/embedding",), "{:,.0f}"),
    ("recurrent parameters", ("parameters/recurrent",), "{:,.0f}"),
    ("head parameters", ("parameters/head",), "{:,.0f}"),
    ("training, seconds", ("train/seconds",), "{:,.1f}"),
    ("training, tokens/s", ("train/tokens_per_second",), "{:,.0f}"),
    ("latency p50, ms", _latency("p50"), "{:.2f}"),
    ("latency p95, ms", _latency("p95"), "{:.2f}"),
)


def table_section(context: ReportContext) -> Section:
    """Return the section: tables of the scores, sizes and times of all configurations.

    Without a baseline there is no table.
    """
    comparison = context.comparison
    title = "All configurations, baselines first"
    if not comparison.baselines:
        missing = Placeholder(
            "No table is shown, because a score without a baseline is misleading. Neither the "
            "majority class, nor a linear model, nor the average of embeddings is available on "
            "this split. Run nlp-rnn baselines with the same data."
        )
        return Section("table", title, [missing])
    rows = context.baselines_first
    muted = frozenset(range(len(comparison.baselines)))
    task = "multi-label" if comparison.is_multi_label else "single-label"
    others = [metric for metric in METRICS[task] if metric != comparison.rules.metric]
    scores = Table(
        [
            "configuration",
            "seeds",
            f"test {context.score_name}, %",
            "95 % interval",
            "sd of seeds",
            *(f"test {METRIC_NAMES[metric]}, %" for metric in others),
        ],
        [
            [
                row.name,
                _seeds(row),
                format_percent(row.score.mean, 2),
                _range(row.score.low, row.score.high),
                format_percent(row.sd, 2),
                *(
                    format_percent(100 * row.means.get(f"test/{metric}", math.nan), 2)
                    for metric in others
                ),
            ]
            for row in rows
        ],
        f"Means over the seeds; n = {context.num_texts:,} test texts. The interval accounts for "
        "the variation of seeds and texts, or of texts only if there is one seed. Grey rows are "
        "baselines: a configuration that is no better does not need a recurrent layer. A dash "
        "means that the value was not measured.",
        muted,
    )
    columns = [c for c in COLUMNS if any(name in row.means for name in c[1] for row in rows)]
    if not columns:
        return Section("table", title, [scores])
    costs = Table(
        ["configuration", *(head for head, _, _ in columns)],
        [[row.name, *(_mean(row, metrics, form) for _, metrics, form in columns)] for row in rows],
        "Sizes and times, means over the seeds. Latency of one test text on onnxruntime (linear "
        "models: scikit-learn; predictions from files: as measured there), one thread; p50 is the "
        "median, p95 the 95th percentile."
        + (
            ""
            if comparison.same_machine
            else " The times come from several machines, so they are not comparable."
        ),
        muted,
    )
    return Section("table", title, [scores, costs])


def seeds_section(context: ReportContext) -> Section:
    """Return the section: the test score of every seed, with the mean and its interval."""
    title = "Test score of every seed"
    if not any(c.scores for c in context.comparison.configurations):
        return Section("seeds", title, [Placeholder("No run has a test score.")])
    scored = [c for c in context.baselines_first if c.scores]
    drawn, outside = within_scale(scored)
    figure = seeds_figure(
        {c.name: c.scores for c in drawn},
        {c.name: c.score for c in drawn if math.isfinite(c.score.low)},
        context.styles,
        f"test {context.score_name} (%)",
        frozenset(c.name for c in drawn if c.is_baseline),
    )
    context.tables["seeds"] = [
        {"configuration": c.name, "baseline": c.is_baseline, "seed": seed, "score": score}
        for c in scored
        for seed, score in c.scores.items()
    ]
    caption = (
        f"Each dot is one training run, tested on the same n = {context.num_texts:,} texts; grey "
        "lines connect the same seed. The bar below the dots is the mean with its 95 % interval "
        "over seeds and texts." + outside
    )
    saved = context.save_figure(figure, "seeds", f"Test {context.score_name} of every seed")
    return Section("seeds", title, [Figures([(saved, caption)])])


def seeds_figure(
    scores: Mapping[str, Mapping[int, float]],
    intervals: Mapping[str, "Interval"],
    styles: Mapping[str, LineStyle],
    xlabel: str,
    baselines: frozenset[str],
) -> "Figure":
    """Draw one row per configuration: a dot per seed, the mean and its interval.

    Lines connect the same seed in neighbouring rows. `scores` maps the name of a configuration and
    the seed to percent. The rows of `baselines` are grey.
    """
    figure = new_figure(0.9 + 0.72 * len(scores))
    axes = add_axes(figure, xlabel)
    names = list(scores)
    for row, name in enumerate(names):
        height, style = -row, styles[name]
        colour = BASELINE_COLOUR if name in baselines else style.colour
        below = scores[names[row + 1]] if row + 1 < len(names) else {}
        if {name, *names[row + 1 : row + 2]} & baselines:
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
        if name in intervals:
            interval = intervals[name]
            at = height - 0.2
            axes.plot([interval.low, interval.high], [at, at], color=INK, lw=1.6, zorder=2)
            axes.plot([interval.mean], [at], "|", color=INK, ms=10, mew=2, zorder=4)
        count = f"{len(values)} seed{'s' if len(values) != 1 else ''}"
        write_row_name(
            axes,
            height,
            f"{shorten(name)}  ({count})" if name not in baselines else shorten(name),
            colour,
        )
    axes.set_ylim(0.72 - len(names), 0.62)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.margins(x=0.08)
    return figure


def _mean(configuration: Configuration, metrics: Sequence[str], form: str) -> str:
    means = configuration.means
    value = next((means[name] for name in metrics if name in means), math.nan)
    return form.format(value) if math.isfinite(value) else "–"


def _seeds(configuration: Configuration) -> str:
    """Return the number of seeds; a deterministic baseline has none."""
    runs = configuration.runs
    return str(len(runs)) if any(run.seed is not None for run in runs) else "–"


def _range(low: float, high: float) -> str:
    return f"{low:.1f} to {high:.1f}" if math.isfinite(low) and math.isfinite(high) else "–"
