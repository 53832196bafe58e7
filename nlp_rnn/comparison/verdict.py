"""Sentences that state the outcomes: verdict, robustness, and what would settle a pair.

Deterministic: the same differences and rules give the same sentences.
"""

from collections.abc import Mapping, Sequence

from nlp_rnn.comparison.records import Difference, Interval
from nlp_rnn.comparison.rules import Outcome, Rules

__all__ = [
    "counted",
    "inconclusive_sentences",
    "outcome_text",
    "robustness_sentences",
    "signed",
    "verdict",
]


def signed(value: float, decimals: int = 2) -> str:
    """Format a number with its sign and a true minus sign: `+1.50`, `−0.20`."""
    return f"{round(value, decimals) + 0.0:+.{decimals}f}".replace("-", "−")


def counted(number: int, noun: str) -> str:
    """Format a count with its noun in the singular or plural: `1 seed`, `1,000 texts`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def outcome_text(
    difference: Difference, outcome: Outcome, names: Mapping[str, str] | None = None
) -> str:
    """Return an outcome with the name of the better side: `gru h128 better`, `equivalent`.

    `names` replaces the names of the configurations, such as by the values of the compared key.
    """
    names = names or {name: name for name in (difference.first, difference.second)}
    if outcome is Outcome.first:
        return f"{names[difference.first]} better"
    if outcome is Outcome.second:
        return f"{names[difference.second]} better"
    return str(outcome)


def verdict(differences: Sequence[Difference], rules: Rules) -> str:
    """Return the conclusion, then its significance or what is missing.

    With several pairs: the first decided one, preferably of equal hidden size, and the counts of
    all outcomes.
    """
    main = min(
        differences,
        key=lambda each: (
            each.outcome in (Outcome.equivalent, Outcome.inconclusive),
            "size" not in each.matching,
        ),
    )
    conclusion = _conclusion(main, rules)
    if len(differences) > 1:
        outcomes = [each.outcome for each in differences]
        better = sum(each in (Outcome.first, Outcome.second) for each in outcomes)
        counts = {
            "better": better,
            "equivalent": outcomes.count(Outcome.equivalent),
            "inconclusive": outcomes.count(Outcome.inconclusive),
        }
        listed = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        return f"{conclusion} Of {len(differences)} pairs, after Holm's correction: {listed}."
    if main.outcome is Outcome.inconclusive:
        return f"{conclusion} {_required(main, rules)}"
    p = main.adjusted
    no_spread = main.effect_size != main.effect_size  # NaN
    effect_size = "undefined" if no_spread else signed(main.effect_size, 1)
    return (
        f"{conclusion} p-values: bootstrap {p['bootstrap']:.2g}, McNemar {p['mcnemar']:.2g}, "
        f"Wilcoxon over the seeds {p['wilcoxon']:.2g}. Effect size d_z {effect_size}, almost "
        f"stochastic order (ASO) {main.aso:.2f}."
    )


def _conclusion(difference: Difference, rules: Rules) -> str:
    """The outcome of one pair, with its interval and sample sizes."""
    ahead, behind, interval = difference.first, difference.second, difference.interval
    if interval.mean < 0:
        ahead, behind = behind, ahead
        interval = Interval(-interval.mean, -interval.high, -interval.low)
    points = f"{interval.mean:.2f} points"
    if difference.metric == "accuracy":
        observed = f"{ahead} is {points} more accurate than {behind}"
    else:
        observed = f"the macro-F1 of {ahead} is {points} higher than that of {behind}"
    bounds = f"{signed(interval.low)} to {signed(interval.high)}"
    interval_text = f"the {100 * rules.confidence:g} % interval ({bounds})"
    region = f"the equivalence region (ROPE) of ±{rules.rope:g} points"
    seeds = len(difference.by_seed)
    if difference.outcome is Outcome.equivalent:
        sentence = f"Equivalent: {observed}, and {interval_text} lies inside {region}"
    elif difference.outcome is not Outcome.inconclusive:
        sentence = f"Better: {observed}, and {interval_text} lies outside {region}"
    elif seeds < rules.min_seeds:
        sentence = (
            f"Inconclusive: {observed}, with {interval_text}, but a conclusion needs at least "
            f"{rules.min_seeds} shared seeds"
        )
    elif interval.low <= 0:
        sentence = (
            f"Inconclusive: {observed}, but {interval_text} does not rule out that they are equal"
        )
    elif interval.low <= rules.rope:
        sentence = f"Inconclusive: {observed}, but {interval_text} overlaps {region}"
    else:
        sentence = (
            f"Inconclusive: {observed}, with {interval_text}, but the bootstrap p-value after "
            f"Holm's correction is {difference.adjusted['bootstrap']:.2g}"
        )
    return f"{sentence}. {counted(seeds, 'seed')}, {counted(difference.texts, 'test text')}."


def _required(difference: Difference, rules: Rules) -> str:
    """What would settle an inconclusive pair."""
    seeds, required = len(difference.by_seed), difference.required
    if seeds < 2:
        return (
            "One shared seed does not show how much the results vary by chance: train both with "
            f"at least {rules.min_seeds} seeds, better 5."
        )
    if required is None:
        return f"Train both with at least {rules.min_seeds} seeds."
    power = "in four of five cases" if rules.power == 0.8 else f"with power {rules.power:g}"
    ways = []
    if required.seeds is not None:
        ways.append(f"{required.seeds - seeds} more seeds each ({required.seeds} in total)")
    if required.texts is not None:
        ways.append(f"{required.texts:,} test texts instead of {difference.texts:,}")
    if ways:
        return (
            f"If the true difference is the observed one, {' or '.join(ways)} would settle it "
            f"{power}."
        )
    if required.both is not None:
        return (
            "If the true difference is the observed one, neither more seeds nor more texts alone "
            f"would settle it; {required.both[0]} seeds with {required.both[1]:,} test texts "
            f"would, {power}."
        )
    close = (
        f"The observed difference is too close to ±{rules.rope:g} points for any number of runs "
        "to settle it"
    )
    if required.if_equal is not None:
        return (
            f"{close}; if the two are truly equal, {required.if_equal[0]} seeds with "
            f"{required.if_equal[1]:,} test texts would show that, {power}."
        )
    return f"{close}; choose another equivalence region (--rope) before more runs, not after them."


def inconclusive_sentences(differences: Sequence[Difference], rules: Rules) -> tuple[str, ...]:
    """Return, for every inconclusive pair, what would settle it and what the test can detect."""
    return tuple(
        f"{each.first} and {each.second}: {_required(each, rules)}{_detectable(each)}"
        for each in differences
        if each.outcome is Outcome.inconclusive
    )


def _detectable(difference: Difference) -> str:
    if difference.detectable != difference.detectable:  # NaN
        return ""
    return (
        f" These seeds and texts can detect differences of at least {difference.detectable:.1f} "
        f"points, and these texts with any number of seeds {difference.detectable_by_texts:.1f}."
    )


def robustness_sentences(
    differences: Sequence[Difference], levels: Mapping[str, str], rules: Rules
) -> tuple[str, ...]:
    """Return where another ROPE, or another matching criterion, gives another outcome.

    `levels` maps the name of each configuration to its value of `rules.by`.
    """
    sentences = []
    for each in differences:
        if len(set(each.outcomes.values())) > 1:
            outcomes = "; ".join(
                f"±{rope:g} {outcome_text(each, outcome)}"
                for rope, outcome in each.outcomes.items()
            )
            sentences.append(
                f"{each.first} and {each.second}: the outcome depends on the ROPE: {outcomes}."
            )
    by_levels: dict[tuple[str, ...], dict[str, set[str]]] = {}
    for each in differences:
        pair = tuple(sorted((levels[each.first], levels[each.second])))
        for criterion in each.matching:
            outcomes_of = by_levels.setdefault(pair, {}).setdefault(criterion, set())
            outcomes_of.add(outcome_text(each, each.outcome, levels))
    for pair, by_criterion in by_levels.items():
        if len({tuple(sorted(outcomes)) for outcomes in by_criterion.values()}) > 1:
            listed = "; ".join(
                f"same {criterion}: {' / '.join(sorted(outcomes))}"
                for criterion, outcomes in sorted(by_criterion.items())
            )
            sentences.append(
                f"{' and '.join(pair)}: the outcome depends on the matching criterion: {listed}."
            )
    return tuple(sentences)
