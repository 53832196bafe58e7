"""A classifier of several labels a text: every runtime, every command, a run from end to end."""

import json
import pickle
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from mlflow import MlflowClient
from pyarrow import parquet

import nlp_rnn
from nlp_rnn.classifier.classifier_saving import save_classifier
from nlp_rnn.classifier.early_exit import earliness
from nlp_rnn.classifier.predictor import TextClassifier
from nlp_rnn.cli import main
from nlp_rnn.errors import ClassifierError
from nlp_rnn.model.network import TextNetwork
from nlp_rnn.scoring.metrics import score_predictions
from nlp_rnn.scoring.predictions import Predictions, read_predictions
from tests.tiny_classifier import random_state, tiny_architecture, tiny_parts, tiny_texts

THRESHOLDS = [0.45, 0.5, 0.6]
TEXTS = tiny_texts(80)


def saved(folder: Path, seed: int = 0, **changes: Any) -> Path:
    """A classifier whose logits are spread, so that every label is sometimes answered."""
    labels = changes.pop("labels", ["bad, or so", "fair", "good"])
    architecture = tiny_architecture(**changes)
    state = random_state(architecture, seed)
    state["head.weight"] *= 4
    parts = tiny_parts(seed, **changes) | {"state": state, "labels": labels}
    save_classifier(folder, thresholds=THRESHOLDS, **parts)
    return folder


def scores_of(predictions: Predictions) -> dict[str, float]:
    return score_predictions(
        predictions.labels, predictions.predictions, len(predictions.label_names)
    )


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NLP_RNN_CACHE", str(tmp_path / "cache"))
    saved(tmp_path / "classifier", seed=2)
    return tmp_path


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn", "average"])
def test_every_runtime_gives_the_sigmoid_of_the_network(tmp_path: Path, cell: str) -> None:
    changes: dict[str, Any] = {"cell": cell, "pooling": "mean", "bidirectional": False}
    folder = saved(tmp_path / "c", **changes)
    network = TextNetwork(tiny_architecture(**changes)).eval()
    onnx = nlp_rnn.load(folder)
    network.load_state_dict(_state(folder))
    expected = []
    for text in TEXTS:
        ids = onnx._network.tokenizer.encode([text])[0]
        with torch.no_grad():
            logits = network(torch.tensor([list(ids)]), torch.tensor([len(ids)]))
        expected.append(torch.sigmoid(logits)[0].numpy())
    np.testing.assert_allclose(onnx.predict_proba(TEXTS), expected, atol=1e-5)
    theirs = nlp_rnn.load(folder, runtime="torch")
    np.testing.assert_allclose(theirs.predict_proba(TEXTS), expected, atol=1e-5)
    assert theirs.predict(TEXTS) == onnx.predict(TEXTS)
    short = [text for text in TEXTS if 0 < len(text.split()) <= 40][:20]
    wanted = onnx.predict_proba(short)
    for text, row in zip(short, wanted, strict=True):
        stream = onnx.stream()
        stream.read(text)
        stream.finish()
        np.testing.assert_allclose(stream.probabilities, row, atol=1e-5)
        assert sorted(stream.label) == sorted(onnx.predict([text])[0])
    pool = onnx.stream_pool()
    pool.read(dict(enumerate(short)))
    for key, row in enumerate(wanted):
        np.testing.assert_allclose(pool.finish(key)[key], row, atol=1e-5)


def _state(folder: Path) -> dict[str, torch.Tensor]:
    from nlp_rnn.classifier.classifier_folder import read_state

    return {name: torch.from_numpy(array.copy()) for name, array in read_state(folder).items()}


def test_answers_are_what_reaches_its_threshold_the_most_probable_first(here: Path) -> None:
    classifier = nlp_rnn.load("classifier")
    probabilities = classifier.predict_proba(TEXTS)
    assert not np.allclose(probabilities.sum(axis=1), 1, atol=0.1)
    predictions = classifier.predict(TEXTS)
    sizes = {len(labels) for labels in predictions}
    assert {0, 1, 2} <= sizes
    for row, labels in zip(probabilities, predictions, strict=True):
        indices = [classifier.labels.index(label) for label in labels]
        assert set(indices) == set(np.flatnonzero(row >= THRESHOLDS))
        assert sorted(indices, key=lambda index: -row[index]) == indices
    strict = classifier.predict(TEXTS, threshold=0.9)
    assert strict == [
        [classifier.labels[index] for index in np.argsort(-row) if row[index] >= 0.9]
        for row in probabilities
    ]
    (best,) = classifier.predict(TEXTS[:1], top_k=2)
    assert best[0][1] == pytest.approx(probabilities[0].max())
    assert classifier.task == "multi_label"
    assert "any of 3 labels" in repr(classifier)
    windows = classifier.predict_proba(TEXTS, windows=True)
    short = [len(text.split()) <= 40 for text in TEXTS]
    np.testing.assert_allclose(windows[short], probabilities[short], atol=1e-6)
    assert ((windows > 0) & (windows < 1)).all()


def test_score_is_the_share_of_texts_that_are_all_right(here: Path) -> None:
    classifier = nlp_rnn.load("classifier")
    truth: list[Any] = [set(labels) for labels in classifier.predict(TEXTS)]
    assert classifier.score(TEXTS, truth) == 1.0
    truth[0] = {*classifier.labels} if truth[0] != {*classifier.labels} else set()
    assert classifier.score(TEXTS, [list(labels) for labels in truth]) == pytest.approx(79 / 80)
    for wrong, message in (
        (["good"] * 80, "one str"),
        ([[1]] * 80, "int"),
        ("good", "is a single str"),
    ):
        with pytest.raises(ClassifierError, match=message):
            classifier.score(TEXTS, wrong)


def test_one_label_cannot_end_a_stream(tmp_path: Path) -> None:
    classifier = nlp_rnn.load(saved(tmp_path / "c", pooling="last", bidirectional=False))
    with pytest.raises(ClassifierError, match="multi-label"):
        classifier.stream(threshold=0.9)
    stream = classifier.stream()
    assert stream.label is None
    stream.read("w2 w3 ")
    again = classifier.stream(state=stream.to_json())
    assert again.label == stream.label
    np.testing.assert_allclose(again.read("w4 "), stream.read("w4 "), atol=1e-6)


def test_it_travels_to_another_process(here: Path) -> None:
    classifier = nlp_rnn.load("classifier")
    again: TextClassifier = pickle.loads(pickle.dumps(classifier))
    assert again.predict(TEXTS) == classifier.predict(TEXTS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"thresholds": [0.5, 0.5]}, "not a probability for each label"),
        ({"thresholds": [0.5, 0.5, 1.5]}, "not a probability for each label"),
        ({"thresholds": [0.5, 0.5, 0]}, "not a probability for each label"),
        ({"thresholds": None}, "does not describe a classifier"),
        ({"thresholds": "abc"}, "not a probability for each label"),
        ({"format_version": 1}, "task is 'multi_label'"),
        ({"task": "single_label"}, "model.onnx"),
        ({"task": "ranking"}, "task is 'ranking'"),
    ],
)
def test_a_folder_that_fits_no_task(here: Path, changes: dict[str, Any], message: str) -> None:
    from nlp_rnn.classifier.manifest import checksum

    path = here / "classifier" / "config.json"
    config = json.loads(path.read_text()) | changes
    del config["checksum"]
    path.write_text(json.dumps(config | {"checksum": checksum(config)}))
    with pytest.raises(ClassifierError, match=message) as caught:
        nlp_rnn.load("classifier")
    assert len(str(caught.value).splitlines()) <= 2


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_predict_writes_lists(here: Path, kind: str) -> None:
    table = pd.DataFrame({"id": range(80), "text": TEXTS})
    table.loc[3, "text"] = None
    table.to_parquet("in.parquet")
    arguments = [
        "predict",
        "classifier",
        "--input",
        "in.parquet",
        "--output",
        f"out.{kind}",
        "--proba",
    ]
    assert main(arguments) == 0
    read = {"csv": pd.read_csv, "parquet": pd.read_parquet}.get(kind)
    table_read = read(f"out.{kind}") if read else pd.read_json(f"out.{kind}", lines=True)
    columns = [f"probability_{label}" for label in ("bad, or so", "fair", "good")]
    assert table_read.columns.tolist() == ["id", "text", "labels", "scores", *columns]
    classifier = nlp_rnn.load("classifier")
    expected = classifier.predict(TEXTS)
    for row, predicted in enumerate(expected):
        labels = table_read["labels"][row]
        if row == 3:  # nothing was asked
            assert labels is None or labels != labels
            continue
        labels = json.loads(labels) if kind == "csv" else list(labels)
        assert labels == predicted
        scores = table_read["scores"][row]
        scores = json.loads(scores) if kind == "csv" else list(scores)
        probabilities = [table_read[f"probability_{label}"][row] for label in predicted]
        assert scores == pytest.approx(probabilities, abs=1e-5)


def test_predict_answers_words_with_any_number_of_labels(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    classifier = nlp_rnn.load("classifier")
    texts = [text for text in TEXTS if text][:10]
    assert main(["predict", "classifier", *texts]) == 0
    lines = capsys.readouterr().out.splitlines()
    for line, predicted, text in zip(lines, classifier.predict(texts), texts, strict=True):
        labels, scores, echoed = line.split("\t")
        assert (labels, echoed) == (", ".join(predicted), text)
        assert len([score for score in scores.split(", ") if score]) == len(predicted)
    assert main(["predict", "classifier", "--threshold", "0.999999", texts[0]]) == 0
    assert capsys.readouterr().out == f"\t\t{texts[0]}\n"


def labelled(path: Path, lists: list[list[str]]) -> Path:
    rows = [{"text": text, "tags": tags} for text, tags in zip(TEXTS, lists, strict=False)]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def test_evaluate_gives_the_scores_of_the_answers(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    classifier = nlp_rnn.load("classifier")
    truth = classifier.predict(TEXTS)
    truth[:8] = [[] if labels else ["fair"] for labels in truth[:8]]
    labelled(here / "more.jsonl", truth)
    arguments = ["evaluate", "classifier", "data=files", "data.path=more.jsonl", "data.label=tags"]
    assert main([*arguments, "--json", "--predictions", "answers.parquet"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["subset_accuracy"] == pytest.approx(0.9)
    predictions = read_predictions(here / "answers.parquet")
    assert predictions.label_names == tuple(classifier.labels)
    expected = scores_of(predictions)
    assert {name: scores[name] for name in expected} == pytest.approx(expected)
    assert [
        {classifier.labels[index] for index in np.flatnonzero(row)} for row in predictions.labels
    ] == [set(truth[row]) for row in predictions.rows]
    assert main(arguments) == 0
    output = capsys.readouterr().out
    assert "all labels correct 0.9000" in output
    assert "micro avg" in output


def test_evaluate_refuses_labels_and_tasks_it_does_not_have(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["evaluate", "classifier", "data=files", "data.label=tags"]
    labelled(here / "new.jsonl", [["fair"], ["strange"], []] * 10)
    assert main([*arguments, "data.path=new.jsonl"]) == 1
    assert "does not know: strange" in capsys.readouterr().err
    labelled(here / "one.jsonl", ["fair", "good"] * 10)  # type: ignore[list-item]
    assert main([*arguments, "data.path=one.jsonl"]) == 1
    output = capsys.readouterr().err
    assert "The data is single-label, the classifier multi-label." in output
    assert len(output.splitlines()) == 2


WORDS = {"sports": ["goal", "match", "team"], "money": ["bank", "price", "stock"]}


def corpus(path: Path, rows: int) -> Path:
    """Texts of both topics, of one, or of none, which their words give away."""
    random = np.random.default_rng(0)
    lines = []
    for _ in range(rows):
        tags = [name for name in WORDS if random.random() < 0.5]
        words = [str(random.choice(WORDS[name])) for name in tags]
        words += [str(word) for word in random.choice(["the", "a", "was", "of"], 4)]
        random.shuffle(words)
        lines.append(json.dumps({"text": " ".join(words), "tags": tags}))
    path.write_text("\n".join(lines))
    return path


def test_a_run_from_end_to_end(
    tmp_path: Path, store_uri: str, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NLP_RNN_CACHE", str(tmp_path / "cache"))
    corpus(tmp_path / "talk.jsonl", 400)
    data = ["data=files", "data.path=talk.jsonl", "data.label=tags"]
    small = [
        *("model.embedding_size=8", "model.hidden_size=8", "trainer.threads=1"),
        *("trainer.max_epochs=6", "tokenizer=word", "tracking.system_metrics=false"),
        *("tracking.speed=none", "optimizer.learning_rate=0.03", "model.bidirectional=false"),
        *("model.pooling=max", "trainer.prefixes=true", "hydra.run.dir=run"),
    ]
    assert main(["train", *data, *small]) == 0
    output = capsys.readouterr().out
    assert "validation micro_f1" in output
    assert "test micro-F1" in output
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["metrics"]["test/micro_f1"] > 0.9
    classifier = nlp_rnn.load("run/classifier")
    assert set(classifier.predict(["the goal was of a bank"])[0]) == {"sports", "money"}
    assert classifier.predict(["the was of a"]) == [[]]

    run = MlflowClient(tracking_uri=store_uri).get_run(result["run_id"])
    assert run.info.status == "FINISHED"
    assert run.data.tags["task"] == "multi_label"
    assert run.data.params["trainer.monitor"] == "micro_f1"
    assert "test/accuracy" not in run.data.metrics
    predictions = read_predictions(tmp_path / "run" / "test_predictions.parquet")
    scores = scores_of(predictions)
    for name, value in scores.items():
        assert result["metrics"][f"test/{name}"] == pytest.approx(value), name
    assert (predictions.predictions == (predictions.probabilities >= classifier.thresholds)).all()
    assert parquet.read_table(tmp_path / "run" / "test_predictions.parquet").num_rows == 40
    assert (tmp_path / "run" / "label_scores.png").stat().st_size > 1000

    client = MlflowClient(tracking_uri=store_uri)
    curve = client.get_metric_history(result["run_id"], "prefix/micro_f1")
    assert [point.step for point in curve][-1] == 100
    assert curve[-1].value == pytest.approx(result["metrics"]["validation/micro_f1"], abs=1e-6)
    assert curve[0].value < curve[-1].value
    with pytest.raises(ClassifierError, match="not supported for multi-label"):
        earliness(classifier, ["goal"], ["sports"])

    card = (tmp_path / "run" / "classifier" / "README.md").read_text()
    for phrase in ("any of 2 labels", "micro-F1", "| `sports` |", "predict(texts, threshold"):
        assert phrase in card, phrase

    assert main(["compare"]) == 1
    assert "a comparison needs two" in capsys.readouterr().err
    assert main(["compare", "--metric", "accuracy"]) == 2
    message = capsys.readouterr().err
    assert "accuracy is not a metric of multi-label data" in message
    assert "--metric micro_f1 or macro_f1 or subset_accuracy" in message
    assert main(["baselines", *data]) == 0
    output = capsys.readouterr().out
    assert re.search(r"^majority  test micro-F1 0\.\d{4}", output, re.MULTILINE), output
    assert re.search(r"^linear    test micro-F1 [01]\.\d{4}", output, re.MULTILINE), output
    linear = client.get_run(output.split()[-1])
    assert linear.data.tags["task"] == "multi_label"
    path = client.download_artifacts(linear.info.run_id, "predictions", str(tmp_path))
    predictions = read_predictions(Path(path) / "test_predictions.parquet")
    for name, value in scores_of(predictions).items():
        assert linear.data.metrics[f"test/{name}"] == pytest.approx(value), name
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store_uri)
    assert main(["register", "run", "--name", "talk", "--metric", "micro_f1"]) == 0
    model = nlp_rnn.load("models:/talk@champion")
    np.testing.assert_array_equal(model.predict_proba(["goal"]), classifier.predict_proba(["goal"]))
    monkeypatch.setattr(sys, "path", list(sys.path))  # MLflow puts the model's own source first
    _served(model, "models:/talk@champion")
    worse = ["hydra.run.dir=two", "trainer.max_epochs=1", "model.ensemble=off"]
    assert main(["train", *data, *small[:-1], *worse]) == 0
    capsys.readouterr()
    assert main(["register", "two", "--name", "talk", "--metric", "subset_accuracy"]) == 1
    assert "is worse than the champion" in capsys.readouterr().err
    assert main(["register", "two", "--name", "talk", "--metric", "accuracy"]) == 1
    assert "accuracy is not measured for multi-label data" in capsys.readouterr().err


def _served(classifier: TextClassifier, uri: str) -> None:
    """The MLflow model answers with lists."""
    from mlflow import pyfunc

    texts = ["the goal was of a bank", "the was of a"]
    table = pyfunc.load_model(uri).predict(texts)
    assert table.columns.tolist() == ["labels", "scores"]
    assert [list(labels) for labels in table["labels"]] == classifier.predict(texts)


@pytest.mark.slow
def test_a_sweep_ends_with_a_comparison(
    tmp_path: Path, store_uri: str, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NLP_RNN_CACHE", str(tmp_path / "cache"))
    corpus(tmp_path / "talk.jsonl", 200)
    arguments = [
        *("data=files", "data.path=talk.jsonl", "data.label=tags", "model=lstm,gru"),
        *("model.embedding_size=8", "model.hidden_size=8", "trainer.max_epochs=1"),
        *("tokenizer=word", "tracking.system_metrics=false", "tracking.speed=none"),
    ]
    assert main(["train", "-m", *arguments]) == 0
    output = capsys.readouterr().out
    assert "No baselines" not in output
    assert "test micro-F1 in percent" in output
    assert "F1 of labels" in output
    page, *_ = tmp_path.rglob("report.html")  # in the folder, and in MLflow
    assert "Labels: where the F1 differs" in page.read_text(encoding="utf-8")
    assert main(["compare", "--metric", "subset_accuracy", "--json"]) == 0
    (comparison,) = json.loads(capsys.readouterr().out)
    assert comparison["rules"]["metric"] == "subset_accuracy"
    assert len(comparison["label_differences"]) == 2
    client = MlflowClient(tracking_uri=store_uri)
    experiment = client.get_experiment_by_name("nlp_rnn")
    runs = client.search_runs([experiment.experiment_id])
    (parent,) = (run for run in runs if run.data.tags["kind"] == "sweep")
    children = [run for run in runs if run.data.tags["kind"] == "train"]
    baselines = [run for run in runs if run.data.tags["kind"] == "baseline"]
    assert {run.data.tags["cell"] for run in baselines} == {
        "majority",
        "linear",
        "ngrams",
        "average",
    }
    assert all("test/micro_f1" in run.data.metrics for run in baselines)
    assert parent.info.status == "FINISHED"
    best = max(children, key=lambda run: run.data.metrics["validation/micro_f1"])
    assert parent.data.metrics["best_validation_micro_f1"] == pytest.approx(
        best.data.metrics["validation/micro_f1"]
    )
    note = parent.data.tags["mlflow.note.content"]
    assert "the micro-F1 of" in note
    assert "accuracy" not in note.replace("subset accuracy", "")
