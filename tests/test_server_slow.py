"""Real MLflow servers that go away, and many processes at once: nothing is lost or doubled."""

import json
import multiprocessing
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nlp_rnn.tracking.run_lifecycle import tracked_run
from nlp_rnn.tracking.store import obtain_experiment, prepare_store
from tests.servers import MlflowServer, postgresql
from tests.tiny_classifier import save_tiny

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SMALL = [
    "data.train_rows=400",
    "data.test_rows=60",
    "data.train_sentences=2",
    "model.hidden_size=8",
    "model.embedding_size=8",
    "trainer.threads=1",
    "trainer.max_epochs=30",
    "trainer.patience=30",
    "tracking.speed=none",
]


def points(uri: str, run_id: str) -> dict[str, list[tuple[int, float]]]:
    """Every point of every metric, sorted by step."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    names = client.get_run(run_id).data.metrics
    return {
        name: sorted((p.step, p.value) for p in client.get_metric_history(run_id, name))
        for name in names
    }


@pytest.fixture
def server(store_uri: str, tmp_path: Path) -> Iterator[MlflowServer]:
    server = MlflowServer(store_uri, tmp_path)
    server.start()
    try:
        yield server
    finally:
        server.close()


def test_a_server_may_go_and_come_back(
    server: MlflowServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    monkeypatch.setattr("nlp_rnn.tracking.outbox.SECONDS_BETWEEN_SENDS", 0.5)
    classifier = save_tiny(tmp_path / "run" / "classifier")
    prepare_store(server.uri)
    experiment = obtain_experiment(server.uri, "tests")
    slowest = 0.0
    with tracked_run(
        server.uri, experiment, name="r", parameters={"seed": 1}, tags={},
        folder=tmp_path / "run", system_metrics=False,
    ) as run:  # fmt: skip
        for step in range(600):
            if step in (150, 350):
                server.stop()
            if step in (250, 450):
                server.start()
            before = time.monotonic()
            run.log_metrics({"train/loss": step / 7, "validation/loss": step / 3}, step=step)
            run.set_tags({f"tag {step // 10}": str(step)})
            if step % 100 == 0:
                run.log_text(f"{step}\n", f"{step}.txt")
            slowest = max(slowest, time.monotonic() - before)
            time.sleep(0.01)
        server.stop()
        run.log_file(classifier / "config.json", "folder")
        run.log_classifier(classifier, ["w2 w3"])
        run.log_final({"test/accuracy": 0.75})
        server.start()
    assert slowest < 0.2
    assert not (tmp_path / "run" / "unsent").exists()
    assert points(server.uri, run.run_id) == {
        "train/loss": [(step, step / 7) for step in range(600)],
        "validation/loss": [(step, step / 3) for step in range(600)],
        "test/accuracy": [(0, 0.75)],
    }
    client = MlflowClient(tracking_uri=server.uri)
    ended = client.get_run(run.run_id)
    assert ended.info.status == "FINISHED"
    assert {f"tag {n}": str(10 * n + 9) for n in range(60)}.items() <= ended.data.tags.items()
    files = {file.path for file in client.list_artifacts(run.run_id)}
    assert files >= {f"{step}.txt" for step in range(0, 600, 100)} | {"folder"}
    (model,) = client.search_logged_models([experiment])
    assert (model.name, str(model.status), model.source_run_id) == (
        "classifier",
        "READY",
        run.run_id,
    )


def test_a_training_outlives_its_server(server: MlflowServer, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    program = [sys.executable, "-m", "nlp_rnn"]
    command = [*program, "train", *SMALL, f"tracking.uri={server.uri}", "hydra.run.dir=one"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as job:
        assert job.stdout is not None
        for line in job.stdout:
            if line.startswith("run folder"):
                break
        server.stop()
        _, err = job.communicate(timeout=240)
    assert job.returncode == 0, err
    assert "MLflow is unavailable" in err
    assert f"nlp-rnn sync {tmp_path / 'one'}" in err
    result = json.loads((tmp_path / "one" / "result.json").read_text())

    sync = [*program, "sync", "one"]
    refused = subprocess.run(sync, cwd=tmp_path, capture_output=True, text=True)
    assert refused.returncode == 1
    assert "No MLflow server responds" in refused.stderr
    assert len(refused.stderr.splitlines()) == 2
    server.start()
    first = subprocess.run(sync, cwd=tmp_path, capture_output=True, text=True)
    assert first.stdout.startswith("one: sent "), first.stderr
    history = points(server.uri, result["run_id"])
    client = MlflowClient(tracking_uri=server.uri)
    run = client.get_run(result["run_id"])
    assert run.info.status == "FINISHED"
    epochs = int(result["metrics"]["train/epochs"])
    assert [step for step, _ in history["train/loss"]] == list(range(1, epochs + 1))
    assert [step for step, _ in history["validation/loss"]] == list(range(1, epochs + 2))
    for name, value in result["metrics"].items():
        assert history[name][-1][1] == pytest.approx(value), name
    assert len(client.search_logged_models([result["experiment_id"]])) == 1

    second = subprocess.run(sync, cwd=tmp_path, capture_output=True, text=True)
    assert second.stdout == "There is nothing to send below one.\n"
    assert points(server.uri, result["run_id"]) == history


STEPS = 400
PROCESSES = 8


def _write(uri: str, folder: str, number: int, start: Any) -> None:
    start.wait()
    prepare_store(uri)
    experiment = obtain_experiment(uri, "together")
    with tracked_run(
        uri, experiment, name=str(number), parameters={"number": number}, tags={},
        folder=Path(folder) / str(number), system_metrics=False,
    ) as run:  # fmt: skip
        for step in range(STEPS):
            run.log_metrics({"a": number + step / STEPS, "b/c": float(step)}, step=step)
            if step % 20 == 0:
                run.set_tags({f"t{step}": str(step)})
                run.flush()
        run.log_text(str(number), "number.txt")
        run.log_final({"test/accuracy": number / 10})


def write_together(uri: str, folder: Path) -> None:
    """Let eight processes log one run each at the same time, and check every value."""
    from mlflow import MlflowClient

    spawn = multiprocessing.get_context("spawn")
    start = spawn.Barrier(PROCESSES)
    processes = [
        spawn.Process(target=_write, args=(uri, str(folder), number, start))
        for number in range(PROCESSES)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=400)
    assert [process.exitcode for process in processes] == [0] * PROCESSES
    client = MlflowClient(tracking_uri=uri)
    runs = client.search_runs([obtain_experiment(uri, "together")])
    assert Counter(run.info.run_name for run in runs) == Counter(map(str, range(PROCESSES)))
    for run in runs:
        number = int(run.info.run_name)
        assert run.info.status == "FINISHED"
        assert run.data.params == {"number": str(number)}
        assert {f"t{s}": str(s) for s in range(0, STEPS, 20)}.items() <= run.data.tags.items()
        assert points(uri, run.info.run_id) == {
            "a": [(step, number + step / STEPS) for step in range(STEPS)],
            "b/c": [(step, float(step)) for step in range(STEPS)],
            "test/accuracy": [(0, number / 10)],
        }
        assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["number.txt"]
    assert list(folder.glob("*/unsent")) == []


def test_eight_processes_write_to_one_sqlite_file(store_uri: str, tmp_path: Path) -> None:
    write_together(store_uri, tmp_path / "runs")


def test_eight_processes_write_to_one_server(server: MlflowServer, tmp_path: Path) -> None:
    write_together(server.uri, tmp_path / "runs")


def test_eight_processes_write_to_postgresql_behind_a_server(tmp_path: Path) -> None:
    with postgresql() as store:
        server = MlflowServer(store, tmp_path)
        server.start()
        try:
            write_together(server.uri, tmp_path / "runs")
            server.stop()
            server.start()  # what is in the database survives
            assert len(points(server.uri, _any_run(server.uri))["a"]) == STEPS
        finally:
            server.close()


def test_eight_processes_write_to_postgresql(tmp_path: Path) -> None:
    with postgresql() as store:
        prepare_store(store)
        obtain_experiment(store, "together")
        write_together(store, tmp_path / "runs")


def test_a_sweep_on_a_server_with_postgresql(tmp_path: Path) -> None:
    from mlflow import MlflowClient

    with postgresql() as store:
        server = MlflowServer(store, tmp_path)
        server.start()
        try:
            small = [word for word in SMALL if "epochs" not in word and "patience" not in word]
            command = ["train", "-m", "model=lstm,gru", "seed=1", *small, "trainer.max_epochs=2"]
            done = subprocess.run(
                [sys.executable, "-m", "nlp_rnn", *command, f"tracking.uri={server.uri}"],
                cwd=tmp_path,
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, done.stderr
            client = MlflowClient(tracking_uri=server.uri)
            runs = client.search_runs([obtain_experiment(server.uri, "nlp_rnn")])
            assert {run.info.status for run in runs} == {"FINISHED"}
            (parent,) = [run for run in runs if run.data.tags["kind"] == "sweep"]
            assert parent.data.tags["progress"] == "2/0/2"
            children = [run for run in runs if run.data.tags["kind"] == "train"]
            assert {run.data.tags["cell"] for run in children} == {"lstm", "gru"}
            for run in children:
                assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
                assert run.data.metrics["test/accuracy"] > 0
                files = [file.path for file in client.list_artifacts(run.info.run_id)]
                assert "confusion_matrix.png" in files
                assert len(run.outputs.model_outputs) == 1
        finally:
            server.close()


def _any_run(uri: str) -> str:
    from mlflow import MlflowClient

    runs = MlflowClient(tracking_uri=uri).search_runs([obtain_experiment(uri, "together")])
    return str(runs[0].info.run_id)
