"""Files that were made later become artifacts of a run that has ended."""

from collections.abc import Sequence
from pathlib import Path

from nlp_rnn.errors import TrackingError
from nlp_rnn.tracking.store import quiet_mlflow, resolve_uri, tracking_errors, visible_uri

__all__ = ["attach_files"]


def attach_files(run_id: str, paths: Sequence[Path], folder: str, directory: Path) -> None:
    """Copy `paths` into `folder` of the run's artifacts, in the store of `directory`.

    Never makes a store: one that is not there does not know the run.

    Raises:
        TrackingError: there is no store, it does not answer, or it does not have the run.
    """
    uri = resolve_uri(None, directory)
    file = uri.removeprefix("sqlite:///").partition("?")[0]
    if uri.startswith("sqlite:///") and not Path(file).is_file():
        raise TrackingError(f"There is no MLflow store at {visible_uri(uri)}.")
    quiet_mlflow()
    from mlflow import MlflowClient

    with tracking_errors(uri):
        client = MlflowClient(tracking_uri=uri)
        client.get_run(run_id)
        for path in paths:
            client.log_artifact(run_id, str(path), folder)
