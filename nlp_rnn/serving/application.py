"""Routes of the service as a Starlette application."""

import hmac
import json
import logging
import sys
import time
import traceback
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nlp_rnn.errors import ClassifierError
from nlp_rnn.serving.bad_request import RequestError
from nlp_rnn.serving.batcher import Batcher
from nlp_rnn.serving.metrics import Metrics, render
from nlp_rnn.serving.options import ServingOptions
from nlp_rnn.serving.predict_request import (
    PredictRequest,
    parse_json,
    parse_predict,
    prediction_records,
)
from nlp_rnn.serving.served_classifier import ServedClassifier

__all__ = ["Service", "json_response", "make_application"]

OPEN_ROUTES = ("/health", "/ready", "/ping")
"""Routes that need no token: probes of Kubernetes and load balancers send none."""

# All bodies of unfinished requests that a process holds in memory together.
BODY_MEMORY = 64 << 20
BODY_BYTES = "nlp_rnn.body_bytes"

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


class Service:
    """State of one process: the classifiers, the queue and the metrics.

    Parameters
    ----------
    options : ServingOptions
        Options of the service.
    classifiers : dict of str to ServedClassifier
        Classifiers by name; the first one serves requests that name none.
    metrics : Metrics
        Metrics of this process.
    """

    def __init__(
        self, options: ServingOptions, classifiers: dict[str, ServedClassifier], metrics: Metrics
    ) -> None:
        self.options = options
        self.classifiers = dict(classifiers)
        self.metrics = metrics
        self.batcher = Batcher(options.queue, options.timeout, metrics.step)
        self.draining = False
        self.body_bytes = 0
        for served in classifiers.values():
            metrics.serve(served)

    def replace(self, served: ServedClassifier) -> None:
        """Serve a new version of a classifier; requests in the queue keep the former one."""
        self.metrics.serve(self.classifiers[served.name], present=False)
        self.classifiers[served.name] = served
        self.metrics.serve(served)

    def classifier(self, name: str | None) -> ServedClassifier:
        """Return the classifier of a name, or the first one.

        Raises
        ------
        RequestError
            Status 404: there is none of this name.
        """
        if name is None:
            return next(iter(self.classifiers.values()))
        if name not in self.classifiers:
            names = ", ".join(self.classifiers)
            raise RequestError(404, f"There is no classifier {name[:40]!r}; there are {names}.")
        return self.classifiers[name]

    async def predict(
        self, served: ServedClassifier, request: PredictRequest
    ) -> list[dict[str, Any]]:
        """Predict the texts of a request together with those of other requests."""
        probabilities = await self.batcher.predict_proba(
            served.classifier, request.texts, request.windows
        )
        records = prediction_records(request, served.classifier, probabilities)
        if served.classifier.thresholds is None:
            labels = [record["label"] or "" for record in records]
        else:
            labels = [label for record in records for label in record["labels"]]
        self.metrics.predictions(served.name, labels)
        if self.options.log_texts:
            for text, record in zip(request.texts, records, strict=True):
                log.info("%s", json.dumps({"classifier": served.name, "text": text} | record))
        return records

    async def read_body(self, request: Request) -> bytes:
        """Return the body of a request.

        Raises
        ------
        RequestError
            Status 413: it is too large. Status 503: the bodies in memory are too large together.
        """
        limit = self.options.max_body
        too_large = RequestError(413, f"The body is larger than {limit} bytes.")
        length = request.headers.get("content-length")
        if length is not None and int(length) > limit:
            raise too_large
        parts: list[bytes] = []
        size = 0
        async for part in request.stream():
            size += len(part)
            request.scope[BODY_BYTES] = size  # subtracted when the request ends
            self.body_bytes += len(part)
            if size > limit:
                raise too_large
            if self.body_bytes > BODY_MEMORY:
                message = "The service is busy. Send the request again later."
                raise RequestError(503, message, {"Retry-After": "1"})
            if part:
                parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)


def query(request: Request, *known: str) -> dict[str, str]:
    """Return the query parameters of a request.

    Raises
    ------
    RequestError
        Status 400: a parameter is unknown or set twice.
    """
    raw: bytes = request.scope["query_string"]
    if not raw:
        return {}
    pairs = parse_qsl(raw.decode("latin-1"), keep_blank_values=True)
    parameters = dict(pairs)
    for name in parameters:
        if name not in known:
            allowed = f"; there are {', '.join(known)}" if known else ""
            raise RequestError(400, f"There is no query parameter {name[:40]!r}{allowed}.")
    if len(parameters) < len(pairs):
        raise RequestError(400, "A query parameter is set twice.")
    return parameters


def json_response(
    content: Any, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """Return a response with JSON in ASCII, which can hold lone surrogates too."""
    body = json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")
    return Response(body, status, headers, media_type="application/json")


def content_type(request: Request) -> str:
    """Return the media type of a request in lower case, without parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def make_application(service: Service) -> ASGIApp:
    """Return the ASGI application of one process."""

    async def predict(request: Request) -> Response:
        served = service.classifier(query(request, "classifier").get("classifier"))
        if content_type(request) != "application/json":
            raise RequestError(415, "Set the header Content-Type: application/json.")
        value = parse_json(await service.read_body(request))
        options = service.options
        parsed = parse_predict(value, served.classifier, options.max_texts, options.max_characters)
        records = await service.predict(served, parsed)
        return json_response({"predictions": records})

    async def health(request: Request) -> Response:
        query(request)
        return json_response({"status": "alive"})

    async def ready(request: Request) -> Response:
        query(request)
        if service.draining:
            raise RequestError(503, "The service is stopping.")
        return json_response({"status": "ready"})

    async def model(request: Request) -> Response:
        name = query(request, "classifier").get("classifier")
        described = service.classifier(name).description()
        return json_response(described | {"classifiers": list(service.classifiers)})

    async def metrics(request: Request) -> Response:
        query(request)
        return Response(render(), media_type="text/plain; version=0.0.4; charset=utf-8")

    routes = [
        Route("/predict", predict, methods=["POST"]),
        Route("/health", health),
        Route("/ping", health),
        Route("/ready", ready),
        Route("/model", model),
        Route("/metrics", metrics),
    ]
    return _Boundary(Starlette(routes=routes), service)


class _Boundary:
    """Outermost layer: token, host, security headers, metrics, and errors as JSON."""

    def __init__(self, app: Starlette, service: Service) -> None:
        self._app = app
        self._service = service
        self._routes = {route.path for route in app.routes if isinstance(route, Route)}
        app.add_exception_handler(RequestError, _respond_with_error)
        app.add_exception_handler(ClassifierError, _respond_with_error)
        app.add_exception_handler(404, _no_route)
        app.add_exception_handler(405, _no_method)
        app.add_exception_handler(500, _internal_error)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        service = self._service
        path = scope["path"]
        status = 500

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *HEADERS]
                if service.draining:
                    message["headers"].append((b"connection", b"close"))
            await send(message)

        try:
            if error := self._rejection(scope, path):
                response = json_response(error.content, error.status, error.headers)
                await response(scope, receive, send_with_headers)
            else:
                await self._app(scope, receive, send_with_headers)
        except ClientDisconnect:
            status = 499  # as in nginx: the client left before it had sent its body
        except Exception as error:
            # the message of an exception can quote a text, so only its type and place are logged
            frames = "".join(traceback.format_tb(sys.exc_info()[2], limit=-5))
            log.error("%s\n%s", type(error).__name__, frames)
        finally:
            service.body_bytes -= scope.get(BODY_BYTES, 0)
            seconds = time.perf_counter() - started
            # other paths come from outside: they could be texts, and are without number
            route = path if path in self._routes else "other"
            service.metrics.request(route, status, seconds)
            if service.options.access_log:
                milliseconds = 1000 * seconds
                log.info("%s %s %d %.1f ms", scope.get("method", "WS"), route, status, milliseconds)

    def _rejection(self, scope: Scope, path: str) -> RequestError | None:
        """Return the error of a request without the right host or token."""
        options = self._service.options
        if not options.tokens and not options.allowed_hosts:
            return None
        headers = dict(scope["headers"])
        if options.allowed_hosts:
            host = headers.get(b"host", b"").decode("latin-1")
            name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
            if name.lower() not in options.allowed_hosts:
                message = f"The header Host is {host[:80]!r}. Set --allowed-hosts to accept it."
                return RequestError(421, message)
        if options.tokens and path not in OPEN_ROUTES:
            scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
            same = [hmac.compare_digest(token, known.encode()) for known in options.tokens]
            if scheme.lower() != b"bearer" or not any(same):
                message = "Send the header Authorization: Bearer TOKEN with a valid token."
                return RequestError(401, message, {"WWW-Authenticate": "Bearer"})
        return None


async def _respond_with_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestError):
        error = RequestError(400, str(error))
    return json_response(error.content, error.status, error.headers)


async def _no_route(request: Request, error: Exception) -> Response:
    return json_response(RequestError(404, "There is no such page. See /docs.").content, 404)


async def _internal_error(request: Request, error: Exception) -> Response:
    return json_response(RequestError(500, "The service failed; its log has more.").content, 500)


async def _no_method(request: Request, error: Exception) -> Response:
    headers = getattr(error, "headers", None)
    wrong = RequestError(405, f"This page does not support {request.method}. See /docs.")
    return json_response(wrong.content, 405, headers)
