"""section_learning_curves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.report.context import Material
from nlp_rnn.report.figure_files import (
    Style,
    axes_of,
    legend_above,
    new_figure,
    shortened,
)
from nlp_rnn.report.page import Block, Figures, Missing, Section, Words

if TYPE_CHECKING:
    from matplotlib.figure import Figure


__all__ = ["Curve", "curve_figure", "curve_section"]


@dataclass(frozen=True)
class Curve:
    """How the validation score of one training rose: `at` (updates or seconds) and percent."""

    at: NDArray[np.float64]
    score: NDArray[np.float64]


def curve_section(material: Material) -> Section:
    """How the validation score rose, against updates and against seconds."""
    title = "Learning curves"
    updates, seconds = _drawn_curves(material, "updates"), _drawn_curves(material, "seconds")
    if not updates:
        return Section(
            "curves",
            title,
            [
                Missing(
                    f"The runs hold no validation {material.score_name} of their epochs, so how "
                    "they learnt cannot be drawn. Runs of this version of nlp-rnn log it."
                )
            ],
        )
    up = f"validation {material.score_name} (%)"
    count = ", ".join(f"{name} {len(curves)}" for name, curves in updates.items())
    drawn = []
    for name, curves, across, told in (
        ("curves_updates", updates, "updates", "updates, so each has read as many texts"),
        ("curves_seconds", seconds, "seconds of training with validation", "seconds of this "
         "machine, so a faster cell is further"),
    ):  # fmt: skip
        figure = curve_figure(curves, material.styles, across, up)
        picture = material.picture(figure, name, f"{up} over {across}")
        drawn.append(
            (
                picture,
                f"Against {told}. A line for each of n = {count} runs, a point for each epoch; "
                "the mark is its best epoch, whose weights were kept.",
            )
        )
    run_groups = {
        run.run_id: (group.name, run.seed)
        for group in material.comparison.configurations
        for run in group.runs
    }
    material.tables["curves"] = [
        {
            "group": run_groups[run_id][0],
            "seed": run_groups[run_id][1],
            "epoch": place + 1,
            "updates": curve.updates[place],
            "seconds": curve.seconds[place],
            "score": curve.scores[place],
        }
        for run_id, curve in material.curves.items()
        if run_id in run_groups
        for place in range(len(curve.scores))
    ]
    blocks: list[Block] = [Figures(drawn)]
    if not material.comparison.same_machine:
        blocks.append(Words("The seconds come from several machines: do not compare them."))
    return Section("curves", title, blocks)


def curve_figure(
    curves: Mapping[str, Sequence[Curve]], styles: Mapping[str, Style], across: str, up: str
) -> "Figure":
    """Validation score of every training: a thin line a seed, its best point marked."""
    figure = new_figure(3.3)
    axes = axes_of(figure, across, up)
    for name, runs in curves.items():
        style = styles[name]
        for place, curve in enumerate(runs):
            label = f"{shortened(name)} ({len(runs)})" if place == 0 else None
            axes.plot(
                curve.at, curve.score, style.dash, color=style.colour, lw=1.3, alpha=0.75,
                label=label,
            )  # fmt: skip
            if np.isfinite(curve.score).any():
                best = int(np.nanargmax(curve.score))
                axes.plot(
                    [curve.at[best]], [curve.score[best]], style.marker, color=style.colour, ms=6,
                    mec="white", mew=0.6,
                )  # fmt: skip
    axes.set_xlim(left=0)
    legend_above(axes)
    return figure


def _drawn_curves(material: Material, against: str) -> "dict[str, Sequence[Curve]]":
    """The curves of each candidate against `updates` or `seconds`, where it has some."""
    found: dict[str, Sequence[Curve]] = {}
    for group in material.comparison.configurations:
        curves = [
            material.curves[run.run_id] for run in group.runs if run.run_id in material.curves
        ]
        if curves:
            found[group.name] = [
                Curve(np.array(getattr(each, against)), np.array(each.scores)) for each in curves
            ]
    return found
