"""Notes, progress and summary that `nlp-rnn predict` prints on standard error."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nlp_rnn.commands.input_tables import Chunk, InputTable

__all__ = ["Notes", "PredictionProgress"]


class Notes:
    """Lines on standard error, each of them once."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._shown: set[str] = set()

    def show(self, more: Sequence[str] = ()) -> None:
        """Print the lines that were not printed before."""
        for line in (*self.lines, *more):
            if line not in self._shown:
                print(line, file=sys.stderr)
            self._shown.add(line)


class PredictionProgress:
    """Progress on a terminal, and a summary at the end, both on standard error."""

    def __init__(self, table: "InputTable", rows: int) -> None:
        """Begin after `rows` rows that an interrupted command wrote."""
        self._table, self._rows, self._resumed_rows = table, rows, rows
        self._started = time.monotonic()
        self._without_text = 0
        self._shown = sys.stderr.isatty()

    def step(self, chunk: "Chunk") -> None:
        """Count a chunk that was written."""
        self._rows += len(chunk.texts)
        self._without_text += chunk.texts.count(None)
        if not self._shown:
            return
        seconds = max(time.monotonic() - self._started, 1e-3)
        speed = (self._rows - self._resumed_rows) / seconds
        share = self._table.share_read()
        percent = "" if share is None else f"{share:.0%}, "
        print(
            f"\x1b[2K{percent}{self._rows:,} rows, {speed:,.0f} rows per second",
            end="\r",
            file=sys.stderr,
            flush=True,
        )

    def end(self, path: Path | None) -> None:
        """Print how many rows were written, and how many of them had no text."""
        if self._shown:
            print("\x1b[2K", end="", file=sys.stderr)
        if self._without_text:
            rows = "1 row has" if self._without_text == 1 else f"{self._without_text:,} rows have"
            print(f"{rows} no text, and therefore no label", file=sys.stderr)
        if path is not None:
            print(f"wrote {self._rows:,} rows to {path}", file=sys.stderr)
