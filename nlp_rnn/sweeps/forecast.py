"""Forecast of a sweep for `--dry-run`: the list of its jobs and an estimate of their duration."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from nlp_rnn.config.signature import signature
from nlp_rnn.config.sweep import Backend
from nlp_rnn.errors import TrackingError
from nlp_rnn.sweeps.jobs import Job
from nlp_rnn.sweeps.progress import duration
from nlp_rnn.sweeps.sweep_arguments import SweepCommand, space_text
from nlp_rnn.tracking.environment import quiet_mlflow
from nlp_rnn.tracking.store import tracking_errors
from nlp_rnn.tracking.tags import KIND, run_kind
from nlp_rnn.tracking.uri import store_exists

__all__ = ["print_forecast"]

NEWEST_RUNS = 1000
"""Number of finished runs whose duration is read."""


def print_forecast(command: SweepCommand, jobs: Sequence[Job], uri: str) -> None:
    """Print one line for each job and the estimated duration of the sweep.

    A job's duration is the median of earlier runs with the same signature, or else with the same
    cell and data. Without such runs no duration is printed.

    Parameters
    ----------
    command : SweepCommand
        Composed arguments of the sweep.
    jobs : sequence of Job
        Its jobs.
    uri : str
        Absolute URI of the store with the earlier runs.
    """
    durations = _durations(uri)
    times = [_estimate(job, durations) for job in jobs]
    for number, (job, seconds) in enumerate(zip(jobs, times, strict=True), 1):
        remark = job.problem.splitlines()[0] if job.problem else ""
        remark = remark or (f"about {duration(seconds)}" if seconds is not None else "")
        print(f"{number:>4}  {job.name:<32}  {remark}".rstrip())
    options = command.sweep_options.sweep
    alone = 1 if options.backend is Backend.processes else len(jobs)
    parallel = min(options.jobs or alone, len(jobs))
    at_once = f", {parallel} at a time" if parallel > 1 else ""
    print(f"{len(jobs)} job{'s' * (len(jobs) != 1)}{at_once}: {space_text(command.space)}")
    pairs = zip(jobs, times, strict=True)
    timed = [seconds for job, seconds in pairs if seconds is not None and not job.problem]
    if not timed:
        print("There is no earlier run of these models on this data to estimate the duration from.")
        return
    runnable = sum(not job.problem for job in jobs)
    total = statistics.fmean(timed) * runnable / parallel
    print(f"about {duration(total)} in total, estimated from earlier runs, plus the comparison")


def _durations(uri: str) -> Mapping[tuple[str, ...], list[float]]:
    """Return the seconds of finished runs by signature, and by data and cell."""
    if not store_exists(uri):
        return {}
    quiet_mlflow()
    from mlflow import MlflowClient

    durations: dict[tuple[str, ...], list[float]] = {}
    try:
        with tracking_errors(uri):
            client = MlflowClient(tracking_uri=uri)
            experiments = [experiment.experiment_id for experiment in client.search_experiments()]
            runs: Any = client.search_runs(
                experiments, "attributes.status = 'FINISHED'", max_results=NEWEST_RUNS
            )
    except TrackingError as error:
        print(f"Earlier runs cannot be read: {error}")
        return {}
    for run in runs:
        tags = run.data.tags
        if run_kind(tags) in ("sweep", KIND, "pretraining") or not run.info.end_time:
            continue
        seconds = (run.info.end_time - run.info.start_time) / 1000
        for key in ((tags.get("signature", ""),), (tags.get("data", ""), tags.get("cell", ""))):
            durations.setdefault(key, []).append(seconds)
    return durations


def _estimate(job: Job, durations: Mapping[tuple[str, ...], list[float]]) -> float | None:
    config = job.config
    for key in ((signature(config),), (config.data.name, config.model.cell)):
        if key in durations:
            return statistics.median(durations[key])
    return None
