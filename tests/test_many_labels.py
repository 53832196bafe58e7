"""Thousands of labels: memory grows with the texts and with the labels, not with their square."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nlp_rnn.comparison import resampling
from nlp_rnn.comparison.resampling import resampled_scores, run_scores
from nlp_rnn.report.section_calibration import reliability
from nlp_rnn.scoring import metrics, predictions
from nlp_rnn.scoring.metrics import confusion_matrix, confusions, cross_entropy, score_probabilities
from nlp_rnn.scoring.plots import MAX_DRAWN_LABELS, write_score_figure
from nlp_rnn.scoring.predictions import Predictions, read_predictions, write_predictions
from tests.peak_memory import needs_peak_memory

# One matrix of 20,000 labels would take 3,200 megabytes.
LABELS, TEXTS, MEGABYTES = 20_000, 500, 500

SCRIPT = """
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import matplotlib.backends.backend_agg, scipy.stats, sklearn.metrics

from nlp_rnn.comparison.resampling import resampled_scores, run_scores
from nlp_rnn.report.section_calibration import reliability
from nlp_rnn.report.section_confusion import confusion_section
from nlp_rnn.runs.evaluation import evaluate_splits
from tests.peak_memory import peak_megabytes

labels, texts = map(int, sys.argv[1:])
random = np.random.default_rng(0)
names = tuple(f"label {number}" for number in range(labels))


class Classifier:
    thresholds = None

    def predict_proba(self, rows):
        table = random.random((len(list(rows)), labels), np.float32)
        table[np.arange(len(table)), np.arange(len(table)) % 7 * 11] += 1
        return table / table.sum(axis=1, keepdims=True)

    def token_counts(self, rows):
        return np.ones(len(list(rows)), np.int64)


def split(seed):
    from datasets import Dataset

    ids = np.random.default_rng(seed).integers(0, labels, texts)
    ids[:50] = np.arange(50) % 7 * 11
    columns = {"row": np.arange(texts), "text": ["a"] * texts, "label": ids}
    return Dataset.from_dict(columns)


def ignore(*arguments):
    pass


run = SimpleNamespace(log_file=ignore, log_text=ignore)
corpus = SimpleNamespace(validation=split(1), test=split(2), labels=names, parts={})
before = peak_megabytes()
scores, test = evaluate_splits(Classifier(), corpus, Path("."), run)
assert 0 < scores["test/accuracy"] < 0.5
runs = np.stack([test.predictions, test.labels])
own = run_scores(test.labels, runs, labels, "macro_f1")
assert own[0] == 100 * scores["test/macro_f1"] or abs(own[0] / 100 - scores["test/macro_f1"]) < 1e-6
assert resampled_scores(test.labels, runs, labels, "macro_f1", 20, 0).shape == (20, 2)
reliability([test, test])
context = SimpleNamespace(
    best_pair=lambda: SimpleNamespace(first="one", second="two"),
    comparison=SimpleNamespace(label_names=names, label_differences=()),
    predictions={"one": [test], "two": [test]},
    tables={},
)
section = confusion_section(context)
assert "20,000 labels is too large to draw" in section.blocks[0].text
print(before, peak_megabytes())
"""


@needs_peak_memory
@pytest.mark.slow
def test_an_evaluation_of_20000_labels_needs_no_square(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(LABELS), str(TEXTS)],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env={"PYTHONPATH": str(Path(__file__).parent.parent), "PATH": "", "HOME": str(tmp_path)},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    before, after = map(float, ended.stdout.splitlines()[-1].split())
    assert after - before < MEGABYTES
    names = {path.name for path in tmp_path.glob("*.p*")}
    assert names == {
        "confusion_matrix.png", "validation_predictions.parquet", "test_predictions.parquet",
    }  # fmt: skip


def made(labels: int, texts: int = 300) -> Predictions:
    random = np.random.default_rng(labels)
    truth = random.integers(0, labels, texts)
    table = random.random((texts, labels), np.float32)
    return Predictions.from_probabilities(
        range(texts), truth, table, np.ones(texts), [f"label {label}" for label in range(labels)]
    )


@pytest.mark.parametrize("labels", [2, 7, 400])
def test_the_cells_are_those_of_the_confusion_matrix(labels: int) -> None:
    run = made(labels)
    true, predicted, counts = confusions(run.labels, run.predictions, labels)
    matrix = confusion_matrix(run.labels, run.predictions, labels)
    np.testing.assert_array_equal(matrix[true, predicted], counts)
    assert counts.sum() == matrix.sum()


@pytest.mark.parametrize("labels", [3, 90, 400])
def test_blocks_change_no_bit(labels: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run = made(labels)
    logits = np.log(run.probabilities + 1)
    runs = np.stack([run.predictions, run.labels, np.roll(run.labels, 1)])
    several = run.probabilities > 0.8

    def measure() -> list[object]:
        write_predictions(tmp_path / "table.parquet", run)
        return [
            cross_entropy(run.labels, logits),
            score_probabilities(run.labels, run.probabilities),
            score_probabilities(several, run.probabilities, np.full(labels, 0.5)),
            run_scores(run.labels, runs, labels, "macro_f1").tolist(),
            resampled_scores(run.labels, runs, labels, "macro_f1", 9, 0).tolist(),
            reliability([run]).brier,
            read_predictions(tmp_path / "table.parquet").probabilities.tolist(),
        ]

    whole = measure()
    monkeypatch.setattr(metrics, "BLOCK_VALUES", 1000)
    monkeypatch.setattr(resampling, "CHUNK_BYTES", 1)
    monkeypatch.setattr(predictions, "MAX_LIST_VALUES", 1000)
    assert measure() == whole


@pytest.mark.parametrize("multi_label", [False, True])
def test_a_figure_of_many_labels_is_small(tmp_path: Path, multi_label: bool) -> None:
    from PIL import Image

    run = made(MAX_DRAWN_LABELS + 1)
    if multi_label:
        run = Predictions.from_probabilities(
            run.rows, run.probabilities > 0.9, run.probabilities, run.lengths, run.label_names,
            np.full(MAX_DRAWN_LABELS + 1, 0.5),
        )  # fmt: skip
    with Image.open(write_score_figure(tmp_path, run)) as image:
        assert max(image.size) < 7000
        assert multi_label or max(image.size) < 1500
