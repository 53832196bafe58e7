"""What a run says about its teacher: scores, agreement, a warning, and what the student keeps."""

import json
from typing import Any

import numpy as np
import pytest

from nlp_rnn.runs.reference_scores import References
from nlp_rnn.runs.summary import summary_lines
from nlp_rnn.runs.teacher_scores import TEACHER, TeacherScores, log_teacher, score_teacher
from nlp_rnn.runs.teacher_summary import kept_sentence, warning_before_training
from nlp_rnn.scoring.predictions import Predictions
from nlp_rnn.teachers.pool import Pool
from nlp_rnn.teachers.teacher_predictions import TeacherDescription, TeacherPredictions
from nlp_rnn.teachers.teaching import Teaching
from tests.test_teacher_predictions import LABELS, Data, data

__all__ = ["data"]

ENCODER = TeacherDescription("encoder", "large", "abc123", 22_000_000, 91_000_000, 24.0, "mit")


def table_of(labels: Any) -> Any:
    """Return probabilities of 0.8 for labels; nan for the label -1."""
    table = np.full((len(labels), 3), 0.1, np.float32)
    table[np.arange(len(labels)), labels] = 0.8
    table[np.asarray(labels) < 0] = np.nan
    return table


def scores_of(
    data: Data, wrong: int = 3, description: TeacherDescription = ENCODER
) -> TeacherScores:
    """A teacher that predicts every text of the evaluation correctly except the first ones."""
    _, corpus, pool = data
    labels = {split: np.array(getattr(corpus, split)["label"]) for split in ("validation", "test")}
    for split in labels:
        labels[split][:wrong] = (labels[split][:wrong] + 1) % 3
    train = np.array(corpus.train["label"])
    train[0] = 1  # of food, which the teacher takes for price
    train[1] = -1
    return score_teacher(
        Teaching(
            Pool(pool.texts, pool.rows, "", ()),
            TeacherPredictions(
                table_of(train),
                table_of([0] * 29 + [-1]),
                table_of(labels["validation"]),
                table_of(labels["test"]),
                description,
            ),
        ),
        corpus,
    )


def test_metrics_are_those_of_the_predicted_texts(data: Data) -> None:
    metrics = scores_of(data).metrics()
    assert metrics["test/teacher_accuracy"] == pytest.approx(27 / 30)
    assert metrics["validation/teacher_accuracy"] == pytest.approx(27 / 30)
    assert metrics["train/teacher_agreement"] == pytest.approx(58 / 59)
    assert metrics["teacher/unlabelled_texts"] == 29
    assert metrics["latency/teacher_batch1_p50_ms"] == 24
    assert metrics["teacher/size_mb"] == 91


def test_the_agreement_names_the_label_that_is_predicted_instead(data: Data) -> None:
    food, price, service = scores_of(data).agreement
    assert (food.label, food.texts, food.share, food.instead) == ("food", 20, 0.95, "price")
    assert (price.texts, price.share, price.instead) == (19, 1, "")
    assert service.texts == 20


def test_a_teacher_that_is_worse_than_a_linear_model_is_announced(
    data: Data, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("NLP_RNN_CACHE", str(tmp_path))
    corpus = data[1]
    assert warning_before_training(scores_of(data, wrong=0), corpus) is None
    warning = warning_before_training(scores_of(data, wrong=15), corpus)
    assert warning is not None
    assert warning.startswith(
        "THE TEACHER IS WORSE THAN A LINEAR MODEL on 30 validation texts (-50.0 points, 95 %"
    )
    assert "Without teacher=encoder" in warning
    by_chance = warning_before_training(scores_of(data, wrong=2), corpus)
    assert by_chance is not None
    assert by_chance.startswith("The teacher is not shown to be better than a linear model on 30 ")
    assert "probably" not in by_chance


def test_the_summary_says_what_the_classifier_keeps(data: Data) -> None:
    _, corpus, _ = data
    splits, references = {}, {}
    for split, right in (("validation", 30), ("test", 24)):
        labels = np.array(getattr(corpus, split)["label"])
        predicted = np.where(np.arange(30) < right, labels, (labels + 1) % 3)
        splits[split] = Predictions.from_probabilities(
            range(30), labels, table_of(predicted), [4] * 30, LABELS
        )
        references[split] = np.zeros(30, np.int64)
    simple = References({"linear": references, "majority": references}, "food")
    lines = summary_lines(splits, {}, simple, 60, scores_of(data), 0.8)
    assert any(line.startswith("  teacher ") and " 90.0 % (" in line for line in lines)
    assert (
        "The classifier keeps 89% of the teacher's accuracy (80.0 % against 90.0 %) at 1/30 of its "
        "time (0.80 ms against 24.0 ms for one text)." in lines
    )
    assert "  food: 95% of 20 texts, mostly price instead" in lines
    without_truth = TeacherDescription("predictions", "llm.csv", "abc", gives_all_labels=True)
    lines = summary_lines(splits, {}, simple, 60, scores_of(data, 3, without_truth), 0.8)
    assert any("nothing measures the true accuracy" in line for line in lines)
    assert not any(line.startswith("  teacher ") for line in lines)


def test_a_slower_classifier_and_unknown_times_are_said_as_they_are() -> None:
    assert kept_sentence(0.9, 0.8, "accuracy", 2.0, 1.0) == (
        "The classifier keeps 112% of the teacher's accuracy (90.0 % against 80.0 %) at 2.0 times "
        "its time (2.00 ms against 1.00 ms for one text)."
    )
    assert kept_sentence(0.4, 0.8, "micro-F1", None, 1.0) == (
        "The classifier keeps 50% of the teacher's micro-F1 (40.0 % against 80.0 %)."
    )


def test_the_run_logs_what_the_teacher_is(data: Data) -> None:
    logged: dict[str, Any] = {}

    class Run:
        def log_parameters(self, parameters: Any) -> None:
            logged.update(parameters)

        def set_tags(self, tags: Any) -> None:
            logged.update(tags)

        def log_text(self, text: str, file: str) -> None:
            logged[file] = json.loads(text)

    metrics = log_teacher(scores_of(data), Run())  # type: ignore[arg-type]
    assert logged["teacher.name"] == "large"
    assert logged["teacher.digest"] == "abc123"
    assert logged["teacher"] == "encoder large"
    assert logged[TEACHER]["metrics"] == metrics
    assert logged[TEACHER]["teacher"]["licence"] == "mit"
    assert [one["label"] for one in logged[TEACHER]["agreement"]] == list(LABELS)
