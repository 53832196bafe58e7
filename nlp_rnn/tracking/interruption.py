"""Stop signals, such as SIGINT and SIGTERM, as exceptions, held back during critical blocks."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

__all__ = ["Interruptions", "Terminated", "interruptions"]

STOP_SIGNALS = tuple(
    getattr(signal, name)
    # SIGHUP: the terminal was closed; SIGUSR1: a batch system will reach its time limit
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")
    if hasattr(signal, name)
)


class Terminated(SystemExit):
    """A signal asked the process to stop; uncaught, it exits with 128 + the signal's number."""

    def __str__(self) -> str:
        """Return the signal's name, like `SIGTERM`; SIGUSR1 announces a time limit."""
        name = signal.Signals(int(self.args[0]) - 128).name
        return "the time limit (SIGUSR1)" if name == "SIGUSR1" else name


class Interruptions:
    """Signal handler that raises an exception at once, or at the end of a critical block."""

    def __init__(self) -> None:
        """Start without a critical block and without a received signal."""
        self._held = False
        self._pending: int | None = None

    def receive(self, number: int, frame: FrameType | None = None) -> None:
        """Raise KeyboardInterrupt for Ctrl-C and Terminated for the other signals.

        Inside `hold` the first signal waits until the end of the block; a second signal raises
        its exception at once.
        """
        if self._held and self._pending is None:
            self._pending = number
            return
        self._pending = None
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise Terminated(128 + number)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Delay the exception of a signal until the end of the block."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
            if self._pending is not None:
                self.receive(self._pending)


@contextmanager
def interruptions() -> Iterator[Interruptions]:
    """Handle the stop signals inside the block and restore the previous handlers afterwards.

    A signal that is ignored already, as under `nohup`, stays ignored. Outside the main thread,
    where Python allows no signal handlers, no handler is installed.
    """
    received = Interruptions()
    before: dict[int, Callable[..., Any] | int] = {}
    if threading.current_thread() is threading.main_thread():
        for number in STOP_SIGNALS:
            handler = signal.getsignal(number)
            if handler is not None and handler != signal.SIG_IGN:
                before[number] = handler
                signal.signal(number, received.receive)
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
