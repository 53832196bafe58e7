"""Single metrics become batches, sent in the background while the training goes on."""

import logging
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.entities import Metric

__all__ = ["Outbox"]

METRICS_PER_CALL = 1000
"""The most that MLflow takes at once."""

SECONDS_BETWEEN_SENDS = 10.0
"""How long a metric waits at most: one call costs 23 ms and a thousand metrics in one 171 ms."""

logger = logging.getLogger(__name__)


class Outbox:
    """Sends metrics from a thread of its own, so that nobody waits for MLflow.

    What was refused is kept, in order, and sent again; that is harmless where it had arrived
    after all, since MLflow keeps one of several equal points.
    """

    def __init__(self, send: "Callable[[Sequence[Metric]], None]") -> None:
        """Start the thread; `send` takes at most a thousand metrics, or raises."""
        self._send = send
        self._waiting: list[Metric] = []
        self._adding = threading.Lock()
        self._sending = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._send_regularly, name="metrics", daemon=True)
        self._thread.start()

    def add(self, metrics: "Sequence[Metric]") -> None:
        """Keep metrics to be sent within `SECONDS_BETWEEN_SENDS`."""
        if self._stopped.is_set():
            raise RuntimeError("the run is closed and takes no more metrics")
        with self._adding:
            self._waiting.extend(metrics)

    def flush(self) -> None:
        """Send everything now; raises what `send` raises, and keeps what it did not take."""
        with self._sending:
            while batch := self._waiting[:METRICS_PER_CALL]:
                self._send(batch)
                with self._adding:
                    del self._waiting[: len(batch)]

    def close(self) -> None:
        """Stop the thread and send everything."""
        self._stopped.set()
        self._thread.join()
        self.flush()

    def _send_regularly(self) -> None:
        troubled = False
        while not self._stopped.wait(SECONDS_BETWEEN_SENDS):
            try:
                self.flush()
            except Exception as error:  # the training goes on, and the next round tries again
                if not troubled:
                    logger.warning("MLflow takes no metrics, they wait: %s", error)
                troubled = True
            else:
                troubled = False
