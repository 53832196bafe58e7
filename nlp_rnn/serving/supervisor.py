"""Supervisor of the service: loads the classifiers once, and starts and replaces processes.

The processes are forked after the classifiers are loaded. So they share the memory of the weights
and of the libraries, and start in milliseconds. They accept connections from one socket, so that
none is lost when one of them ends.
"""

import gc
import json
import logging
import os
import resource
import selectors
import shutil
import signal
import socket
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field

from nlp_rnn.classifier.location import is_uri
from nlp_rnn.errors import ConfigError, NlpRnnError
from nlp_rnn.serving.options import LOOPBACK, ServingOptions
from nlp_rnn.serving.registry_watch import RegistryWatch
from nlp_rnn.serving.served_classifier import ClassifierSource, ServedClassifier, load_served

__all__ = ["Supervisor", "serve"]

BACKLOG = 4096
# A process that ends sooner than this after its start is not replaced at once, and the service
# ends if that happens this many times in a row.
SHORT_LIFE = 2.0
MAX_SHORT_LIVES = 5

log = logging.getLogger("nlp_rnn.serving")


@dataclass
class _Process:
    pid: int
    control: socket.socket
    started: float = field(default_factory=time.monotonic)
    received: bytes = b""


def serve(options: ServingOptions, sources: list[ClassifierSource]) -> int:
    """Serve classifiers until SIGTERM or Ctrl-C; return the exit code.

    Raises
    ------
    ConfigError
        The address is in use or not of this machine.
    ClassifierError
        A classifier cannot be loaded.
    """
    _log_to_standard_error()
    # each connection is a file; the default of 1,024 is for programs that use select
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    listener = listen(options.host, options.port)
    if not options.tokens and options.host not in LOOPBACK:
        log.warning(
            "everyone who reaches %s can use the service; set --token-file to require a token",
            options.host,
        )
    metrics_folder = tempfile.mkdtemp(prefix="nlp_rnn_metrics_")
    # read by prometheus_client when it is imported
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = metrics_folder
    try:
        return Supervisor(options, sources, listener).run()
    finally:
        listener.close()
        shutil.rmtree(metrics_folder, ignore_errors=True)


def _log_to_standard_error() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(process)d %(levelname)s %(message)s"))
    # uvicorn warns about every broken request
    for name, level in (("nlp_rnn.serving", logging.INFO), ("uvicorn", logging.CRITICAL)):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(level)
        logger.propagate = False


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises
    ------
    ConfigError
        The address is in use or not of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"The service cannot listen on {host}:{port}: {error.strerror or error}.\n"
            f"Set another port (--port {port + 1}), or an address of this machine (--host)."
        ) from None
    listener.setblocking(False)
    return listener


class Supervisor:
    """Parent of the processes of the service.

    Parameters
    ----------
    options : ServingOptions
        Options of the service.
    sources : list of ClassifierSource
        Classifiers to load; the first one is the default.
    listener : socket
        Listening socket.
    """

    def __init__(
        self, options: ServingOptions, sources: list[ClassifierSource], listener: socket.socket
    ) -> None:
        self._options = options
        self._listener = listener
        self._processes: dict[int, _Process] = {}
        self._stopping_since: float | None = None
        self._stop_signal: signal.Signals | None = None
        self._stop_logged = False
        self._short_lives = 0
        self._ready = 0
        self._selector = selectors.DefaultSelector()
        self._classifiers: dict[str, ServedClassifier] = {}
        self._sources = sources
        self._watch: RegistryWatch | None = None
        self._watched = False

    def run(self) -> int:
        """Load the classifiers, start the processes, and replace those that end."""
        for source in self._local_sources():
            self._classifiers[source.name] = load_served(source, self._options.runtime)
        # imported here, once for all processes, and after the variable of its folder is set
        from nlp_rnn.serving.worker import run_worker

        self._run_worker = run_worker
        gc.collect()
        gc.freeze()  # the processes would copy the memory that the collector writes to
        wakeup, wakeup_end = os.pipe()
        os.set_blocking(wakeup, False)
        os.set_blocking(wakeup_end, False)
        signal.set_wakeup_fd(wakeup_end)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, self._handle_signal)
        self._selector.register(wakeup, selectors.EVENT_READ, lambda: os.read(wakeup, 4096))
        for _ in range(self._options.workers):
            self._start()
        self._register_watch()
        try:
            while self._processes:
                for key, _ in self._selector.select(timeout=1.0):
                    key.data()
                self._log_stop()
                self._reap()
                self._end_overdue()
                if self._watch is not None and not self._watched and self._watch.revive():
                    self._register_watch()
        finally:
            signal.set_wakeup_fd(-1)
            for process in self._processes.values():
                os.kill(process.pid, signal.SIGKILL)
            if self._watch is not None:
                self._watch.close()
        if self._stop_signal is not None:
            log.info("the service has stopped")
        return 0 if self._stopping_since is not None else 1

    def _local_sources(self) -> list[ClassifierSource]:
        """Return the sources with local folders; those in MLflow are downloaded."""
        uris = {source.name: source.folder for source in self._sources if is_uri(source.folder)}
        if not uris:
            return self._sources
        watch = RegistryWatch(uris, self._options.follow)
        downloaded = watch.first()
        self._watch = watch
        return [downloaded.get(source.name, source) for source in self._sources]

    def _register_watch(self) -> None:
        if self._watch is not None:
            self._selector.register(self._watch.output, selectors.EVENT_READ, self._follow)
            self._watched = True

    def _follow(self) -> None:
        """Serve the new versions of classifiers that were downloaded from MLflow."""
        assert self._watch is not None
        for source in self._watch.news():
            former = self._classifiers[source.name].source
            if source.version == former.version:
                continue
            try:  # for the processes that are started later
                self._classifiers[source.name] = load_served(source, self._options.runtime)
            except NlpRnnError as error:
                log.error("%s: version %s is broken: %s", source.name, source.version, error)
                continue
            log.info("%s: version %s replaces %s", source.name, source.version, former.version)
            message = json.dumps(asdict(source)).encode() + b"\n"
            for process in self._processes.values():
                with suppress(OSError):  # it has just ended
                    process.control.sendall(message)
        if self._watch.has_ended:
            self._selector.unregister(self._watch.output)
            self._watched = False

    def _start(self) -> None:
        """Fork a process."""
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                self._selector.close()
                ours.close()
                for process in self._processes.values():
                    process.control.close()
                theirs.setblocking(False)
                self._run_worker(self._listener, theirs, self._options, self._classifiers)
                code = 0
            except NlpRnnError as error:
                log.error("%s", error)
            except BaseException as error:
                log.error("%s", type(error).__name__, exc_info=True)
            finally:
                for stream in (sys.stdout, sys.stderr):
                    stream.flush()
                os._exit(code)
        theirs.close()
        ours.setblocking(False)
        process = _Process(pid, ours)
        self._processes[pid] = process
        self._selector.register(ours, selectors.EVENT_READ, lambda: self._receive(process))

    def _receive(self, process: _Process) -> None:
        """Read the messages of a process."""
        try:
            data = process.control.recv(65536)
        except OSError:
            data = b""
        if not data:
            self._selector.unregister(process.control)
            process.control.close()
            return
        *lines, process.received = (process.received + data).split(b"\n")
        for line in lines:
            if "ready" in json.loads(line):
                self._ready += 1
                if self._ready == self._options.workers:
                    self._announce()

    def _announce(self) -> None:
        host, port = self._listener.getsockname()[:2]
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        names = ", ".join(self._classifiers)
        print(
            f"{names} at http://{address}/ in {self._options.workers} "
            f"process{'es' if self._options.workers > 1 else ''}; Ctrl-C stops.",
            flush=True,
        )

    def _handle_signal(self, number: int, frame: object) -> None:
        if number in (signal.SIGTERM, signal.SIGINT) and self._stopping_since is None:
            self._stopping_since = time.monotonic()
            self._stop_signal = signal.Signals(number)
            # the processes accept what is waiting; the last one to close the socket ends it
            self._listener.close()
            for process in self._processes.values():
                os.kill(process.pid, signal.SIGTERM)
        elif number == signal.SIGINT:  # Ctrl-C again
            for process in self._processes.values():
                os.kill(process.pid, signal.SIGKILL)

    def _log_stop(self) -> None:
        if self._stop_signal is not None and not self._stop_logged:
            self._stop_logged = True
            log.info(
                "%s: accepted requests have %g s to finish",
                self._stop_signal.name,
                self._options.grace,
            )

    def _reap(self) -> None:
        """Remove the processes that have ended, and replace them unless the service stops."""
        from prometheus_client.multiprocess import mark_process_dead

        for pid in list(self._processes):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if not ended:
                continue
            process = self._processes.pop(pid)
            mark_process_dead(pid)  # its queue and its streams no longer count
            if process.control.fileno() >= 0:
                self._selector.unregister(process.control)
                process.control.close()
            if self._stopping_since is not None:
                continue
            code = os.waitstatus_to_exitcode(status)
            reason = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
            short = time.monotonic() - process.started < SHORT_LIFE
            self._short_lives = self._short_lives + 1 if short else 0
            if self._short_lives >= MAX_SHORT_LIVES:
                log.error("process %d %s soon after its start; the service ends", pid, reason)
                for other in self._processes.values():
                    os.kill(other.pid, signal.SIGTERM)
                return
            log.warning("process %d %s; another one is started", pid, reason)
            self._start()

    def _end_overdue(self) -> None:
        """Kill processes that do not end although their time to finish is over."""
        if self._stopping_since is None:
            return
        if time.monotonic() - self._stopping_since > self._options.grace + 5:
            for process in self._processes.values():
                os.kill(process.pid, signal.SIGKILL)
