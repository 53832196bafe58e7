"""Step 6: recommend a configuration for each use, by quality and cost.

A configuration is not recommended if it is worse than the best baseline by more than the ROPE, or
exceeds a limit of `Rules`. The best of the others is recommended, and the cheapest of several
equivalent ones.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from nlp_rnn.comparison.pair import LATENCY
from nlp_rnn.comparison.records import Configuration, Difference, Recommendation
from nlp_rnn.comparison.rules import Outcome, Rules
from nlp_rnn.comparison.score import LONG_SHARE
from nlp_rnn.comparison.verdict import counted, outcome_text, signed

__all__ = ["recommend"]

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

NO_VALUE = ("None", "null", "")

Cost = Callable[[Configuration], float | None]


@dataclass(frozen=True)
class _Candidates:
    """Configurations that meet the requirements, with what is known of their differences."""

    configurations: Sequence[Configuration]
    differences: Sequence[Difference]
    rules: Rules
    same_machine: bool

    def losses(self) -> set[tuple[str, str]]:
        """Pairs of names (loser, winner) of the decided pairs of candidates."""
        names = {candidate.name for candidate in self.configurations}
        pairs = [pair for pair in self.differences if {pair.first, pair.second} <= names]
        losses = {(pair.second, pair.first) for pair in pairs if pair.outcome is Outcome.first}
        return losses | {
            (pair.first, pair.second) for pair in pairs if pair.outcome is Outcome.second
        }

    def _trained(self) -> list[Configuration]:
        """Candidates without external predictions."""
        return [one for one in self.configurations if not one.runs[0].is_external]

    def unbeaten(self) -> list[Configuration]:
        """Candidates that are not worse than any other candidate."""
        losers = {loser for loser, _ in self.losses()}
        return [candidate for candidate in self.configurations if candidate.name not in losers]

    def unranked(self, among: Sequence[Configuration]) -> list[tuple[str, str]]:
        """Pairs whose outcome is inconclusive, or which were not compared."""
        ranked = {
            frozenset((pair.first, pair.second))
            for pair in self.differences
            if pair.outcome is not Outcome.inconclusive
        }
        names = combinations([configuration.name for configuration in among], 2)
        return [pair for pair in names if frozenset(pair) not in ranked]

    def by_quality(self, use: str) -> Recommendation:
        """The only unbeaten configuration, or the cheapest of several equivalent ones."""
        unbeaten, scores = self.unbeaten(), _scores_text(self.configurations)
        evidence = _differences_text(self.differences) or scores
        if len(self.configurations) == 1:
            return Recommendation(use, unbeaten[0].name, ALONE, scores)
        if len(unbeaten) == 1:
            name = unbeaten[0].name
            reason = "It is significantly better than the other configurations."
            if sum(winner == name for _, winner in self.losses()) < len(self.configurations) - 1:
                reason = "Each of the others is significantly worse than another configuration."
            return Recommendation(use, name, reason, evidence)
        if unranked := self.unranked(unbeaten):
            listed = [f"{a} against {b}" for a, b in unranked[:3]] + ["…"] * (len(unranked) > 3)
            return Recommendation(use, None, f"Inconclusive: {', '.join(listed)}.", evidence)
        if unknown := _external(unbeaten):
            reason = f"They are equivalent, and the cost of {unknown} is not known."
            return Recommendation(use, None, reason, evidence)
        for metric, quantity, unit in COSTS if self.same_machine else COSTS[-1:]:
            cheapest = _cheapest([(_mean(candidate, metric), candidate) for candidate in unbeaten])
            if cheapest is not None:
                costs = [
                    f"{candidate.name} {candidate.means[metric]:,.4g}" for candidate in unbeaten
                ]
                evidence = f"{evidence}. {quantity.capitalize()}, {unit}: {'; '.join(costs)}"
                reason = f"It is equivalent to the others and has the lowest {quantity}."
                return Recommendation(use, cheapest.name, reason, evidence)
        reason = "They are equivalent and cost the same: choose any of them."
        return Recommendation(use, None, reason, evidence)

    def by_cost(self, use: str, cost: Cost, quantity: str, unit: str, best: str) -> Recommendation:
        """The cheapest of the unbeaten configurations; `best` says what that one is."""
        external = _external(self.unbeaten())
        unbeaten = [one for one in self.unbeaten() if not one.runs[0].is_external]
        if not unbeaten:
            reason = f"Every other is significantly worse, and the {quantity} of {external} is "
            reason += "not known."
            return Recommendation(use, None, reason, _scores_text(self.configurations))
        costs = [(cost(candidate), candidate) for candidate in unbeaten]
        evidence = "; ".join(
            f"{candidate.name} {'unknown' if value is None else f'{value:,.4g}'} {unit}, "
            f"score {candidate.score.mean:.1f}"
            for value, candidate in costs
        )
        cheapest = _cheapest(costs)
        if cheapest is None:
            reason = f"Their {quantity} is the same within {100 * TIE:g} %: see most accurate."
            if any(value is None for value, _ in costs):
                reason = f"The {quantity} was not measured for all configurations."
            return Recommendation(use, None, reason, evidence)
        quality = "more accurate" if self.rules.metric == "accuracy" else "better"
        reason = f"It {best}, and no other configuration is significantly {quality}."
        if len(unbeaten) < len(self.configurations):
            reason = (
                f"Of the configurations that are not significantly worse than another, it {best}."
            )
        if any(cheapest.name in pair for pair in self.unranked(unbeaten)):
            reason += f" Whether another is {quality} is inconclusive."
        if external:
            reason += f" The {quantity} of {external} is not known."
        return Recommendation(use, cheapest.name, reason, evidence)

    def low_latency(self) -> Recommendation:
        """The fastest of the unbeaten configurations, if all were timed on one machine."""
        use = "low latency"
        if not self.same_machine:
            reason = "The runs were timed on several machines, so their speeds cannot be compared."
            return Recommendation(use, None, reason, "Time them on one: nlp-rnn bench MODEL.")
        measured_for_all = (
            metric
            for metric in LATENCY
            if all(metric in candidate.means for candidate in self._trained())
        )
        metric = next(measured_for_all, LATENCY[0])
        unit = f"ms per text on onnxruntime ({'p95' if 'p95' in metric else 'p50'})"
        return self.by_cost(
            use, lambda candidate: _mean(candidate, metric), "latency", unit, "is the fastest"
        )

    def small_memory(self) -> Recommendation:
        """The smallest of the unbeaten configurations, by memory or by weights, never by both."""
        use = "small memory"
        unbeaten = self.unbeaten()
        if all(MEMORY in one.means for one in unbeaten if not one.runs[0].is_external):
            return self.by_cost(
                use,
                lambda candidate: _mean(candidate, MEMORY),
                "memory",
                "MB",
                "needs the least memory",
            )
        recommendation = self.by_cost(
            use, _weights, "size of the weights", "MB of weights", "has the smallest weights"
        )
        reason = f"{recommendation.reason} The memory was not measured for all configurations."
        return replace(recommendation, reason=reason)

    def long_texts(self, long_differences: Sequence[Difference]) -> Recommendation:
        """As `by_quality`, on the long test texts."""
        use = "long texts"
        if not long_differences:
            reason = "There are too few test texts to compare on the long ones."
            return Recommendation(use, None, reason, "At least 400 test texts are needed.")
        recommendation = replace(self, differences=long_differences).by_quality(use)
        evidence = (
            f"On the longest {100 * LONG_SHARE:g} % of the test texts: {recommendation.evidence}"
        )
        return replace(recommendation, evidence=evidence)

    def few_labels(self) -> Recommendation:
        """As `by_quality`, if the runs were trained on a part of the training split."""
        use, trained = "few labels", self._trained()
        config = trained[0].runs[0].config if trained else {}
        values = {key: config.get(key, "None") for key in ("data.limit", "data.fraction")}
        limits = [f"{key}={value}" for key, value in values.items() if value not in NO_VALUE]
        if not limits:
            reason = "No evidence: all runs were trained on the whole training split."
            evidence = "Train the same configurations with data.fraction=0.1 and compare those."
            return Recommendation(use, None, reason, evidence)
        recommendation = self.by_quality(use)
        evidence = f"Trained with {', '.join(limits)}: {recommendation.evidence}"
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
        Differences between the candidates on all test texts.
    long_differences : sequence of Difference
        Differences on the longest quarter of the test texts; empty if it is too small.
    rules : Rules
        ROPE and limits.
    same_machine : bool
        Whether all runs were timed on one machine, so that speeds can be compared.
    """
    best = max(baselines, key=lambda baseline: baseline.score.mean)
    failures = {candidate.name: _failure(candidate, best, rules) for candidate in configurations}
    eligible = [candidate for candidate in configurations if not failures[candidate.name]]
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
        candidates.small_memory(),
    )
    if len(eligible) == 1 < len(configurations):
        # The others failed for all texts and at any cost. Only few labels has its own evidence.
        name, evidence = eligible[0].name, f"{_scores_text(eligible)}; {failed}"
        return tuple(
            old if old.use == "few labels" else Recommendation(old.use, name, ALONE, evidence)
            for old in recommendations
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
    for limit, metric, quantity, unit in (
        (rules.latency_limit, LATENCY[0], "latency (p95)", "ms"),
        (rules.memory_limit, MEMORY, "memory", "MB"),
    ):
        value = _mean(configuration, metric)
        if limit is not None and (value is None or value > limit):
            measured = "was not measured" if value is None else f"is {value:.4g} {unit}"
            return f"its {quantity} {measured}, the limit is {limit:g} {unit}"
    return ""


def _external(configurations: Sequence[Configuration]) -> str:
    """The names of external predictions, or an empty string."""
    return ", ".join(one.name for one in configurations if one.runs and one.runs[0].is_external)


def _mean(configuration: Configuration, metric: str) -> float | None:
    """The mean of a metric, or None if a run does not have it."""
    return configuration.means.get(metric)


def _weights(configuration: Configuration) -> float | None:
    """Size of the weights in float32, megabytes."""
    parameters = _mean(configuration, "parameters/total")
    return None if parameters is None else 4 * parameters / 1e6


def _cheapest(costs: Sequence[tuple[float | None, Configuration]]) -> Configuration | None:
    """The configuration that costs less than all others by more than a tie, or None."""
    known = [(cost, configuration) for cost, configuration in costs if cost is not None]
    if len(known) < len(costs) or not known:
        return None
    known.sort(key=lambda pair: pair[0])
    if len(known) > 1 and known[0][0] >= (1 - TIE) * known[1][0]:
        return None
    return known[0][1]


def _scores_text(configurations: Sequence[Configuration]) -> str:
    scores = [(configuration.name, configuration.score) for configuration in configurations]
    return "; ".join(
        f"{name} {score.mean:.1f} ({score.low:.1f} to {score.high:.1f})" for name, score in scores
    )


def _differences_text(differences: Sequence[Difference]) -> str:
    texts = []
    for pair in differences[:4]:
        mean, low, high = map(signed, (pair.interval.mean, pair.interval.low, pair.interval.high))
        counts = f"{counted(len(pair.by_seed), 'seed')}, {counted(pair.texts, 'text')}"
        outcome = outcome_text(pair, pair.outcome)
        names = f"{pair.first} − {pair.second}"
        texts.append(f"{names}: {mean} points ({low} to {high}), {counts}: {outcome}")
    return "; ".join(texts)
