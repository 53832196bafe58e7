"""Options of the service: address, processes and limits, each with its default."""

from dataclasses import dataclass, field

__all__ = ["LOOPBACK", "ServingOptions"]

LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""Addresses that only this machine reaches."""


@dataclass(frozen=True)
class ServingOptions:
    """Options of `nlp-rnn serve`.

    Attributes
    ----------
    host, port : str, int
        Address to listen on; port 0 means a free port.
    workers : int
        Number of processes that share the port.
    runtime : {"onnx", "int8"}
        As in `nlp_rnn.load`.
    tokens : tuple of str
        Accepted bearer tokens; without any, requests need none.
    allowed_hosts : tuple of str
        Accepted host names of the header `Host`; without any, all are accepted.
    max_body : int
        Largest body of a request and largest message of a stream, in bytes.
    max_texts : int
        Largest number of texts in a request.
    max_characters : int
        Largest number of characters in a text, and in a stream.
    queue : int
        Largest number of texts that wait for a prediction, in each worker. An explanation with
        more texts is accepted if none wait.
    timeout : float
        Seconds in which a request has to arrive, and in which its prediction has to be ready.
    grace : float
        Seconds that accepted requests have to finish after SIGTERM.
    follow : float
        Seconds between two checks of the MLflow registry, for `models:/NAME@ALIAS`.
    access_log : bool
        Whether each request is logged, without its texts.
    log_texts : bool
        Whether texts are logged with their predictions.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    runtime: str = "onnx"
    tokens: tuple[str, ...] = field(default=(), repr=False)
    allowed_hosts: tuple[str, ...] = ()
    max_body: int = 4 << 20
    max_texts: int = 2000
    max_characters: int = 100_000
    queue: int = 4000
    timeout: float = 30.0
    grace: float = 30.0
    follow: float = 30.0
    access_log: bool = False
    log_texts: bool = False
