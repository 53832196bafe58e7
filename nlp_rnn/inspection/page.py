"""HTML page of inspections, self-contained, with its figures also as PNG files."""

import base64
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from nlp_rnn.inspection import figures
from nlp_rnn.inspection.gates import LONGEST_HALF_LIFE, half_lives, summarize_half_lives
from nlp_rnn.inspection.inspection import Inspection
from nlp_rnn.inspection.text_tokens import text_spans

__all__ = ["PAGE", "PageFigure", "preload_drawing", "write_page"]

PAGE = "inspection.html"
HERE = Path(__file__).parent
MIN_SHARE = 0.04
"""A token is not coloured if its attribution is below this share of the largest."""


@dataclass(frozen=True)
class PageFigure:
    """A figure of the page: file name, PNG bytes and caption."""

    name: str
    png: bytes
    caption: str

    @property
    def data(self) -> str:
        """The PNG in base64, for a data URL."""
        return base64.b64encode(self.png).decode()


@dataclass(frozen=True)
class ColouredText:
    """A text coloured by the attributions to one label.

    Attributes
    ----------
    label : str
        The explained label.
    probability : float
        Its predicted probability.
    spans : list of (str, str, str)
        Text, CSS background and formatted attribution of each span; the last two may be empty.
    """

    label: str
    probability: float
    spans: list[tuple[str, str, str]]


@dataclass(frozen=True)
class ModelView:
    """The inspection of a text by one model, formatted for the template.

    Attributes
    ----------
    inspection : Inspection
        The inspection.
    attributions : list of ColouredText
        Integrated gradients of the most probable labels.
    occluded : ColouredText
        Occlusion of the most probable label.
    agreement : str
        Rank correlation of the two attributions.
    gates : list of PageFigure
        Gate activations, one figure for each layer and direction.
    saturation, memory : list of tuples of str
        Rows of the tables of saturated gates and of half-lives.
    bars : PageFigure or None
        Bar chart of the attributions.
    over_time : PageFigure or None
        Probabilities after every token, if the model can compute them.
    """

    inspection: Inspection
    attributions: list[ColouredText]
    occluded: ColouredText
    agreement: str
    gates: list[PageFigure] = field(default_factory=list)
    saturation: list[tuple[str, ...]] = field(default_factory=list)
    memory: list[tuple[str, ...]] = field(default_factory=list)
    bars: PageFigure | None = None
    over_time: PageFigure | None = None

    @property
    def probabilities(self) -> list[tuple[str, float]]:
        """The most probable labels with their probabilities."""
        return [
            (self.inspection.model.labels[index], float(self.inspection.probabilities[index]))
            for index in self.inspection.attribution.classes
        ]


@dataclass(frozen=True)
class TextSection:
    """One text with the views of all models, which the page shows next to each other."""

    number: int
    title: str
    text: str
    views: list[ModelView]
    half_lives: PageFigure | None
    gradient: PageFigure | None


def preload_drawing() -> None:
    """Import jinja2 and matplotlib and load the fonts, which takes as long as inspecting a text."""
    import jinja2
    from matplotlib.figure import Figure

    figure = Figure((1, 1))
    figure.text(0, 0, jinja2.__name__)
    figure.savefig(io.BytesIO())


def write_page(folder: Path, texts: Sequence[Sequence[Inspection]]) -> list[Path]:
    """Write `inspection.html` and its PNG files.

    Parameters
    ----------
    folder : Path
        Created if it is missing. The files of an earlier page are replaced.
    texts : sequence of sequence of Inspection
        For every text its inspections by one or two models.

    Returns
    -------
    list of Path
        The page, then the PNG files.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    with figures.figure_style():
        sections = [
            _section(number, inspections) for number, inspections in enumerate(texts, start=1)
        ]
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    html = environment.get_template("page.html.jinja").render(
        sections=sections, models=[inspection.model for inspection in texts[0]]
    )
    folder.mkdir(parents=True, exist_ok=True)
    for old in (*folder.glob("text*_*.png"), folder / PAGE):
        old.unlink(missing_ok=True)
    paths = []
    for figure in (figure for section in sections for figure in _figures(section)):
        paths.append(folder / figure.name)
        paths[-1].write_bytes(figure.png)
    temporary = folder / f".{PAGE}.part"
    temporary.write_text(html, encoding="utf-8")
    os.replace(temporary, folder / PAGE)
    return [folder / PAGE, *paths]


def _figures(section: TextSection) -> list[PageFigure]:
    optional = [section.gradient, section.half_lives]
    for view in section.views:
        optional += [*view.gates, view.bars, view.over_time]
    return [figure for figure in optional if figure is not None]


def _section(number: int, inspections: Sequence[Inspection]) -> TextSection:
    compared = len(inspections) > 1
    scale = (
        max(float(np.abs(inspection.attribution.integrated).max()) for inspection in inspections)
        or 1.0
    )
    limit = 1.05 * max(
        float(np.abs(values[0]).max())
        for inspection in inspections
        for values in (inspection.attribution.integrated, inspection.attribution.occluded)
    )
    views = []
    for letter, inspection in zip("ab", inspections, strict=False):
        prefix = f"text{number}_{letter + '_' if compared else ''}"
        views.append(_model_view(inspection, prefix, compared, scale, limit))
    text = inspections[0].tokens.text
    title = " ".join(text.split())
    has_network = any(inspection.model.network is not None for inspection in inspections)
    gated = any(
        layer.retention is not None for inspection in inspections for layer in inspection.layers
    )
    return TextSection(
        number,
        title if len(title) <= 60 else f"{title[:59]}…",
        text,
        views,
        PageFigure(
            f"text{number}_half_lives.png",
            figures.draw_half_lives(inspections),
            "Share of the units that still hold at least half of their content after a number of "
            "tokens.",
        )
        if gated
        else None,
        PageFigure(
            f"text{number}_gradient.png",
            figures.draw_gradient(inspections, compared),
            "Norm of the gradient of the log-odds with respect to each token's embedding, on a "
            "logarithmic scale: how strongly the prediction depends on the token.",
        )
        if has_network
        else None,
    )


def _model_view(
    inspection: Inspection, prefix: str, compared: bool, scale: float, limit: float
) -> ModelView:
    """Format one inspection; file names start with `prefix`, `compared` aligns by characters."""
    attribution = inspection.attribution
    labels = [inspection.model.labels[index] for index in attribution.classes]
    shares = [float(inspection.probabilities[index]) for index in attribution.classes]
    occluded = float(np.abs(attribution.occluded[0]).max()) or 1.0
    agreement = attribution.agreement(0)
    layers = [layer for layer in inspection.layers if layer.gates]
    return ModelView(
        inspection,
        [
            _coloured(inspection, label, share, values, scale)
            for label, share, values in zip(labels, shares, attribution.integrated, strict=True)
        ],
        _coloured(inspection, labels[0], shares[0], attribution.occluded[0], occluded),
        "too few tokens to compare" if agreement is None else f"rank correlation {agreement:.2f}",
        [
            PageFigure(
                f"{prefix}gates_l{layer.layer + 1}{'_reverse' if layer.backward else ''}.png",
                figures.draw_gates(inspection, layer, compared),
                f"{layer.name.capitalize()}: the mean of each gate, and each gate of the "
                f"{min(figures.UNITS, layer.states.shape[1])} units whose states vary most "
                "(dark is closed, light is open).",
            )
            for layer in layers
        ],
        [
            (layer.name, gate, f"{float(values.mean()):.2f}", *map(_percent, layer.saturated(gate)))
            for layer in layers
            for gate, values in layer.gates.items()
        ],
        _memory_rows(inspection),
        PageFigure(
            f"{prefix}attribution.png",
            figures.draw_attribution(inspection, compared, limit if compared else 0.0),
            "Bars: integrated gradients of each token for (blue) and against (orange) the label. "
            "Dots: decrease of the log-odds when the token is occluded.",
        ),
        PageFigure(
            f"{prefix}over_time.png",
            figures.draw_over_time(inspection, compared),
            "Probabilities that the "
            f"{'network' if inspection.ngrams is not None else 'model'} would predict if the text "
            "ended at this token.",
        )
        if inspection.over_time is not None
        else None,
    )


def _coloured(
    inspection: Inspection, label: str, probability: float, values: np.ndarray, scale: float
) -> ColouredText:
    """Colour a text; `scale` is the attribution with the strongest colour."""
    spans = []
    for span in text_spans(inspection.tokens, values):
        if span.value is None:
            spans.append((span.text, "", ""))
            continue
        strength = min(abs(span.value) / scale, 1.0)
        # black letters are readable on both colours at full strength
        colour = "86,180,233" if span.value > 0 else "240,150,70"
        css = f"rgba({colour},{strength:.2f})" if strength >= MIN_SHARE else ""
        spans.append((span.text, css, f"{span.value:+.2f}"))
    return ColouredText(label, probability, spans)


def _memory_rows(inspection: Inspection) -> list[tuple[str, ...]]:
    rows = []
    for layer in inspection.layers:
        lives = half_lives(layer)
        if lives is not None:
            summary = summarize_half_lives(lives, len(inspection.tokens))
            numbers = (summary.median, summary.percentile_90, summary.longest)
            share = _percent(summary.share_beyond_text)
            rows.append((layer.name, *map(_num_tokens, numbers), share))
    return rows


def _num_tokens(number: float) -> str:
    if number >= LONGEST_HALF_LIFE:
        return "unlimited"
    return f"{number:.1f}" if number < 10 else f"{number:,.0f}"


def _percent(share: float) -> str:
    return f"{share:.0%}"
