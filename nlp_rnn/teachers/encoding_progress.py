"""Progress of encoding texts: a bar in a terminal, plain lines elsewhere."""

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

__all__ = ["EncodingProgress"]

SECONDS_BETWEEN_LINES = 30


class EncodingProgress:
    """Shows the number of encoded texts, texts per second and the remaining time.

    In a terminal one bar is redrawn in place. Elsewhere a line is printed every
    `SECONDS_BETWEEN_LINES` seconds. A line with the speed follows at the end.

    Parameters
    ----------
    title : str
        What is done.
    total : int
        Number of texts.
    console : rich.console.Console, optional
        Where to print; standard output by default.
    """

    def __init__(self, title: str, total: int, console: Console | None = None) -> None:
        self._title, self._total, self._done = title, total, 0
        self._console = console or Console(file=sys.stdout, highlight=False)
        self._started = self._last_line = time.monotonic()
        self._bar: Progress | None = None
        if self._console.is_terminal:
            self._bar = Progress(
                TextColumn(title),
                BarColumn(),
                TextColumn("{task.completed:,.0f}/{task.total:,.0f}  {task.fields[rate]}"),
                TimeRemainingColumn(compact=True),
                console=self._console,
                transient=True,
            )
            self._task = self._bar.add_task("", total=total, rate="")

    def __enter__(self) -> "EncodingProgress":
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        if kind is None:
            self._line()

    def advance(self, texts: int) -> None:
        """Count further texts as encoded."""
        self._done += texts
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done, rate=self._rate())
        elif time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES:
            self._line()

    def _rate(self) -> str:
        return f"{self._done / max(time.monotonic() - self._started, 1e-9):,.0f} texts/s"

    def _line(self) -> None:
        self._console.print(
            f"{self._title}: {self._done:,} of {self._total:,} texts, {self._rate()}",
            soft_wrap=True,
        )
        self._last_line = time.monotonic()
