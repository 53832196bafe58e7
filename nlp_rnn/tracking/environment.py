"""MLflow's settings, which are those of a whole process, hold for a block and leave no trace."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

__all__ = ["http_limits", "quiet_mlflow", "sending", "tracking_uri"]

QUIET = {
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",  # it would look up a host at the first run
    "GIT_PYTHON_REFRESH": "quiet",  # GitPython, which MLflow uses, shouts where git is missing
}

SECONDS_TO_TAKE = 30
"""A server may take its time over a large file, but is away when this long silent."""


RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
TIMEOUT = "MLFLOW_HTTP_REQUEST_TIMEOUT"


def quiet_mlflow() -> None:
    """Make MLflow print nothing and call nobody, where the user has not said otherwise.

    Works through the environment, so it comes before the first import of mlflow.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)


@contextmanager
def tracking_uri(uri: str) -> Iterator[None]:
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


@contextmanager
def http_limits(retries: int, seconds: int) -> Iterator[None]:
    """Let MLflow repeat a request to a server so often, and wait so long for each answer.

    Its own limits, seven and two minutes, add up to a quarter of an hour.
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


def sending() -> AbstractContextManager[None]:
    """The `http_limits` of an outbox, which repeats by itself; what the user set comes first."""
    return http_limits(
        int(os.environ.get(RETRIES, 1)), int(os.environ.get(TIMEOUT, SECONDS_TO_TAKE))
    )
