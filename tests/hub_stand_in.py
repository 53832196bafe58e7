"""Local HTTP server that imitates the parts of the Hugging Face hub that data sets need."""

import hashlib
import json
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Files = dict[str, bytes]


@dataclass
class StandIn:
    """The contents of the server and the requests that it received.

    Attributes
    ----------
    endpoint
        Address of the server.
    sets
        Revisions of each data set by their names, oldest first. The last one is `main`.
    gated
        Names of data sets that are answered with status 403. Data sets that are neither in `sets`
        nor here do not exist.
    requests
        Method and path of every request.
    """

    endpoint: str
    sets: dict[str, dict[str, Files]] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    requests: list[tuple[str, str]] = field(default_factory=list)

    def downloads(self) -> list[str]:
        """Return the paths of the data files that were downloaded."""
        return [path for method, path in self.requests if method == "GET" and ".parquet" in path]

    def commit(self, name: str, revision: str) -> tuple[str, Files] | None:
        """Return the commit hash and the files of a revision, or None.

        `revision` is the name of a revision, `main` or a commit hash.
        """
        revisions = self.sets[name]
        commits = {key: hashlib.sha1(f"{name} {key}".encode()).hexdigest() for key in revisions}
        latest = list(revisions)[-1]
        for key, sha in commits.items():
            if revision in (key, sha) or (revision == "main" and key == latest):
                return sha, revisions[key]
        return None


@contextmanager
def hub_stand_in() -> Iterator[StandIn]:
    """Run the server until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            url = urllib.parse.urlsplit(self.path)
            path = urllib.parse.unquote(url.path)
            hub.requests.append((self.command, path))
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            resolved = path.removeprefix("/datasets/")
            if path.startswith("/api/datasets/"):
                self._send_metadata(path.removeprefix("/api/datasets/"), body)
            elif resolved != path and "/resolve/" in resolved:
                name, _, rest = resolved.partition("/resolve/")
                self._send_file(name, *rest.split("/", 1))
            else:
                self._send_error(404, "EntryNotFound")

        do_HEAD = do_POST = do_GET  # noqa: N815 (names of http.server)

        def _commit_or_error(self, name: str, revision: str) -> tuple[str, Files] | None:
            if name in hub.gated:
                self._send_error(403, "GatedRepo", "Access to this dataset is restricted.")
            elif name not in hub.sets:
                # as the hub does without a token; on https, its clients read 401 as "not found"
                self._send_error(401, "RepoNotFound")
            elif (commit := hub.commit(name, revision)) is None:
                self._send_error(404, "RevisionNotFound")
            else:
                return commit
            return None

        def _send_metadata(self, path: str, body: bytes) -> None:
            parts = path.split("/")
            name, verb = "/".join(parts[:2]), (parts[2:] or ["revision"])[0]
            revision = (parts[3:] or ["main"])[0]
            if (commit := self._commit_or_error(name, revision)) is None:
                return
            sha, files = commit
            if verb == "revision":
                siblings = [{"rfilename": file} for file in files]
                self._send_json({"id": name, "sha": sha, "siblings": siblings, "tags": []})
            elif verb == "tree":
                folder = "/".join(parts[4:])
                self._send_json(_entries(files, folder))
            elif verb == "paths-info":
                form = urllib.parse.parse_qs(body.decode())
                paths = json.loads(body)["paths"] if body[:1] == b"{" else form["paths"]
                entries = [entry for entry in _entries(files, "", True) if entry["path"] in paths]
                self._send_json(entries)
            else:
                self._send_error(404, "EntryNotFound")

        def _send_file(self, name: str, revision: str, file: str) -> None:
            if (commit := self._commit_or_error(name, revision)) is None:
                return
            sha, files = commit
            if file not in files:
                self._send_error(404, "EntryNotFound")
                return
            content = files[file]
            etag = hashlib.sha1(content).hexdigest()
            self._send(200, content, {"X-Repo-Commit": sha, "ETag": f'"{etag}"'})

        def _send_json(self, content: Any) -> None:
            self._send(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

        def _send_error(self, status: int, code: str, message: str = "not found") -> None:
            headers = {"X-Error-Code": code, "X-Error-Message": message}
            self._send(status, json.dumps({"error": message}).encode(), headers)

        def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hub = StandIn(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()


def _entries(files: Files, parent: str, everything: bool = False) -> list[dict[str, Any]]:
    """Return the files and folders in the folder `parent`, or all, in the format of the hub."""
    entries: dict[str, dict[str, Any]] = {}
    for path, content in files.items():
        parts = path.split("/")
        oid = hashlib.sha1(content).hexdigest()
        for depth in range(1, len(parts)):
            folder = "/".join(parts[:depth])
            entries[folder] = {"type": "directory", "path": folder, "size": 0, "oid": "0" * 40}
        entries[path] = {"type": "file", "path": path, "size": len(content), "oid": oid}
    return [
        entry for path, entry in entries.items() if everything or path.rpartition("/")[0] == parent
    ]
