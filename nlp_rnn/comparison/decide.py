"""Measured differences become outcomes, what would decide, and the sentences that say so.

Deterministic: the same differences and `Rules` give the same words. `first better` needs three
things: the whole interval beyond the region of equivalence (Benavoli et al. 2017), a bootstrap
p-value that holds after Holm, and enough shared seeds.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from nlp_rnn.comparison.records import Difference, Interval, Outcome, RequiredSamples, Rules
from nlp_rnn.comparison.score import MeasuredDifference
from nlp_rnn.comparison.statistics import clears, holm

__all__ = ["decide", "inconclusive", "needs", "outcome", "robustness", "verdict"]

MOST_SEEDS, MOST_TEXTS = 1000, 10_000_000
"""What nobody will ever run or label counts as never."""

UNITS = {"accuracy": "points of accuracy", "macro_f1": "points of macro-F1"}


def outcome(
    interval: Interval, rope: float, seeds: int, adjusted_p: float, rules: Rules
) -> Outcome:
    """What an interval says against ±`rope`, with so many shared seeds."""
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


def decide(measured: Sequence[MeasuredDifference], rules: Rules) -> list[Difference]:
    """Give every difference its adjusted p-values, outcomes and needs; Holm runs over them all."""
    ropes = sorted({*rules.ropes, rules.rope})
    adjusted: dict[str, dict[str, float]] = {}
    for test in ("bootstrap", "mcnemar", "wilcoxon"):
        tested = {str(i): each.difference.p_values[test] for i, each in enumerate(measured)}
        adjusted[test] = holm(tested)
    found = []
    for i, each in enumerate(measured):
        p_values = {test: adjusted[test][str(i)] for test in adjusted}
        seen, seeds = each.difference.interval, len(each.difference.by_seed)
        outcomes = {
            rope: outcome(seen, rope, seeds, p_values["bootstrap"], rules) for rope in ropes
        }
        own = outcomes[rules.rope]
        found.append(
            replace(
                each.difference,
                adjusted=p_values,
                outcome=own,
                outcomes=outcomes,
                required=needs(each, rules) if own is Outcome.inconclusive else None,
            )
        )
    return found


def needs(measured: MeasuredDifference, rules: Rules) -> RequiredSamples | None:
    """How many seeds or texts in all would decide; None where no spread of seeds is known yet."""
    difference = measured.difference
    seeds, texts, sd = len(difference.by_seed), difference.texts, measured.seed_sd
    if seeds < 2:
        return None
    size = abs(difference.interval.mean)
    margin = abs(size - rules.rope)
    # within the region two bounds must be cleared, so half of what may go wrong for each
    power = rules.power if size > rules.rope else (1 + rules.power) / 2
    if margin < 1e-9:
        return RequiredSamples(None, None, None, _together(measured, rules.rope, rules))

    def enough(n: int, part: float) -> bool:
        variance = measured.text_variance * part
        return clears(sd, n, variance, margin, rules.confidence, power)

    least = max(seeds + 1, rules.min_seeds)
    more_seeds = _least(lambda n: enough(n, 1.0), least, MOST_SEEDS)
    more_texts = None
    if seeds >= rules.min_seeds:
        more_texts = _least(lambda n: enough(seeds, texts / n), texts + 1, MOST_TEXTS)
    if more_seeds is not None or more_texts is not None:
        return RequiredSamples(more_seeds, more_texts)
    both = _together(measured, margin, rules)
    equal = None if both else _together(measured, rules.rope, rules)
    return RequiredSamples(None, None, both, equal)


def _together(measured: MeasuredDifference, margin: float, rules: Rules) -> tuple[int, int] | None:
    """As many times the seeds and the texts as clear `margin`; on two sides, which is stricter."""
    seeds, texts = len(measured.difference.by_seed), measured.difference.texts

    def enough(k: int) -> bool:
        variance, power = measured.text_variance / k, (1 + rules.power) / 2
        return clears(measured.seed_sd, seeds * k, variance, margin, rules.confidence, power)

    times = _least(enough, 2, min(MOST_SEEDS // seeds, MOST_TEXTS // texts))
    return None if times is None else (seeds * times, texts * times)


def _least(enough: Callable[[int], bool], low: int, high: int) -> int | None:
    """The least whole number from `low` to `high` that is enough, if any is."""
    if high < low or not enough(high):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return high


def _numbers(found: Difference, rules: Rules) -> str:
    seen = found.interval
    return (
        f"{seen.mean:+.2f} {UNITS[found.metric]} [{seen.low:+.2f}, {seen.high:+.2f}], "
        f"{_count(len(found.by_seed), 'seed')} × {found.texts:,} texts"
    )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _said(found: Difference, rules: Rules) -> str:
    """The outcome of one pair as a clause."""
    a, b, region = found.first, found.second, f"±{rules.rope:g}"
    numbers = _numbers(found, rules)
    match found.outcome:
        case Outcome.first:
            return f"{a} is better than {b}: {numbers}, all of it beyond {region}"
        case Outcome.second:
            return f"{b} is better than {a}: {a} − {b} is {numbers}, all of it beyond {region}"
        case Outcome.equivalent:
            return f"{a} and {b} are practically equivalent: {numbers}, all of it within {region}"
    return f"{a} against {b} is inconclusive: {numbers}, neither within nor beyond {region}"


def verdict(found: Sequence[Difference], rules: Rules) -> str:
    """Two sentences: what is known, and how far it can be trusted or what is missing."""
    order = list(Outcome)
    main = min(found, key=lambda each: (order.index(each.outcome) > 1, "size" not in each.matching))
    first = _said(main, rules) + "."
    if len(found) > 1:
        counted = ", ".join(
            f"{sum(each.outcome is kind for each in found)} {words}"
            for kind, words in (
                (Outcome.first, "with the first better"),
                (Outcome.second, "with the second better"),
                (Outcome.equivalent, "equivalent"),
                (Outcome.inconclusive, "inconclusive"),
            )
            if any(each.outcome is kind for each in found)
        )
        return f"{first} Of {len(found)} pairs, after Holm's correction: {counted}."
    if main.outcome is Outcome.inconclusive:
        return f"{first} {_missing(main, rules)}"
    effect = "no number" if main.effect_size != main.effect_size else f"{main.effect_size:+.1f}"
    p = main.adjusted
    return (
        f"{first} Bootstrap p {p['bootstrap']:.2g}, McNemar p {p['mcnemar']:.2g}, Wilcoxon p "
        f"{p['wilcoxon']:.2g} over the seeds, effect size d_z {effect}, ASO {main.aso:.2f}."
    )


def _missing(found: Difference, rules: Rules) -> str:
    """What it would take, as a sentence."""
    seeds = len(found.by_seed)
    if seeds < 2:
        return (
            "With one seed in common nothing is known of what chance does: "
            f"train both with at least {rules.min_seeds} seeds, better 5."
        )
    need = found.required
    if need is None:
        return f"Train both with at least {rules.min_seeds} seeds."
    share = "in four of five cases" if rules.power == 0.8 else f"with power {rules.power:g}"
    ways = []
    if need.seeds is not None:
        ways.append(f"{need.seeds - seeds} more seeds each ({need.seeds} in all)")
    if need.texts is not None:
        ways.append(f"{need.texts:,} test texts instead of {found.texts:,}")
    if ways:
        return f"If the difference is what it seems, {' or '.join(ways)} would decide {share}."
    if need.both is not None:
        return (
            f"If the difference is what it seems, neither more seeds nor more texts alone would "
            f"decide; {need.both[0]} seeds with {need.both[1]:,} test texts would, {share}."
        )
    close = f"The difference seems to lie too close to ±{rules.rope:g} for any number to decide"
    if need.if_equal is not None:
        return (
            f"{close}; if the two are in truth equal, {need.if_equal[0]} seeds with "
            f"{need.if_equal[1]:,} test texts would show it, {share}."
        )
    return f"{close}; take another ROPE, before more runs and not after them."


def inconclusive(found: Sequence[Difference], rules: Rules) -> tuple[str, ...]:
    """For every inconclusive pair what it would take, and what the test can show at all."""
    return tuple(
        f"{each.first} against {each.second}: {_missing(each, rules)}{_shown(each)}"
        for each in found
        if each.outcome is Outcome.inconclusive
    )


def _shown(found: Difference) -> str:
    if found.detectable != found.detectable:
        return ""
    return (
        f" These seeds and texts show differences from {found.detectable:.1f} points up; with any "
        f"number of seeds these texts would from {found.detectable_by_texts:.1f}."
    )


def robustness(found: Sequence[Difference], level: dict[str, str], rules: Rules) -> tuple[str, ...]:
    """Where another ROPE, or another way of matching the same levels, gives another outcome.

    `level` gives the value of `rules.by` for each configuration.
    """
    told = []
    for each in found:
        if len(set(each.outcomes.values())) > 1:
            words = "; ".join(f"±{rope:g} {_winner(each, o)}" for rope, o in each.outcomes.items())
            told.append(f"{each.first} against {each.second} turns with the ROPE: {words}.")
    ways: dict[tuple[str, ...], dict[str, set[str]]] = {}
    for each in found:
        levels = tuple(sorted((level[each.first], level[each.second])))
        for matching in each.matching:
            kinds = ways.setdefault(levels, {}).setdefault(matching, set())
            kinds.add(_winner(each, each.outcome, level))
    for levels, by_matching in ways.items():
        if len({tuple(sorted(kinds)) for kinds in by_matching.values()}) > 1:
            words = "; ".join(
                f"same {matching}: {' / '.join(sorted(kinds))}"
                for matching, kinds in sorted(by_matching.items())
            )
            told.append(f"{' against '.join(levels)} turns with the matching: {words}.")
    return tuple(told)


def _winner(found: Difference, kind: Outcome, level: dict[str, str] | None = None) -> str:
    names = level or {found.first: found.first, found.second: found.second}
    if kind is Outcome.first:
        return f"{names[found.first]} better"
    if kind is Outcome.second:
        return f"{names[found.second]} better"
    return str(kind)
