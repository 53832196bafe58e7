"""Progress of a sweep on the terminal: a line for every job that ends, and the totals."""

import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import TextIO

from nlp_rnn.errors import TrackingError
from nlp_rnn.sweeps.child_runs import Child

__all__ = ["JobCounts", "SweepProgress", "duration"]

SECONDS_BETWEEN_READS = 2.0


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


class SweepProgress:
    """Context manager whose thread reads the children every two seconds and prints changes.

    On a terminal the totals are a last line that is redrawn. In other output they follow the line
    of each job.
    """

    def __init__(
        self,
        read: Callable[[], Mapping[str, Child]],
        names: Mapping[str, str],
        counts: JobCounts,
        on_progress: Callable[[str], None],
        out: TextIO | None = None,
    ) -> None:
        """Read the runs that exist already.

        Parameters
        ----------
        read : callable
            Returns the children by the keys of their jobs.
        names : mapping
            Names of the launched jobs by key; it may grow.
        counts : JobCounts
            Counts that are updated.
        on_progress : callable
            Called with `done/failed/total` at the start and after every change.
        out : file, optional
            Where to print; standard output by default.
        """
        self._read, self._names, self._counts = read, names, counts
        self._on_progress = on_progress
        self._out = out or sys.stdout
        self._ended: set[str] = set()
        # Runs of an earlier start are not reported until they are resumed.
        self._old = {(child.run_id, child.seconds) for child in read().values()}
        self._running: list[str] = []
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="sweep-progress", daemon=True)

    def __enter__(self) -> "SweepProgress":
        self._on_progress(str(self._counts))
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._update(at_the_end=True)
        self._redraw("")

    def _loop(self) -> None:
        while not self._stop.wait(SECONDS_BETWEEN_READS):
            self._update()

    def _update(self, at_the_end: bool = False) -> None:
        """Report the jobs that have ended since the last update.

        A KILLED run is reported only at the end, because it may be resumed before.
        """
        open_statuses = ("RUNNING", "SCHEDULED", *(() if at_the_end else ("KILLED",)))
        with (
            self._lock,
            suppress(TrackingError),
        ):  # try again next time; the jobs do not depend on this
            children = self._read()
            self._running = [
                child.name
                for key, child in children.items()
                if key in self._names and child.status == "RUNNING"
            ]
            for key, child in children.items():
                ended = child.status not in open_statuses or "pruned" in child.tags
                ended = ended and (child.run_id, child.seconds) not in self._old
                if ended and key in self._names and key not in self._ended:
                    self._ended.add(key)
                    self._report(child)
            self._redraw(self._status())

    def count_without_run(self, name: str, reason: str) -> None:
        """Count a job that needs no run of its own, and print the reason."""
        self._update()  # the jobs before it come first
        with self._lock:
            self._counts.count_earlier(1, 0)
            self._print(f"{name}  {reason}")

    def drop(self, number: int, reason: str) -> None:
        """Reduce the total by jobs that cannot run, and print the reason."""
        with self._lock:
            self._counts.total -= number
            self._print(reason)

    def _print(self, line: str) -> None:
        counts = self._counts
        self._on_progress(str(counts))
        number = f"[{counts.done + counts.failed}/{counts.total}]"
        self._redraw("")
        print(f"{number:<8}{line}", file=self._out, flush=True)

    def _report(self, child: Child) -> None:
        counts = self._counts
        if child.done:
            counts.done += 1
        else:
            counts.failed += 1
        took = "" if child.seconds is None else f"  {duration(child.seconds)}"
        self._print(f"{child.name}  {child.summary}{took}")
        if not self._out.isatty() and (left := counts.seconds_left):
            print(f"{'':<8}about {duration(left)} left", file=self._out, flush=True)

    def _status(self) -> str:
        counts = self._counts
        parts = [f"{counts.done} of {counts.total} done"]
        if counts.failed:
            parts.append(f"{counts.failed} failed")
        if self._running:
            parts.append(f"running: {', '.join(self._running[:4])}")
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
