"""An open MLflow run: parameters, metrics, data sets, files and its status, sent in background."""

import json
import logging
import shlex
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nlp_rnn.errors import PrunedError, SupersededError, SweepKilledError
from nlp_rnn.tracking.interruption import Terminated
from nlp_rnn.tracking.journal import PENDING_FOLDER
from nlp_rnn.tracking.logged_values import (
    METRIC_NAME,
    PARAMETER_LENGTH,
    TAG_LENGTH,
    shorten,
    stored_value,
    without_passwords,
)
from nlp_rnn.tracking.outbox import SECONDS_TO_CLOSE, Outbox

__all__ = ["TrackedRun"]

logger = logging.getLogger(__name__)


class TrackedRun:
    """An open MLflow run, to which everything is logged in order and in the background.

    No method waits for MLflow, except `flush`, or raises an error because of it.

    Attributes
    ----------
    run_id : str
        Id of the run in MLflow.
    closed : bool
        Whether the run has its final status.
    """

    def __init__(self, run_id: str, outbox: Outbox, folder: Path | None) -> None:
        """Wrap a run that exists and is RUNNING; `run_lifecycle.tracked_run` opens one.

        Parameters
        ----------
        run_id : str
            Id of the run.
        outbox : Outbox
            Queue that sends to the run.
        folder : Path or None
            Run folder.
        """
        self.run_id = run_id
        self.closed = False
        self._outbox = outbox
        self._folder = None if folder is None else folder.absolute()
        self._note = ""
        self._last_steps: dict[str, int] = {}
        self._tables: list[str] = []

    def log_parameters(self, parameters: Mapping[str, Any]) -> None:
        """Log parameters; values over 6,000 characters are shortened and end in their length."""
        values = {name: stored_value(value, PARAMETER_LENGTH) for name, value in parameters.items()}
        if values:
            self._outbox.add({"params": values})

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Log metrics with the present time; they are sent within ten seconds.

        NaN is stored as NaN. An infinity is stored as the largest float, 1.8e308 with its sign,
        because MLflow's databases have no infinity.

        Parameters
        ----------
        metrics : mapping
            Values by name; a name has the form `split/metric`.
        step : int
            Epoch or other position on MLflow's x axis.

        Raises
        ------
        ValueError
            MLflow does not support the name.
        """
        for name in metrics:
            if not METRIC_NAME.fullmatch(name):
                raise ValueError(f"{name!r} is not a valid name of an MLflow metric")
        for name in metrics:
            self._last_steps[name] = max(step, self._last_steps.get(name, step))
        now = int(time.time() * 1000)
        points = [[name, float(value), now, step] for name, value in metrics.items()]
        self._outbox.add({"metrics": points}, soon=False)

    def log_final(self, metrics: Mapping[str, float]) -> None:
        """Log the final metrics of the run and start to send everything that is pending.

        They are logged at step 0, where MLflow draws bars instead of lines with one point. A
        metric that was logged by epoch gets one more step, so that MLflow's latest value is the
        final one.
        """
        for name, value in metrics.items():
            self.log_metrics({name: value}, step=self._last_steps.get(name, -1) + 1)
        self.flush(0)

    def flush(self, seconds: float = SECONDS_TO_CLOSE) -> bool:
        """Wait until MLflow has stored everything or is unavailable; return whether it has."""
        return self._outbox.flush(seconds)

    def log_dataset(
        self, name: str, digest: str, context: str, profile: Mapping[str, Any], source: str = ""
    ) -> None:
        """Log that the run used a data set.

        Parameters
        ----------
        name : str
            Name of the data set. MLflow stores one context for each name and digest, so every
            split needs its own name.
        digest : str
            Fingerprint of the content, at most 36 characters.
        context : {'training', 'validation', 'test'}
            What the data set was used for.
        profile : mapping
            Properties such as the number of rows.
        source : str
            Path that the data was read from; empty for generated data.
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
        """Copy a file to the run's artifacts.

        A file in the run folder is read when it is sent, any other file immediately.

        Parameters
        ----------
        path : Path
            File to copy.
        folder : str, optional
            Folder in the artifacts; without one the file is stored at their root.
        """
        self._outbox.add({"file": self._delivery_path(path), "to": folder})

    def log_text(self, text: str, file: str) -> None:
        """Write `text`, without passwords, to the artifact called `file`."""
        self._outbox.add({"text": without_passwords(text), "to": file})

    def log_table(self, columns: Sequence[str], rows: Sequence[Sequence[Any]], file: str) -> None:
        """Write a table to the artifact called `file`, a json file that MLflow shows as a table."""
        # the layout and the tag of `mlflow.log_table`
        self.log_text(json.dumps({"columns": list(columns), "data": list(rows)}), file)
        self._tables.append(file)
        artifacts = [{"path": path, "type": "table"} for path in self._tables]
        self.set_tags({"mlflow.loggedArtifacts": json.dumps(artifacts)})

    def log_classifier(self, folder: Path, example: Sequence[str]) -> None:
        """Log a classifier folder as the model `classifier`, with texts as its input example."""
        self._outbox.add({"model": self._delivery_path(folder), "example": list(example)})

    def set_note(self, markdown: str) -> None:
        """Set the description that the MLflow UI shows on the run's page."""
        self.set_tags({"mlflow.note.content": markdown})
        self._note = markdown

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags; values over 8,000 characters are shortened and end in their length."""
        values = {name: stored_value(value, TAG_LENGTH) for name, value in tags.items()}
        if values:
            self._outbox.add({"tags": values})

    def close(self) -> None:
        """Send everything that is pending, then set the status FINISHED."""
        self._end("FINISHED")

    def leave_open(self) -> None:
        """Send everything that is pending, and leave the run RUNNING for another process."""
        self._end(None)

    def close_after(self, error: BaseException) -> None:
        """Send everything that is pending, then set the status KILLED or FAILED.

        The tag `error` and the note contain the reason. A failed run also gets the artifact
        `traceback.txt`.
        """
        status, hint = "KILLED", ""
        if isinstance(error, KeyboardInterrupt | Terminated):
            reason = f"stopped by {str(error) or 'Ctrl-C'}"
        elif isinstance(error, PrunedError | SupersededError | SweepKilledError):
            reason = " ".join(str(error).split())
        else:
            message = " ".join(str(error).split())
            status, reason = "FAILED", shorten(f"{type(error).__name__}: {message}", 500)
            hint = "\n\nThe traceback is in the artifact `traceback.txt`."
        quoted = reason.replace("`", "'")
        note = f"**{status}**: `{quoted}`{hint}\n\n{self._note}".strip()
        if not self._outbox.closing:  # else it was interrupted while its final status was sent
            pruned = {"pruned": "true"} if isinstance(error, PrunedError) else {}
            self.set_tags({"error": reason, "mlflow.note.content": note} | pruned)
            if status == "FAILED":
                self.log_text("".join(traceback.format_exception(error)), "traceback.txt")
        self._end(status)
        error.add_note(f"MLflow run {self.run_id}")

    def _end(self, status: str | None) -> None:
        last = {"status": status, "time": int(time.time() * 1000)} if status else None
        unsent = self._outbox.close(last)
        self.closed = True
        if unsent and self._folder is not None:
            logger.warning(
                "MLflow did not store all of the run %s; the rest is pending in %s. Run: %s",
                self.run_id,
                self._folder / PENDING_FOLDER,
                shlex.join(["nlp-rnn", "sync", str(self._folder)]),
            )
        elif unsent:
            logger.warning("MLflow did not store all of the run %s; the rest is lost", self.run_id)

    def _delivery_path(self, path: Path) -> str:
        """Return the path under which `Delivery` finds a file or folder."""
        path = path.absolute()
        if self._folder is not None and path.is_relative_to(self._folder):
            return str(path.relative_to(self._folder))
        return str(path) if path.is_dir() else self._outbox.copy(path)
