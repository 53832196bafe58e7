"""Inspections become pictures: small, so that they can be read on a telephone."""

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
    "styled",
]

# Okabe & Ito's colours, which differ for every kind of sight.
BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a8d93"
COLOURS = (BLUE, ORANGE, GREEN, PURPLE)
GATE_COLOURS = {"input": GREEN, "forget": BLUE, "output": ORANGE, "reset": ORANGE, "update": BLUE}
WIDTH = 4.6
"""Inches; a screen of 390 points shows them at about 80 an inch."""

LEFT, RIGHT, TOP, BOTTOM = 0.84, 0.2, 0.1, 0.46
"""Inches around the axes. Fixed: matplotlib's own layouts draw everything twice to measure it."""
LEGEND_LINE, LETTER, BAR = 0.19, 0.08, 0.56
"""Inches that a line of a legend, a letter of a token and a colour bar take."""

UNITS = 12
FEW_TOKENS = 24
LAST_DRAWN = 0x0530
"""Matplotlib's own font has Latin, Greek and Cyrillic letters, which end here."""


def styled() -> Any:
    """A context in which all pictures are drawn alike."""
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
    """Panels above one another, with ticks along the lowest alone: they cost more than the rest."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullLocator

    figure = Figure(figsize=(WIDTH, height))
    panels = list(figure.subplots(len(rows), 1, height_ratios=list(rows), squeeze=False)[:, 0])
    for axes in panels[:-1]:
        axes.xaxis.set_major_locator(NullLocator())
    return figure, panels


def _lay_out(figure: "Figure", lines: int, letters: int, right: float = RIGHT) -> None:
    """Leave room for a legend of `lines`, and for tokens of `letters` that are written upright."""
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


def _edges(seen: Inspection, by_characters: bool) -> NDArray[np.float64]:
    """Where each token begins on the axis, and where the last one ends, (T + 1,)."""
    tokens = seen.tokens
    if not by_characters:
        return np.arange(len(tokens) + 1, dtype=np.float64) + 0.5
    starts = np.maximum.accumulate(tokens.starts)
    end = max(int(tokens.ends.max()), int(starts[-1]) + 1)
    return np.append(starts, end).astype(np.float64)


def _middles(seen: Inspection, by_characters: bool) -> NDArray[np.float64]:
    edges = _edges(seen, by_characters)
    middles: NDArray[np.float64] = edges[:-1] + np.diff(edges) / 2
    return middles


def _bars(edges: NDArray[np.float64], values: NDArray[np.float32]) -> "PolyCollection":
    """A bar a token, in one piece: 400 patches would take longer than all else on a page."""
    from matplotlib.collections import PolyCollection

    shapes = np.zeros((len(values), 4, 2))
    shapes[:, :2, 0] = (edges[:-1] + 0.05 * np.diff(edges))[:, None]
    shapes[:, 2:, 0] = (edges[1:] - 0.05 * np.diff(edges))[:, None]
    shapes[:, 1:3, 1] = values[:, None]
    return PolyCollection(list(shapes), facecolors=list(np.where(values >= 0, BLUE, ORANGE)))


def _name_axis(axes: "Axes", seen: Inspection, by_characters: bool) -> int:
    """The tokens themselves where they are few and can be written, else their numbers.

    Returns the letters of the longest token that is written, 0 for numbers.
    """
    tokens = seen.tokens
    words = [tokens.text[a:b] for a, b in zip(tokens.starts, tokens.ends, strict=True)]
    drawable = all(word.isprintable() and all(ord(c) < LAST_DRAWN for c in word) for word in words)
    edges = _edges(seen, by_characters)
    axes.set_xlim((0, max(len(tokens.text), 1)) if by_characters else (edges[0], edges[-1]))
    if by_characters:
        axes.set_xlabel("character of the text")
    elif len(words) <= FEW_TOKENS and drawable and any(words):
        short = [word if len(word) <= 12 else f"{word[:11]}…" for word in words]
        axes.set_xticks(np.arange(len(words)) + 1, short, rotation=90)
        axes.grid(False, axis="x")
        return max(map(len, short))
    else:
        axes.set_xlabel("token")
    return 0


def _plain_numbers(axis: Any) -> None:
    """Powers of ten as 0.01, 1, 1000: labels with exponents need the markup of formulas."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axis.set_major_locator(LogLocator(numticks=6))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def draw_attribution(seen: Inspection, by_characters: bool = False, top: float = 0.0) -> bytes:
    """PNG: what each token gave to the most probable class, both ways; `top` is the scale."""
    figure, (axes,) = _figure(2.6)
    values = seen.attribution.integrated[0]
    axes.add_collection(_bars(_edges(seen, by_characters), values))
    axes.plot([], [], color=BLUE, lw=5, label="integrated gradients")
    places = _middles(seen, by_characters)
    size = 3.5 if len(places) <= 100 else 1.5
    axes.plot(
        places, seen.attribution.occluded[0], ".", color="#1d1d1f", ms=size, label="occlusion"
    )
    axes.axhline(0, color=GREY, lw=0.8)
    if top > 0:
        axes.set_ylim(-top, top)
    axes.set_ylabel(f"log-odds of {_short(seen.label)}")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2)
    _lay_out(figure, 1, _name_axis(axes, seen, by_characters))
    return _png(figure)


def draw_gates(seen: Inspection, layer: LayerTrace, by_characters: bool = False) -> bytes:
    """PNG: each gate's mean over the units, and the gate of the most active units."""
    names = list(layer.gates)
    figure, panels = _figure(1.7 + 1.05 * len(names) + 0.4, (1.7, *[1.05] * len(names)))
    edges, places = _edges(seen, by_characters), _middles(seen, by_characters)
    for name in names:
        mean = layer.gates[name].mean(axis=1)
        panels[0].plot(places, mean, color=GATE_COLOURS[name], lw=1.4, label=name)
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
    _lay_out(figure, 1, _name_axis(panels[-1], seen, by_characters), BAR)
    first, last = panels[1].get_position(), panels[-1].get_position()
    beside = (first.x1 + 0.06 / WIDTH, last.y0, 0.09 / WIDTH, first.y1 - last.y0)
    figure.colorbar(image, cax=figure.add_axes(beside), ticks=[0, 0.5, 1])
    return _png(figure)


def draw_half_lives(inspections: Sequence[Inspection]) -> bytes:
    """PNG: which share of the units still holds half of a token after so many more."""
    figure, (axes,) = _figure(2.8)
    highest = 10.0
    several = len(inspections) > 1
    for number, (letter, seen) in enumerate(zip("AB", inspections, strict=False)):
        for layer in seen.layers:
            lives = half_lives(layer)
            if lives is None:
                continue
            name = f"{letter} {seen.model.architecture.cell.upper()}, " if several else ""
            axes.plot(
                np.concatenate([[0.1], np.sort(lives)]),
                1 - np.arange(len(lives) + 1) / len(lives),
                drawstyle="steps-post",
                color=COLOURS[number if several else layer.layer % len(COLOURS)],
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
    axes.set_ylabel("units that hold half")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2)
    _lay_out(figure, len(axes.get_lines()), 0)
    return _png(figure)


def draw_gradient(inspections: Sequence[Inspection], by_characters: bool = False) -> bytes:
    """PNG: how strongly the decision depends on each token, as a share of the strongest."""
    figure, (axes,) = _figure(2.6)
    for number, (letter, seen) in enumerate(zip("AB", inspections, strict=False)):
        strength = seen.attribution.gradient[0]
        share = np.maximum(strength / max(float(strength.max()), 1e-30), 1e-12)
        axes.plot(
            _middles(seen, by_characters),
            share,
            color=COLOURS[number],
            lw=1.4,
            marker="." if len(share) <= FEW_TOKENS else "",
            label=f"{letter} {seen.model.title}",
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


def draw_over_time(seen: Inspection, by_characters: bool = False) -> bytes:
    """PNG: the probabilities of the most probable classes after each token."""
    assert seen.over_time is not None
    figure, (axes,) = _figure(2.6)
    places = _middles(seen, by_characters)
    for number, label in enumerate(seen.attribution.classes):
        axes.plot(
            places,
            seen.over_time[:, label],
            color=COLOURS[number],
            lw=1.5,
            marker="." if len(places) <= FEW_TOKENS else "",
            label=_short(seen.model.labels[label]),
        )
    axes.set_ylim(-0.02, 1.02)
    axes.set_ylabel("probability so far")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0.2)
    _lay_out(figure, 1, _name_axis(axes, seen, by_characters))
    return _png(figure)


def _short(label: str) -> str:
    """A label as the font can draw it, and not too long."""
    drawn = "".join(c if c.isprintable() and ord(c) < LAST_DRAWN else "?" for c in label)
    return drawn if len(drawn) <= 16 else f"{drawn[:15]}…"
