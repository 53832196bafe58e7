"""Section on probes: accuracy of each cell over the length of synthetic texts."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

from nlp_rnn.comparison.probes import SOLVED, ProbeCurve, seeds_ahead
from nlp_rnn.config.data import PROBE_FACTORS
from nlp_rnn.report.figure_files import (
    LineStyle,
    SavedFigure,
    line_styles,
    new_figure,
    plot_line,
    shorten,
)
from nlp_rnn.report.page import Block, Figures, Paragraph, Section, Table
from nlp_rnn.sources.probe_tasks import PROBES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["probe_figure", "probe_section"]

COLUMNS = 2
LENGTHS = [f"{factor}×" for factor in PROBE_FACTORS]


def probe_figure(curves: Sequence[ProbeCurve]) -> "Figure":
    """Draw accuracy over length: one panel per probe, one line per cell, a band for the seeds."""
    cells = list(dict.fromkeys(curve.cell for curve in curves))
    probes = list(dict.fromkeys(curve.probe for curve in curves))
    styles = line_styles(cells)
    rows = -(-len(probes) // COLUMNS)
    figure = new_figure(0.6 + 1.75 * rows)
    grid = figure.add_gridspec(rows, COLUMNS)
    for index, probe in enumerate(probes):
        row, column = divmod(index, COLUMNS)
        axes = figure.add_subplot(grid[row, column])
        _panel(axes, [curve for curve in curves if curve.probe == probe], styles)
        axes.set_title(probe, fontsize=10, loc="left")
        if column == 0:
            axes.set_ylabel("accuracy (%)", fontsize=9)
        if index + COLUMNS >= len(probes):
            axes.set_xlabel("length, × training", fontsize=9)
    handles = [
        figure.axes[0].plot(
            [], [], styles[cell].dash, marker=styles[cell].marker, color=styles[cell].colour
        )[0]
        for cell in cells
    ]
    names = [shorten(cell, 14) for cell in cells]
    figure.legend(handles, names, loc="outside upper left", ncols=4, frameon=False, fontsize=10)
    return figure


def _panel(axes: "Axes", curves: Sequence[ProbeCurve], styles: Mapping[str, LineStyle]) -> None:
    positions = range(len(PROBE_FACTORS))
    axes.axhline(curves[0].chance, color="#8A8A8A", lw=1, ls=":")
    for curve in curves:
        style = styles[curve.cell]
        low, high = curve.accuracies.min(axis=0), curve.accuracies.max(axis=0)
        axes.fill_between(positions, low, high, color=style.colour, alpha=0.15, lw=0)
        plot_line(axes, positions, curve.means, style.colour, style, curve.cell)
    axes.set_ylim(min(curves[0].chance, *(c.accuracies.min() for c in curves)) - 4, 103)
    axes.set_xticks(positions, LENGTHS)
    axes.tick_params(labelsize=9)
    axes.grid(True, color="#E6E6E6", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)


def probe_section(curves: Sequence[ProbeCurve], figure: SavedFigure) -> Section:
    """Return the section: figure, lengths at which cells fail, accuracies, paired seeds."""
    probes = list(dict.fromkeys(curve.probe for curve in curves))
    cells = list(dict.fromkeys(curve.cell for curve in curves))
    by_key = {(curve.probe, curve.cell): curve for curve in curves}
    numbers = sorted({len(curve.seeds) for curve in curves})
    seeds = " to ".join(str(number) for number in dict.fromkeys((numbers[0], numbers[-1])))
    introduction = (
        "A probe is a synthetic task that needs one ability of a memory. The cells are trained on "
        "texts up to some length and tested on texts up to two, four and eight times as long. A "
        "cell that has only memorized the training lengths fails on longer texts."
    )
    caption = (
        f"Balanced accuracy, mean over n = {seeds} seeds. The band spans the worst to the best "
        "seed; the dotted line is chance."
    )
    failures = Table(
        ["probe", *cells, "task"],
        [
            [
                probe,
                *(by_key[probe, cell].breaks if (probe, cell) in by_key else "–" for cell in cells),
                PROBES[probe].question,
            ]
            for probe in probes
        ],
        "Length at which each cell fails: the first multiple of the training length at which the "
        f"mean over the seeds is below {SOLVED:.0f} %. Not learned means that it is already below "
        "at the training length.",
        left_aligned=True,
    )
    accuracies = Table(
        ["probe, cell", "seeds", *LENGTHS],
        [
            [
                f"{curve.probe}, {curve.cell}",
                str(len(curve.seeds)),
                *map("{:.1f} ± {:.1f}".format, curve.means, curve.accuracies.std(axis=0)),
            ]
            for curve in curves
        ],
        "Accuracy in percent, mean ± standard deviation over the seeds.",
    )
    blocks: list[Block] = [
        Paragraph(introduction),
        Figures([(figure, caption)]),
        failures,
        accuracies,
    ]
    pairs = []
    for probe in probes:
        of_probe = [by_key[probe, cell] for cell in cells if (probe, cell) in by_key]
        for first, second in combinations(of_probe, 2):
            ahead, shared = seeds_ahead(first, second)
            if shared:
                name = f"{probe}, {first.cell} over {second.cell}"
                pairs.append([name, *(f"{number} of {shared}" for number in ahead)])
    if pairs:
        paired = "Number of shared seeds for which the first cell is more accurate."
        blocks.append(Table(["probe, cells", *LENGTHS], pairs, paired))
    return Section("probes", "Memory: probes", blocks)
