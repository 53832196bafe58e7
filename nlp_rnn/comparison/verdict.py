"""Sentences that state the outcomes: verdict, robustness, and what would settle a pair.

Deterministic: the same differences and rules give the same sentences.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from nlp_rnn.comparison.records import Configuration, Difference, Interval
from nlp_rnn.comparison.rules import Outcome, Rules
from nlp_rnn.comparison.statistics import ASO_THRESHOLD

__all__ = [
    "counted",
    "inconclusive_sentences",
    "main_pair",
    "outcome_text",
    "robustness_sentences",
    "signed",
    "verdict",
]


MOST_WINNERS = 5
"""Configurations whose decided pairs the verdict lists."""


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
    sides = {Outcome.first: difference.first, Outcome.second: difference.second}
    if outcome not in sides:
        return str(outcome)
    name = sides[outcome]
    return f"{names[name] if names else name} better"


def verdict(
    differences: Sequence[Difference], configurations: Sequence[Configuration], rules: Rules
) -> str:
    """Return the conclusion, then its significance or what is missing.

    With several pairs: the one of the best configurations by validation metric, so that the pair
    is not chosen on the test split. Then the counts of all outcomes, and the decided pairs.
    """
    main = main_pair(differences, configurations, rules)
    conclusion = f"{_conclusion(main, rules)}{_superiority(main)}"
    if len(differences) > 1:
        kinds = [str(difference.outcome).split()[-1] for difference in differences]
        counts = [f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(sorted(kinds))]
        pairs = f"Of {len(differences)} pairs, after Holm's correction"
        return (
            f"{conclusion} This is the pair with the best validation {rules.metric_name}. "
            f"{pairs}: {', '.join(counts)}.{_worse(differences)}"
        )
    if main.outcome is Outcome.inconclusive:
        return f"{conclusion} {_required(main, rules)}"
    p = main.adjusted
    no_spread = main.effect_size != main.effect_size  # NaN
    effect_size = "undefined" if no_spread else signed(main.effect_size, 1)
    return (
        f"{conclusion} p-values: bootstrap {p['bootstrap']:.2g}, McNemar {p['mcnemar']:.2g}, "
        f"Wilcoxon over the seeds {p['wilcoxon']:.2g}. Effect size d_z {effect_size}, almost "
        f"stochastic order (ASO) {main.aso:.2f}{_order(main)}."
    )


def _superiority(difference: Difference) -> str:
    """A sentence on how often a new training of one side wins, or an empty string."""
    first, second, chance = difference.first, difference.second, difference.superiority
    if chance.mean < 0.5:
        first, second = second, first
        chance = Interval(1 - chance.mean, 1 - chance.high, 1 - chance.low)
    if len(difference.by_seed) < 2 or chance.mean != chance.mean:  # NaN
        return ""
    winner = f"a new training of {first} scores higher than one of {second}"
    if "test texts" in difference.matching:  # of external predictions
        winner = f"{first} scores higher than {second} when the runs are trained again,"
    return (
        f" On these texts, {winner} with a probability of {chance.mean:.2f}, at least "
        f"{chance.low:.2f}."
    )


def _order(difference: Difference) -> str:
    """What almost stochastic order says, in parentheses."""
    if difference.aso < ASO_THRESHOLD:
        return f", below {ASO_THRESHOLD:g}: {difference.first} is almost stochastically larger"
    return ""


def main_pair(
    differences: Sequence[Difference], configurations: Sequence[Configuration], rules: Rules
) -> Difference:
    """Return the pair of the best configurations by validation metric."""
    order = _ranks(configurations, rules)
    return min(differences, key=lambda pair: sorted((order[pair.first], order[pair.second])))


def _ranks(configurations: Sequence[Configuration], rules: Rules) -> dict[str, int]:
    """Ranks of the names by validation metric, then by test score; 0 is the best.

    External predictions have no validation metric: they follow the best configuration, so that
    the pair of these two is the first.
    """
    metric = f"validation/{rules.metric}"
    external = [one.name for one in configurations if one.runs and one.runs[0].is_external]
    trained = [one for one in configurations if one.name not in external]
    known = all(metric in configuration.means for configuration in trained)
    ordered = sorted(
        trained,
        key=lambda configuration: (
            -configuration.means[metric] if known else 0.0,
            -configuration.score.mean,
        ),
    )
    names = [one.name for one in ordered]
    return {name: rank for rank, name in enumerate([*names[:1], *external, *names[1:]])}


def _worse(differences: Sequence[Difference]) -> str:
    """A sentence that lists the decided pairs, or an empty string."""
    decided = [
        (pair.first, pair.second) if pair.outcome is Outcome.first else (pair.second, pair.first)
        for pair in differences
        if pair.outcome in (Outcome.first, Outcome.second)
    ]
    if not decided:
        return ""
    winners = dict.fromkeys(winner for winner, _ in decided)
    listed = [
        f"{winner} is better than {', '.join(loser for name, loser in decided if name == winner)}"
        for winner in winners
    ]
    more = f"; and {len(listed) - MOST_WINNERS} more" if len(listed) > MOST_WINNERS else ""
    return f" Decided: {'; '.join(listed[:MOST_WINNERS])}{more}."


def _conclusion(difference: Difference, rules: Rules) -> str:
    """The outcome of one pair, with its interval and sample sizes."""
    ahead, behind, bounds = difference.first, difference.second, difference.interval
    mean, low, high = bounds.mean, bounds.low, bounds.high
    if mean < 0:
        ahead, behind, mean, low, high = behind, ahead, -mean, -high, -low
    equal = f"{mean:.2f}" == "0.00"
    if equal:
        observed = f"{ahead} and {behind} have the same mean {rules.metric_name}"
    elif difference.metric == "accuracy":
        observed = f"{ahead} is {mean:.2f} points more accurate than {behind}"
    else:
        observed = (
            f"the {rules.metric_name} of {ahead} is {mean:.2f} points higher than that of {behind}"
        )
    interval = f"the {100 * rules.confidence:g} % interval"
    interval += f"{' of the difference' * equal} ({signed(low)} to {signed(high)})"
    region = f"the equivalence region (ROPE) of ±{rules.rope:g} points"
    seeds = len(difference.by_seed)
    status = "Inconclusive"
    if difference.outcome is Outcome.equivalent:
        status, reason = "Equivalent", f"and {interval} is inside {region}"
    elif difference.outcome is not Outcome.inconclusive:
        status, reason = "Better", f"and {interval} is outside {region}"
    elif seeds < rules.min_seeds:
        reason = f"with {interval}, but a conclusion needs at least {rules.min_seeds} shared seeds"
    elif equal:
        reason = f"but {interval} reaches beyond {region}"
    elif low <= 0:
        reason = f"but {interval} does not rule out that they are equal"
    elif low <= rules.rope:
        reason = f"but {interval} overlaps {region}"
    else:
        p = f"{difference.adjusted['bootstrap']:.2g}"
        reason = f"with {interval}, but the bootstrap p-value after Holm's correction is {p}"
    counts = f"{counted(seeds, 'seed')}, {counted(difference.texts, 'test text')}"
    return f"{status}: {observed}, {reason}. {counts}."


def _required(difference: Difference, rules: Rules) -> str:
    """What would settle an inconclusive pair."""
    seeds, required = len(difference.by_seed), difference.required
    if required is None:
        return (
            "One shared seed does not show how much the results vary by chance: train both with "
            f"at least {rules.min_seeds} seeds, better 5."
        )
    power = "in four of five cases" if rules.power == 0.8 else f"with power {rules.power:g}"
    assumed = "If the true difference is the observed one,"
    ways = []
    if required.seeds is not None:
        ways.append(f"{required.seeds - seeds} more seeds each ({required.seeds} in total)")
    if required.texts is not None:
        ways.append(f"{required.texts:,} test texts instead of {difference.texts:,}")
    if ways:
        return f"{assumed} {' or '.join(ways)} would settle it {power}."
    if required.both is not None:
        return (
            f"{assumed} neither more seeds nor more texts alone would settle it; "
            f"{required.both[0]} seeds with {required.both[1]:,} test texts would, {power}."
        )
    region = f"±{rules.rope:g} points"
    close = f"The observed difference is too close to {region} for any number of runs to settle it"
    if required.if_equal is not None:
        seeds, texts = required.if_equal
        enough = f"{seeds} seeds with {texts:,} test texts would show that, {power}"
        return f"{close}; if the two are truly equal, {enough}."
    return f"{close}; choose another equivalence region (--rope) before more runs, not after them."


def inconclusive_sentences(differences: Sequence[Difference], rules: Rules) -> tuple[str, ...]:
    """Return, for every inconclusive pair, what would settle it and what the test can detect."""
    return tuple(
        f"{difference.first} and {difference.second}: {_required(difference, rules)}"
        f"{_detectable(difference)}"
        for difference in differences
        if difference.outcome is Outcome.inconclusive
    )


def _detectable(difference: Difference) -> str:
    if difference.detectable != difference.detectable:  # NaN
        return ""
    return (
        f" These seeds and texts can detect differences of at least {difference.detectable:.1f} "
        f"points; more seeds with the same texts, of at least {difference.detectable_by_texts:.1f}."
    )


def robustness_sentences(
    differences: Sequence[Difference], levels: Mapping[str, str]
) -> tuple[str, ...]:
    """Return where another ROPE, or another matching criterion, gives another outcome.

    `levels` maps the name of each configuration to its value of the compared key.
    """
    sentences = []
    by_levels: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for difference in differences:
        first, second, outcomes = difference.first, difference.second, difference.outcomes
        if len(set(outcomes.values())) > 1:
            listed = [f"±{rope:g} {outcome_text(difference, o)}" for rope, o in outcomes.items()]
            depends = "the outcome depends on the ROPE"
            sentences.append(f"{first} and {second}: {depends}: {'; '.join(listed)}.")
        pair = " and ".join(sorted((levels[first], levels[second])))
        for criterion in difference.matching:
            text = outcome_text(difference, difference.outcome, levels)
            by_levels[pair][f"same {criterion}"].add(text)
    for pair, by_criterion in by_levels.items():
        listed = [
            f"{name}: {' / '.join(sorted(by_criterion[name]))}" for name in sorted(by_criterion)
        ]
        if len({text.split(": ", 1)[1] for text in listed}) > 1:
            depends = "the outcome depends on the matching criterion"
            sentences.append(f"{pair}: {depends}: {'; '.join(listed)}.")
    return tuple(sentences)
