"""Jobs of a sweep whose processes die, with a launcher that plays prepared steps."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pytest

from nlp_rnn.errors import SweepError
from nlp_rnn.sweeps.child_runs import Child, Children
from nlp_rnn.sweeps.jobs import Job, expand_grid
from nlp_rnn.sweeps.launcher import Launcher
from nlp_rnn.sweeps.sweep_arguments import compose_sweep

DEAD = RuntimeError("A worker was terminated. It may have wanted too much memory.\n\n{SIGKILL}")


class Known(Children):
    """The runs of jobs, in memory."""

    def __init__(self) -> None:
        self.runs: dict[str, Child] = {}
        self.reasons: dict[str, str] = {}

    def become(self, job: Job, status: str) -> None:
        self.runs[job.key] = Child(job.key, f"run of {job.key}", job.name, status, 1.0, {}, {})

    def read(self, patience: float = 0) -> dict[str, Child]:
        return dict(self.runs)

    def close(self, status: str, reason: str, keys: Iterable[str] | None = None) -> None:
        for key in keys or ():
            child = self.runs[key]
            self.runs[key] = Child(key, child.run_id, child.name, status, 1.0, {}, {})
            self.reasons[key] = reason


Doing = Callable[[Known, Sequence[Job]], Exception | None]


def launched(
    folder: Path, monkeypatch: pytest.MonkeyPatch, steps: list[Doing], stop: bool = False
) -> tuple[list[str], Known, list[str]]:
    """Return the seeds of each launch, the runs at the end, and their statuses by seed."""
    known, groups = Known(), list[str]()

    def launch(launcher: Launcher, jobs: Sequence[Job], extra: object) -> Exception | None:
        groups.append("".join(job.name[-1] for job in jobs))
        return steps.pop(0)(known, jobs)

    monkeypatch.setattr(Launcher, "_launch", launch)
    arguments = ["seed=1,2,3,4", *(["sweep.on_failure=stop"] if stop else [])]
    with compose_sweep(arguments) as command:
        jobs = expand_grid(command)
        Launcher(command, "sqlite://", folder, "parent", known).launch(jobs)
    return groups, known, [known.runs[job.key].status for job in jobs]


def all_finish(known: Known, jobs: Sequence[Job]) -> None:
    for job in jobs:
        known.become(job, "FINISHED")


def two_start_and_one_dies(known: Known, jobs: Sequence[Job]) -> Exception:
    for job in jobs[:2]:
        known.become(job, "RUNNING")
    return DEAD


def none_starts(known: Known, jobs: Sequence[Job]) -> Exception:
    return DEAD


def test_jobs_beside_a_dead_process_run_again_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = [two_start_and_one_dies, all_finish, all_finish, two_start_and_one_dies]
    groups, known, statuses = launched(tmp_path, monkeypatch, steps)
    assert groups == ["1234", "34", "1", "2"]
    assert statuses == ["FINISHED", "FAILED", "FINISHED", "FINISHED"]
    (*_, reason) = known.reasons.values()
    assert reason.endswith("out of memory: RuntimeError: A worker was terminated")


def test_no_other_job_starts_if_the_first_failure_stops_the_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def one_dies(known: Known, jobs: Sequence[Job]) -> Exception:
        known.become(jobs[0], "RUNNING")
        return DEAD

    def none_starts_after_the_stop(known: Known, jobs: Sequence[Job]) -> None:
        assert (tmp_path / ".stopped").exists()
        for job in jobs:
            known.become(job, "KILLED")

    steps = [one_dies, none_starts_after_the_stop]
    _, _, statuses = launched(tmp_path, monkeypatch, steps, stop=True)
    assert statuses == ["FAILED", "KILLED", "KILLED", "KILLED"]


def test_if_no_job_had_started_each_is_tried_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups, _, statuses = launched(tmp_path, monkeypatch, [none_starts, *[all_finish] * 4])
    assert groups == ["1234", "1", "2", "3", "4"]
    assert set(statuses) == {"FINISHED"}
    with pytest.raises(SweepError, match=r"seed1 did not start: RuntimeError: A worker was"):
        launched(tmp_path, monkeypatch, [none_starts] * 2)
