"""Blocks of a report page, and their rendering as self-contained HTML or as Markdown."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from nlp_rnn.report.figure_files import SavedFigure

__all__ = [
    "Block",
    "BulletList",
    "Figures",
    "Page",
    "Paragraph",
    "Placeholder",
    "Section",
    "Table",
    "TextCard",
    "TextCards",
    "render_html",
    "render_markdown",
]

HERE = Path(__file__).parent
NO_BREAK_SPACE = "\u00a0"


@dataclass(frozen=True)
class Paragraph:
    """A paragraph; `kind` is `plain`, or `verdict` for the conclusion of the page."""

    text: str
    kind: str = "plain"
    block: ClassVar[str] = "paragraph"


@dataclass(frozen=True)
class Placeholder:
    """Explanation of why content is missing and how to get it."""

    text: str
    block: ClassVar[str] = "placeholder"


@dataclass(frozen=True)
class BulletList:
    """Bullet points of (heading, text, evidence); heading and evidence may be empty."""

    points: Sequence[tuple[str, str, str]]
    block: ClassVar[str] = "list"


@dataclass(frozen=True)
class Table:
    """A table of formatted cells; the first column names the row.

    Attributes
    ----------
    columns : sequence of str
        Column heads, with units.
    rows : sequence of sequence of str
        Cells, as many per row as there are columns.
    caption : str
        What the table shows, with the sample size.
    muted_rows : frozenset of int
        Indices of rows that are drawn in grey, for baselines.
    left_aligned : bool
        Whether all cells are aligned left, for cells that hold sentences.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str
    muted_rows: frozenset[int] = frozenset()
    left_aligned: bool = False
    block: ClassVar[str] = "table"


@dataclass(frozen=True)
class Figures:
    """Figures with their captions, side by side on a wide screen."""

    figures: Sequence[tuple[SavedFigure, str]]
    block: ClassVar[str] = "figures"


@dataclass(frozen=True)
class TextCard:
    """One text with its predictions: (name of the configuration, prediction, is it right)."""

    head: str
    text: str
    predictions: Sequence[tuple[str, str, bool]]


@dataclass(frozen=True)
class TextCards:
    """Texts below each other."""

    cards: Sequence[TextCard]
    block: ClassVar[str] = "cards"


Block = Paragraph | Placeholder | BulletList | Table | Figures | TextCards


@dataclass(frozen=True)
class Section:
    """A section of the page: its anchor, its heading and at least one block."""

    anchor: str
    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Page:
    """A report: its title, one line below it, and its sections in order."""

    title: str
    subtitle: str
    sections: Sequence[Section]


def render_html(page: Page) -> str:
    """Render a page as one HTML document that loads nothing and runs no script.

    Guarantee: every string is escaped except the SVG of the figures, which this package writes.

    Raises
    ------
    ValueError
        A section has no blocks.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    for section in page.sections:
        if not section.blocks:
            raise ValueError(f"The section {section.title!r} of the report has no blocks.")
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # a number and its percent sign stay on one line
    environment.filters["unbroken"] = lambda text: text.replace(" %", NO_BREAK_SPACE + "%")
    style = (HERE / "report.css").read_text(encoding="utf-8")
    return environment.get_template("report.html.jinja").render(
        page=page, style=Markup(style), markup=Markup
    )


def render_markdown(page: Page, anchors: Sequence[str]) -> str:
    """Render the sections with these anchors as Markdown without figures, for MLflow notes."""
    parts = [f"**{_escaped(page.title)}**", _escaped(page.subtitle)]
    for section in page.sections:
        if section.anchor in anchors:
            parts.append(f"### {_escaped(section.title)}")
            for block in section.blocks:
                parts += list(_markdown(block))
    return "\n\n".join(parts) + "\n"


def _markdown(block: Block) -> Iterator[str]:
    if isinstance(block, Paragraph):
        text = _escaped(block.text)
        yield f"**{text}**" if block.kind == "verdict" else text
    elif isinstance(block, Placeholder):
        yield f"*{_escaped(block.text)}*"
    elif isinstance(block, BulletList):
        lines = []
        for head, text, evidence in block.points:
            parts = (f"**{_escaped(head)}**" if head else "", _escaped(text), _escaped(evidence))
            lines.append("- " + " ".join(filter(None, parts)))
        yield "\n".join(lines)
    elif isinstance(block, Table):
        # MLflow renders tables without space between columns and without a margin below.
        rows = [block.columns, ["---"] * len(block.columns), *block.rows]
        lines = [
            "| "
            + " | ".join(
                cell if row == 1 else _escaped(cell) + 2 * NO_BREAK_SPACE for cell in cells
            )
            + " |"
            for row, cells in enumerate(rows)
        ]
        yield "\n".join(lines)
        yield f"{NO_BREAK_SPACE}\n{_escaped(block.caption)}"


def _escaped(text: str) -> str:
    """Escape characters that have a meaning in Markdown and its tables."""
    escaped = " ".join(text.split())
    for mark in ("\\", "`", "*", "_", "[", "]", "|", "~", "#"):
        escaped = escaped.replace(mark, f"\\{mark}")
    return escaped.replace("<", "&lt;").replace(">", "&gt;")
