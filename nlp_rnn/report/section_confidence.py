"""Section on confidence thresholds: accuracy over coverage on the validation texts."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from nlp_rnn.report.context import ReportContext, RiskRow, format_percent
from nlp_rnn.report.figure_files import LineStyle, add_axes, legend_above, new_figure, shorten
from nlp_rnn.report.page import Figures, Placeholder, Section, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["confidence_section", "mean_rows"]

SHOWN = (0.5, 0.7, 0.8, 0.9, 0.95)
"""Thresholds of the table."""


def confidence_section(context: ReportContext) -> Section:
    """Return the section: coverage and accuracy by confidence threshold."""
    title = "Confidence: accuracy of the texts that get a label"
    measured = {
        c.name: [
            context.risk_coverage[run.run_id]
            for run in c.runs
            if run.run_id in context.risk_coverage
        ]
        for c in context.comparison.configurations
    }
    rows = {name: mean_rows(tables) for name, tables in measured.items() if tables}
    if not rows:
        missing = "The runs have not logged risk_coverage.json. Train them again."
        return Section("confidence", title, [Placeholder(missing)])
    context.tables["confidence"] = [
        {"configuration": name, "threshold": threshold, "coverage": covered, "accuracy": accuracy}
        for name, of_name in rows.items()
        for threshold, covered, accuracy in of_name
    ]
    table = Table(
        ["configuration", *(f"{threshold:g}" for threshold in SHOWN)],
        [
            [name, *(_cell(of_name, threshold) for threshold in SHOWN)]
            for name, of_name in rows.items()
        ],
        "By threshold: the share of the validation texts whose best probability reaches it, and "
        "the accuracy on these, in percent. Means over the seeds, of the saved classifiers.",
    )
    saved = context.save_figure(
        _figure(rows, context.styles), "confidence", "Accuracy over coverage"
    )
    seeds = ", ".join(f"{name} × {len(measured[name])}" for name in rows)
    caption = (
        "Each curve leads from a threshold of 0 on the right to high thresholds on the left. Means "
        f"over the seeds on the validation texts (n = {seeds})."
    )
    return Section("confidence", title, [table, Figures([(saved, caption)])])


def mean_rows(runs: Sequence[Sequence[RiskRow]]) -> list[tuple[float, float, float]]:
    """Return the means over runs; thresholds that no text of a run reaches are left out."""
    means = []
    for rows in zip(*runs, strict=True):
        accuracies = [accuracy for _, _, accuracy in rows if accuracy is not None]
        if len(accuracies) == len(rows):
            covered = sum(row[1] for row in rows) / len(rows)
            means.append((rows[0][0], covered, sum(accuracies) / len(rows)))
    return means


def _cell(rows: Sequence[tuple[float, float, float]], threshold: float) -> str:
    for known, covered, accuracy in rows:
        if known == threshold:
            share, right = format_percent(100 * covered, 0), format_percent(100 * accuracy)
            return f"{share} % of texts: {right} %"
    return "–"


def _figure(
    rows: Mapping[str, Sequence[tuple[float, float, float]]], styles: Mapping[str, LineStyle]
) -> "Figure":
    figure = new_figure(3.2)
    axes = add_axes(figure, "texts with a label (%)", "accuracy on these (%)")
    for name, of_name in rows.items():
        style = styles[name]
        x, y = ([100 * row[column] for row in of_name] for column in (1, 2))
        axes.plot(x, y, style.dash, color=style.colour, lw=1.3, label=shorten(name))
    axes.set_xlim(0, 103)
    legend_above(axes)
    return figure
