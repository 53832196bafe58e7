"""Output file that appears only when it is complete, and can be resumed until then.

It grows as `NAME.part`. After every chunk `NAME.part.json` records how many of its rows and bytes
are complete and what they were made from. To resume, `NAME.part` is truncated to these bytes and
the next row follows, whatever interrupted the last attempt.
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
    """File that is written in chunks.

    A file in progress is resumed if it has the same `origin`; otherwise a new one is started.

    Parameters
    ----------
    path : Path
        The file; an existing one is replaced at the end.
    origin : mapping or None
        JSON values that determine the content; None for input that cannot be read again.

    Attributes
    ----------
    rows : int
        Number of complete rows, including those of an earlier attempt.
    note : JSON value
        The note that was added with the last of them.

    Raises
    ------
    DataError
        The file cannot be written.
    """

    def __init__(self, path: Path, origin: Mapping[str, Any] | None) -> None:
        self.path = path
        self.part = path.with_name(f"{path.name}.part")
        self._state_path = path.with_name(f"{path.name}.part.json")
        self._origin = None if origin is None else dict(origin)
        self.rows = 0
        self.note: Any = None
        size = 0
        if self._origin is not None:
            self.rows, size, self.note = self._interrupted()
        try:
            if path.is_dir():
                raise DataError(f"{path} is a folder.\nPass the name of a file: --output FILE")
            self._file = self.part.open("r+b" if self.rows else "wb")
            self._file.truncate(size)
            self._file.seek(size)
        except OSError as error:
            raise DataError(f"{path} cannot be written: {error.strerror}.") from error

    def _interrupted(self) -> tuple[int, int, Any]:
        """Return rows, bytes and note of an earlier attempt with the same origin, or zeros."""
        try:
            saved = json.loads(self._state_path.read_bytes())
            rows, size, note = saved["rows"], saved["bytes"], saved["note"]
            same = saved["origin"] == json.loads(json.dumps(self._origin))
            if same and 0 <= size <= self.part.stat().st_size and rows > 0:
                return rows, size, note
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            pass
        return 0, 0, None

    def add(self, data: bytes, rows: int, note: Any = None) -> None:
        """Append `rows` complete rows, and record them with a note."""
        try:
            self._file.write(data)
            self._file.flush()
            self.rows += rows
            self.note = note
            if self._origin is not None:
                state = {
                    "origin": self._origin,
                    "rows": self.rows,
                    "bytes": self._file.tell(),
                    "note": note,
                }
                temporary = self._state_path.with_name(f"{self._state_path.name}.new")
                temporary.write_text(json.dumps(state), encoding="utf-8")
                os.replace(temporary, self._state_path)
        except OSError as error:
            raise DataError(f"{self.path} cannot be written: {error.strerror}.") from error

    def finish(self, parquet: bool) -> None:
        """Rename the complete file; with `parquet` its Arrow messages are converted first."""
        self._file.close()
        if parquet:
            self._convert_to_parquet()
        else:
            os.replace(self.part, self.path)
        self.remove_parts()

    def close(self) -> None:
        """Close the file; remove what cannot be resumed."""
        self._file.close()
        if self._origin is None or self.rows == 0:
            self.remove_parts()

    def remove_parts(self) -> None:
        """Remove the files of an unfinished output."""
        for path in (
            self.part,
            self._state_path,
            self._state_path.with_name(f"{self._state_path.name}.new"),
        ):
            with suppress(FileNotFoundError):
                path.unlink()

    def _convert_to_parquet(self) -> None:
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
