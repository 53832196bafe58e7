"""Lifecycle of an MLflow run: open or resume it, and close it with its true status."""

import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from nlp_rnn.errors import TrackingError
from nlp_rnn.tracking.delivery import Delivery
from nlp_rnn.tracking.ended_runs import send_pending
from nlp_rnn.tracking.environment import default_tracking_uri, outbox_http_limits, quiet_mlflow
from nlp_rnn.tracking.interruption import interruptions
from nlp_rnn.tracking.journal import Journal
from nlp_rnn.tracking.liveness import close_dead_runs, process_tags
from nlp_rnn.tracking.logged_values import (
    TAG_LENGTH,
    stored_value,
)
from nlp_rnn.tracking.machine import machine_tags, system_metrics_logged
from nlp_rnn.tracking.outbox import Outbox
from nlp_rnn.tracking.store import tracking_errors
from nlp_rnn.tracking.tracked_run import TrackedRun

__all__ = ["tracked_run"]

logger = logging.getLogger(__name__)


@contextmanager
def tracked_run(
    uri: str,
    experiment_id: str,
    *,
    name: str,
    parameters: Mapping[str, Any],
    tags: Mapping[str, str],
    folder: Path | None = None,
    run_id: str | None = None,
    parent_run_id: str | None = None,
    system_metrics: bool = True,
) -> Iterator[TrackedRun]:
    """Open a run, log to it inside the block, and close it with its true status.

    The status is FINISHED when the block ends, FAILED when it raises, and KILLED on Ctrl-C,
    SIGTERM or SIGHUP, which raise an exception inside the block (SystemExit 143 for SIGTERM).
    In every case all logged metrics are sent and the exception is raised again.

    The tags of `machine_tags` and `process_tags` are added. Runs of the experiment whose process
    or machine died are closed first. The environment variable MLFLOW_RUN_ID is removed with a
    warning.

    If MLflow becomes unavailable, the block neither stops nor slows down: pending entries are
    stored in the run folder. Entries that an earlier process left there are sent first.

    Parameters
    ----------
    uri : str
        Absolute URI of a store that `prepare_store` has checked.
    experiment_id : str
        Id from `obtain_experiment`.
    name : str
        Name of the run in the MLflow UI.
    parameters : mapping
        Dotted configuration keys and their values.
    tags : mapping
        Tags of the run.
    folder : Path, optional
        Run folder. Without one, pending entries are lost with a warning at the end.
    run_id : str, optional
        Interrupted run that is resumed. Without one a new run is created.
    parent_run_id : str, optional
        Run of the sweep that this run belongs to.
    system_metrics : bool
        Whether processor, memory, disk and GPU metrics are logged every ten seconds.

    Yields
    ------
    TrackedRun
        The open run.

    Raises
    ------
    TrackingError
        The run cannot be opened.
    """
    quiet_mlflow()
    inherited = os.environ.pop("MLFLOW_RUN_ID", None)
    if inherited:
        logger.warning("MLFLOW_RUN_ID=%s was set; it is ignored, this run is a new one", inherited)
    run: TrackedRun | None = None
    with (
        default_tracking_uri(uri),
        outbox_http_limits(),
        interruptions() as received,
        ExitStack() as metrics,
    ):
        try:
            with received.hold():
                if folder is not None:
                    send_pending(folder)
                with suppress(TrackingError):
                    close_dead_runs(uri, experiment_id, resumed=run_id)
                run_id = _open(uri, experiment_id, run_id, name, parent_run_id, tags)
                delivery = Delivery(uri, experiment_id, run_id, folder)
                owner = {"uri": uri, "experiment_id": experiment_id, "run_id": run_id}
                try:
                    journal = None if folder is None else Journal(folder, owner)
                except TrackingError:
                    delivery([{"status": "FAILED", "time": int(time.time() * 1000)}])
                    raise
                run = TrackedRun(run_id, Outbox(delivery, journal), folder)
            run.log_parameters(parameters)
            if system_metrics:
                metrics.enter_context(system_metrics_logged(run_id, uri, run.log_metrics))
            yield run
            metrics.close()
            with received.hold():
                if not run.closed:
                    run.close()
        except BaseException as error:
            if run is not None and not run.closed:
                with received.hold():
                    metrics.close()
                    run.close_after(error)
            raise


def _open(
    uri: str,
    experiment_id: str,
    run_id: str | None,
    name: str,
    parent_run_id: str | None,
    tags: Mapping[str, str],
) -> str:
    """Create a run, or reopen `run_id`; return its id."""
    from mlflow import MlflowClient
    from mlflow.entities import RunTag
    from mlflow.tracking.context.registry import resolve_tags

    all_tags = {
        key: stored_value(value, TAG_LENGTH)
        for key, value in (machine_tags() | process_tags() | dict(tags)).items()
    }
    with tracking_errors(uri):
        client = MlflowClient(tracking_uri=uri)
        if run_id is not None:
            if "error" in client.get_run(run_id).data.tags:
                client.delete_tag(run_id, "error")  # of its interruption
            client.log_batch(run_id, tags=[RunTag(*pair) for pair in all_tags.items()])
            client.update_run(run_id, status="RUNNING")
            return run_id
        if parent_run_id is not None:
            client.get_run(parent_run_id)  # MLflow does not check that it exists
            all_tags["mlflow.parentRunId"] = parent_run_id
        run = client.create_run(experiment_id, tags=resolve_tags(all_tags), run_name=name)
        return str(run.info.run_id)
