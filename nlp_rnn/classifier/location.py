"""Classifier folder at a path or an MLflow URI, downloaded if necessary."""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from nlp_rnn.errors import ClassifierError
from nlp_rnn.extras import missing_package

__all__ = ["is_uri", "local_folder"]

_URI = re.compile("(runs|models|mlflow-artifacts):/")


def is_uri(location: str | os.PathLike[str]) -> bool:
    """Whether `location` is a URI that MLflow has to download."""
    return bool(_URI.match(os.fspath(location)))


@contextmanager
def local_folder(location: str | os.PathLike[str]) -> Iterator[Path]:
    """Provide the classifier folder at `location`; a downloaded one is deleted at the end.

    Parameters
    ----------
    location : str or path
        Classifier folder, folder of an MLflow model, or URI that MLflow can download:
        `runs:/RUN_ID/classifier`, `models:/NAME/3`, `models:/NAME@ALIAS`, `mlflow-artifacts:/…`.

    Raises
    ------
    ClassifierError
        MLflow does not find the URI.
    """
    path = os.fspath(location)
    if not is_uri(path):
        yield _inside_model(Path(path).expanduser())
        return
    with tempfile.TemporaryDirectory(prefix="nlp_rnn_") as temporary:
        yield _inside_model(_download(path, temporary))


def _inside_model(folder: Path) -> Path:
    """Return the classifier folder inside the folder of an MLflow model, or `folder` itself."""
    if (folder / "MLmodel").is_file():
        for config in sorted(folder.glob("artifacts/*/config.json")):
            return config.parent
    return folder


def _download(uri: str, destination: str) -> Path:
    """Download `uri` with MLflow, without its console output."""
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    try:
        import mlflow
    except ImportError as error:
        raise (missing_package(error, "A classifier in MLflow") or error) from error
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    store = mlflow.get_registry_uri() if uri.startswith("models:") else mlflow.get_tracking_uri()
    file = Path(unquote(store.removeprefix("sqlite:///").partition("?")[0])).absolute()
    local = store.startswith("sqlite:///")
    # MLflow would create an empty store there, and then not find the classifier in it.
    if local and not file.exists():
        raise ClassifierError(
            f"{uri} cannot be downloaded: there is no MLflow store at {file}.\n"
            "Set the store: MLFLOW_TRACKING_URI=sqlite:////path/to/mlflow.db"
        )
    try:
        return Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=destination))
    except (MlflowException, SQLAlchemyError, OSError) as error:
        name = file if local else urlsplit(store).hostname  # without a password
        reason = " ".join(str(error).replace(store, str(name)).split())[:200]
        raise ClassifierError(
            f"MLflow at {name} has no classifier {uri}: {reason}\n"
            "Pass runs:/RUN_ID/classifier with the id of a run, or the path of a classifier folder."
        ) from error
