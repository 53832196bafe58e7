"""WebSocket `/stream`: a text arrives in parts, and each token gets a prediction at once."""

import asyncio
import json
from typing import Any

import numpy as np
from starlette.websockets import WebSocket, WebSocketDisconnect

from nlp_rnn.classifier.stream import TextStream
from nlp_rnn.errors import ClassifierError
from nlp_rnn.serving.bad_request import FAILED, RequestError
from nlp_rnn.serving.predict_request import (
    PredictRequest,
    parse_json,
    prediction_records,
    read_flag,
    reject_unknown,
)
from nlp_rnn.serving.served_classifier import ServedClassifier
from nlp_rnn.serving.service import Service

__all__ = ["serve_stream"]

MAX_STREAMS = 1000
"""Largest number of open streams of one process."""

MAX_REASON = 123
"""Largest reason for closing a WebSocket, in bytes (RFC 6455)."""

INVALID, FAILURE, TRY_AGAIN = 1008, 1011, 1013
"""Codes that close a WebSocket: a message against the rules, a failed service, a full service."""


async def serve_stream(
    websocket: WebSocket, service: Service, served: ServedClassifier, parameters: dict[str, str]
) -> None:
    """Predict the texts of one connection, one text after the other.

    A message of the client is `{"text": "…"}`, `{"finish": true}`, or both. Each gets a response
    with the prediction after each new token. After `finish`, the next message starts a new text.

    Parameters
    ----------
    websocket : WebSocket
        The connection, not accepted yet.
    service : Service
        State of the process.
    served : ServedClassifier
        The classifier; the connection keeps it when a new version replaces it.
    parameters : dict of str to str
        `threshold` stops each text at the first token whose label has this probability;
        `probabilities=true` adds the probability of every label.
    """
    await websocket.accept()
    if service.streams >= MAX_STREAMS:
        await _close(websocket, TRY_AGAIN, RequestError(503, "There are too many streams."))
        return
    service.count_streams(1)
    try:
        stream, probabilities = _open(served, parameters)
        characters = 0
        while True:
            try:
                message = await websocket.receive_text()
            except KeyError:  # Starlette's error for a binary message
                raise RequestError(400, "The message is not text.") from None
            value = parse_json(message.encode("utf-8", "surrogatepass"))
            reject_unknown(value, ("text", "finish"))
            text, finish = value.get("text", ""), read_flag(value, "finish")
            if not isinstance(text, str):
                raise RequestError(400, "text is not a string.")
            characters += len(text)
            limit = service.options.max_characters
            if characters > limit:
                raise RequestError(400, f"The text has more than {limit} characters.")
            response = await asyncio.get_running_loop().run_in_executor(
                service.batcher.executor, _read, served, stream, text, finish, probabilities
            )
            await websocket.send_text(json.dumps(response, separators=(",", ":")))
            if finish:
                stream.reset()
                characters = 0
    except WebSocketDisconnect:
        pass
    except RequestError as error:
        await _close(websocket, INVALID, error)
    except Exception:  # logged by `Boundary`
        await _close(websocket, FAILURE, RequestError(500, FAILED))
        raise
    finally:
        service.count_streams(-1)


def _open(served: ServedClassifier, parameters: dict[str, str]) -> tuple[TextStream, bool]:
    """Return a stream and whether its responses have all probabilities."""
    threshold: float | None = None
    if "threshold" in parameters:
        try:
            threshold = float(parameters["threshold"])
        except ValueError:
            raise RequestError(400, "threshold is not a number.") from None
    probabilities = parameters.get("probabilities", "false")
    if probabilities not in ("true", "false"):
        raise RequestError(400, "probabilities is not true or false.")
    try:
        return served.classifier.stream(threshold=threshold), probabilities == "true"
    except ClassifierError as error:  # it cannot stream, or not with this threshold
        raise RequestError(400, str(error)) from None


def _read(
    served: ServedClassifier, stream: TextStream, text: str, finish: bool, probabilities: bool
) -> dict[str, Any]:
    """Process a part of a text, and return the response."""
    rows = stream.read(text)
    if finish:
        rows = np.concatenate([rows, stream.finish()])
    request = PredictRequest([], probabilities=probabilities)
    return {
        "num_tokens": stream.num_tokens,
        "tokens": prediction_records(request, served.classifier, rows),
        "decided": stream.decided,
        "finished": finish,
    }


async def _close(websocket: WebSocket, code: int, error: RequestError) -> None:
    try:
        await websocket.send_text(json.dumps(error.content))
        # clients show the reason, while the message waits until they receive the next response
        reason = error.message.splitlines()[0].encode("utf-8", "replace")[:MAX_REASON]
        await websocket.close(code, reason.decode("utf-8", "ignore"))
    except (WebSocketDisconnect, RuntimeError):
        pass  # the client has left
