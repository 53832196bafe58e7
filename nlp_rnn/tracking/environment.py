"""MLflow settings of the whole process (environment variables), set for the length of a block."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

__all__ = ["default_tracking_uri", "http_limits", "outbox_http_limits", "quiet_mlflow"]

QUIET = {
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",  # it would look up a host at the first run
    "GIT_PYTHON_REFRESH": "quiet",  # GitPython, which MLflow uses, warns where git is missing
}

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


@contextmanager
def default_tracking_uri(uri: str) -> Iterator[None]:
    """Make `uri` MLflow's default tracking URI inside the block and restore the previous one.

    The environment variable MLFLOW_TRACKING_URI is the same before and after the block.
    """
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


@contextmanager
def http_limits(retries: int, seconds: int) -> Iterator[None]:
    """Limit the HTTP requests that MLflow sends inside the block.

    MLflow's own limits, seven retries of two minutes, add up to a quarter of an hour.

    Parameters
    ----------
    retries : int
        How often a failed request is repeated.
    seconds : int
        Timeout of one request.
    """
    limits = {RETRIES: str(retries), TIMEOUT: str(seconds)}
    before = {name: os.environ.get(name) for name in limits}
    os.environ.update(limits)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def outbox_http_limits() -> AbstractContextManager[None]:
    """Return the `http_limits` for sending an outbox, which retries by itself.

    Limits that the user set in the environment are kept.
    """
    return http_limits(
        int(os.environ.get(RETRIES, 1)), int(os.environ.get(TIMEOUT, OUTBOX_TIMEOUT))
    )
