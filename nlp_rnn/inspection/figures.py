"""Figures of an inspection as PNG, small enough to be read on a phone."""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.inspection.gates import LayerTrace, half_lives
from nlp_rnn.inspection.inspection import Inspection

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PolyCollection
    from matplotlib.figure import Figure

__all__ = [
    "draw_attribution",
    "draw_gates",
    "draw_gradient",
    "draw_half_lives",
    "draw_over_time",
    "figure_style",
]

# Okabe & Ito 2008: distinguishable with every kind of colour blindness.
BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a8d93"
COLOURS = (BLUE, ORANGE, GREEN, PURPLE)
GATE_COLOURS = {"input": GREEN, "forget": BLUE, "output": ORANGE, "reset": ORANGE, "update": BLUE}
WIDTH = 4.6
"""Inches; a screen that is 390 points wide shows about 80 points per inch."""

LEFT, RIGHT, TOP, BOTTOM = 0.84, 0.2, 0.1, 0.46
"""Inches around the axes. Fixed, because matplotlib's layout engines draw every figure twice."""
LEGEND_LINE, LETTER, BAR = 0.19, 0.08, 0.56
"""Inches for a line of the legend, a letter of a token and the colour bar."""

UNITS = 12
"""Number of units whose gates are drawn."""

MAX_LABELLED = 24
"""Maximal number of tokens that are written below the axis."""

END_OF_FONT = 0x0530
"""Matplotlib's default font has Latin, Greek and Cyrillic letters, which end at this code point."""


def figure_style() -> Any:
    """Return a context manager that sets the style of all figures."""
    import matplotlib

    settings: Any = {
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.color": "#e3e5e8",
        "grid.linewidth": 0.6,
        "axes.axisbelow": True,
        "figure.facecolor": "white",
        "savefig.dpi": 160,
        "legend.frameon": False,
        "legend.fontsize": 8.5,
        "text.parse_math": False,
    }
    return matplotlib.rc_context(settings)


def _figure(height: float, rows: Sequence[float] = (1,)) -> "tuple[Figure, list[Axes]]":
    """Return panels above one another; only the lowest has ticks, which are slow to draw."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullLocator

    figure = Figure(figsize=(WIDTH, height))
    panels = list(figure.subplots(len(rows), 1, height_ratios=list(rows), squeeze=False)[:, 0])
    for axes in panels[:-1]:
        axes.xaxis.set_major_locator(NullLocator())
    return figure, panels


def _lay_out(figure: "Figure", lines: int, letters: int, right: float = RIGHT) -> None:
    """Reserve space for a legend of `lines` and for vertical tokens of up to `letters` letters."""
    width, height = figure.get_size_inches()
    bottom = LETTER * letters + 0.14 if letters else BOTTOM
    height += max(0.0, bottom - BOTTOM)
    figure.set_size_inches(width, height)
    figure.subplots_adjust(
        left=LEFT / width,
        right=1 - right / width,
        top=1 - (TOP + LEGEND_LINE * lines) / height,
        bottom=bottom / height,
        hspace=0.12,
    )


def _png(figure: "Figure") -> bytes:
    data = io.BytesIO()
    figure.savefig(data, format="png")
    return data.getvalue()


def _edges(inspection: Inspection, by_characters: bool) -> NDArray[np.float64]:
    """Return the left edges of the tokens on the axis and the right edge of the last, (T + 1,)."""
    tokens = inspection.tokens
    if not by_characters:
        return np.arange(len(tokens) + 1, dtype=np.float64) + 0.5
    starts = np.maximum.accumulate(tokens.starts)
    end = max(int(tokens.ends.max()), int(starts[-1]) + 1)
    return np.append(starts, end).astype(np.float64)


def _centres(inspection: Inspection, by_characters: bool) -> NDArray[np.float64]:
    edges = _edges(inspection, by_characters)
    centres: NDArray[np.float64] = edges[:-1] + np.diff(edges) / 2
    return centres


def _bars(edges: NDArray[np.float64], values: NDArray[np.float32]) -> "PolyCollection":
    """Return one bar per token in a single collection; 400 separate patches are slow to draw."""
    from matplotlib.collections import PolyCollection

    shapes = np.zeros((len(values), 4, 2))
    shapes[:, :2, 0] = (edges[:-1] + 0.05 * np.diff(edges))[:, None]
    shapes[:, 2:, 0] = (edges[1:] - 0.05 * np.diff(edges))[:, None]
    shapes[:, 1:3, 1] = values[:, None]
    return PolyCollection(list(shapes), facecolors=list(np.where(values >= 0, BLUE, ORANGE)))


def _name_axis(axes: "Axes", inspection: Inspection, by_characters: bool) -> int:
    """Label the axis with the tokens if they are few and the font has them, else with positions.

    Returns the number of letters of the longest label, 0 for positions.
    """
    tokens = inspection.tokens
    labels = [tokens.text[a:b] for a, b in zip(tokens.starts, tokens.ends, strict=True)]
    drawable = all(_short(label, len(label)) == label for label in labels)
    edges = _edges(inspection, by_characters)
    axes.set_xlim((0, max(len(tokens.text), 1)) if by_characters else (edges[0], edges[-1]))
    if by_characters:
        axes.set_xlabel("character of the text")
    elif len(labels) <= MAX_LABELLED and drawable and any(labels):
        short = [_short(label, 12) for label in labels]
        axes.set_xticks(np.arange(len(labels)) + 1, short, rotation=90)
        axes.grid(False, axis="x")
        return max(map(len, short))
    else:
        axes.set_xlabel("token")
    return 0


def _plain_numbers(axis: Any) -> None:
    """Write powers of ten as 0.01, 1, 1000, because exponents need mathtext, which is off."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axis.set_major_locator(LogLocator(numticks=6))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def draw_attribution(
    inspection: Inspection, by_characters: bool = False, limit: float = 0.0
) -> bytes:
    """Draw the attributions to the predicted label: integrated gradients and occlusion.

    If `limit` is above 0, the y-axis extends from -`limit` to `limit`.
    """
    figure, (axes,) = _figure(2.6)
    values = inspection.attribution.integrated[0]
    axes.add_collection(_bars(_edges(inspection, by_characters), values))
    axes.plot([], [], color=BLUE, lw=5, label="integrated gradients")
    centres = _centres(inspection, by_characters)
    size = 3.5 if len(centres) <= 100 else 1.5
    axes.plot(
        centres,
        inspection.attribution.occluded[0],
        ".",
        color="#1d1d1f",
        ms=size,
        label="occlusion",
    )
    axes.axhline(0, color=GREY, lw=0.8)
    if limit > 0:
        axes.set_ylim(-limit, limit)
    axes.set_ylabel(f"log-odds of {_short(inspection.label)}")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2)
    _lay_out(figure, 1, _name_axis(axes, inspection, by_characters))
    return _png(figure)


def draw_gates(inspection: Inspection, layer: LayerTrace, by_characters: bool = False) -> bytes:
    """Draw the mean of each gate over the units, and each gate of the most active units."""
    names = list(layer.gates)
    figure, panels = _figure(1.7 + 1.05 * len(names) + 0.4, (1.7, *[1.05] * len(names)))
    edges, centres = _edges(inspection, by_characters), _centres(inspection, by_characters)
    for name in names:
        mean = layer.gates[name].mean(axis=1)
        panels[0].plot(centres, mean, color=GATE_COLOURS[name], lw=1.4, label=name)
    panels[0].set_xlim(edges[0], edges[-1])
    panels[0].set_ylim(0, 1)
    panels[0].set_ylabel("mean of units")
    panels[0].legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0.2)
    units = layer.active_units(UNITS)
    for axes, name in zip(panels[1:], names, strict=True):
        image = axes.pcolormesh(
            edges,
            np.arange(len(units) + 1),
            layer.gates[name][:, units].T,
            vmin=0,
            vmax=1,
            cmap="cividis",
            rasterized=True,
        )
        axes.set_ylabel(name)
        axes.set_yticks([])
        axes.grid(False)
    _lay_out(figure, 1, _name_axis(panels[-1], inspection, by_characters), BAR)
    first, last = panels[1].get_position(), panels[-1].get_position()
    beside = (first.x1 + 0.06 / WIDTH, last.y0, 0.09 / WIDTH, first.y1 - last.y0)
    figure.colorbar(image, cax=figure.add_axes(beside), ticks=[0, 0.5, 1])
    return _png(figure)


def draw_half_lives(inspections: Sequence[Inspection]) -> bytes:
    """Draw the share of units whose half-life is longer than a number of tokens."""
    figure, (axes,) = _figure(2.8)
    highest = 10.0
    compared = len(inspections) > 1
    for number, (letter, inspection) in enumerate(zip("AB", inspections, strict=False)):
        for layer in inspection.layers:
            lives = half_lives(layer)
            if lives is None:
                continue
            name = f"{letter} {inspection.model.title.partition(' ')[0]}, " if compared else ""
            axes.plot(
                np.concatenate([[0.1], np.sort(lives)]),
                1 - np.arange(len(lives) + 1) / len(lives),
                drawstyle="steps-post",
                color=COLOURS[number if compared else layer.layer % len(COLOURS)],
                ls="--" if layer.backward else "-",
                lw=1.5,
                label=f"{name}{layer.name}",
            )
            highest = max(highest, float(np.quantile(lives, 0.98)))
    axes.set_xscale("log")
    _plain_numbers(axes.xaxis)
    axes.set_xlim(0.3, min(10 * highest, 2e6))
    axes.set_ylim(0, 1)
    axes.set_xlabel("tokens later")
    axes.set_ylabel("units with half left")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2)
    _lay_out(figure, len(axes.get_lines()), 0)
    return _png(figure)


def draw_gradient(inspections: Sequence[Inspection], by_characters: bool = False) -> bytes:
    """Draw the norm of the network's gradient for each token, as a share of the largest."""
    figure, (axes,) = _figure(2.6)
    for number, (letter, inspection) in enumerate(zip("AB", inspections, strict=False)):
        if inspection.model.network is None:
            continue
        strength = inspection.attribution.gradient[0]
        share = np.maximum(strength / max(float(strength.max()), 1e-30), 1e-12)
        axes.plot(
            _centres(inspection, by_characters),
            share,
            color=COLOURS[number],
            lw=1.4,
            marker="." if len(share) <= MAX_LABELLED else "",
            label=f"{letter} {inspection.model.title}",
        )
    axes.set_yscale("log")
    _plain_numbers(axes.yaxis)
    axes.set_ylim(min(max(axes.get_ylim()[0], 1e-8), 0.08), 1.6)
    axes.set_ylabel("gradient, share of largest")
    lines = len(inspections) if len(inspections) > 1 else 0
    if lines:
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2)
    _lay_out(figure, lines, _name_axis(axes, inspections[0], by_characters))
    return _png(figure)


def draw_over_time(inspection: Inspection, by_characters: bool = False) -> bytes:
    """Draw the probabilities of the most probable labels after each token."""
    assert inspection.over_time is not None
    figure, (axes,) = _figure(2.6)
    centres = _centres(inspection, by_characters)
    for number, label in enumerate(inspection.attribution.classes):
        axes.plot(
            centres,
            inspection.over_time[:, label],
            color=COLOURS[number],
            lw=1.5,
            marker="." if len(centres) <= MAX_LABELLED else "",
            label=_short(inspection.model.labels[label]),
        )
    axes.set_ylim(-0.02, 1.02)
    axes.set_ylabel("probability so far")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0.2)
    _lay_out(figure, 1, _name_axis(axes, inspection, by_characters))
    return _png(figure)


def _short(label: str, length: int = 16) -> str:
    """Shorten a label to `length` characters and replace those that the font lacks by `?`."""
    drawn = "".join(c if c.isprintable() and ord(c) < END_OF_FONT else "?" for c in label)
    return drawn if len(drawn) <= length else f"{drawn[: length - 1]}…"
