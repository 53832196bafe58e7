"""What happens while a classifier is trained becomes one MLflow run with a true status."""

import json
import logging
import os
import re
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.errors import TrackingError
from nlp_rnn.tracking.interruption import Terminated, interruptions
from nlp_rnn.tracking.liveness import process_tags
from nlp_rnn.tracking.machine import machine_tags
from nlp_rnn.tracking.outbox import Outbox
from nlp_rnn.tracking.store import quiet_mlflow, tracking_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

__all__ = ["TrackedRun", "tracked_run"]

VALUES_PER_CALL = 100
PARAMETER_LENGTH = 6000
TAG_LENGTH = 8000
"""MLflow's own limits; it would refuse or silently cut what is beyond them."""

METRIC_NAME = re.compile(r"[\w.\- :]+(/[\w.\- :]+)*")

logger = logging.getLogger(__name__)


class TrackedRun:
    """One run in MLflow: takes what happens, keeps metrics until a batch is worth sending.

    `end` is told the final status. Everything that talks to MLflow raises a TrackingError when
    MLflow does not answer, except `log_metrics`, which never waits for it.
    """

    def __init__(
        self, client: "MlflowClient", uri: str, run_id: str, end: Callable[[str], None]
    ) -> None:
        """Write to the run `run_id`, which exists and is RUNNING, of the store at `uri`."""
        self.run_id = run_id
        self.closed = False
        self._client = client
        self._uri = uri
        self._end = end
        self._note = ""
        self._last_steps: dict[str, int] = {}
        self._metrics = Outbox(self._send_metrics)

    def log_parameters(self, parameters: Mapping[str, Any]) -> None:
        """Write what the run was given; over 6,000 characters a value ends in its full length."""
        from mlflow.entities import Param

        entries = [
            Param(name, _shortened(_words(value), PARAMETER_LENGTH))
            for name, value in parameters.items()
        ]
        with tracking_errors(self._uri):
            for batch in _batches(entries, VALUES_PER_CALL):
                self._client.log_batch(self.run_id, params=batch)

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Keep numbers of this moment; they are sent within ten seconds, in the background.

        Names are `part/metric`. NaN arrives as NaN; an infinity arrives as the largest float,
        1.8e308 with its sign, because MLflow's databases know none.

        Raises:
            ValueError: a name that MLflow would refuse.
        """
        from mlflow.entities import Metric

        for name in metrics:
            if not METRIC_NAME.fullmatch(name):
                raise ValueError(f"MLflow takes no metric called {name!r}")
        for name in metrics:
            self._last_steps[name] = max(step, self._last_steps.get(name, step))
        now = int(time.time() * 1000)
        self._metrics.add(
            [Metric(name, float(value), now, step) for name, value in metrics.items()]
        )

    def log_final(self, metrics: Mapping[str, float]) -> None:
        """Write the results at once.

        They go to step 0, where MLflow draws bars and not lines of one point. A name that has a
        line already gets one more step, so that the value MLflow calls the latest is this one.
        """
        for name, value in metrics.items():
            self.log_metrics({name: value}, step=self._last_steps.get(name, -1) + 1)
        self.flush()

    def flush(self) -> None:
        """Send the metrics that are waiting."""
        with tracking_errors(self._uri):
            self._metrics.flush()

    def log_dataset(
        self, name: str, digest: str, context: str, profile: Mapping[str, Any], source: str = ""
    ) -> None:
        """Record that the run read a data set.

        Args:
            name: MLflow keeps one context for each name and digest, so two splits need two.
            digest: a fingerprint of the content, up to 36 characters.
            context: `training`, `validation` or `test`.
            profile: what is worth knowing of it, such as the number of rows.
            source: the path it was read from; empty for data that was generated.
        """
        from mlflow.entities import Dataset, DatasetInput, InputTag
        from mlflow.exceptions import MlflowException

        origin: dict[str, Any] = {"uri": source} if source else {"tags": {}}
        dataset = Dataset(
            name=name,
            digest=digest,
            source_type="local" if source else "code",
            source=json.dumps(origin),
            profile=json.dumps(profile),
        )
        inputs = [DatasetInput(dataset, [InputTag("mlflow.data.context", context)])]
        with tracking_errors(self._uri):
            try:
                self._client.log_inputs(self.run_id, datasets=inputs)
            except MlflowException as error:
                if "IntegrityError" not in str(error):
                    raise
                # another run wrote the same data for the first time in this very moment
                self._client.log_inputs(self.run_id, datasets=inputs)

    def log_file(self, path: Path, folder: str | None = None) -> None:
        """Copy a file to the run's artifacts, into `folder` if given."""
        with tracking_errors(self._uri):
            self._client.log_artifact(self.run_id, str(path), folder)

    def log_text(self, text: str, file: str) -> None:
        """Write `text` to the artifact called `file`."""
        with tracking_errors(self._uri):
            self._client.log_text(self.run_id, text, file)

    def set_note(self, markdown: str) -> None:
        """Set the description that the MLflow UI shows on the run's page."""
        self.set_tags({"mlflow.note.content": markdown})
        self._note = markdown

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags; over 8,000 characters a value ends in its full length."""
        from mlflow.entities import RunTag

        entries = [RunTag(name, _shortened(value, TAG_LENGTH)) for name, value in tags.items()]
        with tracking_errors(self._uri):
            for batch in _batches(entries, VALUES_PER_CALL):
                self._client.log_batch(self.run_id, tags=batch)

    def close(self) -> None:
        """Send what is waiting, then call the run FINISHED."""
        with tracking_errors(self._uri):
            self._metrics.close()
            self._end("FINISHED")
        self.closed = True

    def close_after(self, error: BaseException) -> None:
        """Keep all that was reached, then call the run KILLED or FAILED, with the reason.

        Never raises: what MLflow does not take is logged as a warning, and `error` stays the error.
        """
        if isinstance(error, KeyboardInterrupt | Terminated):
            status, reason = "KILLED", f"stopped by {str(error) or 'Ctrl-C'}"
            where = ""
        else:
            words = " ".join(str(error).split())
            status, reason = "FAILED", _shortened(f"{type(error).__name__}: {words}", 500)
            where = "\n\nThe traceback is in the artifact `traceback.txt`."
        trace = "".join(traceback.format_exception(error))
        quoted = reason.replace("`", "'")
        note = f"**{status}**: `{quoted}`{where}\n\n{self._note}".strip()
        steps: list[Callable[[], None]] = [
            self._metrics.close,
            lambda: self.set_tags({"error": reason, "mlflow.note.content": note}),
            lambda: self.log_text(trace, "traceback.txt") if where else None,
            lambda: self._end(status),
        ]
        for step in steps:
            try:
                with tracking_errors(self._uri):
                    step()
            except TrackingError as lost:
                logger.warning("The run %s could not be closed properly: %s", self.run_id, lost)
        error.add_note(f"MLflow run {self.run_id}")
        self.closed = True

    def _send_metrics(self, metrics: "Sequence[Metric]") -> None:
        self._client.log_batch(self.run_id, metrics=metrics)


@contextmanager
def tracked_run(
    uri: str,
    experiment_id: str,
    *,
    name: str,
    parameters: Mapping[str, Any],
    tags: Mapping[str, str],
    run_id: str | None = None,
    parent_run_id: str | None = None,
    system_metrics: bool = True,
) -> Iterator[TrackedRun]:
    """Open a run, make it MLflow's active one, and close it with the status that is true.

    FINISHED when the block ends, FAILED with `traceback.txt` when it raises, KILLED on Ctrl-C,
    SIGTERM or SIGHUP, which inside the block raise an exception (SystemExit 143 for SIGTERM);
    in any case with every metric that was logged, and the exception goes on. Machine tags are
    added to `tags`. An MLFLOW_RUN_ID in the environment is dropped with a warning, or MLflow
    would go on writing to that old run.

    Args:
        uri: a store that `prepare_store` has seen.
        experiment_id: from `obtain_experiment`.
        name: what the UI calls the run.
        parameters: dotted configuration keys and their values.
        tags: whatever the run should be found by.
        run_id: a run that was interrupted, to go on in instead of a new one.
        parent_run_id: the run of the sweep that this one belongs to.
        system_metrics: whether processor, memory and disk are recorded every ten seconds.

    Raises:
        TrackingError: the run cannot be opened, or the block succeeded and MLflow did not take
            its last metrics or its status.
    """
    quiet_mlflow()
    import mlflow

    left_over = os.environ.pop("MLFLOW_RUN_ID", None)
    if left_over:
        logger.warning("MLFLOW_RUN_ID=%s was set; it is ignored, this run is a new one", left_over)
    run: TrackedRun | None = None

    def end(status: str) -> None:
        active = mlflow.active_run()
        if run is not None and active is not None and active.info.run_id == run.run_id:
            mlflow.end_run(status)
        elif run is not None:  # the block left another run open, which is not ours to end
            client.set_terminated(run.run_id, status)

    with _tracking_uri(uri), interruptions() as received:
        try:
            with received.hold(), tracking_errors(uri):
                active = mlflow.start_run(
                    run_id=run_id,
                    experiment_id=experiment_id,
                    run_name=name,
                    nested=True,
                    parent_run_id=parent_run_id,
                    tags={
                        key: _shortened(value, TAG_LENGTH)
                        for key, value in (machine_tags() | process_tags() | dict(tags)).items()
                    },
                    log_system_metrics=system_metrics,
                )
                client = mlflow.MlflowClient(tracking_uri=uri)
                run = TrackedRun(client, uri, active.info.run_id, end)
            run.log_parameters(parameters)
            yield run
            with received.hold():
                run.close()
        except BaseException as error:
            if run is not None and not run.closed:
                with received.hold():
                    run.close_after(error)
            raise


@contextmanager
def _tracking_uri(uri: str) -> Iterator[None]:
    """Make `uri` MLflow's default inside the block, and leave no trace of it in the environment."""
    import mlflow

    in_environment = os.environ.get("MLFLOW_TRACKING_URI")
    before = mlflow.get_tracking_uri() if mlflow.tracking.is_tracking_uri_set() else None
    mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(None if before == in_environment else before)
        if in_environment is not None:
            os.environ["MLFLOW_TRACKING_URI"] = in_environment


def _batches(entries: list[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(entries), size):
        yield entries[start : start + size]


def _words(value: Any) -> str:
    return str(value.value if isinstance(value, Enum) else value)


def _shortened(text: str, length: int) -> str:
    """At most `length` characters, and if some are missing, a last line that says so."""
    if len(text) <= length:
        return text
    end = f"\n… shortened from {len(text):,} characters"
    return text[: length - len(end)] + end
