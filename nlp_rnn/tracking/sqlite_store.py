"""Create or check the SQLite file of an MLflow store, safely from several processes at once."""

import os
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from nlp_rnn.errors import TrackingError

__all__ = ["prepare_sqlite"]

CREATION_TIMEOUT = 120
"""Seconds to wait for another process that is creating the store."""


def prepare_sqlite(path: Path) -> str:
    """Create the store at `path` if it is missing or empty, and return its schema version.

    The file is created under a file lock and moved into place when it is complete. Any number of
    processes may call this at once, and one that is killed leaves no incomplete store.

    Parameters
    ----------
    path : Path
        Absolute path of the SQLite file.

    Returns
    -------
    str
        Name of the last schema migration that was applied to the store.

    Raises
    ------
    TrackingError
        The file cannot be written, or it is not an MLflow store.
    """
    if path.is_dir():
        raise TrackingError(
            f"The MLflow store {path} is a folder. Set tracking.uri=sqlite:///{path}/mlflow.db"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # SQLite writes its journal beside the store, so try the folder; mode bits may mislead.
        with tempfile.TemporaryFile(dir=path.parent):
            pass
        if not _has_content(path):
            _create_sqlite(path)
    except OSError as error:
        raise TrackingError(
            f"The MLflow store {path} cannot be written ({error.strerror or error}).\n"
            "Run in a folder that you can write to, or set tracking.uri=sqlite:////FOLDER/mlflow.db"
        ) from error
    return _schema_version(path)


def _has_content(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


def _create_sqlite(path: Path) -> None:
    from filelock import FileLock, Timeout
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    lock = path.with_name(f".{path.name}.lock")
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        with FileLock(lock, timeout=CREATION_TIMEOUT):
            if not _has_content(path):
                unfinished.unlink(missing_ok=True)  # of a process that was killed
                try:
                    # Only the class, not the client, accepts the artifact folder of experiment 0.
                    artifacts = (path.parent / "mlartifacts").as_uri()
                    store = SqlAlchemyStore(f"sqlite:///{unfinished}", artifacts)
                    store.engine.dispose()
                    os.replace(unfinished, path)
                finally:
                    unfinished.unlink(missing_ok=True)
            # A process that makes a new lock file from here on sees the complete store.
            lock.unlink(missing_ok=True)
    except Timeout as error:
        raise TrackingError(
            f"Another process has been creating the MLflow store {path} for {CREATION_TIMEOUT} "
            f"seconds. If there is no such process, delete {lock} and try again."
        ) from error


def _schema_version(path: Path) -> str:
    try:
        with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as database:
            names = "select name from sqlite_master where type = 'table'"
            tables = {name for (name,) in database.execute(names)}
            if not {"alembic_version", "experiments"} <= tables:
                raise TrackingError(
                    f"{path} is an SQLite database but not an MLflow store. "
                    "Set tracking.uri=sqlite:///ANOTHER.db"
                )
            row = database.execute("select version_num from alembic_version").fetchone()
            database.execute("begin immediate")  # fails where the file cannot be written
            database.execute("rollback")
            return str(row[0]) if row else ""
    except sqlite3.OperationalError as error:
        raise TrackingError(f"The MLflow store {path} cannot be written ({error}).") from error
    except sqlite3.DatabaseError as error:
        raise TrackingError(
            f"{path} is not a database ({error}), so it cannot be the MLflow store.\n"
            "Move it away, or set tracking.uri=sqlite:///ANOTHER.db"
        ) from error
