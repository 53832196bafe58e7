"""Sweeps that earlier versions started: how they are resumed."""

import json
from pathlib import Path

import pytest
from mlflow import MlflowClient

from nlp_rnn.cli import main
from nlp_rnn.sweeps.jobs import Job, expand_grid
from nlp_rnn.sweeps.sweep_arguments import compose_sweep
from nlp_rnn.tracking.store import obtain_experiment

ARGUMENTS = ["model=lstm,gru", "seed=1", "sweep.compare=false", "data.train_rows=200"]


def jobs(*arguments: str) -> tuple[Job, ...]:
    with compose_sweep(arguments) as command:
        return expand_grid(command)


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store_uri: str) -> MlflowClient:
    monkeypatch.chdir(tmp_path)
    return MlflowClient(tracking_uri=store_uri)


def start_sweep(
    client: MlflowClient, folder: Path, arguments: list[str], parameters: dict[str, str]
) -> None:
    """Log a sweep whose jobs, networks alone, have all finished."""
    experiment = obtain_experiment(client.tracking_uri, "nlp_rnn")
    tags = {"kind": "sweep", "run_folder": str(folder), "sweep_arguments": json.dumps(arguments)}
    parent = client.create_run(experiment, tags=tags).info.run_id
    client.set_tag(parent, "sweep", parent[:8])
    client.set_terminated(parent, "KILLED")
    for job in jobs(*ARGUMENTS, "model.ensemble=off"):
        tags = {"kind": "train", "mlflow.parentRunId": parent, "job": job.key}
        child = client.create_run(experiment, tags=tags, run_name=job.name).info.run_id
        for key, value in {"model.cell": job.config.model.cell, **parameters}.items():
            client.log_param(child, key, value)
        client.set_terminated(child)


def stored_arguments(client: MlflowClient) -> list[str]:
    experiment = obtain_experiment(client.tracking_uri, "nlp_rnn")
    (run,) = client.search_runs([experiment], "tags.kind = 'sweep'")
    arguments: list[str] = json.loads(run.data.tags["sweep_arguments"])
    return arguments


def test_a_sweep_from_before_there_were_ensembles_is_resumed_without(
    client: MlflowClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start_sweep(client, tmp_path / "sweep", ARGUMENTS, {})
    assert main(["train", "-m", "sweep.resume=last"]) == 0
    assert "2 of 2 jobs are finished already" in capsys.readouterr().out
    assert "model.ensemble=off" in stored_arguments(client)


def test_a_sweep_with_ensembles_is_resumed_as_it_was(client: MlflowClient, tmp_path: Path) -> None:
    arguments = [*ARGUMENTS, "model.ensemble=off"]
    start_sweep(client, tmp_path / "sweep", arguments, {"model.ensemble": "off"})
    assert main(["train", "-m", "sweep.resume=last"]) == 0
    assert stored_arguments(client) == arguments


@pytest.mark.parametrize("argument", ["model.ngrams=0,2", "experiment=wide"])
def test_an_option_that_was_removed_is_named(
    client: MlflowClient, tmp_path: Path, capsys: pytest.CaptureFixture[str], argument: str
) -> None:
    start_sweep(client, tmp_path / "sweep", [*ARGUMENTS, argument], {})
    assert main(["train", "-m", "sweep.resume=last"]) == 2
    error = capsys.readouterr().err
    assert f"was started with {argument}, which was removed" in error
    (command,) = (line for line in error.splitlines() if "nlp-rnn compare" in line)
    assert "--sweep" in command


def test_an_option_that_was_removed_without_effect_is_left_out(
    client: MlflowClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start_sweep(client, tmp_path / "sweep", [*ARGUMENTS, "model.ngrams=0"], {})
    assert main(["train", "-m", "sweep.resume=last"]) == 0
    assert "2 of 2 jobs are finished already" in capsys.readouterr().out
