"""Outermost layer of the application: token, host, security headers, metrics, errors as JSON."""

import asyncio
import hmac
import json
import logging
import sys
import time
import traceback
from typing import Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import Message, Receive, Scope, Send

from nlp_rnn.serving.bad_request import FAILED, RequestError
from nlp_rnn.serving.page_files import page_routes
from nlp_rnn.serving.service import BODY_BYTES, Service

__all__ = ["Boundary", "json_response"]

OPEN_ROUTES = ("/health", "/ready", "/ping")
"""Routes that need no token: probes of Kubernetes and load balancers send none."""

HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        b"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
]

log = logging.getLogger("nlp_rnn.serving")


def json_response(
    content: Any, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """Return a response with JSON in ASCII, which can hold lone surrogates too."""
    body = json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")
    return Response(body, status, headers, media_type="application/json")


class Boundary:
    """Outermost layer: token, host, security headers, metrics, and errors as JSON."""

    def __init__(self, app: Starlette, service: Service) -> None:
        self._app = app
        self._service = service
        routes = [route for route in app.routes if isinstance(route, Route | WebSocketRoute)]
        self._routes = {route.path for route in routes}
        # the files of the page hold no data; the page asks for the token that its requests need
        self._open = {*OPEN_ROUTES, *(route.path for route in page_routes())}
        app.add_exception_handler(RequestError, _respond_with_error)
        app.add_exception_handler(404, _no_route)
        app.add_exception_handler(405, _no_method)
        app.add_exception_handler(500, _internal_error)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check a request, pass it on, and count it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        service = self._service
        path = scope["path"]
        status = 500
        responding = False

        async def send_with_headers(message: Message) -> None:
            nonlocal status, responding
            responding = True
            kind = message["type"].removeprefix("websocket.")
            if kind == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *HEADERS]
                if service.draining:
                    message["headers"].append((b"connection", b"close"))
            elif kind == "accept":
                status = 101
            await send(message)

        try:
            if error := self._rejection(scope, path):
                response = json_response(error.content, error.status, error.headers)
                await response(scope, receive, send_with_headers)
            else:
                await self._app(scope, receive, send_with_headers)
        except ClientDisconnect:
            status = 499  # as in nginx: the client left before it had sent its body
        except asyncio.CancelledError:  # its time to finish after SIGTERM is over
            if responding or scope["type"] == "websocket":
                raise
            stopping = RequestError(503, "The service is stopping.")
            await json_response(stopping.content, 503)(scope, receive, send_with_headers)
        except Exception as error:
            # the message of an exception can quote a text, so only its type and place are logged
            frames = "".join(traceback.format_tb(sys.exc_info()[2], limit=-5))
            log.error("%s\n%s", type(error).__name__, frames)
        finally:
            service.body_bytes -= scope.get(BODY_BYTES, 0)
            seconds = time.perf_counter() - started
            # other paths come from outside: they could be texts, and are without number
            route = path if path in self._routes else "other"
            # a stream lasts as long as its client wants
            service.metrics.request(
                route, status, None if scope["type"] == "websocket" else seconds
            )
            if service.options.access_log:
                milliseconds = 1000 * seconds
                log.info("%s %s %d %.1f ms", scope.get("method", "WS"), route, status, milliseconds)

    def _rejection(self, scope: Scope, path: str) -> RequestError | None:
        """Return the error of a request without the right host or token."""
        options = self._service.options
        is_stream = scope["type"] == "websocket"
        if not options.tokens and not options.allowed_hosts and not is_stream:
            return None
        headers = dict(scope["headers"])
        if is_stream and (origin := headers.get(b"origin")):
            if origin.partition(b"://")[2] != headers.get(b"host"):
                return RequestError(403, "A page of another site cannot open a stream.")
        if options.allowed_hosts:
            host = headers.get(b"host", b"").decode("latin-1")
            name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
            if name.lower() not in options.allowed_hosts:
                message = f"The header Host is {host[:80]!r}. Set --allowed-hosts to accept it."
                return RequestError(421, message)
        if options.tokens and path not in self._open:
            scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
            same = [hmac.compare_digest(token, known.encode()) for known in options.tokens]
            if scheme.lower() != b"bearer" or not any(same):
                message = "Send the header Authorization: Bearer TOKEN with a valid token."
                return RequestError(401, message, {"WWW-Authenticate": "Bearer"})
        return None


async def _respond_with_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    return json_response(error.content, error.status, error.headers)


async def _no_route(request: Request, error: Exception) -> Response:
    return json_response(RequestError(404, "There is no such address. See /docs.").content, 404)


async def _internal_error(request: Request, error: Exception) -> Response:
    return json_response(RequestError(500, FAILED).content, 500)


async def _no_method(request: Request, error: Exception) -> Response:
    headers = getattr(error, "headers", None)
    wrong = RequestError(405, f"This address does not support {request.method}. See /docs.")
    return json_response(wrong.content, 405, headers)
