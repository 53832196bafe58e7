"""Inspections become one HTML page that stands alone, and its pictures as PNG files."""

import base64
import io
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from nlp_rnn.inspection import figures
from nlp_rnn.inspection.gates import LONGEST, half_lives, summarize
from nlp_rnn.inspection.inspection import Inspection
from nlp_rnn.inspection.text_tokens import pieces

__all__ = ["PAGE", "Picture", "prepare_drawing", "write_page"]

PAGE = "inspection.html"
HERE = Path(__file__).parent
FAINTEST = 0.04
"""Below this share of the strongest, a token is not coloured."""


@dataclass(frozen=True)
class Picture:
    """A PNG with the name of its file, and what it shows."""

    name: str
    png: bytes
    caption: str

    @property
    def data(self) -> str:
        """The picture inside the page."""
        return base64.b64encode(self.png).decode()


@dataclass(frozen=True)
class ColouredText:
    """A text coloured for one class: (words, background as CSS or none, value as words)."""

    label: str
    probability: float
    spans: list[tuple[str, str, str]]


@dataclass(frozen=True)
class Reading:
    """What one model made of a text, ready for the template."""

    seen: Inspection
    given: list[ColouredText]
    occluded: ColouredText
    agreement: str
    gates: list[Picture] = field(default_factory=list)
    saturation: list[tuple[str, ...]] = field(default_factory=list)
    memory: list[tuple[str, ...]] = field(default_factory=list)
    bars: Picture | None = None
    over_time: Picture | None = None

    @property
    def probabilities(self) -> list[tuple[str, float]]:
        """Labels with their probabilities, the most probable ones."""
        return [
            (self.seen.model.labels[index], float(self.seen.probabilities[index]))
            for index in self.seen.attribution.classes
        ]


@dataclass(frozen=True)
class TextSection:
    """One text and its readings, side by side."""

    number: int
    title: str
    text: str
    readings: list[Reading]
    half_lives: Picture | None
    gradient: Picture


def prepare_drawing() -> None:
    """Import what a page is made with, and find the fonts."""
    import jinja2
    from matplotlib.figure import Figure

    figure = Figure((1, 1))
    figure.text(0, 0, jinja2.__name__)
    figure.savefig(io.BytesIO())


def write_page(folder: Path, texts: Sequence[Sequence[Inspection]]) -> list[Path]:
    """Write `inspection.html` and its PNGs into `folder`; return their paths.

    `texts` has for each text one inspection a model, or two. What an earlier page left there is
    replaced.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    with figures.styled():
        sections = [_section(number, seen) for number, seen in enumerate(texts, start=1)]
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    html = environment.get_template("page.html.jinja").render(
        sections=sections, models=[seen.model for seen in texts[0]]
    )
    folder.mkdir(parents=True, exist_ok=True)
    for old in (*folder.glob("text*_*.png"), folder / PAGE):
        old.unlink(missing_ok=True)
    paths = []
    for picture in (picture for section in sections for picture in _pictures(section)):
        paths.append(folder / picture.name)
        paths[-1].write_bytes(picture.png)
    temporary = folder / f".{PAGE}.part"
    temporary.write_text(html, encoding="utf-8")
    os.replace(temporary, folder / PAGE)
    return [folder / PAGE, *paths]


def _pictures(section: TextSection) -> list[Picture]:
    found = [section.gradient, *([section.half_lives] if section.half_lives else [])]
    for reading in section.readings:
        found += reading.gates
        found += [picture for picture in (reading.bars, reading.over_time) if picture]
    return found


def _section(number: int, inspections: Sequence[Inspection]) -> TextSection:
    several = len(inspections) > 1
    scale = max(float(np.abs(seen.attribution.integrated).max()) for seen in inspections) or 1.0
    highest = max(
        float(np.abs(values[0]).max())
        for seen in inspections
        for values in (seen.attribution.integrated, seen.attribution.occluded)
    )
    readings = []
    for place, seen in enumerate(inspections):

        def name(what: str, place: int = place) -> str:
            return f"text{number}_{'ab'[place] + '_' if several else ''}{what}.png"

        readings.append(_reading(seen, name, several, scale, 1.05 * highest))
    text = inspections[0].tokens.text
    words = " ".join(text.split())
    gated = any(layer.kept is not None for seen in inspections for layer in seen.layers)
    return TextSection(
        number,
        words if len(words) <= 60 else f"{words[:59]}…",
        text,
        readings,
        Picture(
            f"text{number}_half_lives.png",
            figures.draw_half_lives(inspections),
            "Of the units, the share that still holds half of what it held so many tokens ago.",
        )
        if gated
        else None,
        Picture(
            f"text{number}_gradient.png",
            figures.draw_gradient(inspections, several),
            "How strongly the decision would change with each token; logarithmic.",
        ),
    )


def _reading(
    seen: Inspection, name: Callable[[str], str], several: bool, scale: float, highest: float
) -> Reading:
    found = seen.attribution
    labels = [seen.model.labels[index] for index in found.classes]
    shares = [float(seen.probabilities[index]) for index in found.classes]
    occluded = float(np.abs(found.occluded[0]).max()) or 1.0
    agreement = found.agreement(0)
    layers = [layer for layer in seen.layers if layer.gates]
    return Reading(
        seen,
        [
            _coloured(seen, label, share, values, scale)
            for label, share, values in zip(labels, shares, found.integrated, strict=True)
        ],
        _coloured(seen, labels[0], shares[0], found.occluded[0], occluded),
        "too few tokens to compare" if agreement is None else f"rank correlation {agreement:.2f}",
        [
            Picture(
                name(f"gates_l{layer.layer + 1}{'_reverse' if layer.backward else ''}"),
                figures.draw_gates(seen, layer, several),
                f"{layer.name.capitalize()}: mean of each gate, and the gates of the "
                f"{min(figures.UNITS, layer.states.shape[1])} units that change most "
                "(dark: closed, light: open).",
            )
            for layer in layers
        ],
        [
            (layer.name, gate, f"{float(values.mean()):.2f}", *map(_percent, layer.saturated(gate)))
            for layer in layers
            for gate, values in layer.gates.items()
        ],
        _memory_rows(seen),
        Picture(
            name("attribution"),
            figures.draw_attribution(seen, several, highest if several else 0.0),
            "Each token's share, for (blue) and against (orange); dots: what taking it out costs.",
        ),
        Picture(
            name("over_time"),
            figures.draw_over_time(seen, several),
            "What the model would answer if the text ended here.",
        )
        if seen.over_time is not None
        else None,
    )


def _coloured(
    seen: Inspection, label: str, probability: float, values: np.ndarray, scale: float
) -> ColouredText:
    """The text in coloured pieces: `scale` is what the strongest colour stands for."""
    spans = []
    for piece in pieces(seen.tokens, values):
        if piece.value is None:
            spans.append((piece.text, "", ""))
            continue
        strength = min(abs(piece.value) / scale, 1.0)
        # both leave black letters readable at full strength
        colour = "86,180,233" if piece.value > 0 else "240,150,70"
        css = f"rgba({colour},{strength:.2f})" if strength >= FAINTEST else ""
        spans.append((piece.text, css, f"{piece.value:+.2f}"))
    return ColouredText(label, probability, spans)


def _memory_rows(seen: Inspection) -> list[tuple[str, ...]]:
    rows = []
    for layer in seen.layers:
        lives = half_lives(layer)
        if lives is not None:
            found = summarize(lives, len(seen.tokens))
            numbers = (found.median, found.longest_tenth, found.longest)
            rows.append((layer.name, *map(_tokens, numbers), _percent(found.beyond)))
    return rows


def _tokens(number: float) -> str:
    if number >= LONGEST:
        return "never"
    return f"{number:.1f}" if number < 10 else f"{number:,.0f}"


def _percent(share: float) -> str:
    return f"{share:.0%}"
