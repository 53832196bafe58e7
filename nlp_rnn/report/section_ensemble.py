"""Section on ensembles: the saved classifiers against their networks and n-gram models alone."""

import math

from nlp_rnn.comparison.ensembles import NGRAMS
from nlp_rnn.comparison.verdict import outcome_text
from nlp_rnn.report.context import ReportContext, format_percent, format_points
from nlp_rnn.report.page import Block, BulletList, Paragraph, Placeholder, Section, Table

__all__ = ["ensemble_section"]


def ensemble_section(context: ReportContext) -> Section:
    """Return the section: what the n-gram models change in each configuration."""
    comparison, title = context.comparison, "Ensembles with n-gram models"
    if not comparison.deployed:
        reason = (
            "No compared run is an ensemble (model.ensemble=off, an old version, or n-gram models "
            "that did not help), so every score is that of a network alone."
        )
        return Section("ensemble", title, [Placeholder(reason)])
    effects = {effect.second: effect for effect in comparison.effects}
    metric = comparison.rules.metric
    rows = []
    for configuration in comparison.deployed:
        effect, ensemble = effects.get(configuration.name), configuration.score.mean
        if effect is None:
            continue
        interval = effect.interval
        names = {effect.first: "ensemble", effect.second: "network alone"}
        rows.append(
            [
                configuration.name,
                format_percent(ensemble - interval.mean, 2),
                format_percent(
                    100 * configuration.means.get(f"test/{NGRAMS}_{metric}", math.nan), 2
                ),
                format_percent(ensemble, 2),
                format_points(interval.mean),
                f"{format_points(interval.low)} to {format_points(interval.high)}",
                outcome_text(effect, effect.outcome, names),
            ]
        )
    context.tables["ensembles"] = [
        {
            "configuration": effect.second,
            "difference": effect.interval.mean,
            "low": effect.interval.low,
            "high": effect.interval.high,
            "outcome": str(effect.outcome),
        }
        for effect in comparison.effects
    ]
    table = Table(
        [
            "configuration",
            "network alone, %",
            "n-gram models alone, %",
            "ensemble, %",
            "ensemble − network, points",
            "95 % interval",
            "outcome",
        ],
        rows,
        f"Test {context.score_name}, means over the seeds; n = {context.num_texts:,} test texts. "
        "The interval accounts for the variation of seeds and texts.",
    )
    explanation = (
        "The saved classifiers combine their network with n-gram models, which are the same for "
        "all configurations of the network. The other sections therefore compare the networks "
        f"alone by {comparison.rules.by}; the recommendations use the scores of the ensembles."
    )
    between = [
        f"{pair.first} − {pair.second}, as ensembles: {format_points(pair.interval.mean)} points "
        f"({format_points(pair.interval.low)} to {format_points(pair.interval.high)}): "
        f"{outcome_text(pair, pair.outcome)}."
        for pair in comparison.deployed_differences
    ]
    blocks: list[Block] = [
        Paragraph(explanation),
        table,
        BulletList([("", text, "") for text in between]),
    ]
    return Section("ensemble", title, blocks)
