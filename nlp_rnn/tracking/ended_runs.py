"""What a run folder kept while MLflow was away becomes part of its run after all."""

import shlex
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from nlp_rnn.errors import TrackingError
from nlp_rnn.tracking.delivery import Delivery
from nlp_rnn.tracking.environment import quiet_mlflow, sending
from nlp_rnn.tracking.outbox import UNSENT, Journal, Outbox
from nlp_rnn.tracking.store import prepare_store, tracking_errors
from nlp_rnn.tracking.uri import resolve_uri, visible_uri

__all__ = ["attach_files", "send_left_over", "unsent_folders"]


def unsent_folders(places: Iterable[Path]) -> Iterator[Path]:
    """Run folders, among and below `places`, that keep something for MLflow."""
    for place in places:
        for found in sorted({place / UNSENT, *place.rglob(UNSENT)}):
            if (found / "journal.jsonl").is_file():
                yield found.parent


def send_left_over(folder: Path, *, closing: bool = False) -> int:
    """Send what a run folder keeps, and forget it; return how many entries that were.

    Whatever had arrived already is not doubled. With `closing`, a run whose process died before
    it could say how it ended is KILLED.

    Raises:
        TrackingError: MLflow is away or refuses a part, which is still kept; or the run is still
            going on, and sends by itself.
    """
    of, entries = Journal.read(folder)
    if not of:
        return 0
    quiet_mlflow()
    uri, run_id = of["uri"], of["run_id"]
    prepare_store(uri)
    with sending():
        journal = Journal(folder, of, entries)
        outbox = Outbox(Delivery(uri, of["experiment_id"], run_id, folder), journal, entries)
        left = outbox.close()
        if left:
            kept = shlex.quote(str(folder / UNSENT))
            raise TrackingError(
                f"MLflow at {visible_uri(uri)} did not take {len(left)} of {len(entries)} entries "
                f"of {folder} ({outbox.reason}).\nThey are kept; to give them up, type rm -r {kept}"
            )
        if closing and not any("status" in entry for entry in entries):
            _close_dead(uri, run_id)
    return len(entries)


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


def _close_dead(uri: str, run_id: str) -> None:
    from mlflow import MlflowClient

    with tracking_errors(uri):
        client = MlflowClient(tracking_uri=uri)
        if client.get_run(run_id).info.status == "RUNNING":
            client.set_tag(run_id, "error", "its process died")
            client.set_terminated(run_id, "KILLED")
