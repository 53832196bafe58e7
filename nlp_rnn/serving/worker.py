"""One process of the service: event loop, connections and the classifiers it was forked with."""

import asyncio
import contextlib
import gc
import json
import logging
import signal
import socket
import sys
from typing import Any

from nlp_rnn.errors import ClassifierError
from nlp_rnn.serving.application import make_application
from nlp_rnn.serving.http_server import HttpServer, server_config
from nlp_rnn.serving.metrics import Metrics
from nlp_rnn.serving.options import ServingOptions
from nlp_rnn.serving.served_classifier import ClassifierSource, ServedClassifier, load_served
from nlp_rnn.serving.service import Service

__all__ = ["run_worker"]

# Python lets a thread compute for 5 ms before another one gets its turn. The event loop would
# wait that long for the thread that predicts.
SWITCH_INTERVAL = 0.0005

log = logging.getLogger("nlp_rnn.serving")


def run_worker(
    listener: socket.socket,
    control: socket.socket,
    options: ServingOptions,
    classifiers: dict[str, ServedClassifier],
) -> None:
    """Serve until SIGTERM, or until the supervisor ends.

    Parameters
    ----------
    listener : socket
        Listening socket, shared with the other processes.
    control : socket
        Connection to the supervisor. It sends a line of JSON for each new version of a classifier,
        and gets a line when this process is ready and when it serves the new version.
    options : ServingOptions
        Options of the service.
    classifiers : dict of str to ServedClassifier
        Loaded classifiers by name.
    """
    sys.setswitchinterval(SWITCH_INTERVAL)
    gc.set_threshold(20_000, 20, 20)
    service = Service(options, classifiers, Metrics())
    config = server_config(
        make_application(service),
        options.workers,
        options.timeout,
        options.grace,
        options.max_body,
    )
    server = _DrainingServer(config, service)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: setattr(server, "should_exit", True))
    server.control = control
    server.run([listener])
    service.batcher.close()


class _DrainingServer(HttpServer):
    """Server that tells its service when it stops, and listens to the supervisor."""

    control: socket.socket

    def __init__(self, config: Any, service: Service) -> None:
        super().__init__(config)
        self._service = service

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        """Keep the signal handlers of `run_worker`, which were there before the loop."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start accepting connections, and say so to the supervisor."""
        await super().startup(sockets)
        reader, writer = await asyncio.open_connection(sock=self.control)
        writer.write(b'{"ready": true}\n')
        self._listening = asyncio.create_task(self._listen(reader, writer))

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Load the new versions of classifiers that the supervisor announces."""
        loop = asyncio.get_running_loop()
        while line := await reader.readline():
            source = ClassifierSource(**json.loads(line))
            try:
                # in a thread of its own, so that the predictions continue
                served = await loop.run_in_executor(
                    None, load_served, source, self._service.options.runtime
                )
            except ClassifierError as error:
                log.error("%s was not loaded: %s", source.name, str(error).splitlines()[0])
                continue
            self._service.replace(served)
            writer.write(json.dumps({"serves": source.version}).encode() + b"\n")
        self.should_exit = True  # the supervisor has ended

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish what was accepted."""
        self._service.draining = True
        self._listening.cancel()
        await super().shutdown(sockets)
