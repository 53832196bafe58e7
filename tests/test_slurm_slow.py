"""Sweeps on a real Slurm of one node: cancelled, killed, requeued and limited jobs; resume; detach.

The training is that of `tests/fake_training.py`, except in one test.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from tests import fake_training
from tests.slurm_cluster import slurm_cluster
from tests.test_sweep import SMALL, here, runs, store

__all__ = ["here", "store"]  # fixtures

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

COMMAND = [sys.executable, "-m", "nlp_rnn"]
SWEEP = ["train", "-m", "sweep.compare=false", "sweep.backend=slurm", "output_dir=swept"]
EPOCHS = 12


@pytest.fixture(scope="module", params=[False, True], ids=["no accounting", "accounting"])
def cluster(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    with slurm_cluster(accounting=request.param) as environment:
        yield environment


@pytest.fixture
def slurm(
    cluster: dict[str, str], here: Path, store: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> Iterator[MlflowClient]:
    for name, value in (cluster | fake_training.environment(0.5, EPOCHS)).items():
        monkeypatch.setenv(name, value)
    yield store
    subprocess.run(["scancel", "--me"])
    wait_until(lambda: not output("squeue", "-h", "--me"))


@pytest.fixture
def hold(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """File without which jobs end."""
    path = here / "hold"
    path.touch()
    monkeypatch.setenv(fake_training.HOLD, str(path))
    return path


def output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True).stdout


def wait_until(condition: Callable[[], Any], seconds: float = 120) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.2)
    text = Path("output.txt").read_text() if Path("output.txt").exists() else ""
    logs = "\n".join(path.read_text() for path in Path("swept/.jobs").glob("*.log"))
    raise AssertionError(text + logs + output("squeue", "-r", "-t", "all"))


def start(*arguments: str) -> "subprocess.Popen[bytes]":
    with Path("output.txt").open("a") as out:
        return subprocess.Popen([*COMMAND, *SWEEP, *arguments], stdout=out, stderr=out)


def trained(seed: int) -> list[str]:
    logs = Path("swept").glob(f"*seed{seed}-*/trained.log")
    return [line for path in logs for line in path.read_text().splitlines()]


def all_train(*seeds: int) -> bool:
    return all(trained(seed) for seed in seeds)


def task_of(seed: int) -> str:
    (lease,) = (
        path
        for path in Path("swept/.jobs").glob("*.lease.*")
        if f"seed{seed}-" in json.loads(path.read_text())["folder"]
    )
    return str(json.loads(lease.read_text())["id"])


def statuses(store: MlflowClient) -> dict[str, str]:
    return {name[-5:]: run.info.status for name, run in runs(store)[1].items()}


def test_one_cancelled_job_of_four_stays_killed(slurm: MlflowClient) -> None:
    process = start("seed=1,2,3,4")
    wait_until(lambda: all_train(1, 2, 3, 4))
    subprocess.run(["scancel", task_of(2)], check=True)
    assert process.wait(120) == 1
    text = Path("output.txt").read_text()
    assert "gru h128 seed2  KILLED: stopped by SIGTERM" in text
    parent, children = runs(slurm)
    assert f"Resume it with: nlp-rnn train -m resume={parent.data.tags['sweep']}" in text
    assert statuses(slurm) == {
        "seed1": "FINISHED",
        "seed2": "KILLED",
        "seed3": "FINISHED",
        "seed4": "FINISHED",
    }
    assert parent.info.status == "KILLED"
    assert all(len(trained(seed)) == EPOCHS for seed in (1, 3, 4))
    for run in children.values():
        assert re.fullmatch(r"\d+_\d", run.data.tags["slurm_id"])
        assert run.data.tags["mlflow.source.name"] == "nlp-rnn"
        assert run.data.tags["cores"] == "1"

    done = subprocess.run([*COMMAND, "train", "-m", "resume=last", "slurm.time=20"])
    assert done.returncode == 0
    assert set(statuses(slurm).values()) == {"FINISHED"}
    assert all(len(trained(seed)) == EPOCHS for seed in (1, 3, 4))
    assert [line.split()[0] for line in trained(2)].count(str(EPOCHS)) == 1


def test_a_cancelled_array_is_a_killed_sweep(slurm: MlflowClient) -> None:
    process = start("seed=1,2,3,4,5,6")  # four run, two wait
    wait_until(lambda: all_train(1, 2, 3, 4))
    subprocess.run(["scancel", task_of(1).partition("_")[0]], check=True)
    assert process.wait(120) == 1
    parent, children = runs(slurm)
    assert parent.info.status == "KILLED"
    assert {run.info.status for run in children.values()} == {"KILLED"}
    assert len(children) == 4
    assert "6 of 6 jobs did not finish" in Path("output.txt").read_text()
    assert not output("squeue", "-h", "--me")


def test_a_killed_process_is_started_again_and_its_neighbour_is_not(slurm: MlflowClient) -> None:
    process = start("seed=1,2")
    wait_until(lambda: all_train(1, 2))
    os.kill(int(trained(1)[-1].split()[1]), signal.SIGKILL)
    assert process.wait(180) == 0, Path("output.txt").read_text()
    assert "seed1  its process died" in Path("output.txt").read_text()
    _, children = runs(slurm)
    assert statuses(slurm) == {"seed1": "FINISHED", "seed2": "FINISHED"}
    assert len(trained(2)) == EPOCHS
    assert children["gru h128 seed1"].data.tags["attempt"] == "2"
    assert [line.split()[0] for line in trained(1)].count(str(EPOCHS)) == 1


def test_after_ctrl_c_resume_attaches_to_the_jobs(slurm: MlflowClient, hold: Path) -> None:
    process = start("seed=1,2,3,4,5")
    wait_until(lambda: all_train(1, 2, 3, 4))
    wait_until(lambda: "4 running, 1 waiting" in Path("output.txt").read_text())
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    text = Path("output.txt").read_text()
    assert "5 jobs continue on the cluster" in text
    assert "nlp-rnn sweep cancel" in text
    assert len(output("squeue", "-h", "-r", "--me").splitlines()) == 5
    hold.unlink()
    assert subprocess.run([*COMMAND, "train", "-m", "resume=last"]).returncode == 0
    parent, children = runs(slurm)
    assert parent.info.status == "FINISHED"
    assert len(children) == 5
    assert set(statuses(slurm).values()) == {"FINISHED"}
    assert all(len(trained(seed)) == EPOCHS for seed in range(1, 6))


def test_a_time_limit_is_killed_and_resumed(
    slurm: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(fake_training.SECONDS, "2")
    monkeypatch.setenv(fake_training.EPOCHS, "60")
    process = start("seed=1", "slurm.time=2", "slurm.margin=20")
    assert process.wait(300) == 1
    _, children = runs(slurm)
    (run,) = children.values()
    assert run.info.status == "KILLED"
    assert run.data.tags["error"] == "stopped by the time limit (SIGUSR1)"
    epochs = len(trained(1))
    assert epochs > 0
    monkeypatch.setenv(fake_training.SECONDS, "0")
    done = subprocess.run([*COMMAND, "train", "-m", "resume=last", "slurm.time=20"])
    assert done.returncode == 0
    assert set(statuses(slurm).values()) == {"FINISHED"}
    assert len(trained(1)) <= 60 + 1


def test_a_requeued_job_is_running_while_it_waits_and_a_finished_one_stays(
    slurm: MlflowClient,
) -> None:
    process = start("seed=1,2")
    wait_until(lambda: all_train(1, 2))
    task = task_of(1)
    subprocess.run(["scontrol", "requeue", task], check=True)
    wait_until(lambda: "the cluster will start it again" in Path("output.txt").read_text())
    wait_until(lambda: statuses(slurm)["seed1"] == "RUNNING", 20)
    wait_until(lambda: len(trained(2)) == EPOCHS)
    result = next(Path("swept").glob("*seed2-*/result.json"), None)
    wait_until(lambda: next(Path("swept").glob("*seed2-*/result.json"), None))
    # Slurm lets a requeued job wait for two minutes
    subprocess.run(["scontrol", "update", f"JobId={task}", "StartTime=now"], check=True)
    assert process.wait(240) == 0, Path("output.txt").read_text()
    assert set(statuses(slurm).values()) == {"FINISHED"}
    _, children = runs(slurm)
    assert len(children) == 2
    assert len(trained(2)) == EPOCHS
    result = next(Path("swept").glob("*seed2-*/result.json"))
    before = result.read_bytes()
    subprocess.run(["scontrol", "requeue", task_of(2)])  # it has finished
    time.sleep(3)
    assert result.read_bytes() == before
    assert len(trained(2)) == EPOCHS


def test_wrong_options_leave_no_run(slurm: MlflowClient) -> None:
    for _ in range(2):
        done = subprocess.run(
            [*COMMAND, *SWEEP, "seed=1,2", "slurm.partition=gpus"], capture_output=True, text=True
        )
        assert done.returncode == 2
        assert "Invalid partition name" in done.stderr
        assert len(done.stderr.splitlines()) <= 2
    assert not slurm.search_runs(["0", "1"])


def test_a_detached_sweep_ends_by_itself_and_can_be_cancelled(
    slurm: MlflowClient, hold: Path
) -> None:
    done = subprocess.run(
        [*COMMAND, *SWEEP, "seed=1,2", "sweep.detach=true"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    wait_until(lambda: all_train(1, 2))
    parent, _ = runs(slurm)
    assert parent.info.status == "RUNNING"
    status = output(*COMMAND, "sweep", "status", "last")
    assert re.search(r"gru h128 seed1 +running +slurm \d+_0 on \S+, seen \d s ago", status), status
    hold.unlink()
    wait_until(lambda: runs(slurm)[0].info.status == "FINISHED")
    assert set(statuses(slurm).values()) == {"FINISHED"}
    assert "2 finished; FINISHED in MLflow" in output(*COMMAND, "sweep", "status", "last")

    hold.touch()
    done = subprocess.run(
        [*COMMAND, *SWEEP[:-1], "output_dir=other", "seed=3,4", "sweep.detach=true"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    wait_until(lambda: list(Path("other").glob("*/trained.log")))
    assert "nlp-rnn train -m resume=" in output(*COMMAND, "sweep", "cancel", "last")
    wait_until(lambda: not output("squeue", "-h", "--me"))
    every_run = slurm.search_runs(["1"])
    assert sorted(run.info.status for run in every_run if run.info.start_time) == sorted(
        ["FINISHED"] * 3 + ["KILLED"] * 3
    )


def test_the_store_and_the_experiment_travel_with_a_job(
    slurm: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "reviews")
    process = start("seed=1", "slurm.options=--export=NONE", f"slurm.setup={setup_lines()}")
    assert process.wait(120) == 0, Path("output.txt").read_text()
    experiment = slurm.get_experiment_by_name("reviews")
    assert len(slurm.search_runs([experiment.experiment_id])) == 2


def setup_lines() -> str:
    names = ("PYTHONPATH", fake_training.SECONDS, fake_training.EPOCHS, "PATH")
    return "; ".join(f"export {name}={os.environ[name]}" for name in names)


def test_a_real_training(
    cluster: dict[str, str], here: Path, store: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in cluster.items():
        monkeypatch.setenv(name, value)
    done = subprocess.run([*COMMAND, *SWEEP, *SMALL, "model=lstm,gru", "seed=1"])
    assert done.returncode == 0
    parent, children = runs(store)
    assert {run.info.status for run in [parent, *children.values()]} == {"FINISHED"}
    assert {run.data.params["trainer.threads"] for run in children.values()} == {"1"}
