"""Significance tests, effect sizes, almost stochastic order, and power for paired scores."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ASO_THRESHOLD",
    "aso",
    "clears",
    "cliffs_delta",
    "cohens_dz",
    "detectable_difference",
    "holm",
    "mcnemar",
    "median_p",
    "seeds_for_equivalence",
    "superiority",
    "wilcoxon",
]

Values = NDArray[np.float64]
ASO_THRESHOLD = 0.2
"""Below it `first` is almost stochastically larger."""

MOST_SEEDS = 10_000
"""Largest number of seeds that is tried."""


def mcnemar(only_first: int, only_second: int) -> dict[str, float]:
    """Return the two-sided p-values `exact` and `mid_p` of McNemar's test (1947).

    The mid-p value counts half the probability of the observed result. In practice it keeps its
    level and is less conservative than the exact one (Fagerland et al. 2013,
    doi:10.1186/1471-2288-13-91).

    Parameters
    ----------
    only_first, only_second : int
        Number of texts that only the first run, or only the second, classifies correctly.
    """
    from scipy.stats import binom

    total, fewer = only_first + only_second, min(only_first, only_second)
    if total == 0:
        return {"exact": 1.0, "mid_p": 1.0}
    tail, observed = float(binom.cdf(fewer, total, 0.5)), float(binom.pmf(fewer, total, 0.5))
    return {"exact": min(1.0, 2 * tail), "mid_p": 2 * tail - observed}


def median_p(p_values: Sequence[float]) -> float:
    """Combine p-values of several runs on the same texts: twice their median, at most 1.

    Valid under any dependence (Meinshausen, Meier & Bühlmann 2009, arXiv:0811.2177).
    """
    if len(p_values) == 1:
        return float(p_values[0])
    return min(1.0, 2 * float(np.median(p_values)))


def wilcoxon(differences: Values) -> float:
    """Return the two-sided p-value of Wilcoxon's signed-rank test over n paired differences.

    It is 1 if all differences are 0, and NaN for one seed. It is exact and cannot be below 2 / 2ⁿ:
    0.0625 with 5 seeds, 0.002 with 10. With ties and more than 14 seeds it is scipy's
    approximation.
    """
    from scipy.stats import wilcoxon as signed_ranks

    if len(differences) < 2:
        return float("nan")
    # Scores are counts over N: values that are equal up to rounding are ties.
    rounded = np.round(differences, 9)
    if not rounded.any():
        return 1.0
    sizes = np.abs(rounded[rounded != 0])
    exact = len(sizes) == len(rounded) and len(np.unique(sizes)) == len(sizes)
    if exact or len(sizes) > 14:
        return float(signed_ranks(rounded, method="exact" if exact else "approx").pvalue)
    # With ties: all assignments of signs, which are few.
    from scipy.stats import rankdata

    ranks = rankdata(sizes)
    signs = (np.arange(2 ** len(ranks))[:, None] >> np.arange(len(ranks))) & 1
    away = np.abs(signs @ ranks - ranks.sum() / 2)
    observed = abs(float(ranks[rounded[rounded != 0] > 0].sum()) - ranks.sum() / 2)
    return float((away >= observed - 1e-9).mean())


def cohens_dz(differences: Values) -> float:
    """Return Cohen's d_z: the mean of n paired differences over their standard deviation.

    NaN for one difference, or where all are equal.
    """
    if len(differences) < 2 or differences.std(ddof=1) < 1e-12:
        return float("nan")
    return float(differences.mean() / differences.std(ddof=1))


def cliffs_delta(first: Values, second: Values) -> float:
    """Return Cliff's delta (1993), from −1 to 1.

    It is the share of pairs of scores in which `first` is larger, minus the share in which
    `second` is larger.
    """
    return float(np.sign(first[:, None] - second[None, :]).mean())


def superiority(differences: Values, confidence: float) -> tuple[float, float, float]:
    """Return the probability that the first of a pair is larger, with its confidence interval.

    It is the share of n paired differences above 0; a difference of 0 counts half. Bouthillier et
    al. 2021 (arXiv:2103.03098) recommend it for runs. The interval is that of Clopper & Pearson
    1934, which holds for any n, and not a bootstrap, which has no width if one side always wins.
    """
    from scipy.stats import beta

    rounded = np.round(differences, 9)
    n, wins = len(rounded), float((rounded > 0).sum() + 0.5 * (rounded == 0).sum())
    tail = (1 - confidence) / 2
    low = float(beta.ppf(tail, wins, n - wins + 1)) if wins > 0 else 0.0
    high = float(beta.ppf(1 - tail, wins + 1, n - wins)) if wins < n else 1.0
    return wins / n, low, high


def _violation(first: Values, second: Values) -> Values:
    """Share of the squared Wasserstein distance where `second` is larger, (…, n) → (…)."""
    n, m = first.shape[-1], second.shape[-1]
    # Quantile functions are steps: the integral is exact on the union of both grids.
    edges = np.unique(np.concatenate([np.arange(n + 1) / n, np.arange(m + 1) / m]))
    middle, width = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
    a = np.sort(first, axis=-1)[..., np.minimum((middle * n).astype(int), n - 1)]
    b = np.sort(second, axis=-1)[..., np.minimum((middle * m).astype(int), m - 1)]
    total = ((a - b) ** 2 * width).sum(axis=-1)
    against = (np.maximum(b - a, 0) ** 2 * width).sum(axis=-1)
    return np.asarray(np.divide(against, total, out=np.full_like(total, 0.5), where=total > 0))


def aso(first: Values, second: Values, seed: int = 0, resamples: int = 1000) -> float:
    """Return eps_min of the almost stochastic order test (ASO).

    It is an upper 95 % bound on the violation of "`first` is stochastically larger". 0: `first` is
    larger in every quantile; 1: `second` is larger in every quantile. Dror, Shlomov & Reichart
    2019 (ACL P19-1266), after del Barrio et al. 2018, call `first` almost stochastically larger
    below 0.5; Ulmer, Hardmeier & Frellsen 2022 (arXiv:2204.06815) recommend `ASO_THRESHOLD`. NaN
    for fewer than two scores on a side.
    """
    n, m = len(first), len(second)
    if min(n, m) < 2:
        return float("nan")
    random = np.random.default_rng([seed, 2])
    observed = float(_violation(first, second))
    drawn = _violation(
        first[random.integers(0, n, (resamples, n))], second[random.integers(0, m, (resamples, m))]
    )
    # σ of √(nm / (n + m)) · (drawn − observed), times √((n + m) / nm): the factors cancel.
    deviation = float(np.sqrt(((drawn - observed) ** 2).mean()))
    return float(np.clip(observed + 1.6448536269514722 * deviation, 0, 1))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return p-values adjusted for multiple tests (Holm 1979); NaN is not counted and stays."""
    known = sorted((p, name) for name, p in p_values.items() if not np.isnan(p))
    adjusted, largest = dict(p_values), 0.0
    for rank, (p, name) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - rank) * p))
        adjusted[name] = largest
    return adjusted


def detectable_difference(
    seed_sd: float, seeds: int, text_variance: float, confidence: float, power: float
) -> float:
    """Return the smallest true difference whose interval excludes 0 with the given power, points.

    (t_{(1 + confidence) / 2} + t_power) · √(sd² / n + text_variance). The part of the variance
    that comes from the seeds has n − 1 degrees of freedom; the part from the texts counts as
    known. NaN for one seed.

    Parameters
    ----------
    seed_sd : float
        Standard deviation of the paired differences over the seeds, points.
    seeds : int
        Number of seeds, n.
    text_variance : float
        Variance of the mean that comes from the texts, points².
    confidence, power : float
        Confidence level of the interval, and probability that it excludes 0.
    """
    from scipy.stats import t

    if seeds < 2:
        return float("nan")
    seed_part = seed_sd**2 / seeds
    total = seed_part + text_variance
    freedom = (seeds - 1) * (total / seed_part) ** 2 if seed_part else 1e9
    factor = float(t.ppf((1 + confidence) / 2, freedom) + t.ppf(power, freedom))
    return factor * float(np.sqrt(total))


def clears(
    seed_sd: float,
    seeds: int,
    text_variance: float,
    margin: float,
    confidence: float,
    power: float,
) -> bool:
    """Return whether `detectable_difference` is at most `margin`, in points.

    If so, the interval of a mean excludes a bound at this distance with the probability `power`.
    """
    return margin > 0 and (
        detectable_difference(seed_sd, seeds, text_variance, confidence, power) <= margin
    )


def seeds_for_equivalence(seed_sd: float, rope: float, power: float = 0.8) -> int:
    """Return the seeds per configuration that show two equal ones to be equivalent.

    For planning before any run: two one-sided tests at 5 % (Schuirmann 1987), unpaired, with
    unlimited test texts. `seed_sd` and `rope` are in points.
    """
    from scipy.stats import t

    for n in range(2, MOST_SEEDS):
        error = seed_sd * np.sqrt(2 / n)
        margin = rope / error - float(t.ppf(0.95, 2 * n - 2))
        if margin > 0 and 2 * float(t.cdf(margin, 2 * n - 2)) - 1 >= power:
            return n
    return MOST_SEEDS
