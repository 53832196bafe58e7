"""WebSocket `/stream`: predictions after each token, as those of a stream in Python."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import nlp_rnn
from nlp_rnn.errors import ClassifierError
from tests.service import Service, require_service, running_service, wait_until
from tests.tiny_classifier import save_tiny

require_service()

TEXT = "w2 w3 unknown w5 w9 w2"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("streams")
    stream = save_tiny(folder / "stream", bidirectional=False, pooling="last")
    both = save_tiny(folder / "both")
    arguments = (f"stream={stream}", f"both={both}", "--max-characters", "100")
    with running_service(*arguments) as service:
        yield service


@pytest.fixture(scope="module")
def folder(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("same") / "s", bidirectional=False, pooling="last")


@contextmanager
def connected(service: Service, query: str = "", **headers: str) -> Iterator[Any]:
    from websockets.sync.client import connect

    address = f"ws://127.0.0.1:{service.port}/stream{query}"
    with connect(address, additional_headers=headers, max_size=None) as connection:
        yield connection


def exchange(connection: Any, **message: Any) -> dict[str, Any]:
    connection.send(json.dumps(message))
    response: dict[str, Any] = json.loads(connection.recv(timeout=10))
    return response


def rows(response: dict[str, Any]) -> list[list[float]]:
    return [list(token["probabilities"].values()) for token in response["tokens"]]


@pytest.mark.parametrize("size", [1, 4, 100])
def test_parts_of_a_text_get_the_probabilities_of_its_tokens(
    service: Service, folder: Path, size: int
) -> None:
    expected = nlp_rnn.load(folder).stream()
    wanted = [*expected.read(TEXT), *expected.finish()]
    with connected(service, "?probabilities=true") as connection:
        for _ in range(2):  # a connection serves one text after the other
            received = []
            for start in range(0, len(TEXT), size):
                received += rows(exchange(connection, text=TEXT[start : start + size]))
            last = exchange(connection, finish=True)
            received += rows(last)
            np.testing.assert_allclose(received, wanted, rtol=0, atol=1e-6)
            assert (last["finished"], last["num_tokens"]) == (True, 6)
    (whole,) = service.predict([TEXT])
    assert last["tokens"][-1]["label"] == whole["label"]


def test_a_threshold_ends_a_text_early(service: Service, folder: Path) -> None:
    expected = nlp_rnn.load(folder).stream(threshold=0.4)
    expected.read(TEXT)
    expected.finish()
    with connected(service, "?threshold=0.4") as connection:
        response = exchange(connection, text=TEXT, finish=True)
    assert response["decided"] == expected.decided is not None
    assert response["num_tokens"] == expected.num_tokens < 6


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ('{"text": 3}', "text is not a string."),
        ('{"words": "w2"}', "There is no field 'words'"),
        ("w2", "The body is not JSON"),
        (json.dumps({"text": "w2 " * 40}), "The text has more than 100 characters."),
        (b"w2", "The message is not text."),
    ],
)
def test_a_wrong_message_is_explained_and_closes_the_stream(
    service: Service, message: str | bytes, reason: str
) -> None:
    from websockets.exceptions import ConnectionClosed

    with connected(service) as connection:
        connection.send(message)
        assert reason in json.loads(connection.recv(timeout=10))["message"]
        with pytest.raises(ConnectionClosed) as closed:
            connection.recv(timeout=10)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1008
    assert reason in closed.value.rcvd.reason


def test_a_bidirectional_classifier_cannot_stream(service: Service) -> None:
    from websockets.exceptions import ConnectionClosed

    with connected(service, "?classifier=both") as connection:
        message = json.loads(connection.recv(timeout=10))["message"]
        with pytest.raises(ConnectionClosed, match="This classifier is bidirectional"):
            connection.recv(timeout=10)
    assert "nlp-rnn train experiment=streaming" in message


@pytest.mark.parametrize("failure", [ClassifierError("/a/path is gone"), KeyError("w2")])
def test_a_failure_of_the_service_closes_a_stream_without_details(failure: Exception) -> None:
    from nlp_rnn.serving.streams import serve_stream

    class Socket:
        def __init__(self) -> None:
            self.sent: list[str] = []
            self.closed: list[tuple[int, str]] = []

        async def accept(self) -> None:
            pass

        async def receive_text(self) -> str:
            return '{"text": "w2"}'

        async def send_text(self, text: str) -> None:
            self.sent.append(text)

        async def close(self, code: int, reason: str) -> None:
            self.closed.append((code, reason))

    def read(text: str) -> None:
        raise failure

    socket: Any = Socket()
    service: Any = SimpleNamespace(
        streams=0,
        count_streams=lambda change: None,
        options=SimpleNamespace(max_characters=10),
        batcher=SimpleNamespace(executor=None),
    )
    stream = SimpleNamespace(read=read)
    served: Any = SimpleNamespace(classifier=SimpleNamespace(stream=lambda threshold: stream))
    with pytest.raises(type(failure)):  # which the boundary logs
        asyncio.run(serve_stream(socket, service, served, {}))
    message = "The service failed. See its log for details."
    assert [json.loads(text)["message"] for text in socket.sent] == [message]
    assert socket.closed == [(1011, message)]


def test_a_request_without_a_websocket_gets_an_explanation(service: Service) -> None:
    response = service.get("/stream")
    assert (response.status, response.headers["upgrade"]) == (426, "websocket")
    assert "ws://" in response.json["message"]


@pytest.mark.parametrize(
    ("query", "headers", "status"),
    [
        ("?classifier=none", {}, 404),
        ("?window=3", {}, 400),
        ("", {"Origin": "http://evil.example"}, 403),
    ],
)
def test_a_wrong_connection_is_rejected(
    service: Service, query: str, headers: dict[str, str], status: int
) -> None:
    from websockets.exceptions import InvalidStatus

    with pytest.raises(InvalidStatus) as rejected, connected(service, query, **headers):
        pass
    assert rejected.value.response.status_code == status


def test_streams_are_counted(service: Service) -> None:
    def streams(number: int) -> bool:
        return f"nlp_rnn_streams {number}.0" in service.get("/metrics").body.decode()

    wait_until(lambda: streams(0))
    with connected(service) as one, connected(service) as two:
        exchange(one, text="w2 ")
        exchange(two, text="w2 ")
        assert streams(2)
    wait_until(lambda: streams(0))


def test_a_token_is_required_where_one_is_set(folder: Path, tmp_path: Path) -> None:
    from websockets.exceptions import InvalidStatus

    (tmp_path / "tokens").write_text("secret")
    with running_service(folder, "--token-file", tmp_path / "tokens") as service:
        with pytest.raises(InvalidStatus) as rejected, connected(service):
            pass
        assert rejected.value.response.status_code == 401
        with connected(service, Authorization="Bearer secret") as connection:
            assert exchange(connection, text="w2 ")["num_tokens"] == 1
