"""MLflow stores and experiments: created, checked, and errors that say what to do."""

import http.server
import os
import shutil
import sqlite3
import threading
import time
from contextlib import closing
from multiprocessing.synchronize import Barrier
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import requests

from nlp_rnn.errors import TrackingError
from nlp_rnn.tracking.environment import http_limits, quiet_mlflow
from nlp_rnn.tracking.run_lifecycle import tracked_run
from nlp_rnn.tracking.store import (
    experiment_name,
    obtain_experiment,
    prepare_store,
    tracking_errors,
    ui_command,
    ui_link,
)
from nlp_rnn.tracking.uri import resolve_uri
from tests import warm

METRICS_EACH = 120


def _write_a_run(uri: str, number: int, start: Barrier) -> None:
    start.wait()
    prepare_store(uri)
    experiment_id = obtain_experiment(uri, "together")
    with tracked_run(
        uri, experiment_id, name=str(number), parameters={}, tags={}, system_metrics=False
    ) as run:
        for step in range(METRICS_EACH):
            run.log_metrics({"train/loss": number + step / METRICS_EACH}, step=step)
            if step % 40 == 0:
                run.flush()


@pytest.mark.slow
def test_four_processes_make_the_same_store_at_once(tmp_path: Path) -> None:
    from mlflow import MlflowClient

    folder = tmp_path / "a folder"
    folder.mkdir()
    uri = resolve_uri(None, folder)
    (folder / "mlflow.db").touch()  # sqlite itself leaves an empty file when it is interrupted
    (folder / ".mlflow.db.unfinished").write_bytes(b"of a process that was killed")
    fresh = warm.processes()
    start = fresh.Barrier(4)
    processes = [fresh.Process(target=_write_a_run, args=(uri, n, start)) for n in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=120)
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]

    client = MlflowClient(tracking_uri=uri)
    assert {experiment.name for experiment in client.search_experiments()} == {
        "Default",
        "together",
    }
    runs = client.search_runs([obtain_experiment(uri, "together")])
    assert sorted(run.info.run_name for run in runs) == ["0", "1", "2", "3"]
    for run in runs:
        number = int(run.info.run_name)
        history = client.get_metric_history(run.info.run_id, "train/loss")
        assert [point.value for point in sorted(history, key=lambda point: point.step)] == [
            number + step / METRICS_EACH for step in range(METRICS_EACH)
        ]
    assert [file.name for file in folder.iterdir()] == ["mlflow.db"]


def test_a_store_that_is_there_stays_as_it_is(store_uri: str, tmp_path: Path) -> None:
    before = (tmp_path / "mlflow.db").read_bytes()
    prepare_store(store_uri)
    assert (tmp_path / "mlflow.db").read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["mlflow.db"]


def test_a_store_in_a_folder_that_is_missing_is_made(
    tmp_path: Path, prepared_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "nlp_rnn.tracking.sqlite_store._create_sqlite",
        lambda path: shutil.copy(prepared_store, path),
    )
    prepare_store(f"sqlite:///{tmp_path}/new/folder/mlflow.db")
    assert (tmp_path / "new" / "folder" / "mlflow.db").exists()


def test_a_read_only_folder_raises_an_error(tmp_path: Path, prepared_store: Path) -> None:
    import mlflow  # noqa: F401  (its files may lie where only root can read)

    new, old = tmp_path / "new", tmp_path / "old"
    for folder in (new, old):
        folder.mkdir()
    shutil.copy(prepared_store, old / "mlflow.db")
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(0o755)
    new.chmod(0o555)
    old.chmod(0o555)
    user = os.geteuid()
    try:
        if user == 0:  # who may write anywhere, so the test is somebody else for a moment
            os.seteuid(65534)
        for folder in (new, old):
            with pytest.raises(TrackingError, match=r"cannot be written \(Permission denied\)"):
                prepare_store(f"sqlite:///{folder}/mlflow.db")
    finally:
        os.seteuid(user)
    assert list(new.iterdir()) == []


def test_a_store_of_an_older_mlflow_raises_an_error_and_is_not_changed(store_uri: str) -> None:
    path = Path(store_uri.removeprefix("sqlite:///"))
    with closing(sqlite3.connect(path)) as database:
        database.execute("update alembic_version set version_num = '1b5f0d9ad7c1'")
        database.execute("drop table webhooks")  # MLflow migrates a store that lacks a table
        database.commit()
    before = path.read_bytes()
    with pytest.raises(TrackingError, match="another version of MLflow") as caught:
        prepare_store(store_uri)
    assert f"mlflow db upgrade {store_uri}" in str(caught.value)
    assert path.read_bytes() == before


def test_a_store_of_a_newer_mlflow_raises_an_error(store_uri: str) -> None:
    path = Path(store_uri.removeprefix("sqlite:///"))
    with closing(sqlite3.connect(path)) as database:
        database.execute("update alembic_version set version_num = 'ffffffffffff'")
        database.commit()
    with pytest.raises(TrackingError, match="another version of MLflow"):
        prepare_store(store_uri)


def test_files_that_are_no_store_raise_an_error_and_are_not_changed(tmp_path: Path) -> None:
    text = tmp_path / "text.db"
    text.write_text("this is no database " * 100)
    with pytest.raises(TrackingError, match="is not a database"):
        prepare_store(f"sqlite:///{text}")
    assert text.read_text().startswith("this is no database")

    other = tmp_path / "other.db"
    with closing(sqlite3.connect(other)) as database:
        database.execute("create table birds (name text)")
        database.commit()
    with pytest.raises(TrackingError, match="not an MLflow store"):
        prepare_store(f"sqlite:///{other}")

    with pytest.raises(TrackingError, match="is a folder"):
        prepare_store(f"sqlite:///{tmp_path}")
    with pytest.raises(TrackingError, match="cannot be written"):
        prepare_store(f"sqlite:///{text}/mlflow.db")


def test_an_unreachable_server_is_detected_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    before = dict(os.environ)
    start = time.monotonic()
    # Nobody listens on port 9, the port of the discard service.
    with pytest.raises(TrackingError, match=r"server responds at http://127\.0\.0\.1:9 "):
        prepare_store("http://127.0.0.1:9")
    assert time.monotonic() - start < 10
    changed = {name for name in before if os.environ.get(name) != before[name]}
    assert changed == set()
    assert "MLFLOW_HTTP_REQUEST_MAX_RETRIES" not in os.environ


def test_a_server_that_starts_late_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    responses = iter([False, False, True])

    def reach(uri: str) -> None:
        if not next(responses):
            raise TrackingError("away")

    monkeypatch.setattr("nlp_rnn.tracking.store._reach_server", reach)
    monkeypatch.setattr("nlp_rnn.tracking.store.SECONDS_BETWEEN_TRIES", 0.01)
    with pytest.raises(TrackingError, match="away"):
        prepare_store("http://127.0.0.1:9")
    prepare_store("http://127.0.0.1:9", patience=60)
    assert list(responses) == []


def test_an_unreachable_database_raises_an_error_without_its_password() -> None:
    with pytest.raises(TrackingError, match="cannot be reached") as caught:
        prepare_store("postgresql+psycopg2://me:secret@127.0.0.1:9/runs")
    assert "me:***@127.0.0.1:9" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_an_experiment_is_obtained_and_its_artifacts_lie_beside_the_store(
    store_uri: str, tmp_path: Path
) -> None:
    from mlflow import MlflowClient

    first = obtain_experiment(store_uri, "plain")
    assert obtain_experiment(store_uri, "plain") == first
    others = [obtain_experiment(store_uri, name) for name in ("a/b", "a_b", "a b", "…")]
    client = MlflowClient(tracking_uri=store_uri)
    folders = [
        Path(unquote(urlsplit(client.get_experiment(id_).artifact_location).path))
        for id_ in [first, *others]
    ]
    assert folders[0] == tmp_path / "mlartifacts" / "plain"
    assert len(set(folders)) == 5
    assert {folder.parent for folder in folders} == {tmp_path / "mlartifacts"}


def test_the_name_of_the_experiment(monkeypatch: pytest.MonkeyPatch, store_uri: str) -> None:
    assert experiment_name(None, store_uri) == "nlp_rnn"
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "team")
    assert experiment_name(None, store_uri) == "team"
    assert experiment_name("mine", store_uri) == "mine"


def test_the_id_of_the_experiment(monkeypatch: pytest.MonkeyPatch, store_uri: str) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", obtain_experiment(store_uri, "team"))
    assert experiment_name(None, store_uri) == "team"
    assert experiment_name("team", store_uri) == "team"
    with pytest.raises(TrackingError, match="'team', but tracking.experiment is 'mine'"):
        experiment_name("mine", store_uri)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "other")
    with pytest.raises(TrackingError, match="but MLFLOW_EXPERIMENT_NAME is 'other'"):
        experiment_name(None, store_uri)
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME")
    for unknown in ("4711", "team"):
        monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", unknown)
        with pytest.raises(TrackingError, match=f"is {unknown}, and .* no such"):
            experiment_name(None, store_uri)


def test_an_experiment_without_a_name_raises_an_error(store_uri: str) -> None:
    with pytest.raises(TrackingError, match="Invalid experiment name"):
        obtain_experiment(store_uri, "")


def test_a_deleted_experiment_raises_an_error_that_says_how_to_restore_it(store_uri: str) -> None:
    from mlflow import MlflowClient

    experiment_id = obtain_experiment(store_uri, "gone")
    MlflowClient(tracking_uri=store_uri).delete_experiment(experiment_id)
    with pytest.raises(TrackingError, match="'gone' was deleted") as caught:
        obtain_experiment(store_uri, "gone")
    assert f"mlflow experiments restore -x {experiment_id}" in str(caught.value)
    assert "tracking.experiment=NAME" in str(caught.value)


def test_how_to_open_the_ui() -> None:
    assert ui_command("sqlite:////a b/mlflow.db").endswith(
        "mlflow ui --backend-store-uri 'sqlite:////a b/mlflow.db'"
    )
    assert ui_command("http://server:5000") == "python3 -m webbrowser http://server:5000"
    assert (
        ui_link("http://server:5000", "7")
        == "http://server:5000/#/experiments/7/runs?workflowType=machine_learning"
    )
    assert (
        ui_link("sqlite:////a/mlflow.db", "7", "abc")
        == "http://127.0.0.1:5000/#/experiments/7/runs/abc?workflowType=machine_learning"
    )


def test_mlflow_is_quiet_unless_the_user_wants_to_hear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_LOGGING_LEVEL", "DEBUG")
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY", raising=False)
    quiet_mlflow()
    assert os.environ["MLFLOW_LOGGING_LEVEL"] == "DEBUG"
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"


@pytest.mark.parametrize(
    "reason",
    [
        "500 Server Error: INTERNAL SERVER ERROR for url: http://h/api/2.0/mlflow-artifacts/a",
        "API request to endpoint /api/2.0 failed with error code 500 != 200. Response body: ''",
        "API request to http://h/a failed with exception HTTPConnectionPool(host='h', port=80): "
        "Max retries exceeded with url (Caused by ResponseError('too many 500 error responses'))",
    ],
)
def test_an_internal_error_of_the_server_names_its_log(reason: str) -> None:
    from mlflow.exceptions import MlflowException

    with pytest.raises(TrackingError) as caught, tracking_errors("http://host:5000"):
        raise MlflowException(reason)
    assert "at http://host:5000: its log has the reason" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


class _WithoutFiles(http.server.BaseHTTPRequestHandler):
    """MLflow server that responds, and closes the connection when a file arrives."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"experiments": []}')

    do_POST = do_GET  # noqa: N815

    def do_PUT(self) -> None:
        self.close_connection = True

    def log_message(self, format: str, *arguments: object) -> None: ...


def test_a_server_that_breaks_off_uploads_is_not_called_unavailable() -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _WithoutFiles) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        uri = f"http://127.0.0.1:{server.server_port}"
        with pytest.raises(TrackingError) as caught, tracking_errors(uri, uploads=True):
            requests.put(f"{uri}/api/2.0/mlflow-artifacts/artifacts/a", b"content")
        with pytest.raises(TrackingError) as other, tracking_errors(uri):
            requests.put(f"{uri}/api/2.0/mlflow-artifacts/artifacts/a", b"content")
        server.shutdown()
    assert str(caught.value).startswith(
        f"The MLflow server does not accept files at {uri}: its log"
    )
    assert "Connection aborted" in str(other.value)
    with pytest.raises(TrackingError) as gone, tracking_errors(uri, uploads=True):
        raise requests.ConnectionError("('Connection aborted.', RemoteDisconnected())")
    assert "its log" not in str(gone.value)


def test_limits_of_overlapping_threads_end_with_the_last_block(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    first, second = http_limits(1, 5), http_limits(2, 6)
    first.__enter__()
    second.__enter__()
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "6"
    first.__exit__(None, None, None)
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "6"
    second.__exit__(None, None, None)
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77"
    assert "MLFLOW_HTTP_REQUEST_MAX_RETRIES" not in os.environ
