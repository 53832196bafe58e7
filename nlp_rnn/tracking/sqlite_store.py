"""A path becomes an sqlite file that MLflow can write to, made once by however many processes."""

import os
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from nlp_rnn.errors import TrackingError

__all__ = ["prepare_sqlite"]

SECONDS_TO_CREATE = 120
"""Waiting longer than this for another process to create the store is an error."""


def prepare_sqlite(path: Path) -> str:
    """Create the store at the absolute `path` if it is missing or empty; return its schema version.

    It is made under a file lock and moved into place when complete, so any number of processes
    may ask at once, and one that is killed leaves nothing half-made.

    Raises:
        TrackingError: the place cannot be written, or holds something else.
    """
    if path.is_dir():
        raise TrackingError(
            f"The MLflow store {path} is a folder; type tracking.uri=sqlite:///{path}/mlflow.db"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Tried, not asked: sqlite writes its journal beside the store, whoever the user is.
        with tempfile.TemporaryFile(dir=path.parent):
            pass
        if not _has_content(path):
            _create_sqlite(path)
    except OSError as error:
        raise TrackingError(
            f"The MLflow store {path} cannot be written ({error.strerror or error}).\n"
            "Run in a folder of your own, or type tracking.uri=sqlite:////FOLDER/mlflow.db"
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
        with FileLock(lock, timeout=SECONDS_TO_CREATE):
            if not _has_content(path):
                unfinished.unlink(missing_ok=True)  # of a process that was killed
                try:
                    # The class, not a client: it takes the artifact folder of experiment 0.
                    artifacts = (path.parent / "mlartifacts").as_uri()
                    store = SqlAlchemyStore(f"sqlite:///{unfinished}", artifacts)
                    store.engine.dispose()
                    os.replace(unfinished, path)
                finally:
                    unfinished.unlink(missing_ok=True)
            # Whoever makes a new lock file from here on finds the store complete.
            lock.unlink(missing_ok=True)
    except Timeout as error:
        raise TrackingError(
            f"Another process has been creating the MLflow store {path} for {SECONDS_TO_CREATE} "
            f"seconds; if there is none, delete {lock} and try again."
        ) from error


def _schema_version(path: Path) -> str:
    try:
        with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as database:
            names = "select name from sqlite_master where type = 'table'"
            tables = {name for (name,) in database.execute(names)}
            if not {"alembic_version", "experiments"} <= tables:
                raise TrackingError(
                    f"{path} is an sqlite database but no MLflow store; "
                    "type tracking.uri=sqlite:///ANOTHER.db"
                )
            row = database.execute("select version_num from alembic_version").fetchone()
            database.execute("begin immediate")  # fails where the file cannot be written
            database.execute("rollback")
            return str(row[0]) if row else ""
    except sqlite3.OperationalError as error:
        raise TrackingError(f"The MLflow store {path} cannot be written ({error}).") from error
    except sqlite3.DatabaseError as error:
        raise TrackingError(
            f"{path} is no database ({error}), so it cannot be the MLflow store.\n"
            "Move it away, or type tracking.uri=sqlite:///ANOTHER.db"
        ) from error
