"""The curve is what streams with each threshold do, and the threshold is chosen from it."""

from pathlib import Path

import numpy as np
import pytest

from nlp_rnn.classifier.early_exit import EarlyExit, choose_exit_threshold, earliness, early_exits
from nlp_rnn.classifier.predictor import TextClassifier
from nlp_rnn.errors import ClassifierError
from tests.tiny_classifier import save_tiny, tiny_texts


def test_every_point_is_what_streams_with_that_threshold_do(tmp_path: Path) -> None:
    classifier = TextClassifier.load(save_tiny(tmp_path / "c", bidirectional=False))
    texts = [text for text in tiny_texts(40) if len(text.split()) <= 40]  # not cut
    labels = classifier.predict(texts)
    thresholds = (0.4, 0.6, 0.8, 1.0)
    curve = early_exits(classifier, texts, labels, thresholds)
    assert [point.threshold for point in curve] == list(thresholds)
    for point in curve:
        right, read = 0, 0.0
        for text, label in zip(texts, labels, strict=True):
            stream = classifier.stream(threshold=point.threshold)
            stream.read(text)
            stream.finish()
            right += stream.label == label
            read += stream.num_tokens / max(len(text.split()), 1)
        assert point.accuracy == pytest.approx(right / len(texts))
        assert point.tokens_read == pytest.approx(read / len(texts))
    assert curve[0].tokens_read < 1
    assert (curve[-1].accuracy, curve[-1].tokens_read) == (1.0, 1.0)
    assert [p.tokens_read for p in curve] == sorted(p.tokens_read for p in curve)


def test_prefix_scores_are_those_of_predictions_for_the_beginnings(tmp_path: Path) -> None:
    classifier = TextClassifier.load(save_tiny(tmp_path / "c", bidirectional=False))
    texts = [text for text in tiny_texts(40) if 0 < len(text.split()) <= 40]
    labels = [classifier.labels[number % 3] for number in range(len(texts))]
    shares = (0.25, 0.5, 1.0)
    measured = earliness(classifier, texts, labels, shares=shares)
    assert measured.exits == early_exits(classifier, texts, labels)
    truth = np.arange(len(texts)) % 3
    for score, share in zip(measured.prefixes, shares, strict=True):
        cut = [" ".join(t.split()[: -(-len(t.split()) * int(100 * share) // 100)]) for t in texts]
        shown = classifier.predict_proba(cut)
        assert score.share == share
        assert score.accuracy == pytest.approx((shown.argmax(1) == truth).mean())
        assert score.loss == pytest.approx(
            -np.log(shown[np.arange(len(cut)), truth]).mean(), rel=1e-4
        )
        assert score.confidence == pytest.approx(shown.max(1).mean(), rel=1e-4)
        sure, right = shown.max(1), shown.argmax(1) == truth
        error = 0.0
        for low in range(10):
            inside = (sure >= low / 10) & (sure < low / 10 + 0.1)
            if inside.any():
                error += inside.mean() * abs(sure[inside].mean() - right[inside].mean())
        assert score.calibration_error == pytest.approx(error, rel=1e-3)


def test_the_threshold_processes_the_fewest_tokens_within_the_loss() -> None:
    curve = [EarlyExit(0.5, 0.8, 0.3), EarlyExit(0.8, 0.89, 0.5), EarlyExit(0.9, 0.9, 0.7)]
    assert choose_exit_threshold(curve) == 0.8
    assert choose_exit_threshold(curve, loss=0) == 0.9
    assert choose_exit_threshold(curve, loss=0.1) == 0.5
    with pytest.raises(ClassifierError, match="curve is empty"):
        choose_exit_threshold([])


def test_what_has_no_curve_raises_an_error(tmp_path: Path) -> None:
    one = TextClassifier.load(save_tiny(tmp_path / "one", bidirectional=False))
    both = TextClassifier.load(save_tiny(tmp_path / "both"))
    with pytest.raises(ClassifierError, match="1 texts and 0 labels"):
        early_exits(one, ["w2"], [])
    with pytest.raises(ClassifierError, match="0 texts"):
        early_exits(one, [], [])
    with pytest.raises(ClassifierError, match="no label 'nice'"):
        early_exits(one, ["w2"], ["nice"])
    with pytest.raises(ClassifierError, match="experiment=streaming"):
        early_exits(both, ["w2"], ["bad"])
