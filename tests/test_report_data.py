"""Curves and texts are loaded again if they exist, and reported as missing otherwise."""

from dataclasses import replace
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from nlp_rnn.cli import main
from nlp_rnn.comparison.records import Comparison
from nlp_rnn.config.signature import plain
from nlp_rnn.data.corpus import load_corpus
from nlp_rnn.report.report_data import read_curves, read_texts
from nlp_rnn.runs.resolve import with_absolute_paths
from tests.composing import compose
from tests.made_comparison import configuration_of, made_comparison, made_run
from tests.test_comparison_read import fill


def test_curves_and_texts_come_back(store_uri: str, tmp_path: Path) -> None:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

    rows = "".join(f"text number {i},{'ab'[i % 2]}\n" for i in range(60))
    (tmp_path / "t.csv").write_text("text,label\n" + rows)
    config = compose(
        ["data=files", f"data.path={tmp_path / 't.csv'}", "data.text=text", "data.label=label"]
    )
    config = with_absolute_paths(config)
    corpus = load_corpus(config.data)
    client = MlflowClient(tracking_uri=store_uri)
    experiment = client.create_experiment("e", artifact_location=(tmp_path / "a").as_uri())
    run_id = client.create_run(experiment).info.run_id
    client.log_text(run_id, OmegaConf.to_yaml(OmegaConf.create(plain(config))), "config.yaml")
    history = [(1, 0.5, 10_000), (2, 0.7, 12_000), (3, 0.6, 16_000), (4, 0.71, 20_000)]
    client.log_batch(
        run_id, [Metric("validation/accuracy", value, at, step) for step, value, at in history]
    )
    old = client.create_run(experiment).info.run_id  # one that logged nothing
    metrics = {
        "test/accuracy": 0.7, "train/epochs": 3.0, "train/updates": 30.0, "train/seconds": 7.5,
    }  # fmt: skip
    runs = (
        made_run("gru h128", 1, None, run_id=run_id, metrics=metrics),
        made_run("gru h128", 2, None, run_id=old, metrics=metrics),
    )
    made = replace(made_comparison(configurations=1, seeds=1, texts=20), digest=corpus.digest)

    def with_digest(digest: str) -> Comparison:
        of_digest = tuple(replace(run, digest=digest) for run in runs)
        return replace(made, configurations=(configuration_of("gru h128", of_digest),))

    comparison = with_digest(corpus.digest)
    curves = read_curves(comparison, store_uri)
    assert list(curves) == [run_id]
    assert curves[run_id].updates == (10, 20, 30)
    assert curves[run_id].seconds == (1.5, 3.5, 7.5)  # the last epoch ended with the training
    assert curves[run_id].scores == pytest.approx((50, 70, 60))  # without the finished one's 71

    texts, _ = read_texts(comparison, store_uri)
    assert texts == dict(zip(corpus.test["row"], corpus.test["text"], strict=True))
    assert read_texts(with_digest("another"), store_uri) == (
        None,
        "the data has changed since the runs.",
    )
    (tmp_path / "t.csv").unlink()
    texts, why = read_texts(comparison, store_uri)
    assert texts is None
    assert "could not be loaded" in why
    assert "did not log" in read_texts(with_digest(""), store_uri)[1]


def test_compare_writes_a_report(
    store_uri: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fill(store_uri, 3)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store_uri)
    monkeypatch.chdir(tmp_path)
    assert main(["compare", "--output", "said"]) == 0
    assert f"report        {tmp_path / 'said' / 'report.html'}" in capsys.readouterr().out
    page = (tmp_path / "said" / "report.html").read_text(encoding="utf-8")
    assert "gru h128" in page
    assert "Only the rows are shown" in page
    (tmp_path / "file").write_text("mine")
    assert main(["compare", "--output", "file"]) == 1
    assert "file cannot be written" in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "mine"
