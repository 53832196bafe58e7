"""Backends of a sweep: what starts its jobs, on this machine, on Slurm or on Ray.

A backend is thin. It starts jobs, says what the operating system or the cluster knows of them, and
cancels them. Whether a job is finished is decided by its records (`job_records`), never by a
backend.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Protocol, runtime_checkable

__all__ = [
    "ClusterBackend",
    "JobBackend",
    "Kind",
    "TaskState",
    "travelling_environment",
]


class Kind(Enum):
    """What a backend knows of a job."""

    waiting = "waiting"
    running = "running"
    ended = "ended"
    cancelled = "cancelled"
    timed_out = "timed out"
    died = "died"
    lost = "lost"
    unknown = "unknown"


@dataclass(frozen=True)
class TaskState:
    """State of a job according to its backend.

    Attributes
    ----------
    kind : Kind
        `died` says that its process is dead, `lost` that it may still write on a machine that is
        disconnected, and `unknown` that the backend does not remember the job.
    reason : str
        Text for the user, such as `OUT_OF_MEMORY`.
    """

    kind: Kind
    reason: str = ""

    @property
    def is_over(self) -> bool:
        """Whether the backend says that the process of the job has ended."""
        return self.kind not in (Kind.waiting, Kind.running, Kind.unknown)


class JobBackend(Protocol):
    """What the supervisor needs to start and watch jobs.

    Attributes
    ----------
    name : str
        Value of `sweep.backend`.
    continues : bool
        Whether jobs go on when the supervisor ends.
    seconds_between_polls : float
        Time that `wait` takes if nothing happens.
    """

    name: str
    continues: bool
    seconds_between_polls: float

    def check(self) -> None:
        """Raise `ConfigError` if no job could be started, before anything is logged."""

    def submit(self, keys: Sequence[str]) -> dict[str, str]:
        """Start jobs, and return their ids by key; without those that have to wait for a limit."""

    def poll(self, ids: Iterable[str]) -> Mapping[str, TaskState]:
        """Return the states of jobs by id."""

    def wait(self, seconds: float) -> None:
        """Wait until something may have changed, at most `seconds`."""

    def close(self) -> None:
        """Release what the backend holds; stop the jobs if they do not continue."""


@runtime_checkable
class ClusterBackend(JobBackend, Protocol):
    """Backend whose jobs continue when the supervisor ends."""

    def submit_after(
        self, ids: Sequence[str], command: Sequence[str], environment: Mapping[str, str], log: Path
    ) -> str:
        """Run a command when jobs have ended, however they did; return its id."""

    def cancel(self, ids: Iterable[str]) -> None:
        """Cancel jobs; those that have ended are not changed."""


def travelling_environment() -> dict[str, str]:
    """Return the variables of the environment that jobs on other machines need."""
    prefixes = ("MLFLOW_", "NLP_RNN_", "HF_", "AWS_")
    names = ("PYTHONPATH",)
    return {k: v for k, v in os.environ.items() if k.startswith(prefixes) or k in names}
