"""Report section on learning curves: validation score during training, by updates and seconds."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from nlp_rnn.report.context import ReportContext, TrainingCurve
from nlp_rnn.report.figure_files import LineStyle, add_axes, legend_above, new_figure, shorten
from nlp_rnn.report.page import Block, Figures, Paragraph, Placeholder, Section

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["learning_curve_figure", "learning_curve_section"]

# Attribute of `TrainingCurve`, label of the axis, explanation in the caption.
AXES = (
    (
        "updates",
        "updates",
        "After the same number of updates, all runs have trained on the same number of texts.",
    ),
    (
        "seconds",
        "seconds of training and validation",
        "After the same time, a faster cell has trained on more texts.",
    ),
)


def learning_curve_section(context: ReportContext) -> Section:
    """Return the section with two figures: validation score over updates, and over seconds.

    The scores are also stored in `context.tables` as the table `curves`. If no run has logged its
    validation scores, the section says so.
    """
    title = "Learning curves"
    runs = [
        (configuration.name, run.seed, context.curves[run.run_id])
        for configuration in context.comparison.configurations
        for run in configuration.runs
        if run.run_id in context.curves
    ]
    if not runs:
        missing = (
            f"The runs have not logged the validation {context.score_name} of their epochs, so "
            "there are no learning curves. Runs of this version of nlp-rnn log it."
        )
        return Section("curves", title, [Placeholder(missing)])
    curves: dict[str, list[TrainingCurve]] = {}
    for name, _, curve in runs:
        curves.setdefault(name, []).append(curve)
    count = ", ".join(f"{name} {len(of_name)}" for name, of_name in curves.items())
    ylabel = f"validation {context.score_name} (%)"
    figures = []
    for x, xlabel, explanation in AXES:
        figure = learning_curve_figure(curves, context.styles, x, xlabel, ylabel)
        saved = context.save_figure(figure, f"curves_{x}", f"{ylabel} over {xlabel}")
        caption = (
            f"{explanation} One line per run, n = {count} runs, with one point per epoch. "
            "The mark is the best epoch, whose weights the classifier has."
        )
        figures.append((saved, caption))
    context.tables["curves"] = [
        {
            "configuration": name,
            "seed": seed,
            "epoch": epoch,
            "updates": updates,
            "seconds": seconds,
            "score": score,
        }
        for name, seed, curve in runs
        for epoch, (updates, seconds, score) in enumerate(
            zip(curve.updates, curve.seconds, curve.scores, strict=True), start=1
        )
    ]
    blocks: list[Block] = [Figures(figures)]
    if not context.comparison.same_machine:
        machines = "The seconds come from several machines, so they are not comparable."
        blocks.append(Paragraph(machines))
    return Section("curves", title, blocks)


def learning_curve_figure(
    curves: Mapping[str, Sequence[TrainingCurve]],
    styles: Mapping[str, LineStyle],
    x: str,
    xlabel: str,
    ylabel: str,
) -> "Figure":
    """Draw the validation score during training, one line per run.

    A marker shows the best epoch of each run.

    Parameters
    ----------
    curves : mapping of str to sequence of TrainingCurve
        Curves of the runs of each configuration, by its name.
    styles : mapping of str to LineStyle
        Line style of each configuration, by its name.
    x : {"updates", "seconds"}
        Attribute of `TrainingCurve` that is on the x-axis.
    xlabel, ylabel : str
        Labels of the axes.
    """
    figure = new_figure(3.3)
    axes = add_axes(figure, xlabel, ylabel)
    for name, runs in curves.items():
        style = styles[name]
        for index, curve in enumerate(runs):
            at, scores = getattr(curve, x), np.array(curve.scores)
            label = f"{shorten(name)} ({len(runs)})" if index == 0 else None
            axes.plot(at, scores, style.dash, color=style.colour, lw=1.3, alpha=0.75, label=label)
            if np.isfinite(scores).any():
                best = int(np.nanargmax(scores))
                axes.plot(
                    [at[best]], [scores[best]], style.marker, color=style.colour, ms=6,
                    mec="white", mew=0.6,
                )  # fmt: skip
    axes.set_xlim(left=0)
    legend_above(axes)
    return figure
