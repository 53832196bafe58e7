"""Jobs of a sweep that are stopped, die or freeze: only they are affected, and none runs twice."""

import json
import os
import platform
import signal
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import psutil
import pytest
from mlflow import MlflowClient

from nlp_rnn.cli import main
from nlp_rnn.errors import SupersededError
from nlp_rnn.sweeps import attempts
from nlp_rnn.sweeps.attempts import claim, holder_of, is_finished
from nlp_rnn.sweeps.job_records import DIED, JobRecords
from nlp_rnn.sweeps.job_run import run_job
from tests import fake_training, warm
from tests.test_sweep import here, runs, store

__all__ = ["here", "store"]  # fixtures


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def set_up(**options: Any) -> None:
        for name, value in fake_training.environment(**options).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("nlp_rnn.pipeline.train", fake_training.train)
        monkeypatch.setattr("nlp_rnn.pipeline.resume", fake_training.resume)
        monkeypatch.setattr("nlp_rnn.sweeps.job_run.complete", fake_training.complete)

    return set_up


def start(*arguments: str) -> ForkServerProcess:
    command = ["nlp-rnn", "train", "-m", "sweep.compare=false", "sweep.jobs=2", *arguments]
    return warm.start([*command, "output_dir=swept"], Path("output.txt"), Path("output.txt"))


def wait_until(condition: Callable[[], Any], seconds: float = 90) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError(Path("output.txt").read_text())


def trained(seed: int) -> list[str]:
    """Epochs of a job, each with the process that trained it."""
    logs = Path("swept").glob(f"*seed{seed}-*/trained.log")
    return [line for path in logs for line in path.read_text().splitlines()]


def process_of(seed: int) -> int:
    return int(trained(seed)[-1].split()[1])


def both_train() -> bool:
    return bool(trained(1) and trained(2))


def test_a_job_that_gets_sigterm_stays_killed_and_its_neighbour_is_not_touched(
    here: Path, store: MlflowClient, fake: Callable[..., None]
) -> None:
    fake(seconds=0.2, epochs=8)
    process = start("seed=1,2")
    wait_until(both_train)
    os.kill(process_of(1), signal.SIGTERM)
    process.join(90)
    output = Path("output.txt").read_text()
    assert process.exitcode == 1, output
    assert "gru h128 seed1  KILLED: stopped by SIGTERM" in output
    parent, children = runs(store)
    assert f"Resume it with: nlp-rnn train -m resume={parent.data.tags['sweep']}" in output
    assert {name: run.info.status for name, run in children.items()} == {
        "gru h128 seed1": "KILLED",
        "gru h128 seed2": "FINISHED",
    }
    assert len({line.split()[1] for line in trained(2)}) == 1
    assert [line.split()[0] for line in trained(2)] == [str(n) for n in range(1, 9)]
    assert parent.info.status == "KILLED"

    assert main(["train", "-m", "resume=last", "sweep.jobs=1"]) == 0
    again, after = runs(store)
    assert again.info.status == "FINISHED"
    assert {name: run.info.run_id for name, run in after.items()} == {
        name: run.info.run_id for name, run in children.items()
    }
    assert {run.info.status for run in after.values()} == {"FINISHED"}
    assert [line.split()[0] for line in trained(1)].count("8") == 1  # it continued
    assert len(trained(2)) == 8


@pytest.mark.slow
def test_a_job_that_dies_is_started_again_once_and_then_fails(
    here: Path, store: MlflowClient, fake: Callable[..., None]
) -> None:
    fake(seconds=0.2, epochs=12)
    process = start("seed=1,2")
    wait_until(both_train)
    first = process_of(1)
    os.kill(first, signal.SIGKILL)
    second = wait_until(lambda: process_of(1) if process_of(1) != first else 0)
    os.kill(second, signal.SIGKILL)
    process.join(90)
    output = Path("output.txt").read_text()
    assert process.exitcode == 1, output
    reason = "its process died (SIGKILL, perhaps out of memory)"
    assert f"seed1  {reason}; it is started again (1 of 1)" in output
    assert f"seed1  FAILED: {reason}" in output
    parent, children = runs(store)
    assert parent.info.status == "FAILED"
    statuses = {name[-5:]: run.info.status for name, run in children.items()}
    assert statuses == {"seed1": "FAILED", "seed2": "FINISHED"}
    assert len(trained(2)) == 12
    epochs = [int(line.split()[0]) for line in trained(1)]
    assert epochs == sorted(epochs)  # the second process continued from the checkpoint
    assert parent.data.tags["progress"] == "1/1/2"


@pytest.mark.slow
def test_workers_end_with_a_supervisor_that_is_killed(
    here: Path, store: MlflowClient, fake: Callable[..., None]
) -> None:
    fake(seconds=0.3, epochs=20)
    process = start("seed=1,2")
    wait_until(both_train)
    workers = [psutil.Process(process_of(seed)) for seed in (1, 2)]
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert not alive
    _, children = runs(store)
    assert {run.info.status for run in children.values()} == {"KILLED"}
    fake(seconds=0, epochs=20)
    assert main(["train", "-m", "resume=last", "sweep.jobs=1"]) == 0
    _, after = runs(store)
    assert {run.info.status for run in after.values()} == {"FINISHED"}
    assert {run.info.run_id for run in after.values()} == {
        run.info.run_id for run in children.values()
    }


def test_a_sweep_has_one_supervisor(
    here: Path,
    store: MlflowClient,
    fake: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    fake(epochs=1)
    assert main(["train", "-m", "seed=1", "sweep.compare=false", "output_dir=swept"]) == 0
    capsys.readouterr()
    lease = claim(JobRecords(here / "swept"), "supervisor", here / "swept")
    assert lease is not None
    assert main(["train", "-m", "resume=last"]) == 2
    assert f"process {os.getpid()} on {platform.node()} supervises it" in capsys.readouterr().err
    lease.end({"status": "ENDED"})
    assert main(["train", "-m", "resume=last", "sweep.restarts=2"]) == 0
    assert "1 of 1 jobs are finished already." in capsys.readouterr().out


def records_of_one_job(folder: Path, uri: str) -> JobRecords:
    from nlp_rnn.config.compose import compose
    from nlp_rnn.config.signature import plain

    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("tests")
    parent = client.create_run(
        experiment.experiment_id if experiment else client.create_experiment("tests")
    )
    records = JobRecords(folder)
    records.write(
        "k.task",
        {
            "parent": parent.info.run_id,
            "tracking_uri": uri,
            "experiment": "tests",
            "on_failure": "continue",
            "config": plain(compose([])),
            "overrides": [],
            "command": "nlp-rnn train",
            "name": "gru",
            "name_parts": [],
            "folder": "gru",
            "search": None,
        },
    )
    return records


def children_of(uri: str) -> list[Any]:
    client = MlflowClient(tracking_uri=uri)
    return list(client.search_runs(["1"], "tags.job = 'k'"))


def test_a_finished_job_is_not_trained_again_whoever_starts_it(
    tmp_path: Path, store_uri: str, fake: Callable[..., None]
) -> None:
    fake(seconds=0, epochs=2)
    records = records_of_one_job(tmp_path / "swept", store_uri)
    for _ in range(3):
        run_job(tmp_path / "swept", "k")
    assert len((tmp_path / "swept/gru/trained.log").read_text().splitlines()) == 2
    (run,) = children_of(store_uri)
    assert run.info.status == "FINISHED"

    # a process that died after its result was accepted, and before MLflow had it
    (tmp_path / "swept/gru/result.json").unlink()
    (records.folder / "k.end.1").unlink()
    lease = json.loads((records.folder / "k.lease.1").read_text())
    records.write("k.lease.1", lease | {"process": "1 started 1.0"})
    MlflowClient(tracking_uri=store_uri).update_run(run.info.run_id, status="RUNNING")
    run_job(tmp_path / "swept", "k")
    assert len((tmp_path / "swept/gru/trained.log").read_text().splitlines()) == 2
    (run,) = children_of(store_uri)
    assert run.info.status == "FINISHED"
    result = json.loads((tmp_path / "swept/gru/result.json").read_text())
    assert result["run_id"] == run.info.run_id
    assert is_finished(records, "k", records.state("k"))


@pytest.mark.parametrize("first", ["the frozen process", "the new process"])
def test_of_a_frozen_process_and_its_successor_one_result_is_accepted(
    tmp_path: Path, store_uri: str, fake: Callable[..., None], first: str
) -> None:
    fake(seconds=0, epochs=3)
    records = records_of_one_job(tmp_path / "swept", store_uri)
    wake, frozen = threading.Event(), threading.Event()
    train = fake_training.train

    def train_and_freeze(config: Any, folder: Path, *rest: Any) -> Any:
        membership = rest[-1]
        check = membership.on_epoch

        def on_epoch(event: Any) -> None:
            check(event)
            if folder.name == "gru" and not frozen.is_set():
                frozen.set()
                wake.wait(30)

        object.__setattr__(membership, "on_epoch", on_epoch)
        if first == "the frozen process" and folder.name != "gru":
            wake.set()
            old.join(30)
        return train(config, folder, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nlp_rnn.pipeline.train", train_and_freeze)
        patch.setattr("nlp_rnn.pipeline.resume", train_and_freeze_resumed(train_and_freeze))
        if first == "the frozen process":  # it does not see its successor in time
            patch.setattr(attempts.Attempt, "check", lambda self: None)
        patch.setattr(attempts, "SECONDS_BETWEEN_BEATS", 1000)
        old = threading.Thread(target=run_job, args=(tmp_path / "swept", "k"))
        old.start()
        assert frozen.wait(30)
        lease = records.folder / "k.lease.1"
        os.utime(lease, (0, 0))  # no heartbeat for a long time
        run_job(tmp_path / "swept", "k")
        wake.set()
        old.join(30)
    accepted = records.read("k.result")
    winner = "gru" if first == "the frozen process" else "gru-2"
    assert Path(accepted["folder"]).name == winner
    statuses = {run.data.tags["attempt"]: run.info.status for run in children_of(store_uri)}
    assert statuses == {"1": "FINISHED", "2": "KILLED"} or statuses == {
        "1": "KILLED",
        "2": "FINISHED",
    }
    assert statuses[str(accepted["attempt"])] == "FINISHED"
    assert accepted["run_id"] in {
        run.info.run_id for run in children_of(store_uri) if run.info.status == "FINISHED"
    }
    assert claim(records, "k", tmp_path / "swept/gru") is None


def train_and_freeze_resumed(train: Callable[..., Any]) -> Callable[..., Any]:
    def resume(folder: Path, membership: Any) -> Any:
        from nlp_rnn.config.compose import read_config

        return train(read_config(folder / "config.yaml"), folder, [], membership)

    return resume


def test_one_of_many_processes_gets_the_lease(tmp_path: Path) -> None:
    records = JobRecords(tmp_path)
    winners: list[int] = []
    barrier = threading.Barrier(16)

    def compete(number: int) -> None:
        barrier.wait()
        if records.create("k.lease.1", {"number": number}):
            winners.append(number)

    threads = [threading.Thread(target=compete, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = winners
    assert records.read("k.lease.1") == {"number": winner}
    assert not list(records.folder.glob("*.part"))


def test_who_holds_a_lease_decides_who_may_continue_and_where(tmp_path: Path) -> None:
    records, folder = JobRecords(tmp_path), tmp_path / "job"
    first = claim(records, "k", folder)
    assert first is not None
    assert (first.number, first.folder, first.previous) == (1, folder, None)
    assert claim(records, "k", folder) is None  # this process is alive

    content = records.read("k.lease.1")
    records.write("k.lease.1", content | {"process": "1 started 1.0"})  # it died on this machine
    second = claim(records, "k", folder)
    assert second is not None
    assert (second.number, second.folder, second.previous) == (2, folder, None)
    assert records.read("k.end.1")["status"] == DIED
    with pytest.raises(SupersededError):
        first.check()

    records.write("k.lease.2", content | {"host": "elsewhere"})
    assert claim(records, "k", folder) is None  # its heartbeat is new
    os.utime(records.folder / "k.lease.2", (0, 0))
    holder = holder_of(records, "k", records.state("k"), records.now())
    assert holder is not None
    assert not holder.alive
    assert not holder.surely_dead
    third = claim(records, "k", folder)
    assert third is not None
    assert (third.folder, third.previous) == (tmp_path / "job-3", folder)
    third.accept({"run_id": "3"})
    third.accept({"run_id": "3"})  # again, after an interruption
    with pytest.raises(SupersededError, match="result of another attempt was accepted"):
        second.accept({"run_id": "2"})
    third.end({"status": "FINISHED"})
    assert claim(records, "k", folder) is None


def test_ray_that_is_not_installed_says_how_to_have_it(
    here: Path,
    store: MlflowClient,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["train", "-m", "seed=1,2", "sweep.backend=ray"]) == 2
    assert "pip install 'nlp_rnn[ray]'" in capsys.readouterr().err
    assert not store.search_runs(["0"])


def test_slurm_needs_its_commands(
    here: Path,
    store: MlflowClient,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert main(["train", "-m", "seed=1,2", "sweep.backend=slurm"]) == 2
    assert "there is no sbatch on the PATH" in capsys.readouterr().err
