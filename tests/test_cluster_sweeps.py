"""Sweeps on a cluster that waits, requeues and rejects: a backend of the test, and short scripts.

The same on a real Slurm is `tests/test_slurm_slow.py`.
"""

import io
import platform
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest
from mlflow import MlflowClient

from nlp_rnn.cli import main
from nlp_rnn.sweeps.attempts import claim
from nlp_rnn.sweeps.backend_options import without_other_backends
from nlp_rnn.sweeps.backends import Kind, TaskState
from nlp_rnn.sweeps.child_runs import Children
from nlp_rnn.sweeps.job_records import JobRecords
from nlp_rnn.sweeps.jobs import expand_grid
from nlp_rnn.sweeps.progress import JobCounts, SweepProgress
from nlp_rnn.sweeps.supervisor import Supervisor
from nlp_rnn.sweeps.sweep_arguments import compose_sweep
from nlp_rnn.tracking.store import obtain_experiment
from tests.test_earlier_sweeps import ARGUMENTS, client, start_sweep, stored_arguments
from tests.test_sweep import here, store

__all__ = ["client", "here", "store"]  # fixtures


class Cluster:
    """A cluster on which one thing happens at each poll."""

    name = "slurm"
    continues = True
    seconds_between_polls = 0.0

    def __init__(self, *events: Callable[[], None]) -> None:
        self.events, self.submitted = deque(events), list[str]()
        self.state = TaskState(Kind.waiting)

    def check(self) -> None: ...

    def close(self) -> None: ...

    def submit(self, keys: Sequence[str]) -> dict[str, str]:
        self.submitted += keys
        return {key: "1_0" for key in keys}

    def poll(self, ids: Iterable[str]) -> Mapping[str, TaskState]:
        return {task_id: self.state for task_id in ids}

    def wait(self, seconds: float) -> None:
        self.events.popleft()()


class Sweep:
    """Sweep of one job, whose child run is in MLflow."""

    def __init__(self, folder: Path, store: MlflowClient) -> None:
        self.store, self.records = store, JobRecords(folder)
        with compose_sweep(["seed=1"]) as command:
            (self.job,) = expand_grid(command)
        self.experiment = obtain_experiment(store.tracking_uri, "nlp_rnn")
        self.parent = store.create_run(self.experiment, tags={"kind": "sweep"}).info.run_id
        tags = {"kind": "train", "mlflow.parentRunId": self.parent, "job": self.job.key}
        self.run_id = store.create_run(self.experiment, tags=tags).info.run_id
        self.output = io.StringIO()
        store.set_tag(self.parent, "sweep", self.parent[:8])
        store.set_tag(self.parent, "run_folder", str(folder))

    def attempt(self, status: str, error: str = "") -> None:
        """Let a process of the cluster start the job and end."""
        attempt = claim(self.records, self.job.key, self.records.sweep_folder / "job")
        assert attempt is not None
        if status == "FINISHED":
            attempt.accept({"run_id": self.run_id, "metrics": {"test/accuracy": 0.5}})
        attempt.end({"status": status, "error": error})
        self.store.set_terminated(self.run_id, status)

    def supervise(self, cluster: Cluster, attach: bool = False) -> Any:
        lease = claim(self.records, "supervisor", self.records.sweep_folder)
        assert lease is not None
        children = Children(self.store.tracking_uri, self.experiment, self.parent)
        progress = SweepProgress(JobCounts(1, 0), lambda text: None, self.output)
        shared = {"parent": self.parent, "on_failure": "continue"}
        supervisor = Supervisor(cluster, self.records, children, progress, shared, 1, lease, attach)
        end = supervisor.run([self.job])[self.job.key]
        lease.end({"status": "ENDED"})
        return end

    def run(self) -> Any:
        return self.store.get_run(self.run_id)


def test_a_requeued_job_that_is_cancelled_while_it_waits_is_killed(
    here: Path, store: MlflowClient
) -> None:
    sweep = Sweep(here / "swept", store)

    def requeue() -> None:
        sweep.attempt("KILLED", "stopped by SIGTERM")

    def cancel() -> None:
        assert sweep.run().info.status == "RUNNING"  # while it waits
        cluster.state = TaskState(Kind.cancelled, "CANCELLED")

    cluster = Cluster(requeue, cancel)
    end = sweep.supervise(cluster)
    assert (end.status, end.summary) == ("KILLED", "KILLED: stopped by SIGTERM")
    assert sweep.run().info.status == "KILLED"
    assert sweep.run().data.tags["error"] == "stopped by SIGTERM"
    assert cluster.submitted == [sweep.job.key]


def submitted_again(sweep: Sweep) -> None:
    """Let the first attempt fail, and an interrupted supervisor submit the job again."""
    states = sweep.records.states()
    sweep.records.submit({sweep.job.key: "0_0"}, "slurm", states)
    sweep.attempt("FAILED", "DataError: no such file")
    sweep.records.submit({sweep.job.key: "1_0"}, "slurm", sweep.records.states())


def test_attach_waits_for_a_job_that_was_submitted_again(here: Path, store: MlflowClient) -> None:
    sweep = Sweep(here / "swept", store)
    submitted_again(sweep)
    cluster = Cluster(lambda: sweep.attempt("FINISHED"))
    end = sweep.supervise(cluster, attach=True)
    assert end.status == "FINISHED"
    assert not cluster.submitted
    assert "FAILED" not in sweep.output.getvalue()


def test_attach_reports_how_the_last_submission_ended(here: Path, store: MlflowClient) -> None:
    sweep = Sweep(here / "swept", store)
    submitted_again(sweep)
    sweep.attempt("FAILED", "DataError: no such column")
    cluster = Cluster()
    cluster.state = TaskState(Kind.ended)
    end = sweep.supervise(cluster, attach=True)
    assert end.summary == "FAILED: DataError: no such column"
    assert not cluster.submitted


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Write programs of Slurm, shell scripts that log their arguments to a file."""
    folder, log = tmp_path / "bin", tmp_path / "calls"
    folder.mkdir()
    log.touch()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def write(**scripts: str) -> Path:
        for name, script in scripts.items():
            path = folder / name
            path.write_text(f'#!/bin/sh\necho {name} "$@" >> {log}\n{script}\n')
            path.chmod(0o755)
        return log

    return write


@pytest.fixture
def supervisor() -> Iterator["subprocess.Popen[bytes]"]:
    """A process that counts as the supervisor of a sweep."""
    process = subprocess.Popen(["sleep", "60"])
    thread = threading.Thread(target=process.wait)  # otherwise it would remain as a zombie
    thread.start()
    yield process
    process.kill()
    thread.join()


def cancelled(here: Path, store: MlflowClient, process: Any, *backends: str) -> Any:
    """Cancel a sweep of one job that was submitted to `backends`; return its run."""
    sweep = Sweep(here / "swept", store)
    for backend in backends:
        sweep.records.submit({sweep.job.key: "1_0"}, backend, sweep.records.states())
    started = psutil.Process(process.pid).create_time()
    sweep.records.create(
        "supervisor.lease.1",
        {
            "host": platform.node(),
            "process": f"{process.pid} started {started}",
            "backend": backends[-1],
        },
    )
    assert main(["sweep", "cancel", "last"]) == 0
    assert sweep.run().info.status == "KILLED"
    return store.get_run(sweep.parent)


def test_a_sweep_that_was_resumed_on_this_machine_is_cancelled_here(
    here: Path,
    store: MlflowClient,
    programs: Callable[..., Path],
    supervisor: "subprocess.Popen[bytes]",
) -> None:
    calls = programs(scancel="exit 1")
    parent = cancelled(here, store, supervisor, "slurm", "processes")
    assert parent.info.status == "KILLED"
    assert supervisor.poll() is not None
    assert not calls.read_text()


def test_a_sweep_that_was_resumed_on_slurm_is_cancelled_there(
    here: Path,
    store: MlflowClient,
    programs: Callable[..., Path],
    supervisor: "subprocess.Popen[bytes]",
) -> None:
    # the supervisor ends by itself when its jobs have ended
    calls = programs(scancel=f"kill -USR1 {supervisor.pid} || true")
    parent = cancelled(here, store, supervisor, "processes", "slurm")
    assert parent.info.status == "KILLED"
    assert supervisor.poll() == -signal.SIGUSR1
    assert calls.read_text().startswith("scancel --me --name=nlp-rnn-")


def test_status_shows_where_the_last_submission_of_a_job_is(
    here: Path, store: MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = Sweep(here / "swept", store)
    key = sweep.job.key
    sweep.records.write(f"{key}.task", {"name": "gru seed1"})
    sweep.records.submit({key: "7_0"}, "slurm", {})
    assert main(["sweep", "status", "last"]) == 0
    assert "gru seed1  waiting   slurm 7_0\n" in capsys.readouterr().out
    sweep.records.submit({key: key}, "processes", sweep.records.states())
    assert main(["sweep", "status", "last"]) == 0
    assert "gru seed1  waiting\n" in capsys.readouterr().out


def test_a_detached_sweep_without_its_last_job_is_cancelled_and_failed(
    here: Path,
    store: MlflowClient,
    programs: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    calls = programs(
        sbatch="""case "$*" in *--test-only*) exit ;; *--array*) echo 77; exit ;; esac
echo 'sbatch: error: Batch job submission failed: Job dependency problem' >&2; exit 1""",
        scontrol="true",
        scancel="true",
    )
    arguments = ["seed=1,2", "sweep.backend=slurm", "sweep.detach=true", "output_dir=swept"]
    assert main(["train", "-m", *arguments]) == 1
    error = capsys.readouterr().err
    assert "Slurm did not accept the last job: Batch job submission failed" in error
    assert "nlp-rnn train -m resume=" in error
    experiment = obtain_experiment(store.tracking_uri, "nlp_rnn")
    (parent,) = store.search_runs([experiment])
    assert parent.info.status == "FAILED"
    assert "Job dependency problem" in parent.data.tags["error"]
    assert "scancel 77_0 77_1" in calls.read_text()


def test_arrays_that_slurm_accepted_are_cancelled_if_it_rejects_the_next_one(
    here: Path,
    store: MlflowClient,
    programs: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    calls = programs(
        sbatch="""case "$*" in *--test-only*) exit ;; esac
[ -e "$0.once" ] || { touch "$0.once"; echo 77; exit; }
echo 'sbatch: error: Batch job submission failed: Node count' >&2; exit 1""",
        scontrol="echo 'MaxArraySize = 3'",
        scancel="true",
    )
    arguments = ["seed=1,2,3", "sweep.backend=slurm", "sweep.detach=true", "output_dir=swept"]
    assert main(["train", "-m", *arguments]) == 1
    shown = capsys.readouterr()
    assert "Slurm did not accept the jobs: Batch job submission failed: Node count" in shown.err
    assert "continue on the cluster" not in shown.out
    experiment = obtain_experiment(store.tracking_uri, "nlp_rnn")
    (parent,) = store.search_runs([experiment])
    assert parent.info.status == "FAILED"
    assert "scancel 77_0 77_1" in calls.read_text()


def test_options_of_another_backend_stay_with_a_resumed_sweep_without_effect(
    client: MlflowClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [*ARGUMENTS, "sweep.backend=slurm", "slurm.partition=cpu", "slurm.time=90"]
    start_sweep(client, tmp_path / "sweep", [*arguments, "model.ensemble=off"], {})
    resume = ["train", "-m", "resume=last", "sweep.backend=processes"]
    assert main(resume) == 0
    assert "2 of 2 jobs are finished already" in capsys.readouterr().out
    stored = stored_arguments(client)
    assert {"slurm.partition=cpu", "sweep.backend=processes"} < set(stored)
    assert main([*resume, "slurm.time=20"]) == 2
    assert "slurm.… has no effect with sweep.backend=processes" in capsys.readouterr().err
    again = without_other_backends(stored, ["sweep.backend=slurm"])
    assert again == stored
