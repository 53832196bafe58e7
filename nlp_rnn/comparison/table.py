"""Text tables for the terminal: one comparison with its conclusion and recommendations."""

import math

from nlp_rnn.comparison.records import Comparison, Configuration
from nlp_rnn.comparison.verdict import counted, outcome_text, signed

__all__ = ["table"]

MOST_NOT_COMPARABLE = 5
"""Pairs that cannot be compared and are listed with their reasons."""


def table(comparison: Comparison) -> str:
    """Return a comparison as text: verdict, scores (baselines first), differences, and the rest."""
    rules, differences = comparison.rules, comparison.differences
    texts = counted(differences[0].texts, "text")
    interval = f"{100 * rules.confidence:g} % interval"
    heads = ["", "seeds", "mean", interval, "sd", "recurrent", "train s", "p95 ms"]
    rows = [heads]
    for configuration in (*comparison.baselines, *comparison.configurations):
        rows.append(_row(configuration, comparison.same_machine))
    pairs = [["difference", "points", interval, "p boot", "McNemar", "Wilcoxon", "d_z", "ASO"]]
    for each in differences:
        pairs.append(
            [
                f"{each.first} − {each.second} (same {', '.join(each.matching)})",
                signed(each.interval.mean),
                f"{signed(each.interval.low)} to {signed(each.interval.high)}",
                *(
                    _number(each.adjusted[test], ".3f")
                    for test in ("bootstrap", "mcnemar", "wilcoxon")
                ),
                "–" if math.isnan(each.effect_size) else signed(each.effect_size, 1),
                _number(each.aso, ".2f"),
            ]
        )
    lines = [
        f"{comparison.data}: test {rules.metric} in percent, {texts}",
        "",
        comparison.verdict,
        "",
        *_aligned(rows),
        "",
        *_aligned(pairs),
        *(
            f"  {each.first} − {each.second}: {outcome_text(each, each.outcome)}"
            for each in differences[1:]
        ),
        "",
        "Recommendations",
        *_recommendations(comparison),
    ]
    reasons = [
        f"{each.first} and {each.second}: {each.reason}." for each in comparison.not_comparable
    ]
    for title, sentences in (
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


def _recommendations(comparison: Comparison) -> list[str]:
    """Two lines per use, or for all uses together where they are the same."""
    uses = comparison.recommendations
    same = len(uses) > 1 and len({(each.choice, each.reason, each.evidence) for each in uses}) == 1
    lines = []
    for each in uses[:1] if same else uses:
        use = "all uses" if same else each.use
        lines += [f"  {use}: {each.choice or 'none'}. {each.reason}", f"      {each.evidence}"]
    return lines


def _row(configuration: Configuration, timed: bool) -> list[str]:
    means, score = configuration.means, configuration.score
    linear = means.get("latency/sklearn_batch1_p95_ms", math.nan)
    latency = means.get("latency/onnx_batch1_p95_ms", linear) if timed else math.nan
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
    return [
        "  ".join(
            [
                row[0].ljust(widths[0]),
                *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
            ]
        ).rstrip()
        for row in rows
    ]
