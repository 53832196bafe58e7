"""What the pages about the service show works: requests, Python, and the proxy."""

import json
import re
import shutil
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.servers import free_port
from tests.service import Service, require_service, running_service
from tests.tiny_classifier import save_tiny

require_service()
pytestmark = pytest.mark.slow

HOW_TO = Path(__file__).parent.parent / "docs" / "how-to"
PAGE = "".join(
    (HOW_TO / name).read_text(encoding="utf-8") for name in ("serve.md", "run-a-service.md")
)
TOKEN = "0123456789abcdef"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("how_to")
    save_tiny(folder / "reviews" / "classifier", bidirectional=False, pooling="last")
    with running_service(f"reviews={folder / 'reviews' / 'classifier'}") as service:
        yield service


def test_its_requests_work(service: Service, tmp_path: Path) -> None:
    lines = "".join(blocks("console")).splitlines()
    requests = [line.removeprefix("$ ") for line in lines if line.startswith("$ curl")]
    assert len(requests) == 2
    (tmp_path / "token").write_text(TOKEN)
    for request in requests:
        command = re.sub(r"(localhost|HOST):8000", f"localhost:{service.port}", request)
        done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, check=True)
        assert list(json.loads(done.stdout)["predictions"][0]) == ["label", "score"]


def test_its_python_works(service: Service) -> None:
    (program,) = blocks("python")
    program = program.replace(":8000", f":{service.port}").replace("0.9", "0.99")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [line.count("'decided'") for line in done.stdout.splitlines()] == [1, 1, 1]
    assert "'finished': True" in done.stdout.splitlines()[-1]


def test_its_options_exist() -> None:
    from nlp_rnn.commands.serve import HELP

    options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAGE))
    others = {"--help", "--tag", "--publish", "--volume", "--build-arg", "--name"}
    assert options - others <= set(re.findall(r"--[a-z-]+", HELP))


def test_its_proxy_has_tls_quotas_and_streams(service: Service, tmp_path: Path) -> None:
    from websockets.sync.client import connect

    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        pytest.skip("nginx is not installed; on Debian, run apt-get install nginx-light")
    certificate = ["-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "certificate.pem")]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=classifier.example", *certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    (configuration,) = blocks("nginx")
    port = free_port()
    for shown, here in {
        "listen 443": f"listen 127.0.0.1:{port}",
        "127.0.0.1:8000": f"127.0.0.1:{service.port}",
        "/etc/ssl/classifier.pem": str(tmp_path / "certificate.pem"),
        "/etc/ssl/classifier.key": str(tmp_path / "key.pem"),
    }.items():
        assert shown in configuration
        configuration = configuration.replace(shown, here)
    head = f"daemon off; pid {tmp_path}/pid; error_log {tmp_path}/error.log;\n"
    (tmp_path / "nginx.conf").write_text(head + configuration)
    trusting = ssl.create_default_context()
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE
    process = subprocess.Popen(
        [program, "-c", str(tmp_path / "nginx.conf"), "-p", str(tmp_path)], stderr=subprocess.PIPE
    )
    try:
        address = f"https://localhost:{port}"
        for _ in range(100):
            with suppress(OSError), urllib.request.urlopen(f"{address}/health", context=trusting):
                break
            assert process.poll() is None, process.stderr and process.stderr.read().decode()
            time.sleep(0.1)
        data = json.dumps({"texts": ["w2 w3"]}).encode()
        request = urllib.request.Request(
            f"{address}/predict", data, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, context=trusting) as response:
            assert json.load(response)["predictions"]
        headers = {"Origin": address}
        with connect(
            f"wss://localhost:{port}/stream", ssl=trusting, additional_headers=headers
        ) as stream:
            stream.send(json.dumps({"text": "w2 w3 ", "finish": True}))
            assert json.loads(stream.recv(timeout=10))["num_tokens"] == 2
        rejected = 0
        for _ in range(60):
            try:
                urllib.request.urlopen(f"{address}/health", context=trusting).close()
            except urllib.error.HTTPError as error:
                rejected += error.code == 503
                error.close()
        assert rejected, "the quota is in effect"
    finally:
        process.terminate()
        process.communicate(timeout=30)
