"""A matplotlib figure becomes a PNG file and an SVG that can stand inside a page."""

import io
import os
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "CONTROL",
    "INK",
    "PALE",
    "Picture",
    "Style",
    "axes_of",
    "legend_above",
    "name_row",
    "new_figure",
    "save_picture",
    "shortened",
    "styles_of",
]

# Okabe & Ito 2008: told apart by people with every kind of colour blindness.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#8A6D00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", "-.", ":")
CONTROL = "#6B6B6B"
INK, PALE = "#222222", "#C8C8C8"

WIDTH = 4.7
"""Inches. A page shows a picture at 350 to 500 px, so a letter of 10 points is 10 px or more."""

# Without these, the SVG would name addresses, though nothing is ever fetched from them.
NAMESPACES = re.compile(r'\s+(?:xmlns(?::\w+)?|version)="[^"]*"')


@dataclass(frozen=True)
class Style:
    """How a group is drawn everywhere: colour, marker and dash each tell it from the others."""

    colour: str
    marker: str
    dash: str


@dataclass(frozen=True)
class Picture:
    """A figure, its SVG for the page and its PNG on the disk.

    Attributes:
        name: the stem of the file.
        svg: an element without addresses.
        path: the PNG.
    """

    name: str
    svg: str
    path: Path


def styles_of(names: Sequence[str]) -> dict[str, Style]:
    """Return a style for each group, the same on every page that has these groups."""
    return {
        name: Style(
            COLOURS[place % len(COLOURS)],
            MARKERS[(place + place // len(COLOURS)) % len(MARKERS)],
            DASHES[place % len(DASHES)],
        )
        for place, name in enumerate(names)
    }


def new_figure(height: float) -> "Figure":
    """Return a figure of its own, without pyplot, which keeps state and may want a display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def axes_of(figure: "Figure", across: str, up: str = "") -> "Axes":
    """Return the one pair of axes of a figure, with what it shows and in which unit."""
    axes = figure.add_subplot()
    axes.set_xlabel(across, fontsize=10.5, color=INK)
    axes.set_ylabel(up, fontsize=10.5, color=INK)
    axes.tick_params(labelsize=10, colors=INK)
    axes.grid(True, color="#E6E6E6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#8A8A8A")
    return axes


def legend_above(axes: "Axes") -> None:
    """Name the lines above the axes, where they hide nothing; the figure grows by the names."""
    handles, names = axes.get_legend_handles_labels()
    columns = 2 if max(map(len, names), default=0) <= 20 else 1
    legend = axes.legend(
        handles,
        names,
        frameon=False,
        fontsize=10,
        loc="lower left",
        bbox_to_anchor=(0, 1.0),
        ncols=columns,
        borderaxespad=0.2,
        columnspacing=1.2,
        handlelength=1.8,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)  # a $ in a name starts no formula
    figure = axes.get_figure(root=True)
    if figure is not None:
        figure.set_figheight(figure.get_figheight() + 0.18 * (len(names) // columns - 1))


def name_row(axes: "Axes", height: float, words: str, colour: str) -> None:
    """Write the name of a row of a picture above it."""
    axes.text(
        0.005,
        height + 0.24,
        words,
        transform=axes.get_yaxis_transform(),
        fontsize=10.5,
        color=colour,
        parse_math=False,
        va="bottom",
        in_layout=False,  # a long name is cut at the edge, it does not squeeze the axes
    )


def shortened(name: str, most: int = 30) -> str:
    """A name in one line of at most `most` characters."""
    words = " ".join(name.split())
    return words if len(words) <= most else words[: most - 1] + "…"


def save_picture(figure: "Figure", folder: Path, name: str, title: str) -> Picture:
    """Write `folder/name.png`, whole or not at all, and return it with its SVG.

    Args:
        figure: from `new_figure`.
        folder: exists.
        name: stem of the file, the same for the same content.
        title: what a reader who cannot see it is told.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    path = folder / f"{name}.png"
    unfinished = folder / f".{name}.png.unfinished"
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    try:
        with (
            warnings.catch_warnings(),
            # words stay words in the SVG, and every picture has ids of its own
            matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}),
        ):
            # A script that the font lacks shows as boxes in the PNG; the table has the names.
            warnings.filterwarnings("ignore", message="Glyph .* missing from font")
            # `savefig` would draw each twice
            figure.set_dpi(160)
            FigureCanvasAgg(figure).print_png(unfinished)  # type: ignore[no-untyped-call]
            figure.set_layout_engine("none")  # everything has its place now
            FigureCanvasSVG(figure).print_svg(  # type: ignore[no-untyped-call]
                buffer, metadata=nothing
            )
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
    return Picture(name, _inline(buffer.getvalue(), title), path)


def _inline(document: str, title: str) -> str:
    """The `<svg>` of a document, with a name for readers and without what belongs to a file."""
    from markupsafe import escape

    svg = document[document.index("<svg") :]
    head, _, body = svg.partition(">")
    box = re.search(r'viewBox="[^"]*"', head)
    body = re.sub(r"<style.*?</style>", "", body, flags=re.DOTALL)
    body = re.sub(r"<!--.*?-->\s*", "", body, flags=re.DOTALL)
    body = re.sub(r"<defs>\s*</defs>\s*", "", body)
    # the page's own letters, which the reader's machine has
    body = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", body)
    body = NAMESPACES.sub("", body)
    return f'<svg role="img" aria-label="{escape(title)}" {box.group(0) if box else ""}>{body}'
