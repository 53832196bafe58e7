"""Classifier at a path, or of a run, a sweep or a model in MLflow, downloaded if necessary."""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from nlp_rnn.classifier.manifest import CONFIG
from nlp_rnn.errors import ClassifierError
from nlp_rnn.extras import missing_package

__all__ = [
    "BEST_TAG",
    "CLASSIFIER",
    "RECOMMENDED_TAG",
    "find_classifier",
    "full_run_id",
    "is_run_id",
    "is_uri",
    "local_folder",
]

CLASSIFIER = "classifier"
"""Name of the classifier in a run folder, and among the models of a run."""

RECOMMENDED_TAG = "recommended_run"
"""Tag of a sweep: the ids of the runs whose classifiers it recommends, one for each data set."""

BEST_TAG = "best_run"
"""Tag of a sweep: the run with the best validation score."""

_URI = re.compile("(runs|models|mlflow-artifacts):/")
_RUN_ID = re.compile("(?:runs:/)?([0-9a-f]{8}|[0-9a-f]{32})/?")


def is_uri(location: str | os.PathLike[str]) -> bool:
    """Whether `location` is a URI that MLflow has to download."""
    return bool(_URI.match(os.fspath(location)))


def is_run_id(location: str | os.PathLike[str]) -> bool:
    """Whether `location` is the id of a run, its first eight characters, or `runs:/ID`."""
    path = os.fspath(location)
    return bool(_RUN_ID.fullmatch(path)) and not os.path.exists(path)


def find_classifier(location: str | os.PathLike[str]) -> str:
    """Return the classifier folder, or the URI that MLflow can download, of a location.

    Parameters
    ----------
    location : str or path
        Classifier folder; run folder, or folder of a sweep; folder of an MLflow model; id of a run
        or a sweep, its first eight characters, or `runs:/ID`; or a URI such as
        `runs:/RUN_ID/classifier`, `models:/NAME/3`, `models:/NAME@ALIAS` or `mlflow-artifacts:/…`.
        A sweep stands for the classifier that it recommends.

    Raises
    ------
    ClassifierError
        MLflow has no run with the id, or the sweep recommends no classifier or several.
    """
    path = os.fspath(location)
    if is_run_id(path):
        return f"runs:/{_recommended(full_run_id(path))}/{CLASSIFIER}"
    if is_uri(path):
        return path
    folder = Path(path).expanduser()
    if path and not (folder / CONFIG).exists() and (folder / CLASSIFIER / CONFIG).is_file():
        folder = folder / CLASSIFIER
    return str(_inside_model(folder))


@contextmanager
def local_folder(location: str | os.PathLike[str]) -> Iterator[Path]:
    """Provide the classifier folder at a location; a downloaded one is deleted at the end.

    The location is one of those of `find_classifier`.

    Raises
    ------
    ClassifierError
        As in `find_classifier`; or MLflow does not find the URI.
    """
    path = find_classifier(location)
    if not is_uri(path):
        yield Path(path)
        return
    with tempfile.TemporaryDirectory(prefix="nlp_rnn_") as temporary:
        yield _inside_model(_download(path, temporary))


def full_run_id(location: str) -> str:
    """Return the id of the run for an id, its first eight characters, or `runs:/ID`.

    Raises
    ------
    ClassifierError
        MLflow has no such run.
    """
    run_id = location.removeprefix("runs:/").strip("/")
    if len(run_id) > 8:
        return run_id
    with _store(run_id) as (mlflow, store):
        client = mlflow.MlflowClient()
        experiments = [known.experiment_id for known in client.search_experiments()]
        runs = client.search_runs(experiments, f"attributes.run_id LIKE '{run_id}%'")
    if len(runs) != 1:
        problem = f"{len(runs)} runs whose ids begin with" if runs else "no run"
        advice = "the whole id of one of them" if runs else "the id of a run in this store"
        raise ClassifierError(
            f"MLflow at {store} has {problem} {run_id}.\n"
            f"Pass {advice}, or the path of a classifier folder or a run folder."
        )
    return str(runs[0].info.run_id)


def _recommended(run_id: str) -> str:
    """Return the id of the run whose classifier a run stands for: its own, unless it is a sweep."""
    with _store(run_id) as (mlflow, _):
        run = mlflow.MlflowClient().get_run(run_id)
    tags = run.data.tags
    if tags.get("kind") != "sweep":
        return run_id
    recommended = tags.get(RECOMMENDED_TAG, tags.get(BEST_TAG, "")).split()
    if len(recommended) == 1:
        return str(recommended[0])
    sweep = tags.get("sweep", run_id)
    if not recommended:
        raise ClassifierError(
            f"The sweep {sweep} recommends no classifier: it is {run.info.status}.\n"
            "Pass the id of one of its runs."
        )
    raise ClassifierError(
        f"The sweep {sweep} has several data sets, and recommends a classifier for each: "
        f"{', '.join(one[:8] for one in recommended)}.\nPass one of these ids."
    )


def _inside_model(folder: Path) -> Path:
    """Return the classifier folder inside the folder of an MLflow model, or `folder` itself."""
    if (folder / "MLmodel").is_file():
        for config in sorted(folder.glob("artifacts/*/config.json")):
            return config.parent
    return folder


def _download(uri: str, destination: str) -> Path:
    """Download `uri` with MLflow, without its console output."""
    with _store(uri) as (mlflow, _):
        return Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=destination))


@contextmanager
def _store(location: str) -> Iterator[tuple[Any, str]]:
    """Provide the module mlflow and the name of its store; convert errors of the block."""
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    try:
        import mlflow
    except ImportError as error:
        raise (missing_package(error, "A classifier in MLflow") or error) from error
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    in_registry = location.startswith("models:")
    store = mlflow.get_registry_uri() if in_registry else mlflow.get_tracking_uri()
    file = Path(unquote(store.removeprefix("sqlite:///").partition("?")[0])).absolute()
    local = store.startswith("sqlite:///")
    # MLflow would create an empty store there, and then not find the classifier in it.
    if local and not file.exists():
        raise ClassifierError(
            f"{location} cannot be looked up: there is no MLflow store at {file}.\n"
            "Set the store: MLFLOW_TRACKING_URI=sqlite:////path/to/mlflow.db"
        )
    name = str(file if local else urlsplit(store).hostname)  # without a password
    try:
        yield mlflow, name
    except (MlflowException, SQLAlchemyError, OSError) as error:
        reason = " ".join(str(error).replace(store, name).split())[:200]
        raise ClassifierError(
            f"MLflow at {name} has no classifier {location}: {reason}\n"
            "Pass the id of a run, or the path of a classifier folder or a run folder."
        ) from error
