"""What happens while a classifier is trained becomes one MLflow run with a true status."""

import json
import logging
import os
import shlex
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from nlp_rnn.errors import PrunedError, TrackingError
from nlp_rnn.tracking.delivery import Delivery
from nlp_rnn.tracking.ended_runs import send_left_over
from nlp_rnn.tracking.environment import quiet_mlflow, sending, tracking_uri
from nlp_rnn.tracking.interruption import Terminated, interruptions
from nlp_rnn.tracking.liveness import close_dead_runs, process_tags
from nlp_rnn.tracking.logged_values import (
    METRIC_NAME,
    PARAMETER_LENGTH,
    TAG_LENGTH,
    recorded,
    shortened,
    without_passwords,
)
from nlp_rnn.tracking.machine import machine_tags, machine_watched
from nlp_rnn.tracking.outbox import SECONDS_TO_CLOSE, UNSENT, Journal, Outbox
from nlp_rnn.tracking.store import tracking_errors

__all__ = ["TrackedRun", "tracked_run"]

logger = logging.getLogger(__name__)


class TrackedRun:
    """One run in MLflow: takes what happens, and tells MLflow in the background, in order.

    Nothing here waits for MLflow or raises because of it.
    """

    def __init__(self, run_id: str, outbox: Outbox, folder: Path | None) -> None:
        """Write to the run `run_id`, which exists and is RUNNING, through `outbox`."""
        self.run_id = run_id
        self.closed = False
        self._outbox = outbox
        self._folder = None if folder is None else folder.absolute()
        self._note = ""
        self._last_steps: dict[str, int] = {}

    def log_parameters(self, parameters: Mapping[str, Any]) -> None:
        """Write what the run was given; over 6,000 characters a value ends in its full length."""
        values = {name: recorded(value, PARAMETER_LENGTH) for name, value in parameters.items()}
        if values:
            self._outbox.add({"params": values})

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Keep numbers of this moment; they are sent within ten seconds.

        Names are `part/metric`. NaN arrives as NaN; an infinity arrives as the largest float,
        1.8e308 with its sign, because MLflow's databases know none.

        Raises:
            ValueError: a name that MLflow would refuse.
        """
        for name in metrics:
            if not METRIC_NAME.fullmatch(name):
                raise ValueError(f"MLflow takes no metric called {name!r}")
        for name in metrics:
            self._last_steps[name] = max(step, self._last_steps.get(name, step))
        now = int(time.time() * 1000)
        points = [[name, float(value), now, step] for name, value in metrics.items()]
        self._outbox.add({"metrics": points}, soon=False)

    def log_final(self, metrics: Mapping[str, float]) -> None:
        """Send the results, and what waits, at once.

        They go to step 0, where MLflow draws bars and not lines of one point. A name that has a
        line already gets one more step, so that the value MLflow calls the latest is this one.
        """
        for name, value in metrics.items():
            self.log_metrics({name: value}, step=self._last_steps.get(name, -1) + 1)
        self.flush(0)

    def flush(self, seconds: float = SECONDS_TO_CLOSE) -> bool:
        """Wait until MLflow has everything, or is away; return whether it has."""
        return self._outbox.flush(seconds)

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
        origin: dict[str, Any] = {"uri": source} if source else {"tags": {}}
        dataset = {
            "name": name,
            "digest": digest,
            "source_type": "local" if source else "code",
            "source": json.dumps(origin),
            "profile": json.dumps(profile),
        }
        self._outbox.add({"dataset": dataset, "context": context})

    def log_file(self, path: Path, folder: str | None = None) -> None:
        """Copy a file to the run's artifacts, into `folder` if given.

        One that lies in the run folder is read when it is sent, another one now.
        """
        self._outbox.add({"file": self._place(path), "to": folder})

    def log_text(self, text: str, file: str) -> None:
        """Write `text` to the artifact called `file`."""
        self._outbox.add({"text": without_passwords(text), "to": file})

    def log_classifier(self, folder: Path, example: Sequence[str]) -> None:
        """Log a classifier folder as the model `classifier`, with texts as its example."""
        self._outbox.add({"model": self._place(folder), "example": list(example)})

    def set_note(self, markdown: str) -> None:
        """Set the description that the MLflow UI shows on the run's page."""
        self.set_tags({"mlflow.note.content": markdown})
        self._note = markdown

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags; over 8,000 characters a value ends in its full length."""
        values = {name: recorded(value, TAG_LENGTH) for name, value in tags.items()}
        if values:
            self._outbox.add({"tags": values})

    def close(self) -> None:
        """Send what is waiting, then call the run FINISHED."""
        self._end("FINISHED")

    def close_after(self, error: BaseException) -> None:
        """Keep all that was reached, then call the run KILLED or FAILED, with the reason."""
        if isinstance(error, KeyboardInterrupt | Terminated):
            status, reason = "KILLED", f"stopped by {str(error) or 'Ctrl-C'}"
            where = ""
        elif isinstance(error, PrunedError):
            status, reason, where = "KILLED", str(error), ""
        else:
            words = " ".join(str(error).split())
            status, reason = "FAILED", shortened(f"{type(error).__name__}: {words}", 500)
            where = "\n\nThe traceback is in the artifact `traceback.txt`."
        quoted = reason.replace("`", "'")
        note = f"**{status}**: `{quoted}`{where}\n\n{self._note}".strip()
        if not self._outbox.closing:  # else it had ended, and was interrupted as it said so
            pruned = {"pruned": "true"} if isinstance(error, PrunedError) else {}
            self.set_tags({"error": reason, "mlflow.note.content": note} | pruned)
            if where:
                self.log_text("".join(traceback.format_exception(error)), "traceback.txt")
        self._end(status)
        error.add_note(f"MLflow run {self.run_id}")

    def _end(self, status: str) -> None:
        left = self._outbox.close({"status": status, "time": int(time.time() * 1000)})
        self.closed = True
        if left and self._folder is not None:
            logger.warning(
                "MLflow did not take all of the run %s; the rest is kept in %s. Type: %s",
                self.run_id,
                self._folder / UNSENT,
                shlex.join(["nlp-rnn", "sync", str(self._folder)]),
            )
        elif left:
            logger.warning("MLflow did not take all of the run %s, and it is lost", self.run_id)

    def _place(self, path: Path) -> str:
        """Where the delivery finds a file or folder."""
        path = path.absolute()
        if self._folder is not None and path.is_relative_to(self._folder):
            return str(path.relative_to(self._folder))
        return str(path) if path.is_dir() else self._outbox.copy(path)


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
    """Open a run and close it with the status that is true.

    FINISHED when the block ends, FAILED with `traceback.txt` when it raises, KILLED on Ctrl-C,
    SIGTERM or SIGHUP, which inside the block raise an exception (SystemExit 143 for SIGTERM);
    in any case with every metric that was logged, and the exception goes on. Machine tags are
    added to `tags`. An MLFLOW_RUN_ID in the environment is dropped with a warning.

    Runs of the experiment whose process or machine died are closed first, as KILLED.

    An MLflow that goes away after the beginning neither stops nor slows the block: `folder` keeps
    what it misses, and what an earlier process left there is sent first.

    Args:
        uri: a store that `prepare_store` has seen.
        experiment_id: from `obtain_experiment`.
        name: what the UI calls the run.
        parameters: dotted configuration keys and their values.
        tags: whatever the run should be found by.
        folder: the run folder; without one, what MLflow misses is lost with a warning.
        run_id: a run that was interrupted, to go on in instead of a new one.
        parent_run_id: the run of the sweep that this one belongs to.
        system_metrics: whether processor, memory and disk are recorded every ten seconds.

    Raises:
        TrackingError: the run cannot be opened.
    """
    quiet_mlflow()
    left_over = os.environ.pop("MLFLOW_RUN_ID", None)
    if left_over:
        logger.warning("MLFLOW_RUN_ID=%s was set; it is ignored, this run is a new one", left_over)
    run: TrackedRun | None = None
    with (
        tracking_uri(uri),
        sending(),
        interruptions() as received,
        ExitStack() as watching,
    ):
        try:
            with received.hold():
                if folder is not None:
                    send_left_over(folder)
                with suppress(TrackingError):
                    close_dead_runs(uri, experiment_id, resumed=run_id)
                run_id = _open(uri, experiment_id, run_id, name, parent_run_id, tags)
                delivery = Delivery(uri, experiment_id, run_id, folder)
                of = {"uri": uri, "experiment_id": experiment_id, "run_id": run_id}
                try:
                    journal = None if folder is None else Journal(folder, of)
                except TrackingError:
                    delivery([{"status": "FAILED", "time": int(time.time() * 1000)}])
                    raise
                run = TrackedRun(run_id, Outbox(delivery, journal), folder)
            run.log_parameters(parameters)
            if system_metrics:
                watching.enter_context(machine_watched(run_id, uri, run.log_metrics))
            yield run
            watching.close()
            with received.hold():
                run.close()
        except BaseException as error:
            if run is not None and not run.closed:
                with received.hold():
                    watching.close()
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
    """Make a run, or go on with `run_id`; return its id."""
    from mlflow import MlflowClient
    from mlflow.entities import RunTag
    from mlflow.tracking.context.registry import resolve_tags

    known = {
        key: recorded(value, TAG_LENGTH)
        for key, value in (machine_tags() | process_tags() | dict(tags)).items()
    }
    with tracking_errors(uri):
        client = MlflowClient(tracking_uri=uri)
        if run_id is not None:
            if "error" in client.get_run(run_id).data.tags:
                client.delete_tag(run_id, "error")  # of its interruption
            client.log_batch(run_id, tags=[RunTag(*pair) for pair in known.items()])
            client.update_run(run_id, status="RUNNING")
            return run_id
        if parent_run_id is not None:
            client.get_run(parent_run_id)  # or nobody would notice that there is none
            known["mlflow.parentRunId"] = parent_run_id
        made = client.create_run(experiment_id, tags=resolve_tags(known), run_name=name)
        return str(made.info.run_id)
