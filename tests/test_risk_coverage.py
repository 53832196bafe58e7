"""The risk–coverage table counts what each threshold does, and a threshold is chosen from it."""

from pathlib import Path

import numpy as np
import pytest

import nlp_rnn
from nlp_rnn.classifier.risk_coverage import (
    MIN_LABELS,
    THRESHOLDS,
    Table,
    lowest_threshold,
    read_table,
    risk_coverage,
    write_table,
)
from nlp_rnn.errors import ClassifierError
from tests.tiny_classifier import save_tiny, tiny_texts


def random_table(texts: int = 400) -> Table:
    """A table of three labels, of which a more probable prediction is right more often."""
    random = np.random.default_rng(0)
    probabilities = random.dirichlet([0.4] * 3, texts).astype(np.float32)
    confidence = probabilities.max(axis=1)
    labels = np.where(random.random(texts) < confidence, probabilities.argmax(1), 0)
    return risk_coverage(labels.astype(np.int64), probabilities)


def test_rows_have_the_coverage_and_the_accuracy_of_each_threshold() -> None:
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5], [0.3, 0.7]], np.float32)
    table = risk_coverage(np.array([0, 1, 1, 0]), probabilities)
    assert table["texts"] == 4
    assert table["rows"][0] == [0.0, 1.0, 0.5]
    assert table["rows"][60] == [0.6, 0.75, pytest.approx(2 / 3)]
    assert table["rows"][75] == [0.75, 0.5, 1.0]
    assert table["rows"][95] == [0.95, 0.0, None]
    assert [table["labels"][index] for index in (0, 60, 75, 95)] == [4, 3, 2, 0]


@pytest.mark.parametrize("multi_label", [False, True])
def test_the_counts_are_those_of_a_comparison_at_each_threshold(multi_label: bool) -> None:
    random = np.random.default_rng(1)
    probabilities = random.random((300, 4)).round(2).astype(np.float32)  # many equal a threshold
    labels = random.random((300, 4)) < probabilities
    if not multi_label:
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        labels = labels.argmax(axis=1)
    table = risk_coverage(labels, probabilities)
    for threshold, (_, coverage, accuracy), count in zip(
        THRESHOLDS, table["rows"], table["labels"], strict=True
    ):
        if multi_label:
            predicted = probabilities >= threshold
            right, total = (predicted & labels).sum(), predicted.sum()
            covered = right / labels.sum()
        else:
            predicted = probabilities.max(axis=1) >= threshold
            right = (probabilities.argmax(axis=1) == labels)[predicted].sum()
            total, covered = predicted.sum(), predicted.mean()
        assert count == total
        assert coverage == pytest.approx(covered)
        assert accuracy == (pytest.approx(right / total) if total else None)


def test_the_lowest_threshold_reaches_the_accuracy_and_those_below_do_not() -> None:
    table = random_table()
    threshold = lowest_threshold(table, 0.9)
    assert threshold is not None
    index = round(100 * threshold)
    assert table["rows"][index][2] >= 0.9 > table["rows"][index - 1][2]
    few = {**table, "labels": [MIN_LABELS - 1] * 100}
    assert lowest_threshold(few, 0.9) is None


def test_a_classifier_chooses_a_threshold_from_the_table_in_its_folder(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "classifier")
    with pytest.raises(ClassifierError, match=r"has no risk_coverage.json"):
        nlp_rnn.load(folder).choose_threshold(0.9)
    write_table(folder, random_table())
    classifier = nlp_rnn.load(folder)
    threshold = classifier.choose_threshold(accuracy=0.9)
    assert threshold == lowest_threshold(random_table(), 0.9)
    classifier.predict(tiny_texts(3), threshold=threshold)  # it is a valid threshold
    assert classifier.choose_threshold(accuracy=0.01) == 0.01
    write_table(folder, {**random_table(), "labels": [MIN_LABELS] * 50 + [MIN_LABELS - 1] * 50})
    with pytest.raises(ClassifierError, match=r"on the 400 validation texts: the best accuracy is"):
        nlp_rnn.load(folder).choose_threshold(accuracy=1)
    with pytest.raises(ClassifierError, match="accuracy is 95"):
        classifier.choose_threshold(accuracy=95)


@pytest.mark.parametrize(
    "content",
    ["", "[]", '{"texts": 3, "rows": [], "labels": []}', '{"texts": 3, "rows": 5, "labels": 5}'],
)
def test_a_damaged_table_counts_as_none(tmp_path: Path, content: str) -> None:
    folder = save_tiny(tmp_path / "classifier")
    (folder / "risk_coverage.json").write_text(content)
    assert read_table(folder) is None
    assert nlp_rnn.load(folder).predict(["w2"])
