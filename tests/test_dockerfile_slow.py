"""The steps of the Dockerfile in a fresh environment: a small installation that serves."""

import json
import os
import re
import signal
import subprocess
import time
import urllib.request
import venv
from pathlib import Path
from typing import Any

import pytest

import nlp_rnn
from tests.servers import free_port
from tests.tiny_classifier import save_tiny

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).parent.parent
DOCKERFILE = ROOT / "Dockerfile"


def instructions(name: str) -> list[str]:
    lines = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE).splitlines()
    return [line.removeprefix(f"{name} ") for line in lines if line.startswith(f"{name} ")]


def build_context(target: Path) -> None:
    """Copy what `.dockerignore` lets through."""
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line.startswith("!"):
            subprocess.run(["cp", "-r", ROOT / line[1:], target], check=True)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment in which every RUN of the Dockerfile was run."""
    folder = tmp_path_factory.mktemp("image")
    venv.create(folder / "python", with_pip=True)
    (folder / "source").mkdir()
    build_context(folder / "source")
    paths = {"/source": folder / "source", "/wheels": folder / "wheels"}
    paths["/constraints.txt"] = ROOT / "constraints.txt"
    variables = {"PATH": f"{folder / 'python' / 'bin'}:{os.environ['PATH']}", "PACKAGES": ""}
    without = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    for command in instructions("RUN"):
        for path, here in paths.items():
            command = re.sub(rf"(?<=\s){re.escape(path)}(?=/|\s|$)", str(here), command)
        done = subprocess.run(
            command, shell=True, env=without | variables, capture_output=True, text=True
        )
        if done.returncode and ("ConnectionError" in done.stderr or "retries" in done.stderr):
            pytest.skip(f"pip reaches no package index: {done.stderr[-200:]}")
        assert done.returncode == 0, done.stderr
    return folder / "python"


def test_the_image_has_neither_torch_nor_mlflow(environment: Path) -> None:
    program = "import importlib.util as u, sys; print([u.find_spec(n) for n in sys.argv[1:]])"
    heavy = ("torch", "mlflow", "pandas", "sklearn", "onnx", "hydra", "datasets")
    done = subprocess.run(
        [environment / "bin" / "python", "-c", program, *heavy], capture_output=True, text=True
    )
    assert done.stdout.strip() == str([None] * len(heavy))


def test_the_command_of_the_image_serves_a_classifier(environment: Path, tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "classifier")
    (entrypoint,), (command,) = instructions("ENTRYPOINT"), instructions("CMD")
    port = free_port()
    arguments = [*json.loads(entrypoint), *json.loads(command), "--port", str(port)]
    arguments[arguments.index("/classifier")] = str(folder)
    arguments[0] = str(environment / "bin" / arguments[0])
    without = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    process = subprocess.Popen(arguments, cwd=tmp_path, env=without, stderr=subprocess.PIPE)
    try:
        health = next(line for line in instructions("HEALTHCHECK"))
        check: list[str] = json.loads(health[health.index("[") :])
        check = [part.replace(":8000", f":{port}") for part in check]
        check[0] = str(environment / "bin" / check[0])
        deadline = time.monotonic() + 60
        while subprocess.run(check, stderr=subprocess.DEVNULL).returncode:
            assert process.poll() is None, process.stderr and process.stderr.read().decode()
            assert time.monotonic() < deadline
            time.sleep(0.2)
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/predict",
            json.dumps({"texts": ["w2 w3"]}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as response:
            prediction: dict[str, Any] = json.load(response)["predictions"][0]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as page:
            assert b"Try the classifier" in page.read()
    finally:
        process.send_signal(signal.SIGTERM)
        errors = process.communicate(timeout=60)[1].decode()
    assert process.returncode == 0, errors
    assert "--token-file" in errors, "a service for others without a token warns"
    expected = nlp_rnn.load(folder).predict_proba(["w2 w3"]).max()
    assert prediction["score"] == pytest.approx(expected, abs=1e-6)
