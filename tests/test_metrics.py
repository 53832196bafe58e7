"""Metrics against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, log_loss
from sklearn.metrics import confusion_matrix as reference_confusion

from nlp_rnn.scoring.metrics import confusion_matrix, score_logits


@pytest.mark.parametrize("num_labels", [2, 6, 40])
def test_equal_to_scikit_learn(num_labels: int) -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, num_labels, 60)
    logits = generator.normal(size=(60, num_labels)).astype(np.float32)
    predictions = logits.argmax(1)
    found, _ = score_logits(labels, logits)
    assert found["accuracy"] == pytest.approx(accuracy_score(labels, predictions))
    assert found["macro_f1"] == pytest.approx(f1_score(labels, predictions, average="macro"))
    shifted = np.exp(logits.astype(np.float64))
    probabilities = shifted / shifted.sum(1, keepdims=True)
    expected = log_loss(labels, probabilities, labels=range(num_labels))
    assert found["loss"] == pytest.approx(expected, rel=1e-6)
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
