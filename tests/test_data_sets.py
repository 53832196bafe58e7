"""Conclusions over several data sets: the statistics, honesty with few sets, and duplicates."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nlp_rnn.comparison.compare import compare_runs
from nlp_rnn.comparison.compared_run import Run
from nlp_rnn.comparison.data_sets import (
    MIN_DATA_SETS,
    across_data_sets,
    signed_rank_probabilities,
)
from nlp_rnn.comparison.records import AcrossDataSets, Interval
from nlp_rnn.comparison.rules import Outcome, Rules
from nlp_rnn.comparison.statistics import wilcoxon
from nlp_rnn.comparison.table import data_sets_table
from nlp_rnn.report.report import write_report
from tests.compared_runs import RULES, two_cells
from tests.made_comparison import made_comparison


def conclusions(differences: list[float], rules: Rules = RULES) -> AcrossDataSets:
    """The conclusion of made comparisons with these differences, each on a data set of its own."""
    comparisons = []
    for number, value in enumerate(differences):
        made = made_comparison(2, seeds=1, texts=20)
        bare = [
            replace(one, runs=tuple(replace(run, predictions=None) for run in one.runs))
            for one in made.configurations
        ]
        pair = replace(made.differences[0], interval=Interval(value, value - 1, value + 1))
        comparisons.append(
            replace(
                made,
                data=f"set{number}",
                digest=f"d{number}",
                configurations=tuple(bare),
                differences=(pair,),
            )
        )
    (across,) = across_data_sets(comparisons, rules)
    return across


def test_the_signed_rank_test_is_that_of_baycomp() -> None:
    baycomp = pytest.importorskip("baycomp", reason="pip install baycomp, the oracle of this test")
    random = np.random.default_rng(0)
    for values in (random.normal(0.4, 1, 12), random.normal(0, 0.3, 8), np.full(7, 2.0)):
        found = signed_rank_probabilities(values, 0.5)
        left, region, right = baycomp.SignedRankTest.probs(np.zeros(len(values)), values, 0.5)
        assert found == pytest.approx((right, region, left), abs=0.02)


def test_the_signed_rank_test_of_simple_cases() -> None:
    assert signed_rank_probabilities(np.full(10, 3.0), 0.5)[0] > 0.999
    assert signed_rank_probabilities(np.full(10, -3.0), 0.5)[2] > 0.999
    assert signed_rank_probabilities(np.linspace(-0.2, 0.2, 10), 0.5)[1] > 0.999
    first, equivalent, second = signed_rank_probabilities(np.array([-2.0, 2.0]), 0.5)
    assert first == pytest.approx(second, abs=0.02)
    assert first + equivalent + second == pytest.approx(1)


def test_few_data_sets_conclude_nothing() -> None:
    across = conclusions([3.0] * (MIN_DATA_SETS - 1))
    assert across.outcome is Outcome.inconclusive
    assert "needs at least 6 data sets with different texts" in across.sentence
    across = conclusions([3.0, 2.5, 4.0, 3.1, 2.2, 3.3])
    assert across.outcome is Outcome.second  # levels are in alphabetical order: gru, lstm
    assert (across.first, across.second) == ("gru", "lstm")
    assert across.sentence.startswith("Better: on 6 data sets lstm is +3.02 points ahead of gru")
    assert across.p_value == wilcoxon(np.array(list(by.mean for by in across.by_set.values())))
    assert (across.superiority.mean, across.superiority.low) == (0.0, 0.0)
    assert "is ahead with probability 1.00, at least 0.54" in across.sentence
    assert conclusions([0.1, -0.1, 0.2, -0.2, 0.0, 0.1]).outcome is Outcome.equivalent


@pytest.mark.parametrize("sets", [6, 12])
def test_equal_models_are_not_better(sets: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Differences of chance on each data set: at most 5 % of the conclusions are wrong."""
    monkeypatch.setattr("nlp_rnn.comparison.data_sets.SAMPLES", 4000)
    random = np.random.default_rng(sets)
    rules = replace(RULES, rope=0.01)
    false = 0
    for _ in range(100):
        values = random.normal(0, 2, sets)
        shares = signed_rank_probabilities(values, rules.rope)
        false += wilcoxon(values) <= 0.05 and max(shares[0], shares[2]) >= 0.95
    assert false <= 5


def on_sets(number: int, texts: int = 200) -> list[Run]:
    """Runs on several data sets with other texts, on which the GRU is better."""
    runs = []
    for index in range(number):
        for run in two_cells(texts + index, seeds=3, gru=0.9, lstm=0.8, seed=index):
            tags = {**run.tags, "data": f"set{index}"}
            runs.append(replace(run, digest=f"d{index}", tags=tags, run_id=f"{run.run_id}-{index}"))
    return runs


def test_runs_on_several_data_sets_end_in_one_conclusion(tmp_path: Path) -> None:
    comparisons = compare_runs(on_sets(6), RULES)
    assert len(comparisons) == 6
    (across,) = comparisons[0].across
    assert all(one.across == comparisons[0].across for one in comparisons)
    assert across.outcome is Outcome.first
    assert list(across.by_set) == [f"set{index}" for index in range(6)]
    for one in comparisons:
        assert across.by_set[one.data] == one.differences[0].interval
    text = data_sets_table(comparisons)
    assert text.startswith("Several data sets\n\nBetter: on 6 data sets gru is +")
    page = write_report(comparisons[0], tmp_path).page.read_text(encoding="utf-8")
    assert across.sentence.replace("'", "&#x27;")[:60] in page
    assert (tmp_path / "figures" / "data_sets_0.png").stat().st_size > 1000
    (alone,) = compare_runs(on_sets(1), RULES)
    assert alone.across == ()
    assert data_sets_table([alone]) == ""


def test_one_data_set_ten_times_under_other_names_is_one() -> None:
    same = on_sets(1)
    copies = [
        replace(
            run,
            digest=f"copy{index}",
            tags={**run.tags, "data": f"copy{index}"},
            run_id=f"{run.run_id}-{index}",
        )
        for index in range(10)
        for run in same
    ]
    (across, *_) = compare_runs(copies, RULES)[0].across
    assert len(across.by_set) == 1
    assert across.outcome is Outcome.inconclusive
