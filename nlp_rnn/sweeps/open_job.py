"""A job that has not ended yet, as the supervisor of the sweep sees it."""

import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nlp_rnn.config.signature import plain
from nlp_rnn.sweeps.attempts import Holder
from nlp_rnn.sweeps.backends import Kind, TaskState
from nlp_rnn.sweeps.child_runs import score_text
from nlp_rnn.sweeps.job_records import DIED
from nlp_rnn.sweeps.jobs import Job
from nlp_rnn.sweeps.progress import JobEnd

__all__ = ["OpenJob", "end_without_record", "job_end", "killed", "task_content"]

SECONDS_TO_RECORD = 10.0
"""Time in which the record of an end becomes visible on a network disk."""


@dataclass
class OpenJob:
    """A job that has not ended yet.

    Attributes
    ----------
    job : Job
        The job.
    since : int
        Number of the last attempt before this supervisor; its end does not count.
    task_id : str or None
        Id at the backend; None if the job has to be given to it.
    deaths : int
        How often its process died.
    over_since : float or None
        Since when the backend has said that the process has ended.
    is_foreign : bool
        Whether a process works on it that this supervisor did not start.
    is_requeued : bool
        Whether the cluster has stopped it and will start it again.
    state : TaskState
        Last state according to the backend.
    """

    job: Job
    since: int
    task_id: str | None = None
    deaths: int = 0
    over_since: float | None = None
    is_foreign: bool = False
    is_requeued: bool = False
    state: TaskState = field(default_factory=lambda: TaskState(Kind.unknown))

    def waits_for_record(self) -> bool:
        """Return whether the record of its end may still become visible."""
        self.over_since = self.over_since or time.monotonic()
        return time.monotonic() - self.over_since < SECONDS_TO_RECORD


def killed(lease: Mapping[str, Any], reason: str) -> dict[str, Any]:
    """Return the record of the end of an attempt that was killed."""
    return {**lease, "status": "KILLED", "error": reason}


def end_without_record(state: TaskState, holder: Holder | None) -> dict[str, Any]:
    """Return the record of the end of a job whose process ended without writing one.

    Parameters
    ----------
    state : TaskState
        How it ended according to the backend.
    holder : Holder or None
        Process that held the lease of the job; None if no process had started it.
    """
    content = dict(holder.content) if holder else {}
    if state.kind in (Kind.cancelled, Kind.timed_out):
        cancelled = state.kind is Kind.cancelled
        text = f"cancelled ({state.reason})" if cancelled else "the time limit"
        return killed(content, f"stopped by {text}" if holder else f"{text}, not started")
    error = f"its process died ({state.reason or 'no reason'})"
    return content | {"may_write": state.kind is Kind.lost, "status": DIED, "error": error}


def job_end(end: Mapping[str, Any]) -> JobEnd:
    """Return how a job ended, from the record of the end of its last attempt."""
    status = str(end["status"])
    finished, pruned = status == "FINISHED", bool(end.get("pruned"))
    error = " ".join(str(end.get("error") or "the reason is unknown").split())
    if finished:
        summary = score_text(end.get("metrics", {}))
    else:
        summary = error if pruned else f"{status}: {error}"
    return JobEnd(status, summary, finished or pruned, end.get("seconds"))


def task_content(
    job: Job, shared: Mapping[str, Any], search: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return the record of a job, from which any process can run it.

    Parameters
    ----------
    job : Job
        The job.
    shared : mapping
        What the tasks of all jobs have in common.
    search : mapping or None
        Study and trial that the job reports to.
    """
    return {
        **shared,
        "config": plain(job.config),
        "overrides": list(job.overrides),
        "command": shlex.join(["nlp-rnn", "train", *job.overrides]),
        "name": job.name,
        "name_parts": list(job.name_parts),
        "folder": job.folder,
        "search": dict(search) if search else None,
    }
