"""Process that fetches classifiers from MLflow and follows aliases such as `models:/NAME@champion`.

MLflow takes seconds to import and much memory, so it stays out of the processes that serve. The
supervisor starts this module and reads a line of JSON for each classifier that was downloaded.
"""

import json
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from nlp_rnn.errors import ClassifierError
from nlp_rnn.serving.served_classifier import ClassifierSource

__all__ = ["RegistryWatch"]

log = logging.getLogger("nlp_rnn.serving")

ALIAS = re.compile(r"models:/(?P<name>[^@/]+)@(?P<alias>[^@/]+)")
VERSION = re.compile(r"models:/(?P<name>[^@/]+)/(?P<version>\d+)")


class RegistryWatch:
    """The process, as the supervisor sees it.

    Its standard output has lines like `{"name": "reviews", "folder": …, "version": "3"}`, or
    `{"error": …}` if a classifier cannot be downloaded. It ends after the first download if there
    is no alias to follow.

    Parameters
    ----------
    locations : dict of str to str
        MLflow URIs by the names of the classifiers.
    seconds : float
        Time between two checks of the registry.
    """

    def __init__(self, locations: dict[str, str], seconds: float) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="nlp_rnn_served_"))
        self._seconds = seconds
        self._locations = locations
        self._follows = any(ALIAS.fullmatch(uri) for uri in locations.values())
        self._received = b""
        self._kept: dict[str, list[str]] = {}
        self._start()

    def _start(self) -> None:
        arguments = json.dumps(
            {"locations": self._locations, "folder": str(self._folder), "seconds": self._seconds}
        )
        command = [sys.executable, "-m", "nlp_rnn.serving.registry_watch", arguments]
        # Standard input ends with the supervisor, and then the process ends too. In a session of
        # its own, it gets no Ctrl-C, which the supervisor handles.
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        self._started = time.monotonic()

    @property
    def output(self) -> IO[bytes]:
        """Output of the process, which is readable when there is news."""
        assert self._process.stdout is not None
        return self._process.stdout

    def first(self) -> dict[str, ClassifierSource]:
        """Wait for the first download of each classifier, and return them by name.

        Raises
        ------
        ClassifierError
            A classifier cannot be downloaded.
        """
        sources: dict[str, ClassifierSource] = {}
        try:
            while len(sources) < len(self._locations):
                line = self.output.readline()
                message = json.loads(line or '{"error": "The download from MLflow failed."}')
                if "error" in message:
                    raise ClassifierError(message["error"])
                sources[message["name"]] = self._keep(ClassifierSource(**message))
        except BaseException:  # Ctrl-C too
            self.close()
            raise
        return sources

    def news(self) -> list[ClassifierSource]:
        """Return the versions that were downloaded since the last call; do not wait."""
        data = os.read(self.output.fileno(), 1 << 16)
        if not data and self._process.poll() is None:
            self._process.wait()
        *lines, self._received = (self._received + data).split(b"\n")
        sources = []
        for line in lines:
            message = json.loads(line)
            if "name" in message:
                sources.append(self._keep(ClassifierSource(**message)))
            else:
                log.warning("%s", message.get("warning") or message["error"])
        return sources

    @property
    def has_ended(self) -> bool:
        """Whether the process has ended."""
        return self._process.poll() is not None

    def revive(self) -> bool:
        """Start the process again if it was killed; return whether it was started."""
        if not self._follows or time.monotonic() - self._started < self._seconds:
            return False
        log.warning("the process that follows MLflow has ended; it is started again")
        self._close_pipes()
        self._start()
        return True

    def _keep(self, source: ClassifierSource) -> ClassifierSource:
        """Delete the folders of a classifier except the newest two; the last one may be in use."""
        folders = self._kept.setdefault(source.name, [])
        if source.folder not in folders:
            folders.append(source.folder)
        while len(folders) > 2:
            shutil.rmtree(folders.pop(0), ignore_errors=True)
        return source

    def close(self) -> None:
        """Stop the process, and delete the downloads."""
        self._process.kill()
        self._process.wait()
        self._close_pipes()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _close_pipes(self) -> None:
        self.output.close()
        if self._process.stdin is not None:
            self._process.stdin.close()


def _watch(locations: dict[str, str], folder: Path, seconds: float) -> None:
    """Download the classifiers, then look for new versions until standard input ends."""
    versions: dict[str, str | None] = {}
    failing = False
    while True:
        for name, uri in locations.items():
            try:
                version = _version(uri)
                if name in versions and versions[name] == version:
                    continue
                source = ClassifierSource(name, str(_download(uri, version, folder, name)), version)
            except Exception as error:
                # an exception of MLflow can hold an address with a password: only ours are safe
                known = isinstance(error, ClassifierError)
                message = str(error) if known else f"MLflow: {type(error).__name__} for {uri}"
                if name not in versions:
                    _say({"error": message})
                    return
                if not failing:  # once, not at every look
                    _say({"warning": message.splitlines()[0]})
                failing = True
                continue
            failing = False
            versions[name] = version
            _say(asdict(source))
        if not any(ALIAS.fullmatch(uri) for uri in locations.values()):
            return
        locations = {name: uri for name, uri in locations.items() if ALIAS.fullmatch(uri)}
        time.sleep(seconds)


def _say(message: dict[str, Any]) -> None:
    print(json.dumps(message), flush=True)


def _version(uri: str) -> str | None:
    """Return the version that a URI means now; None for a run."""
    if match := VERSION.fullmatch(uri):
        return match["version"]
    match = ALIAS.fullmatch(uri)
    if match is None:
        return None
    from nlp_rnn.tracking.environment import quiet_mlflow
    from nlp_rnn.tracking.uri import resolve_uri, store_exists, visible_uri

    quiet_mlflow()
    store = resolve_uri(None, Path.cwd())
    if not store_exists(store):
        raise ClassifierError(
            f"{uri} cannot be downloaded: there is no MLflow store at {visible_uri(store)}.\n"
            "Set the store: MLFLOW_TRACKING_URI=sqlite:////path/to/mlflow.db"
        )
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        registered = MlflowClient(store, store).get_model_version_by_alias(
            match["name"], match["alias"]
        )
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        raise ClassifierError(
            f"MLflow has no version of {match['name']} with the alias {match['alias']}.\n"
            f"Run nlp-rnn register RUN --name {match['name']} --alias {match['alias']}"
        ) from None
    return str(registered.version)


def _download(uri: str, version: str | None, folder: Path, name: str) -> Path:
    """Copy the classifier folder of a URI into `folder`."""
    from nlp_rnn.classifier.location import local_folder

    match = ALIAS.fullmatch(uri)
    exact = uri if match is None else f"models:/{match['name']}/{version}"
    copy = folder / f"{name}-{version or 'run'}"
    with local_folder(exact) as downloaded:
        shutil.copytree(downloaded, copy, dirs_exist_ok=True)
    return copy


def _end_with_standard_input() -> None:
    """End this process when its parent has ended."""

    def wait() -> None:
        sys.stdin.buffer.read()
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()


if __name__ == "__main__":
    _end_with_standard_input()
    options = json.loads(sys.argv[1])
    _watch(options["locations"], Path(options["folder"]), options["seconds"])
