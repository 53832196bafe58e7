"""Text tables for the terminal: one comparison with its conclusion and recommendations."""

import math
from collections.abc import Sequence

from nlp_rnn.comparison.ensembles import SUFFIX
from nlp_rnn.comparison.records import Comparison, Configuration
from nlp_rnn.comparison.rules import Outcome
from nlp_rnn.comparison.verdict import counted, outcome_text, signed

__all__ = ["data_sets_table", "table"]

TESTS = ("bootstrap", "mcnemar", "wilcoxon")

MOST_RANKED = 10
"""Configurations of the ranking that are listed."""

MOST_LABELS = 10
"""Labels of multi-label data that are listed."""

MOST_NOT_COMPARABLE = 5
"""Pairs that cannot be compared and are listed with their reasons."""


def table(comparison: Comparison) -> str:
    """Return a comparison as text: verdict, scores (baselines first), differences, and the rest."""
    rules, differences = comparison.rules, comparison.differences
    texts = counted(differences[0].texts, "text")
    interval = f"{100 * rules.confidence:g} % interval"
    rows = [["", "seeds", "mean", interval, "sd", "recurrent", "train s", "p95 ms"]]
    for configuration in (*comparison.baselines, *comparison.configurations):
        rows.append(_row(configuration, comparison.same_machine))
    for configuration in comparison.deployed:
        if configuration.runs[0].is_external:
            continue
        rows.append(_row(configuration, comparison.same_machine))
        rows[-1][0] += SUFFIX
    pairs = [["difference", "points", interval, "P(A > B)"]]
    pairs[0] += ["p boot", "McNemar", "Wilcoxon", "d_z", "ASO"]
    for pair in differences:
        mean, low, high = map(signed, (pair.interval.mean, pair.interval.low, pair.interval.high))
        name = f"{pair.first} − {pair.second} (same {', '.join(pair.matching)})"
        p_values = [_number(pair.adjusted[test], ".3f") for test in TESTS]
        no_spread = math.isnan(pair.effect_size)
        effect_size = "–" if no_spread else signed(pair.effect_size, 1)
        numbers = [*p_values, effect_size, _number(pair.aso, ".2f")]
        chance = _number(pair.superiority.mean, ".2f")
        pairs.append([name, mean, f"{low} to {high}", chance, *numbers])
    outcomes = [
        f"  {pair.first} − {pair.second}: {outcome_text(pair, pair.outcome)}"
        for pair in (differences if len(differences) > 1 else ())
    ]
    reasons = [
        f"{pair.first} and {pair.second}: {pair.reason}." for pair in comparison.not_comparable
    ]
    title = f"{comparison.data}: test {rules.metric_name} in percent, {texts}"
    if comparison.deployed:
        title += "; of ensembles with n-gram models, the networks alone are compared"
    lines = [title, "", comparison.verdict, "", *_aligned(rows), "", *_aligned(pairs), *outcomes]
    if comparison.label_differences:
        lines += ["", *_labels(comparison)]
    of_ensembles = ", by the scores with n-gram models" if comparison.deployed else ""
    lines += ["", f"Recommendations{of_ensembles}", *_recommendations(comparison)]
    if len(comparison.ranking.configurations) > 2:
        lines += ["", *_ranking(comparison)]
    for title, sentences in (
        ("Ensembles with n-gram models", comparison.ensembles),
        ("Robustness", comparison.robustness),
        ("Inconclusive", comparison.inconclusive),
        ("Not compared", tuple(reasons[:MOST_NOT_COMPARABLE])),
        ("Notes", comparison.notes),
        ("Methods", comparison.methods),
    ):
        if sentences:
            lines += ["", title, *(f"  {sentence}" for sentence in sentences)]
    if len(reasons) > MOST_NOT_COMPARABLE:
        more = counted(len(reasons) - MOST_NOT_COMPARABLE, "more pair")
        lines.append(f"  … and {more} that cannot be compared")
    return "\n".join(lines)


def data_sets_table(comparisons: Sequence[Comparison]) -> str:
    """Return the conclusions over several data sets as text; empty if there are none."""
    lines: list[str] = []
    for across in comparisons[0].across:
        head = [f"{across.first} − {across.second}", "points", "interval"]
        rows = [head]
        for name, interval in across.by_set.items():
            mean, low, high = map(signed, (interval.mean, interval.low, interval.high))
            rows.append([name, mean, f"{low} to {high}"])
        lines += ["", across.sentence, "", *_aligned(rows)]
    return "\n".join(["Several data sets", *lines]) if lines else ""


def _ranking(comparison: Comparison) -> list[str]:
    """All configurations by validation, as they are saved, and which of them to choose."""
    metric, ranking = comparison.rules.metric_name, comparison.ranking
    rows = [["ranking by validation, as saved", "seeds", metric, "sd", "test", "parameters"]]
    for one in ranking.configurations[:MOST_RANKED]:
        rows.append(
            [
                f"{one.name} =" if one.inside else one.name,
                str(one.seeds),
                f"{one.validation:.2f}",
                _number(one.sd, ".2f"),
                _number(one.test, ".2f"),
                _number(one.parameters, ",.0f"),
            ]
        )
    more = len(ranking.configurations) - MOST_RANKED
    lines = [*_aligned(rows)] + ([f"  … and {more:,} more"] if more > 0 else [])
    region = f"  = within ±{comparison.rules.rope:g} points of the best. {ranking.sentence}"
    return [*lines, region.rstrip()]


def _labels(comparison: Comparison) -> list[str]:
    """A table of the most frequent labels, and what is decided about all of them."""
    first, second = comparison.label_pair
    labels = comparison.label_differences
    head = [f"F1 of labels, {first} − {second}", "texts", "first", "second", "points", "interval"]
    rows = [[*head, "p"]]
    for label in labels[:MOST_LABELS]:
        mean, low, high = map(
            signed, (label.interval.mean, label.interval.low, label.interval.high)
        )
        scores = [f"{label.first:.2f}", f"{label.second:.2f}"]
        bounds, p_value = f"{low} to {high}", _number(label.adjusted_p, ".3f")
        rows.append([label.label, f"{label.texts:,}", *scores, mean, bounds, p_value])
    decided = [label for label in labels if label.outcome in (Outcome.first, Outcome.second)]
    names = [
        f"{first if label.outcome is Outcome.first else second} better on {label.label}"
        for label in decided
    ]
    count = f"  {counted(len(labels), 'label')} compared, after Holm's correction"
    return [*_aligned(rows), f"{count}: {', '.join(names) or 'none is decided'}"]


def _recommendations(comparison: Comparison) -> list[str]:
    """Two lines per use, or for all uses together where they are the same."""
    uses = comparison.recommendations
    texts = [
        f"{use.choice or 'no recommendation'}. {use.reason}\n      {use.evidence}" for use in uses
    ]
    if len(uses) > 1 and len(set(texts)) == 1:
        return [f"  all uses: {texts[0]}"]
    return [f"  {use.use}: {text}" for use, text in zip(uses, texts, strict=True)]


def _row(configuration: Configuration, timed: bool) -> list[str]:
    means, score = configuration.means, configuration.score
    linear = means.get("latency/sklearn_batch1_p95_ms", math.nan)
    latency = means.get("latency/onnx_batch1_p95_ms", linear) if timed else math.nan
    latency = means.get("latency/external_batch1_p95_ms", latency)
    seconds = means.get("train/seconds", math.nan) if timed else math.nan
    return [
        f"{configuration.name} (baseline)" if configuration.is_baseline else configuration.name,
        str(len(configuration.runs)) if configuration.runs else "–",
        f"{score.mean:.2f}",
        f"{score.low:.2f} to {score.high:.2f}",
        _number(configuration.sd, ".2f"),
        _number(means.get("parameters/recurrent", math.nan), ",.0f"),
        _number(seconds, ",.0f"),
        _number(latency, ".2f"),
    ]


def _number(value: float, spec: str) -> str:
    return "–" if math.isnan(value) else format(value, spec)


def _aligned(rows: list[list[str]]) -> list[str]:
    """The first column to the left, the others to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        cells[0] = row[0].ljust(widths[0])
        lines.append("  ".join(cells).rstrip())
    return lines
