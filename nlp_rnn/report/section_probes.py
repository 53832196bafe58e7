"""What cells reach on probes becomes a section: one picture, and where each of them breaks."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

from nlp_rnn.comparison.probes import HELD, ProbeCurve, seeds_ahead
from nlp_rnn.config.data import PROBE_FACTORS
from nlp_rnn.report.figure_files import Picture, Style, new_figure, shortened, styles_of
from nlp_rnn.report.page import Block, Figures, Section, Table, Words
from nlp_rnn.sources.probe_tasks import PROBES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["probe_figure", "probe_section"]

COLUMNS = 2
LENGTHS = [f"{factor}×" for factor in PROBE_FACTORS]


def probe_figure(curves: Sequence[ProbeCurve]) -> "Figure":
    """Accuracy over length, a panel for each probe, a line for each cell, a band for its seeds."""
    cells = list(dict.fromkeys(curve.cell for curve in curves))
    probes = list(dict.fromkeys(curve.probe for curve in curves))
    styles = styles_of(cells)
    rows = -(-len(probes) // COLUMNS)
    figure = new_figure(0.6 + 1.75 * rows)
    grid = figure.add_gridspec(rows, COLUMNS)
    for place, probe in enumerate(probes):
        row, column = divmod(place, COLUMNS)
        axes = figure.add_subplot(grid[row, column])
        _panel(axes, [curve for curve in curves if curve.probe == probe], styles)
        axes.set_title(probe, fontsize=10, loc="left")
        if column == 0:
            axes.set_ylabel("accuracy (%)", fontsize=9)
        if place + COLUMNS >= len(probes):
            axes.set_xlabel("length, × training", fontsize=9)
    handles = [
        figure.axes[0].plot(
            [], [], styles[cell].dash, marker=styles[cell].marker, color=styles[cell].colour
        )[0]
        for cell in cells
    ]
    names = [shortened(cell, 14) for cell in cells]
    figure.legend(handles, names, loc="outside upper left", ncols=4, frameon=False, fontsize=10)
    return figure


def _panel(axes: "Axes", curves: Sequence[ProbeCurve], styles: Mapping[str, Style]) -> None:
    places = range(len(PROBE_FACTORS))
    axes.axhline(curves[0].chance, color="#8A8A8A", lw=1, ls=":")
    for curve in curves:
        style = styles[curve.cell]
        low, high = curve.accuracies.min(axis=0), curve.accuracies.max(axis=0)
        axes.fill_between(places, low, high, color=style.colour, alpha=0.15, lw=0)
        axes.plot(
            places, curve.means, style.dash, marker=style.marker, color=style.colour, lw=1.5, ms=4
        )
    axes.set_ylim(min(curves[0].chance, *(c.accuracies.min() for c in curves)) - 4, 103)
    axes.set_xticks(places, LENGTHS)
    axes.tick_params(labelsize=9)
    axes.grid(True, color="#E6E6E6", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)


def probe_section(curves: Sequence[ProbeCurve], picture: Picture) -> Section:
    """The picture of `probe_figure`, where each cell breaks, the numbers, and seed against seed."""
    probes = list(dict.fromkeys(curve.probe for curve in curves))
    cells = list(dict.fromkeys(curve.cell for curve in curves))
    at = {(curve.probe, curve.cell): curve for curve in curves}
    fewest = min(len(curve.seeds) for curve in curves)
    most = max(len(curve.seeds) for curve in curves)
    seeds = f"{fewest}" if fewest == most else f"{fewest} to {most}"
    blocks: list[Block] = [
        Words(
            "Each text asks one thing of a memory. The cells learn it on texts up to a length, and "
            "are asked on texts up to two, four and eight times as long: what is only remembered "
            "breaks there, what is understood holds."
        ),
        Figures(
            [
                (
                    picture,
                    f"Balanced accuracy, means over {seeds} seeds; the band reaches from the worst "
                    "seed to the best, the dotted line is chance.",
                )
            ]
        ),
        Table(
            ["probe", *cells, "asks"],
            [
                [
                    probe,
                    *(at[probe, cell].breaks if (probe, cell) in at else "–" for cell in cells),
                    PROBES[probe].question,
                ]
                for probe in probes
            ],
            f"Where each breaks: the first length, in lengths of training, at which the mean over "
            f"the seeds is below {HELD:.0f} %. Not learnt: below it at the length of training.",
            ragged=True,
        ),
        Table(
            ["probe, cell", "seeds", *LENGTHS],
            [
                [
                    f"{curve.probe}, {curve.cell}",
                    str(len(curve.seeds)),
                    *(
                        f"{mean:.1f} ± {spread:.1f}"
                        for mean, spread in zip(
                            curve.means, curve.accuracies.std(axis=0), strict=True
                        )
                    ),
                ]
                for curve in curves
            ],
            "Accuracy in percent, mean and standard deviation over the seeds.",
        ),
    ]
    pairs = []
    for probe in probes:
        for first, second in combinations(cells, 2):
            if (probe, first) in at and (probe, second) in at:
                ahead, shared = seeds_ahead(at[probe, first], at[probe, second])
                if shared:
                    pairs.append(
                        [f"{probe}, {first} over {second}", *(f"{n} of {shared}" for n in ahead)]
                    )
    if pairs:
        told = "Of how many seeds the first is more accurate than the second, seed by seed."
        blocks.append(Table(["probe, cells", *LENGTHS], pairs, told))
    return Section("probes", "What they remember: probes", blocks)
