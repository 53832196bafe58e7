"""A headless Chromium for tests, controlled by the DevTools protocol."""

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


class Page:
    """One tab; JavaScript is evaluated in it, and keys are pressed in it."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._number = 0
        self.events: list[dict[str, Any]] = []

    def command(self, method: str, **parameters: Any) -> Any:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        self._connection.send(json.dumps(message))
        while True:
            response = json.loads(self._connection.recv(timeout=60))
            if response.get("id") == self._number:
                assert "error" not in response, response
                return response["result"]
            self.events.append(response)

    def open(self, address: str, width: int = 1000, height: int = 900, dark: bool = False) -> None:
        self.command("Page.enable")
        self.command("Runtime.enable")
        self.command("Log.enable")
        self.resize(width, height)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.command("Emulation.setEmulatedMedia", features=[scheme])
        self.command("Page.navigate", url=address)
        self.wait("document.readyState === 'complete'")

    def resize(self, width: int, height: int) -> None:
        self.command(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 500,
        )

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression; promises are awaited."""
        result = self.command(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def wait(self, condition: str, seconds: float = 30) -> Any:
        """Return the first true value of a JavaScript expression."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if value := self.evaluate(condition):
                return value
            time.sleep(0.05)
        raise AssertionError(f"{condition} was not true in {seconds} s\n{self.text()[:2000]}")

    def text(self) -> str:
        text: str = self.evaluate("document.body.innerText")
        return text

    def fill(self, selector: str, text: str) -> None:
        """Set the value of a field as if it was typed."""
        self.evaluate(
            f"(() => {{ const node = document.querySelector({json.dumps(selector)});"
            f" node.value = {json.dumps(text)};"
            " node.dispatchEvent(new Event('input', {bubbles: true}));"
            " node.dispatchEvent(new Event('change', {bubbles: true})); })()"
        )

    def type(self, text: str) -> None:
        self.command("Input.insertText", text=text)

    def press(self, key: str, code: int, text: str = "", modifiers: int = 0) -> None:
        event = {"key": key, "windowsVirtualKeyCode": code, "modifiers": modifiers}
        self.command("Input.dispatchKeyEvent", type="keyDown", text=text, **event)
        self.command("Input.dispatchKeyEvent", type="keyUp", **event)

    def screenshot(self, path: Path) -> None:
        size = self.command("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        image = self.command(
            "Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip
        )
        path.write_bytes(base64.b64decode(image["data"]))

    def problems(self) -> list[str]:
        """Return errors of the console, exceptions and violations of the security policy."""
        found = []
        for event in self.events:
            entry = event.get("params", {}).get("entry", {})
            if entry.get("level") == "error" or "exceptionDetails" in event.get("params", {}):
                found.append(json.dumps(event)[:500])
        return found


@contextmanager
def browser() -> Iterator[Page]:
    """Start Chromium with one tab; skip the test where there is none."""
    client = pytest.importorskip("websockets.sync.client", reason="websockets is not installed")
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip("Chromium is not installed; on Debian, run apt-get install chromium")
    with tempfile.TemporaryDirectory(prefix="nlp_rnn_browser_", ignore_cleanup_errors=True) as home:
        command = [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        command += ["--remote-debugging-port=0", f"--user-data-dir={home}", "--no-first-run"]
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ)
        )
        try:
            ports = Path(home) / "DevToolsActivePort"
            deadline = time.monotonic() + 60
            while not ports.exists() or not ports.read_text():
                assert process.poll() is None, "Chromium has ended"
                assert time.monotonic() < deadline, "Chromium does not start"
                time.sleep(0.1)
            address = f"http://127.0.0.1:{ports.read_text().split()[0]}/json/list"
            with urllib.request.urlopen(address) as response:
                targets = json.load(response)
            url = next(tab["webSocketDebuggerUrl"] for tab in targets if tab["type"] == "page")
            with client.connect(url, max_size=None) as connection:
                yield Page(connection)
        finally:
            process.terminate()
            process.wait(timeout=30)
