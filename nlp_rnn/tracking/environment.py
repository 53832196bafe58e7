"""MLflow settings of the whole process (environment variables), set for the length of a block."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Generic, TypeVar, cast

__all__ = ["default_tracking_uri", "http_limits", "outbox_http_limits", "quiet_mlflow"]

QUIET = {
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",  # it would look up a host at the first run
    "GIT_PYTHON_REFRESH": "quiet",  # GitPython, which MLflow uses, warns where git is missing
}

Value = TypeVar("Value")

RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
TIMEOUT = "MLFLOW_HTTP_REQUEST_TIMEOUT"

OUTBOX_TIMEOUT = 30
"""Seconds without a response after which an outbox treats a server as unavailable. A server may
need that long to store a large file."""


def quiet_mlflow() -> None:
    """Turn off MLflow's logging, progress bars and telemetry, except where the user set them.

    It works through the environment, so call it before the first import of mlflow.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)


class _ProcessSetting(Generic[Value]):
    """Setting of the process that blocks of several threads change; the latest block counts."""

    def __init__(self, read: Callable[[], Value], write: Callable[[Value], None]) -> None:
        self._read = read
        self._write = write
        self._lock = threading.Lock()
        self._before: Value | None = None  # what the process had before the first open block
        self._open: list[tuple[object, Value]] = []

    @contextmanager
    def block(self, value: Value) -> Iterator[None]:
        key = object()
        with self._lock:
            if not self._open:
                self._before = self._read()
            self._open.append((key, value))
            self._write(value)
        try:
            yield
        finally:
            with self._lock:
                self._open = [entry for entry in self._open if entry[0] is not key]
                self._write(self._open[-1][1] if self._open else cast(Value, self._before))


def _read_tracking_uri() -> tuple[str | None, str | None]:
    """Return MLflow's tracking URI, None for its default, and the environment variable."""
    import mlflow

    in_environment = os.environ.get("MLFLOW_TRACKING_URI")
    uri = mlflow.get_tracking_uri() if mlflow.tracking.is_tracking_uri_set() else None
    return None if uri == in_environment else uri, in_environment


def _write_tracking_uri(uris: tuple[str | None, str | None]) -> None:
    import mlflow

    uri, in_environment = uris
    mlflow.set_tracking_uri(uri)  # sets or deletes the variable, too
    if in_environment is not None:
        os.environ["MLFLOW_TRACKING_URI"] = in_environment


def _read_http_limits() -> dict[str, str | None]:
    return {name: os.environ.get(name) for name in (RETRIES, TIMEOUT)}


def _write_http_limits(limits: dict[str, str | None]) -> None:
    for name, value in limits.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


_tracking_uri = _ProcessSetting(_read_tracking_uri, _write_tracking_uri)
_http_limits = _ProcessSetting(_read_http_limits, _write_http_limits)


def default_tracking_uri(uri: str) -> AbstractContextManager[None]:
    """Make `uri` MLflow's default tracking URI inside a block and restore the previous one.

    The environment variable MLFLOW_TRACKING_URI is the same before and after the block.
    """
    return _tracking_uri.block((uri, uri))


def http_limits(retries: int, seconds: int) -> AbstractContextManager[None]:
    """Limit the HTTP requests that MLflow sends inside a block.

    MLflow's own limits, seven retries of two minutes, add up to a quarter of an hour. The limits
    hold for the whole process.

    Parameters
    ----------
    retries : int
        How often a failed request is repeated.
    seconds : int
        Timeout of one request.
    """
    return _http_limits.block({RETRIES: str(retries), TIMEOUT: str(seconds)})


def outbox_http_limits() -> AbstractContextManager[None]:
    """Return the `http_limits` for sending an outbox, which retries by itself.

    Limits that the user set in the environment are kept.
    """
    return http_limits(
        int(os.environ.get(RETRIES, 1)), int(os.environ.get(TIMEOUT, OUTBOX_TIMEOUT))
    )
