"""The MLflow UI opens on the right store, at a view of the runs that MLflow itself can read."""

import base64
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from nlp_rnn.cli import main
from nlp_rnn.tracking.store import obtain_experiment
from nlp_rnn.tracking.ui_server import share_view
from tests.servers import free_port

TAG = "mlflow.sharedViewState.nlp_rnn"


@pytest.fixture
def client(store_uri: str) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=store_uri)


def test_the_view_groups_the_seeds_and_shows_what_matters(store_uri: str, client: Any) -> None:
    experiment = obtain_experiment(store_uri, "tests")
    assert share_view(store_uri, experiment) == "&viewStateShareKey=nlp_rnn"
    tag = client.get_experiment(experiment).tags[TAG]
    view = json.loads(tag)
    assert len(tag) < 5000  # MLflow's limit for a tag of an experiment
    packed = base64.b64decode(view["state"].removeprefix("deflate;"))
    state = json.loads(zlib.decompress(packed))
    assert state["groupBy"]["groupByKeys"] == [{"mode": "tag", "groupByData": "configuration"}]
    assert {"metrics.`test/accuracy`", "attributes.`Duration`"} <= set(state["selectedColumns"])
    assert state["orderByKey"] in state["selectedColumns"]
    # once is enough
    assert share_view(store_uri, experiment) == "&viewStateShareKey=nlp_rnn"
    assert client.get_experiment(experiment).tags[TAG] == tag


def test_a_store_that_takes_no_view_has_a_link_all_the_same(
    store_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    def refuse(*arguments: object) -> None:
        raise PermissionError("read only")

    monkeypatch.setattr(MlflowClient, "set_experiment_tag", refuse)
    assert share_view(store_uri, obtain_experiment(store_uri, "tests")) == ""


def test_a_port_in_use_and_a_missing_store_are_reported_in_one_line(
    store_uri: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store_uri)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["ui", "--port", str(port)]) == 1
    assert f"Port {port} is in use" in capsys.readouterr().err
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/nowhere.db")
    assert main(["ui"]) == 1
    assert "There are no runs" in capsys.readouterr().err
    assert not (tmp_path / "nowhere.db").exists()


@pytest.mark.slow
def test_the_ui_runs_in_two_processes_and_serves_the_view(store_uri: str, tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    folder.mkdir()
    port = free_port()
    (tmp_path / "mlflow.db").rename(folder / "mlflow.db")
    with subprocess.Popen(
        [sys.executable, "-m", "nlp_rnn", "ui", "--port", str(port)],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ,
    ) as ui:
        try:
            assert ui.stdout is not None
            link = ui.stdout.readline().strip()
            assert link.startswith(f"http://127.0.0.1:{port}/#/experiments/1/runs?workflowType=")
            assert link.endswith("&viewStateShareKey=nlp_rnn")
            deadline = time.monotonic() + 90
            while time.monotonic() < deadline:
                with suppress(OSError):
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                    break
                time.sleep(0.3)
            get = "api/2.0/mlflow/experiments/get?experiment_id=1"
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/{get}", timeout=30) as response:
                tags = json.load(response)["experiment"]["tags"]
            assert TAG in {tag["key"] for tag in tags}
            started = psutil.Process(ui.pid).children(recursive=True)
            assert len(started) == 2
            ui.terminate()
            assert ui.wait(timeout=20) == 143
            assert not psutil.wait_procs(started, timeout=5)[1]
        finally:
            if ui.poll() is None:
                for process in psutil.Process(ui.pid).children(recursive=True):
                    process.kill()
                ui.kill()
