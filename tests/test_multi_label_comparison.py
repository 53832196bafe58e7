"""Comparisons of multi-label runs: scores, honesty, differences on labels, and the report."""

import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from nlp_rnn.comparison.compare import compare_runs
from nlp_rnn.comparison.compared_run import Run
from nlp_rnn.comparison.decide import decide
from nlp_rnn.comparison.pair import Pair
from nlp_rnn.comparison.records import Comparison
from nlp_rnn.comparison.resampling import (
    label_scores,
    resampled_label_scores,
    resampled_scores,
    run_scores,
)
from nlp_rnn.comparison.rules import METRICS, Outcome, Rules
from nlp_rnn.comparison.score import ScoredRuns
from nlp_rnn.comparison.table import table
from nlp_rnn.errors import ComparisonError
from nlp_rnn.report.report import write_report
from nlp_rnn.report.section_calibration import reliability
from nlp_rnn.report.section_disagreement import most_wrong_labels
from tests.compared_runs import RULES, multi_label_decisions, multi_label_runs, run, two_cells
from tests.peak_memory import needs_peak_memory, peak_megabytes

RANDOM = np.random.default_rng(7)


def decisions(texts: int, runs: int, labels: int) -> tuple[np.ndarray, np.ndarray]:
    truth = RANDOM.random((texts, labels)) < 0.2
    truth[:, -1] = False  # a label that no text has
    predicted = truth ^ (RANDOM.random((runs, texts, labels)) < 0.1)
    predicted[0, :, -1] = False  # and that the first run does not predict
    return truth, predicted


def scikit_learn(metric: str, truth: np.ndarray, predicted: np.ndarray) -> float:
    if metric == "subset_accuracy":
        return 100 * float(accuracy_score(truth, predicted))
    occurring = np.flatnonzero((truth | predicted).any(axis=0))
    average = metric.removesuffix("_f1")
    score = f1_score(truth, predicted, labels=occurring, average=average, zero_division=0)
    return 100 * float(score)


@pytest.mark.parametrize("metric", METRICS["multi-label"])
def test_scores_and_resamples_are_those_of_scikit_learn(metric: str) -> None:
    truth, predicted = decisions(150, 3, 5)
    scores = run_scores(truth, predicted, 5, metric)
    assert scores == pytest.approx([scikit_learn(metric, truth, one) for one in predicted])
    drawn = np.random.default_rng(4)
    found = resampled_scores(truth, predicted, 5, metric, 20, seed=4)
    for row in found:
        texts = drawn.integers(0, 150, 150)
        expected = [scikit_learn(metric, truth[texts], one[texts]) for one in predicted]
        assert row == pytest.approx(expected, abs=1e-4)


def test_scores_of_labels_are_those_of_scikit_learn() -> None:
    truth, predicted = decisions(150, 3, 5)
    expected = [100 * f1_score(truth, one, average=None, zero_division=0) for one in predicted]
    np.testing.assert_allclose(label_scores(truth, predicted), expected, atol=1e-4)
    drawn = np.random.default_rng(4)
    found = resampled_label_scores(truth, predicted, 10, seed=4)
    assert found.shape == (5, 10, 3)
    for resample in range(10):
        texts = drawn.integers(0, 150, 150)
        expected_run = 100 * f1_score(
            truth[texts], predicted[1][texts], average=None, zero_division=0
        )
        np.testing.assert_allclose(found[:, resample, 1], expected_run, atol=1e-3)


def outcomes(trials: int, texts: int, gain: float, metric: str, seed_sd: float) -> list[Outcome]:
    """Simulate comparisons of a cell with one whose decisions are better by `gain`."""
    labels, seeds, rules = 6, 5, replace(RULES, metric=metric, rope=0.01, resamples=400)
    random = np.random.default_rng([texts, int(1e4 * gain), len(metric)])
    truth = random.random((texts, labels)) < np.linspace(0.5, 0.1, labels)
    parts = []
    for _ in range(trials):
        difficulty = random.normal(size=truth.shape)
        parts += [
            multi_label_decisions(truth, accuracy, seeds, random, difficulty, seed_sd)
            for accuracy in (0.9 + gain, 0.9)
        ]
    predicted = np.concatenate(parts)
    scores = run_scores(truth, predicted, labels, metric)
    replicates = resampled_scores(truth, predicted, labels, metric, rules.resamples, 0)
    runs = [run("gru", seed, None, "a") for seed in range(seeds)]
    others = [run("lstm", seed, None, "b") for seed in range(seeds)]
    columns = {each.run_id: i for i, each in enumerate((*runs, *others))}
    found = []
    for trial in range(trials):
        rows = slice(trial * 2 * seeds, (trial + 1) * 2 * seeds)
        scored = ScoredRuns(
            "d1", rules, columns, truth, predicted[rows], scores[rows], replicates[:, rows]
        )
        measured = scored.difference(Pair("gru", "lstm", ("size",), ()), runs, others)
        found.append(decide([measured], rules)["d1"][0].outcome)
    return found


@pytest.mark.parametrize(
    "metric",
    [
        "micro_f1",
        pytest.param("subset_accuracy", marks=pytest.mark.slow),
        pytest.param("macro_f1", marks=pytest.mark.slow),
    ],
)
def test_a_cell_is_not_better_than_itself(metric: str) -> None:
    """Even a ROPE of nothing leaves at most 5 % false conclusions."""
    found = outcomes(200, 300, 0.0, metric, 0.01)
    assert sum(one in (Outcome.first, Outcome.second) for one in found) / 200 <= 0.05


@pytest.mark.parametrize("metric", ["micro_f1", "subset_accuracy"])
def test_a_planted_difference_is_found(metric: str) -> None:
    found = outcomes(50, 2000, 0.02, metric, 0.003)
    assert sum(one is Outcome.first for one in found) >= 45
    assert Outcome.second not in found


def test_labels_are_not_better_by_chance_and_a_planted_one_is_found() -> None:
    false = found = 0
    for trial in range(20):
        comparison = compared(multi_label_runs(seed=trial), replace(RULES, rope=0.01))
        outcomes_of_labels = {one.outcome for one in comparison.label_differences}
        false += bool(outcomes_of_labels & {Outcome.first, Outcome.second})
        (planted,) = [
            one
            for one in compared(worse_on_label(multi_label_runs(seed=trial), 2)).label_differences
            if one.label == "label2"
        ]
        found += planted.outcome is Outcome.first
    assert false <= 3  # of 20 families of labels, 5 % each: more than 3 has a probability of 1.6 %
    assert found >= 18


def worse_on_label(runs: list[Run], label: int) -> list[Run]:
    """Return the runs, where those of the LSTM miss a third of the texts with a label."""
    changed = []
    for one in runs:
        assert one.predictions is not None
        predicted = one.predictions.predictions.copy()
        if one.cell == "lstm":
            predicted[::3, label] = False
        changed.append(replace(one, predictions=replace(one.predictions, predictions=predicted)))
    return changed


def compared(runs: list[Run], rules: Rules = RULES) -> Comparison:
    (comparison,) = compare_runs(runs, rules)
    return comparison


def test_the_default_is_micro_f1_and_the_table_has_the_labels() -> None:
    runs = multi_label_runs(gru=0.95, lstm=0.9)
    comparison = compared(runs)
    assert comparison.rules.metric == "micro_f1"
    (pair,) = comparison.differences
    assert (pair.metric, pair.outcome) == ("micro_f1", Outcome.first)
    assert comparison.verdict.startswith("Better: the micro-F1 of gru h128")
    by_seed = [
        100 * (a.metrics["test/micro_f1"] - b.metrics["test/micro_f1"])
        for a, b in zip(runs[:4], runs[4:], strict=True)
    ]
    assert list(pair.by_seed.values()) == pytest.approx(by_seed)
    exact = [one.predictions.correct for one in runs if one.predictions is not None]
    wins = sum(int((a & ~b).sum()) for a, b in zip(exact[:4], exact[4:], strict=True))
    assert pair.wins == wins  # texts whose labels are all correct
    assert comparison.baselines[0].name == "majority class (label0)"
    support = [one.texts for one in comparison.label_differences]
    assert support == sorted(support, reverse=True)
    text = table(comparison)
    assert "talk: test micro-F1 in percent" in text
    assert "F1 of labels, gru h128 − lstm h128" in text
    assert "gru h128 better on label0" in text
    assert any("thresholds" in method.lower() for method in comparison.methods)


def test_each_task_has_its_metric() -> None:
    both = [*two_cells(texts=200), *multi_label_runs()]
    metrics = [one.rules.metric for one in compare_runs(both, RULES)]
    assert metrics == ["micro_f1", "accuracy"]
    comparison = compared(multi_label_runs(), replace(RULES, multi_label_metric="subset_accuracy"))
    assert comparison.rules.metric_name == "subset accuracy"
    mixed = [replace(one, digest="d1") for one in multi_label_runs()]
    with pytest.raises(ComparisonError):
        compare_runs([*two_cells(texts=400, seeds=4)[:4], *mixed[4:]], RULES)


def test_the_report_has_the_labels_and_the_texts(tmp_path: Path) -> None:
    comparison = compared(multi_label_runs(gru=0.95, lstm=0.9))
    texts = {row: f"text number {row}" for row in range(400)}
    report = write_report(comparison, tmp_path, texts=texts)
    page = report.page.read_text(encoding="utf-8")
    for expected in (
        "Labels: where the F1 differs",
        "test macro-F1, %",
        "test subset accuracy, %",
        "Subset accuracy by text length",
        "wrong labels on average",
        "measured for single-label classifiers only",
        "text number ",
        "Every label of every text counts",
    ):
        assert expected in page, expected
    assert (tmp_path / "figures" / "labels.png").stat().st_size > 1000
    assert (tmp_path / "data" / "labels.parquet").exists()


def test_probabilities_and_disagreements_of_multi_label_runs() -> None:
    runs = multi_label_runs(gru=0.99, lstm=0.9)
    saved = [one.predictions for one in runs if one.predictions is not None]
    diagram = reliability(saved[:4])
    assert diagram.counts.sum() == 4 * saved[0].labels.size
    labels, probabilities = saved[0].labels, saved[0].probabilities
    brier = np.mean([((one.probabilities - labels) ** 2).mean() for one in saved[:4]])
    assert diagram.brier == pytest.approx(float(brier), abs=1e-6)
    assert probabilities.shape == labels.shape
    chosen = most_wrong_labels(saved[:4], saved[4:], max_texts=6)
    assert len(chosen) == 6
    for text, first, second in chosen:
        wrong = [(one.predictions[text] != labels[text]).sum() for one in saved]
        assert (first, second) == (np.mean(wrong[:4]), np.mean(wrong[4:]))
    assert chosen[0][2] - chosen[0][1] >= 1.5


def ten_runs(metric: str) -> tuple[float, float]:
    """Seconds and megabytes of 10,000 resamples of ten runs on data as large as GoEmotions."""
    truth, predicted = decisions(5427, 10, 28)
    start = time.perf_counter()
    resampled_scores(truth, predicted, 28, metric, 10_000, 0)
    return time.perf_counter() - start, peak_megabytes()


@pytest.mark.slow
@needs_peak_memory
@pytest.mark.parametrize("metric", METRICS["multi-label"])
def test_ten_thousand_resamples_take_less_than_ten_seconds_and_a_gigabyte(metric: str) -> None:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as own:
        seconds, megabytes = own.submit(ten_runs, metric).result()
    assert seconds < 10
    assert megabytes < 1e9 / 1024**2
