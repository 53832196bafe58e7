"""Conclusion over several data sets: which of two values of the compared key is better on them.

The data sets are the sample: the difference on each of them counts once, whatever its number of
texts. The signed-rank test with an equivalence region is that of Benavoli et al. 2017 (JMLR 18,
77), with its Dirichlet process prior of strength 0.5 at a difference of 0.
"""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.comparison.records import AcrossDataSets, Comparison, Difference, Interval
from nlp_rnn.comparison.rules import Outcome, Rules
from nlp_rnn.comparison.statistics import holm, superiority, wilcoxon
from nlp_rnn.comparison.verdict import counted, main_pair, signed

__all__ = ["MIN_DATA_SETS", "across_data_sets", "signed_rank_probabilities"]

MIN_DATA_SETS = 6
"""With fewer data sets Wilcoxon's test cannot be significant at 5 %, so nothing is concluded."""

PRIOR, SAMPLES = 0.5, 50_000


def signed_rank_probabilities(
    differences: NDArray[np.float64], rope: float, seed: int = 0
) -> tuple[float, float, float]:
    """Return the posterior probabilities of the Bayesian signed-rank test.

    Parameters
    ----------
    differences : ndarray of float64, shape (n,)
        Difference on each data set, points.
    rope : float
        Half width of the equivalence region, points.
    seed : int
        Seed of the Monte Carlo samples.

    Returns
    -------
    first, equivalent, second : float
        Probabilities that differences above, inside and below the region are the most frequent.
    """
    values = np.concatenate([[0.0], differences])
    weights = np.ones(len(values))
    weights[0] = PRIOR
    sums = values[:, None] + values[None, :]
    above = (sums > 2 * rope) + 0.5 * (sums == 2 * rope)
    below = (sums < -2 * rope) + 0.5 * (sums == -2 * rope)
    drawn = np.random.default_rng([seed, 3]).dirichlet(weights, SAMPLES)
    first, second = (((drawn @ region) * drawn).sum(axis=1) for region in (above, below))
    largest = np.argmax(np.stack([first, 1 - first - second, second]), axis=0)
    shares = np.bincount(largest, minlength=3) / SAMPLES
    return float(shares[0]), float(shares[1]), float(shares[2])


def across_data_sets(comparisons: Sequence[Comparison], rules: Rules) -> tuple[AcrossDataSets, ...]:
    """Return a conclusion for every two values of the compared key that share several data sets.

    On each data set the pair with the best validation metric stands for the two values. Data sets
    with the same test texts, such as samples of one training split, are one: their differences are
    averaged. Holm's correction is over the pairs of values.
    """
    measured: dict[tuple[str, str], dict[str, list[tuple[str, Interval]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for comparison in comparisons:
        levels = {one.name: one.level for one in comparison.configurations}
        of_levels: dict[tuple[str, str], list[Difference]] = defaultdict(list)
        for pair in comparison.differences:
            a, b = levels[pair.first], levels[pair.second]
            of_levels[min(a, b), max(a, b)].append(pair)
        for values, pairs in of_levels.items():
            main = main_pair(pairs, comparison.configurations, comparison.rules)
            interval = main.interval
            if levels[main.first] != values[0]:
                interval = Interval(-interval.mean, -interval.high, -interval.low)
            measured[values][_texts(comparison)].append((comparison.data, interval))
    conclusions = [
        _conclusion(values, list(sets.values()), rules)
        for values, sets in sorted(measured.items())
        if sum(map(len, sets.values())) > 1
    ]
    p_values = holm({str(i): one.p_value for i, one in enumerate(conclusions)})
    return tuple(
        _decided(replace(one, p_value=p_values[str(i)]), rules) for i, one in enumerate(conclusions)
    )


def _texts(comparison: Comparison) -> str:
    """A hash of the test labels and lengths, which data sets with the same texts share."""
    for configuration in comparison.configurations:
        for run in configuration.runs:
            if run.predictions is not None:
                saved = run.predictions
                digest = hashlib.sha256("\n".join(saved.label_names).encode())
                digest.update(np.ascontiguousarray(saved.labels).tobytes())
                digest.update(np.ascontiguousarray(saved.lengths).tobytes())
                return digest.hexdigest()
    return comparison.digest


def _conclusion(
    values: tuple[str, str], sets: Sequence[Sequence[tuple[str, Interval]]], rules: Rules
) -> AcrossDataSets:
    """Measure the differences over data sets, each of which is one or more with the same texts."""
    by_set = {}
    for same_texts in sets:
        intervals = np.array([[one.mean, one.low, one.high] for _, one in same_texts])
        name = " + ".join(dict.fromkeys(name for name, _ in same_texts))
        while name in by_set:
            name += " (other texts)"
        mean, low, high = intervals.mean(axis=0)
        by_set[name] = Interval(float(mean), float(low), float(high))
    means = np.array([one.mean for one in by_set.values()])
    return AcrossDataSets(
        first=values[0],
        second=values[1],
        by_set=by_set,
        mean=float(means.mean()),
        p_value=wilcoxon(means),
        probabilities=signed_rank_probabilities(means, rules.rope, rules.seed),
        superiority=Interval(*superiority(means, rules.confidence)),
        outcome=Outcome.inconclusive,
        sentence="",
    )


def _decided(measured: AcrossDataSets, rules: Rules) -> AcrossDataSets:
    """Add the outcome and its sentence: both tests have to agree."""
    first, equivalent, second = measured.probabilities
    outcome = Outcome.inconclusive
    if len(measured.by_set) >= MIN_DATA_SETS:
        significant = measured.p_value <= 1 - rules.confidence
        if equivalent >= rules.confidence:
            outcome = Outcome.equivalent
        elif significant and first >= rules.confidence:
            outcome = Outcome.first
        elif significant and second >= rules.confidence:
            outcome = Outcome.second
    return replace(measured, outcome=outcome, sentence=_sentence(measured, outcome, rules))


def _sentence(measured: AcrossDataSets, outcome: Outcome, rules: Rules) -> str:
    ahead, behind, mean, chance = (
        measured.first,
        measured.second,
        measured.mean,
        measured.superiority,
    )
    better, equivalent, worse = measured.probabilities
    if mean < 0:
        ahead, behind, mean, better, worse = behind, ahead, -mean, worse, better
        chance = Interval(1 - chance.mean, 1 - chance.high, 1 - chance.low)
    number = len(measured.by_set)
    sets = counted(number, "data set")
    status = "Better" if outcome in (Outcome.first, Outcome.second) else str(outcome).capitalize()
    observed = f"{status}: on {sets} {ahead} is {signed(mean)} points ahead of {behind} on average."
    if number < MIN_DATA_SETS:
        reason = (
            f"A conclusion needs at least {MIN_DATA_SETS} data sets with different texts; these "
            "describe themselves only."
        )
        return f"{observed} {reason}"
    return (
        f"{observed} Signed-rank test with the equivalence region ±{rules.rope:g}: {ahead} better "
        f"{better:.2f}, equivalent {equivalent:.2f}, {behind} better {worse:.2f}; Wilcoxon's p "
        f"after Holm's correction {measured.p_value:.2g}. On a new data set of this kind {ahead} "
        f"is ahead with probability {chance.mean:.2f}, at least {chance.low:.2f}."
    )
