"""Section on text length: accuracy over the number of tokens of a text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nlp_rnn.report.context import NO_PREDICTIONS, ReportContext
from nlp_rnn.report.figure_files import LineStyle, add_axes, legend_above, new_figure, plot_line
from nlp_rnn.report.page import Figures, Placeholder, Section
from nlp_rnn.scoring.metrics import wilson_interval
from nlp_rnn.scoring.predictions import Predictions

if TYPE_CHECKING:
    from matplotlib.figure import Figure


__all__ = ["LengthBand", "length_bands", "length_figure", "text_length_section"]

MIN_TEXTS = 12
"""Fewer test texts are not divided into bands."""


@dataclass(frozen=True)
class LengthBand:
    """Accuracy of one configuration on the test texts of one range of lengths.

    Attributes
    ----------
    shortest, longest : int
        Range of the lengths in tokens, both inclusive.
    texts : int
        Number of texts.
    accuracy : float
        Accuracy over all texts and seeds, 0 to 1.
    low, high : float
        95 % interval of the accuracy (Wilson 1927), over texts only.
    """

    shortest: int
    longest: int
    texts: int
    accuracy: float
    low: float
    high: float


def text_length_section(context: ReportContext) -> Section:
    """Return the section: the accuracy by the length of a text."""
    multi_label = context.comparison.is_multi_label
    score = "subset accuracy" if multi_label else "accuracy"
    title = f"{score[0].upper()}{score[1:]} by text length"
    predictions = context.predictions
    if not predictions:
        return Section("length", title, [Placeholder(NO_PREDICTIONS)])
    if context.num_texts < MIN_TEXTS:
        few = f"{context.num_texts} test texts are too few to divide them by length."
        return Section("length", title, [Placeholder(few)])
    bands = dict(zip(predictions, length_bands(list(predictions.values())), strict=True))
    context.tables["lengths"] = [
        {"configuration": name, **vars(band)} for name, row in bands.items() for band in row
    ]
    figure = length_figure(bands, context.styles, f"test {score} (%)")
    first = next(iter(predictions))
    caption = (
        f"The n = {context.num_texts:,} test texts in ranges with about the same number of texts. "
        f"The length is in tokens of {first}. Points are means over the seeds. Lines are 95 % "
        "intervals (Wilson) over texts only, so overlapping lines do not mean that the "
        "configurations are equal."
    )
    if multi_label:
        caption += " A text counts as correct if all its labels are."
    saved = context.save_figure(figure, "length", f"Test {score} by the length of a text")
    return Section("length", title, [Figures([(saved, caption)])])


def length_bands(
    configurations: Sequence[Sequence[Predictions]], max_bands: int = 5
) -> list[list[LengthBand]]:
    """Divide the test texts into up to `max_bands` bands with about the same number of texts.

    Each configuration is a sequence of the predictions of its seeds for the same rows. The bands
    are the same for all configurations, with the token lengths of the first one.
    """
    lengths = configurations[0][0].lengths
    quantiles = np.linspace(0, 1, max_bands + 1)[1:-1]
    edges = np.unique(np.quantile(lengths, quantiles, method="nearest"))
    band_of_text = np.searchsorted(edges, lengths, side="left")
    bands: list[list[LengthBand]] = []
    for runs in configurations:
        correct = np.mean([run.correct for run in runs], axis=0)
        row = []
        for band in np.unique(band_of_text):
            inside = band_of_text == band
            texts, accuracy = int(inside.sum()), float(correct[inside].mean())
            # the mean over the seeds is not a whole number of correct texts
            low, high = wilson_interval(round(accuracy * texts), texts)
            shortest, longest = int(lengths[inside].min()), int(lengths[inside].max())
            row.append(LengthBand(shortest, longest, texts, accuracy, low, high))
        bands.append(row)
    return bands


def length_figure(
    bands: Mapping[str, Sequence[LengthBand]],
    styles: Mapping[str, LineStyle],
    ylabel: str = "test accuracy (%)",
) -> "Figure":
    """Draw the accuracy of each configuration over the length bands, with n below the axis."""
    figure = new_figure(3.3)
    axes = add_axes(figure, "tokens of a text, and number of test texts", ylabel)
    offset = min(0.16, 0.7 / len(bands))
    for index, (name, row) in enumerate(bands.items()):
        style = styles[name]
        x = np.arange(len(row)) + (index - (len(bands) - 1) / 2) * offset
        accuracy, low, high = (
            100 * np.array([[band.accuracy, band.low, band.high] for band in row]).T
        )
        axes.vlines(x, low, high, color=style.colour, lw=1.4, alpha=0.6)
        plot_line(axes, x, accuracy, style.colour, style, name)
    first = next(iter(bands.values()), [])
    axes.set_xticks(
        range(len(first)), [f"{_range(band)}\nn={band.texts:,}" for band in first], fontsize=9
    )
    legend_above(axes)
    return figure


def _range(band: LengthBand) -> str:
    shortest, longest = band.shortest, band.longest
    return f"{shortest}" if shortest == longest else f"{shortest}–{longest}"
