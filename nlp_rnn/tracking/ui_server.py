"""A store becomes a page in the browser: the MLflow UI, started on it, open at what matters."""

import base64
import json
import os
import socket
import subprocess
import sys
import time
import zlib
from contextlib import suppress
from typing import Any

from nlp_rnn.errors import TrackingError
from nlp_rnn.tracking.environment import quiet_mlflow
from nlp_rnn.tracking.store import obtain_experiment, prepare_store, ui_link
from nlp_rnn.tracking.uri import visible_uri

__all__ = ["serve", "share_view"]

VIEW = "nlp_rnn"
"""The key of the view: one for each experiment."""

COLUMNS = {
    "metrics.`test/accuracy`": 130,
    "metrics.`test/macro_f1`": 130,
    "metrics.`parameters/total`": 130,
    "metrics.`train/tokens_per_second`": 170,
    "metrics.`latency/onnx_batch1_p50_ms`": 210,
}
"""What the table shows, and how wide; the duration is there as well."""

NAMES = {"attributes.`Run Name`": 310, "runDateAndNestInfo": 130}
"""Columns that MLflow always shows, which a list of widths must begin with."""

SORTED_BY = "metrics.`test/macro_f1`"

SECTIONS = ("test", "validation", "train", "latency", "throughput", "parameters")
CLOSED = ("memory", "prefix", "int8", "data", "Model metrics", "System metrics")
"""The charts' sections in their order: those that are open, and those that a click opens."""


def serve(uri: str, experiment: str, port: int) -> int:
    """Start the MLflow UI on the store at `uri` and wait for it; return its exit code.

    A tracking server has a page of its own: then only the link is printed.

    Raises:
        TrackingError: there is no store yet, it cannot be read, or the port is taken.
    """
    quiet_mlflow()
    if uri.startswith("sqlite:///") and not os.path.exists(uri.removeprefix("sqlite:///")):
        raise TrackingError(
            f"There are no runs at {uri} yet. Type nlp-rnn train, or set MLFLOW_TRACKING_URI."
        )
    prepare_store(uri)
    experiment_id = obtain_experiment(uri, experiment)
    link = ui_link(uri, experiment_id) + share_view(uri, experiment_id)
    if uri.startswith("http"):
        print(link)
        return 0
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError as error:
        raise TrackingError(
            f"Port {port} is taken ({error.strerror}). Type nlp-rnn ui --port {port + 1}"
        ) from None
    print(f"{link.replace(':5000', f':{port}')}\n{visible_uri(uri)}; Ctrl-C stops.", flush=True)
    # Without its job queue and with one worker the UI takes 2 processes and 0.5 GB, not 10 and 2.3.
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri]
    command += ["--port", str(port), "--workers", "1"]
    try:
        return subprocess.run(command, env=environment).returncode
    except KeyboardInterrupt:
        return 0


def share_view(uri: str, experiment_id: str) -> str:
    """Make the view of the runs that `serve` opens; return what makes a link open it.

    The runs table, grouped by the tag `group`, so that the seeds of one configuration are one row
    with their means, the best macro-F1 first. How MLflow keeps views is not documented: where it
    does not work, the link opens the table as MLflow likes it.
    """
    from mlflow import MlflowClient

    tag = f"mlflow.sharedViewState.{VIEW}"
    state = _state()
    with suppress(Exception):
        client = MlflowClient(tracking_uri=uri)
        known = client.get_experiment(experiment_id).tags.get(tag, "{}")
        if json.loads(known).get("state") != state:
            now = int(time.time() * 1000)
            view = {"name": VIEW, "createdAt": now, "updatedAt": now, "state": state}
            client.set_experiment_tag(experiment_id, tag, json.dumps(view))
        return f"&viewStateShareKey={VIEW}"
    return ""


def _state() -> str:
    """The view as MLflow's page stores it."""
    state: dict[str, Any] = {
        "searchFilter": "",
        "orderByKey": SORTED_BY,
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": [*COLUMNS, "attributes.`Duration`"],
        "columnOrder": [*NAMES, "duration", *COLUMNS],
        "columnWidths": NAMES | COLUMNS | {"duration": 90},
        "groupBy": {
            "aggregateFunction": "average",
            "groupByKeys": [{"mode": "tag", "groupByData": "group"}],
        },
        "compareRunCharts": [],  # MLflow makes one for each metric, and puts it into its section
        "compareRunSections": [
            {
                "uuid": name,
                "name": name,
                "display": name in SECTIONS,
                "isReordered": True,
                "deleted": False,
                "isGenerated": True,
            }
            for name in (*SECTIONS, *CLOSED)
        ],
        "isAccordionReordered": True,
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
    }
    return "deflate;" + base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()
