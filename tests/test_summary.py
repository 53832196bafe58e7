"""The end of a run: scores with intervals, simple models, weakest labels, conclusion."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nlp_rnn.data.corpus import load_corpus
from nlp_rnn.runs import reference_scores
from nlp_rnn.runs.reference_scores import References, reference_predictions
from nlp_rnn.runs.summary import compare_with, summary_lines, text_scores, weakest_labels
from nlp_rnn.scoring.metrics import score_predictions
from nlp_rnn.scoring.predictions import Predictions
from nlp_rnn.tracking.scored_configurations import add_scored, count_scored
from nlp_rnn.tracking.store import obtain_experiment
from tests import warm
from tests.composing import compose

NAMES = ["ask", "buy", "chat"]


def predictions_of(labels: Any, predicted: Any) -> Predictions:
    labels, predicted = np.asarray(labels), np.asarray(predicted)
    multi_label = labels.ndim == 2
    table = predicted.astype(np.float32) if multi_label else np.eye(3, dtype=np.float32)[predicted]
    return Predictions.from_probabilities(
        rows=np.arange(len(labels)),
        labels=labels,
        probabilities=table,
        lengths=np.ones(len(labels)),
        label_names=NAMES,
        thresholds=np.full(3, 0.5) if multi_label else None,
    )


def lines_for(predicted: Any, linear: Any, labels: Any) -> list[str]:
    test = predictions_of(labels, predicted)
    simple = {
        "linear": dict.fromkeys(("validation", "test"), np.asarray(linear)),
        "majority": dict.fromkeys(("validation", "test"), np.zeros(len(test.rows), np.int64)),
    }
    return summary_lines({"validation": test, "test": test}, {}, References(simple, "ask"), 900)


LABELS = np.arange(300) % 3


def with_errors(number: int) -> Any:
    predicted = LABELS.copy()
    predicted[:number] = (predicted[:number] + 1) % 3
    return predicted


@pytest.mark.parametrize(
    ("own", "linear", "conclusion"),
    [
        (10, 60, "Better than the linear model (+16.7 points, 95 % interval +12."),
        (60, 10, "Worse than the linear model (-16.7 points"),
        (30, 31, "Not significantly better than the linear model (+0.3 points"),
        (0, 0, "Not significantly better than the linear model (+0.0 points"),
        (290, 10, "WORSE THAN THE MAJORITY CLASS: always predicting 'ask' is 30.0 points more"),
    ],
)
def test_the_conclusion_follows_from_the_interval(own: int, linear: int, conclusion: str) -> None:
    lines = lines_for(with_errors(own), with_errors(linear), LABELS)
    assert lines[-1].startswith(conclusion)


def test_the_table_has_every_model_with_its_interval() -> None:
    lines = lines_for(with_errors(30), with_errors(60), LABELS)
    assert lines[0].split("   ")[-1].strip() == "test (300 texts)"
    assert lines[1].startswith("accuracy")
    assert "90.0 % (86.1 to 92.9)" in lines[1]
    assert lines[2].startswith("  linear model")
    assert "80.0 %" in lines[2]
    assert lines[3].startswith("  majority class")
    assert "33.3 %" in lines[3]


def test_the_weakest_labels_are_named_with_what_they_are_taken_for() -> None:
    labels = np.array([0] * 50 + [1] * 30 + [2] * 20)
    predicted = labels.copy()
    predicted[80:90] = 0
    predicted[90:92] = 1
    weakest = weakest_labels(predictions_of(labels, predicted))
    assert weakest[0] == "chat: F1 57 %, 20 texts, 10 taken for ask"
    assert weakest[1].startswith("ask: F1 91 %, 50 texts")
    assert weakest_labels(predictions_of(labels, labels)) == []


def test_the_mean_of_text_scores_is_the_metric_and_its_interval_covers() -> None:
    rng = np.random.default_rng(0)
    labels = rng.random((400, 3)) < 0.3
    predicted = labels ^ (rng.random((400, 3)) < 0.1)
    expected = score_predictions(labels, predicted, 3)["micro_f1"]
    assert text_scores(labels, predicted).mean() == pytest.approx(expected)
    covered = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        first, second = (
            np.where(rng.random(300) < share, (LABELS + 1) % 3, LABELS) for share in (0.2, 0.2)
        )
        difference = compare_with(predictions_of(LABELS, first), second)
        covered += difference.low <= 0 <= difference.high
    assert covered >= 180


def test_references_are_fitted_once_per_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NLP_RNN_CACHE", str(tmp_path))
    corpus = load_corpus(compose(["data.train_rows=200", "data.test_rows=60"]).data)
    first = reference_predictions(corpus, 10)
    assert set(first.predictions) == {"linear", "majority"}
    monkeypatch.setattr(reference_scores, "_fit_linear", None)  # it would fail if it were called
    second = reference_predictions(corpus, 10)
    for split in ("validation", "test"):
        np.testing.assert_array_equal(
            first.predictions["linear"][split], second.predictions["linear"][split]
        )
    (cached,) = (tmp_path / "linear").iterdir()
    monkeypatch.undo()
    monkeypatch.setenv("NLP_RNN_CACHE", str(tmp_path))
    whole = cached.read_bytes()
    for broken in (b"broken", b"", whole[: len(whole) // 2], b"PK" + whole[2:100]):
        cached.write_bytes(broken)
        third = reference_predictions(corpus, 10)
        np.testing.assert_array_equal(
            first.predictions["linear"]["test"], third.predictions["linear"]["test"]
        )


def test_a_slow_linear_model_is_skipped_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NLP_RNN_CACHE", str(tmp_path))
    corpus = load_corpus(compose(["data.train_rows=100", "data.test_rows=20"]).data)
    monkeypatch.setattr(reference_scores, "_expected_seconds", lambda corpus: 61.0)
    skipped = reference_predictions(corpus, 600)
    assert set(skipped.predictions) == {"majority"}
    assert skipped.skipped == "it would take about 61 seconds; nlp-rnn baselines trains it"
    assert set(reference_predictions(corpus, 1300).predictions) == {"linear", "majority"}


def test_a_run_prints_and_saves_its_summary_and_a_job_of_a_sweep_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store_uri: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NLP_RNN_CACHE", str(tmp_path / "cache"))
    small = ["data.train_rows=100", "data.test_rows=40", "data.train_sentences=1"]
    small += ["model.hidden_size=4", "model.embedding_size=4", "trainer.max_epochs=1"]
    small += ["trainer.threads=1", "tracking.speed=none", "tracking.system_metrics=false"]
    digest = load_corpus(compose(small).data).digest
    add_scored(store_uri, obtain_experiment(store_uri, "nlp_rnn"), digest, ["one", "two"])
    done = warm.run(["nlp-rnn", "train", *small, "output_dir=run"])
    assert done.returncode == 0, done.stderr
    assert "This test split has been scored by 3 configurations" in done.stdout
    summary = (tmp_path / "run" / "summary.txt").read_text(encoding="utf-8")
    assert summary in done.stdout
    assert "  linear model" in summary
    assert (tmp_path / "run" / "mistakes.html").is_file()
    done = warm.run(
        ["nlp-rnn", "train", "-m", "seed=1", *small, "output_dir=sweep", "sweep.compare=false"]
    )
    assert done.returncode == 0, done.stderr
    assert "  linear model" not in done.stdout
    assert len(list(tmp_path.glob("sweep/*/mistakes.html"))) == 1
    assert not list(tmp_path.glob("sweep/*/summary.txt"))
    # the sweep has scored the same configuration
    assert "This test split has been scored by 3 configurations" in done.stdout
    assert count_scored(store_uri, digest) == 3
