"""A path or an MLflow URI becomes a classifier folder on this machine."""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from nlp_rnn.errors import ClassifierError

__all__ = ["is_uri", "local_folder"]

_URI = re.compile("(runs|models|mlflow-artifacts):/")


def is_uri(location: str | os.PathLike[str]) -> bool:
    """Whether `location` is something that MLflow has to fetch."""
    return bool(_URI.match(os.fspath(location)))


@contextmanager
def local_folder(location: str | os.PathLike[str]) -> Iterator[Path]:
    """The classifier folder at `location`; one that had to be fetched is gone afterwards.

    Args:
        location: a classifier folder, a folder that MLflow made around one, or a URI that
            MLflow can fetch: `runs:/RUN/classifier`, `models:/NAME/3`, `models:/NAME@ALIAS`,
            `mlflow-artifacts:/…`.

    Raises:
        ClassifierError: MLflow finds nothing there.
    """
    place = os.fspath(location)
    if not is_uri(place):
        yield _inside_model(Path(place).expanduser())
        return
    with tempfile.TemporaryDirectory(prefix="nlp_rnn_") as temporary:
        yield _inside_model(_fetch(place, temporary))


def _inside_model(folder: Path) -> Path:
    """The classifier among the artifacts of an MLflow model; any other folder as it is."""
    if (folder / "MLmodel").is_file():
        for config in sorted(folder.glob("artifacts/*/config.json")):
            return config.parent
    return folder


def _fetch(uri: str, destination: str) -> Path:
    """Let MLflow download `uri`, without a word from it."""
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    import mlflow
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    store = mlflow.get_registry_uri() if uri.startswith("models:") else mlflow.get_tracking_uri()
    file = Path(unquote(store.removeprefix("sqlite:///").partition("?")[0])).absolute()
    local = store.startswith("sqlite:///")
    # MLflow would make an empty store there, and then not find the classifier in it.
    if local and not file.exists():
        raise ClassifierError(
            f"{uri} is in an MLflow store, and there is none at {file}.\n"
            "Say where: MLFLOW_TRACKING_URI=sqlite:////path/to/mlflow.db"
        )
    try:
        return Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=destination))
    except (MlflowException, SQLAlchemyError, OSError) as error:
        place = file if local else urlsplit(store).hostname  # without a password
        reason = " ".join(str(error).replace(store, str(place)).split())[:200]
        raise ClassifierError(
            f"MLflow at {place} has no classifier {uri}: {reason}\n"
            "Type runs:/RUN_ID/classifier with a run's id, or the path of a classifier folder."
        ) from error
