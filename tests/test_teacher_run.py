"""Runs with a teacher: what they log, save and say, from the command line and from Python."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import nlp_rnn
from nlp_rnn.cli import main
from tests.test_ensemble_run import SMALL, texts_of, write_data

QUICK = ["data=files", "model=ngrams", "tracking.system_metrics=false", "tracking.speed=none"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store_uri: str) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NLP_RNN_CACHE", str(tmp_path / "cache"))
    write_data(tmp_path / "data")
    frame = pd.DataFrame(texts_of(90, 7), columns=["text", "label"])
    frame[["text"]].to_csv("pool.csv", index=False)
    return tmp_path


def rows_of(here: Path, split: str) -> list[dict[str, Any]]:
    return [
        json.loads(line) for line in (here / "data" / f"{split}.jsonl").read_text().splitlines()
    ]


def test_a_run_scores_and_describes_its_teacher(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from mlflow import MlflowClient

    predictions = [{"text": text, "prediction": label.upper()} for text, label in texts_of(90, 7)]
    predictions += [
        {"text": row["text"], "prediction": "bad" if index < 6 else row["label"]}
        for split in ("train", "validation", "test")
        for index, row in enumerate(rows_of(here, split))
    ]
    pd.DataFrame(predictions).to_json("llm.jsonl", orient="records", lines=True)
    options = ["data.path=data", "data.unlabelled=pool.csv", "output_dir=one"]
    assert main(["train", *QUICK, *options, "teacher=predictions", "teacher.path=llm.jsonl"]) == 0
    result = json.loads((here / "one" / "result.json").read_text())
    metrics, output = result["metrics"], capsys.readouterr().out
    test = rows_of(here, "test")
    wrong = sum(row["label"] != "bad" for row in test[:6])
    assert metrics["test/teacher_accuracy"] == pytest.approx(1 - wrong / len(test))
    assert metrics["teacher/unlabelled_texts"] > 50
    assert "teacher: accuracy" in output
    assert (
        f"  teacher          {100 * metrics['validation/teacher_accuracy']:5.1f} %"[:12] in output
    )
    assert "of the teacher's accuracy" in output
    assert "  n-grams, labelled texts only " in output
    assert "Labels of training texts on which the teacher agrees least:" in output
    assert (here / "one" / "summary.txt").read_text() in output.replace("\r", "")
    client = MlflowClient(tracking_uri=result["tracking_uri"])
    run = client.get_run(result["run_id"])
    assert run.data.params["teacher.kind"] == "predictions"
    assert run.data.params["teacher.name"] == "llm.jsonl"
    assert run.data.tags["teacher"] == "predictions llm.jsonl"
    assert run.data.metrics["test/teacher_accuracy"] == metrics["test/teacher_accuracy"]
    assert "teacher.json" in [file.path for file in client.list_artifacts(result["run_id"])]
    classifier = nlp_rnn.load(result["classifier"])
    assert classifier.config["provenance"]["teacher"]["digest"] == run.data.params["teacher.digest"]
    card = (here / "one" / "classifier" / "README.md").read_text()
    assert "## Teacher" in card
    assert "`llm.jsonl` (kind: predictions; digest " in card
    assert f"accuracy is {metrics['test/teacher_accuracy']:.2%}" in card


def test_without_true_labels_the_run_says_that_nothing_measures_the_accuracy(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pd.DataFrame(texts_of(120, 7), columns=["text", "label"]).to_csv("llm.csv", index=False)
    paths = ["data.path=llm.csv", "teacher.path=llm.csv", "output_dir=one"]
    assert main(["train", *SMALL, *paths, "teacher=predictions"]) == 0
    output = capsys.readouterr().out
    assert "All labels are predictions of the teacher: nothing measures the true accuracy" in output
    assert "of the teacher's accuracy" not in output
    metrics = json.loads((here / "one" / "result.json").read_text())["metrics"]
    assert "test/teacher_accuracy" not in metrics
    card = (here / "one" / "classifier" / "README.md").read_text()
    assert "nothing measures the true accuracy" in card


def test_a_teacher_in_memory_is_saved_with_the_run(here: Path) -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    def function(texts: list[str]) -> np.ndarray:
        return np.tile([0.2, 0.3, 0.5], (len(texts), 1))

    estimator = make_pipeline(TfidfVectorizer(), LogisticRegression(C=30))
    table = pd.DataFrame(
        [{"text": t, "label": label, "score": 0.9} for t, label in texts_of(90, 7)]
    )
    pool = [text for text, _ in texts_of(90, 7)]
    rows = rows_of(here, "train")
    for row in rows[:3]:
        row["label"] = {"bad": "good", "good": "fair", "fair": "bad"}[row["label"]]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (here / "data" / "train.jsonl").write_text(lines)
    options = dict(overrides=QUICK[1:], data="data", unlabelled=pool)
    for name, teacher in (("estimator", estimator), ("function", function), ("table", table)):
        run = nlp_rnn.train(teacher=teacher, output_dir=name, **options)
        saved = pd.read_parquet(here / name / "teacher" / "predictions.parquet")
        assert run.metrics["teacher/unlabelled_texts"] == len(set(pool) & set(saved["text"]))
        if name == "estimator":  # a text is not predicted by a model that was fitted to it
            assert run.metrics["train/teacher_agreement"] < 1
            assert run.metrics["test/teacher_accuracy"] > 0.8
        assert ("test/teacher_accuracy" in run.metrics) == (name != "table")
    again = nlp_rnn.train(teacher=str(here / "estimator"), output_dir="student", **options)
    assert again.metrics["test/teacher_accuracy"] > 0.8
    assert again.metrics["latency/teacher_batch1_p50_ms"] > 0
    with pytest.raises(nlp_rnn.errors.DataError, match="teacher is a int"):
        nlp_rnn.train(teacher=3, output_dir="wrong", **options)
    assert not (here / "wrong").exists()
