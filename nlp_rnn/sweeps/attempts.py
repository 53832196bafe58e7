"""Attempts of a job: a lease with a number, a heartbeat, and the acceptance of one result.

The number of a lease is its fencing token: a process that starts a job creates the lease with the
next number, and only one process can. A process that was suspended and wakes up finds a higher
number and ends. If it has passed that check already, its result is rejected all the same, because
the record of the accepted result is created by one attempt only.
"""

import os
import platform
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nlp_rnn.errors import SupersededError
from nlp_rnn.sweeps.job_records import DIED, JobRecords, JobState
from nlp_rnn.tracking.liveness import is_alive, on_this_machine, process_tags

__all__ = ["Attempt", "Holder", "claim", "holder_of", "is_finished"]

SECONDS_BETWEEN_BEATS = 5.0
SECONDS_OF_SILENCE = 180.0
"""Age of the heartbeat from which on a process counts as lost. NFS clients show a change of the
time of a file up to 60 seconds late."""


@dataclass(frozen=True)
class Holder:
    """Process that holds the last lease of a job.

    Attributes
    ----------
    content : mapping
        Content of the lease: `host`, `process`, `folder`, `backend`, `id`.
    alive : bool
        Whether the process works on the job.
    surely_dead : bool
        Whether the process cannot write any more. A process whose heartbeat is missing may be
        suspended, or its machine may be disconnected.
    """

    content: Mapping[str, Any]
    alive: bool
    surely_dead: bool


class Attempt:
    """Lease of this process for one job.

    Attributes
    ----------
    number : int
        Number of the attempt, the fencing token.
    folder : Path
        Run folder of the attempt.
    previous : Path or None
        Run folder of an attempt that may still be written to; its checkpoint is copied.
    """

    def __init__(
        self, records: JobRecords, key: str, number: int, folder: Path, previous: Path | None
    ) -> None:
        """Wrap a lease that was created; `claim` creates one."""
        self.number, self.folder, self.previous = number, folder, previous
        self._records, self._key = records, key

    def check(self) -> None:
        """Raise `SupersededError` if another process has started the job in the meantime."""
        newer = self._records.folder / f"{self._key}.lease.{self.number + 1}"
        if newer.exists():
            raise SupersededError(
                f"attempt {self.number} was superseded: its heartbeat was missing, and another "
                "process continued the job"
            )

    def accept(self, result: Mapping[str, Any]) -> None:
        """Make `result` the result of the job.

        Raises
        ------
        SupersededError
            The result of another attempt was accepted.
        """
        name = f"{self._key}.result"
        content = {**result, "folder": str(self.folder), "attempt": self.number}
        if self._records.create(name, content):
            return
        if self._records.read(name).get("folder") != str(self.folder):
            raise SupersededError("the result of another attempt was accepted")

    def end(self, content: Mapping[str, Any]) -> None:
        """Release the lease, and record how the attempt ended."""
        content = {**content, "folder": str(self.folder)}
        self._records.write(f"{self._key}.end.{self.number}", content)

    @contextmanager
    def heartbeats(self) -> Iterator[None]:
        """Update the time of the lease every few seconds inside the block."""
        path = self._records.folder / f"{self._key}.lease.{self.number}"
        stop = threading.Event()

        def beat() -> None:
            while not stop.wait(SECONDS_BETWEEN_BEATS):
                with suppress(OSError):
                    os.utime(path)

        thread = threading.Thread(target=beat, name="lease", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def holder_of(records: JobRecords, key: str, state: JobState, now: float) -> Holder | None:
    """Return the process that holds the last lease of a job; None if the lease has ended.

    Parameters
    ----------
    records : JobRecords
        Records of the sweep.
    key : str
        Key of the job.
    state : JobState
        State of the job.
    now : float
        Time by `JobRecords.now`.
    """
    if not state.leases or state.ended:
        return None
    content = records.read(f"{key}.lease.{state.attempt}")
    silent = now - state.leases[state.attempt] > SECONDS_OF_SILENCE
    if on_this_machine(content):
        exists = is_alive(content)
        return Holder(content, exists and not silent, not exists)
    return Holder(content, not silent, False)


def is_finished(records: JobRecords, key: str, state: JobState) -> bool:
    """Return whether a result was accepted, and its attempt has logged all of it."""
    if not state.result:
        return False
    number = records.read(f"{key}.result").get("attempt", 0)
    ends = (records.read(f"{key}.end.{n}") for n in sorted(state.ends) if n >= number)
    return any(end.get("status") == "FINISHED" for end in ends)


def claim(
    records: JobRecords, key: str, folder: Path, details: Mapping[str, Any] | None = None
) -> Attempt | None:
    """Create the next lease of a job.

    An attempt continues in the run folder of the previous one, if that has ended or its process is
    dead. Otherwise it gets a folder of its own, because the other process may still write.

    Parameters
    ----------
    records : JobRecords
        Records of the sweep.
    key : str
        Key of the job.
    folder : Path
        Run folder of the first attempt.
    details : mapping, optional
        Further content of the lease, such as the id of a Slurm job.

    Returns
    -------
    Attempt or None
        None if the job is finished, or another process works on it.
    """
    while True:
        state = records.state(key)
        holder = holder_of(records, key, state, records.now())
        if holder is not None and holder.alive:
            return None
        if is_finished(records, key, state):
            return None
        last = records.read(f"{key}.end.{state.attempt}") if state.ended else {}
        number, previous, current = state.attempt + 1, None, folder
        if state.result:
            current = Path(records.read(f"{key}.result")["folder"])
        elif state.attempt:
            before = Path((last or (holder.content if holder else {})).get("folder", folder))
            if (holder is not None and not holder.surely_dead) or last.get("may_write"):
                previous, current = before, folder.with_name(f"{folder.name}-{number}")
            else:
                current = before
        content = {
            "host": platform.node(),
            **process_tags(),
            "folder": str(current),
            **(details or {}),
        }
        if records.create(f"{key}.lease.{number}", content):
            if holder is not None:  # the process of the attempt before died without a word
                records.end(key, number - 1, {"status": DIED, "folder": str(previous or current)})
            return Attempt(records, key, number, current, previous)
