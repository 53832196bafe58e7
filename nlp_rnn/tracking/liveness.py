"""A run's tags say which process writes it, so that others can tell whether that still lives.

Runs that are called RUNNING though nothing runs them any more become KILLED ones.
"""

import logging
import os
import platform
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from nlp_rnn.errors import TrackingError
from nlp_rnn.tracking.ended_runs import send_left_over
from nlp_rnn.tracking.outbox import HEARTBEAT
from nlp_rnn.tracking.store import tracking_errors

if TYPE_CHECKING:
    import psutil
    from mlflow import MlflowClient
    from mlflow.entities import Run

__all__ = ["alive", "close_dead_runs", "here", "process_tags", "stop"]

SECONDS_TO_CLOSE = 10.0
"""How long a process that was asked to stop may take to close its run."""

SECONDS_OF_SILENCE = 1800.0
"""A run of another machine that has not told MLflow anything for so long counts as dead. Should
it only have been cut off, it says at its end how it really ended."""

logger = logging.getLogger(__name__)


def process_tags() -> dict[str, str]:
    """`host` and `process`: its number and when it started, for numbers are used again."""
    import psutil

    own = psutil.Process()
    return {"host": platform.node(), "process": f"{own.pid} started {own.create_time():.1f}"}


def here(tags: Mapping[str, str]) -> bool:
    """Whether the run was written from this machine."""
    return tags.get("host") == platform.node()


def alive(tags: Mapping[str, str]) -> bool:
    """Whether the process that opened the run is still there; False on another machine."""
    return here(tags) and _process(tags) is not None


def stop(tags: Mapping[str, str]) -> None:
    """Ask the process that writes the run to stop, and wait until it has; never this one."""
    import psutil

    process = _process(tags) if here(tags) else None
    if process is None or process.pid == os.getpid():
        return
    try:
        process.terminate()
        process.wait(SECONDS_TO_CLOSE)
    except psutil.TimeoutExpired:
        process.kill()
    except psutil.NoSuchProcess:
        pass


def _process(tags: Mapping[str, str]) -> "psutil.Process | None":
    import psutil

    number, _, started = tags.get("process", "").partition(" started ")
    try:
        process = psutil.Process(int(number))
        # the clock may have been set since
        return process if abs(process.create_time() - float(started)) < 2 else None
    except (ValueError, psutil.Error):
        return None


def close_dead_runs(uri: str, experiment_id: str, resumed: str | None = None) -> list[str]:
    """Close the runs of an experiment whose process or machine died; return their ids.

    On this machine the process is looked for; on another one its heartbeat counts. What a dead
    process had no time to send is sent first: it may say that the run came to its end. Runs that
    were not written by this package are left alone, and so is `resumed`, which is about to go on.

    Raises:
        TrackingError: MLflow does not answer.
    """
    from mlflow import MlflowClient

    closed = []
    with tracking_errors(uri):
        client = MlflowClient(tracking_uri=uri)
        for run in client.search_runs([experiment_id], "attributes.status = 'RUNNING'"):
            reason = _dead(run.data.tags, run.info.start_time / 1000)
            if reason and run.info.run_id != resumed:
                if here(run.data.tags) and _ended(client, run):
                    continue
                client.set_tag(run.info.run_id, "error", reason)
                client.set_terminated(run.info.run_id, "KILLED")
                closed.append(str(run.info.run_id))
                logger.warning("The run %s was left open (%s); closed", run.info.run_name, reason)
    return closed


def _ended(client: "MlflowClient", run: "Run") -> bool:
    """Whether the run had come to its end, which its process could not tell MLflow any more."""
    folder = run.data.tags.get("run_folder")
    if folder is None:
        return False
    with suppress(TrackingError):  # what cannot be sent is kept
        send_left_over(Path(folder))
    return bool(client.get_run(run.info.run_id).info.status != "RUNNING")


def _dead(tags: Mapping[str, str], started: float) -> str:
    """Why a run counts as dead; nothing if it does not."""
    if "process" not in tags:
        return ""
    if here(tags):
        return "" if alive(tags) else "its process died"
    try:
        last = float(tags.get(HEARTBEAT, started))
    except ValueError:
        return ""
    silent = time.time() - last > SECONDS_OF_SILENCE
    return f"nothing heard from {tags.get('host')} for half an hour" if silent else ""
