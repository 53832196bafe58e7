"""HTTP connections: uvicorn with a limit for slow senders, and an end that loses no request.

uvicorn closes connections as soon as it stops, and waits for a request for ever. Here a request
has to arrive within a time limit. When the server stops, it still serves the connections that
wait to be accepted, and the next request of open connections, with `Connection: close`.
"""

import asyncio
import errno
import json
import socket
from contextlib import suppress
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import uvicorn

from nlp_rnn.serving.bad_request import RequestError

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
else:
    HttpToolsProtocol = object  # see connection_class

__all__ = ["HttpServer", "server_config"]

LINGER = 1.0
"""Seconds in which an open connection can send one more request while the server stops."""

KEEP_ALIVE = 75
"""Seconds after which an open connection without a request is closed, as in nginx."""

ACCEPTED_AT_ONCE, PAUSE = 4, 0.001
"""Connections that a process accepts before it pauses, and the pause in seconds."""

MAX_HEAD = 64 << 10
"""Largest size of the first line and the headers of a request, and of its trailers, in bytes."""


def last_response(status: int, message: str) -> bytes:
    """Return an error in the format of the application, with which a connection ends."""
    body = json.dumps(RequestError(status, message).content, separators=(",", ":"))
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    return (head + body).encode("ascii")


class LimitedConnection(HttpToolsProtocol):
    """One connection, as a mixin of uvicorn's protocol."""

    _deadline: asyncio.TimerHandle | None = None
    _stopping = False
    _head_bytes = 0  # of the headers or trailers that are being received
    _in_body = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request."""
        super().connection_made(transport)
        self._start_deadline()

    def data_received(self, data: bytes) -> None:
        """Process a part of a request."""
        if self._deadline is None:
            self._start_deadline()
        self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes > MAX_HEAD:
            self._reject(431, f"The headers of the request are larger than {MAX_HEAD} bytes.")

    def on_headers_complete(self) -> None:
        """Start a request; while the server stops, it is the last one of the connection."""
        self._head_bytes = 0
        self._in_body = True
        super().on_headers_complete()
        if self._stopping and self.cycle is not None:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Receive a part of the body, which has a limit of its own."""
        self._head_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End the time limit: the request is complete."""
        self._end_deadline()
        self._head_bytes = 0
        self._in_body = False
        super().on_message_complete()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Let a client that sends no more receive its last response."""
        if self._deadline is not None or self.cycle is None or self.cycle.response_complete:
            return False
        self.cycle.keep_alive = False
        return True

    def handle_websocket_upgrade(self) -> None:
        """End the time limit: a stream has its own."""
        self._end_deadline()
        super().handle_websocket_upgrade()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._end_deadline()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Close the connection after the current request, or after the time for one more."""
        self._stopping = True
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.keep_alive = False
        else:
            self.loop.call_later(LINGER, self._close_if_idle)

    def _close_if_idle(self) -> None:
        busy = self.cycle is not None and not self.cycle.response_complete
        if not busy and not self.transport.is_closing():
            self.transport.close()

    def _start_deadline(self) -> None:
        self._deadline = self.loop.call_later(self.config.timeout_notify, self._time_out)

    def _end_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _time_out(self) -> None:
        """Close the connection of a request that did not arrive in time."""
        self._deadline = None
        self._reject(408, f"The request did not arrive within {self.config.timeout_notify:g} s.")

    def send_400_response(self, msg: str) -> None:
        """Close the connection of a request that is not valid HTTP."""
        self._reject(400, "The request is not valid HTTP.")

    def _reject(self, status: int, message: str) -> None:
        """Close the connection, with an error unless the request already has its response."""
        if self.transport.is_closing():
            return
        cycle = self.cycle
        ended = cycle is None or (cycle.response_complete and not self._in_body)
        if ended or not cycle.response_started:
            self.transport.write(last_response(status, message))
        self.transport.close()


@cache
def connection_class() -> type[HttpToolsProtocol]:
    """Return uvicorn's protocol with `LimitedConnection`; it imports httptools."""
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    return type("HttpConnection", (LimitedConnection, HttpToolsProtocol), {})


def server_config(
    app: Any, workers: int, timeout: float, grace: float, max_message: int
) -> uvicorn.Config:
    """Return the configuration of uvicorn.

    Parameters
    ----------
    app : ASGI application
        The application.
    workers : int
        Number of processes that share the socket.
    timeout : float
        Seconds in which a request has to arrive.
    grace : float
        Seconds that accepted requests have to finish when the server stops.
    max_message : int
        Largest message of a WebSocket in bytes.
    """
    return uvicorn.Config(
        app,
        workers=workers,
        loop="uvloop",
        http=connection_class(),
        ws="websockets-sansio",
        ws_max_size=max_message,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_notify=timeout,  # type: ignore[arg-type]  # not used by uvicorn without a callback
        timeout_graceful_shutdown=grace,  # type: ignore[arg-type]
    )


class HttpServer(uvicorn.Server):
    """uvicorn's server on a socket that several processes share.

    A process accepts a few connections and then pauses. Otherwise the first process to wake up
    would accept all connections that arrive together, and the others would have nothing to do.
    """

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start accepting connections."""
        await self.lifespan.startup()
        self.servers = []  # of uvicorn, which would accept many at a time
        self._accepting: set[asyncio.Task[Any]] = set()
        loop = asyncio.get_running_loop()
        for listener in sockets or []:
            self._resume(loop, listener)
        self.started = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting connections, and finish the requests of those that were accepted."""
        loop = asyncio.get_running_loop()
        for listener in sockets or []:
            loop.remove_reader(listener)
            while self._accept(loop, listener):
                pass  # the kernel has established these connections already
        if self._accepting:
            await asyncio.wait(self._accepting)
        await super().shutdown(sockets)

    def _accept_some(self, loop: asyncio.AbstractEventLoop, listener: socket.socket) -> None:
        """Accept the waiting connections, or a few of them if other processes want some too."""
        for _ in range(ACCEPTED_AT_ONCE):
            if not self._accept(loop, listener):
                return
        if self.config.workers > 1:
            loop.remove_reader(listener)
            loop.call_later(PAUSE, self._resume, loop, listener)

    def _accept(self, loop: asyncio.AbstractEventLoop, listener: socket.socket) -> bool:
        """Accept one connection, if there is one; return whether there was."""
        try:
            connection, _ = listener.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                # too many open files: wait until some are closed, instead of trying all the time
                loop.remove_reader(listener)
                loop.call_later(1.0, self._resume, loop, listener)
            return False
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = loop.create_task(self._connect(loop, connection))
        self._accepting.add(task)
        task.add_done_callback(self._accepting.discard)
        return True

    async def _connect(self, loop: asyncio.AbstractEventLoop, connection: socket.socket) -> None:
        with suppress(OSError):  # the client has left already
            await loop.connect_accepted_socket(
                lambda: connection_class()(self.config, self.server_state, {}, loop), connection
            )

    def _resume(self, loop: asyncio.AbstractEventLoop, listener: socket.socket) -> None:
        if not self.should_exit:
            loop.add_reader(listener, self._accept_some, loop, listener)
