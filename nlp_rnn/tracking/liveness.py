"""Liveness of runs: which process logs a run, whether it still exists, and closing of dead runs."""

import logging
import os
import platform
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from nlp_rnn.errors import TrackingError
from nlp_rnn.tracking.ended_runs import close_run, send_pending
from nlp_rnn.tracking.outbox import HEARTBEAT
from nlp_rnn.tracking.store import tracking_errors

if TYPE_CHECKING:
    import psutil

__all__ = ["close_dead_runs", "is_alive", "on_this_machine", "process_tags", "stop_process"]

SECONDS_TO_CLOSE = 10.0
"""Time in which a process that was asked to stop may close its run."""

SECONDS_OF_SILENCE = 1800.0
"""Age of the heartbeat from which on a run of another machine counts as dead. If that machine was
only disconnected, it logs the true status when the run ends."""

logger = logging.getLogger(__name__)


def process_tags() -> dict[str, str]:
    """Return the tags `host` and `process` of this process.

    `process` has the process id and the start time, because process ids are used again.
    """
    import psutil

    process = psutil.Process()
    started = f"{process.pid} started {process.create_time():.1f}"
    return {"host": platform.node(), "process": started}


def on_this_machine(tags: Mapping[str, str]) -> bool:
    """Return whether the run was logged from this machine, by its tags."""
    return tags.get("host") == platform.node()


def is_alive(tags: Mapping[str, str]) -> bool:
    """Return whether the process that opened the run still exists; False on another machine."""
    return on_this_machine(tags) and _process(tags) is not None


def stop_process(tags: Mapping[str, str], seconds: float = SECONDS_TO_CLOSE) -> None:
    """Terminate the process that logs the run and wait for its end; never stop this process.

    A process that does not end within `seconds` is killed.
    """
    import psutil

    process = _process(tags) if on_this_machine(tags) else None
    if process is None or process.pid == os.getpid():
        return
    try:
        process.terminate()
        process.wait(seconds)
    except psutil.TimeoutExpired:
        process.kill()
    except psutil.NoSuchProcess:
        pass


def close_dead_runs(uri: str, experiment_id: str, resumed: str | None = None) -> list[str]:
    """Set the status KILLED for RUNNING runs whose process or machine died.

    On this machine the process is looked up; on another machine the heartbeat decides. Pending
    entries of a dead process are sent first, because they may say that the run had ended. Runs
    that were not logged by this package are not changed.

    Parameters
    ----------
    uri : str
        Absolute URI of the store.
    experiment_id : str
        Experiment whose runs are checked.
    resumed : str, optional
        Id of a run that is about to be resumed and is not changed either.

    Returns
    -------
    list of str
        Ids of the runs that were closed.

    Raises
    ------
    TrackingError
        MLflow does not respond.
    """
    from mlflow import MlflowClient

    closed = []
    with tracking_errors(uri):
        client = MlflowClient(tracking_uri=uri)
        runs = client.search_runs([experiment_id], "attributes.status = 'RUNNING'")
    for run in runs:
        tags, run_id = run.data.tags, str(run.info.run_id)
        reason = _death(tags, run.info.start_time / 1000)
        if not reason or run_id == resumed:
            continue
        if on_this_machine(tags) and "run_folder" in tags:
            with suppress(TrackingError):  # what cannot be sent stays in the run folder
                send_pending(Path(tags["run_folder"]))
        if close_run(uri, run_id, "KILLED", reason):
            closed.append(run_id)
            logger.warning(
                "The run %s was still open in MLflow (%s). Its status is now KILLED.",
                run.info.run_name,
                reason,
            )
    return closed


def _process(tags: Mapping[str, str]) -> "psutil.Process | None":
    import psutil

    number, _, started = tags.get("process", "").partition(" started ")
    try:
        process = psutil.Process(int(number))
        # the clock may have been set since
        return process if abs(process.create_time() - float(started)) < 2 else None
    except (ValueError, psutil.Error):
        return None


def _death(tags: Mapping[str, str], started: float) -> str:
    """Return the reason why a run counts as dead, or an empty string if it does not."""
    if not tags.get("process"):  # of another program, or a sweep whose jobs run alone
        return ""
    if on_this_machine(tags):
        return "" if is_alive(tags) else "its process died"
    try:
        last = float(tags.get(HEARTBEAT, started))
    except ValueError:
        return ""
    silent = time.time() - last > SECONDS_OF_SILENCE
    return f"no heartbeat from {tags.get('host')} for half an hour" if silent else ""
