"""The jobs of a sweep become a list with an estimate of the time, without running them."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nlp_rnn.config.signature import signature
from nlp_rnn.errors import TrackingError
from nlp_rnn.sweeps.jobs import Command, Job, swept_words
from nlp_rnn.sweeps.progress import duration
from nlp_rnn.tracking.environment import quiet_mlflow
from nlp_rnn.tracking.store import tracking_errors
from nlp_rnn.tracking.tags import KIND, OLD_KIND

__all__ = ["print_forecast"]

LOOKED_AT = 1000
"""Of the newest runs in the store."""


def print_forecast(command: Command, jobs: Sequence[Job], uri: str) -> None:
    """Print a line a job, and the time they will take by what earlier runs took.

    An earlier run of the same signature tells best, then one of the same cell on the same data;
    where there is neither, no time is named.
    """
    known = _durations(uri)
    times = [_estimate(job, known) for job in jobs]
    for number, (job, seconds) in enumerate(zip(jobs, times, strict=True), 1):
        told = job.problem.splitlines()[0] if job.problem else ""
        told = told or (f"about {duration(seconds)}" if seconds is not None else "")
        print(f"{number:>4}  {job.name:<32}  {told}".rstrip())
    at_once = f", {command.told.sweep.jobs} at a time" if command.told.sweep.jobs > 1 else ""
    print(f"{len(jobs)} jobs{at_once}: {swept_words(command.space)}")
    pairs = zip(jobs, times, strict=True)
    timed = [seconds for job, seconds in pairs if seconds is not None and not job.problem]
    if not timed:
        print("No earlier run of these models on this data tells how long they will take.")
        return
    runnable = sum(not job.problem for job in jobs)
    total = statistics.fmean(timed) * runnable / command.told.sweep.jobs
    print(f"about {duration(total)} in all, by earlier runs; the comparison comes on top")


def _durations(uri: str) -> Mapping[tuple[str, ...], list[float]]:
    """Seconds of finished runs by signature, and by data and cell; none without a store."""
    file = Path(uri.removeprefix("sqlite:///"))
    if uri.startswith("sqlite:///") and not file.exists():
        return {}
    quiet_mlflow()
    from mlflow import MlflowClient

    found: dict[tuple[str, ...], list[float]] = {}
    try:
        with tracking_errors(uri):
            client = MlflowClient(tracking_uri=uri)
            experiments = [each.experiment_id for each in client.search_experiments()]
            runs: Any = client.search_runs(
                experiments, "attributes.status = 'FINISHED'", max_results=LOOKED_AT
            )
    except TrackingError as error:
        print(f"No earlier runs could be read: {error}")
        return {}
    for run in runs:
        tags = run.data.tags
        if tags.get("kind") in ("sweep", KIND, OLD_KIND, "pretraining") or not run.info.end_time:
            continue
        seconds = (run.info.end_time - run.info.start_time) / 1000
        for key in ((tags.get("signature", ""),), (tags.get("data", ""), tags.get("cell", ""))):
            found.setdefault(key, []).append(seconds)
    return found


def _estimate(job: Job, known: Mapping[tuple[str, ...], list[float]]) -> float | None:
    config = job.config
    for key in ((signature(config),), (config.data.name, config.model.cell)):
        if key in known:
            return statistics.median(known[key])
    return None
