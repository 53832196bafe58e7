"""Child runs of a sweep, one for every job, and the sweep's own run, read from MLflow."""

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from nlp_rnn.config.training import Monitor
from nlp_rnn.errors import ConfigError, TrackingError
from nlp_rnn.tracking.ended_runs import close_run
from nlp_rnn.tracking.environment import quiet_mlflow
from nlp_rnn.tracking.liveness import is_alive, process_tags
from nlp_rnn.tracking.store import tracking_errors
from nlp_rnn.tracking.tags import KIND, OLD_KIND

__all__ = [
    "ARGUMENTS_TAG",
    "Child",
    "Children",
    "Parent",
    "find_parent",
    "score_text",
    "validation_metric",
]

ARGUMENTS_TAG = "sweep_arguments"
"""Tag of a sweep's run: its arguments as a JSON list."""
OLD_ARGUMENTS_TAG = "sweep_words"

LAST = "last"
SCORES = (
    ("accuracy", "test/accuracy"),
    ("micro-F1", "test/micro_f1"),
    ("macro-F1", "test/macro_f1"),
)
PAGE = 1000
NO_BASELINES = tuple(f"tags.kind != '{kind}'" for kind in (KIND, OLD_KIND))
SECONDS_BETWEEN_TRIES = 5.0


@dataclass(frozen=True)
class Child:
    """Newest run of a job.

    Attributes
    ----------
    key : str
        Key of the job.
    run_id, name, status : str
        As in MLflow.
    seconds : float or None
        Duration; None while it is running.
    tags, metrics : mapping
        All tags, and the last value of every metric.
    """

    key: str
    run_id: str
    name: str
    status: str
    seconds: float | None
    tags: Mapping[str, str]
    metrics: Mapping[str, float]

    @property
    def done(self) -> bool:
        """Whether the job needs no other run: it is finished, or was pruned by a search."""
        return self.status == "FINISHED" or "pruned" in self.tags

    @property
    def summary(self) -> str:
        """Test scores of a finished run, or the reason why it did not finish."""
        if self.status == "FINISHED":
            return score_text(self.metrics)
        if self.done:
            return self.tags.get("error", "pruned")
        return f"{self.status}: {self.tags.get('error', 'the reason is unknown')}"


@dataclass(frozen=True)
class Parent:
    """MLflow run of a sweep that was started before: its id, status and tags."""

    run_id: str
    status: str
    tags: Mapping[str, str]

    @property
    def arguments(self) -> list[str]:
        """Arguments that the sweep was started with."""
        text = self.tags.get(ARGUMENTS_TAG) or self.tags[OLD_ARGUMENTS_TAG]
        arguments: list[str] = json.loads(text)
        return arguments


class Children:
    """Reads and closes the child runs of one sweep in MLflow."""

    def __init__(self, uri: str, experiment_id: str, parent_run_id: str) -> None:
        """Select the sweep; MLflow is not contacted yet."""
        self._uri, self._experiment_id, self._parent = uri, experiment_id, parent_run_id

    def read(self, patience: float = 0) -> dict[str, Child]:
        """Return the newest run of each job by its key; a finished run is preferred.

        Parameters
        ----------
        patience : float
            Seconds in which a failed request is repeated.

        Raises
        ------
        TrackingError
            MLflow does not respond in that time.
        """
        end = time.monotonic() + patience
        while time.monotonic() < end:
            try:
                return self._read()
            except TrackingError:
                time.sleep(min(patience, SECONDS_BETWEEN_TRIES))
        return self._read()

    def _read(self) -> dict[str, Child]:
        children: dict[str, Child] = {}
        for run in self._runs():
            child = _child(run)
            if not child.key:
                continue  # a baseline, which is no job
            if child.key in children and children[child.key].status == "FINISHED":
                continue
            children[child.key] = child
        return children

    def lack(self, option: str) -> bool:
        """Return whether the first run of a network was logged without `option`, a dotted key."""
        for run in self._runs():
            if run.data.params.get("model.cell", "ngrams") != "ngrams":
                return option not in run.data.params
        return False

    def close(self, status: str, reason: str, keys: Iterable[str]) -> None:
        """Close the runs of jobs that are RUNNING although their processes have ended.

        Parameters
        ----------
        status : str
            Status that they get, such as KILLED.
        reason : str
            Value of their tag `error`.
        keys : iterable of str
            Keys of the jobs.
        """
        selected = set(keys)
        for run in self._runs("attributes.status = 'RUNNING'"):
            if run.data.tags.get("job") in selected:
                close_run(self._uri, run.info.run_id, status, reason)

    def reopen(self, key: str) -> None:
        """Set the last run of a job RUNNING, because a cluster will start the job again.

        Until then this process counts as the process of the run.
        """
        from mlflow import MlflowClient

        runs = self._runs(f"tags.job = '{key}'")
        if not runs or runs[-1].info.status == "FINISHED":
            return
        run_id = runs[-1].info.run_id
        with tracking_errors(self._uri):
            client = MlflowClient(tracking_uri=self._uri)
            if "error" in runs[-1].data.tags:
                client.delete_tag(run_id, "error")
            for name, value in process_tags().items():
                client.set_tag(run_id, name, value)
            client.update_run(run_id, status="RUNNING")

    def _runs(self, condition: str = "") -> list[Any]:
        """Return MLflow's runs, the oldest first."""
        quiet_mlflow()
        from mlflow import MlflowClient

        conditions = [f"tags.`mlflow.parentRunId` = '{self._parent}'", *NO_BASELINES]
        conditions += [condition] if condition else []
        runs: list[Any] = []
        token = None
        with tracking_errors(self._uri):
            client = MlflowClient(tracking_uri=self._uri)
            while True:
                page = client.search_runs(
                    [self._experiment_id],
                    " and ".join(conditions),
                    order_by=["attributes.start_time ASC"],
                    max_results=PAGE,
                    page_token=token,
                )
                runs += page
                token = page.token
                if not token:
                    return runs


def score_text(metrics: Mapping[str, float]) -> str:
    """Return the test scores of a run in one line, or `finished` if it has none."""
    parts = [f"{name} {metrics[metric]:.4f}" for name, metric in SCORES if metric in metrics]
    return "  ".join(parts) or "finished"


def validation_metric(monitor: Monitor, metrics: Mapping[str, float]) -> str:
    """Return the metric that `trainer.monitor` stands for.

    `auto` is micro-F1 for multi-label data, where it is measured, and macro-F1 otherwise.
    """
    if monitor is not Monitor.auto:
        return f"validation/{monitor.name}"
    multi_label = "validation/micro_f1" in metrics
    return "validation/micro_f1" if multi_label else "validation/macro_f1"


def find_parent(uri: str, experiment_id: str, sweep: str, *, allow_running: bool = False) -> Parent:
    """Return the run of a sweep.

    Parameters
    ----------
    uri : str
        Absolute URI of the store.
    experiment_id : str
        Experiment of the sweep.
    sweep : str
        Id of the sweep, id of its run, or `last` for the sweep that was started last.
    allow_running : bool
        Whether the sweep may be running in another process.

    Raises
    ------
    ConfigError
        There is no such sweep, or it is still running.
    """
    quiet_mlflow()
    from mlflow import MlflowClient

    with tracking_errors(uri):
        runs = MlflowClient(tracking_uri=uri).search_runs(
            [experiment_id], "tags.kind = 'sweep'", order_by=["attributes.start_time DESC"]
        )
    for run in runs:
        tags = dict(run.data.tags)
        if sweep in (LAST, tags.get("sweep"), run.info.run_id):
            if run.info.status == "RUNNING" and is_alive(tags) and not allow_running:
                raise ConfigError(
                    f"The sweep {tags.get('sweep')} is still running in process "
                    f"{tags['process'].partition(' ')[0]}.\n"
                    f"To follow it, run nlp-rnn sweep attach {tags.get('sweep')}"
                )
            return Parent(run.info.run_id, run.info.status, tags)
    latest = ", ".join(str(run.data.tags.get("sweep")) for run in runs[:5])
    raise ConfigError(
        f"There is no sweep {sweep!r} in this experiment"
        + (f"; the last ones are {latest}." if latest else ", and no other sweep.")
    )


def _child(run: Any) -> Child:
    tags = dict(run.data.tags)
    start, end = run.info.start_time, run.info.end_time
    return Child(
        key=tags.get("job", ""),
        run_id=run.info.run_id,
        name=run.info.run_name or run.info.run_id,
        status=run.info.status,
        seconds=(end - start) / 1000 if end and run.info.status != "RUNNING" else None,
        tags=tags,
        metrics=dict(run.data.metrics),
    )
