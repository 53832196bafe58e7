"""A running service for tests: `nlp-rnn serve` on a free port."""

import http.client
import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

LIBRARIES = ("starlette", "uvicorn", "httptools", "uvloop", "websockets", "prometheus_client")


def require_service() -> None:
    """Skip a module of tests if the extra `serve` is not installed."""
    for library in LIBRARIES:
        pytest.importorskip(library, reason="the extra serve is not installed")


@dataclass
class Response:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Service:
    def __init__(self, process: subprocess.Popen[str], port: int, log: Path) -> None:
        self.process, self.port, self._log = process, port, log

    @property
    def log(self) -> str:
        return self._log.read_text()

    def connect(self, timeout: float = 30) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def request(
        self, method: str, path: str, body: bytes | str | None = None, **headers: str
    ) -> Response:
        connection = self.connect()
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            data = body.encode() if isinstance(body, str) else body
            connection.request(method, path, data, named)
            response = connection.getresponse()
            fields = {name.lower(): value for name, value in response.getheaders()}
            return Response(response.status, fields, response.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Response:
        return self.request("GET", path, **headers)

    def post(self, path: str, content: Any, **headers: str) -> Response:
        body = json.dumps(content)
        return self.request("POST", path, body, **{"Content_Type": "application/json"} | headers)

    def predict(self, texts: Any, **fields: Any) -> list[dict[str, Any]]:
        response = self.post("/predict", {"texts": texts} | fields)
        assert response.status == 200, response.body
        predictions: list[dict[str, Any]] = response.json["predictions"]
        return predictions

    def workers(self) -> list[int]:
        """Return the ids of the processes that serve."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        found = []
        for pid in map(int, children.read_text().split()):
            with suppress(OSError):
                if "registry_watch" not in Path(f"/proc/{pid}/cmdline").read_text():
                    found.append(pid)
        return found

    def stop(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(timeout=60)


@contextmanager
def running_service(*arguments: Any, **environment: str) -> Iterator[Service]:
    """Run `nlp-rnn serve` until the end of the block; its log is in a temporary file."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="nlp_rnn_test_") as folder:
        log = Path(folder) / "log"
        with log.open("w") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "nlp_rnn", "serve", *map(str, arguments), "--port", "0"],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=os.environ | environment,
            )
        try:
            line = _first_line(process, log)
            match = re.search(r"http://[^/]*:(\d+)/", line)
            assert match, line + log.read_text()
            yield Service(process, int(match[1]), log)
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(timeout=60)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            assert process.stdout is not None
            process.stdout.close()


def _first_line(process: subprocess.Popen[str], log: Path) -> str:
    assert process.stdout is not None
    lines: queue.Queue[str] = queue.Queue()
    stdout = process.stdout
    threading.Thread(target=lambda: lines.put(stdout.readline()), daemon=True).start()
    try:
        line = lines.get(timeout=60)
    except queue.Empty:
        line = ""
    assert line, log.read_text()
    return line


def wait_until(condition: Any, seconds: float = 30) -> Any:
    """Return the first true result of a function."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(OSError, http.client.HTTPException):
            if result := condition():
                return result
        time.sleep(0.05)
    raise AssertionError("the condition was not met in time")
