"""A sweep on a real Ray cluster of two nodes on this machine, with a killed worker."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from mlflow import MlflowClient

from tests import fake_training
from tests.test_sweep import here, runs, store

__all__ = ["here", "store"]  # fixtures

ray = pytest.importorskip("ray", reason="pip install 'nlp_rnn[ray]'")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
COMMAND = [sys.executable, "-m", "nlp_rnn"]
SWEEP = ["train", "-m", "sweep.compare=false", "sweep.backend=ray", "output_dir=swept"]


@pytest.fixture
def address(here: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Address of a cluster whose two nodes have two cores each."""
    for name, value in fake_training.environment(seconds=0.5, epochs=6).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("RAY_DISABLE_IMPORT_WARNING", "1")
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    cluster = cluster_utils.Cluster(
        initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False}
    )
    cluster.add_node(num_cpus=2)
    yield cluster.address
    cluster.shutdown()


def train(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*COMMAND, *SWEEP, *arguments], capture_output=True, text=True)


def trained(seed: int) -> list[str]:
    logs = Path("swept").glob(f"*seed{seed}-*/trained.log")
    return [line for path in logs for line in path.read_text().splitlines()]


def test_two_nodes_give_the_same_parent_and_children(store: MlflowClient, address: str) -> None:
    done = train("model=lstm,gru", "seed=1,2", f"ray.address={address}")
    assert done.returncode == 0, done.stderr + done.stdout
    parent, children = runs(store)
    assert sorted(children) == [
        "gru h128 seed1",
        "gru h128 seed2",
        "lstm h128 seed1",
        "lstm h128 seed2",
    ]
    assert {run.info.status for run in [parent, *children.values()]} == {"FINISHED"}
    assert {len(run.data.tags["ray_id"]) for run in children.values()} == {48}
    assert parent.data.tags["progress"] == "4/0/4"


def test_only_a_killed_worker_starts_again(store: MlflowClient, address: str) -> None:
    with Path("output.txt").open("w") as output:
        process = subprocess.Popen(
            [*COMMAND, *SWEEP, "seed=1,2", f"ray.address={address}"], stdout=output, stderr=output
        )
    end = time.monotonic() + 120
    while not (trained(1) and trained(2)) and time.monotonic() < end:
        time.sleep(0.1)
    os.kill(int(trained(1)[-1].split()[1]), signal.SIGKILL)
    assert process.wait(120) == 0, Path("output.txt").read_text()
    assert "seed1  its process died" in Path("output.txt").read_text()
    assert len(trained(2)) == 6
    _, children = runs(store)
    assert {run.info.status for run in children.values()} == {"FINISHED"}
    assert children["gru h128 seed1"].data.tags["attempt"] == "2"


def test_ctrl_c_leaves_nothing_running(store: MlflowClient, address: str) -> None:
    with Path("output.txt").open("w") as output:
        process = subprocess.Popen(
            [*COMMAND, *SWEEP, "seed=1,2", f"ray.address={address}"], stdout=output, stderr=output
        )
    end = time.monotonic() + 120
    while not (trained(1) and trained(2)) and time.monotonic() < end:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130, Path("output.txt").read_text()
    parent, children = runs(store)
    assert {run.info.status for run in [parent, *children.values()]} == {"KILLED"}
    done = subprocess.run([*COMMAND, "train", "-m", "resume=last"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    _, children = runs(store)
    assert {run.info.status for run in children.values()} == {"FINISHED"}


def test_a_wrong_address_leaves_no_run(store: MlflowClient, here: Path) -> None:
    done = train("seed=1,2", "ray.address=127.0.0.1:1")
    assert done.returncode == 2
    assert "There is no Ray cluster at ray.address=127.0.0.1:1" in done.stderr
    assert len(done.stderr.splitlines()) <= 2
    assert not store.search_runs(["1"])
    assert psutil.Process().children(recursive=True) == []
