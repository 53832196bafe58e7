"""Files of the page at `/` and of the page `/docs`: plain HTML, CSS and JavaScript modules."""

import hashlib
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from nlp_rnn.serving.bad_request import RequestError

__all__ = ["FOLDER", "page_routes"]

FOLDER = Path(__file__).parent / "page"

MEDIA_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
PAGES = {"/": "index.html", "/docs": "docs.html"}
CACHING = {"Cache-Control": "no-cache"}


def page_routes() -> list[Route]:
    """Return the routes of all files, which are read once."""
    routes = []
    for path in sorted(FOLDER.iterdir()):
        if path.suffix in MEDIA_TYPES:
            address = next((key for key, name in PAGES.items() if name == path.name), None)
            routes.append(_route(address or f"/page/{path.name}", path))
    return routes


def _route(address: str, path: Path) -> Route:
    content = path.read_bytes()
    tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    media_type = f"{MEDIA_TYPES[path.suffix]}; charset=utf-8"

    async def send(request: Request) -> Response:
        if request.scope["query_string"]:
            raise RequestError(400, "This page has no query parameters.")
        headers = {**CACHING, "ETag": tag}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(content, headers=headers, media_type=media_type)

    return Route(address, send)
