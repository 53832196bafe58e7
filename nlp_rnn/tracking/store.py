"""MLflow stores and experiments: create or check them, and turn their errors into messages."""

import hashlib
import os
import re
import shlex
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nlp_rnn.errors import TrackingError
from nlp_rnn.tracking.environment import http_limits, quiet_mlflow
from nlp_rnn.tracking.sqlite_store import prepare_sqlite
from nlp_rnn.tracking.uri import DATABASES, SERVERS, sqlite_path, visible_uri

__all__ = [
    "SEE_LOG",
    "experiment_name",
    "obtain_experiment",
    "prepare_store",
    "tracking_errors",
    "ui_command",
    "ui_link",
]

RESPONSE_TIMEOUT = 10
"""Seconds after which a server or database without a response counts as unreachable."""

SECONDS_BETWEEN_TRIES = 2.0

INTERNAL_ERROR = re.compile(r"\b500 Server Error|error code 500\b|too many 500 error responses")
INTERNAL = "The MLflow server reports an internal error (HTTP 500)"
BROKEN_OFF = "The MLflow server does not accept files"
ABORTED = re.compile(r"Connection aborted|Broken pipe|EOF occurred")
SEE_LOG = "its log has the reason"
"""Part of the message of an error that only the server can explain."""


def prepare_store(uri: str, patience: float = 0) -> None:
    """Make sure that runs can be logged to the store at `uri`.

    A missing or empty SQLite file is created under a file lock and moved into place when it is
    complete, so any number of processes may call this at once.

    Parameters
    ----------
    uri : str
        Absolute URI, as `resolve_uri` returns it.
    patience : float
        Seconds in which a server or database that does not respond is tried again.

    Raises
    ------
    TrackingError
        The store cannot be created, written or reached, is not an MLflow store, or was made by
        another version of MLflow.
    """
    quiet_mlflow()
    path = sqlite_path(uri)
    if path is not None:
        with tracking_errors(uri):
            version = prepare_sqlite(path)
        # Checked before MLflow opens the file, because it migrates some older stores unasked.
        if not _is_current_schema(version):
            raise TrackingError(_other_version(uri))
    elif uri.startswith((*SERVERS, *DATABASES)):
        end = time.monotonic() + patience
        while True:
            try:
                return _reach_server(uri) if uri.startswith(SERVERS) else _reach_database(uri)
            except TrackingError:
                if time.monotonic() >= end:
                    raise
            time.sleep(min(patience, SECONDS_BETWEEN_TRIES))


def experiment_name(name: str | None, uri: str) -> str:
    """Return the name of the experiment that runs are logged to.

    It is `name`, or without one MLFLOW_EXPERIMENT_NAME, the experiment of MLFLOW_EXPERIMENT_ID in
    the store at `uri`, or `nlp_rnn`.

    Raises
    ------
    TrackingError
        The store has no experiment with the id MLFLOW_EXPERIMENT_ID, or it has another name.
    """
    source = "tracking.experiment" if name else "MLFLOW_EXPERIMENT_NAME"
    name = name or os.environ.get("MLFLOW_EXPERIMENT_NAME") or None
    experiment_id = os.environ.get("MLFLOW_EXPERIMENT_ID")
    if not experiment_id:
        return name or "nlp_rnn"
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    with tracking_errors(uri):
        try:
            experiment = MlflowClient(tracking_uri=uri).get_experiment(experiment_id)
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
            raise TrackingError(
                f"MLFLOW_EXPERIMENT_ID is {experiment_id}, and {visible_uri(uri)} has no such "
                "experiment.\nUnset it, or set MLFLOW_TRACKING_URI to the store that has it."
            ) from None
    if name is not None and experiment.name != name:
        raise TrackingError(
            f"MLFLOW_EXPERIMENT_ID={experiment_id} is the experiment {experiment.name!r}, but "
            f"{source} is {name!r}.\nRemove one of them."
        )
    return str(experiment.name)


def obtain_experiment(uri: str, name: str) -> str:
    """Return the id of the experiment called `name`; create it if it does not exist.

    The artifacts of an experiment in an SQLite file are stored beside the file, in
    `mlartifacts/NAME`. A server chooses the location itself. Many processes may call this at once.

    Raises
    ------
    TrackingError
        The experiment was deleted, or the store rejects the name.
    """
    quiet_mlflow()
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    with tracking_errors(uri):
        client = MlflowClient(tracking_uri=uri)
        experiment = client.get_experiment_by_name(name)
        if experiment is None:
            path = sqlite_path(uri)
            location = None if path is None else _artifact_folder(path, name).as_uri()
            try:
                return str(client.create_experiment(name, artifact_location=location))
            except MlflowException as error:
                # Another process may have created it in the meantime.
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
                experiment = client.get_experiment_by_name(name)
    if experiment.lifecycle_stage != "active":
        restore = shlex.join(["experiments", "restore", "-x", experiment.experiment_id])
        raise TrackingError(
            f"The MLflow experiment {name!r} was deleted. Set tracking.experiment=NAME for another,"
            f"\nor restore it: MLFLOW_TRACKING_URI={shlex.quote(visible_uri(uri))} "
            f"{_mlflow_program()} {restore}"
        )
    return str(experiment.experiment_id)


def ui_command(uri: str) -> str:
    """Return the shell command that shows the store in a browser."""
    if uri.startswith(SERVERS):
        return f"python3 -m webbrowser {shlex.quote(visible_uri(uri))}"
    return f"{_mlflow_program()} ui --backend-store-uri {shlex.quote(visible_uri(uri))}"


def ui_link(uri: str, experiment_id: str, run_id: str | None = None) -> str:
    """Return the link to the runs of an experiment, or to one run, in the MLflow UI.

    The page is on the tracking server, or on the local server that `ui_command` starts. Without
    `workflowType` MLflow opens its GenAI pages, which show none of the metrics of a classifier.
    """
    server = visible_uri(uri) if uri.startswith(SERVERS) else "http://127.0.0.1:5000"
    page = f"runs/{run_id}" if run_id else "runs"
    return f"{server}/#/experiments/{experiment_id}/{page}?workflowType=machine_learning"


@contextmanager
def tracking_errors(uri: str, *, uploads: bool = False) -> Iterator[None]:
    """Convert errors of MLflow, the database or the disk inside the block to `TrackingError`.

    The message contains the first line of the cause, without the password of `uri`.

    Parameters
    ----------
    uri : str
        Absolute URI of the store.
    uploads : bool
        Whether files are uploaded inside the block. A server that fails before it has read a file
        closes the connection, which looks as if it were unavailable.
    """
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, RequestException, SQLAlchemyError, OSError) as error:
        reason = str(error).replace(uri, visible_uri(uri))
        if "out-of-date database schema" in reason:
            raise TrackingError(_other_version(uri)) from error
        broken_off = uploads and ABORTED.search(reason) is not None and _responds(uri)
        if broken_off or INTERNAL_ERROR.search(reason):
            raise TrackingError(
                f"{BROKEN_OFF if broken_off else INTERNAL} at {visible_uri(uri)}: {SEE_LOG}, such "
                "as a missing boto3 for artifacts in s3://…"
            ) from error
        raise TrackingError(f"MLflow at {visible_uri(uri)}: {_short(reason)}") from error


def _is_current_schema(version: str) -> bool:
    """Return whether `version` is the last schema migration of the installed MLflow.

    The migration scripts are read as text, because importing alembic takes half a second.
    """
    import mlflow

    scripts = Path(mlflow.__file__).parent / "store" / "db_migrations" / "versions"
    texts = {script.name: script.read_bytes() for script in scripts.glob("*.py")}
    mentions = [name for name, text in texts.items() if version.encode() in text]
    return not texts or (len(mentions) == 1 and mentions[0].startswith(version))


def _other_version(uri: str) -> str:
    upgrade = f"{_mlflow_program()} db upgrade {shlex.quote(visible_uri(uri))}"
    return (
        f"The MLflow store {visible_uri(uri)} was made by another version of MLflow.\n"
        f"If that version was older, back up the store and run: {upgrade}"
    )


def _reach_server(uri: str) -> None:
    from mlflow import MlflowClient

    try:
        with http_limits(0, RESPONSE_TIMEOUT), tracking_errors(uri):
            MlflowClient(tracking_uri=uri).search_experiments(max_results=1)
    except TrackingError as error:
        cause: BaseException = error
        while cause.__context__ is not None:  # the innermost says "Connection refused"
            cause = cause.__context__
        raise TrackingError(
            f"No MLflow server responds at {visible_uri(uri)} ({_short(str(cause))}).\n"
            "Start it, or unset tracking.uri and MLFLOW_TRACKING_URI to use a local file."
        ) from error


def _responds(uri: str) -> bool:
    try:
        _reach_server(uri)
    except TrackingError:
        return False
    return True


def _reach_database(uri: str) -> None:
    import sqlalchemy

    # MLflow itself would try for more than a minute and a half.
    limit = {} if uri.startswith("mssql") else {"connect_timeout": RESPONSE_TIMEOUT}
    try:
        engine = sqlalchemy.create_engine(uri, connect_args=limit)
        engine.connect().close()
        engine.dispose()
    except (sqlalchemy.exc.SQLAlchemyError, ImportError) as error:
        driver = " (install this driver with pip)" if isinstance(error, ImportError) else ""
        raise TrackingError(
            f"The database of the MLflow store {visible_uri(uri)} cannot be reached.\n"
            f"{_short(str(error).replace(uri, visible_uri(uri)))}{driver}"
        ) from error


def _artifact_folder(path: Path, name: str) -> Path:
    """Return an absolute folder that resembles the experiment's name and is unique to it."""
    folder = re.sub(r"[^\w.-]+", "_", name).strip("._")[:60]
    if folder != name:
        folder = f"{folder}-{hashlib.sha256(name.encode()).hexdigest()[:8]}".lstrip("-")
    return path.parent / "mlartifacts" / folder


def _mlflow_program() -> str:
    """Return `mlflow` if the PATH has this environment's program, otherwise its quoted path."""
    program = Path(sys.executable).with_name("mlflow")
    on_path = shutil.which("mlflow")
    if not program.exists() or (on_path and Path(on_path).absolute() == program.absolute()):
        return "mlflow"
    return shlex.quote(
        os.path.relpath(program) if program.is_relative_to(Path.cwd()) else str(program)
    )


def _short(reason: str) -> str:
    """Return the first line of a message, at most 300 characters of it."""
    line = next((line.strip() for line in reason.splitlines() if line.strip()), "no reason given")
    return line if len(line) <= 300 else line[:300] + " …"
