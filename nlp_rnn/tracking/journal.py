"""Journal of a run: entries that MLflow has not stored yet, as JSON lines in the run folder."""

import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from nlp_rnn.errors import TrackingError

__all__ = ["PENDING_FOLDER", "Entry", "Journal", "StillLoggedError", "is_still_logged"]

Entry = dict[str, Any]
"""One thing to log, as JSON. `Delivery.__call__` lists the kinds."""

PENDING_FOLDER = "unsent"
"""Folder in a run folder for what MLflow has not stored yet. It is removed when it is empty."""

JOURNAL = "journal.jsonl"
LOCK = ".lock"


class StillLoggedError(TrackingError):
    """Another process writes the journal and sends its entries."""


def is_still_logged(folder: Path) -> bool:
    """Return whether a process logs the run in a run folder."""
    from filelock import FileLock, Timeout

    path = folder / PENDING_FOLDER / LOCK
    if not path.exists():
        return False
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True


class Journal:
    """Pending entries of one run, as JSON lines in `RUN_FOLDER/unsent`.

    The first line names the run. If a process dies after it has sent entries and before it has
    removed them, they are sent again. That changes nothing, because MLflow stores only one of
    several equal points.
    """

    def __init__(self, folder: Path, run: Mapping[str, str], entries: Sequence[Entry] = ()) -> None:
        """Start the journal of a run folder, or continue the one that `read` returned.

        Parameters
        ----------
        folder : Path
            Run folder; created if it does not exist.
        run : mapping
            `uri`, `experiment_id` and `run_id` of the run.
        entries : sequence
            Entries that are pending already.

        Raises
        ------
        StillLoggedError
            Another process writes the journal.
        TrackingError
            The run folder cannot be written.
        """
        from filelock import FileLock, Timeout

        self.folder = folder / PENDING_FOLDER
        self._run = dict(run)
        self._made_run_folder = not folder.exists()
        self._lock = FileLock(self.folder / LOCK, timeout=0, thread_local=False)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
            self._file = self._rewrite(entries)
        except Timeout:
            raise StillLoggedError(
                f"Another process logs the run in {folder} and sends everything by itself."
            ) from None
        except OSError as error:
            raise TrackingError(
                f"The run folder {folder} cannot be written ({error.strerror}).\n"
                "Set output_dir=FOLDER to a folder that is writable."
            ) from error

    @staticmethod
    def read(folder: Path) -> tuple[dict[str, str], list[Entry]]:
        """Return the run and the pending entries of a run folder; both are empty without a journal.

        Raises
        ------
        TrackingError
            The file is not a journal.
        """
        path = folder / PENDING_FOLDER / JOURNAL
        try:
            lines = path.read_text(encoding="utf-8").split("\n")
        except FileNotFoundError:
            return {}, []
        # Text after the last newline was being written when the process died.
        try:
            run, *entries = [json.loads(line) for line in lines[:-1]] or [{}]
            if lines[:-1] and not {"uri", "experiment_id", "run_id"} <= run.keys():
                raise ValueError("the first line names no run")
        except (ValueError, AttributeError) as error:
            raise TrackingError(f"{path} is damaged: {error}.") from None
        return run, entries

    def add(self, entry: Entry) -> None:
        """Append an entry."""
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()

    def copy(self, path: Path) -> str:
        """Copy a file that may be deleted before it is sent; return its path in the run folder."""
        folder = tempfile.mkdtemp(dir=self.folder)
        return str(Path(shutil.copy(path, folder)).relative_to(self.folder.parent))

    def replace(self, entries: Sequence[Entry]) -> None:
        """Replace all entries by `entries`."""
        self._file.close()
        self._file = self._rewrite(entries)

    def close(self, entries: Sequence[Entry]) -> None:
        """Leave `entries` in the journal, or remove the journal if there are none."""
        if entries:
            self.replace(entries)
        self._file.close()
        if not entries:
            shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.release()
        (self.folder / LOCK).unlink(missing_ok=True)
        if self._made_run_folder:
            with suppress(OSError):  # it is not empty
                self.folder.parent.rmdir()

    def _rewrite(self, entries: Sequence[Entry]) -> TextIO:
        temporary, path = self.folder / f"{JOURNAL}.part", self.folder / JOURNAL
        lines = [self._run, *entries]
        temporary.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        os.replace(temporary, path)
        return path.open("a", encoding="utf-8")
