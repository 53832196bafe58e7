"""Section on labels of multi-label data: the difference in F1 of two configurations on each."""

from nlp_rnn.comparison.rules import Outcome
from nlp_rnn.report.context import ReportContext, format_percent, format_points
from nlp_rnn.report.page import Block, Figures, Paragraph, Section, Table
from nlp_rnn.report.section_difference import difference_figure

__all__ = ["label_section"]

MAX_DRAWN = 20
"""Labels in the figure, the most frequent ones; the table has all that were compared."""


def label_section(context: ReportContext) -> Section:
    """Return the section: F1 of the pair with the best validation metric on each label."""
    comparison = context.comparison
    first, second = comparison.label_pair
    labels, rope = comparison.label_differences, comparison.rules.rope
    context.tables["labels"] = [
        {
            "label": label.label,
            "texts": label.texts,
            "first": label.first,
            "second": label.second,
            "difference": label.interval.mean,
            "low": label.interval.low,
            "high": label.interval.high,
            "adjusted_p": label.adjusted_p,
            "outcome": str(label.outcome),
        }
        for label in labels
    ]
    drawn = labels[:MAX_DRAWN]
    figure = difference_figure(
        {f"{label.label} ({label.texts:,})": label.interval for label in drawn},
        rope,
        "difference in test F1 (points)",
    )
    caption = (
        f"F1 of {first} minus that of {second} on {len(drawn)} labels, those with the most of the "
        f"n = {context.num_texts:,} test texts (number in parentheses). The line is the 95 % "
        f"interval over seeds and texts, the blue band the equivalence region of ±{rope:g} points."
    )
    saved = context.save_figure(figure, "labels", f"F1 on each label, {first} minus {second}")
    counts = {outcome: sum(label.outcome is outcome for label in labels) for outcome in Outcome}
    summary = (
        f"Of {len(labels)} labels with test texts, {first} is better on {counts[Outcome.first]} "
        f"and {second} on {counts[Outcome.second]}; {counts[Outcome.equivalent]} are equivalent "
        f"and {counts[Outcome.inconclusive]} inconclusive, after Holm's correction. A text has "
        "several labels, so there is no confusion matrix."
    )
    rows = [
        [
            label.label,
            f"{label.texts:,}",
            format_percent(label.first, 2),
            format_percent(label.second, 2),
            format_points(label.interval.mean),
            f"{format_points(label.interval.low)} to {format_points(label.interval.high)}",
            f"{label.adjusted_p:.3f}",
            {Outcome.first: f"{first} better", Outcome.second: f"{second} better"}.get(
                label.outcome, str(label.outcome)
            ),
        ]
        for label in labels
    ]
    heads = ["label", "texts", f"{first}, %", f"{second}, %", "points", "95 % interval"]
    table = Table(
        [*heads, "p, bootstrap", "outcome"],
        rows,
        "F1 of each label, means over the shared seeds. Each seed has its own thresholds, chosen "
        "on the validation split.",
    )
    blocks: list[Block] = [Paragraph(summary), Figures([(saved, caption)]), table]
    return Section("confusion", "Labels: where the F1 differs", blocks)
