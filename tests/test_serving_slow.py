"""A logged model answers in an environment of its own, and many clients at once."""

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
    place = tmp_path / "environment"
    venv.create(place, with_pip=True)
    python = place / "bin" / "python"
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
    answers, labels = json.loads(done.stdout)
    wanted = expected(logged, TEXTS)
    assert [(label, pytest.approx(score, abs=1e-6)) for label, score in answers] == wanted
    assert labels == [label for label, _ in wanted]


def test_sixteen_clients_and_ten_thousand_requests(logged: Logged, server: str) -> None:
    texts = [text or "w2" for text in tiny_texts(REQUESTS)]
    wanted = expected(logged, texts)
    address = urlsplit(server)

    def client(number: int) -> list[Any]:
        found = []
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=120)
        for place in range(number, REQUESTS, CLIENTS):
            body = json.dumps({"inputs": [texts[place]]})
            headers = {"Content-Type": "application/json"}
            connection.request("POST", address.path, body, headers)
            response = connection.getresponse()
            answer = json.load(response)
            found.append((place, response.status, answer))
        connection.close()
        return found

    with ThreadPoolExecutor(CLIENTS) as pool:
        found = [each for part in pool.map(client, range(CLIENTS)) for each in part]
    assert len(found) == REQUESTS
    assert {status for _, status, _ in found} == {200}
    for place, _, answer in found:
        (row,) = answer["predictions"]
        assert (row["label"], pytest.approx(row["score"], abs=1e-6)) == wanted[place]
