"""Pieces of an output become a file that appears when it is whole, and can be gone on with.

Until then it grows as `NAME.part`; `NAME.part.json` says, after every chunk, how many rows and
bytes of it are good and what they were made from. The same command cuts `NAME.part` back to
those bytes and goes on with the next row, whatever ended the last one.
"""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from nlp_rnn.errors import DataError

__all__ = ["ResumableFile"]


class ResumableFile:
    """A file in the making.

    Attributes:
        rows: rows that are written for good, those of an earlier attempt among them.
        note: what was said of them (JSON).
    """

    def __init__(self, path: Path, origin: Mapping[str, Any] | None) -> None:
        """Go on with what was made from the same `origin` (JSON values), else begin.

        Args:
            path: the file; one that is there is replaced at the end.
            origin: what shapes the content; None if it cannot be read again, as a pipe.

        Raises:
            DataError: the file cannot be written.
        """
        self.path = path
        self.part = path.with_name(f"{path.name}.part")
        self._note = path.with_name(f"{path.name}.part.json")
        self._origin = None if origin is None else dict(origin)
        self.rows = 0
        self.note: Any = None
        size = 0
        if self._origin is not None:
            self.rows, size, self.note = self._earlier()
        try:
            if path.is_dir():
                raise DataError(f"{path} is a folder.\nType the name of a file: --output FILE")
            self._file = self.part.open("r+b" if self.rows else "wb")
            self._file.truncate(size)
            self._file.seek(size)
        except OSError as error:
            raise DataError(f"{path} cannot be written: {error.strerror}.") from error

    def _earlier(self) -> tuple[int, int, Any]:
        """Rows, bytes and note of an earlier attempt at the same; zeros when there is none."""
        try:
            saved = json.loads(self._note.read_bytes())
            rows, size, note = saved["rows"], saved["bytes"], saved["note"]
            same = saved["origin"] == json.loads(json.dumps(self._origin))
            if same and 0 <= size <= self.part.stat().st_size and rows > 0:
                return rows, size, note
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            pass
        return 0, 0, None

    def add(self, data: bytes, rows: int, note: Any = None) -> None:
        """Write one piece of `rows` rows, and remember that it is whole."""
        try:
            self._file.write(data)
            self._file.flush()
            self.rows += rows
            self.note = note
            if self._origin is not None:
                done = {
                    "origin": self._origin,
                    "rows": self.rows,
                    "bytes": self._file.tell(),
                    "note": note,
                }
                temporary = self._note.with_name(f"{self._note.name}.new")
                temporary.write_text(json.dumps(done), encoding="utf-8")
                os.replace(temporary, self._note)
        except OSError as error:
            raise DataError(f"{self.path} cannot be written: {error.strerror}.") from error

    def finish(self, parquet: bool) -> None:
        """Give the file its name; with `parquet` what was written are Arrow messages."""
        self._file.close()
        if parquet:
            self._make_parquet()
        else:
            os.replace(self.part, self.path)
        self.forget()

    def close(self) -> None:
        """Stop; what cannot be gone on with is removed."""
        self._file.close()
        if self._origin is None or self.rows == 0:
            self.forget()

    def forget(self) -> None:
        """Remove what was written on the way."""
        for path in (self.part, self._note, self._note.with_name(f"{self._note.name}.new")):
            with suppress(FileNotFoundError):
                path.unlink()

    def _make_parquet(self) -> None:
        import pyarrow
        from pyarrow import parquet

        whole = self.path.with_name(f"{self.path.name}.whole")
        try:
            with self.part.open("rb") as file:
                messages = pyarrow.ipc.open_stream(file)
                with parquet.ParquetWriter(whole, messages.schema) as writer:
                    for batch in messages:
                        writer.write_batch(batch)
            os.replace(whole, self.path)
        finally:
            with suppress(FileNotFoundError):
                whole.unlink()
