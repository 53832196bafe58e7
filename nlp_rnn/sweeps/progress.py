"""Progress of a sweep on the terminal: a line for every job that ends, and the totals."""

import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from nlp_rnn.errors import SweepError, SweepKilledError

if TYPE_CHECKING:
    from nlp_rnn.sweeps.jobs import Job

__all__ = ["JobCounts", "JobEnd", "SweepProgress", "TimeUsed", "duration", "raise_failures"]


@dataclass(frozen=True)
class JobEnd:
    """How a job ended.

    Attributes
    ----------
    status : str
        FINISHED, FAILED or KILLED; SCHEDULED if it was not started.
    summary : str
        Test scores, or why the job did not finish.
    done : bool
        Whether the job needs no other run: it is finished, or was pruned by a search.
    seconds : float or None
        Duration of the last attempt.
    """

    status: str
    summary: str
    done: bool
    seconds: float | None = None


class JobCounts:
    """Numbers of finished, failed and all jobs of a sweep, and the time that is left."""

    def __init__(self, total: int, finished_before: int) -> None:
        """Start the clock.

        Parameters
        ----------
        total : int
            Number of all jobs.
        finished_before : int
            Number of jobs that were finished before the sweep was resumed.
        """
        self.total, self.done, self.failed = total, finished_before, 0
        self._finished_before, self._started = finished_before, time.monotonic()

    def __str__(self) -> str:
        """Return `done/failed/total`, the value of the tag `progress`."""
        return f"{self.done}/{self.failed}/{self.total}"

    def count_earlier(self, done: int, failed: int) -> None:
        """Add jobs that ended before the sweep was resumed."""
        self.done, self.failed = self.done + done, self.failed + failed
        self._finished_before += done + failed

    @property
    def seconds_left(self) -> float | None:
        """Estimate from the jobs that have ended since the start; None before the first."""
        ended = self.done + self.failed - self._finished_before
        left = self.total - self.done - self.failed
        if not ended:
            return None
        return (time.monotonic() - self._started) / ended * left


class TimeUsed:
    """Time that a search has used, also before it was resumed, and the jobs that it has started.

    Attributes
    ----------
    jobs : list of str
        Names of the jobs.
    """

    def __init__(self, path: Path) -> None:
        """Start the clock; `path` is the file with what was saved before."""
        self._path, self._start = path, time.monotonic()
        self._before = 0.0
        self.jobs: list[str] = []
        if path.exists():
            saved = json.loads(path.read_text(encoding="utf-8"))
            self._before, self.jobs = saved["seconds"], saved["jobs"]

    @property
    def seconds(self) -> float:
        """Seconds that the search has used."""
        return self._before + time.monotonic() - self._start

    def save(self, jobs: Iterable[str] = ()) -> None:
        """Add jobs that are started, and write the file."""
        self.jobs += [job for job in jobs if job not in self.jobs]
        self._path.parent.mkdir(parents=True, exist_ok=True)
        content = {"seconds": self.seconds, "jobs": self.jobs}
        self._path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


class SweepProgress:
    """Prints a line for each job that ends, and the totals.

    On a terminal the totals are a last line that is redrawn. In other output they follow the line
    of each job.
    """

    def __init__(
        self,
        counts: JobCounts,
        on_progress: Callable[[str], None],
        out: TextIO | None = None,
    ) -> None:
        """Begin with the jobs that ended before.

        Parameters
        ----------
        counts : JobCounts
            Counts that are updated.
        on_progress : callable
            Called with `done/failed/total` at the start and after every change.
        out : file, optional
            Where to print; standard output by default.
        """
        self._counts, self._on_progress = counts, on_progress
        self._out = out or sys.stdout
        self._running: Sequence[str] = ()
        self._waiting = 0
        on_progress(str(counts))

    def report(self, name: str, end: JobEnd) -> None:
        """Count a job that ended, and print its scores or why it did not finish."""
        counts = self._counts
        if end.done:
            counts.done += 1
        else:
            counts.failed += 1
        took = "" if end.seconds is None else f"  {duration(end.seconds)}"
        self._print(f"{name}  {end.summary}{took}")
        if not self._out.isatty() and (left := counts.seconds_left):
            print(f"{'':<8}about {duration(left)} left", file=self._out, flush=True)

    def count_without_run(self, name: str, reason: str) -> None:
        """Count a job that needs no run of its own, and print the reason."""
        self._counts.count_earlier(1, 0)
        self._print(f"{name}  {reason}")

    def drop(self, number: int, reason: str) -> None:
        """Reduce the total by jobs that cannot run, and print the reason."""
        self._counts.total -= number
        self._print(reason)

    def note(self, line: str) -> None:
        """Print a line about a job that has not ended."""
        self._redraw("")
        print(f"{'':<8}{line}", file=self._out, flush=True)

    def show(self, running: Sequence[str], waiting: int) -> None:
        """Redraw the totals on a terminal; in other output, print how many jobs run and wait.

        Parameters
        ----------
        running : sequence of str
            Names of the running jobs.
        waiting : int
            Number of jobs that the cluster has not started.
        """
        changed = (len(running), waiting) != (len(self._running), self._waiting)
        self._running, self._waiting = running, waiting
        if self._out.isatty():
            self._redraw(self._status())
        elif changed and waiting and len(running):
            line = f"{'':<8}{len(running)} running, {waiting} waiting"
            print(line, file=self._out, flush=True)

    def close(self) -> None:
        """Remove the totals from the terminal."""
        self._redraw("")

    def _print(self, line: str) -> None:
        counts = self._counts
        self._on_progress(str(counts))
        number = f"[{counts.done + counts.failed}/{counts.total}]"
        self._redraw("")
        print(f"{number:<8}{line}", file=self._out, flush=True)

    def _status(self) -> str:
        counts = self._counts
        parts = [f"{counts.done} of {counts.total} done"]
        if counts.failed:
            parts.append(f"{counts.failed} failed")
        if self._running:
            parts.append(f"{len(self._running)} running: {', '.join(self._running[:4])}")
        if self._waiting:
            parts.append(f"{self._waiting} waiting")
        if (left := counts.seconds_left) is not None:
            parts.append(f"about {duration(left)} left")
        return "  ·  ".join(parts)

    def _redraw(self, line: str) -> None:
        if self._out.isatty():
            print(f"\r\x1b[2K{line}", end="", file=self._out, flush=True)


def duration(seconds: float) -> str:
    """Return a duration as text: `42 s`, `3 min 5 s`, `2 h 10 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def raise_failures(jobs: "Sequence[Job]", ends: Mapping[str, JobEnd], sweep_id: str) -> None:
    """Raise an error that lists the jobs that did not finish, if there are any.

    Raises
    ------
    SweepError, SweepKilledError
        Some jobs failed; or some were killed and none failed.
    """
    unfinished = {job.name: ends[job.key] for job in jobs if not _is_done(ends.get(job.key))}
    if not unfinished:
        return
    lines = [f"  {name}: {end.summary}" for name, end in unfinished.items()]
    failed = any(end.status == "FAILED" for end in unfinished.values())
    advice = "Fix the cause and run" if failed else "Resume it with"
    kind = SweepError if failed else SweepKilledError
    raise kind(
        f"{len(lines)} of {len(jobs)} jobs did not finish:\n"
        + "\n".join(lines)
        + f"\n{advice}: nlp-rnn train -m resume={sweep_id}"
    )


def _is_done(end: JobEnd | None) -> bool:
    """Return whether a job is finished; one without an end was finished before."""
    return end is None or end.done
