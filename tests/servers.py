"""Servers for tests: an MLflow tracking server and a PostgreSQL database."""

import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class MlflowServer:
    """`mlflow server` on a store, with the same address after every start."""

    def __init__(self, store: str, folder: Path, artifacts: str | None = None) -> None:
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self._output = (folder / "server.txt").open("a")
        self._command = [sys.executable, "-m", "mlflow", "server", "--workers", "1"]
        self._command += ["--host", "127.0.0.1", "--port", str(self.port)]
        self._command += ["--backend-store-uri", store]
        self._command += ["--artifacts-destination", artifacts or str(folder / "served")]
        self._process: psutil.Popen | None = None

    def start(self) -> None:
        environment = os.environ | {
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        self._process = psutil.Popen(
            self._command, env=environment, stdout=self._output, stderr=subprocess.STDOUT
        )
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            with suppress(OSError), urllib.request.urlopen(f"{self.uri}/health", timeout=2):
                return
            assert self._process.poll() is None, Path(self._output.name).read_text()
            time.sleep(0.2)
        raise AssertionError("the server does not respond")

    def stop(self) -> None:
        """Kill the server, as a power failure would."""
        if self._process is not None:
            processes = [*self._process.children(recursive=True), self._process]
            for process in processes:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(processes, timeout=30)
            self._process.wait()
            self._process = None

    def close(self) -> None:
        self.stop()
        self._output.close()


@contextmanager
def postgresql() -> Iterator[str]:
    """Run a new PostgreSQL database until the end of the block, and yield the URI of the store.

    The test is skipped if PostgreSQL or its driver is not installed.
    """
    pytest.importorskip("psycopg", reason="the extra postgresql is not installed")
    folders = [*Path("/usr/lib/postgresql").glob("*/bin"), Path("/usr/local/pgsql/bin")]
    initdb = shutil.which("initdb") or next(
        (str(folder / "initdb") for folder in folders if (folder / "initdb").is_file()), None
    )
    if initdb is None:
        pytest.skip("PostgreSQL is not installed; on Debian, run apt-get install postgresql")
    programs = Path(initdb).parent
    home = Path(tempfile.mkdtemp(prefix="nlp_rnn-postgresql-"))
    port, user = free_port(), None
    if os.geteuid() == 0:  # PostgreSQL does not run as root
        names = {entry.pw_name for entry in pwd.getpwall()}
        user = "postgres" if "postgres" in names else "nobody"
        shutil.chown(home, user)
    (home / "password").write_text("a secret")
    (home / "password").chmod(0o644)

    def run(*command: str) -> None:
        subprocess.run(command, user=user, cwd=home, check=True, stdout=subprocess.DEVNULL)

    data = str(home / "data")
    run(str(programs / "initdb"), "-D", data, "-U", "runs", "-A", "scram-sha-256",
        "--pwfile", str(home / "password"), "--no-sync", "-E", "UTF8")  # fmt: skip
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
    run(str(programs / "pg_ctl"), "-D", data, "-l", str(home / "log"), "-o", options, "-w", "start")
    try:
        yield f"postgresql://runs:a%20secret@127.0.0.1:{port}/postgres"
    finally:
        run(str(programs / "pg_ctl"), "-D", data, "-m", "immediate", "-w", "stop")
        shutil.rmtree(home, ignore_errors=True)
