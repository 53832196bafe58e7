"""A logged model predicts in a separate environment, and for many clients at once."""

import http.client
import json
import os
import subprocess
import venv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.test_mlflow_model import TEXTS, Logged, expected, logged, model_folder, server
from tests.tiny_classifier import tiny_texts

__all__ = ["logged", "model_folder", "server"]  # fixtures

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType"),
]

CLIENTS = 16
REQUESTS = 10_000

CLEAN = """
import importlib.util, json, sys
for name in ("torch", "datasets", "hydra", "omegaconf", "onnx", "safetensors"):
    assert importlib.util.find_spec(name) is None, name
import mlflow.pyfunc
model = mlflow.pyfunc.load_model(sys.argv[1])
import nlp_rnn
assert nlp_rnn.__file__.startswith(sys.argv[1]), nlp_rnn.__file__
classifier = nlp_rnn.load(sys.argv[1])
texts = json.loads(sys.argv[2])
print(json.dumps([model.predict(texts).values.tolist(), classifier.predict(texts)]))
"""


def test_an_environment_with_nothing_but_the_requirements(
    logged: Logged, model_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "environment"
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    made = subprocess.run(
        [*install, "-r", model_folder / "requirements.txt"], capture_output=True, text=True
    )
    if made.returncode != 0 and ("ConnectionError" in made.stderr or "retries" in made.stderr):
        pytest.skip(f"pip reaches no package index: {made.stderr[-200:]}")
    assert made.returncode == 0, made.stderr
    done = subprocess.run(
        [python, "-c", CLEAN, str(model_folder), json.dumps(TEXTS)],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    predictions, labels = json.loads(done.stdout)
    wanted = expected(logged, TEXTS)
    assert [(label, pytest.approx(score, abs=1e-6)) for label, score in predictions] == wanted
    assert labels == [label for label, _ in wanted]


def test_sixteen_clients_and_ten_thousand_requests(logged: Logged, server: str) -> None:
    texts = [text or "w2" for text in tiny_texts(REQUESTS)]
    wanted = expected(logged, texts)
    address = urlsplit(server)

    def client(number: int) -> list[Any]:
        results = []
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=120)
        for index in range(number, REQUESTS, CLIENTS):
            body = json.dumps({"inputs": [texts[index]]})
            headers = {"Content-Type": "application/json"}
            connection.request("POST", address.path, body, headers)
            response = connection.getresponse()
            prediction = json.load(response)
            results.append((index, response.status, prediction))
        connection.close()
        return results

    with ThreadPoolExecutor(CLIENTS) as pool:
        results = [item for part in pool.map(client, range(CLIENTS)) for item in part]
    assert len(results) == REQUESTS
    assert {status for _, status, _ in results} == {200}
    for index, _, prediction in results:
        (row,) = prediction["predictions"]
        assert (row["label"], pytest.approx(row["score"], abs=1e-6)) == wanted[index]
