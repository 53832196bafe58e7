"""What a run wants to tell MLflow becomes a queue, kept on disk until MLflow has taken it.

Nobody waits for MLflow: a thread sends. Every entry is appended to `unsent/journal.jsonl` in the
run folder before anything else happens to it, so that neither an MLflow that is away nor a
process that is killed loses one.
"""

import json
import logging
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from nlp_rnn.errors import TrackingError

__all__ = ["HEARTBEAT", "UNSENT", "Entry", "Journal", "Outbox", "Refused", "StillLoggedError"]

Entry = dict[str, Any]
"""One thing to tell, as JSON; `delivery.deliver` lists the kinds."""

UNSENT = "unsent"
"""The folder, in a run folder, of what MLflow has not taken yet; gone when there is nothing."""

JOURNAL = "journal.jsonl"
LOCK = ".lock"

METRICS_PER_CALL = 1000
"""The most that MLflow takes at once."""

SECONDS_BETWEEN_SENDS = 10.0
"""How long a metric waits at most: one call costs 23 ms and a thousand metrics in one 171 ms.
While MLflow is away, how long until it is tried again."""

SECONDS_TO_CLOSE = 30.0
"""How long the end of a run waits for an MLflow that is away."""

SECONDS_BETWEEN_LAST_TRIES = 1.0

HEARTBEAT = "heartbeat"
"""The tag that tells when a run was last heard of, in seconds since 1970."""

SECONDS_BETWEEN_BEATS = 300.0

logger = logging.getLogger(__name__)


class Refused(Exception):  # noqa: N818  (it is an answer, not a failure to get one)
    """MLflow answered, and will not take this entry however often it is sent."""


class StillLoggedError(TrackingError):
    """Another process writes the journal, and sends what is in it."""


class Journal:
    """The entries of one run that MLflow has not taken, as JSON lines in `FOLDER/unsent`.

    The first line says whose they are. Where a process died between sending and forgetting, they
    are sent again, which changes nothing: MLflow keeps one of several equal points.
    """

    def __init__(self, folder: Path, run: Mapping[str, str], entries: Sequence[Entry] = ()) -> None:
        """Begin the journal of a run folder, or with what `read` returned, go on with it.

        Raises:
            StillLoggedError: another process writes it.
            TrackingError: it cannot be written.
        """
        from filelock import FileLock, Timeout

        self.folder = folder / UNSENT
        self._run = dict(run)
        self._made = not folder.exists()
        self._lock = FileLock(self.folder / LOCK, timeout=0, thread_local=False)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
            self._file = self._keep(entries)
        except Timeout:
            raise StillLoggedError(
                f"Another process logs the run in {folder}; it sends everything by itself."
            ) from None
        except OSError as error:
            raise TrackingError(
                f"The run folder {folder} cannot be written ({error.strerror}).\n"
                "Type hydra.run.dir=FOLDER, or for a sweep hydra.sweep.dir=FOLDER."
            ) from error

    @staticmethod
    def read(folder: Path) -> tuple[dict[str, str], list[Entry]]:
        """Whose entries a run folder keeps, and which; nothing at all where it keeps none.

        Raises:
            TrackingError: the file is not what `Journal` writes.
        """
        path = folder / UNSENT / JOURNAL
        try:
            lines = path.read_text(encoding="utf-8").split("\n")
        except FileNotFoundError:
            return {}, []
        # What follows the last line's end was being written when the process died.
        try:
            run, *entries = [json.loads(line) for line in lines[:-1]] or [{}]
            if lines[:-1] and not {"uri", "experiment_id", "run_id"} <= run.keys():
                raise ValueError("the first line names no run")
        except (ValueError, AttributeError) as error:
            raise TrackingError(f"{path} is damaged: {error}.") from None
        return run, entries

    def add(self, entry: Entry) -> None:
        """Keep an entry."""
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()

    def copy(self, path: Path) -> str:
        """Keep a file that may be gone when it is sent; return where, from the run folder."""
        place = tempfile.mkdtemp(dir=self.folder)
        return str(Path(shutil.copy(path, place)).relative_to(self.folder.parent))

    def keep(self, entries: Sequence[Entry]) -> None:
        """Forget all but these."""
        self._file.close()
        self._file = self._keep(entries)

    def close(self, entries: Sequence[Entry]) -> None:
        """Leave these entries behind, or if there are none, nothing."""
        if entries:
            self.keep(entries)
        self._file.close()
        if not entries:
            shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.release()
        (self.folder / LOCK).unlink(missing_ok=True)
        if self._made:
            with suppress(OSError):  # nobody else put anything there
                self.folder.parent.rmdir()

    def _keep(self, entries: Sequence[Entry]) -> TextIO:
        temporary, path = self.folder / f"{JOURNAL}.part", self.folder / JOURNAL
        lines = [self._run, *entries]
        temporary.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        os.replace(temporary, path)
        return path.open("a", encoding="utf-8")


class Outbox:
    """Sends entries in order from a thread of its own.

    While MLflow is away they wait; an entry that it refuses is set aside, so that it does not
    hold up the others.
    """

    def __init__(
        self,
        send: Callable[[Sequence[Entry]], None],
        journal: Journal | None = None,
        waiting: Sequence[Entry] = (),
    ) -> None:
        """Start the thread.

        Args:
            send: takes one entry, or several of metrics; raises `Refused`, or anything else if
                they should be sent again.
            journal: where entries are kept; without one they are lost with the process.
            waiting: entries that `journal` holds already.
        """
        self.refused: list[Entry] = []
        self.reason = ""
        self.error: Exception | None = None
        self._send = send
        self._journal = journal
        self._waiting = list(waiting)
        self._changing = threading.Lock()
        self._wake = threading.Event()
        self._deadline: float | None = None
        self._beat = time.monotonic()
        self._thread = threading.Thread(target=self._work, name="MLflow outbox", daemon=True)
        self._thread.start()

    @property
    def closing(self) -> bool:
        """Whether it takes no more entries."""
        return self._deadline is not None

    def add(self, entry: Entry, *, soon: bool = True) -> None:
        """Keep an entry and send it at once, or if not `soon`, within `SECONDS_BETWEEN_SENDS`."""
        if self.closing:
            raise RuntimeError("the run is closed and takes no more metrics")
        with self._changing:
            if self._journal is not None:
                self._journal.add(entry)
            self._waiting.append(entry)
        if soon and self.error is None:
            self._wake.set()

    def copy(self, path: Path) -> str:
        """Keep a file until it is sent; return its path, from the run folder if there is one."""
        return str(path.absolute()) if self._journal is None else self._journal.copy(path)

    def flush(self, seconds: float = SECONDS_TO_CLOSE) -> bool:
        """Wait until everything is sent, MLflow turns out to be away, or the time is over."""
        end = time.monotonic() + seconds
        self._wake.set()
        while self._waiting and self._thread.is_alive() and time.monotonic() < end:
            if self.error is not None and not self._wake.is_set():
                break
            time.sleep(0.005)
        return not self._waiting

    def close(self, last: Entry | None = None) -> list[Entry]:
        """Send everything, `last` at the end, for as long as `SECONDS_TO_CLOSE` allows.

        Returns what was not sent, which the journal keeps; then `last` may have arrived before
        it, for a run whose files cannot be stored is over all the same. Called again, after an
        interruption, it waits no longer.
        """
        if self._deadline is None:
            if last is not None:
                self.add(last)
            self._deadline = time.monotonic() + SECONDS_TO_CLOSE
        else:
            self._deadline = time.monotonic()
            last = None
        self._wake.set()
        self._thread.join()
        left = [*self.refused, *self._waiting]
        if last is not None and len(self._waiting) > 1:
            with suppress(Exception):
                self._send([last])
        if self._journal is not None:
            self._journal.close(left)
            self._journal = None
        return left

    def _work(self) -> None:
        while True:
            closing = self._deadline is not None
            self._wake.wait(SECONDS_BETWEEN_LAST_TRIES if closing else SECONDS_BETWEEN_SENDS)
            self._wake.clear()
            if self._deadline is None and time.monotonic() - self._beat > SECONDS_BETWEEN_BEATS:
                self._beat = time.monotonic()
                with self._changing:
                    self._waiting.append({"tags": {HEARTBEAT: f"{time.time():.0f}"}})
            self._send_waiting()
            if self._deadline is not None:
                if not self._waiting or time.monotonic() > self._deadline:
                    return
                if not closing:
                    self._wake.set()

    def _send_waiting(self) -> None:
        while self._waiting:
            batch = self._batch()
            try:
                self._send(batch)
            except Refused as refusal:
                logger.warning("MLflow refuses a part of the run, which is kept: %s", refusal)
                self.reason = str(refusal)
                self.refused += batch
            except Exception as error:  # the training goes on, and the next round tries again
                if self.error is None:
                    logger.warning("MLflow is away, the run goes on and tells it later: %s", error)
                self.error, self.reason = error, str(error)
                return
            if self.error is not None:
                logger.warning("MLflow is back.")
                self.error = None
            with self._changing:
                del self._waiting[: len(batch)]
                if not self._waiting and self._journal is not None:
                    self._journal.keep(self.refused)

    def _batch(self) -> list[Entry]:
        """The next entry, or as many of metrics as MLflow takes at once."""
        count = points = 0
        for entry in self._waiting:
            points += len(entry.get("metrics", ()))
            if count and ("metrics" not in entry or points > METRICS_PER_CALL):
                break
            count += 1
            if "metrics" not in entry:
                break
        return self._waiting[:count]
