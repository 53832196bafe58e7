"""Signals that ask the process to stop become exceptions, raised when they can be dealt with."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

__all__ = ["Interruptions", "Terminated", "interruptions"]

STOP_SIGNALS = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP")  # SIGHUP: the terminal was closed
    if hasattr(signal, name)
)


class Terminated(SystemExit):
    """A signal asked the process to stop; uncaught, it exits with 128 + the signal's number."""

    def __str__(self) -> str:
        """Return the signal's name, like `SIGTERM`."""
        return signal.Signals(int(self.args[0]) - 128).name


class Interruptions:
    """Raises for each signal received: at once, or after a block that must not be torn."""

    def __init__(self) -> None:
        """Hold nothing back."""
        self._held = False
        self._waiting: int | None = None

    def receive(self, number: int, frame: FrameType | None = None) -> None:
        """Raise KeyboardInterrupt for Ctrl-C and Terminated for the other signals.

        Inside `hold` the first signal waits; a second one is obeyed at once.
        """
        if self._held and self._waiting is None:
            self._waiting = number
            return
        self._waiting = None
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise Terminated(128 + number)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Let the block finish before a signal is obeyed."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
            if self._waiting is not None:
                self.receive(self._waiting)


@contextmanager
def interruptions() -> Iterator[Interruptions]:
    """Take over the stop signals inside the block, then give them back.

    A signal that the surroundings ignore (`nohup`) stays ignored. Outside the main thread, where
    Python allows no signal handlers, nothing is taken over.
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
