"""Routes of the service as a Starlette application."""

from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from nlp_rnn.serving.bad_request import RequestError
from nlp_rnn.serving.boundary import Boundary, json_response
from nlp_rnn.serving.invocations import parse_invocation
from nlp_rnn.serving.metrics import render
from nlp_rnn.serving.openapi import openapi
from nlp_rnn.serving.page_files import page_routes
from nlp_rnn.serving.predict_request import parse_json, parse_predict, reject_unknown
from nlp_rnn.serving.service import Service
from nlp_rnn.serving.streams import serve_stream

__all__ = ["make_application"]


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

    async def invocations(request: Request) -> Response:
        served = service.classifier(query(request, "classifier").get("classifier"))
        parsed = parse_invocation(
            await service.read_body(request),
            content_type(request),
            served.classifier,
            service.options.max_texts,
            service.options.max_characters,
        )
        return json_response({"predictions": await service.predict(served, parsed)})

    async def explain(request: Request) -> Response:
        served = service.classifier(query(request, "classifier").get("classifier"))
        if content_type(request) != "application/json":
            raise RequestError(415, "Set the header Content-Type: application/json.")
        value = parse_json(await service.read_body(request))
        reject_unknown(value, ("text",))
        limit = service.options.max_characters
        if "text" not in value:
            raise RequestError(400, 'The field "text" is missing: {"text": "a text"}.')
        parsed = parse_predict({"texts": [value["text"]]}, served.classifier, 1, limit)
        return json_response(await service.explain(served, parsed.texts[0]))

    async def risk_coverage(request: Request) -> Response:
        served = service.classifier(query(request, "classifier").get("classifier"))
        table = served.classifier.risk_coverage
        if table is None or served.classifier.thresholds is not None:  # the slider is for one label
            table = {"texts": 0, "rows": None}
        return json_response({name: table[name] for name in ("texts", "rows")})

    async def stream(websocket: WebSocket) -> None:
        try:
            parameters = query(websocket, "classifier", "threshold", "probabilities")
            served = service.classifier(parameters.get("classifier"))
        except RequestError as error:
            await websocket.send_denial_response(json_response(error.content, error.status))
            return
        await serve_stream(websocket, service, served, parameters)

    async def no_stream(request: Request) -> Response:
        message = "Connect to /stream with a WebSocket: ws://…/stream. See /docs."
        raise RequestError(426, message, {"Upgrade": "websocket", "Connection": "Upgrade"})

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
        about = service.classifier(name).description()
        options = service.options
        limits = {"max_texts": options.max_texts, "max_body": options.max_body}
        return json_response(about | {"classifiers": list(service.classifiers)} | limits)

    async def metrics(request: Request) -> Response:
        query(request)
        return Response(render(), media_type="text/plain; version=0.0.4; charset=utf-8")

    described = openapi(
        service.options,
        {name: len(served.classifier.labels) for name, served in service.classifiers.items()},
    )

    async def description(request: Request) -> Response:
        query(request)
        return json_response(described)

    routes: list[BaseRoute] = [
        Route("/predict", predict, methods=["POST"]),
        Route("/invocations", invocations, methods=["POST"]),
        Route("/explain", explain, methods=["POST"]),
        Route("/risk-coverage", risk_coverage),
        WebSocketRoute("/stream", stream),
        Route("/stream", no_stream),
        Route("/openapi.json", description),
        Route("/health", health),
        Route("/ping", health),
        Route("/ready", ready),
        Route("/model", model),
        Route("/metrics", metrics),
        *page_routes(),
    ]
    return Boundary(Starlette(routes=routes), service)


def query(request: HTTPConnection, *known: str) -> dict[str, str]:
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


def content_type(request: Request) -> str:
    """Return the media type of a request in lower case, without parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()
