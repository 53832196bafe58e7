"""Metrics of both tasks equal those of scikit-learn; thresholds are the best on validation."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, log_loss
from sklearn.metrics import confusion_matrix as reference_confusion

from nlp_rnn.scoring.metrics import (
    MIN_TEXTS_FOR_THRESHOLD,
    choose_thresholds,
    confusion_matrix,
    score_logits,
    score_predictions,
    score_probabilities,
    sigmoid,
    wilson_interval,
)


@pytest.mark.parametrize("num_labels", [2, 6, 40])
def test_equal_to_scikit_learn(num_labels: int) -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, num_labels, 60)
    logits = generator.normal(size=(60, num_labels)).astype(np.float32)
    predictions = logits.argmax(1)
    scores, _ = score_logits(labels, logits)
    assert scores["accuracy"] == pytest.approx(accuracy_score(labels, predictions))
    assert scores["macro_f1"] == pytest.approx(f1_score(labels, predictions, average="macro"))
    shifted = np.exp(logits.astype(np.float64))
    probabilities = shifted / shifted.sum(1, keepdims=True)
    expected = log_loss(labels, probabilities, labels=range(num_labels))
    assert scores["loss"] == pytest.approx(expected, rel=1e-6)
    np.testing.assert_array_equal(
        confusion_matrix(labels, predictions, num_labels),
        reference_confusion(labels, predictions, labels=range(num_labels)),
    )


def test_labels_that_occur_nowhere_do_not_count() -> None:
    logits = np.array([[5, 0, 0], [0, 5, 0]], np.float32)
    assert score_logits(np.array([0, 1]), logits)[0]["macro_f1"] == 1.0


def test_huge_logits_give_a_finite_loss() -> None:
    logits = np.array([[1e4, -1e4]], np.float32)
    assert score_logits(np.array([1]), logits)[0]["loss"] == pytest.approx(2e4)


def made(rows: int, labels: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels bool and probabilities float32 that know something of them, both (rows, labels)."""
    random = np.random.default_rng(seed)
    truth = random.random((rows, labels)) < np.linspace(0.05, 0.5, labels)
    logits = random.standard_normal((rows, labels)) + 2 * truth - 1.5
    return truth, sigmoid(logits.astype(np.float32))


@pytest.mark.parametrize("seed", range(4))
def test_metrics_are_those_of_scikit_learn(seed: int) -> None:
    truth, probabilities = made(300, 7, seed)
    thresholds = np.linspace(0.2, 0.7, 7)
    scores = score_probabilities(truth, probabilities, thresholds)
    predictions = probabilities >= thresholds
    assert scores["micro_f1"] == pytest.approx(f1_score(truth, predictions, average="micro"))
    assert scores["macro_f1"] == pytest.approx(f1_score(truth, predictions, average="macro"))
    assert scores["subset_accuracy"] == pytest.approx(accuracy_score(truth, predictions))
    losses = [log_loss(truth[:, c], probabilities[:, c].astype(float)) for c in range(7)]
    assert scores["loss"] == pytest.approx(np.sum(losses), rel=1e-5)


def test_labels_that_nobody_has_count_in_no_mean() -> None:
    truth = np.array([[1, 0, 0], [1, 0, 0]], bool)
    predictions = np.array([[1, 0, 0], [0, 0, 0]], bool)
    assert score_predictions(truth, predictions, 3) == {
        "micro_f1": pytest.approx(2 / 3),
        "macro_f1": pytest.approx(2 / 3),
        "subset_accuracy": 0.5,
    }
    nothing = np.zeros((2, 3), bool)
    assert score_predictions(nothing, nothing, 3)["macro_f1"] == 0.0


def test_certain_and_wrong_is_no_infinite_loss() -> None:
    truth, probabilities = np.array([[True, False]]), np.array([[0.0, 1.0]], np.float32)
    assert np.isfinite(score_probabilities(truth, probabilities, np.array([0.5, 0.5]))["loss"])
    assert sigmoid(np.array([-200.0, 0, 200], np.float32)).tolist() == [0.0, 0.5, 1.0]


def test_a_threshold_has_the_best_f1_of_all_there_are() -> None:
    truth, probabilities = made(200, 4, 5)
    truth[:MIN_TEXTS_FOR_THRESHOLD, 0] = True  # enough of the rarest
    thresholds = choose_thresholds(truth, probabilities)
    for label in range(4):
        column = probabilities[:, label]
        best = max(f1_score(truth[:, label], column >= limit) for limit in np.unique(column)[::5])
        assert f1_score(truth[:, label], column >= thresholds[label]) >= best - 1e-9


def test_a_rare_label_takes_the_common_threshold() -> None:
    truth, probabilities = made(400, 3, 6)
    truth[:, 0], truth[:, 1] = False, False
    truth[: MIN_TEXTS_FOR_THRESHOLD - 1, 1] = True
    thresholds = choose_thresholds(truth, probabilities)
    assert thresholds[0] == thresholds[1] != thresholds[2]
    flat, limits = truth.ravel(), np.unique(probabilities)[::7]
    common = f1_score(flat, probabilities.ravel() >= thresholds[0])
    assert common >= max(f1_score(flat, probabilities.ravel() >= limit) for limit in limits)


def test_thresholds_of_nothing_of_ties_and_of_the_certain() -> None:
    nothing = choose_thresholds(np.zeros((30, 2), bool), np.full((30, 2), 0.3, np.float32))
    assert nothing.tolist() == [0.5, 0.5]
    truth = np.arange(40)[:, None] % 2 == 0
    # all as probable: yes to all of them, or to none
    assert 0.01 <= choose_thresholds(truth, np.full((40, 1), 0.3, np.float32))[0] <= 0.3
    sure = np.where(truth, 1.0, 0.0).astype(np.float32)
    assert choose_thresholds(truth, sure)[0] == pytest.approx(0.5)
    assert choose_thresholds(~truth & False | True, np.zeros((40, 1), np.float32))[0] == 0.01


def test_the_interval_is_wilsons() -> None:
    # Newcombe 1998, doi:10.1002/(SICI)1097-0258(19980430)17:8<857, table I, method 3
    for successes, trials, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        assert wilson_interval(successes, trials) == pytest.approx((low, high), abs=5e-5)
        mirrored = wilson_interval(trials - successes, trials)
        assert mirrored == pytest.approx((1 - high, 1 - low), abs=5e-5)
