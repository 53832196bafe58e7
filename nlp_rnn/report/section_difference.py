"""section_difference."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from nlp_rnn.comparison.records import Comparison, Difference
from nlp_rnn.report.context import Material, percent, points
from nlp_rnn.report.figure_files import (
    INK,
    axes_of,
    name_row,
    new_figure,
    shortened,
)
from nlp_rnn.report.page import (
    Block,
    Figures,
    Items,
    Missing,
    Section,
    Table,
    Words,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from nlp_rnn.comparison.records import Interval

__all__ = ["difference_figure", "difference_section", "why_no_difference"]

TESTS = {
    "bootstrap": "paired bootstrap",
    "mcnemar": "McNemar (texts)",
    "wilcoxon": "Wilcoxon (seeds)",
}
MOST_ACROSS = 2
"""Pairs that stand as columns beside each other; more of them are rows."""
LETTERS = 52
"""That fit into a row of a picture."""


def difference_section(material: Material) -> Section:
    """The paired differences over the region of practical equivalence, and their tests."""
    comparison = material.comparison
    blocks: list[Block] = []
    if comparison.differences:
        figure = difference_figure(
            {f"{each.first} − {each.second}": each.interval for each in comparison.differences},
            comparison.rules.rope,
            f"difference in test {material.score_name} (points)",
        )
        caption = (
            f"Paired by seed and by text, n = {comparison.differences[0].texts:,} texts × "
            f"{_shared(comparison)} shared seeds. The diamond is the mean, the line its 95 % "
            f"interval. The blue band is the ROPE, ±{comparison.rules.rope:g} points: differences "
            "too small to matter. Right of the band the first is better, left of it the second, "
            "inside it they are equivalent; across its edge it is undecided."
        )
        title = "Paired differences and the region of practical equivalence"
        picture = material.picture(figure, "difference", title)
        blocks += [Figures([(picture, caption)]), _tests(comparison)]
        blocks += [
            Words(f"{each.first} − {each.second}: {remark}")
            for each in comparison.differences
            for remark in each.remarks
        ]
        material.tables["differences"] = [_row(each) for each in comparison.differences]
    else:
        blocks.append(Missing(why_no_difference(comparison)))
    if comparison.not_comparable:
        blocks.append(
            Items(
                [
                    (f"{each.first} and {each.second} are not compared.", each.reason, "")
                    for each in comparison.not_comparable
                ]
            )
        )
    return Section("difference", "The paired difference", blocks)


def why_no_difference(comparison: Comparison) -> str:
    """Why there is no pair, in a sentence, and what would make one."""
    if comparison.not_comparable:
        return "No two groups can be compared fairly; the reasons are given beside each pair."
    if len(comparison.configurations) < 2:
        found = comparison.configurations[0].name if comparison.configurations else "none"
        return (
            f"A difference needs two groups of runs; found: {found}. "
            f"Train another value of {comparison.rules.by} with the same seeds."
        )
    return "No pair of groups shares a seed, so no difference is paired. Train the same seeds."


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
        name_row(axes, -place, said, INK)
    edge = 1.15 * max(
        [2 * rope, *(max(abs(each.low), abs(each.high)) for each in differences.values())]
    )
    if np.isfinite(edge) and edge > 0:
        axes.set_xlim(-edge, edge)
    axes.set_ylim(0.6 - len(differences), 0.75)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    return figure


def _tests(comparison: Comparison) -> Table:
    used = [name for name in TESTS if any(name in each.adjusted for each in comparison.differences)]
    rows = []
    for each in comparison.differences:
        rows.append(
            [
                f"{each.first} − {each.second}",
                each.outcome.value,
                points(each.interval.mean),
                f"{points(each.interval.low)} to {points(each.interval.high)}",
                *(_p(each.adjusted.get(name, math.nan)) for name in used),
                points(each.effect_size),
                points(each.cliffs_delta),
                percent(each.aso, 2),
                f"{each.wins:,} / {each.losses:,}",
                ", ".join(each.matching) or "–",
            ]
        )
    heads = ["pair", "outcome", "points", "95 % interval", *(f"p, {TESTS[name]}" for name in used)]
    heads += ["Cohen’s d_z", "Cliff’s δ", "ASO ε", "only one right, texts × seeds", "matched by"]
    if len(rows) <= MOST_ACROSS:  # few pairs are read from top to bottom
        heads, *rows = ([str(cell) for cell in row] for row in zip(heads, *rows, strict=True))
    return Table(
        heads,
        rows,
        "p after Holm’s correction over all pairs of this page; the outcome follows the interval, "
        "not p. d_z: the mean difference over its spread from seed to seed. δ: how much more often "
        "a seed of the first beats one of the second than the reverse. ASO ε below 0.5: the first "
        "is almost stochastically larger. Matched by: in what the two are the same.",
    )


def _row(each: Difference) -> dict[str, object]:
    return {
        "first": each.first,
        "second": each.second,
        "metric": each.metric,
        "mean": each.interval.mean,
        "low": each.interval.low,
        "high": each.interval.high,
        "texts": each.texts,
        "outcome": each.outcome.value,
        "effect": each.effect_size,
        "cliff": each.cliffs_delta,
        "aso": each.aso,
        "wins": each.wins,
        "losses": each.losses,
        "detectable": each.detectable,
        **{f"p_{name}": value for name, value in each.p_values.items()},
        **{f"adjusted_{name}": value for name, value in each.adjusted.items()},
    }


def _shared(comparison: Comparison) -> str:
    counts = sorted({len(each.by_seed) for each in comparison.differences})
    return " to ".join(str(count) for count in dict.fromkeys((counts[0], counts[-1])))


def _p(value: float) -> str:
    if not math.isfinite(value):
        return "–"
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"
