"""The machine of a run: tags for hardware, software and checkout, and system metrics."""

import logging
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from nlp_rnn.cores import available_cores
from nlp_rnn.version import __version__

__all__ = ["machine_tags", "system_metrics_logged"]

logger = logging.getLogger(__name__)


def machine_tags() -> dict[str, str]:
    """Return tags for what a measurement depends on besides the configuration.

    Keys: `host`, `processor`, `cores` (that this process may use), `memory_gb` (GiB), `platform`,
    `python`, `torch`, `nlp_rnn`, `mlflow.source.name`, and `commit` (with `-dirty` if tracked
    files were changed) if the working directory is in a git checkout.
    """
    import psutil

    tags = {
        "host": platform.node(),
        "processor": _processor(),
        "cores": str(available_cores()),
        "memory_gb": f"{psutil.virtual_memory().total / 2**30:.1f}",
        "platform": platform.platform(),
        "python": platform.python_version(),
        "nlp_rnn": __version__,
        "mlflow.source.name": "nlp-rnn",  # not the path of a program
    }
    try:
        tags["torch"] = version("torch")  # its metadata: importing it would take a second
    except PackageNotFoundError:
        pass
    commit = _commit()
    if commit:
        tags["commit"] = commit
    return tags


@contextmanager
def system_metrics_logged(
    run_id: str, uri: str, log: Callable[[Mapping[str, float], int], None]
) -> Iterator[None]:
    """Log processor, memory, disk and GPU metrics every ten seconds inside the block.

    MLflow's monitor measures them. It does not log them itself, because it would stop for good
    the first time that MLflow is unavailable. The interval is
    MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL.

    Parameters
    ----------
    run_id : str
        Run that the metrics belong to.
    uri : str
        Absolute URI of the store.
    log : callable
        Called with the metrics and their step. A step is one interval since 1970, so that the
        steps of a resumed run continue.
    """
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    monitor = SystemMetricsMonitor(run_id, tracking_uri=uri)
    stopped = threading.Event()

    def watch() -> None:
        try:
            monitor.collect_metrics()
            while not stopped.wait(monitor.sampling_interval):
                monitor.collect_metrics()
                metrics = monitor.aggregate_metrics()
                for source in monitor.monitors:
                    source.clear_metrics()
                log(
                    {f"system/{name}": value for name, value in metrics.items()},
                    int(time.time() / monitor.sampling_interval),
                )
        except Exception as error:  # the run matters more
            logger.warning("System metrics are no longer logged: %s", error)

    thread = threading.Thread(target=watch, name="system metrics", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def _processor() -> str:
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _commit() -> str | None:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        git = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None  # no git, or a very slow disk: the run matters more than this tag
    return git.stdout.strip() if git.returncode == 0 else None
