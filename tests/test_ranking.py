"""The ranking has all configurations, is by validation, and names the smallest good one."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from nlp_rnn.comparison.compare import compare_runs
from nlp_rnn.comparison.compared_run import Run
from nlp_rnn.comparison.ranking import rank
from nlp_rnn.comparison.table import table
from nlp_rnn.report.report import write_report
from tests.compared_runs import RULES, compared, run, two_cells


def scored(validation: float, parameters: float, *, cell: str, size: str) -> list[Run]:
    """Three runs of a configuration with these metrics, taken from runs of a GRU."""
    runs = []
    for one in two_cells(300, seeds=3)[:3]:
        signature = f"{cell}{size:0>5}"
        metrics = {
            **one.metrics,
            "validation/accuracy": validation + 0.001 * (one.seed or 0),
            "parameters/total": parameters,
        }
        config = {**one.config, "model.cell": cell, "model.hidden_size": size}
        runs.append(
            replace(
                one,
                run_id=f"{signature}-{one.seed}",
                signature=signature,
                configuration_name=f"{cell} h{size} texts {signature}",
                cell=cell,
                config=config,
                metrics=metrics,
            )
        )
    return runs


def runs_of_four() -> list[Run]:
    return [
        *scored(0.900, 500_000, cell="lstm", size="256"),
        *scored(0.898, 50_000, cell="gru", size="64"),
        *scored(0.896, 90_000, cell="lstm", size="64"),
        *scored(0.850, 1_000, cell="gru", size="8"),
    ]


def test_the_smallest_within_the_region_is_named() -> None:
    ranking, by_name = rank(runs_of_four(), RULES)
    assert [one.name for one in ranking.configurations] == [
        "lstm h256", "gru h64", "lstm h64", "gru h8",
    ]  # fmt: skip
    assert [one.inside for one in ranking.configurations] == [True, True, True, False]
    assert ranking.simplest == "gru h64"
    assert ranking.configurations[0].validation == pytest.approx(90.2)
    assert ranking.configurations[0].sd == pytest.approx(0.1)
    assert set(by_name) == {one.name for one in ranking.configurations}
    assert rank(runs_of_four(), replace(RULES, rope=0.1))[0].simplest == "lstm h256"


def test_the_test_split_does_not_change_the_ranking() -> None:
    runs = runs_of_four()
    changed = [
        replace(one, metrics={**one.metrics, "test/accuracy": 0.99 if one.cell == "gru" else 0.1})
        for one in runs
    ]
    names = [one.name for one in rank(runs, RULES)[0].configurations]
    assert [one.name for one in rank(changed, RULES)[0].configurations] == names


def test_what_has_no_validation_score_or_is_not_saved_is_left_out() -> None:
    runs = runs_of_four()
    linear = run("linear", None, None, kind="baseline")
    unknown = [
        replace(one, metrics={**one.metrics, "validation/accuracy": math.nan}) for one in runs[:3]
    ]
    ranking, _ = rank([*unknown, *runs[3:], linear], RULES)
    assert len(ranking.configurations) == 3
    without_size = [
        replace(one, metrics={k: v for k, v in one.metrics.items() if "parameters" not in k})
        for one in runs
    ]
    assert rank(without_size, RULES)[0].simplest == ""


def test_the_comparison_and_the_report_have_the_ranking(tmp_path: Path) -> None:
    (comparison,) = compare_runs(runs_of_four(), RULES)
    sentence = comparison.ranking.sentence
    assert sentence.startswith(
        "lstm h256 has the best validation accuracy; gru h64 is the smallest configuration within "
        "±0.5 points of it. On the test split it is at +0.00 points (+0.00 to +0.00): equivalent."
    )
    text = table(comparison)
    assert "ranking by validation, as saved" in text
    assert sentence in text
    lines = [line for line in text.splitlines() if line.startswith("gru h8  ")]
    assert lines[-1].split()[-1] == "1,000"
    page = write_report(comparison, tmp_path).page.read_text(encoding="utf-8")
    assert sentence in page
    assert "within ±0.5 of the best" in page
    assert len(compared(two_cells()).ranking.configurations) == 2
