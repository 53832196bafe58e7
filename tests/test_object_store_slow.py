"""A server whose artifacts are in a bucket, with moto in place of S3, and one that lacks boto3."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

import nlp_rnn
from tests.servers import MlflowServer
from tests.test_sweep import SMALL

moto = pytest.importorskip("moto.server", reason="pip install 'moto[server]' boto3")
boto3 = pytest.importorskip("boto3", reason="pip install 'nlp_rnn[s3]'")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SWEEP = ["train", "-m", "model=gru", "seed=1,2", "sweep.compare=false", *SMALL]


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A bucket in a stand-in of S3, whose address and credentials are in the environment."""
    s3 = moto.ThreadedMotoServer(port=0, verbose=False)
    s3.start()
    host, port = s3.get_host_and_port()
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    resource = boto3.resource("s3")
    yield resource.create_bucket(Bucket="runs")
    s3.stop()


def sweep(server: MlflowServer, folder: Path) -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in os.environ.items() if "AWS" not in name}
    return subprocess.run(
        [sys.executable, "-m", "nlp_rnn", *SWEEP, f"tracking.uri={server.uri}"],
        cwd=folder,
        env=environment | {"MLFLOW_S3_ENDPOINT_URL": "http://127.0.0.1:1"},
        capture_output=True,
        text=True,
    )


def test_a_sweep_stores_its_classifiers_in_a_bucket_without_credentials(
    bucket: Any, store_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = MlflowServer(store_uri, tmp_path, artifacts="s3://runs/mlflow")
    server.start()
    try:
        done = sweep(server, tmp_path)
        assert done.returncode == 0, done.stderr
        client = MlflowClient(tracking_uri=server.uri)
        runs = client.search_runs(["1"], "tags.kind = 'train'")
        assert {run.info.status for run in runs} == {"FINISHED"}
        keys = [item.key for item in bucket.objects.all()]
        assert sum(key.endswith("model.safetensors") for key in keys) == 2
        assert len(keys) < 2 * 60  # requests of a run
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
        classifier = nlp_rnn.load(f"runs:/{runs[0].info.run_id}/classifier")
        assert classifier.predict_proba(["a text"]).shape == (1, len(classifier.classes_))
    finally:
        server.close()
    assert not list(tmp_path.glob("**/unsent/journal.jsonl"))


def test_without_boto3_the_server_is_named_and_the_scores_are_printed(
    bucket: Any, store_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = tmp_path / "missing"
    missing.mkdir()
    (missing / "boto3.py").write_text("raise ImportError('No module named boto3')\n")
    with monkeypatch.context() as patch:
        path = [str(missing), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
        patch.setenv("PYTHONPATH", os.pathsep.join(path))
        server = MlflowServer(store_uri, tmp_path, artifacts="s3://runs/mlflow")
        server.start()
    try:
        done = sweep(server, tmp_path)
        shown = done.stdout + done.stderr
        assert "is unavailable" not in shown, shown
        assert "its log has the reason, such as a missing boto3" in shown, shown
        assert len(re.findall(r"gru h8 seed[12]  accuracy 0\.\d{4}", shown)) == 2, shown
        client = MlflowClient(tracking_uri=server.uri)
        runs = client.search_runs(["1"], "tags.kind = 'train'")
        assert {run.info.status for run in runs} == {"FINISHED"}
    finally:
        server.close()
