"""Progress of a training: a progress bar in a terminal, plain lines elsewhere."""

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from nlp_rnn.training.events import EpochEnd, UpdateEnd

__all__ = ["TrainingProgress"]

SECONDS_BETWEEN_LINES = 30


class TrainingProgress:
    """Shows speed, remaining time and the last validation metric; a context manager.

    In a terminal, one bar is redrawn in place. Elsewhere, a line is printed after each epoch, and
    every `SECONDS_BETWEEN_LINES` seconds within a long epoch.

    Parameters
    ----------
    metric : str
        The validation metric to show.
    console : rich.console.Console, optional
        Where to print; standard output by default.
    """

    def __init__(self, metric: str, console: Console | None = None) -> None:
        self.metric = metric
        self.console = console or Console(file=sys.stdout, highlight=False)
        self._validation = "–"
        self._last_line = time.monotonic()
        self._bar: Progress | None = None
        if self.console.is_terminal:
            self._bar = Progress(
                TextColumn("epoch {task.fields[epoch]}"),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f} %"),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(compact=True),
                TextColumn("left at most  {task.fields[validation]}"),
                console=self.console,
                transient=True,
            )
            self._task = self._bar.add_task("", total=None, epoch="1", rate="", validation="")

    def __enter__(self) -> "TrainingProgress":
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

    def on_update(self, event: UpdateEnd) -> None:
        """Move the bar, or print a line if the last one was long ago."""
        rate = f"{event.tokens_per_second:,.0f} tokens/s"
        if self._bar is not None:
            self._bar.update(
                self._task,
                completed=event.update,
                total=event.total_updates,
                epoch=f"{event.epoch}/{event.max_epochs}",
                rate=rate,
                validation=self._validation,
            )
        elif time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES:
            self._line(
                f"epoch {event.epoch}/{event.max_epochs}  "
                f"update {event.update:,}/{event.total_updates:,}  {rate}"
            )

    def on_epoch(self, event: EpochEnd) -> None:
        """Print the epoch's metrics; the bar stays below them."""
        value = event.metrics[f"validation/{self.metric}"]
        self._validation = f"validation {self.metric} {value:.4f}"
        self._line(
            f"epoch {event.epoch}/{event.max_epochs}  "
            f"train loss {event.metrics['train/loss']:.4f}  {self._validation}  "
            f"{event.metrics['train/tokens_per_second']:,.0f} tokens/s"
            f"{'  best so far' if event.best else ''}"
        )

    def _line(self, text: str) -> None:
        self.console.print(text, soft_wrap=True)
        self._last_line = time.monotonic()
