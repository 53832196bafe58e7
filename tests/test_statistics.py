"""Every statistic against a published example, scipy or scikit-learn, or a count of all cases."""

import itertools
import math
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import f1_score

from nlp_rnn.comparison.resampling import (
    bootstrap_interval,
    resampled_scores,
    run_scores,
    seed_shares,
    small_sample_factor,
)
from nlp_rnn.comparison.statistics import (
    aso,
    clears,
    cliffs_delta,
    cohens_dz,
    holm,
    mcnemar,
    median_p,
    seeds_for_equivalence,
    superiority,
    wilcoxon,
)
from tests.peak_memory import needs_peak_memory, peak_megabytes

RANDOM = np.random.default_rng(5)


def answers(texts: int, runs: int, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    labels = RANDOM.integers(0, classes, texts)
    wrong = RANDOM.integers(0, classes, (runs, texts))
    return labels, np.where(RANDOM.random((runs, texts)) < 0.7, labels, wrong)


def test_mcnemar_gives_the_published_values() -> None:
    # Bentur et al. 2009 in Fagerland et al. 2013, table 1: 1 and 7 discordant pairs
    found = mcnemar(1, 7)
    assert found["exact"] == pytest.approx(0.0703, abs=5e-5)
    assert found["mid_p"] == pytest.approx(0.0391, abs=5e-5)


@pytest.mark.parametrize(("b", "c"), [(0, 0), (4, 4), (0, 5), (12, 3), (30, 41)])
def test_mcnemar_is_a_binomial_test(b: int, c: int) -> None:
    found = mcnemar(b, c)
    expected = stats.binomtest(b, b + c).pvalue if b + c else 1.0
    assert found["exact"] == pytest.approx(expected)
    assert found["mid_p"] <= found["exact"]
    assert found == mcnemar(c, b)


def test_wilcoxon_is_scipys_and_counts_every_sign_where_there_are_ties() -> None:
    values = np.array([0.3, 0.5, 0.1, 0.9, 0.7])
    assert wilcoxon(values) == pytest.approx(0.0625)  # the least that five seeds can give
    assert wilcoxon(np.array([0.3, 0.5, 0.1, 0.9, 0.7, 0.2])) == pytest.approx(0.03125)
    assert wilcoxon(np.arange(1.0, 11)) == pytest.approx(2 / 1024)
    tied = np.array([0.2, 0.2, -0.2, 0.4, 0.6, 0.0])
    ranks = stats.rankdata(np.abs(tied[tied != 0]))
    seen = ranks[tied[tied != 0] > 0].sum()
    sums = [
        sum(rank for rank, sign in zip(ranks, signs, strict=True) if sign)
        for signs in itertools.product((0, 1), repeat=len(ranks))
    ]
    half = ranks.sum() / 2
    extreme = [abs(each - half) >= abs(seen - half) for each in sums]
    assert wilcoxon(tied) == pytest.approx(np.mean(extreme))
    assert wilcoxon(np.zeros(4)) == 1.0
    assert math.isnan(wilcoxon(np.array([1.0])))


def test_holm_gives_the_textbook_values() -> None:
    found = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005, "none": math.nan})
    assert [found[name] for name in "abcd"] == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert math.isnan(found["none"])


def test_the_median_p_never_flatters() -> None:
    assert median_p([0.03]) == 0.03
    assert median_p([0.01, 0.2, 0.04]) == pytest.approx(0.08)
    assert median_p([0.9, 0.8]) == 1.0


def test_effect_sizes_by_hand() -> None:
    assert cohens_dz(np.array([1.0, 2.0, 3.0])) == pytest.approx(2.0)
    assert math.isnan(cohens_dz(np.array([1.0])))
    assert math.isnan(cohens_dz(np.array([0.1, 0.1])))
    first, second = np.array([1.0, 2, 5]), np.array([2.0, 3])
    beats = [np.sign(a - b) for a in first for b in second]
    assert cliffs_delta(first, second) == pytest.approx(np.mean(beats))


def test_superiority_has_the_exact_interval_of_a_share() -> None:
    for wins, n in ((0, 5), (3, 5), (5, 5), (10, 10), (7, 20)):
        found = superiority(np.where(np.arange(n) < wins, 0.4, -0.4), 0.95)
        interval = stats.binomtest(wins, n).proportion_ci(0.95, "exact")
        assert found == pytest.approx((wins / n, interval.low, interval.high))
    assert superiority(np.array([0.1, 0.0, -0.1, 0.0]), 0.95)[0] == 0.5  # ties count half
    random = np.random.default_rng(2)
    wins = random.normal(0.3, 1, (400, 8))  # P = Φ(0.3) = 0.618
    intervals = [superiority(row, 0.95) for row in wins]
    held = sum(low <= stats.norm.cdf(0.3) <= high for _, low, high in intervals)
    assert held >= 380


def test_stochastic_order_is_the_ratio_of_two_integrals() -> None:
    from nlp_rnn.comparison.statistics import _violation

    first, second = RANDOM.normal(0.2, 1, 7), RANDOM.normal(0, 1.5, 5)
    at = (np.arange(350_000) + 0.5) / 350_000
    a = np.sort(first)[(at * 7).astype(int)]
    b = np.sort(second)[(at * 5).astype(int)]
    brute = (np.maximum(b - a, 0) ** 2).mean() / ((a - b) ** 2).mean()
    assert float(_violation(first, second)) == pytest.approx(brute, abs=1e-4)
    back = float(_violation(second, first))
    assert float(_violation(first, second)) + back == pytest.approx(1)


def test_stochastic_order_tells_larger_from_smaller_and_from_unknown() -> None:
    low, high = RANDOM.normal(0, 1, 20), RANDOM.normal(8, 1, 20)
    assert aso(high, low) == 0.0
    assert aso(low, high) == 1.0
    same = RANDOM.normal(0, 1, (2, 20))
    assert aso(same[0], same[1]) > 0.5 or aso(same[1], same[0]) > 0.5
    assert math.isnan(aso(low[:1], high))


def test_scores_are_scikit_learns() -> None:
    labels, predictions = answers(200, 3, 4)
    labels[labels == 3] = 0  # a class that is absent from the test
    found = run_scores(labels, predictions, 6, "macro_f1")
    expected = [100 * f1_score(labels, run, average="macro") for run in predictions]
    assert found == pytest.approx(expected, abs=1e-4)
    right = 100 * (predictions == labels).mean(axis=1)
    assert run_scores(labels, predictions, 6, "accuracy") == pytest.approx(right)


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
def test_every_resample_is_the_score_of_the_drawn_texts(
    metric: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # so little memory that texts and runs are cut into several pieces
    monkeypatch.setattr("nlp_rnn.comparison.resampling.CHUNK_BYTES", 4 * 60 * 8)
    labels, predictions = answers(60, 5)
    found = resampled_scores(labels, predictions, 3, metric, 40, seed=9)
    random = np.random.default_rng(9)
    for row in found:
        drawn = random.integers(0, 60, 60)
        assert row == pytest.approx(run_scores(labels[drawn], predictions[:, drawn], 3, metric))


def test_the_bootstrap_finds_the_standard_error_of_a_share() -> None:
    labels, predictions = answers(2000, 1)
    replicates = resampled_scores(labels, predictions, 3, "accuracy", 4000, 0)
    by_seed = run_scores(labels, predictions, 3, "accuracy")
    mean, low, high, p = bootstrap_interval(
        by_seed, replicates, seed_shares(1, 4000, 0), 0.95, 2000
    )
    share = mean / 100
    error = 196 * np.sqrt(share * (1 - share) / 2000)
    assert mean - low == pytest.approx(error, rel=0.06)
    assert high - mean == pytest.approx(error, rel=0.06)
    assert p < 0.001


def test_few_seeds_get_students_interval() -> None:
    """Without noise of texts what is left is the t interval over the seeds."""
    by_seed = np.array([0.3, 1.1, -0.2, 0.8, 0.6])
    replicates = np.tile(by_seed, (50_000, 1))
    _, low, high, _ = bootstrap_interval(
        by_seed, replicates, seed_shares(5, 50_000, 0), 0.95, 10**6
    )
    half = stats.t.ppf(0.975, 4) * by_seed.std(ddof=1) / np.sqrt(5)
    assert (high - low) / 2 == pytest.approx(half, rel=0.08)
    assert small_sample_factor(by_seed, 100.0, 10**6, 0.95) == pytest.approx(1, abs=0.01)
    assert small_sample_factor(np.zeros(3), 0.0, 10, 0.95) == 1.0


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    """Five seeds with a spread of 1 point, 500 texts: about 95 of 100 intervals hold the truth."""
    random = np.random.default_rng(3)
    held = 0
    shares = seed_shares(5, 400, 0)
    for _ in range(200):
        chance = 0.8 + 0.01 * random.normal(size=(5, 1))
        right = random.random((5, 500)) < chance
        labels = np.zeros(500, dtype=np.int64)
        predictions = np.where(right, 0, 1)
        replicates = resampled_scores(
            labels, predictions, 2, "accuracy", 400, int(random.integers(1 << 30))
        )
        by_seed = run_scores(labels, predictions, 2, "accuracy")
        _, low, high, _ = bootstrap_interval(by_seed, replicates, shares, 0.95, 500)
        held += low <= 80 <= high
    assert held >= 184  # 95 % but for what 200 trials may miss; the pigeonhole errs to the wide


def test_seeds_for_equivalence_are_the_known_ones() -> None:
    # within 0.5 points at 80 % power; seed sd 0.15, 0.3, 0.5, 1
    assert [seeds_for_equivalence(sd, 0.5) for sd in (0.15, 0.3, 0.5, 1.0)] == [3, 8, 18, 70]


def test_as_many_seeds_as_clear_a_bound_keep_their_promise() -> None:
    """With that many seeds four of five experiments clear the bound, with half of them fewer."""
    margin, sd, text_variance = 0.6, 0.7, 0.01
    needed = next(n for n in range(2, 99) if clears(sd, n, text_variance, margin, 0.95, 0.8))
    random = np.random.default_rng(1)

    def share(n: int) -> float:
        drawn = random.normal(0, sd, (4000, n)) + margin
        drawn += random.normal(0, np.sqrt(text_variance), (4000, 1))
        variance = drawn.var(axis=1, ddof=1) / n + text_variance
        freedom = (n - 1) * (variance / (variance - text_variance)) ** 2
        half = stats.t.ppf(0.975, freedom) * np.sqrt(variance)
        return float((drawn.mean(axis=1) - half > 0).mean())

    assert 0.76 <= share(needed) <= 0.88
    assert share(needed // 2) < 0.7
    assert not clears(sd, 9999, 1.0, margin, 0.95, 0.8)  # the texts are too few


def resampled(metric: str) -> tuple[float, float]:
    """Seconds and megabytes that a process needs for 10,000 resamples of imdb."""
    labels, predictions = answers(25_000, 20, 2)
    start = time.perf_counter()
    resampled_scores(labels, predictions, 2, metric, 10_000, 0)
    return time.perf_counter() - start, peak_megabytes()


@pytest.mark.slow
@needs_peak_memory
@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
def test_ten_thousand_resamples_of_imdb_take_less_than_ten_seconds_and_a_gigabyte(
    metric: str,
) -> None:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as own:
        seconds, megabytes = own.submit(resampled, metric).result()
    assert seconds < 10
    assert megabytes < 1e9 / 1024**2
