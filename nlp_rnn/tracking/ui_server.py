"""Start the MLflow UI for a store, with a link to a runs table grouped by configuration.

MLflow calls a saved layout of its page a view: columns, sorting, grouping and charts. The link
opens a view that is stored in a tag of the experiment.
"""

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import time
import zlib
from contextlib import suppress
from typing import Any

from nlp_rnn.errors import TrackingError
from nlp_rnn.tracking.environment import quiet_mlflow
from nlp_rnn.tracking.interruption import interruptions
from nlp_rnn.tracking.store import experiment_name, obtain_experiment, prepare_store, ui_link
from nlp_rnn.tracking.tags import CONFIGURATION_TAG
from nlp_rnn.tracking.uri import store_exists, visible_uri

__all__ = ["serve", "share_view"]

VIEW = "nlp_rnn"
"""Name of the saved view. Each experiment has one view of this name."""

COLUMNS = {
    "metrics.`test/accuracy`": 130,
    "metrics.`test/macro_f1`": 130,
    "metrics.`parameters/total`": 130,
    "metrics.`train/tokens_per_second`": 170,
    "metrics.`latency/onnx_batch1_p50_ms`": 210,
}
"""Metrics that are columns of the runs table, with their widths in pixels."""

FIXED_COLUMNS = {"attributes.`Run Name`": 310, "runDateAndNestInfo": 130}
"""Columns that MLflow always shows; a list of widths must begin with them."""

SECONDS_TO_END = 5
"""After these seconds a server that has not ended is killed."""

SORTED_BY = "metrics.`test/macro_f1`"

OPEN_SECTIONS = ("test", "validation", "train", "latency", "throughput", "parameters")
CLOSED_SECTIONS = ("memory", "prefix", "int8", "data", "Model metrics", "System metrics")
"""Sections of the charts page in their order: first those that are expanded, then the others."""


def serve(uri: str, port: int) -> int:
    """Start the MLflow UI for a store, print its link, and wait until it is stopped.

    The link opens the experiment that runs are logged to by default.

    If the store is a tracking server (`http…`), it has a UI already: only the link is printed.

    Parameters
    ----------
    uri : str
        Absolute URI of the store.
    port : int
        Port of the local server.

    Returns
    -------
    int
        Exit code of the UI's server; 0 after Ctrl-C or for a tracking server. After another stop
        signal, such as SIGTERM, SystemExit is raised; the server has ended in all cases.

    Raises
    ------
    TrackingError
        There is no store yet, it cannot be read, or the port is in use.
    """
    quiet_mlflow()
    if not store_exists(uri):
        raise TrackingError(
            f"There are no runs at {uri} yet. Run nlp-rnn train, or set MLFLOW_TRACKING_URI."
        )
    prepare_store(uri)
    experiment_id = obtain_experiment(uri, experiment_name(None, uri))
    link = ui_link(uri, experiment_id) + share_view(uri, experiment_id)
    if uri.startswith("http"):
        print(link)
        return 0
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError as error:
        raise TrackingError(
            f"Port {port} is in use ({error.strerror}). Run nlp-rnn ui --port {port + 1}"
        ) from None
    print(f"{link.replace(':5000', f':{port}')}\n{visible_uri(uri)}; Ctrl-C stops.", flush=True)
    # Without its job queue and with one worker the UI takes 2 processes and 0.5 GB, not 10 and 2.3.
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri]
    command += ["--port", str(port), "--workers", "1"]
    with interruptions():
        # A process group of its own, because the server starts processes that must end with it.
        server = subprocess.Popen(command, env=environment, start_new_session=True)
        try:
            return server.wait()
        except KeyboardInterrupt:
            return 0
        finally:
            _end(server)


def _end(server: "subprocess.Popen[bytes]") -> None:
    """End a server and the processes that it has started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(server.pid, number)
        with suppress(subprocess.TimeoutExpired):
            server.wait(timeout=SECONDS_TO_END)
            return


def share_view(uri: str, experiment_id: str) -> str:
    """Save the view that `serve` opens as a tag of the experiment; return its URL parameter.

    The runs table is grouped by the tag `configuration`. So the seeds of a configuration are one
    row with their means, and the rows are sorted by macro-F1, the highest first. MLflow does not
    document the format of views. If saving fails, the empty string is returned, with which the link
    opens MLflow's default table.
    """
    from mlflow import MlflowClient

    tag = f"mlflow.sharedViewState.{VIEW}"
    state = _view_state()
    with suppress(Exception):
        client = MlflowClient(tracking_uri=uri)
        saved = client.get_experiment(experiment_id).tags.get(tag, "{}")
        if json.loads(saved).get("state") != state:
            now = int(time.time() * 1000)
            view = {"name": VIEW, "createdAt": now, "updatedAt": now, "state": state}
            client.set_experiment_tag(experiment_id, tag, json.dumps(view))
        return f"&viewStateShareKey={VIEW}"
    return ""


def _view_state() -> str:
    """Return the view in MLflow's format: compressed JSON in base64."""
    state: dict[str, Any] = {
        "searchFilter": "",
        "orderByKey": SORTED_BY,
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": [*COLUMNS, "attributes.`Duration`"],
        "columnOrder": [*FIXED_COLUMNS, "duration", *COLUMNS],
        "columnWidths": FIXED_COLUMNS | COLUMNS | {"duration": 90},
        "groupBy": {
            "aggregateFunction": "average",
            "groupByKeys": [{"mode": "tag", "groupByData": CONFIGURATION_TAG}],
        },
        "compareRunCharts": [],  # MLflow makes one for each metric and puts it into its section
        "compareRunSections": [
            {
                "uuid": name,
                "name": name,
                "display": name in OPEN_SECTIONS,
                "isReordered": True,
                "deleted": False,
                "isGenerated": True,
            }
            for name in (*OPEN_SECTIONS, *CLOSED_SECTIONS)
        ],
        "isAccordionReordered": True,
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
    }
    return "deflate;" + base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()
