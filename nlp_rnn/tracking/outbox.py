"""Outbox of a run: a queue whose entries a thread sends to MLflow.

The training never waits for MLflow. Every entry is appended to the journal in the run folder before
it is sent, so that no entry is lost when MLflow is unavailable or the process is killed.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from nlp_rnn.tracking.journal import Entry, Journal
from nlp_rnn.tracking.store import SEE_LOG

__all__ = ["HEARTBEAT", "Outbox", "RejectedByMlflow"]

METRICS_PER_CALL = 1000
"""MLflow's limit."""

SECONDS_BETWEEN_SENDS = 10.0
"""Longest time a metric waits before it is sent: one call costs 23 ms, and a call with a thousand
metrics 171 ms. While MLflow is unavailable, the time between two attempts."""

SECONDS_TO_CLOSE = 30.0
"""Time for which the end of a run waits while MLflow is unavailable."""

SECONDS_BETWEEN_LAST_TRIES = 1.0

HEARTBEAT = "heartbeat"
"""Tag with the time at which a run was last known to be alive, in seconds since 1970."""

SECONDS_BETWEEN_BEATS = 300.0

logger = logging.getLogger(__name__)


class RejectedByMlflow(Exception):  # noqa: N818  (a response, not a failure to get one)
    """MLflow responded that it will never store this entry, however often it is sent."""


class Outbox:
    """Queue whose entries a separate thread sends to MLflow in order.

    While MLflow is unavailable the entries wait. An entry that MLflow rejects is put aside, so
    that it does not block the others.

    Attributes
    ----------
    rejected : list of Entry
        Entries that MLflow rejected.
    reason : str
        Message of the last rejection or failure.
    error : Exception or None
        Why MLflow is unavailable at the moment; None while it is available.
    """

    def __init__(
        self,
        send: Callable[[Sequence[Entry]], None],
        journal: Journal | None = None,
        pending: Sequence[Entry] = (),
    ) -> None:
        """Start the thread.

        Parameters
        ----------
        send : callable
            Sends one entry, or several entries of metrics. It raises `RejectedByMlflow`, or any
            other exception if the entries should be sent again.
        journal : Journal, optional
            Stores the pending entries. Without one they are lost when the process ends.
        pending : sequence of Entry
            Entries that `journal` contains already.
        """
        self.rejected: list[Entry] = []
        self.reason = ""
        self.error: Exception | None = None
        self._send = send
        self._journal = journal
        self._pending = list(pending)
        self._changing = threading.Lock()
        self._wake = threading.Event()
        self._deadline: float | None = None
        self._last_beat = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="MLflow outbox", daemon=True)
        self._thread.start()

    @property
    def closing(self) -> bool:
        """Whether no more entries can be added."""
        return self._deadline is not None

    def add(self, entry: Entry, *, soon: bool = True) -> None:
        """Add an entry and send it at once, or if not `soon`, within `SECONDS_BETWEEN_SENDS`."""
        if self.closing:
            raise RuntimeError("the run is closed, no more metrics can be logged")
        with self._changing:
            if self._journal is not None:
                self._journal.add(entry)
            self._pending.append(entry)
        if soon and self.error is None:
            self._wake.set()

    def copy(self, path: Path) -> str:
        """Copy a file until it is sent; return its path in the run folder.

        Without a journal nothing is copied and the absolute path is returned.
        """
        return str(path.absolute()) if self._journal is None else self._journal.copy(path)

    def flush(self, seconds: float = SECONDS_TO_CLOSE) -> bool:
        """Wait until everything is sent, MLflow is unavailable, or `seconds` have passed.

        Returns
        -------
        bool
            Whether everything was sent.
        """
        end = time.monotonic() + seconds
        self._wake.set()
        while self._pending and self._thread.is_alive() and time.monotonic() < end:
            if self.error is not None and not self._wake.is_set():
                break
            time.sleep(0.005)
        return not self._pending

    def close(self, last: Entry | None = None) -> list[Entry]:
        """Send everything, `last` at the end, within `SECONDS_TO_CLOSE`.

        If something cannot be sent, `last` is sent all the same: a run whose files cannot be stored
        has ended nevertheless. A second call, after an interruption, does not wait.

        Returns
        -------
        list of Entry
            Entries that were not sent, which stay in the journal.
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
        unsent = [*self.rejected, *self._pending]
        if last is not None and len(self._pending) > 1:
            with suppress(Exception):
                self._send([last])
        if self._journal is not None:
            self._journal.close(unsent)
            self._journal = None
        return unsent

    def _run(self) -> None:
        while True:
            closing = self._deadline is not None
            self._wake.wait(SECONDS_BETWEEN_LAST_TRIES if closing else SECONDS_BETWEEN_SENDS)
            self._wake.clear()
            since_beat = time.monotonic() - self._last_beat
            if self._deadline is None and since_beat > SECONDS_BETWEEN_BEATS:
                self._last_beat = time.monotonic()
                with self._changing:
                    self._pending.append({"tags": {HEARTBEAT: f"{time.time():.0f}"}})
            self._send_pending()
            if self._deadline is not None:
                if not self._pending or time.monotonic() > self._deadline:
                    return
                if not closing:
                    self._wake.set()

    def _send_pending(self) -> None:
        while self._pending:
            batch = self._batch()
            try:
                self._send(batch)
            except RejectedByMlflow as rejection:
                logger.warning("MLflow rejected a part of the run: %s", rejection)
                self.reason = str(rejection)
                self.rejected += batch
            except Exception as error:  # the training continues, and the next round tries again
                if self.error is None:
                    logger.warning(
                        "MLflow %s; the run continues and sends its data later: %s",
                        "stores nothing" if SEE_LOG in str(error) else "is unavailable",
                        error,
                    )
                self.error, self.reason = error, str(error)
                return
            if self.error is not None:
                logger.warning("MLflow is available again.")
                self.error = None
            with self._changing:
                del self._pending[: len(batch)]
                if not self._pending and self._journal is not None:
                    self._journal.replace(self.rejected)

    def _batch(self) -> list[Entry]:
        """Return the next entry, or as many entries of metrics as fit into one call."""
        count = points = 0
        for entry in self._pending:
            points += len(entry.get("metrics", ()))
            if count and ("metrics" not in entry or points > METRICS_PER_CALL):
                break
            count += 1
            if "metrics" not in entry:
                break
        return self._pending[:count]
