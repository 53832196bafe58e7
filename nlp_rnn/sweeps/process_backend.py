"""Jobs on this machine: in the process of the sweep, or in worker processes that stay warm."""

import os
import select
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import IO

from nlp_rnn.sweeps.backends import Kind, TaskState
from nlp_rnn.sweeps.job_records import JobRecords
from nlp_rnn.sweeps.job_run import run_job

__all__ = ["InlineBackend", "WorkerBackend"]

SECONDS_TO_END = 20.0
"""Time in which a job that was asked to stop may close its run."""


class InlineBackend:
    """Runs jobs one after the other in the process of the sweep, which starts nothing."""

    name = "processes"
    continues = False
    seconds_between_polls = 0.0

    def __init__(self, records: JobRecords) -> None:
        """Start with an empty queue."""
        self._records, self._queue, self._done = records, deque[str](), set[str]()

    def check(self) -> None:
        """Do nothing: a process can always run a job."""

    def submit(self, keys: Sequence[str]) -> dict[str, str]:
        """Put jobs into the queue."""
        self._queue.extend(keys)
        self._done.difference_update(keys)
        return {key: key for key in keys}

    def poll(self, ids: Iterable[str]) -> Mapping[str, TaskState]:
        """Return whether the jobs wait or have ended."""
        return {
            key: TaskState(Kind.ended if key in self._done else Kind.waiting)
            for key in ids
            if key in self._done or key in self._queue
        }

    def wait(self, seconds: float) -> None:
        """Run the next job."""
        if not self._queue:
            time.sleep(min(seconds or 0.5, 0.5))
            return
        key = self._queue.popleft()
        run_job(self._records.sweep_folder, key)
        self._done.add(key)

    def close(self) -> None:
        """Empty the queue."""
        self._queue.clear()


class _Worker:
    """Process that runs one job after the other: keys on its standard input, ends on its output."""

    def __init__(self, records: JobRecords) -> None:
        records.folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "nlp_rnn.sweeps.worker", str(records.sweep_folder)]
        with (records.folder / "workers.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
            )
        self.key: str | None = None

    @property
    def output(self) -> IO[bytes]:
        assert self.process.stdout is not None
        return self.process.stdout

    def start(self, key: str) -> None:
        assert self.process.stdin is not None
        self.key = key
        with suppress(BrokenPipeError):  # it died; its output says so
            self.process.stdin.write(f"{key}\n".encode())
            self.process.stdin.flush()

    def close(self) -> None:
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()


class WorkerBackend:
    """Runs several jobs at a time, each in a worker process, which is used again."""

    name = "processes"
    continues = False
    seconds_between_polls = 1.0

    def __init__(self, records: JobRecords, count: int) -> None:
        """Prepare to run `count` jobs at a time; no process is started yet."""
        self._records, self._count = records, count
        self._queue = deque[str]()
        self._workers: list[_Worker] = []
        self._ended: dict[str, TaskState] = {}

    def check(self) -> None:
        """Do nothing: processes can always be started."""

    def submit(self, keys: Sequence[str]) -> dict[str, str]:
        """Put jobs into the queue, and give them to workers that have none."""
        for key in keys:
            self._ended.pop(key, None)
            self._queue.append(key)
        self._dispatch()
        return {key: key for key in keys}

    def poll(self, ids: Iterable[str]) -> Mapping[str, TaskState]:
        """Return the states of the jobs."""
        states = dict(self._ended)
        states |= {key: TaskState(Kind.waiting) for key in self._queue}
        states |= {w.key: TaskState(Kind.running) for w in self._workers if w.key}
        return {key: states[key] for key in ids if key in states}

    def wait(self, seconds: float) -> None:
        """Wait until a worker has ended a job, or itself."""
        outputs = {worker.output.fileno(): worker for worker in self._workers}
        if not outputs:
            time.sleep(seconds)
            return
        readable, _, _ = select.select(list(outputs), [], [], seconds)
        for number in readable:
            worker = outputs[number]
            if os.read(number, 4096):
                if worker.key:
                    self._ended[worker.key] = TaskState(Kind.ended)
                worker.key = None
            else:
                self._buried(worker)
        self._dispatch()

    def close(self) -> None:
        """Stop all workers: first with SIGTERM, which ends their runs, then with SIGKILL."""
        self._queue.clear()
        for worker in self._workers:
            worker.process.terminate()
        end = time.monotonic() + SECONDS_TO_END
        for worker in self._workers:
            try:
                worker.process.wait(max(0.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()
            worker.close()
        self._workers.clear()

    def _dispatch(self) -> None:
        idle = [worker for worker in self._workers if worker.key is None]
        while self._queue and (idle or len(self._workers) < self._count):
            if not idle:
                idle.append(_Worker(self._records))
                self._workers.append(idle[-1])
            idle.pop().start(self._queue.popleft())

    def _buried(self, worker: _Worker) -> None:
        """Remove a worker that ended, and record how."""
        code = worker.process.wait()
        worker.close()
        self._workers.remove(worker)
        if worker.key is None:
            return
        number = -code if code < 0 else code - 128
        terminated = number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        try:
            reason = signal.Signals(number).name
        except ValueError:
            reason = f"exit code {code}"
        if reason == "SIGKILL":
            reason += ", perhaps out of memory"
        kind = Kind.cancelled if terminated else Kind.died
        self._ended[worker.key] = TaskState(kind, reason)
