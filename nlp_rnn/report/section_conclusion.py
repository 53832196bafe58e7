"""Sections that state the conclusion: the verdict, recommendations and inconclusive results."""

from nlp_rnn.report.context import ReportContext, format_percent
from nlp_rnn.report.page import (
    Block,
    BulletList,
    Figures,
    Paragraph,
    Placeholder,
    Section,
    Table,
)
from nlp_rnn.report.section_difference import CRITERIA, difference_figure, why_no_difference

__all__ = ["inconclusive_section", "recommendation_section", "verdict_section"]

MAX_LISTED = 6
"""Number of pairs in one sentence; of more pairs it lists the first and the last."""


def verdict_section(context: ReportContext) -> Section:
    """Return the section: the verdict, and whether other thresholds or criteria change it."""
    comparison = context.comparison
    blocks: list[Block] = [Paragraph(comparison.verdict, "verdict")]
    if comparison.robustness:
        changes = [("The verdict is sensitive.", text, "") for text in comparison.robustness]
        blocks.append(BulletList(changes))
    elif comparison.differences:
        *others, last = (f"±{rope:g}" for rope in comparison.rules.ropes)
        ropes = f"{', '.join(others)} and {last}" if others else last
        text = f"The outcome is the same with equivalence regions (ROPE) of {ropes} points."
        blocks.append(Paragraph(text))
    used = {criterion for pair in comparison.differences for criterion in pair.matching}
    matched = [name for criterion, name in CRITERIA.items() if criterion in used]
    unmatched = [name for criterion, name in CRITERIA.items() if criterion not in used]
    if matched and unmatched:
        blocks.append(
            Paragraph(
                f"The compared pairs are matched by {' and '.join(matched)}. No pair is matched by "
                f"{' or '.join(unmatched)}, so the verdict does not cover "
                f"{'this criterion' if len(unmatched) == 1 else 'these criteria'}."
            )
        )
    return Section("verdict", "Verdict", [*blocks, *_data_set_blocks(context)])


def _data_set_blocks(context: ReportContext) -> list[Block]:
    """The conclusions over all data sets that were compared together, with a figure."""
    comparison = context.comparison
    blocks: list[Block] = []
    for number, across in enumerate(comparison.across):
        figure = difference_figure(
            across.by_set,
            comparison.rules.rope,
            f"difference in test score, {across.first} minus {across.second} (points)",
        )
        title = f"{across.first} minus {across.second} on several data sets"
        saved = context.save_figure(figure, f"data_sets_{number}", title)
        caption = (
            f"Differences on n = {len(across.by_set)} data sets with intervals over seeds and "
            "texts. On each of them the pair with the best validation metric is shown; data sets "
            "with the same test texts are one row."
        )
        blocks += [Paragraph(across.sentence), Figures([(saved, caption)])]
    if blocks:
        context.tables["data_sets"] = [
            {
                "first": across.first,
                "second": across.second,
                "data": name,
                "mean": interval.mean,
                "low": interval.low,
                "high": interval.high,
            }
            for across in comparison.across
            for name, interval in across.by_set.items()
        ]
    return blocks


def recommendation_section(context: ReportContext) -> Section:
    """Return the section: the recommended configuration for each use, with the evidence."""
    recommendations = context.comparison.recommendations
    block: Block = Placeholder(
        "There is no recommendation, because there are no two comparable configurations. Train "
        "both cells with the same seeds on the same data."
    )
    points = [(r.choice or "no recommendation", r.reason, r.evidence) for r in recommendations]
    if len(points) > 1 and len(set(points)) == 1:
        choice, reason, evidence = points[0]
        block = BulletList([(f"For every use: {choice}", reason, evidence)])
    elif points:
        block = BulletList(
            [
                (f"{r.use[:1].upper()}{r.use[1:]}: {choice}", reason, evidence)
                for r, (choice, reason, evidence) in zip(recommendations, points, strict=True)
            ]
        )
    return Section("recommendation", "Recommendation by use", [block, *_ranking_blocks(context)])


def _ranking_blocks(context: ReportContext) -> list[Block]:
    """The ranking of all configurations by validation."""
    ranking, rules = context.comparison.ranking, context.comparison.rules
    if not ranking.configurations:
        return []
    rows = [
        [
            one.name,
            str(one.seeds),
            format_percent(one.validation, 2),
            format_percent(one.sd, 2),
            format_percent(one.test, 2),
            f"{one.parameters:,.0f}" if one.parameters == one.parameters else "–",
            "yes" if one.inside else "no",
        ]
        for one in ranking.configurations
    ]
    name = context.score_name
    head = ["configuration", "seeds", f"validation {name}, %", "sd of seeds", f"test {name}, %"]
    table = Table(
        [*head, "parameters", f"within ±{rules.rope:g} of the best"],
        rows,
        "All configurations of this data by validation, as they are saved: of an ensemble with "
        "n-gram models its scores. Means over the seeds. Baselines that are not saved as "
        "classifiers are left out.",
    )
    return [*([Paragraph(ranking.sentence)] if ranking.sentence else []), table]


def inconclusive_section(context: ReportContext) -> Section:
    """Return the section: inconclusive results, and how many seeds or texts would settle them."""
    comparison = context.comparison
    blocks: list[Block] = [
        BulletList([("", sentence, "") for sentence in comparison.inconclusive])
        if comparison.inconclusive
        else Placeholder(
            "No result is inconclusive."
            if comparison.differences
            else why_no_difference(comparison)
        )
    ]
    if comparison.differences:
        pairs = sorted(comparison.differences, key=lambda pair: pair.detectable)
        listed = pairs if len(pairs) <= MAX_LISTED else [pairs[0], pairs[-1]]
        smallest = (", " if len(pairs) <= MAX_LISTED else " to ").join(
            f"{pair.first} − {pair.second} {format_percent(pair.detectable, 2)} points"
            for pair in listed
        )
        blocks.append(
            Paragraph(
                f"Smallest true difference that these seeds and texts would detect with a power "
                f"of {comparison.rules.power:.0%}: {smallest}."
            )
        )
    title = "Inconclusive results and what would settle them"
    return Section("inconclusive", title, blocks)
