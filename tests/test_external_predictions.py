"""Predictions of other libraries are compared with runs: rows, texts, seeds, labels, errors."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from datasets import Dataset
from mlflow import MlflowClient

from nlp_rnn.cli import main
from nlp_rnn.comparison.compare import compare_runs
from nlp_rnn.comparison.compared_run import Run
from nlp_rnn.comparison.external_predictions import read_external, split_names
from nlp_rnn.comparison.rules import Outcome
from nlp_rnn.comparison.table import table
from nlp_rnn.errors import ComparisonError, ConfigError, DataError
from nlp_rnn.report.report import write_report
from tests.compared_runs import NAMES, RULES, compared, multi_label_runs, two_cells

TEXTS = 500
READ = "nlp_rnn.comparison.external_predictions.read_test_texts"


def labels_of(accuracy: float, seed: int = 0) -> np.ndarray:
    """Labels of the test texts, of which so many are correct."""
    truth = np.arange(TEXTS) % 2
    wrong = np.random.default_rng(seed).random(TEXTS) > accuracy
    return np.asarray(np.where(wrong, 1 - truth, truth))


def write(path: Path, accuracy: float = 0.95, seed: int = 0, **columns: Any) -> Path:
    """Write a file of labels, its rows in another order than those of the test split."""
    labels = labels_of(accuracy, seed)
    frame = pd.DataFrame(
        {"row": np.arange(TEXTS), "prediction": [NAMES[one] for one in labels], **columns}
    )
    frame = frame.sample(frac=1, random_state=0)
    frame.to_csv(path, index=False) if path.suffix == ".csv" else frame.to_parquet(path)
    return path


def with_external(runs: list[Run], **files: list[Path]) -> list[Run]:
    return [*runs, *read_external(files, runs, None)]


def test_one_file_is_compared_with_every_seed(tmp_path: Path) -> None:
    runs = two_cells(TEXTS, gru=0.8, lstm=0.7)
    comparison = compared(with_external(runs, bert=[write(tmp_path / "p.csv", 0.97)]))
    by_name = {one.name: one for one in comparison.configurations}
    assert by_name["bert"].score.mean == pytest.approx(
        100 * (labels_of(0.97) == np.arange(TEXTS) % 2).mean()
    )
    pairs = {(pair.first, pair.second): pair for pair in comparison.differences}
    assert set(pairs) == {
        ("gru h128", "lstm h128"), ("bert", "gru h128"), ("bert", "lstm h128"),
    }  # fmt: skip
    pair = pairs["bert", "gru h128"]
    assert pair.outcome is Outcome.first
    assert pair.matching == ("test texts",)
    bert = by_name["bert"].score.mean
    assert list(pair.by_seed.values()) == pytest.approx(
        [bert - score for score in by_name["gru h128"].scores.values()]
    )
    # the pair of the predictions and the best of the runs by validation
    assert comparison.verdict.startswith("Better: bert is ")
    assert any("bert is one file of predictions" in note for note in comparison.notes)
    assert not any("2 machines" in note for note in comparison.notes)
    chosen = {one.use: one for one in comparison.recommendations}
    assert chosen["most accurate"].choice == "bert"
    assert chosen["low latency"].choice is None
    assert "the latency of bert is not known" in chosen["low latency"].reason
    assert "same test texts" in table(comparison)
    without = compared(runs)
    (before,) = without.differences
    assert pairs["gru h128", "lstm h128"].interval == before.interval


def test_equal_predictions_are_not_better(tmp_path: Path) -> None:
    """One file that is as good as a configuration is called better in at most 5 % of the cases."""
    false = 0
    for trial in range(20):
        runs = two_cells(TEXTS, seed=trial)
        fixed = runs.pop()  # a training of the LSTM, whose predictions are in a file
        assert fixed.predictions is not None
        names = [NAMES[label] for label in fixed.predictions.predictions]
        path = tmp_path / "p.parquet"
        pd.DataFrame({"row": range(TEXTS), "label": names}).to_parquet(path)
        lstm = [run for run in runs if run.cell == "lstm"]
        (comparison,) = compare_runs(with_external(lstm, fixed=[path]), replace(RULES, rope=0.01))
        (pair,) = comparison.differences
        false += pair.outcome in (Outcome.first, Outcome.second)
    # the file is the training itself: a seed that is better by chance is better, but by little
    assert false <= 2


def test_several_files_are_seeds(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"p{seed}.csv", 0.95, seed) for seed in range(3)]
    files = split_names([f"bert={tmp_path}/p*.csv"])
    assert files == {"bert": paths}
    assert split_names([f"bert={path}" for path in paths]) == files
    comparison = compared(with_external(two_cells(TEXTS), **files))
    (bert,) = [one for one in comparison.configurations if one.name == "bert"]
    assert len(bert.scores) == 3
    assert bert.sd > 0
    pairs = {pair.first: pair for pair in comparison.differences}
    assert len(pairs["bert"].by_seed) == 3
    assert any("only the first 3 runs of gru h128" in note for note in comparison.notes)


def test_probabilities_latency_and_the_report(tmp_path: Path) -> None:
    labels = labels_of(0.9)
    shares = {
        f"probability_{name}": np.where(labels == i, 0.9, 0.1) for i, name in enumerate(NAMES)
    }
    paths = [write(tmp_path / "p.parquet", 0.9, **shares, latency_ms=np.arange(TEXTS) / 10)]
    path = tmp_path / "labels.csv"
    comparison = compared(with_external(two_cells(TEXTS), bert=paths, api=[write(path, 0.9)]))
    by_name = {one.name: one for one in comparison.configurations}
    assert by_name["bert"].means["latency/external_batch1_p50_ms"] == pytest.approx(24.95)
    (run,) = by_name["bert"].runs
    assert run.predictions is not None
    np.testing.assert_allclose(run.predictions.probabilities.max(axis=1), 0.9, atol=1e-6)
    report = write_report(comparison, tmp_path / "report")
    page = report.page.read_text(encoding="utf-8")
    assert page.count("bert") > 5
    assert "Labels without probabilities: api." in page
    assert "24.95" in page
    row = next(line for line in table(comparison).splitlines() if line.startswith("bert"))
    assert row.endswith(f"{np.quantile(np.arange(TEXTS) / 10, 0.95):.2f}")


def test_rows_are_matched_by_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"this is the text {number}" for number in range(TEXTS)]
    corpus = SimpleNamespace(
        test=Dataset.from_dict({"row": range(TEXTS), "text": texts}), separator=None
    )
    monkeypatch.setattr(READ, lambda run, uri: (corpus, ("review",), ""))
    runs = two_cells(TEXTS)
    path = write(tmp_path / "p.csv", review=[text.upper() for text in texts], row=[7] * TEXTS)
    (run,) = read_external({"bert": [path]}, runs, None)
    (expected,) = read_external({"bert": [write(tmp_path / "rows.csv")]}, runs, None)
    assert run.predictions is not None
    assert expected.predictions is not None
    np.testing.assert_array_equal(run.predictions.predictions, expected.predictions.predictions)
    frame = pd.read_csv(path)
    frame[frame.review != texts[3].upper()].to_csv(path, index=False)
    with pytest.raises(DataError, match="for 1 of 500 test texts, the first of them in row 3, 'th"):
        read_external({"bert": [path]}, runs, None)
    monkeypatch.setattr(READ, lambda run, uri: (None, (), "it is gone."))
    with pytest.raises(DataError, match="be compared with them: it is gone.\nAdd a column row"):
        read_external({"bert": [path]}, runs, None)


def test_multi_label_predictions(tmp_path: Path) -> None:
    runs = multi_label_runs(texts=200)
    saved = runs[0].predictions
    assert saved is not None
    names = np.array(saved.label_names)
    lists = [list(names[row]) for row in saved.predictions]
    frame = pd.DataFrame({"row": range(200), "labels": lists})
    frame.to_json(tmp_path / "labels.jsonl", orient="records", lines=True)
    # probabilities that would decide otherwise: the labels beside them count
    frame = frame.rename(columns={"labels": "prediction"})
    frame["probabilities"] = (0.45 * saved.probabilities).tolist()
    frame.to_parquet(tmp_path / "both.parquet")
    frame.drop(columns="prediction").to_parquet(tmp_path / "shares.parquet")
    found = read_external(
        {name: [tmp_path / name] for name in ("labels.jsonl", "both.parquet", "shares.parquet")},
        runs,
        None,
    )
    for one in found[:2]:
        assert one.predictions is not None
        np.testing.assert_array_equal(one.predictions.predictions, saved.predictions)
    assert found[2].predictions is not None
    assert not found[2].predictions.predictions.any()  # none reaches 0.5
    comparison = compared([*runs, *found[:1]])
    assert {"labels.jsonl", "gru h128", "lstm h128"} == {c.name for c in comparison.configurations}


def test_errors_say_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = two_cells(TEXTS)
    path = write(tmp_path / "p.csv")
    for value, message in (
        ("bert", "without a name"),
        ("=x.csv", "without a name"),
        ("bert=missing-*.csv", "missing-.* does not exist"),
    ):
        with pytest.raises(ConfigError, match=message):
            split_names([value])
    with pytest.raises(ComparisonError, match="a configuration has this name already"):
        read_external({"gru h128 texts": [path]}, runs, None)
    others = [replace(run, digest="d2") for run in two_cells(TEXTS)]
    with pytest.raises(ComparisonError, match="these are on 2: .*\nSet --sweep ID"):
        read_external({"bert": [path]}, [*runs, *others], None)
    bare = [replace(run, predictions=None) for run in runs]
    with pytest.raises(ComparisonError, match="needs a run with saved predictions"):
        read_external({"bert": [path]}, bare, None)
    frame = pd.read_csv(path)
    for changed, message in (
        (frame.assign(prediction="maybe"), "the data has no label 'maybe'"),
        (frame.rename(columns={"prediction": "x"}), "no column of predictions that is recognized"),
        (frame.assign(latency_ms="slow"), "a value that is no time in milliseconds"),
        (frame[["row", "prediction"]][:400].assign(row=range(400)), "for 100 of 500 test texts"),
    ):
        changed.to_csv(path, index=False)
        with pytest.raises(DataError, match=message) as error:
            read_external({"bert": [path]}, runs, None)
        assert len(str(error.value).splitlines()) == 2
        assert "teacher" not in str(error.value)
    assert main(["compare", "--predictions", "bert"]) == 2
    assert main(["compare", "--predictions"]) == 2
    assert "--predictions needs a value" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_reads_the_texts_of_the_data(
    tmp_path: Path, store_uri: str, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NLP_RNN_CACHE", str(tmp_path / "cache"))
    arguments = ["data.train_rows=200", "data.test_rows=60", "model.hidden_size=8", "model=gru"]
    arguments += ["trainer.max_epochs=1", "tracking.speed=none", "model.ensemble=off"]
    for seed in (1, 2, 3):
        assert main(["train", *arguments, f"seed={seed}"]) == 0
    (run, *_) = MlflowClient(tracking_uri=store_uri).search_runs(["1"])
    from nlp_rnn.comparison.read import read_runs, read_test_texts

    corpus, columns, _ = read_test_texts(read_runs(store_uri)[0], store_uri)
    assert corpus is not None
    assert columns == ("text",)
    labels = [corpus.labels[label] for label in corpus.test["label"]]
    frame = pd.DataFrame({"text": corpus.test["text"], "label": labels})
    frame.to_csv("perfect.csv", index=False)
    capsys.readouterr()
    command = ["compare", "--predictions", "perfect=perfect.csv", "--output", "report"]
    assert main(command) == 0
    output = capsys.readouterr().out
    assert "perfect" in output
    assert "100.00" in output
    assert "Labels without probabilities: perfect." in Path("report/report.html").read_text()
    assert main([*command[:3], "--json"]) == 0
    (comparison,) = json.loads(capsys.readouterr().out)
    assert [pair["first"] for pair in comparison["differences"]] == ["gru h8"]
    assert run.info.status == "FINISHED"
