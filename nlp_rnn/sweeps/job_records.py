"""Records of the jobs of a sweep: small files in its folder that every process can read.

The state of a job follows from these files alone. They are created once and never changed, except
for the time of a lease, so that any number of processes on any machines can read and create them.
A record is created with a hard link, which is atomic on NFS too and needs no lock.

| record | created by | content |
|---|---|---|
| `KEY.task` | the supervisor | configuration of the job, folder, address of the MLflow store |
| `KEY.submit.M` | the supervisor | backend, the id that the job has there, and the attempt before |
| `KEY.lease.N` | the job | attempt N: host, process, folder; its time is the heartbeat |
| `KEY.end.N` | the job, or the supervisor if the process died | status and scores of attempt N |
| `KEY.result` | the job | `result.json` of the one attempt whose result is accepted |
"""

import json
import os
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["DIED", "RECORDS", "STOPPED", "SUPERVISOR", "JobRecords", "JobState"]

RECORDS = ".jobs"
"""Folder of the records in the folder of the sweep."""

STOPPED = ".stopped"
"""File in the folder of the sweep; while it exists, no further job starts."""

SUPERVISOR = "supervisor"
"""Key of the lease of the process that supervises the sweep."""

DIED = "DIED"
"""Status of an attempt whose process ended without a word."""


@dataclass
class JobState:
    """What the records of one job say.

    Attributes
    ----------
    leases, ends, submissions : dict of int
        Numbers of the records that exist; the value of a lease is its last heartbeat.
    result : bool
        Whether a result was accepted.
    """

    leases: dict[int, float] = field(default_factory=dict)
    ends: set[int] = field(default_factory=set)
    submissions: set[int] = field(default_factory=set)
    result: bool = False

    @property
    def attempt(self) -> int:
        """Number of the last attempt, 0 before the first."""
        return max(self.leases, default=0)

    @property
    def ended(self) -> bool:
        """Whether the last attempt has ended."""
        return self.attempt in self.ends


class JobRecords:
    """Reads and creates the records of one sweep.

    Attributes
    ----------
    sweep_folder : Path
        Folder of the sweep.
    folder : Path
        Folder of the records.
    """

    def __init__(self, sweep_folder: Path) -> None:
        """Name the folders; nothing is created yet."""
        self.sweep_folder = sweep_folder
        self.folder = sweep_folder / RECORDS

    def create(self, name: str, content: Mapping[str, Any]) -> bool:
        """Create a record; return False if it exists already.

        Exactly one of several processes that create the same record gets True.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        path, temporary = self.folder / name, self.folder / f"{uuid.uuid4().hex}.part"
        # 0600, because the address of the store may contain a password
        with os.fdopen(os.open(temporary, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
            file.write(json.dumps(content) + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)
        except FileExistsError:
            # NFS repeats a request whose response was lost; the number of links is the truth
            return temporary.stat().st_nlink == 2
        finally:
            temporary.unlink(missing_ok=True)
        return True

    def write(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a record, or replace it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = self.folder / f"{uuid.uuid4().hex}.part"
        with os.fdopen(os.open(temporary, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
            file.write(json.dumps(content) + "\n")
        os.replace(temporary, self.folder / name)

    def read(self, name: str) -> dict[str, Any]:
        """Return the content of a record; empty if it does not exist."""
        try:
            content = json.loads((self.folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    def states(self) -> dict[str, JobState]:
        """Return the states of all jobs by key, from one listing of the folder."""
        states: dict[str, JobState] = {}
        with suppress(FileNotFoundError), os.scandir(self.folder) as entries:
            for entry in entries:
                key, _, rest = entry.name.partition(".")
                kind, _, number = rest.partition(".")
                if kind not in ("task", "lease", "end", "submit", "result"):
                    continue
                state = states.setdefault(key, JobState())
                if kind == "lease":
                    with suppress(FileNotFoundError):
                        state.leases[int(number)] = entry.stat().st_mtime
                elif kind == "end":
                    state.ends.add(int(number))
                elif kind == "submit":
                    state.submissions.add(int(number))
                elif kind == "result":
                    state.result = True
        return states

    def state(self, key: str) -> JobState:
        """Return the state of one job."""
        return self.states().get(key, JobState())

    def now(self) -> float:
        """Return the time by the clock of the disk, which also gives the heartbeats their time."""
        clock = self.folder / f"clock-{os.getpid()}.part"
        try:
            clock.touch()
            return clock.stat().st_mtime
        except OSError:
            return time.time()
        finally:
            with suppress(OSError):
                clock.unlink()

    def submit(self, ids: Mapping[str, str], backend: str, before: Mapping[str, JobState]) -> None:
        """Record that jobs were given to a backend.

        Parameters
        ----------
        ids : mapping
            The ids that the jobs have there, by key.
        backend : str
            Name of the backend.
        before : mapping of JobState
            States from before, because the jobs may have started already.
        """
        for key, task_id in ids.items():
            state = before.get(key, JobState())
            content = {"backend": backend, "id": task_id, "after": state.attempt}
            number = max(state.submissions, default=0) + 1
            while not self.create(f"{key}.submit.{number}", content):
                number += 1

    def submission(self, key: str, state: JobState) -> dict[str, Any]:
        """Return the last submission of a job, or nothing.

        Its keys are `backend`, `id` and `after`, the number of the attempt before it.
        """
        number = max(state.submissions, default=0)
        return self.read(f"{key}.submit.{number}") if number else {}

    def end(self, key: str, number: int, content: Mapping[str, Any]) -> bool:
        """Record how an attempt ended; return False if that is recorded already."""
        return self.create(f"{key}.end.{number}", content)

    @property
    def stopped(self) -> bool:
        """Whether no further job may start."""
        return (self.sweep_folder / STOPPED).exists()
