"""What becomes of a sweep's jobs is told while they run: a line for each, and a total."""

import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import TextIO

from nlp_rnn.errors import TrackingError
from nlp_rnn.sweeps.child_runs import Child

__all__ = ["Progress", "Watch", "duration"]

SECONDS_BETWEEN_LOOKS = 2.0


class Progress:
    """Counts of a sweep, `done/failed/total`, and the time that is left."""

    def __init__(self, total: int, before: int, jobs_at_a_time: int = 1) -> None:
        """`before` jobs of `total` were done before this start."""
        self.total, self.done, self.failed = total, before, 0
        self._before, self._began, self._wide = before, time.monotonic(), jobs_at_a_time

    @property
    def words(self) -> str:
        """`done/failed/total`."""
        return f"{self.done}/{self.failed}/{self.total}"

    @property
    def seconds_left(self) -> float | None:
        """From the jobs that ended so far; None before the first."""
        ended = self.done + self.failed - self._before
        left = self.total - self.done - self.failed
        if not ended:
            return None
        return (time.monotonic() - self._began) / ended * left


class Watch:
    """Looks at the children every two seconds, in a thread; a context manager.

    On a terminal the total is a last line that is redrawn; elsewhere it follows each job's line.
    """

    def __init__(
        self,
        read: Callable[[], Mapping[str, Child]],
        names: Mapping[str, str],
        progress: Progress,
        on_progress: Callable[[str], None],
        out: TextIO | None = None,
    ) -> None:
        """`names` of the jobs that run, by key; `on_progress` gets `done/failed/total`."""
        self._read, self._names, self._progress = read, names, progress
        self._on_progress = on_progress
        self._out = out or sys.stdout
        self._ended: set[str] = set()
        # of an earlier start: such a run says nothing before it goes on
        self._old = {(child.run_id, child.seconds) for child in read().values()}
        self._running: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="sweep-watch", daemon=True)

    def __enter__(self) -> "Watch":
        self._on_progress(self._progress.words)
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
        self._look(at_the_end=True)
        self._total("")

    def _loop(self) -> None:
        while not self._stop.wait(SECONDS_BETWEEN_LOOKS):
            self._look()

    def _look(self, at_the_end: bool = False) -> None:
        """Tell who has ended since the last look; one that is KILLED may go on until the end."""
        going_on = ("RUNNING", "SCHEDULED", *(() if at_the_end else ("KILLED",)))
        with suppress(TrackingError):  # it will answer again; the jobs do not wait for it
            children = self._read()
            self._running = [
                child.name
                for key, child in children.items()
                if key in self._names and child.status == "RUNNING"
            ]
            for key, child in children.items():
                over = child.status not in going_on or "pruned" in child.tags
                over = over and (child.run_id, child.seconds) not in self._old
                if over and key in self._names and key not in self._ended:
                    self._ended.add(key)
                    self._tell(child)
            self._total(self._status())

    def _tell(self, child: Child) -> None:
        progress = self._progress
        if child.done:
            progress.done += 1
        else:
            progress.failed += 1
        self._on_progress(progress.words)
        place = f"[{progress.done + progress.failed}/{progress.total}]"
        took = "" if child.seconds is None else f"  {duration(child.seconds)}"
        self._total("")
        print(f"{place:<8}{child.name}  {child.told}{took}", file=self._out, flush=True)
        if not self._out.isatty() and (left := progress.seconds_left):
            print(f"{'':<8}about {duration(left)} left", file=self._out, flush=True)

    def _status(self) -> str:
        progress = self._progress
        parts = [f"{progress.done} of {progress.total} done"]
        if progress.failed:
            parts.append(f"{progress.failed} failed")
        if self._running:
            parts.append(f"running: {', '.join(self._running[:4])}")
        if (left := progress.seconds_left) is not None:
            parts.append(f"about {duration(left)} left")
        return "  ·  ".join(parts)

    def _total(self, words: str) -> None:
        if self._out.isatty():
            print(f"\r\x1b[2K{words}", end="", file=self._out, flush=True)


def duration(seconds: float) -> str:
    """Seconds for people: `42 s`, `3 min 5 s`, `2 h 10 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
