"""Run of one job, in any process and on any machine, from the records in the sweep's folder."""

import contextlib
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.config.compose import as_config
from nlp_rnn.config.run import RunConfig
from nlp_rnn.config.sweep import OnFailure, Pruner, SearchConfig
from nlp_rnn.errors import ConfigError, DataError, PrunedError, SupersededError, TrackingError
from nlp_rnn.runs.console import output_to
from nlp_rnn.runs.run_folder import (
    CHECKPOINT,
    CONFIG,
    ORIGIN,
    interrupted,
    read_origin,
    save_origin,
)
from nlp_rnn.runs.run_logging import SweepMembership
from nlp_rnn.sweeps.attempts import Attempt, claim
from nlp_rnn.sweeps.completion import complete
from nlp_rnn.sweeps.job_records import STOPPED, JobRecords
from nlp_rnn.sweeps.pruning import on_epoch
from nlp_rnn.tracking.interruption import Terminated

if TYPE_CHECKING:
    from nlp_rnn.training.events import EpochEnd

__all__ = ["run_job"]

OUTPUT = "output.log"
RUN_NOTE = "MLflow run "
SCORES = ("test/accuracy", "test/micro_f1", "test/macro_f1")


def run_job(sweep_folder: Path, key: str, details: Mapping[str, str] | None = None) -> None:
    """Train one job, resume it, or do nothing if it is finished or runs elsewhere.

    Every error is logged as a FAILED run with its traceback, even one from before the training.
    How the attempt ended is recorded in the folder of the sweep.

    Parameters
    ----------
    sweep_folder : Path
        Folder of the sweep, with the records of its jobs.
    key : str
        Key of the job.
    details : mapping, optional
        Backend and the id that the job has there, which become tags of its run.

    Raises
    ------
    KeyboardInterrupt, Terminated
        A signal stopped the job; this is recorded too.
    """
    records = JobRecords(sweep_folder)
    task = records.read(f"{key}.task")
    if records.stopped:
        return
    attempt = claim(records, key, sweep_folder / task["folder"], details)
    if attempt is None:
        return
    started = time.time()
    status, run_id, error_text, pruned = "FAILED", "", "", False
    metrics: Mapping[str, float] = {}
    try:
        with attempt.heartbeats(), output_to(attempt.folder / OUTPUT):
            run_id, metrics = _train_or_complete(records, key, task, attempt, details or {})
        status = "FINISHED"
    except PrunedError as error:
        status, error_text, run_id, pruned = "KILLED", str(error), _run_id(error), True
    except SupersededError as error:
        status, error_text, run_id = "SUPERSEDED", str(error), _run_id(error)
    except (KeyboardInterrupt, Terminated) as error:
        status, run_id = "KILLED", _run_id(error)
        error_text = f"stopped by {str(error) or 'Ctrl-C'}"
        raise
    except Exception as error:
        error_text, run_id = f"{type(error).__name__}: {error}", _run_id(error)
        if task["on_failure"] == OnFailure.stop.name:
            (sweep_folder / STOPPED).touch()
    finally:
        attempt.end(
            {
                "status": status,
                "error": error_text,
                "run_id": run_id,
                "seconds": time.time() - started,
                "metrics": {name: metrics[name] for name in SCORES if name in metrics},
                "pruned": pruned,
            }
        )


def _train_or_complete(
    records: JobRecords,
    key: str,
    task: Mapping[str, Any],
    attempt: Attempt,
    details: Mapping[str, str],
) -> tuple[str, Mapping[str, float]]:
    """Return the run id and the metrics of the finished job."""
    from nlp_rnn.pipeline import resume, train

    accepted = records.read(f"{key}.result")
    if accepted:
        complete(attempt.folder, accepted, task["command"])
        return accepted["run_id"], accepted["metrics"]
    config = as_config(task["config"])
    membership = _membership(key, task, attempt, details)
    try:
        if task["search"]:
            search = SearchConfig(**task["search"] | {"pruner": Pruner[task["search"]["pruner"]]})
            report = on_epoch(search, config.trainer.monitor)
            membership = replace(membership, on_epoch=_both(attempt, report))
        if attempt.previous is not None:
            _copy_checkpoint(attempt.previous, attempt.folder)
        if interrupted(attempt.folder):
            try:
                result = resume(attempt.folder, membership)
                return result.run_id, result.metrics
            except (ConfigError, DataError, TrackingError) as error:
                print(f"The interrupted run cannot be resumed: {error}\nIt starts again.")
        result = train(config, attempt.folder, list(task["overrides"]), membership)
    except (PrunedError, SupersededError):
        raise
    except Exception as error:
        if not _run_id(error):
            _log_failure(error, config, membership, attempt.folder)
        raise
    return result.run_id, result.metrics


def _membership(
    key: str, task: Mapping[str, Any], attempt: Attempt, details: Mapping[str, str]
) -> SweepMembership:
    parent = task["parent"]
    tags = {"kind": "train", "sweep": parent[:8], "job": key, "attempt": str(attempt.number)}
    if details.get("id"):
        tags[f"{details['backend']}_id"] = details["id"]
    return SweepMembership(
        parent,
        tags,
        task["name_parts"],
        on_epoch=_both(attempt, None),
        accept=attempt.accept,
        tracking_uri=task["tracking_uri"],
        experiment=task["experiment"],
    )


def _both(attempt: Attempt, report: Any) -> "Any":
    """Return a callback that checks the lease after every epoch, then reports the epoch."""

    def after_epoch(event: "EpochEnd") -> None:
        attempt.check()
        if report is not None:
            report(event)

    return after_epoch


def _copy_checkpoint(previous: Path, folder: Path) -> None:
    """Copy the checkpoint of an attempt that may still run; the new attempt gets its own run."""
    import shutil

    from nlp_rnn.tracking.ended_runs import close_run

    if not interrupted(previous) or (folder / CHECKPOINT).exists():
        return
    origin = read_origin(previous, "train")
    if origin.run_id:
        with contextlib.suppress(TrackingError):
            reason = "its heartbeat was missing, and another process continued the job"
            close_run(origin.tracking_uri, origin.run_id, "KILLED", reason)
    (folder / CHECKPOINT).mkdir(parents=True)
    for path in (previous / CHECKPOINT).iterdir():
        if path.name != ORIGIN and path.is_file():
            shutil.copy(path, folder / CHECKPOINT)
    shutil.copy(previous / CONFIG, folder)
    save_origin(replace(origin, run_id="", parameters_logged=False), folder)


def _run_id(error: BaseException) -> str:
    """Return the MLflow run that logged an error; empty if none did."""
    notes: list[str] = getattr(error, "__notes__", [])
    return next((n.removeprefix(RUN_NOTE) for n in notes if n.startswith(RUN_NOTE)), "")


def _log_failure(
    error: Exception, config: RunConfig, membership: SweepMembership, folder: Path
) -> None:
    """Log a FAILED run for a job that failed before it had a run."""
    from nlp_rnn.config.signature import flatten
    from nlp_rnn.runs.run_logging import run_name
    from nlp_rnn.tracking.run_lifecycle import tracked_run
    from nlp_rnn.tracking.store import obtain_experiment, prepare_store

    assert membership.tracking_uri is not None
    assert membership.experiment is not None
    tags = {"cell": config.model.cell, "data": config.data.name, "run_folder": str(folder)}
    with contextlib.suppress(type(error)):
        prepare_store(membership.tracking_uri)
        with tracked_run(
            membership.tracking_uri,
            obtain_experiment(membership.tracking_uri, membership.experiment),
            name=run_name(config, membership),
            parameters=flatten(config),
            tags=tags | dict(membership.tags),
            folder=folder,
            parent_run_id=membership.parent_run_id,
            system_metrics=False,
        ):
            raise error
