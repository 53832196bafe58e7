"""Figures of a report: common style, and saving as PNG file and as SVG for the page."""

import io
import os
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "BASELINE_COLOUR",
    "INK",
    "PALE",
    "LineStyle",
    "SavedFigure",
    "add_axes",
    "legend_above",
    "line_styles",
    "new_figure",
    "plot_line",
    "save_figure",
    "shorten",
    "write_row_name",
]

# Okabe & Ito 2008: distinguishable with every kind of colour blindness.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#8A6D00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", "-.", ":")
BASELINE_COLOUR = "#6B6B6B"
INK, PALE = "#222222", "#C8C8C8"

WIDTH = 4.7
"""Inches. The page shows a figure at 350 to 500 px, so 10 points are at least 10 px."""

# Namespaces are URLs; nothing is loaded from them, but the page shall contain none.
NAMESPACES = re.compile(r'\s+(?:xmlns(?::\w+)?|version)="[^"]*"')


@dataclass(frozen=True)
class LineStyle:
    """Style of a configuration in all figures; colour, marker and dash each distinguish it."""

    colour: str
    marker: str
    dash: str


@dataclass(frozen=True)
class SavedFigure:
    """A figure as SVG for the page and as PNG file.

    Attributes
    ----------
    name : str
        Stem of the file name.
    svg : str
        An `<svg>` element without URLs.
    path : Path
        The PNG file.
    """

    name: str
    svg: str
    path: Path


def line_styles(names: Sequence[str]) -> dict[str, LineStyle]:
    """Return a style for each name; it depends only on the position of the name."""
    return {
        name: LineStyle(
            COLOURS[index % len(COLOURS)],
            MARKERS[(index + index // len(COLOURS)) % len(MARKERS)],
            DASHES[index % len(DASHES)],
        )
        for index, name in enumerate(names)
    }


def new_figure(height: float) -> "Figure":
    """Return a new figure without pyplot, which has global state and may need a display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def add_axes(figure: "Figure", xlabel: str, ylabel: str = "") -> "Axes":
    """Add the axes of a figure with a single panel; the labels name quantity and unit."""
    axes = figure.add_subplot()
    axes.set_xlabel(xlabel, fontsize=10.5, color=INK)
    axes.set_ylabel(ylabel, fontsize=10.5, color=INK)
    axes.tick_params(labelsize=10, colors=INK)
    axes.grid(True, color="#E6E6E6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#8A8A8A")
    return axes


def legend_above(axes: "Axes") -> None:
    """Put the legend above the axes, and make the figure higher by its rows."""
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
        text.set_parse_math(False)  # a $ in a name does not start a formula
    figure = axes.get_figure(root=True)
    if figure is not None:
        figure.set_figheight(figure.get_figheight() + 0.18 * (len(names) // columns - 1))


def plot_line(
    axes: "Axes", x: ArrayLike, y: ArrayLike, colour: str, style: LineStyle, name: str
) -> None:
    """Plot a line with marks, with the shortened name of its configuration in the legend."""
    label, marker = shorten(name), style.marker
    axes.plot(x, y, style.dash, marker=marker, color=colour, lw=1.5, ms=5.5, label=label)


def write_row_name(axes: "Axes", height: float, name: str, colour: str) -> None:
    """Write the name of a row above it; `height` is the position of the row."""
    axes.text(
        0.005,
        height + 0.24,
        name,
        transform=axes.get_yaxis_transform(),
        fontsize=10.5,
        color=colour,
        parse_math=False,
        va="bottom",
        in_layout=False,  # a long name is cut at the edge instead of shrinking the axes
    )


def shorten(name: str, length: int = 30) -> str:
    """Return a name in one line of at most `length` characters."""
    line = " ".join(name.split())
    return line if len(line) <= length else line[: length - 1] + "…"


def save_figure(figure: "Figure", folder: Path, name: str, title: str) -> SavedFigure:
    """Write `folder/name.png` atomically and return it with its SVG.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Figure from `new_figure`.
    folder : Path
        Existing folder.
    name : str
        Stem of the file name.
    title : str
        Description for screen readers.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    path = folder / f"{name}.png"
    unfinished = folder / f".{name}.png.unfinished"
    buffer = io.StringIO()
    no_metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    try:
        with (
            warnings.catch_warnings(),
            # text stays text in the SVG, and the ids of every figure are unique on the page
            matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}),
        ):
            # Letters that the font lacks are boxes in the PNG; the tables show the names.
            warnings.filterwarnings("ignore", message="Glyph .* missing from font")
            # `savefig` would draw each figure twice
            figure.set_dpi(160)
            FigureCanvasAgg(figure).print_png(unfinished)  # type: ignore[no-untyped-call]
            figure.set_layout_engine("none")  # the layout is final after the PNG
            FigureCanvasSVG(figure).print_svg(  # type: ignore[no-untyped-call]
                buffer, metadata=no_metadata
            )
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
    return SavedFigure(name, _inline(buffer.getvalue(), title), path)


def _inline(document: str, title: str) -> str:
    """Return the `<svg>` element of a document with an accessible name, without file metadata."""
    from markupsafe import escape

    svg = document[document.index("<svg") :]
    head, _, body = svg.partition(">")
    box = re.search(r'viewBox="[^"]*"', head)
    body = re.sub(r"<style.*?</style>", "", body, flags=re.DOTALL)
    body = re.sub(r"<!--.*?-->\s*", "", body, flags=re.DOTALL)
    body = re.sub(r"<defs>\s*</defs>\s*", "", body)
    # use the font of the page instead of matplotlib's
    body = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", body)
    body = NAMESPACES.sub("", body)
    return f'<svg role="img" aria-label="{escape(title)}" {box.group(0) if box else ""}>{body}'
