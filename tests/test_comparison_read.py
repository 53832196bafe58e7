"""Runs are read from an MLflow store, with the baselines of a sweep, and quickly."""

import json
import sqlite3
import time
import uuid
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nlp_rnn.cli import main
from nlp_rnn.comparison.read import read_runs, with_predictions
from nlp_rnn.errors import ComparisonError
from nlp_rnn.scoring.predictions import write_predictions
from tests.compared_runs import run as made
from tests.compared_runs import two_cells


def file_of(uri: str) -> Path:
    return Path(uri.removeprefix("sqlite:///"))


def fill(uri: str, runs: int, more: int = 0, configuration_tag: str = "configuration") -> None:
    """Write `runs` copies of a run of each cell into the store, with seeds from 1, and predictions.

    As MLflow would, but within a second; `more` parameters and metrics pad them to the size of
    true ones.
    """
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    root = file_of(uri).parent / "artifacts"
    experiment = client.create_experiment("nlp_rnn", artifact_location=root.as_uri())
    templates = two_cells(texts=300, seeds=5)
    rows: dict[str, list[tuple[object, ...]]] = {
        name: [] for name in ("runs", "params", "metrics", "latest", "tags", "inputs", "input_tags")
    }
    dataset = uuid.uuid4().hex
    for number in range(runs * 2):
        cell, seed = ("gru", "lstm")[number % 2], number // 2 + 1
        like = templates[(number % 2) * 5 + (seed - 1) % 5]
        run_id = uuid.uuid4().hex
        folder = root / run_id / "artifacts"
        if seed <= 5:
            assert like.predictions is not None
            (folder / "predictions").mkdir(parents=True)
            write_predictions(folder / "predictions" / "test_predictions.parquet", like.predictions)
        ended: tuple[object, ...] = (None, "", "active", folder.as_uri(), int(experiment))
        begun = (run_id, f"{cell} seed{seed}", "LOCAL", "", "", "me", "FINISHED", number, number)
        rows["runs"].append((*begun, *ended))
        config = {**like.config, "seed": str(seed)} | {f"more.key{i}": "1" for i in range(more)}
        metrics = {**like.metrics} | {f"more/metric{i}": 1.0 for i in range(more)}
        tags = {
            **like.tags,
            configuration_tag: like.configuration_name,
            "host": "here",
            "sweep": "s1" if seed < 3 else "",
        }
        rows["params"] += [(key, value, run_id) for key, value in config.items()]
        rows["metrics"] += [(k, v, 1, run_id, 0, 0) for k, v in metrics.items()]
        rows["latest"] += [(k, v, 1, 0, 0, run_id) for k, v in metrics.items()]
        rows["tags"] += [(key, value, run_id) for key, value in tags.items()]
        inputs = uuid.uuid4().hex
        rows["inputs"].append((inputs, "DATASET", dataset, "RUN", run_id, 0))
        rows["input_tags"].append((inputs, "mlflow.data.context", "test"))
    columns = {
        "runs": "runs(run_uuid, name, source_type, source_name, entry_point_name, user_id, status,"
        " start_time, end_time, deleted_time, source_version, lifecycle_stage, artifact_uri,"
        " experiment_id)",
        "params": "params(key, value, run_uuid)",
        "metrics": "metrics(key, value, timestamp, run_uuid, step, is_nan)",
        "latest": "latest_metrics(key, value, timestamp, step, is_nan, run_uuid)",
        "tags": "tags(key, value, run_uuid)",
        "inputs": "inputs(input_uuid, source_type, source_id, destination_type, destination_id,"
        " step)",
        "input_tags": "input_tags(input_uuid, name, value)",
    }
    with sqlite3.connect(file_of(uri)) as store:
        store.execute(
            "insert into datasets(dataset_uuid, experiment_id, name, digest, dataset_source_type,"
            " dataset_source) values (?, ?, 'texts test', 'd1', 'code', '{}')",
            (dataset, int(experiment)),
        )
        for name, columns_of in columns.items():
            marks = ", ".join("?" * len(rows[name][0]))
            store.executemany(f"insert into {columns_of} values ({marks})", rows[name])
    store.close()


def test_the_runs_of_a_store_are_read_and_compared(
    store_uri: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(store_uri, 5)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store_uri)
    runs = read_runs(store_uri, "nlp_rnn")
    assert len(runs) == 10
    assert [each.name for each in runs[:2]] == ["gru seed1", "lstm seed1"]  # oldest first
    assert runs[0].config["model.cell"] == "gru"
    assert runs[0].metrics["train/seconds"] == 60
    assert (runs[0].seed, runs[0].digest, runs[0].machine) == (1, "d1", "here")
    assert runs[0].predictions is None
    (predicted,) = with_predictions(store_uri, runs[:1])
    expected = two_cells(texts=300, seeds=5)[0].predictions
    assert predicted.predictions is not None
    assert expected is not None
    np.testing.assert_array_equal(predicted.predictions.predictions, expected.predictions)
    assert len(read_runs(store_uri, None, "s1")) == 4
    with pytest.raises(ComparisonError, match="no runs in the sweep s2"):
        read_runs(store_uri, "nlp_rnn", "s2")
    with pytest.raises(ComparisonError, match="no MLflow experiment 'other'"):
        read_runs(store_uri, "other")
    assert main(["compare"]) == 0
    text = capsys.readouterr().out
    assert "gru h128" in text
    assert "majority class" in text
    assert main(["compare", "--sweep", "s1", "--json"]) == 0
    assert '"outcome": "inconclusive"' in capsys.readouterr().out
    assert main(["compare", "--by", "model.cel"]) == 2
    assert "No run has the key 'model.cel'" in capsys.readouterr().err
    assert main(["compare", "--metric", "loss"]) == 2
    assert main(["compare", "--rope", "0"]) == 2
    assert main(["compare", "gru"]) == 2
    assert "takes only options" in capsys.readouterr().err


def test_baselines_of_the_same_data_come_with_a_sweep(store_uri: str) -> None:
    from mlflow import MlflowClient
    from mlflow.entities import Dataset, DatasetInput, InputTag

    fill(store_uri, 5)
    client = MlflowClient(tracking_uri=store_uri)
    experiment = client.get_experiment_by_name("nlp_rnn").experiment_id

    def baseline(cell: str, digest: str, parent: str = "") -> str:
        tags = {"kind": "baseline", "cell": cell, "mlflow.parentRunId": parent}
        made = client.create_run(experiment, run_name=f"{cell} {digest}", tags=tags)
        data = Dataset("texts test", digest, "code", "{}")
        inputs = DatasetInput(data, [InputTag("mlflow.data.context", "test")])
        client.log_inputs(made.info.run_id, [inputs])
        client.set_terminated(made.info.run_id)
        return str(made.info.run_id)

    parent = client.create_run(experiment, tags={"kind": "sweep", "sweep": "s1"}).info.run_id
    baseline("average", "d1", parent)
    baseline("linear", "d1", "another")  # an earlier sweep of the same data made it
    baseline("linear", "d2", "another")
    baseline("average", "d1", "another")  # of another network, for all that is known
    for word in ("s1", parent):
        found = read_runs(store_uri, "nlp_rnn", word)
        baselines = [run.name for run in found if run.kind == "baseline"]
        assert sorted(baselines) == ["average d1", "linear d1"], word
    assert len(read_runs(store_uri, "nlp_rnn", "s1")) == 4 + 2


def test_baselines_that_a_sweep_was_compared_with_come_with_it(store_uri: str) -> None:
    from mlflow import MlflowClient

    fill(store_uri, 5)
    client = MlflowClient(tracking_uri=store_uri)
    experiment = client.get_experiment_by_name("nlp_rnn").experiment_id

    def run(**tags: str) -> str:
        made = client.create_run(experiment, run_name=tags["kind"], tags=tags)
        client.set_terminated(made.info.run_id)
        return str(made.info.run_id)

    earlier, other = (run(kind="baseline", cell="average") for _ in range(2))
    tags = {"kind": "sweep", "sweep": "s2", "baselines": f"{earlier} {'0' * 32}"}
    parent = client.create_run(experiment, tags=tags).info.run_id
    run(kind="train", cell="gru", **{"mlflow.parentRunId": parent})
    for word in ("s2", parent):
        found = [each.run_id for each in read_runs(store_uri, "nlp_rnn", word)]
        assert earlier in found, word
        assert other not in found, word


def test_runs_are_paired_by_requested_values_and_keep_the_resolved_ones(store_uri: str) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=store_uri)
    experiment = client.create_experiment("nlp_rnn")
    requested = {
        "trainer.max_epochs": None,
        "trainer.precision": "auto",
        "trainer.compile": True,
        "optimizer.learning_rate": 0.001,
        "data.text": ["a", "b"],
        "seed": 3,
    }
    for name, tag in (("new", json.dumps(requested)), ("old", None), ("damaged", "{")):
        run_id = client.create_run(experiment, run_name=name).info.run_id
        for key in requested:
            client.log_param(run_id, key, "14")
        client.log_param(run_id, "model.cell", "gru")
        if tag is not None:
            client.set_tag(run_id, "requested", tag)
        client.set_terminated(run_id)
    new, old, damaged = read_runs(store_uri, "nlp_rnn")
    assert new.config == {
        "trainer.max_epochs": "None",
        "trainer.precision": "auto",
        "trainer.compile": "True",
        "optimizer.learning_rate": "0.001",
        "data.text": "['a', 'b']",
        "seed": "3",
        "model.cell": "gru",
        "model.ensemble": "off",  # earlier versions had no ensembles
    }
    assert new.seed == 3
    assert new.resolved["trainer.max_epochs"] == "14"
    assert old.config == damaged.config == dict(new.resolved) | {"model.ensemble": "off"}
    assert old.resolved == new.resolved


@pytest.mark.parametrize("old", [False, True])
def test_a_store_with_the_tags_of_older_versions_is_read_alike(store_uri: str, old: bool) -> None:
    from mlflow import MlflowClient
    from mlflow.entities import Dataset, DatasetInput, InputTag

    fill(store_uri, 5, configuration_tag="group" if old else "configuration")
    client = MlflowClient(tracking_uri=store_uri)
    experiment = client.get_experiment_by_name("nlp_rnn").experiment_id
    ids = {}
    for cell in ("average", "linear"):
        tags = {"kind": "control" if old else "baseline", "cell": cell}
        tags["group" if old else "configuration"] = f"{cell} texts"
        ids[cell] = client.create_run(experiment, run_name=cell, tags=tags).info.run_id
        data = Dataset("texts test", "d1", "code", "{}")
        inputs = [DatasetInput(data, [InputTag("mlflow.data.context", "test")])]
        client.log_inputs(ids[cell], inputs)
        client.set_terminated(ids[cell])
    tags = {"kind": "sweep", "sweep": "s1", "controls" if old else "baselines": ids["average"]}
    client.create_run(experiment, tags=tags)
    runs = read_runs(store_uri, "nlp_rnn", "s1")  # with the linear one of another sweep
    assert [run.name for run in runs if run.kind == "baseline"] == ["average", "linear"]
    names = {"gru h128 texts gru00000", "lstm h128 texts lstm0000", "average texts", "linear texts"}
    assert {run.configuration_name for run in runs} == names


def test_a_missing_store_is_reported_and_not_created(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["compare"]) == 1
    assert "There are no runs at sqlite:///" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_thousand_runs_are_read_in_less_than_ten_seconds(store_uri: str) -> None:
    fill(store_uri, 500, more=60)
    start = time.perf_counter()
    runs = read_runs(store_uri, "nlp_rnn")
    took = time.perf_counter() - start
    assert len(runs) == 1000
    assert len(runs[0].config) > 60
    assert took < 10, took
    print(f"{took:.1f} s")


def test_unrelated_runs_are_counted_and_left_alone() -> None:
    from nlp_rnn.comparison.compare import compare_runs
    from nlp_rnn.comparison.rules import Rules

    strangers = [
        made("", i, None, run_id=f"s{i}", signature="", tags={"signature": ""}) for i in range(500)
    ]
    strangers = [replace(each, signature="", digest="") for each in strangers]
    others = [made("gru", i, None, signature=f"x{i}", digest=f"d{i + 2}") for i in range(500)]
    (found,) = compare_runs([*two_cells(texts=200), *strangers, *others], Rules(resamples=200))
    assert len(found.configurations) == 2
    assert any("500 runs were left out (not made by nlp-rnn train)" in note for note in found.notes)
    assert any(
        "500 runs were trained on 500 other versions of data" in note for note in found.notes
    )


def test_a_thousand_configurations_of_a_search_are_paired_quickly() -> None:
    """Each with the one that has its learning rate, and not with the 499 others."""
    from nlp_rnn.comparison.pair import pair_configurations
    from nlp_rnn.comparison.rules import Rules

    runs = [
        made(cell, 1, None, signature=f"{cell}{i}", config={"optimizer.learning_rate": str(i)})
        for cell in ("gru", "lstm")
        for i in range(500)
    ]
    start = time.perf_counter()
    found = pair_configurations(runs, Rules())
    assert time.perf_counter() - start < 3
    assert len(found.pairs) == 500
    assert found.not_comparable == ()
    for pair in found.pairs:
        rates = [
            found.configurations[name][0].config["optimizer.learning_rate"]
            for name in (pair.first, pair.second)
        ]
        assert rates[0] == rates[1]
