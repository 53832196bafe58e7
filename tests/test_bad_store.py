"""`nlp-rnn train` where MLflow's store or the folder is not as it should be: a line or two."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from nlp_rnn.cli import main
from nlp_rnn.errors import TrackingError
from nlp_rnn.tracking.journal import Journal
from nlp_rnn.tracking.store import obtain_experiment

SMALL = [
    "data.train_rows=200",
    "data.test_rows=60",
    "data.train_sentences=2",
    "model=average",
    "model.embedding_size=8",
    "trainer.max_epochs=1",
    "trainer.threads=1",
    "tracking.system_metrics=false",
    "tracking.speed=none",
]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store_uri: str) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NLP_RNN_CACHE", str(tmp_path / "cache"))
    return tmp_path


def error_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return the error message of a training that cannot start and leaves no files."""
    capsys.readouterr()
    assert main(["train", *SMALL, *arguments]) in (1, 2)
    message = capsys.readouterr().err
    assert len(message.splitlines()) <= 2, message
    assert "not expected" not in message
    assert not Path("outputs").exists()
    assert not Path("multirun").exists()
    return message


@pytest.mark.parametrize("many", [[], ["-m", "seed=1,2"]], ids=["one", "sweep"])
def test_a_store_that_takes_no_runs(
    here: Path, store_uri: str, capsys: pytest.CaptureFixture[str], many: list[str]
) -> None:
    from mlflow import MlflowClient

    gone = obtain_experiment(store_uri, "gone")
    MlflowClient(tracking_uri=store_uri).delete_experiment(gone)
    assert "'gone' was deleted" in error_of(capsys, *many, "tracking.experiment=gone")
    assert "No MLflow server responds" in error_of(capsys, *many, "tracking.uri=http://127.0.0.1:9")
    with closing(sqlite3.connect(here / "mlflow.db")) as database:
        database.execute("update alembic_version set version_num = '1b5f0d9ad7c1'")
        database.commit()
    assert "mlflow db upgrade sqlite:///" in error_of(capsys, *many)


def test_a_folder_that_cannot_be_written(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *SMALL, "--cfg", "job"]) == 0  # imports what only root may read
    locked = here / "locked"
    locked.mkdir()
    os.chdir(locked)
    for folder in (here, *here.parents[:3]):
        folder.chmod(0o755)
    locked.chmod(0o555)
    user = os.geteuid()
    try:
        if user == 0:  # who may write anywhere, so the test is somebody else for a moment
            os.seteuid(65534)
        message = error_of(capsys)
        with pytest.raises(TrackingError, match=r"cannot be written \(Permission denied\)"):
            Journal(locked / "run", {})
    finally:
        os.seteuid(user)
    assert "outputs: Permission denied" in message
    assert "output_dir=FOLDER" in message
    assert list(locked.iterdir()) == []


def test_a_store_in_a_folder_with_spaces_and_a_run_id_left_behind(
    here: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from mlflow import MlflowClient

    folder = here / "a folder's name, é"
    folder.mkdir()
    (here / "mlflow.db").rename(folder / "my runs.db")
    uri = f"sqlite:///{folder}/my runs.db"
    client = MlflowClient(tracking_uri=uri)
    old = client.create_run(obtain_experiment(uri, "nlp_rnn")).info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", old)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert main(["train", *SMALL, "hydra.run.dir='a run'"]) == 0
    assert f"MLFLOW_RUN_ID={old} was set" in caplog.text
    runs = client.search_runs([obtain_experiment(uri, "nlp_rnn")])
    assert sorted(run.info.status for run in runs) == ["FINISHED", "RUNNING"]
    assert client.get_run(old).data.metrics == {}
    (trained,) = [run.info.run_id for run in runs if run.info.run_id != old]
    assert {file.path for file in client.list_artifacts(trained)} >= {"config.yaml", "result.json"}
    assert (folder / "mlartifacts" / "nlp_rnn" / trained / "artifacts" / "config.yaml").is_file()
