"""The rule of the outcome, the required samples, robustness and recommendations."""

import math
from dataclasses import replace

import numpy as np
import pytest

from nlp_rnn.comparison.compare import compare_runs
from nlp_rnn.comparison.compared_run import Run
from nlp_rnn.comparison.decide import outcome, required_samples
from nlp_rnn.comparison.records import Interval
from nlp_rnn.comparison.rules import Outcome
from nlp_rnn.comparison.score import MeasuredDifference
from nlp_rnn.comparison.table import table
from tests.compared_runs import RULES, changed, compared, run, two_cells

CELLS = ("gru", "lstm")


def test_limits_of_latency_and_memory_exclude_configurations() -> None:
    runs = two_cells(texts=5000, lstm=0.85)
    uses = {e.use: e for e in compared(runs, replace(RULES, latency_limit=1.5)).recommendations}
    assert uses["most accurate"].choice == "gru h128"  # the better LSTM takes 2 ms
    for use in ("most accurate", "low latency", "long texts", "small memory"):
        assert uses[use].reason == "It is the only configuration that meets the requirements."
        assert "lstm h128: its latency (p95) is 2 ms, the limit is 1.5 ms" in uses[use].evidence
        assert "longest" not in uses[use].evidence  # nothing was decided on those
    comparison = compared(runs, replace(RULES, memory_limit=0.01))
    assert all(each.choice is None for each in comparison.recommendations)


def test_equal_means_are_called_so_and_no_interval_exceeds_a_hundred_percent() -> None:
    random = np.random.default_rng(1)
    wrong = {cell: [random.choice(120, 2, replace=False) for _ in range(3)] for cell in CELLS}
    runs = [
        run(cell, seed, ~np.isin(np.arange(120), wrong[cell][seed - 1]))
        for cell in CELLS
        for seed in (1, 2, 3)
    ]
    comparison = compared(runs)
    assert comparison.verdict.startswith(
        "Inconclusive: gru h128 and lstm h128 have the same mean accuracy, but the 95 % interval "
        "of the difference ("
    )
    assert "reaches beyond the equivalence region (ROPE) of ±0.5 points." in comparison.verdict
    assert max(each.score.high for each in comparison.configurations) == 100


def timed(runs: list[Run], **metrics: dict[str, float]) -> list[Run]:
    """The runs with these metrics added to those of a cell."""
    return [
        replace(each, metrics={**each.metrics, **metrics.get(each.cell, {})})
        for each in runs
        if each.cell in metrics
    ]


def test_memory_is_compared_with_memory_and_weights_with_weights() -> None:
    runs = two_cells(texts=500)
    weights = {"parameters/total": 10e6}  # 40 MB
    one = timed(runs, gru={"memory/onnx_mb": 90.0} | weights, lstm={"parameters/total": 20e6})
    recommendation = compared(one).recommendations[-1]
    assert recommendation.choice == "gru h128"  # 90 MB are measured, 80 MB are weights alone
    assert "It has the smallest weights" in recommendation.reason
    assert "memory was not measured for all configurations" in recommendation.reason
    assert "gru h128 40 MB of weights" in recommendation.evidence
    both = timed(one, gru={"memory/onnx_mb": 90.0}, lstm={"memory/onnx_mb": 70.0})
    recommendation = compared(both).recommendations[-1]
    assert recommendation.choice == "lstm h128"
    assert recommendation.reason.startswith("It needs the least memory")


def test_a_limit_is_compared_only_with_what_was_measured() -> None:
    runs = timed(two_cells(texts=500), gru={"memory/onnx_mb": 30.0}, lstm={})
    limited = compared(runs, replace(RULES, memory_limit=50)).recommendations[0]
    assert limited.choice == "gru h128"  # the LSTM has 0.04 MB of weights, and unknown memory
    message = "lstm h128: its memory was not measured, the limit is 50 MB"
    assert message in limited.evidence
    p95 = "latency/onnx_batch1_p95_ms"
    runs = timed(two_cells(texts=500), gru={}, lstm={"latency/onnx_batch1_p50_ms": 1.0})
    without = [
        replace(each, metrics={key: value for key, value in each.metrics.items() if key != p95})
        if each.cell == "lstm"
        else each
        for each in runs
    ]
    limited = compared(without, replace(RULES, latency_limit=1.5)).recommendations[0]
    assert limited.choice == "gru h128"
    assert "lstm h128: its latency (p95) was not measured" in limited.evidence


def test_recommendations_quote_their_numbers() -> None:
    comparison = compared(two_cells(texts=5000, gru=0.85, lstm=0.80))
    uses = {each.use: each for each in comparison.recommendations}
    assert list(uses) == [
        "most accurate",
        "low latency",
        "long texts",
        "few labels",
        "small memory",
    ]
    assert "5 seeds, 5,000 texts: gru h128 better" in uses["most accurate"].evidence
    reason = "It is significantly better than the other configurations."
    assert uses["most accurate"].reason == reason
    assert "On the longest 25 %" in uses["long texts"].evidence
    assert uses["few labels"].choice is None
    assert "1 ms per text on onnxruntime (p95)" in uses["low latency"].evidence


def test_the_fastest_is_said_of_all_only_where_no_faster_one_is_worse() -> None:
    similar = compared(two_cells(texts=500)).recommendations[1]
    assert (similar.use, similar.choice) == ("low latency", "gru h128")
    assert similar.reason.startswith("It is the fastest, and no other configuration is")
    better = compared(two_cells(texts=5000, gru=0.80, lstm=0.85)).recommendations[1]
    assert better.choice == "lstm h128"  # it takes 2 ms, the GRU 1 ms
    worse = (
        "Of the configurations that are not significantly worse than another, it is the fastest."
    )
    assert better.reason == worse


def test_runs_with_few_labels_give_the_recommendation_for_the_whole_data() -> None:
    few = [
        replace(each, digest="d0", run_id=f"{each.run_id}-few")
        for cell in ("gru", "lstm")
        for each in changed(two_cells(texts=5000, gru=0.7, lstm=0.6), cell, data__fraction="0.1")
        if each.cell == cell
    ]
    found = compare_runs([*two_cells(texts=1000), *few], RULES)
    for each in found:
        (recommendation,) = (r for r in each.recommendations if r.use == "few labels")
        assert recommendation.choice == "gru h128"
        assert "data.fraction=0.1" in recommendation.evidence


@pytest.mark.parametrize(
    ("interval", "seeds", "p", "expected"),
    [
        ((0.6, 1.4), 5, 0.01, Outcome.first),
        ((-1.4, -0.6), 5, 0.01, Outcome.second),
        ((-0.4, 0.5), 5, 0.6, Outcome.equivalent),
        ((0.1, 0.4), 5, 0.01, Outcome.equivalent),  # surely not 0, and surely too small to matter
        ((0.4, 1.4), 5, 0.01, Outcome.inconclusive),
        ((-3.0, 3.0), 5, 0.9, Outcome.inconclusive),
        ((0.6, 1.4), 2, 0.01, Outcome.inconclusive),
        ((0.6, 1.4), 5, 0.06, Outcome.inconclusive),  # not after Holm
        ((math.nan, math.nan), 5, math.nan, Outcome.inconclusive),
    ],
)
def test_the_rule(interval: tuple[float, float], seeds: int, p: float, expected: Outcome) -> None:
    low, high = interval
    assert outcome(Interval((low + high) / 2, low, high), 0.5, seeds, p, RULES) is expected


def test_an_outcome_that_depends_on_the_rope_or_the_matching_says_so() -> None:
    same = two_cells(texts=5000, gru=0.83, lstm=0.80)
    narrow = compared(same, replace(RULES, ropes=(0.5, 1.0, 9.0)))
    assert any(
        "depends on the ROPE" in each and "±9 equivalent" in each for each in narrow.robustness
    )
    matched = [
        replace(
            each,
            run_id=f"{each.run_id}-large",
            signature="large",
            configuration_name="gru h155 texts large",
            config={**each.config, "model.hidden_size": "155"},
            metrics={**each.metrics, "parameters/recurrent": 4000.0},
            predictions=next(
                other.predictions
                for other in same
                if other.cell == "lstm" and other.seed == each.seed
            ),
        )
        for each in same
        if each.cell == "gru"
    ]
    comparison = compared([*same, *matched])
    assert {each.matching for each in comparison.differences} == {("size",), ("parameters",)}
    assert any(
        "gru and lstm: the outcome depends on the matching criterion" in each
        for each in comparison.robustness
    )


def test_holm_runs_over_all_pairs_of_all_data() -> None:
    runs = two_cells(texts=500, gru=0.83)
    other = [replace(each, digest="d9", run_id=f"{each.run_id}-9") for each in runs]
    alone = compared(runs).differences[0]
    both = [each.differences[0] for each in compare_runs([*runs, *other], RULES)]
    for each in both:
        assert each.p_values["mcnemar"] == alone.p_values["mcnemar"]
        assert each.adjusted["mcnemar"] == pytest.approx(2 * alone.p_values["mcnemar"])


def measured(
    mean: float, seed_sd: float, text_variance: float, seeds: int = 5
) -> MeasuredDifference:
    (difference,) = compared(two_cells(texts=100, seeds=seeds)).differences
    return MeasuredDifference(
        "d1",
        replace(difference, interval=Interval(mean, mean - 2, mean + 2), texts=1000),
        seed_sd,
        text_variance,
    )


def test_required_seeds_and_texts_are_named_where_they_would_settle_it() -> None:
    both_would = required_samples(measured(1.5, 1.0, 0.05), RULES)
    assert both_would is not None
    assert both_would.seeds is not None
    assert 5 < both_would.seeds < 30
    seeds_only = required_samples(measured(2.0, 3.0, 0.0), RULES)
    assert seeds_only is not None
    assert seeds_only.seeds is not None
    assert seeds_only.texts is None  # there is nothing that texts could add
    texts_only = required_samples(measured(2.0, 0.1, 1.0), RULES)
    assert texts_only is not None
    assert (texts_only.seeds, texts_only.both) == (None, None)
    assert texts_only.texts is not None
    # the texts' part must shrink to ((2 − 0.5) / 2.8)², and their number grows as it shrinks
    assert texts_only.texts == pytest.approx(1000 / (1.5 / 2.8) ** 2, rel=0.05)
    together = required_samples(measured(2.0, 4.0, 1.0), RULES)
    assert together is not None
    assert together.both is not None
    assert together.both[0] // 5 == together.both[1] // 1000 > 1
    edge = required_samples(measured(0.5, 0.5, 0.1), RULES)
    assert edge is not None
    assert (edge.seeds, edge.texts, edge.both) == (None, None, None)
    assert edge.if_equal is not None
    assert required_samples(measured(2.0, math.nan, 1.0, seeds=1), RULES) is None


def of_size(size: str, accuracy: float, validation: float, seed: int = 0) -> list[Run]:
    """Runs of both cells with a hidden size; the LSTM is one point worse."""
    return [
        replace(
            each,
            run_id=f"{each.run_id}-{size}",
            signature=f"{each.cell}{size}",
            configuration_name=f"{each.cell} h{size} texts {each.cell}{size}",
            config={**each.config, "model.hidden_size": size},
            metrics={**each.metrics, "validation/accuracy": validation},
            tags={**each.tags, "signature": f"{each.cell}{size}"},
        )
        for each in two_cells(texts=3000, gru=accuracy, lstm=accuracy - 0.01, seed=seed)
    ]


def test_the_headline_is_the_pair_with_the_best_validation_metric() -> None:
    weak = of_size("8", 0.70, 0.70)
    strong = of_size("64", 0.85, 0.85, seed=1)
    for runs in ([*weak, *strong], [*strong, *weak]):
        comparison = compared(runs)
        headline = comparison.verdict.partition(". ")[0]
        assert "gru h64" in headline
        assert "lstm h64" in headline
        assert "This is the pair with the best validation accuracy. Of 2 pairs" in (
            comparison.verdict
        )
    chosen = compared([*of_size("8", 0.85, 0.7), *of_size("64", 0.70, 0.9, seed=1)])
    assert "lstm h64" in chosen.verdict.partition(". ")[0]  # not chosen on the test split
    note = "also differ in model.hidden_size (8, 64), which is not compared here. Run nlp-rnn"
    assert any(note in each for each in comparison.notes)


def test_which_size_is_better_is_said() -> None:
    runs = [*of_size("8", 0.70, 0.70), *of_size("64", 0.85, 0.85), *of_size("16", 0.70, 0.71)]
    gru = [each for each in runs if each.cell == "gru"]
    comparison = compared(gru, replace(RULES, by="model.hidden_size"))
    assert "gru h64 is better than gru h16, gru h8" in comparison.verdict
    lines = table(comparison).splitlines()
    assert "  gru h16 − gru h8: equivalent" in lines
