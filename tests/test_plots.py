"""Figures show the numbers and the names they are drawn from, at a readable size."""

from pathlib import Path

import numpy as np
import pytest

from nlp_rnn.scoring.plots import write_confusion_matrix, write_label_scores
from nlp_rnn.scoring.predictions import Predictions
from tests.test_predictions import NAMES, predicted, random_predictions


def drawn_texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every text that matplotlib draws from now on."""
    from matplotlib.backends.backend_agg import RendererAgg

    texts: list[str] = []
    draw_text = RendererAgg.draw_text

    def listening(self, gc, x, y, s, *others, **options):  # type: ignore[no-untyped-def]
        texts.append(s)
        return draw_text(self, gc, x, y, s, *others, **options)

    monkeypatch.setattr(RendererAgg, "draw_text", listening)
    return texts


def test_the_picture_shows_counts_shares_and_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = drawn_texts(monkeypatch)
    labels = [0] * 1200 + [1] * 4 + [2] * 2
    predictions = [0] * 1200 + [1, 1, 1, 0] + [2, 1]
    write_confusion_matrix(tmp_path / "picture.png", predicted(labels, predictions, NAMES))
    assert {"négative", "positive $x$", "日本 語", "1,204 of 1,206 correct (99.8%)"} <= set(texts)
    # true class 0, then 1, then 2; a count of zero is not written
    cells = [text for text in texts if text.replace(",", "").isdigit()]
    assert sorted(cells) == ["1", "1", "1", "1,200", "3"]
    assert texts.count("25%") == texts.count("75%") == 1
    assert [file.name for file in tmp_path.iterdir()] == ["picture.png"]


def test_a_picture_of_many_classes_lists_the_confusions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = drawn_texts(monkeypatch)
    labels = np.repeat(np.arange(77), 10)
    predictions = labels.copy()
    predictions[[30, 31, 32]] = 5  # three of class 3
    predictions[[700]] = 1  # one of class 70
    names = [f"class {number}" for number in range(77)]
    write_confusion_matrix(tmp_path / "picture.png", predicted(labels, predictions, names))
    confusions = [text for text in texts if "→ class" in text]
    assert [text.split() for text in confusions] == [
        "3 of 10 class 3 → class 5".split(),
        "1 of 10 class 70 → class 1".split(),
    ]
    assert "10" not in texts


def test_the_picture_of_multi_label_predictions_has_the_most_frequent_label_on_top(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = drawn_texts(monkeypatch)
    labels = np.array([[1, 1, 0], [1, 0, 0], [1, 1, 1]], bool)
    predictions = Predictions.from_probabilities(
        range(3), labels, labels * np.float32(0.9), [1, 1, 1], NAMES, np.full(3, 0.5)
    )
    write_label_scores(tmp_path / "picture.png", predictions)
    names = [
        text for text in texts if text[-1].isdigit() and text.split()[0] in "négative 日本 positive"
    ]
    assert names == ["日本 語  1", "positive $x$  2", "négative  3"]
    assert {"F1", "precision", "recall"} <= set(texts)
    assert [file.name for file in tmp_path.iterdir()] == ["picture.png"]


@pytest.mark.parametrize("num_labels", [2, 20, pytest.param(151, marks=pytest.mark.slow)])
def test_pictures_are_large_enough_for_their_classes(tmp_path: Path, num_labels: int) -> None:
    from matplotlib.image import imread

    labels, probabilities = random_predictions(300, num_labels)
    names = [f"a rather long name of class {number} is cut" for number in range(num_labels)]
    path = tmp_path / "picture.png"
    write_confusion_matrix(path, predicted(labels, probabilities.argmax(axis=1), names))
    height, width, _ = imread(path).shape
    # every class has a line of at least 11 pixels, and no picture is larger than a browser takes
    assert 300 + 11 * num_labels < min(height, width)
    assert max(height, width) < 4000


def test_pictures_leave_pyplot_alone(tmp_path: Path) -> None:
    import subprocess
    import sys

    script = f"""
import sys
from pathlib import Path
from nlp_rnn.scoring.plots import write_confusion_matrix
from nlp_rnn.scoring.predictions import Predictions
predictions = Predictions.from_probabilities(range(2), [0, 1], [[1, 0], [0, 1]], [1, 1], ["a", "b"])
write_confusion_matrix(Path({str(tmp_path)!r}) / "picture.png", predictions)
print("matplotlib.pyplot" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("False\n", "")
