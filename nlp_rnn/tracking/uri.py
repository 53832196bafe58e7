"""Addresses of MLflow stores: resolve them to absolute URIs and hide their passwords."""

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from nlp_rnn.errors import TrackingError

__all__ = ["DATABASES", "SERVERS", "resolve_uri", "sqlite_path", "store_exists", "visible_uri"]

SERVERS = ("http", "https")
DATABASES = ("postgresql", "mysql", "mssql")
DATABRICKS = ("databricks", "databricks-uc", "uc")


def resolve_uri(uri: str | None, directory: Path) -> str:
    """Return the absolute URI of the store that `uri`, the environment or the default names.

    Nothing is created or contacted.

    Parameters
    ----------
    uri : str or None
        Value of `tracking.uri`. Without one the environment variable MLFLOW_TRACKING_URI is used,
        and without that `sqlite:///DIRECTORY/mlflow.db`.
    directory : Path
        Folder that a relative SQLite path starts from.

    Returns
    -------
    str
        URI of an SQLite file, a tracking server, a database or Databricks.

    Raises
    ------
    TrackingError
        The URI is a plain path (the file store, which MLflow itself no longer supports), a
        database in memory, or of an unknown kind.
    """
    directory = directory.absolute()
    source = "tracking.uri" if uri else "MLFLOW_TRACKING_URI"
    uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or ""
    setting = f"{source}={visible_uri(uri)}"
    if not uri:
        return _sqlite_uri(directory / "mlflow.db")
    if uri in DATABRICKS:
        return uri
    scheme, separator, rest = uri.partition(":")
    kind = scheme.lower().partition("+")[0]
    if not separator or kind == "file":
        path = Path(unquote(rest.removeprefix("//")) if separator else uri)
        file = path if path.suffix in (".db", ".sqlite") else path / "mlflow.db"
        raise TrackingError(
            f"{setting} is a plain path, but MLflow stores runs in a database file.\n"
            f"Set tracking.uri=sqlite:///{os.path.normpath(directory / file)}"
        )
    if kind in SERVERS:
        return uri.rstrip("/")
    if kind in (*DATABASES, *DATABRICKS):
        return uri
    if kind != "sqlite":
        raise TrackingError(
            f"{setting} is not an address that MLflow supports. It must start with "
            "sqlite:///, http://, https://, postgresql:// or mysql://"
        )
    name, mark, query = rest.removeprefix("///").partition("?")
    if not rest.startswith("///") or name in ("", ":memory:"):
        raise TrackingError(
            f"{setting} names no file, so the runs would be lost. "
            "Set tracking.uri=sqlite:///mlflow.db"
        )
    absolute = directory / Path(unquote(name)).expanduser()
    return _sqlite_uri(Path(os.path.normpath(absolute))) + mark + query


def visible_uri(uri: str) -> str:
    """Return `uri` with its password, if it contains one, replaced by `***`."""
    password = urlsplit(uri).password if "@" in uri else None
    return uri.replace(f":{password}@", ":***@") if password else uri


def sqlite_path(uri: str) -> Path | None:
    """Return the file of an absolute SQLite URI, or None for a URI of any other kind."""
    if not uri.startswith("sqlite:///"):
        return None
    return Path(uri.removeprefix("sqlite:///").partition("?")[0])


def store_exists(uri: str) -> bool:
    """Return False if `uri` names an SQLite file that does not exist, otherwise True.

    Servers and databases are not contacted and count as existing.
    """
    path = sqlite_path(uri)
    return path is None or path.exists()


def _sqlite_uri(path: Path) -> str:
    # SQLAlchemy 2.0 takes the path as it is, 2.1 unquotes it, and MLflow does both.
    if "%" in str(path) or "?" in str(path):
        raise TrackingError(
            f"MLflow does not support a store whose path contains % or ?: {path}\n"
            "Set another path: tracking.uri=sqlite:////FOLDER/mlflow.db"
        )
    return f"sqlite:///{path}"
