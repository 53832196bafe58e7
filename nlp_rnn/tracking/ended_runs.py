"""Log to runs that have ended: pending entries of run folders, and files that were made later."""

import shlex
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from nlp_rnn.errors import TrackingError
from nlp_rnn.tracking.delivery import Delivery
from nlp_rnn.tracking.environment import outbox_http_limits, quiet_mlflow
from nlp_rnn.tracking.journal import PENDING_FOLDER, Journal
from nlp_rnn.tracking.outbox import Outbox
from nlp_rnn.tracking.store import prepare_store, tracking_errors
from nlp_rnn.tracking.uri import resolve_uri, store_exists, visible_uri

__all__ = ["attach_files", "close_run", "pending_run_folders", "send_pending"]


def pending_run_folders(folders: Iterable[Path]) -> Iterator[Path]:
    """Yield the run folders, in and below `folders`, that have pending entries for MLflow."""
    for folder in folders:
        for pending in sorted({folder / PENDING_FOLDER, *folder.rglob(PENDING_FOLDER)}):
            if (pending / "journal.jsonl").is_file():
                yield pending.parent


def send_pending(folder: Path, *, closing: bool = False) -> int:
    """Send the pending entries of a run folder to MLflow and remove them.

    Entries that MLflow has already are not duplicated.

    Parameters
    ----------
    folder : Path
        Run folder.
    closing : bool
        Set the status KILLED for a run whose process died before it could log how it ended.

    Returns
    -------
    int
        Number of entries that were sent.

    Raises
    ------
    TrackingError
        MLflow is unavailable or rejected an entry, which stays in the run folder.
    StillLoggedError
        The run is still running and sends its entries by itself.
    """
    run, entries = Journal.read(folder)
    if not run:
        return 0
    quiet_mlflow()
    uri, run_id = run["uri"], run["run_id"]
    prepare_store(uri)
    with outbox_http_limits():
        journal = Journal(folder, run, entries)
        outbox = Outbox(Delivery(uri, run["experiment_id"], run_id, folder), journal, entries)
        unsent = outbox.close()
        if unsent:
            remove = shlex.join(["rm", "-r", str(folder / PENDING_FOLDER)])
            raise TrackingError(
                f"MLflow at {visible_uri(uri)} did not store {len(unsent)} of {len(entries)} "
                f"pending entries of {folder} ({outbox.reason}).\n"
                f"They stay in the run folder. To discard them, run: {remove}"
            )
        if closing and not any("status" in entry for entry in entries):
            close_run(uri, run_id, "KILLED", "its process died")
    return len(entries)


def attach_files(run_id: str, paths: Sequence[Path], folder: str, directory: Path) -> None:
    """Copy files to the artifacts of a run that has ended.

    Parameters
    ----------
    run_id : str
        MLflow run to which the files are logged.
    paths : sequence of Path
        Files to copy.
    folder : str
        Folder in the run's artifacts.
    directory : Path
        Folder whose store is used if MLFLOW_TRACKING_URI is not set. No store is created.

    Raises
    ------
    TrackingError
        The store does not exist, does not respond, or does not contain the run.
    """
    uri = resolve_uri(None, directory)
    if not store_exists(uri):
        raise TrackingError(f"There is no MLflow store at {visible_uri(uri)}.")
    quiet_mlflow()
    from mlflow import MlflowClient

    with tracking_errors(uri):
        client = MlflowClient(tracking_uri=uri)
        client.get_run(run_id)
        for path in paths:
            client.log_artifact(run_id, str(path), folder)


def close_run(uri: str, run_id: str, status: str, reason: str) -> bool:
    """Set the status and the tag `error` of a run, unless it has a final status.

    Returns
    -------
    bool
        Whether the run was still RUNNING.

    Raises
    ------
    TrackingError
        MLflow does not respond.
    """
    from mlflow import MlflowClient

    with tracking_errors(uri):
        client = MlflowClient(tracking_uri=uri)
        running = bool(client.get_run(run_id).info.status == "RUNNING")
        if running:
            client.set_tag(run_id, "error", reason)
            client.set_terminated(run_id, status)
    return running
