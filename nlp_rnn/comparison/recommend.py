"""Recommend a configuration for each use, from quality and costs.

Gates first: a configuration below the best baseline by more than the ROPE, or beyond the limits
asked for, is not recommended. Then quality, and among equals what the use asks for.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from nlp_rnn.comparison.pair import LATENCY
from nlp_rnn.comparison.records import (
    Comparison,
    Configuration,
    Difference,
    Outcome,
    Recommendation,
    Rules,
)

__all__ = ["LONG_SHARE", "recommend", "share_few_labels"]

LONG_SHARE = 0.25
"""Of the texts, the longest, on which `long texts` is decided."""

MEMORY = ("memory/onnx_mb",)
COSTS = (
    (LATENCY[0], "ms p95 a text"),
    (LATENCY[1], "ms p50 a text"),
    ("train/seconds", "s of training"),
    ("parameters/total", "parameters"),
)
"""What decides between equals, in this order; the last one does not depend on the machine."""

ALONE = "The only one that passes the gates."

TIE = 0.05
"""Costs that differ by less, relative, are no difference."""


def recommend(
    configurations: Sequence[Configuration],
    baselines: Sequence[Configuration],
    differences: Sequence[Difference],
    long: Sequence[Difference],
    rules: Rules,
    same_machine: bool,
) -> tuple[Recommendation, ...]:
    """One recommendation for each use, in the order of the uses.

    `long` are the differences on the longest quarter of the texts; empty if it is too small.
    """
    best = max(baselines, key=lambda c: c.score.mean)
    reasons = {
        configuration.name: _fails(configuration, best, rules, same_machine)
        for configuration in configurations
    }
    left = [configuration for configuration in configurations if not reasons[configuration.name]]
    uses: list[tuple[str, Callable[[], Recommendation]]] = [
        ("most accurate", lambda: _by_quality("most accurate", left, differences, same_machine)),
        ("real-time answers", lambda: _real_time(left, differences, same_machine)),
        ("long texts", lambda: _long(left, long, same_machine)),
        ("few labels", lambda: _few(left, differences, same_machine)),
        ("small memory", lambda: _small(left, differences)),
    ]
    if not left:
        evidence = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
        score = f"{best.score.mean:.1f}"
        reason = f"No configuration passes: {best.name} scores {score}; take that, or tune."
        return tuple(Recommendation(use, None, reason, evidence) for use, _ in uses)
    if len(left) == 1 < len(configurations):
        failed = "; ".join(f"{name}: {reason}" for name, reason in reasons.items() if reason)
        only = f"{_scores(left)}; {failed}"
        return tuple(_alone(make(), left[0].name, only) for _, make in uses)
    return tuple(make() for _, make in uses)


def _alone(found: Recommendation, name: str, evidence: str) -> Recommendation:
    """What is left to say where the others failed the gates, on whatever texts and at any cost."""
    if found.use == "few labels":  # says itself whether the runs had few
        return found
    return Recommendation(found.use, name, ALONE, evidence)


def _fails(
    configuration: Configuration, best: Configuration, rules: Rules, same_machine: bool
) -> str:
    if configuration.score.mean < best.score.mean - rules.rope:
        return (
            f"{configuration.score.mean:.1f} is below {best.name} with {best.score.mean:.1f} "
            f"by more than {rules.rope:g}"
        )
    if rules.latency_limit is not None:
        latency = _cost(configuration, *LATENCY)
        if latency is None or latency > rules.latency_limit:
            known = "unknown" if latency is None else f"{latency:.2f} ms"
            return f"its latency is {known}, the limit {rules.latency_limit:g} ms"
    if rules.memory_limit is not None:
        memory = _megabytes(configuration)
        if memory is None or memory > rules.memory_limit:
            known = "unknown" if memory is None else f"{memory:.1f} MB"
            return f"its memory is {known}, the limit {rules.memory_limit:g} MB"
    return ""


def _cost(configuration: Configuration, *names: str) -> float | None:
    return next((configuration.means[name] for name in names if name in configuration.means), None)


def _megabytes(configuration: Configuration) -> float | None:
    """Measured, else of the weights alone, four bytes each."""
    measured = _cost(configuration, *MEMORY)
    if measured is not None:
        return measured
    parameters = _cost(configuration, "parameters/total")
    return None if parameters is None else 4 * parameters / 1e6


def _unbeaten(
    configurations: Sequence[Configuration], differences: Sequence[Difference]
) -> list[Configuration]:
    """Configurations that no other is better than."""
    names = {configuration.name for configuration in configurations}
    beaten = set()
    for each in differences:
        if each.first in names and each.second in names:
            if each.outcome is Outcome.first:
                beaten.add(each.second)
            if each.outcome is Outcome.second:
                beaten.add(each.first)
    return [configuration for configuration in configurations if configuration.name not in beaten]


def _open(configurations: Sequence[Configuration], differences: Sequence[Difference]) -> list[str]:
    """Pairs of these configurations of which nothing is known: inconclusive, or never compared."""
    known = {
        frozenset((each.first, each.second))
        for each in differences
        if each.outcome is not Outcome.inconclusive
    }
    names = [configuration.name for configuration in configurations]
    return [
        f"{a} against {b}"
        for i, a in enumerate(names)
        for b in names[i + 1 :]
        if frozenset((a, b)) not in known
    ]


def _scores(configurations: Sequence[Configuration]) -> str:
    return "; ".join(
        f"{c.name} {c.score.mean:.1f} [{c.score.low:.1f}, {c.score.high:.1f}]"
        for c in configurations
    )


def _by_quality(
    use: str,
    configurations: Sequence[Configuration],
    differences: Sequence[Difference],
    same_machine: bool,
) -> Recommendation:
    left = _unbeaten(configurations, differences)
    evidence = _pairs_said(differences) or _scores(configurations)
    if len(left) == 1:
        (only,) = left
        against = [each for each in differences if only.name in (each.first, each.second)]
        if any(each.outcome in (Outcome.first, Outcome.second) for each in against):
            return Recommendation(
                use, only.name, "Better than what it was compared with.", evidence
            )
        return Recommendation(use, only.name, ALONE, _scores(configurations))
    unknown = _open(left, differences)
    if unknown:
        some = ", ".join(unknown[:3]) + (", …" if len(unknown) > 3 else "")
        return Recommendation(use, None, f"Inconclusive: {some}.", evidence)
    costs = COSTS if same_machine else COSTS[-1:]
    for name, unit in costs:
        cheapest = _cheapest(left, lambda configuration, name=name: _cost(configuration, name))  # type: ignore[misc]
        if cheapest is not None:
            told = "; ".join(f"{c.name} {c.means[name]:,.4g} {unit}" for c in left)
            reason = f"Practically equivalent, and cheaper: {unit}."
            return Recommendation(use, cheapest.name, reason, f"{evidence}. {told}")
    return Recommendation(use, None, "Practically equivalent, and as costly: take any.", evidence)


def _cheapest(
    configurations: Sequence[Configuration], cost: Callable[[Configuration], float | None]
) -> Configuration | None:
    """Return the configuration that costs less than all others by more than a tie, or None."""
    costs = [(cost(configuration), configuration) for configuration in configurations]
    known = sorted(((c, g) for c, g in costs if c is not None), key=lambda pair: pair[0])
    if len(known) < len(configurations) or not known:
        return None
    if len(known) > 1 and known[0][0] >= (1 - TIE) * known[1][0]:
        return None
    return known[0][1]


def _pairs_said(differences: Sequence[Difference]) -> str:
    return "; ".join(
        f"{d.first} − {d.second} {d.interval.mean:+.2f} "
        f"[{d.interval.low:+.2f}, {d.interval.high:+.2f}], n = {d.texts:,} texts × "
        f"{len(d.by_seed)} seeds: {d.outcome}"
        for d in differences[:4]
    )


def _by_cost(
    use: str,
    configurations: Sequence[Configuration],
    differences: Sequence[Difference],
    cost: Callable[[Configuration], float | None],
    unit: str,
) -> Recommendation:
    """The cheapest of those that nothing is better than."""
    left = _unbeaten(configurations, differences)
    told = [(configuration, cost(configuration)) for configuration in left]
    evidence = "; ".join(
        f"{configuration.name} {'unknown' if value is None else f'{value:,.4g}'} {unit}, "
        f"score {configuration.score.mean:.1f}"
        for configuration, value in told
    )
    cheapest = _cheapest(left, cost)
    if cheapest is None:
        if any(value is None for _, value in told):
            return Recommendation(use, None, f"Not all were measured: {unit}.", evidence)
        return Recommendation(
            use, None, f"They cost the same within {TIE:.0%}: see most accurate.", evidence
        )
    reason = f"The least of those that none is shown to be better than: {unit}."
    unknown = [pair for pair in _open(left, differences) if cheapest.name in pair]
    if unknown:
        reason += " Whether it is as accurate is inconclusive."
    return Recommendation(use, cheapest.name, reason, evidence)


def _real_time(
    configurations: Sequence[Configuration], differences: Sequence[Difference], same_machine: bool
) -> Recommendation:
    use = "real-time answers"
    if not same_machine:
        reason = "The runs were timed on several machines, so their speeds cannot be compared."
        return Recommendation(use, None, reason, "Time them on one: nlp-rnn bench MODEL.")
    name = next((key for key in LATENCY if all(key in c.means for c in configurations)), LATENCY[0])
    unit = "ms p95 a text on onnxruntime" if "p95" in name else "ms p50 a text on onnxruntime"
    return _by_cost(
        use, configurations, differences, lambda configuration: _cost(configuration, name), unit
    )


def _small(
    configurations: Sequence[Configuration], differences: Sequence[Difference]
) -> Recommendation:
    return _by_cost("small memory", configurations, differences, _megabytes, "MB")


def _long(
    configurations: Sequence[Configuration], long: Sequence[Difference], same_machine: bool
) -> Recommendation:
    if not long:
        reason = "Too few test texts to tell long ones apart."
        return Recommendation("long texts", None, reason, "At least 400 test texts are needed.")
    found = _by_quality("long texts", configurations, long, same_machine)
    evidence = f"On the longest {LONG_SHARE:.0%} of the test texts: {found.evidence}"
    return Recommendation(found.use, found.choice, found.reason, evidence)


def _few(
    configurations: Sequence[Configuration], differences: Sequence[Difference], same_machine: bool
) -> Recommendation:
    config = configurations[0].runs[0].config
    restricted = [
        f"{key}={config[key]}"
        for key in ("data.limit", "data.fraction")
        if config.get(key, "None") not in ("None", "null", "")
    ]
    if not restricted:
        return Recommendation(
            "few labels",
            None,
            "No evidence: all runs read the whole training split.",
            "Train the same with data.fraction=0.1 and compare those.",
        )
    found = _by_quality("few labels", configurations, differences, same_machine)
    evidence = f"Trained with {', '.join(restricted)}: {found.evidence}"
    return Recommendation(found.use, found.choice, found.reason, evidence)


def share_few_labels(found: tuple[Comparison, ...]) -> tuple[Comparison, ...]:
    """Copy what runs with few labels recommend to the comparison of the whole data."""
    spoken = {}
    for each in found:
        for said in each.recommendations:
            if said.use == "few labels" and "Trained with" in said.evidence:
                spoken[each.data] = said
    return tuple(
        replace(
            each,
            recommendations=tuple(
                spoken.get(each.data, said) if said.use == "few labels" else said
                for said in each.recommendations
            ),
        )
        for each in found
    )
