"""A store's address, or none, becomes an absolute one."""

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from nlp_rnn.errors import TrackingError

__all__ = ["DATABASES", "SERVERS", "resolve_uri", "sqlite_path", "visible_uri"]

SERVERS = ("http", "https")
DATABASES = ("postgresql", "mysql", "mssql")
DATABRICKS = ("databricks", "databricks-uc", "uc")


def resolve_uri(uri: str | None, directory: Path) -> str:
    """Return the absolute address of the store: `uri`, else MLFLOW_TRACKING_URI, else the default.

    The default is `sqlite:///<directory>/mlflow.db`; a relative sqlite path is taken from
    `directory`. Nothing is created or contacted.

    Raises:
        TrackingError: a plain folder (MLflow's file store, which MLflow itself refuses), a store
            in memory, or an address of an unknown kind.
    """
    directory = directory.absolute()
    given = uri or os.environ.get("MLFLOW_TRACKING_URI") or ""
    said = f"{'tracking.uri' if uri else 'MLFLOW_TRACKING_URI'}={visible_uri(given)}"
    if not given:
        return _sqlite_uri(directory / "mlflow.db")
    if given in DATABRICKS:
        return given
    scheme, separator, rest = given.partition(":")
    kind = scheme.lower().partition("+")[0]
    if not separator or kind == "file":
        path = Path(unquote(rest.removeprefix("//")) if separator else given)
        file = path if path.suffix in (".db", ".sqlite") else path / "mlflow.db"
        raise TrackingError(
            f"{said} is a plain path; MLflow keeps runs in a database file.\n"
            f"Type tracking.uri=sqlite:///{os.path.normpath(directory / file)}"
        )
    if kind in SERVERS:
        return given.rstrip("/")
    if kind in (*DATABASES, *DATABRICKS):
        return given
    if kind != "sqlite":
        raise TrackingError(
            f"{said} is no address MLflow knows; it may begin with "
            "sqlite:///, http://, https://, postgresql:// or mysql://"
        )
    name, mark, query = rest.removeprefix("///").partition("?")
    if not rest.startswith("///") or name in ("", ":memory:"):
        raise TrackingError(
            f"{said} names no file, so the runs would be lost; "
            "type tracking.uri=sqlite:///mlflow.db"
        )
    absolute = directory / Path(unquote(name)).expanduser()
    return _sqlite_uri(Path(os.path.normpath(absolute))) + mark + query


def visible_uri(uri: str) -> str:
    """Return `uri` with its password, if it holds one, replaced by `***`."""
    password = urlsplit(uri).password if "@" in uri else None
    return uri.replace(f":{password}@", ":***@") if password else uri


def sqlite_path(uri: str) -> Path | None:
    """The file behind an absolute sqlite address; None for every other kind."""
    if not uri.startswith("sqlite:///"):
        return None
    return Path(uri.removeprefix("sqlite:///").partition("?")[0])


def _sqlite_uri(path: Path) -> str:
    # SQLAlchemy 2.0 takes the path as it is, 2.1 unquotes it, and MLflow does both.
    if "%" in str(path) or "?" in str(path):
        raise TrackingError(
            f"MLflow cannot keep a store in a path that holds % or ?: {path}\n"
            "Give another one: tracking.uri=sqlite:////FOLDER/mlflow.db"
        )
    return f"sqlite:///{path}"
