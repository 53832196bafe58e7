"""Files in memory become a Hugging Face hub on loopback, as far as data sets need one."""

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
    """`sets[name]` are the revisions of a set, oldest first, by their names; the last is `main`.

    `requests` are method and path of all that was asked. `gated` sets answer 403; sets that are
    in neither do not exist.
    """

    endpoint: str
    sets: dict[str, dict[str, Files]] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    requests: list[tuple[str, str]] = field(default_factory=list)

    def downloads(self) -> list[str]:
        """The data files that were fetched."""
        return [path for method, path in self.requests if method == "GET" and ".parquet" in path]

    def commit(self, name: str, revision: str) -> tuple[str, Files] | None:
        """The commit that a name of a revision, `main` or a commit itself stands for."""
        revisions = self.sets[name]
        commits = {key: hashlib.sha1(f"{name} {key}".encode()).hexdigest() for key in revisions}
        latest = list(revisions)[-1]
        for key, sha in commits.items():
            if revision in (key, sha) or (revision == "main" and key == latest):
                return sha, revisions[key]
        return None


@contextmanager
def hub_stand_in() -> Iterator[StandIn]:
    """Inside the block a hub answers at `endpoint`."""

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
                self._about(path.removeprefix("/api/datasets/"), body)
            elif resolved != path and "/resolve/" in resolved:
                name, _, rest = resolved.partition("/resolve/")
                self._file(name, *rest.split("/", 1))
            else:
                self._refuse(404, "EntryNotFound")

        do_HEAD = do_POST = do_GET  # noqa: N815 (the names are the library's)

        def _found(self, name: str, revision: str) -> tuple[str, Files] | None:
            if name in hub.gated:
                self._refuse(403, "GatedRepo", "Access to this dataset is restricted.")
            elif name not in hub.sets:
                # the real one answers so without a token; its clients take 401 for this on https
                self._refuse(401, "RepoNotFound")
            elif (found := hub.commit(name, revision)) is None:
                self._refuse(404, "RevisionNotFound")
            else:
                return found
            return None

        def _about(self, path: str, body: bytes) -> None:
            parts = path.split("/")
            name, verb = "/".join(parts[:2]), (parts[2:] or ["revision"])[0]
            revision = (parts[3:] or ["main"])[0]
            if (found := self._found(name, revision)) is None:
                return
            sha, files = found
            if verb == "revision":
                siblings = [{"rfilename": file} for file in files]
                self._json({"id": name, "sha": sha, "siblings": siblings, "tags": []})
            elif verb == "tree":
                under = "/".join(parts[4:])
                self._json(_entries(files, under))
            elif verb == "paths-info":
                form = urllib.parse.parse_qs(body.decode())
                wanted = json.loads(body)["paths"] if body[:1] == b"{" else form["paths"]
                every = [entry for entry in _entries(files, "", True) if entry["path"] in wanted]
                self._json(every)
            else:
                self._refuse(404, "EntryNotFound")

        def _file(self, name: str, revision: str, file: str) -> None:
            if (found := self._found(name, revision)) is None:
                return
            sha, files = found
            if file not in files:
                self._refuse(404, "EntryNotFound")
                return
            content = files[file]
            etag = hashlib.sha1(content).hexdigest()
            self._send(200, content, {"X-Repo-Commit": sha, "ETag": f'"{etag}"'})

        def _json(self, answer: Any) -> None:
            self._send(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})

        def _refuse(self, status: int, code: str, message: str = "not here") -> None:
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


def _entries(files: Files, under: str, everything: bool = False) -> list[dict[str, Any]]:
    """Files and folders as the hub lists them: in the folder `under`, or all."""
    found: dict[str, dict[str, Any]] = {}
    for path, content in files.items():
        parts = path.split("/")
        oid = hashlib.sha1(content).hexdigest()
        for depth in range(1, len(parts)):
            folder = "/".join(parts[:depth])
            found[folder] = {"type": "directory", "path": folder, "size": 0, "oid": "0" * 40}
        found[path] = {"type": "file", "path": path, "size": len(content), "oid": oid}
    return [
        entry for path, entry in found.items() if everything or path.rpartition("/")[0] == under
    ]
