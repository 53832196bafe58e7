"""Memory horizon: half-lives of the gates, and the accuracy on the first or last tokens."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import nlp_rnn
from nlp_rnn.classifier.classifier_folder import read_classifier
from nlp_rnn.classifier.classifier_saving import save_classifier
from nlp_rnn.errors import ClassifierError
from nlp_rnn.inspection.memory_horizon import mean_half_lives, measure_memory_horizon
from nlp_rnn.report.report_data import read_memory_horizons
from tests.made_comparison import configuration_of, made_comparison, made_predictions, made_run
from tests.tiny_classifier import save_tiny, tiny_parts, tiny_texts


def test_mean_half_lives_are_those_of_the_gates(tmp_path: Path) -> None:
    parts = tiny_parts(cell="lstm")
    for name, value in parts["state"].items():
        if "rnn" in name:
            value[:] = 0
    for suffix in ("", "_reverse"):  # forget gates of 1/2 and 0.9 for every input
        bias = 0.0 if suffix else np.log(0.9 / 0.1)
        parts["state"][f"encoder.rnn.bias_ih_l0{suffix}"][5:10] = bias
    save_classifier(tmp_path / "steady", **parts)
    lives = mean_half_lives(read_classifier(tmp_path / "steady"), ["w3 w4", "w5"])
    assert lives == pytest.approx(
        {"layer 1, left to right": np.log(0.5) / np.log(0.9), "layer 1, right to left": 1.0},
        rel=1e-4,
    )
    save_tiny(tmp_path / "plain", cell="rnn")
    assert mean_half_lives(read_classifier(tmp_path / "plain"), ["w3"]) == {}


@pytest.mark.parametrize("bidirectional", [True, False])
def test_excerpts_are_classified_like_separate_texts(tmp_path: Path, bidirectional: bool) -> None:
    folder = save_tiny(tmp_path / "c", bidirectional=bidirectional)
    texts = [text for text in tiny_texts(60) if len(text.split()) > 12]
    cut = [" ".join(text.split()[:40]) for text in texts]  # as the tokenizer cuts
    classifier = nlp_rnn.load(folder)
    labels = [classifier.labels[i % 3] for i in range(len(texts))]

    def accuracy(excerpts: list[str]) -> float:
        return float(np.mean(np.array(classifier.predict(excerpts)) == np.array(labels)))

    horizon = measure_memory_horizon(folder, texts, labels)
    assert list(horizon.first) == list(horizon.last) == [1, 3, 10, 30]
    for count in (1, 3, 10, 30):
        assert horizon.first[count] == accuracy([" ".join(t.split()[:count]) for t in cut])
        assert horizon.last[count] == accuracy([" ".join(t.split()[-count:]) for t in cut])
    assert horizon.full == accuracy(texts)
    assert len({*horizon.first.values(), *horizon.last.values(), horizon.full}) > 2
    assert (horizon.num_texts, horizon.num_traced) == (len(texts), 20)
    assert len(horizon.half_lives) == (2 if bidirectional else 1)


def test_one_short_text_and_an_unknown_label(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "c", cell="average")
    horizon = measure_memory_horizon(folder, ["w3"], [nlp_rnn.load(folder).labels[0]])
    assert (horizon.first, horizon.half_lives, horizon.num_texts, horizon.num_traced) == (
        {},
        {},
        1,
        1,
    )
    with pytest.raises(ClassifierError, match="does not have the label 'strange'"):
        measure_memory_horizon(folder, ["w3"], ["strange"])
    with pytest.raises(ClassifierError):
        measure_memory_horizon(tmp_path / "nowhere", ["w3"], ["strange"])


def test_classifiers_are_read_from_the_run_folder_or_from_mlflow(
    tmp_path: Path, store_uri: str
) -> None:
    from mlflow import MlflowClient

    names = tuple(tiny_parts()["labels"])
    save_tiny(tmp_path / "local" / "classifier")
    client = MlflowClient(tracking_uri=store_uri)
    experiment = client.create_experiment("e", artifact_location=(tmp_path / "a").as_uri())
    logged, missing = (client.create_run(experiment).info.run_id for _ in range(2))
    client.log_artifacts(logged, str(save_tiny(tmp_path / "other", seed=3)), "classifier")
    predictions = made_predictions(1, 0.8, 50, names)
    runs = (
        made_run(
            "gru h5", 1, predictions, run_id="0" * 32, tags={"run_folder": str(tmp_path / "local")}
        ),
        made_run(
            "gru h5", 2, predictions, run_id=logged, tags={"run_folder": str(tmp_path / "deleted")}
        ),
        made_run("gru h5", 3, predictions, run_id=missing),
    )
    comparison = made_comparison(configurations=1, seeds=1, texts=20)
    comparison = replace(comparison, configurations=(configuration_of("gru h5", runs),))
    texts = dict(zip(predictions.rows.tolist(), tiny_texts(50), strict=True))
    horizons = read_memory_horizons(comparison, store_uri, texts)
    assert list(horizons) == ["0" * 32, logged]
    expected = measure_memory_horizon(
        tmp_path / "other", list(texts.values()), [names[i] for i in predictions.labels]
    )
    assert horizons[logged] == expected
    assert horizons["0" * 32] != expected
    assert read_memory_horizons(comparison, store_uri, {}) == {}
