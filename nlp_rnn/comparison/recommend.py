"""Step 6: recommend a configuration for each use, by quality and cost.

A configuration is not recommended if it is worse than the best baseline by more than the ROPE, or
exceeds a limit of `Rules`. Among the others quality decides, and among equivalent ones the cost.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from nlp_rnn.comparison.pair import LATENCY
from nlp_rnn.comparison.records import Comparison, Configuration, Difference, Recommendation
from nlp_rnn.comparison.rules import Outcome, Rules
from nlp_rnn.comparison.score import LONG_SHARE
from nlp_rnn.comparison.verdict import counted, outcome_text, signed

__all__ = ["recommend", "share_few_labels"]

MEMORY = "memory/onnx_mb"
COSTS = (
    (LATENCY[0], "latency", "ms (p95)"),
    (LATENCY[1], "latency", "ms (p50)"),
    ("train/seconds", "training time", "s"),
    ("parameters/total", "number of parameters", "parameters"),
)
"""Costs that decide between equivalent configurations, in this order; the last one does not depend
on the machine."""

ALONE = "It is the only configuration that meets the requirements."

TIE = 0.05
"""Largest relative difference at which two costs count as the same."""


@dataclass(frozen=True)
class _Candidates:
    """Configurations that meet the requirements, with what is known of their differences."""

    configurations: Sequence[Configuration]
    differences: Sequence[Difference]
    rules: Rules
    same_machine: bool

    def unbeaten(self) -> list[Configuration]:
        """Configurations than which no other is better."""
        names = {configuration.name for configuration in self.configurations}
        beaten = set()
        for each in self.differences:
            if each.first in names and each.second in names:
                if each.outcome is Outcome.first:
                    beaten.add(each.second)
                if each.outcome is Outcome.second:
                    beaten.add(each.first)
        return [each for each in self.configurations if each.name not in beaten]

    def unranked(self, among: Sequence[Configuration]) -> list[tuple[str, str]]:
        """Pairs whose outcome is inconclusive, or which were not compared."""
        known = {
            frozenset((each.first, each.second))
            for each in self.differences
            if each.outcome is not Outcome.inconclusive
        }
        names = [configuration.name for configuration in among]
        return [
            (a, b)
            for i, a in enumerate(names)
            for b in names[i + 1 :]
            if frozenset((a, b)) not in known
        ]

    def by_quality(self, use: str) -> Recommendation:
        """The only unbeaten configuration, or the cheapest of several equivalent ones."""
        unbeaten = self.unbeaten()
        evidence = _differences_text(self.differences) or _scores_text(self.configurations)
        if len(unbeaten) == 1:
            (best,) = unbeaten
            if any(
                each.outcome in (Outcome.first, Outcome.second)
                for each in self.differences
                if best.name in (each.first, each.second)
            ):
                reason = "It is the only configuration than which no other is better."
                return Recommendation(use, best.name, reason, evidence)
            return Recommendation(use, best.name, ALONE, _scores_text(self.configurations))
        if unranked := self.unranked(unbeaten):
            pairs = ", ".join(f"{a} against {b}" for a, b in unranked[:3])
            more = ", …" if len(unranked) > 3 else ""
            return Recommendation(use, None, f"Inconclusive: {pairs}{more}.", evidence)
        for metric, quantity, unit in COSTS if self.same_machine else COSTS[-1:]:
            cheapest = _cheapest([(_mean(each, metric), each) for each in unbeaten])
            if cheapest is not None:
                costs = "; ".join(f"{each.name} {each.means[metric]:,.4g}" for each in unbeaten)
                reason = f"It is equivalent to the others and has the lowest {quantity}."
                evidence = f"{evidence}. {quantity.capitalize()}, {unit}: {costs}"
                return Recommendation(use, cheapest.name, reason, evidence)
        reason = "They are equivalent and cost the same: choose any of them."
        return Recommendation(use, None, reason, evidence)

    def by_cost(
        self,
        use: str,
        cost: Callable[[Configuration], float | None],
        quantity: str,
        unit: str,
        superlative: str,
    ) -> Recommendation:
        """The cheapest of the unbeaten configurations."""
        unbeaten = self.unbeaten()
        costs = [(cost(each), each) for each in unbeaten]
        evidence = "; ".join(
            f"{each.name} {'unknown' if value is None else f'{value:,.4g}'} {unit}, "
            f"score {each.score.mean:.1f}"
            for value, each in costs
        )
        cheapest = _cheapest(costs)
        if cheapest is None:
            if any(value is None for value, _ in costs):
                reason = f"The {quantity} was not measured for all configurations."
            else:
                reason = f"Their {quantity} is the same within {TIE:.0%}: see most accurate."
            return Recommendation(use, None, reason, evidence)
        quality = "more accurate" if self.rules.metric == "accuracy" else "better"
        reason = f"It {superlative}, and no other configuration is significantly {quality}."
        if any(cheapest.name in pair for pair in self.unranked(unbeaten)):
            reason += f" Whether another is {quality} is inconclusive."
        return Recommendation(use, cheapest.name, reason, evidence)

    def low_latency(self) -> Recommendation:
        use = "low latency"
        if not self.same_machine:
            reason = "The runs were timed on several machines, so their speeds cannot be compared."
            return Recommendation(use, None, reason, "Time them on one: nlp-rnn bench MODEL.")
        metric = next(
            (name for name in LATENCY if all(name in each.means for each in self.configurations)),
            LATENCY[0],
        )
        unit = f"ms per text on onnxruntime ({'p95' if 'p95' in metric else 'p50'})"
        return self.by_cost(
            use, lambda each: _mean(each, metric), "latency", unit, "is the fastest"
        )

    def long_texts(self, long_differences: Sequence[Difference]) -> Recommendation:
        use = "long texts"
        if not long_differences:
            reason = "There are too few test texts to compare on the long ones."
            return Recommendation(use, None, reason, "At least 400 test texts are needed.")
        recommendation = replace(self, differences=long_differences).by_quality(use)
        evidence = f"On the longest {LONG_SHARE:.0%} of the test texts: {recommendation.evidence}"
        return replace(recommendation, evidence=evidence)

    def few_labels(self) -> Recommendation:
        use = "few labels"
        config = self.configurations[0].runs[0].config
        restrictions = [
            f"{key}={config[key]}"
            for key in ("data.limit", "data.fraction")
            if config.get(key, "None") not in ("None", "null", "")
        ]
        if not restrictions:
            reason = "No evidence: all runs were trained on the whole training split."
            evidence = "Train the same configurations with data.fraction=0.1 and compare those."
            return Recommendation(use, None, reason, evidence)
        recommendation = self.by_quality(use)
        evidence = f"Trained with {', '.join(restrictions)}: {recommendation.evidence}"
        return replace(recommendation, evidence=evidence)


def recommend(
    configurations: Sequence[Configuration],
    baselines: Sequence[Configuration],
    differences: Sequence[Difference],
    long_differences: Sequence[Difference],
    rules: Rules,
    same_machine: bool,
) -> tuple[Recommendation, ...]:
    """Return one recommendation for each use.

    Parameters
    ----------
    configurations, baselines : sequence of Configuration
        Candidates and baselines of one data set.
    differences : sequence of Difference
        Of the candidates, on all test texts.
    long_differences : sequence of Difference
        On the longest quarter of the test texts; empty if it is too small.
    rules : Rules
        ROPE and limits.
    same_machine : bool
        Whether all runs were timed on one machine, so that speeds can be compared.
    """
    best = max(baselines, key=lambda baseline: baseline.score.mean)
    failures = {each.name: _failure(each, best, rules) for each in configurations}
    eligible = [each for each in configurations if not failures[each.name]]
    failed = "; ".join(f"{name}: {reason}" for name, reason in failures.items() if reason)
    if not eligible:
        uses = ("most accurate", "low latency", "long texts", "few labels", "small memory")
        reason = (
            f"No configuration meets the requirements; the best baseline is {best.name} with "
            f"{best.score.mean:.1f}."
        )
        return tuple(Recommendation(use, None, reason, failed) for use in uses)
    candidates = _Candidates(eligible, differences, rules, same_machine)
    recommendations = (
        candidates.by_quality("most accurate"),
        candidates.low_latency(),
        candidates.long_texts(long_differences),
        candidates.few_labels(),
        candidates.by_cost("small memory", _megabytes, "memory", "MB", "needs the least memory"),
    )
    if len(eligible) == 1 < len(configurations):
        # The others failed for all texts and at any cost. Only few labels has its own evidence.
        name, evidence = eligible[0].name, f"{_scores_text(eligible)}; {failed}"
        return tuple(
            each if each.use == "few labels" else Recommendation(each.use, name, ALONE, evidence)
            for each in recommendations
        )
    return recommendations


def _failure(configuration: Configuration, best: Configuration, rules: Rules) -> str:
    """The requirement that a configuration does not meet, or an empty string."""
    score = configuration.score.mean
    if score < best.score.mean - rules.rope:
        return (
            f"{score:.1f} is below the baseline {best.name} ({best.score.mean:.1f}) by more than "
            f"{rules.rope:g}"
        )
    if rules.latency_limit is not None:
        latency = _mean(configuration, *LATENCY)
        if latency is None or latency > rules.latency_limit:
            measured = "unknown" if latency is None else f"{latency:.2f} ms"
            return f"its latency is {measured}, the limit {rules.latency_limit:g} ms"
    if rules.memory_limit is not None:
        memory = _megabytes(configuration)
        if memory is None or memory > rules.memory_limit:
            measured = "unknown" if memory is None else f"{memory:.1f} MB"
            return f"its memory is {measured}, the limit {rules.memory_limit:g} MB"
    return ""


def _mean(configuration: Configuration, *metrics: str) -> float | None:
    """The mean of the first of these metrics that the configuration has."""
    means = configuration.means
    return next((means[metric] for metric in metrics if metric in means), None)


def _megabytes(configuration: Configuration) -> float | None:
    """Measured memory, or that of the parameters in float32."""
    measured = _mean(configuration, MEMORY)
    if measured is not None:
        return measured
    parameters = _mean(configuration, "parameters/total")
    return None if parameters is None else 4 * parameters / 1e6


def _cheapest(costs: Sequence[tuple[float | None, Configuration]]) -> Configuration | None:
    """The configuration that costs less than all others by more than a tie, or None."""
    known = sorted(
        ((cost, each) for cost, each in costs if cost is not None), key=lambda pair: pair[0]
    )
    if len(known) < len(costs) or not known:
        return None
    if len(known) > 1 and known[0][0] >= (1 - TIE) * known[1][0]:
        return None
    return known[0][1]


def _scores_text(configurations: Sequence[Configuration]) -> str:
    return "; ".join(
        f"{each.name} {each.score.mean:.1f} ({each.score.low:.1f} to {each.score.high:.1f})"
        for each in configurations
    )


def _differences_text(differences: Sequence[Difference]) -> str:
    return "; ".join(
        f"{each.first} − {each.second}: {signed(each.interval.mean)} points "
        f"({signed(each.interval.low)} to {signed(each.interval.high)}), "
        f"{counted(len(each.by_seed), 'seed')}, {counted(each.texts, 'text')}: "
        f"{outcome_text(each, each.outcome)}"
        for each in differences[:4]
    )


def share_few_labels(comparisons: Sequence[Comparison]) -> tuple[Comparison, ...]:
    """Use the recommendation from runs with few labels for all comparisons on the same data."""
    recommended = {
        comparison.data: recommendation
        for comparison in comparisons
        for recommendation in comparison.recommendations
        if recommendation.use == "few labels" and "Trained with" in recommendation.evidence
    }
    return tuple(
        replace(
            comparison,
            recommendations=tuple(
                recommended.get(comparison.data, each) if each.use == "few labels" else each
                for each in comparison.recommendations
            ),
        )
        for comparison in comparisons
    )
