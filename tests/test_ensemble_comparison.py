"""Comparisons of ensembles: networks alone are compared, and ensembles are recommended."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nlp_rnn.comparison.compare import compare_runs
from nlp_rnn.comparison.compared_run import Run
from nlp_rnn.comparison.ensembles import is_ensemble, network_alone
from nlp_rnn.comparison.read import with_predictions
from nlp_rnn.comparison.table import table
from nlp_rnn.errors import ComparisonError
from nlp_rnn.report.report import write_report
from nlp_rnn.scoring.predictions import PartPredictions, Predictions, write_predictions
from tests.compared_runs import RULES, correct_predictions, predictions, run

TEXTS, SEEDS = 1000, 5
CELLS = ("gru", "lstm")


def ensemble_predictions(ensemble: np.ndarray, network: np.ndarray) -> Predictions:
    """Return predictions of an ensemble with those of its network and of n-gram models."""
    own, alone = predictions(ensemble), predictions(network)
    ngrams = PartPredictions(own.labels, own.probabilities)
    part = PartPredictions(alone.predictions, alone.probabilities)
    return replace(own, parts={"network": part, "ngrams": ngrams})


def ensemble_run(cell: str, seed: int, ensemble: np.ndarray, network: np.ndarray) -> Run:
    metrics = {
        "test/network_accuracy": float(network.mean()),
        "test/network_macro_f1": float(network.mean()),
        "test/ngrams_accuracy": 0.75,
        "validation/network_accuracy": 0.7,
        "latency/network_onnx_batch1_p95_ms": 0.5,
    }
    made = run(cell, seed, ensemble, config={"model.ensemble": "auto"}, metrics=metrics)
    return replace(made, predictions=ensemble_predictions(ensemble, network))


def cells(gru: float, lstm: float, of_ensembles: tuple[float, float]) -> list[Run]:
    """Return runs whose networks have the accuracies `gru` and `lstm`."""
    random = np.random.default_rng(0)
    difficulty = random.normal(size=TEXTS)

    def correct(accuracy: float) -> np.ndarray:
        return correct_predictions(TEXTS, accuracy, SEEDS, random, difficulty=difficulty)

    return [
        ensemble_run(cell, seed, ensemble, network)
        for cell, alone, together in zip(CELLS, (gru, lstm), of_ensembles, strict=True)
        for seed, (ensemble, network) in enumerate(
            zip(correct(together), correct(alone), strict=True), start=1
        )
    ]


def test_a_comparison_by_cell_reads_the_predictions_of_the_networks_alone() -> None:
    # the networks differ by 20 points in one direction, the ensembles in the other
    (comparison,) = compare_runs(cells(0.9, 0.7, (0.75, 0.95)), RULES)
    (difference,) = comparison.differences
    assert difference.interval.mean == pytest.approx(20, abs=3)
    assert comparison.verdict.startswith("Better: gru h128")
    scores = {c.name: c.score.mean for c in comparison.configurations}
    assert scores["gru h128"] == pytest.approx(90, abs=2)
    assert comparison.configurations[0].means["validation/accuracy"] == pytest.approx(0.7)
    assert comparison.configurations[0].means["latency/onnx_batch1_p95_ms"] == 0.5
    (deployed,) = comparison.deployed_differences
    assert deployed.interval.mean == pytest.approx(-20, abs=3)
    best = comparison.recommendations[0]
    assert (best.use, best.choice) == ("most accurate", "lstm h128")
    assert [effect.outcome.value for effect in comparison.effects] == [
        "second better",  # the network alone
        "first better",
    ]
    assert "n-gram models alone 75.00" in comparison.ensembles[0]
    assert comparison.ensembles[0].endswith("The network alone is better.")


def test_the_table_shows_networks_and_ensembles() -> None:
    (comparison,) = compare_runs(cells(0.7, 0.7, (0.8, 0.8)), RULES)
    lines = table(comparison).splitlines()
    assert "the networks alone are compared" in lines[0]
    rows = {line[:35].strip(): line for line in lines}
    assert any(name.startswith("gru h128 with n-gram models") for name in rows)
    assert "Recommendations, by the scores with n-gram models" in lines
    assert any(line.strip().startswith("gru h128: the accuracy of the saved") for line in lines)


def test_the_report_shows_both(tmp_path: Path) -> None:
    (comparison,) = compare_runs(cells(0.7, 0.72, (0.8, 0.8)), RULES)
    report = write_report(comparison, tmp_path)
    summary = report.summary.read_text(encoding="utf-8")
    assert "network alone, %" in summary
    assert "n-gram models alone, %" in summary
    assert "75.00" in summary


def test_saved_classifiers_are_compared_by_ensemble() -> None:
    random = np.random.default_rng(0)
    without = [
        run("gru", seed, correct, "off00000", config={"model.ensemble": "off"})
        for seed, correct in enumerate(correct_predictions(TEXTS, 0.7, SEEDS, random), start=1)
    ]
    ensembles = [one for one in cells(0.7, 0.7, (0.9, 0.9)) if one.cell == "gru"]
    rules = replace(RULES, by="model.ensemble")
    (comparison,) = compare_runs([*without, *ensembles], rules)
    (difference,) = comparison.differences
    assert abs(difference.interval.mean) == pytest.approx(20, abs=3)
    assert not comparison.deployed


def test_runs_of_earlier_versions_are_not_mixed_with_ensembles() -> None:
    random = np.random.default_rng(0)
    old = [
        run("lstm", seed, correct, config={"model.ensemble": "off"})
        for seed, correct in enumerate(correct_predictions(TEXTS, 0.7, SEEDS, random), start=1)
    ]
    new = [one for one in cells(0.7, 0.7, (0.9, 0.9)) if one.cell == "gru"]
    with pytest.raises(ComparisonError, match=r"model\.ensemble is auto and off"):
        compare_runs([*old, *new], RULES)


def test_runs_without_ensembles_are_compared_as_before() -> None:
    runs = [network_alone(one) for one in cells(0.9, 0.7, (0.75, 0.95))]
    plain = [replace(one, part="", metrics=_without_parts(one)) for one in runs]
    assert not any(map(is_ensemble, plain))
    (before,) = compare_runs(plain, RULES)
    (after,) = compare_runs(cells(0.9, 0.7, (0.75, 0.95)), RULES)
    assert not before.deployed
    assert not before.ensembles
    assert before.differences == after.differences
    assert before.verdict == after.verdict


def _without_parts(one: Run) -> dict[str, float]:
    return {name: value for name, value in one.metrics.items() if "/network_" not in name}


def test_a_network_alone_reads_its_own_columns(tmp_path: Path) -> None:
    (one, *_) = cells(0.6, 0.7, (0.9, 0.9))
    assert one.predictions is not None
    (tmp_path / "predictions").mkdir()
    write_predictions(tmp_path / "predictions" / "test_predictions.parquet", one.predictions)
    stored = replace(one, artifacts=str(tmp_path), predictions=None)
    uri = f"sqlite:///{tmp_path}/unused.db"
    alone, saved = with_predictions(uri, [network_alone(stored), stored])
    assert alone.predictions is not None
    assert saved.predictions is not None
    expected = one.predictions.parts["network"]
    assert np.array_equal(alone.predictions.predictions, expected.predictions)
    assert np.array_equal(alone.predictions.probabilities, expected.probabilities)
    assert np.array_equal(saved.predictions.predictions, one.predictions.predictions)
    assert not alone.predictions.parts
    assert not saved.predictions.parts


def test_an_ensemble_of_average_is_a_baseline_by_its_network_alone() -> None:
    runs = cells(0.8, 0.7, (0.9, 0.9))
    baseline = replace(
        next(one for one in runs if one.cell == "lstm"),
        run_id="average",
        cell="average",
        signature="avg",
        configuration_name="average e128",
    )
    (comparison,) = compare_runs([*runs, baseline], RULES)
    average = next(c for c in comparison.baselines if c.runs and c.runs[0].cell == "average")
    assert average.score.mean == pytest.approx(70, abs=4)  # the ensemble has 90


def test_ngrams_runs_are_baselines() -> None:
    random = np.random.default_rng(0)
    correct = correct_predictions(TEXTS, 0.8, 1, random)[0]
    (comparison,) = compare_runs([*cells(0.7, 0.7, (0.8, 0.8)), run("ngrams", 1, correct)], RULES)
    assert [c.runs[0].cell for c in comparison.baselines if c.runs] == ["ngrams"]
