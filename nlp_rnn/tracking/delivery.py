"""Send the entries of a run's outbox to MLflow."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from nlp_rnn.tracking.environment import default_tracking_uri
from nlp_rnn.tracking.journal import Entry
from nlp_rnn.tracking.outbox import METRICS_PER_CALL, RejectedByMlflow
from nlp_rnn.tracking.store import tracking_errors

__all__ = ["Delivery"]

VALUES_PER_CALL = 100

REJECTIONS = {
    "BAD_REQUEST",
    "INVALID_PARAMETER_VALUE",
    "INVALID_STATE",
    "RESOURCE_ALREADY_EXISTS",
    "RESOURCE_DOES_NOT_EXIST",
}
"""Error codes of MLflow that do not change when the same call is repeated."""


class Delivery:
    """Callable that sends entries of one run to its store.

    Every entry may be sent twice, which happens when a process is killed after it has sent an
    entry and before it has removed it from the journal. MLflow stores one of several equal
    points, parameters, tags and files; a model that exists is not logged again.
    """

    def __init__(self, uri: str, experiment_id: str, run_id: str, folder: Path | None) -> None:
        """Prepare to send entries.

        Parameters
        ----------
        uri : str
            Absolute URI of the store.
        experiment_id : str
            Experiment of the run.
        run_id : str
            Run that the entries belong to.
        folder : Path or None
            Run folder. Relative paths in the entries are relative to it.
        """
        from mlflow import MlflowClient

        self._uri, self._experiment_id, self._run_id = uri, experiment_id, run_id
        self._folder = folder or Path()
        self._client = MlflowClient(tracking_uri=uri)

    def __call__(self, entries: Sequence[Entry]) -> None:
        """Send one entry, or several entries of metrics.

        An entry is a dictionary, whose first key is its kind:

        - `metrics`: list of [name, value, milliseconds since 1970, step]
        - `params` or `tags`: dictionary
        - `dataset`: dictionary; further key `context`
        - `file` (a path) or `text`; further key `to`, the artifact path
        - `model`: path of a classifier folder; further key `example`
        - `status`: status of the run; further key `time`

        Raises
        ------
        RejectedByMlflow
            MLflow will never store the entry.
        TrackingError
            MLflow is unavailable.
        """
        from mlflow.exceptions import MlflowException
        from requests.exceptions import RequestException

        uploads = bool({"file", "text", "model"} & entries[0].keys())
        with tracking_errors(self._uri, uploads=uploads):
            try:
                if "metrics" in entries[0]:
                    self._metrics([point for entry in entries for point in entry["metrics"]])
                else:
                    (entry,) = entries
                    self._one(entry)
            except MlflowException as error:
                # a server without a free database connection calls that a bad request
                if error.error_code in REJECTIONS and "QueuePool" not in str(error):
                    raise RejectedByMlflow(str(error).partition("\n")[0]) from error
                raise
            except RequestException:  # some are ValueErrors, too
                raise
            except (FileNotFoundError, LookupError, TypeError, ValueError) as error:
                raise RejectedByMlflow(f"{type(error).__name__}: {error}") from error

    def _metrics(self, points: Sequence[Any]) -> None:
        from mlflow.entities import Metric

        for start in range(0, len(points), METRICS_PER_CALL):
            batch = [Metric(*point) for point in points[start : start + METRICS_PER_CALL]]
            self._client.log_batch(self._run_id, metrics=batch)

    def _one(self, entry: Entry) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag, Param, RunTag
        from mlflow.exceptions import MlflowException

        client, run_id = self._client, self._run_id
        if "params" in entry:
            params = [Param(*pair) for pair in entry["params"].items()]
            for start in range(0, len(params), VALUES_PER_CALL):
                client.log_batch(run_id, params=params[start : start + VALUES_PER_CALL])
        elif "tags" in entry:
            tags = [RunTag(*pair) for pair in entry["tags"].items()]
            for start in range(0, len(tags), VALUES_PER_CALL):
                client.log_batch(run_id, tags=tags[start : start + VALUES_PER_CALL])
        elif "dataset" in entry:
            context = [InputTag("mlflow.data.context", entry["context"])]
            datasets = [DatasetInput(Dataset(**entry["dataset"]), context)]
            try:
                client.log_inputs(run_id, datasets=datasets)
            except MlflowException as error:
                if "IntegrityError" not in str(error):
                    raise
                # Another run logged the same data set for the first time at the same moment.
                client.log_inputs(run_id, datasets=datasets)
        elif "file" in entry:
            client.log_artifact(run_id, str(self._folder / entry["file"]), entry["to"])
        elif "text" in entry:
            client.log_text(run_id, entry["text"], entry["to"])
        elif "model" in entry:
            self._model(self._folder / entry["model"], entry["example"])
        elif "status" in entry:
            client.set_terminated(run_id, entry["status"], entry["time"])
        else:
            raise ValueError(f"unknown kind of entry: {', '.join(entry)}")

    def _model(self, folder: Path, example: Sequence[str]) -> None:
        from nlp_rnn.classifier import mlflow_model as flavor

        if not folder.is_dir():
            raise FileNotFoundError(f"{folder} does not exist any more")
        name = "classifier"
        query = f"source_run_id = '{self._run_id}' AND name = '{name}'"
        models = self._client.search_logged_models([self._experiment_id], query)
        if any(str(model.status) == "READY" for model in models):
            return
        for model in models:  # of an attempt that was interrupted
            with suppress(Exception):
                self._client.delete_logged_model(model.model_id)
        with default_tracking_uri(self._uri):
            flavor.log_classifier(folder, name=name, example=example, run_id=self._run_id)
