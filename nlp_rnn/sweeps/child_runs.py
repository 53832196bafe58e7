"""The runs of a sweep's jobs, as MLflow has them at this moment."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nlp_rnn.config.training import Monitor
from nlp_rnn.errors import ConfigError, TrackingError
from nlp_rnn.tracking.environment import quiet_mlflow
from nlp_rnn.tracking.liveness import is_alive, on_this_machine, stop_process
from nlp_rnn.tracking.store import tracking_errors
from nlp_rnn.tracking.tags import KIND, OLD_KIND

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["Child", "Children", "Parent", "find_parent", "validation_metric"]

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
    """The newest run of a job.

    Attributes:
        key: the job's.
        run_id, name, status: as MLflow has them.
        seconds: from its start to its end; None while it runs.
        tags, metrics: all of them, the last value of each.
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
        """Whether it ended as it should: trained to its end, or given up by a search."""
        return self.status == "FINISHED" or "pruned" in self.tags

    @property
    def told(self) -> str:
        """How it went, in a few words."""
        if self.status == "FINISHED":
            parts = [
                f"{word} {self.metrics[name]:.4f}" for word, name in SCORES if name in self.metrics
            ]
            return "  ".join(parts) or "finished"
        if self.done:
            return self.tags.get("error", "pruned")
        return f"{self.status}: {self.tags.get('error', 'no reason is known')}"


@dataclass(frozen=True)
class Parent:
    """A sweep that was started before: its run, where its folder is, what was typed."""

    run_id: str
    status: str
    tags: Mapping[str, str]


class Children:
    """Asks MLflow for the runs of one sweep's jobs."""

    def __init__(self, uri: str, experiment_id: str, parent_run_id: str) -> None:
        """Nothing is asked yet."""
        self._uri, self._experiment_id, self._parent = uri, experiment_id, parent_run_id

    def read(self, patience: float = 0) -> dict[str, Child]:
        """The newest run of each job by its key; a finished one before any other.

        Raises:
            TrackingError: MLflow does not answer, not even within `patience` seconds.
        """
        end = time.monotonic() + patience
        while time.monotonic() < end:
            try:
                return self._read()
            except TrackingError:
                time.sleep(min(patience, SECONDS_BETWEEN_TRIES))
        return self._read()

    def _read(self) -> dict[str, Child]:
        found: dict[str, Child] = {}
        for run in self._runs():
            child = _child(run)
            if not child.key:
                continue  # a control, which is no job
            if child.key in found and found[child.key].status == "FINISHED":
                continue
            found[child.key] = child
        return found

    def close(self, status: str, reason: str, keys: Iterable[str] | None = None) -> None:
        """End the runs that are still open on this machine; a process that writes one is stopped.

        Those of other machines go on, for nobody here can tell how they are.
        """
        wanted = None if keys is None else set(keys)
        for run in self._runs("attributes.status = 'RUNNING'"):
            tags = dict(run.data.tags)
            if not on_this_machine(tags) or (wanted is not None and tags.get("job") not in wanted):
                continue
            stop_process(tags)
            with tracking_errors(self._uri):
                client = self._client()
                if client.get_run(run.info.run_id).info.status == "RUNNING":
                    client.set_tag(run.info.run_id, "error", reason)
                    client.set_terminated(run.info.run_id, status)

    def _runs(self, query: str = "") -> list[Any]:
        """Oldest first."""
        words = [f"tags.`mlflow.parentRunId` = '{self._parent}'", *NO_BASELINES]
        found: list[Any] = []
        token = None
        with tracking_errors(self._uri):
            while True:
                page = self._client().search_runs(
                    [self._experiment_id],
                    " and ".join([*words, *([query] if query else [])]),
                    order_by=["attributes.start_time ASC"],
                    max_results=PAGE,
                    page_token=token,
                )
                found += page
                token = page.token
                if not token:
                    return found

    def _client(self) -> "MlflowClient":
        quiet_mlflow()
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self._uri)


def validation_metric(monitor: Monitor, metrics: Mapping[str, float]) -> str:
    """Which metric `trainer.monitor` means: micro-F1 is measured for several labels a text only."""
    if monitor is not Monitor.auto:
        return f"validation/{monitor.name}"
    several = "validation/micro_f1" in metrics
    return "validation/micro_f1" if several else "validation/macro_f1"


def find_parent(uri: str, experiment_id: str, sweep: str) -> Parent:
    """The run of a sweep: by its id, by that of its run, or the `last` that was begun.

    Raises:
        ConfigError: there is none, or it is still running.
    """
    quiet_mlflow()
    from mlflow import MlflowClient

    with tracking_errors(uri):
        found = MlflowClient(tracking_uri=uri).search_runs(
            [experiment_id], "tags.kind = 'sweep'", order_by=["attributes.start_time DESC"]
        )
    for run in found:
        tags = dict(run.data.tags)
        if sweep in (LAST, tags.get("sweep"), run.info.run_id):
            if run.info.status == "RUNNING" and is_alive(tags):
                raise ConfigError(
                    f"The sweep {tags.get('sweep')} is still running, in process "
                    f"{tags['process'].partition(' ')[0]}.\nWait for it, or stop that first."
                )
            return Parent(run.info.run_id, run.info.status, tags)
    known = ", ".join(str(run.data.tags.get("sweep")) for run in found[:5])
    raise ConfigError(
        f"There is no sweep {sweep!r} in this experiment"
        + (f"; the last ones are {known}." if known else ", nor any other.")
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
