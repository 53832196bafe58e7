"""A comparison becomes text for a terminal: the verdict, the table, and what it rests on."""

import math

from nlp_rnn.comparison.records import Comparison, Configuration

__all__ = ["table"]


def table(found: Comparison) -> str:
    """A comparison as text for a terminal: verdict, table with the baselines first, the rest."""
    rules = found.rules
    texts = found.differences[0].texts
    lines = [
        f"{found.data}: test {rules.metric} in percent, {texts:,} texts",
        "",
        found.verdict,
        "",
    ]
    heads = ["", "seeds", "mean", "95 % interval", "sd", "recurrent", "train s", "p95 ms"]
    rows = [heads] + [
        _row(configuration, found.same_machine)
        for configuration in (*found.baselines, *found.configurations)
    ]
    lines += _aligned(rows)
    pairs = [
        ["first − second", "points", "interval", "p boot", "McNemar", "Wilcoxon", "d_z", "ASO"]
    ]
    for each in found.differences:
        seen, p = each.interval, each.adjusted
        pairs.append(
            [
                f"{each.first} − {each.second} (same {', '.join(each.matching)})",
                f"{seen.mean:+.2f}",
                f"{seen.low:+.2f} to {seen.high:+.2f}",
                *(_figure(p[test], ".3f") for test in ("bootstrap", "mcnemar", "wilcoxon")),
                _figure(each.effect_size, "+.1f"),
                _figure(each.aso, ".2f"),
            ]
        )
    lines += ["", *_aligned(pairs)]
    lines += [f"  {each.first} − {each.second}: {each.outcome}" for each in found.differences[1:]]
    lines += ["", "Recommended"]
    uses = found.recommendations
    same = len(uses) > 1 and len({(each.choice, each.reason, each.evidence) for each in uses}) == 1
    for said in uses[:1] if same else uses:
        use, nobody = ("for every use", "none of them") if same else (said.use, "inconclusive")
        lines += [f"  {use}: {said.choice or nobody}. {said.reason}"]
        lines += [f"      {said.evidence}"]
    refused = [f"{each.first} and {each.second}: {each.reason}." for each in found.not_comparable]
    for title, told in (
        ("What turns", found.robustness),
        ("Inconclusive", found.inconclusive),
        ("Not compared", tuple(refused[:5])),
        ("To know", found.notes),
        ("Measured", found.methods),
    ):
        if told:
            lines += ["", title, *(f"  {each}" for each in told)]
    if len(refused) > 5:
        lines.append(f"  … and {len(refused) - 5:,} more pairs not compared")
    return "\n".join(lines)


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
        _figure(configuration.sd, ".2f"),
        _figure(means.get("parameters/recurrent", math.nan), ",.0f"),
        _figure(seconds, ",.0f"),
        _figure(latency, ".2f"),
    ]


def _figure(value: float, form: str) -> str:
    return "–" if math.isnan(value) else format(value, form)


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(
            [
                row[0].ljust(widths[0]),
                *(cell.rjust(wide) for cell, wide in zip(row[1:], widths[1:], strict=True)),
            ]
        ).rstrip()
        for row in rows
    ]
