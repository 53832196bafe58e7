"""Section on the differences between two configurations: figure, tests, pairs without a difference.

A pair consists of two configurations. Their predictions for each test text are compared for the
seeds that both were trained with. Pairs that are not comparable are listed with the reason.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from nlp_rnn.comparison.records import Comparison, Difference
from nlp_rnn.report.context import ReportContext, format_percent, format_points
from nlp_rnn.report.figure_files import INK, add_axes, new_figure, shorten, write_row_name
from nlp_rnn.report.page import Block, BulletList, Figures, Paragraph, Placeholder, Section, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from nlp_rnn.comparison.records import Interval

__all__ = ["CRITERIA", "difference_figure", "difference_section", "why_no_difference"]

TESTS = {
    "bootstrap": "paired bootstrap",
    "mcnemar": "McNemar (texts)",
    "wilcoxon": "Wilcoxon (seeds)",
}
CRITERIA = {"size": "hidden size", "parameters": "parameters", "latency": "latency"}
"""Matching criteria of two cells (`model.match`) with the names that the report shows."""

MAX_COLUMNS = 2
"""Largest number of pairs that are shown as columns of the table; more pairs are rows."""

MAX_LETTERS = 52
"""Length of the longest label that fits into a row of the figure."""


def difference_section(context: ReportContext) -> Section:
    """Return the section: a figure of the differences, a table of the tests, and remarks.

    The figure shows the 95 % interval of each difference and the equivalence region (ROPE). If no
    difference could be computed, the section says why.
    """
    comparison = context.comparison
    differences = comparison.differences
    blocks: list[Block] = []
    if differences:
        figure = difference_figure(
            {_name(pair): pair.interval for pair in differences},
            comparison.rules.rope,
            f"difference in test {context.score_name} (points)",
        )
        caption = (
            f"Differences paired by seed and by text, n = {differences[0].texts:,} texts × "
            f"{_num_shared_seeds(comparison)} shared seeds. The diamond is the mean, the line its "
            f"95 % interval. The blue band is the equivalence region (ROPE) of "
            f"±{comparison.rules.rope:g} points, where differences are too small to matter. An "
            "interval right of the band means that the first configuration is better, left of it "
            "the second, inside it that they are equivalent. An interval that crosses an edge of "
            "the band is inconclusive."
        )
        title = "Paired differences and the equivalence region"
        saved = context.save_figure(figure, "difference", title)
        blocks += [Figures([(saved, caption)]), _tests_table(comparison)]
        blocks += [
            Paragraph(f"{_name(pair)}: {remark}") for pair in differences for remark in pair.remarks
        ]
        context.tables["differences"] = [_export_row(pair) for pair in differences]
    else:
        blocks.append(Placeholder(why_no_difference(comparison)))
    if comparison.not_comparable:
        blocks.append(
            BulletList(
                [
                    (f"{pair.first} and {pair.second} are not compared.", pair.reason, "")
                    for pair in comparison.not_comparable
                ]
            )
        )
    return Section("difference", "Paired differences", blocks)


def why_no_difference(comparison: Comparison) -> str:
    """Return the reason why no difference could be computed, and what to train to get one."""
    if comparison.not_comparable:
        return "No two configurations are comparable; every pair is listed with its reason."
    if len(comparison.configurations) < 2:
        names = [configuration.name for configuration in comparison.configurations]
        return (
            f"A difference needs two configurations; found: {', '.join(names) or 'none'}. "
            f"Train another value of {comparison.rules.by} with the same seeds."
        )
    return (
        "No two configurations share a seed, so their differences cannot be paired. Train them "
        "with the same seeds."
    )


def difference_figure(differences: Mapping[str, "Interval"], rope: float, xlabel: str) -> "Figure":
    """Draw one row per pair: the mean difference, its interval and the equivalence region.

    Parameters
    ----------
    differences : mapping of str to Interval
        Name of each pair and its difference with the interval, in percentage points.
    rope : float
        Half the width of the equivalence region, in percentage points.
    xlabel : str
        Label of the x-axis.
    """
    figure = new_figure(1.0 + 0.62 * len(differences))
    axes = add_axes(figure, xlabel)
    axes.axvspan(-rope, rope, color="#DCEBF5", zorder=0, lw=0)
    axes.axvline(0, color="#8A8A8A", lw=1, zorder=1)
    for row, (name, interval) in enumerate(differences.items()):
        axes.plot([interval.low, interval.high], [-row, -row], color=INK, lw=2.2, zorder=3)
        axes.plot([interval.mean], [-row], "D", color=INK, ms=7, mec="white", mew=0.8, zorder=4)
        mean, low, high = map(format_points, (interval.mean, interval.low, interval.high))
        label = f"{name}: {f'{mean} [{low}, {high}]' if np.isfinite(interval.mean) else 'unknown'}"
        if len(label) > MAX_LETTERS:  # the table has the numbers too
            label = shorten(name, MAX_LETTERS)
        write_row_name(axes, -row, label, INK)
    edge = 1.15 * max([2 * rope, *(max(abs(i.low), abs(i.high)) for i in differences.values())])
    if np.isfinite(edge) and edge > 0:
        axes.set_xlim(-edge, edge)
    axes.set_ylim(0.6 - len(differences), 0.75)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    return figure


def _tests_table(comparison: Comparison) -> Table:
    """Return the table of all pairs: interval, corrected p-values and effect sizes."""
    differences = comparison.differences
    used = [name for name in TESTS if any(name in pair.adjusted for pair in differences)]
    rows = []
    for pair in differences:
        rows.append(
            [
                _name(pair),
                pair.outcome.value,
                format_points(pair.interval.mean),
                f"{format_points(pair.interval.low)} to {format_points(pair.interval.high)}",
                _probability(pair.superiority),
                *(_p_value(pair.adjusted.get(name, math.nan)) for name in used),
                format_points(pair.effect_size),
                format_points(pair.cliffs_delta),
                format_percent(pair.aso, 2),
                f"{pair.wins:,} / {pair.losses:,}",
                ", ".join(CRITERIA.get(c, c) for c in pair.matching) or "–",
            ]
        )
    heads = ["pair", "outcome", "points", "95 % interval", "P(first > second)"]
    heads += [f"p, {TESTS[name]}" for name in used]
    heads += ["Cohen’s d_z", "Cliff’s δ", "ASO ε", "only one correct, texts × seeds", "matched by"]
    if len(rows) <= MAX_COLUMNS:  # few pairs are easier to read from top to bottom
        heads, *rows = ([str(cell) for cell in row] for row in zip(heads, *rows, strict=True))
    return Table(
        heads,
        rows,
        "p-values have Holm’s correction over all pairs of this page; the outcome depends on the "
        "interval, not on p. Cohen’s d_z: mean difference divided by its standard deviation over "
        "the seeds. Cliff’s δ: probability that a seed of the first scores higher than a seed of "
        "the second, minus the reverse. P(first > second): probability that a training of the "
        "first scores higher than one of the second on these texts, with its interval (Clopper & "
        "Pearson). ASO ε below 0.2: the first is almost stochastically larger. Matched by: what "
        "the two configurations have in common.",
    )


def _name(pair: Difference) -> str:
    """Return the name of a pair, "first − second", which says how the difference is computed."""
    return f"{pair.first} − {pair.second}"


def _export_row(pair: Difference) -> dict[str, object]:
    """Return the row of a pair in the file of differences that the report saves."""
    return {
        "first": pair.first,
        "second": pair.second,
        "metric": pair.metric,
        "mean": pair.interval.mean,
        "low": pair.interval.low,
        "high": pair.interval.high,
        "texts": pair.texts,
        "outcome": pair.outcome.value,
        "effect": pair.effect_size,
        "cliff": pair.cliffs_delta,
        "aso": pair.aso,
        "superiority": pair.superiority.mean,
        "superiority_low": pair.superiority.low,
        "superiority_high": pair.superiority.high,
        "wins": pair.wins,
        "losses": pair.losses,
        "detectable": pair.detectable,
        **{f"p_{name}": value for name, value in pair.p_values.items()},
        **{f"adjusted_{name}": value for name, value in pair.adjusted.items()},
    }


def _num_shared_seeds(comparison: Comparison) -> str:
    """Return the number of seeds that both configurations of a pair have, as "3" or "3 to 5"."""
    counts = sorted({len(pair.by_seed) for pair in comparison.differences})
    return " to ".join(str(count) for count in dict.fromkeys((counts[0], counts[-1])))


def _probability(interval: "Interval") -> str:
    """Format a probability with its interval; NaN becomes a dash."""
    if not math.isfinite(interval.mean):
        return "–"
    return f"{interval.mean:.2f} ({interval.low:.2f} to {interval.high:.2f})"


def _p_value(value: float) -> str:
    """Format a p-value; NaN becomes a dash."""
    if not math.isfinite(value):
        return "–"
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"
