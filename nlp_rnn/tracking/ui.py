"""A store becomes a page in the browser: the MLflow UI, started on it."""

import os
import subprocess
import sys

from nlp_rnn.errors import TrackingError
from nlp_rnn.tracking.store import (
    obtain_experiment,
    prepare_store,
    quiet_mlflow,
    ui_link,
    visible_uri,
)

__all__ = ["serve"]


def serve(uri: str, experiment: str, port: int) -> int:
    """Start the MLflow UI on the store at `uri` and wait for it; return its exit code.

    A tracking server has a page of its own: then only the link is printed.

    Raises:
        TrackingError: there is no store yet, or it cannot be read.
    """
    quiet_mlflow()
    if uri.startswith("sqlite:///") and not os.path.exists(uri.removeprefix("sqlite:///")):
        raise TrackingError(
            f"There are no runs at {uri} yet. Type nlp-rnn train, or set MLFLOW_TRACKING_URI."
        )
    prepare_store(uri)
    link = ui_link(uri, obtain_experiment(uri, experiment))
    if uri.startswith("http"):
        print(link)
        return 0
    print(f"{link.replace(':5000', f':{port}')}\n{visible_uri(uri)}; Ctrl-C stops.", flush=True)
    # Without its job queue the UI takes 2 processes and 0.5 GB instead of 10 and 2.3 GB.
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri]
    try:
        return subprocess.run([*command, "--port", str(port)], env=environment).returncode
    except KeyboardInterrupt:
        return 0
