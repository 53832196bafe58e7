"""Sections of words, tables and pictures become one HTML page that stands alone, or Markdown."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nlp_rnn.report.figure_files import Picture

__all__ = [
    "Block",
    "Card",
    "Cards",
    "Figures",
    "Items",
    "Missing",
    "Page",
    "Section",
    "Table",
    "Words",
    "render_html",
    "render_markdown",
]

HERE = Path(__file__).parent
NO_BREAK_SPACE = "\u00a0"


@dataclass(frozen=True)
class Words:
    """A paragraph; `kind` is `plain`, or `verdict` for the one that answers the question."""

    text: str
    kind: str = "plain"
    block: str = "words"


@dataclass(frozen=True)
class Missing:
    """What stands where a part has nothing to show: why, and what would fill it."""

    text: str
    block: str = "missing"


@dataclass(frozen=True)
class Items:
    """Points, each a heading, words and evidence, of which heading and evidence may be empty."""

    items: Sequence[tuple[str, str, str]]
    block: str = "items"


@dataclass(frozen=True)
class Table:
    """Words in rows; the first column names the row, the others are set to the right.

    Attributes:
        columns: the heads, units included.
        rows: as many cells as columns.
        caption: what it shows and of how many.
        quiet: positions of rows that are yardsticks and no candidates.
        ragged: whether cells hold sentences, which are set to the left.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str
    quiet: frozenset[int] = frozenset()
    ragged: bool = False
    block: str = "table"


@dataclass(frozen=True)
class Figures:
    """Pictures with a caption each, side by side where the screen is wide."""

    figures: Sequence[tuple[Picture, str]]
    block: str = "figures"


@dataclass(frozen=True)
class Card:
    """A text, as the reader of a newspaper would see it: what it is, then who said what."""

    head: str
    text: str
    answers: Sequence[tuple[str, str, bool]]


@dataclass(frozen=True)
class Cards:
    """Texts under each other; each answer is a group, what it said, and whether that is right."""

    cards: Sequence[Card]
    block: str = "cards"


Block = Words | Missing | Items | Table | Figures | Cards


@dataclass(frozen=True)
class Section:
    """A heading and what is under it; a section without blocks is refused by `render_html`."""

    anchor: str
    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Page:
    """A report: its title, one line under it, and its sections in order."""

    title: str
    subtitle: str
    sections: Sequence[Section]


def render_html(page: Page) -> str:
    """Return the page as one document that fetches nothing and runs nothing.

    Promise: every string of the page is escaped; only the pictures' SVG, made here, is not.

    Raises:
        ValueError: a section has nothing in it, not even why.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    for section in page.sections:
        if not section.blocks:
            raise ValueError(f"the section {section.title!r} is blank")
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # a number and its sign stay on one line
    environment.filters["together"] = lambda text: text.replace(" %", NO_BREAK_SPACE + "%")
    style = (HERE / "report.css").read_text(encoding="utf-8")
    return environment.get_template("report.html.jinja").render(
        page=page, style=Markup(style), markup=Markup
    )


def render_markdown(page: Page, anchors: Sequence[str]) -> str:
    """Return the sections called `anchors` as Markdown without pictures, for a note in MLflow."""
    parts = [f"**{_plain(page.title)}**", _plain(page.subtitle)]
    for section in page.sections:
        if section.anchor in anchors:
            parts.append(f"### {_plain(section.title)}")
            for block in section.blocks:
                parts += list(_markdown(block))
    return "\n\n".join(parts) + "\n"


def _markdown(block: Block) -> Iterator[str]:
    if isinstance(block, Words):
        text = _plain(block.text)
        yield f"**{text}**" if block.kind == "verdict" else text
    elif isinstance(block, Missing):
        yield f"*{_plain(block.text)}*"
    elif isinstance(block, Items):
        yield "\n".join(
            "- "
            + " ".join(
                part
                for part in (f"**{_plain(head)}**" if head else "", _plain(text), _plain(evidence))
                if part
            )
            for head, text, evidence in block.items
        )
    elif isinstance(block, Table):
        # MLflow's tables have no space between columns and leave none below.
        rows = [block.columns, ["---"] * len(block.columns), *block.rows]
        lines = [
            "| "
            + " | ".join(cell if place == 1 else _plain(cell) + 2 * NO_BREAK_SPACE for cell in row)
            + " |"
            for place, row in enumerate(rows)
        ]
        yield "\n".join(lines)
        yield f"{NO_BREAK_SPACE}\n{_plain(block.caption)}"


def _plain(text: str) -> str:
    """Words that mean nothing to Markdown, in a table either."""
    words = " ".join(text.split())
    for mark in ("\\", "`", "*", "_", "[", "]", "|", "~", "#"):
        words = words.replace(mark, f"\\{mark}")
    return words.replace("<", "&lt;").replace(">", "&gt;")
