"""Processor, memory, disk and graphics card become metrics of a run while it goes on."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

__all__ = ["machine_watched"]

logger = logging.getLogger(__name__)


@contextmanager
def machine_watched(
    run_id: str, uri: str, log: Callable[[Mapping[str, float], int], None]
) -> Iterator[None]:
    """Give what MLflow's own monitor measures to `log`, every ten seconds inside the block.

    That monitor would write to MLflow itself, and stop for good when MLflow is away once. The
    interval is MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL; a step is one interval since 1970, so
    that a run that is gone on with goes on here, too.
    """
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    monitor = SystemMetricsMonitor(run_id, tracking_uri=uri)
    stopped = threading.Event()

    def watch() -> None:
        try:
            monitor.collect_metrics()
            while not stopped.wait(monitor.sampling_interval):
                monitor.collect_metrics()
                found = monitor.aggregate_metrics()
                for each in monitor.monitors:
                    each.clear_metrics()
                log(
                    {f"system/{name}": value for name, value in found.items()},
                    int(time.time() / monitor.sampling_interval),
                )
        except Exception as error:  # the run matters more
            logger.warning("The machine is no longer watched: %s", error)

    thread = threading.Thread(target=watch, name="system metrics", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()
