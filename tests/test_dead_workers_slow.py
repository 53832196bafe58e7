"""A worker of two dies: no job beside it fails, and one that brings it down again does."""

import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from mlflow import MlflowClient

from tests.test_sweep import COMMAND, SMALL, here, runs, store

__all__ = ["here", "store"]  # fixtures

LONG = [
    "trainer.max_epochs=30",
    "trainer.patience=30",
    "data.train_rows=1000",
    "trainer.checkpoint_minutes=0",
    "sweep.compare=false",
    "sweep.jobs=2",
    "hydra.sweep.dir=swept",
]


def training() -> dict[Path, str]:
    """What the jobs that are under way have printed, by folder."""
    logs = {path.parent: path.read_text() for path in Path("swept").glob("*/output.log")}
    return {
        folder: log
        for folder, log in logs.items()
        if "epoch " in log
        if not (folder / "result.json").exists()
    }


def wait_for(count: int, seconds: float = 120) -> list[psutil.Process]:
    """joblib's workers, once so many jobs have come to an epoch since now."""
    began = {folder: len(log) for folder, log in training().items()}
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        further = [f for f, log in training().items() if len(log) > began.get(f, 0)]
        if len(further) >= count:
            return [
                process
                for process in psutil.Process().children(recursive=True)
                if process.status() != psutil.STATUS_ZOMBIE
                if any("LokyProcess" in word for word in process.cmdline())
            ]
        time.sleep(0.05)
    raise AssertionError(Path("output.txt").read_text())


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_only_a_job_that_dies_alone_has_failed(here: Path, store: MlflowClient) -> None:
    output = Path("output.txt")
    with output.open("w") as out:
        command = [*COMMAND, "-m", *SMALL, *LONG, "seed=1,2,3,4"]
        process = subprocess.Popen(command, stdout=out, stderr=out)
    os.kill(wait_for(2)[0].pid, signal.SIGKILL)
    time.sleep(3)  # until the launcher has ended the other worker too
    while len(runs(store)[1]) < 4:  # seeds 3 and 4, which had not begun, come first
        time.sleep(1)
    while len([r for r in runs(store)[1].values() if r.info.status == "FINISHED"]) < 2:
        time.sleep(1)
    for worker in wait_for(1):
        os.kill(worker.pid, signal.SIGKILL)
    code = process.wait(200)
    text = output.read_text()
    assert code == 1, text
    assert "1 of 4 jobs did not finish" in text
    assert text.count("its process died") == 2  # when it happens, and at the end
    parent, children = runs(store)
    statuses = sorted(run.info.status for run in children.values())
    assert statuses == ["FAILED", "FINISHED", "FINISHED", "FINISHED"]
    assert parent.data.tags["progress"] == "3/1/4"
