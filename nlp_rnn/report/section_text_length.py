"""section_text_length."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nlp_rnn.report.context import (
    NO_PREDICTIONS,
    Material,
)
from nlp_rnn.report.figure_files import (
    Style,
    axes_of,
    legend_above,
    new_figure,
    shortened,
)
from nlp_rnn.report.page import Figures, Missing, Section
from nlp_rnn.scoring.predictions import Predictions
from nlp_rnn.scoring.metrics import wilson_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure


__all__ = ["LengthBand", "length_bands", "length_figure", "length_section"]

SMALLEST = 12
"""Fewer test texts than this cannot be cut by length."""


@dataclass(frozen=True)
class LengthBand:
    """The test texts of one range of lengths.

    Attributes:
        shortest, longest: tokens, both included.
        texts: how many there are.
        share: of answers that are right, over all texts and seeds of a group.
        low, high: 95 % interval of the share (Wilson), over texts only.
    """

    shortest: int
    longest: int
    texts: int
    share: float
    low: float
    high: float


def length_section(material: Material) -> Section:
    """How accuracy changes with the length of a text."""
    title = "Accuracy by text length"
    found = material.predictions
    if not found:
        return Section("length", title, [Missing(NO_PREDICTIONS)])
    if material.num_texts < SMALLEST:
        few = f"{material.num_texts} test texts are too few to be cut by their length."
        return Section("length", title, [Missing(few)])
    bands = dict(zip(found, length_bands(list(found.values())), strict=True))
    material.tables["lengths"] = [
        {"group": name, **vars(band)} for name, row in bands.items() for band in row
    ]
    figure = length_figure(bands, material.styles, "test accuracy (%)")
    first = next(iter(found))
    caption = (
        f"The n = {material.num_texts:,} test texts in ranges of about as many texts; length in "
        f"tokens as {first} counts them. Points are means over the seeds, lines 95 % intervals "
        "(Wilson) that count the texts only, so overlapping lines do not mean equal."
    )
    picture = material.picture(figure, "length", "Test accuracy by the length of a text")
    return Section("length", title, [Figures([(picture, caption)])])


def length_bands(groups: Sequence[Sequence[Predictions]], most: int = 5) -> list[list[LengthBand]]:
    """Cut the test texts into up to `most` bands of about as many texts, the same for all groups.

    Each group is the predictions of its seeds on the same rows. Groups whose tokenizers count
    differently are cut by the lengths of the first.
    """
    lengths = groups[0][0].lengths
    edges = np.unique(np.quantile(lengths, np.linspace(0, 1, most + 1)[1:-1], method="nearest"))
    bands = np.searchsorted(edges, lengths, side="left")
    found: list[list[LengthBand]] = []
    for runs in groups:
        right = np.mean([run.predictions == run.labels for run in runs], axis=0)
        row = []
        for band in np.unique(bands):
            inside = bands == band
            texts, share = int(inside.sum()), float(right[inside].mean())
            # the mean over seeds is no whole number of hits
            low, high = wilson_interval(round(share * texts), texts)
            shortest, longest = int(lengths[inside].min()), int(lengths[inside].max())
            row.append(LengthBand(shortest, longest, texts, share, low, high))
        found.append(row)
    return found


def length_figure(
    bands: Mapping[str, Sequence[LengthBand]], styles: Mapping[str, Style], unit: str
) -> "Figure":
    """The share right of each group over the length of a text; n of each band under the axis."""
    figure = new_figure(3.3)
    axes = axes_of(figure, "tokens of a text, and number of test texts", unit)
    wide = min(0.16, 0.7 / len(bands))
    for place, (name, row) in enumerate(bands.items()):
        style = styles[name]
        at = np.arange(len(row)) + (place - (len(bands) - 1) / 2) * wide
        middle = np.array([100 * band.share for band in row])
        low = np.array([100 * band.low for band in row])
        high = np.array([100 * band.high for band in row])
        axes.vlines(at, low, high, color=style.colour, lw=1.4, alpha=0.6)
        axes.plot(
            at, middle, style.dash, marker=style.marker, color=style.colour, lw=1.5, ms=5.5,
            label=shortened(name),
        )  # fmt: skip
    first = next(iter(bands.values()), [])
    axes.set_xticks(
        range(len(first)), [f"{_range(band)}\nn={band.texts:,}" for band in first], fontsize=9
    )
    legend_above(axes)
    return figure


def _range(band: LengthBand) -> str:
    return f"{band.shortest}" if band.shortest == band.longest else (
        f"{band.shortest}–{band.longest}"
    )  # fmt: skip
