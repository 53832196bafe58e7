"""Paired scores become p-values, effect sizes, almost stochastic order and what would decide."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "aso",
    "clears",
    "cliffs_delta",
    "cohens_dz",
    "detectable",
    "holm",
    "mcnemar",
    "median_p",
    "seeds_for_equivalence",
    "wilcoxon",
]

Values = NDArray[np.float64]
MOST = 10_000
"""Seeds beyond which a number counts as never."""


def mcnemar(only_first: int, only_second: int) -> dict[str, float]:
    """Two-sided p-values, `exact` and `mid_p`, of texts that only one of two runs has right.

    McNemar 1947; the mid-p value counts half of what was seen, keeps its level in practice and
    is less timid than the exact one (Fagerland et al. 2013, doi:10.1186/1471-2288-13-91).
    """
    from scipy.stats import binom

    total, fewer = only_first + only_second, min(only_first, only_second)
    if total == 0:
        return {"exact": 1.0, "mid_p": 1.0}
    tail, seen = float(binom.cdf(fewer, total, 0.5)), float(binom.pmf(fewer, total, 0.5))
    return {"exact": min(1.0, 2 * tail), "mid_p": 2 * tail - seen}


def median_p(p_values: Sequence[float]) -> float:
    """One p-value from several of the same texts: twice their median, valid however they depend.

    Meinshausen, Meier & Bühlmann 2009, arXiv:0811.2177.
    """
    if len(p_values) == 1:
        return float(p_values[0])
    return min(1.0, 2 * float(np.median(p_values)))


def wilcoxon(differences: Values) -> float:
    """Two-sided p of Wilcoxon's signed ranks over paired seeds, (n,); 1 if all are 0, NaN for one.

    Exact without ties (scipy); it cannot go below 2 / 2ⁿ: 0.0625 with 5 seeds, 0.002 with 10.
    """
    from scipy.stats import wilcoxon as signed_ranks

    if len(differences) < 2:
        return float("nan")
    # scores are counts over N: what equals up to rounding is a tie
    rounded = np.round(differences, 9)
    if not rounded.any():
        return 1.0
    sizes = np.abs(rounded[rounded != 0])
    exact = len(sizes) == len(rounded) and len(np.unique(sizes)) == len(sizes)
    if exact or len(sizes) > 14:
        return float(signed_ranks(rounded, method="exact" if exact else "approx").pvalue)
    # with ties: every assignment of signs, as few as they are
    from scipy.stats import rankdata

    ranks = rankdata(sizes)
    signs = (np.arange(2 ** len(ranks))[:, None] >> np.arange(len(ranks))) & 1
    away = np.abs(signs @ ranks - ranks.sum() / 2)
    seen = abs(float(ranks[rounded[rounded != 0] > 0].sum()) - ranks.sum() / 2)
    return float((away >= seen - 1e-9).mean())


def cohens_dz(differences: Values) -> float:
    """The mean paired difference (n,) in its own standard deviations; NaN for one or no spread."""
    if len(differences) < 2 or differences.std(ddof=1) < 1e-12:
        return float("nan")
    return float(differences.mean() / differences.std(ddof=1))


def cliffs_delta(first: Values, second: Values) -> float:
    """How much oftener a score of `first` beats one of `second` than not, −1 to 1 (Cliff 1993)."""
    return float(np.sign(first[:, None] - second[None, :]).mean())


def _violation(first: Values, second: Values) -> Values:
    """The share of the squared Wasserstein distance where `second` is larger, (…, n) → (…)."""
    n, m = first.shape[-1], second.shape[-1]
    # quantile functions are steps: exact on the union of both grids
    edges = np.unique(np.concatenate([np.arange(n + 1) / n, np.arange(m + 1) / m]))
    middle, width = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
    a = np.sort(first, axis=-1)[..., np.minimum((middle * n).astype(int), n - 1)]
    b = np.sort(second, axis=-1)[..., np.minimum((middle * m).astype(int), m - 1)]
    total = ((a - b) ** 2 * width).sum(axis=-1)
    against = (np.maximum(b - a, 0) ** 2 * width).sum(axis=-1)
    return np.asarray(np.divide(against, total, out=np.full_like(total, 0.5), where=total > 0))


def aso(first: Values, second: Values, seed: int = 0, resamples: int = 1000) -> float:
    """Eps_min: an upper 95 % bound on how far `first` is from being stochastically larger.

    0: `first` is larger in every quantile; below 0.5: almost stochastically larger; 1: the
    other way round. Dror, Shlomov & Reichart 2019 (P19-1266) after del Barrio et al. 2018.
    NaN for fewer than two scores on a side.
    """
    n, m = len(first), len(second)
    if min(n, m) < 2:
        return float("nan")
    random = np.random.default_rng([seed, 2])
    seen = float(_violation(first, second))
    drawn = _violation(
        first[random.integers(0, n, (resamples, n))], second[random.integers(0, m, (resamples, m))]
    )
    # sigma of √(nm / (n + m)) (drawn − seen), times √((n + m) / nm): the factors cancel
    deviation = float(np.sqrt(((drawn - seen) ** 2).mean()))
    return float(np.clip(seen + 1.6448536269514722 * deviation, 0, 1))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm 1979: adjusted p-values of several tests; NaN is no test and stays."""
    known = sorted((p, name) for name, p in p_values.items() if not np.isnan(p))
    adjusted, largest = dict(p_values), 0.0
    for place, (p, name) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - place) * p))
        adjusted[name] = largest
    return adjusted


def detectable(
    seed_sd: float, seeds: int, text_variance: float, confidence: float, power: float
) -> float:
    """The smallest mean difference, points, whose interval leaves 0 out with that `power`.

    (t_{(1 + confidence) / 2} + t_power) · √(sd² / n + text_variance); t has n − 1 degrees of
    freedom for the seeds' part, and the texts' part (points²) counts as known. NaN for one seed.
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
    """Whether the interval of a mean clears a bound `margin` points away, with that `power`."""
    return margin > 0 and detectable(seed_sd, seeds, text_variance, confidence, power) <= margin


def seeds_for_equivalence(seed_sd: float, rope: float, power: float = 0.8) -> int:
    """Seeds each of two equal arms needs for two one-sided tests at 5 % (Schuirmann 1987).

    `seed_sd` and `rope` in points; unpaired, the texts known without end. For planning before
    any run.
    """
    from scipy.stats import t

    for n in range(2, MOST):
        error = seed_sd * np.sqrt(2 / n)
        room = rope / error - float(t.ppf(0.95, 2 * n - 2))
        if room > 0 and 2 * float(t.cdf(room, 2 * n - 2)) - 1 >= power:
            return n
    return MOST
