"""Step 5: decide the outcome of every pair, and what would settle the inconclusive ones.

One configuration is better than another if three conditions hold: the whole interval of the
difference is outside the region of practical equivalence (ROPE, Benavoli et al. 2017), the
bootstrap p-value is significant after Holm's correction, and enough seeds are shared. The two are
equivalent if the whole interval is inside the region. Everything else is inconclusive.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace

from nlp_rnn.comparison.records import Difference, Interval, RequiredSamples
from nlp_rnn.comparison.rules import Outcome, Rules
from nlp_rnn.comparison.score import MeasuredDifference
from nlp_rnn.comparison.statistics import clears, holm

__all__ = ["decide", "outcome", "required_samples"]

MOST_SEEDS, MOST_TEXTS = 1000, 10_000_000
"""Largest numbers of seeds and texts that are considered; more are not feasible."""


def outcome(
    interval: Interval, rope: float, seeds: int, adjusted_p: float, rules: Rules
) -> Outcome:
    """Return the outcome for an interval and a half width `rope` of the equivalence region.

    Parameters
    ----------
    interval : Interval
        Of the difference, points.
    rope : float
        Half width of the region of practical equivalence, points.
    seeds : int
        Number of shared seeds.
    adjusted_p : float
        Bootstrap p-value after Holm's correction.
    rules : Rules
        Confidence and smallest number of seeds.
    """
    if seeds < rules.min_seeds:
        return Outcome.inconclusive
    if -rope <= interval.low and interval.high <= rope:
        return Outcome.equivalent
    if adjusted_p <= 1 - rules.confidence:
        if interval.low > rope:
            return Outcome.first
        if interval.high < -rope:
            return Outcome.second
    return Outcome.inconclusive


def decide(
    measured: Sequence[MeasuredDifference], rules: Rules
) -> dict[str, tuple[Difference, ...]]:
    """Return the differences with adjusted p-values, outcomes and required samples, by digest.

    Holm's correction is over the differences of all data sets.
    """
    ropes = sorted({*rules.ropes, rules.rope})
    adjusted: dict[str, dict[str, float]] = {}
    for test in ("bootstrap", "mcnemar", "wilcoxon"):
        p_values = {str(i): pair.difference.p_values[test] for i, pair in enumerate(measured)}
        adjusted[test] = holm(p_values)
    decided: dict[str, list[Difference]] = defaultdict(list)
    for i, pair in enumerate(measured):
        difference, seeds = pair.difference, len(pair.difference.by_seed)
        p_values = {test: adjusted[test][str(i)] for test in adjusted}
        outcomes = {
            rope: outcome(difference.interval, rope, seeds, p_values["bootstrap"], rules)
            for rope in ropes
        }
        main = outcomes[rules.rope]
        decided[pair.digest].append(
            replace(
                difference,
                adjusted=p_values,
                outcome=main,
                outcomes=outcomes,
                required=required_samples(pair, rules) if main is Outcome.inconclusive else None,
            )
        )
    return {digest: tuple(differences) for digest, differences in decided.items()}


def required_samples(measured: MeasuredDifference, rules: Rules) -> RequiredSamples | None:
    """Return how many seeds or texts would settle a pair.

    The true difference is assumed to be the observed one. None with a single shared seed, because
    the variance over the seeds is then unknown.
    """
    difference = measured.difference
    seeds, texts, sd = len(difference.by_seed), difference.texts, measured.seed_sd
    if seeds < 2:
        return None
    size = abs(difference.interval.mean)
    margin = abs(size - rules.rope)
    # Equivalence has two bounds to clear, so each gets half of the probability of failure.
    power = rules.power if size > rules.rope else (1 + rules.power) / 2
    if margin < 1e-9:
        return RequiredSamples(None, None, None, _seeds_and_texts(measured, rules.rope, rules))

    def enough(n: int, share: float) -> bool:
        variance = measured.text_variance * share
        return clears(sd, n, variance, margin, rules.confidence, power)

    least = max(seeds + 1, rules.min_seeds)
    more_seeds = _smallest(lambda n: enough(n, 1.0), least, MOST_SEEDS)
    more_texts = None
    if seeds >= rules.min_seeds:
        more_texts = _smallest(lambda n: enough(seeds, texts / n), texts + 1, MOST_TEXTS)
    if more_seeds is not None or more_texts is not None:
        return RequiredSamples(more_seeds, more_texts)
    both = _seeds_and_texts(measured, margin, rules)
    if_equal = None if both else _seeds_and_texts(measured, rules.rope, rules)
    return RequiredSamples(None, None, both, if_equal)


def _seeds_and_texts(
    measured: MeasuredDifference, margin: float, rules: Rules
) -> tuple[int, int] | None:
    """Multiply seeds and texts by the same number until both bounds at `margin` are cleared."""
    seeds, texts = len(measured.difference.by_seed), measured.difference.texts

    def enough(k: int) -> bool:
        variance, power = measured.text_variance / k, (1 + rules.power) / 2
        return clears(measured.seed_sd, seeds * k, variance, margin, rules.confidence, power)

    times = _smallest(enough, 2, min(MOST_SEEDS // seeds, MOST_TEXTS // texts))
    return None if times is None else (seeds * times, texts * times)


def _smallest(enough: Callable[[int], bool], low: int, high: int) -> int | None:
    """The smallest integer from `low` to `high` that is enough, or None; by bisection."""
    if high < low or not enough(high):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return high
