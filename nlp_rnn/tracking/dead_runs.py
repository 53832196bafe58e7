"""Runs that are called RUNNING though nothing runs them any more become KILLED ones."""

import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from nlp_rnn.errors import TrackingError
from nlp_rnn.tracking.ended_runs import send_left_over
from nlp_rnn.tracking.liveness import alive, here
from nlp_rnn.tracking.outbox import HEARTBEAT
from nlp_rnn.tracking.store import tracking_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

__all__ = ["close_dead_runs"]

SECONDS_OF_SILENCE = 1800.0
"""A run of another machine that has not told MLflow anything for so long counts as dead. Should
it only have been cut off, it says at its end how it really ended."""

logger = logging.getLogger(__name__)


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
