"""Random faults in sweeps of eight short jobs: every sweep ends, and no result is lost or doubled.

NLP_RNN_FAULTS=200 NLP_RNN_BACKEND=processes pytest tests/test_sweep_faults_slow.py
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from tests import fake_training
from tests.slurm_cluster import slurm_cluster
from tests.test_sweep import here, store

__all__ = ["here", "store"]  # fixtures

FAULTS = int(os.environ.get("NLP_RNN_FAULTS", "10"))
BACKEND = os.environ.get("NLP_RNN_BACKEND", "processes")
EPOCHS, SEEDS = 5, 8
COMMAND = [sys.executable, "-m", "nlp_rnn", "train", "-m"]
KINDS = ["cancel", "kill", "kill the supervisor", "ctrl-c", "resume twice"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60 * FAULTS + 600)]


@pytest.fixture
def backend(here: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    for name, value in fake_training.environment(0.2, EPOCHS).items():
        monkeypatch.setenv(name, value)
    if BACKEND == "slurm":
        with slurm_cluster() as environment:
            for name, value in environment.items():
                monkeypatch.setenv(name, value)
            yield ["sweep.backend=slurm"]
    elif BACKEND == "ray":
        pytest.importorskip("ray")
        yield ["sweep.backend=ray", "ray.num_cpus=0.5"]
    else:
        yield ["sweep.jobs=2"]


def running(folder: Path) -> list[int]:
    """Processes that hold the lease of a job."""
    numbers = []
    for path in (folder / ".jobs").glob("*.lease.*"):
        key, _, number = path.name.split(".")
        if key != "supervisor" and not (folder / ".jobs" / f"{key}.end.{number}").exists():
            with suppress(OSError, ValueError):
                numbers.append(int(json.loads(path.read_text())["process"].split()[0]))
    return numbers


def cause(kind: str, chance: random.Random, process: Any, folder: Path, here: Path) -> None:
    if kind in ("cancel", "kill"):
        jobs = running(folder)
        number = signal.SIGTERM if kind == "cancel" else signal.SIGKILL
        if jobs:
            with suppress(ProcessLookupError):
                os.kill(chance.choice(jobs), number)
    elif kind == "kill the supervisor":
        process.kill()
    elif kind == "ctrl-c":
        process.send_signal(signal.SIGINT)
    elif kind == "resume twice":
        process.kill()
        process.wait()
        both = [start(here, "resume=last") for _ in range(2)]
        for other in both:
            other.wait(120)


def start(here: Path, *arguments: str) -> "subprocess.Popen[bytes]":
    with (here / "output.txt").open("ab") as out:
        return subprocess.Popen([*COMMAND, *arguments], stdout=out, stderr=out)


def check(here: Path, folder: Path, client: MlflowClient, experiment: str) -> None:
    found = client.get_experiment_by_name(experiment)
    all_runs = client.search_runs([found.experiment_id])
    text = (here / "output.txt").read_text()
    (parent,) = (run for run in all_runs if run.data.tags["kind"] == "sweep")
    children = [run for run in all_runs if run.data.tags["kind"] == "train"]
    finished = [run for run in children if run.info.status == "FINISHED"]
    assert parent.info.status == "FINISHED", text
    assert len(finished) == SEEDS, text
    assert len({run.data.tags["job"] for run in finished}) == SEEDS, text
    assert {run.info.status for run in children} <= {"FINISHED", "KILLED", "FAILED"}, text
    for run in finished:
        record = folder / ".jobs" / f"{run.data.tags['job']}.result"
        accepted = json.loads(record.read_text())
        assert accepted["run_id"] == run.info.run_id, text
        job_folder = Path(accepted["folder"])
        assert json.loads((job_folder / "result.json").read_text())["run_id"] == run.info.run_id
        log = job_folder / "trained.log"
        assert log.read_text().splitlines()[-1].split()[0] == str(EPOCHS)
        assert log.stat().st_mtime <= record.stat().st_mtime + 0.01, "trained after it finished"


def test_every_sweep_ends_whatever_happens(
    here: Path, store: MlflowClient, backend: list[str]
) -> None:
    seed = int(os.environ.get("NLP_RNN_SEED", "1"))
    chance = random.Random(seed)
    for number in range(FAULTS):
        experiment = f"sweep{number}"
        os.environ["MLFLOW_EXPERIMENT_NAME"] = experiment
        folder = here / experiment
        kind = KINDS[number % len(KINDS)]
        seeds = ",".join(map(str, range(1, SEEDS + 1)))
        arguments = [*backend, f"seed={seeds}", "sweep.compare=false", f"output_dir={folder}"]
        process = start(here, *arguments)
        wait = time.monotonic() + 60
        count = chance.randrange(SEEDS)
        while time.monotonic() < wait and process.poll() is None:
            if len(list((folder / ".jobs").glob("*.result"))) >= count and running(folder):
                break
            time.sleep(0.02)
        time.sleep(chance.random())
        cause(kind, chance, process, folder, here)
        process.wait(240)
        for _ in range(4):
            if start(here, "resume=last").wait(240) == 0:
                break
        print(f"{number}: {kind}", flush=True)
        check(here, folder, store, experiment)
