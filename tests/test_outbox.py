"""While MLflow is unavailable, data is pending in the run folder; it is sent exactly once."""

import json
import logging
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from nlp_rnn.cli import main
from nlp_rnn.errors import TrackingError
from nlp_rnn.tracking.delivery import Delivery
from nlp_rnn.tracking.environment import http_limits
from nlp_rnn.tracking.journal import Entry, Journal
from nlp_rnn.tracking.outbox import Outbox, RejectedByMlflow
from nlp_rnn.tracking.run_lifecycle import tracked_run
from nlp_rnn.tracking.store import obtain_experiment
from nlp_rnn.tracking.tracked_run import TrackedRun

OWNER = {"uri": "http://127.0.0.1:9", "experiment_id": "1", "run_id": "abc"}


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nlp_rnn.tracking.outbox.SECONDS_BETWEEN_SENDS", 0.02)
    monkeypatch.setattr("nlp_rnn.tracking.outbox.SECONDS_BETWEEN_LAST_TRIES", 0.02)
    monkeypatch.setattr("nlp_rnn.tracking.outbox.SECONDS_TO_CLOSE", 0.1)


@pytest.fixture
def client(store_uri: str) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=store_uri)


class Gate:
    """Between the outbox and MLflow: shut, nothing comes through; every call is noted."""

    def __init__(self) -> None:
        self.shut = False
        self.delivered: list[Entry] = []


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    gate = Gate()
    deliver = Delivery.__call__

    def passed(self: Delivery, entries: Sequence[Entry]) -> None:
        if gate.shut:
            raise ConnectionError("away")
        deliver(self, entries)
        gate.delivered += entries

    monkeypatch.setattr(Delivery, "__call__", passed)
    return gate


def points(client: Any, run: TrackedRun, name: str) -> list[tuple[int, float]]:
    history = client.get_metric_history(run.run_id, name)
    return sorted((point.step, point.value) for point in history)


def test_everything_is_sent_in_order_however_often_mlflow_is_unavailable() -> None:
    sent: list[Any] = []
    sizes: list[int] = []
    troubles = iter([True, False, True, True] + [False] * 10)

    def send(batch: Sequence[Entry]) -> None:
        sizes.append(sum(len(entry["metrics"]) for entry in batch))
        if next(troubles):
            raise ConnectionError("away")
        sent.extend(point for entry in batch for point in entry["metrics"])

    outbox = Outbox(send)
    numbers = list(range(2500))
    for start in range(0, 2500, 5):
        outbox.add({"metrics": numbers[start : start + 5]}, soon=False)
    assert outbox.close() == []
    assert sent == numbers
    assert max(sizes) == 1000


def test_a_rejected_entry_does_not_block_the_others() -> None:
    sent: list[Entry] = []

    def send(batch: Sequence[Entry]) -> None:
        if "bad" in batch[0].get("tags", {}):
            raise RejectedByMlflow("no such tag")
        sent.extend(batch)

    outbox = Outbox(send)
    entries: list[Entry] = [{"tags": {"a": "1"}}, {"tags": {"bad": "2"}}, {"tags": {"c": "3"}}]
    for entry in entries:
        outbox.add(entry)
    assert outbox.close({"status": "FINISHED"}) == [entries[1]]
    assert sent == [entries[0], entries[2], {"status": "FINISHED"}]
    assert outbox.reason == "no such tag"


def test_mlflow_may_be_unavailable_in_the_middle(
    store_uri: str, client: Any, gate: Gate, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "run"
    experiment = obtain_experiment(store_uri, "tests")
    with caplog.at_level(logging.WARNING), tracked_run(
        store_uri, experiment, name="r", parameters={"seed": 1}, tags={}, folder=folder,
        system_metrics=False,
    ) as run:  # fmt: skip
        run.log_metrics({"train/loss": 0.0}, step=0)
        assert run.flush()
        gate.shut = True
        started = time.monotonic()
        for step in range(1, 500):
            run.log_metrics({"train/loss": float(step)}, step=step)
        run.set_tags({"device": "cpu"})
        elsewhere = tmp_path / "picture.png"
        elsewhere.write_bytes(b"a picture")
        run.log_file(elsewhere)
        elsewhere.unlink()
        assert not run.flush()
        assert time.monotonic() - started < 2
        pending = Journal.read(folder)[1]
        assert len(pending) == 501
        assert "device" not in client.get_run(run.run_id).data.tags
        gate.shut = False
        deadline = time.monotonic() + 10
        while len(points(client, run, "train/loss")) < 500 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert client.get_run(run.run_id).info.status == "RUNNING"
    assert points(client, run, "train/loss") == [(step, float(step)) for step in range(500)]
    ended = client.get_run(run.run_id)
    assert (ended.info.status, ended.data.tags["device"]) == ("FINISHED", "cpu")
    assert [file.path for file in client.list_artifacts(run.run_id)] == ["picture.png"]
    assert not (folder / "unsent").exists()
    assert [record.message for record in caplog.records] == [
        "MLflow is unavailable; the run continues and sends its data later: away",
        "MLflow is available again.",
    ]


def test_sync_sends_later_what_a_run_could_not(
    store_uri: str,
    client: Any,
    gate: Gate,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "outputs" / "a day" / "run"
    experiment = obtain_experiment(store_uri, "tests")
    with pytest.raises(ValueError, match="bad luck"), tracked_run(  # noqa: PT012
        store_uri, experiment, name="r", parameters={}, tags={}, folder=folder,
        system_metrics=False,
    ) as run:  # fmt: skip
        gate.shut = True
        run.log_dataset("birds train", "0123abcd", "training", {"rows": 7})
        run.log_metrics({"train/loss": 0.5, "train/nan": float("nan")}, step=3)
        (folder / "config.yaml").write_text("seed: 1\n")
        run.log_file(folder / "config.yaml", "folder")
        raise ValueError("bad luck")
    assert f"Run: nlp-rnn sync '{folder}'" in caplog.text
    assert client.get_run(run.run_id).info.status == "RUNNING"

    assert main(["sync"]) == 1
    message = capsys.readouterr().err
    assert message.startswith("nlp-rnn: MLflow at sqlite:////")
    assert "did not store 6 of 6 pending entries" in message
    assert len(message.splitlines()) == 2
    # it may go on from a copy, on another machine
    moved = tmp_path / "outputs" / "moved"
    shutil.move(folder, moved)
    gate.shut = False
    assert main(["sync"]) == 0
    assert capsys.readouterr().out == "outputs/moved: sent 6 pending entries\n"
    ended = client.get_run(run.run_id)
    assert ended.info.status == "FAILED"
    assert ended.data.tags["error"] == "ValueError: bad luck"
    assert points(client, run, "train/loss") == [(3, 0.5)]
    assert ended.inputs.dataset_inputs[0].dataset.digest == "0123abcd"
    files = [file.path for file in client.list_artifacts(run.run_id)]
    assert files == ["folder", "traceback.txt"]
    assert [file.name for file in moved.iterdir()] == ["config.yaml"]

    count = len(gate.delivered)
    assert main(["sync", "outputs"]) == 0
    assert capsys.readouterr().out == "There is nothing to send below outputs.\n"
    assert len(gate.delivered) == count


def test_data_that_arrived_already_is_not_duplicated(
    store_uri: str, client: Any, gate: Gate, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    experiment = obtain_experiment(store_uri, "tests")
    with tracked_run(
        store_uri, experiment, name="r", parameters={"seed": 1}, tags={}, folder=folder,
        system_metrics=False,
    ) as run:  # fmt: skip
        for step in range(50):
            run.log_metrics({"train/loss": float(step), "train/nan": float("nan")}, step=step)
        run.set_note("well")
    owner = {"uri": store_uri, "experiment_id": experiment, "run_id": run.run_id}
    before = client.get_run(run.run_id)
    # as a process leaves it that dies before it forgets
    Journal(folder, owner).close(gate.delivered[:])
    assert main(["sync", str(folder)]) == 0
    assert points(client, run, "train/loss") == [(step, float(step)) for step in range(50)]
    assert len(points(client, run, "train/nan")) == 50
    after = client.get_run(run.run_id)
    assert after.data.to_dictionary()["tags"] == before.data.to_dictionary()["tags"]
    assert (after.info.end_time, after.data.params) == (before.info.end_time, before.data.params)


def test_a_killed_run_is_resumed_and_sends_the_rest(
    store_uri: str, client: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    experiment = obtain_experiment(store_uri, "tests")
    killed = client.create_run(experiment)
    owner = {"uri": store_uri, "experiment_id": experiment, "run_id": killed.info.run_id}
    entry = {"metrics": [["train/loss", 0.5, 1, 1]]}
    Journal(folder, owner).close([entry])
    with (folder / "unsent" / "journal.jsonl").open("a") as file:
        file.write('{"metrics": [["train/lo')  # it died while it wrote this
    with tracked_run(
        store_uri, experiment, name="r", parameters={}, tags={}, folder=folder,
        run_id=killed.info.run_id, system_metrics=False,
    ) as run:  # fmt: skip
        run.log_metrics({"train/loss": 0.25}, step=2)
    assert points(client, run, "train/loss") == [(1, 0.5), (2, 0.25)]
    assert not (folder / "unsent").exists()


def test_sync_closes_the_run_of_a_process_that_died(
    store_uri: str, client: Any, tmp_path: Path
) -> None:
    experiment = obtain_experiment(store_uri, "tests")
    run_id = client.create_run(experiment).info.run_id
    owner = {"uri": store_uri, "experiment_id": experiment, "run_id": run_id}
    Journal(tmp_path, owner).close([{"metrics": [["train/loss", 0.5, 1, 1]]}])
    assert main(["sync", str(tmp_path)]) == 0
    ended = client.get_run(run_id)
    assert (ended.info.status, ended.data.tags["error"]) == ("KILLED", "its process died")
    assert ended.data.metrics == {"train/loss": 0.5}


def test_sync_does_not_touch_a_run_that_is_still_running(
    store_uri: str, client: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = obtain_experiment(store_uri, "tests")
    with tracked_run(
        store_uri, experiment, name="r", parameters={}, tags={}, folder=tmp_path / "run",
        system_metrics=False,
    ) as run:  # fmt: skip
        assert main(["sync", str(tmp_path)]) == 0
        assert "sends everything by itself" in capsys.readouterr().out
        # nor does a second training in its folder disturb it
        with pytest.raises(TrackingError, match="Another process logs the run"):
            tracked_run(
                store_uri, experiment, name="second", parameters={}, tags={},
                folder=tmp_path / "run", system_metrics=False,
            ).__enter__()  # fmt: skip
        assert client.get_run(run.run_id).info.status == "RUNNING"
    runs = client.search_runs([experiment])
    assert [run.info.run_name for run in runs if run.info.status == "FINISHED"] == ["r"]
    assert all(run.info.status != "RUNNING" for run in runs)


def test_a_second_interruption_ends_the_waiting(
    store_uri: str, gate: Gate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nlp_rnn.tracking.outbox.SECONDS_TO_CLOSE", 60)
    experiment = obtain_experiment(store_uri, "tests")
    opened = tracked_run(
        store_uri, experiment, name="r", parameters={}, tags={}, folder=tmp_path / "run",
        system_metrics=False,
    )  # fmt: skip
    opened.__enter__()
    gate.shut = True
    pid = os.getpid()
    for seconds in (0.3, 0.6):
        threading.Timer(seconds, os.kill, (pid, signal.SIGINT)).start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        opened.__exit__(None, None, None)
    assert 0.5 < time.monotonic() - started < 10
    assert Journal.read(tmp_path / "run")[1][-1]["status"] == "FINISHED"


@pytest.fixture
def silent_server() -> Iterator[str]:
    """A port that takes every connection and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_a_server_that_hangs_slows_nothing(silent_server: str, tmp_path: Path) -> None:
    with http_limits(retries=0, seconds=1):
        delivery = Delivery(silent_server, "1", "abc", tmp_path)
        journal = Journal(tmp_path, OWNER | {"uri": silent_server})
        run = TrackedRun("abc", Outbox(delivery, journal), tmp_path)
        started = time.monotonic()
        for step in range(300):
            run.log_metrics({"train/loss": float(step)}, step=step)
            run.set_tags({"step": str(step)})
        run.log_final({"test/accuracy": 0.5})
        assert time.monotonic() - started < 0.5
        run.close()
        assert time.monotonic() - started < 6
    entries = Journal.read(tmp_path)[1]
    assert [entry["tags"]["step"] for entry in entries if "tags" in entry] == [
        str(step) for step in range(300)
    ]
    assert entries[-1]["status"] == "FINISHED"


def test_errors_of_sync(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    running = Journal(tmp_path / "running", OWNER)
    with pytest.raises(TrackingError, match="Another process logs the run"):
        Journal(tmp_path / "running", OWNER)
    assert main(["sync", str(tmp_path / "running")]) == 1  # the server does not respond
    assert "No MLflow server responds" in capsys.readouterr().err
    running.close([{"tags": {"a": "1"}}])
    (tmp_path / "damaged" / "unsent").mkdir(parents=True)
    damaged = tmp_path / "damaged" / "unsent" / "journal.jsonl"
    for content in ("[]\n", "{]\n", json.dumps({"run_id": "1"}) + "\n"):
        damaged.write_text(content)
        assert main(["sync", str(tmp_path / "damaged")]) == 1
        assert f"{damaged} is damaged" in capsys.readouterr().err
    assert main(["sync", str(tmp_path)]) == 1
    message = capsys.readouterr().err
    assert "No MLflow server responds at http://127.0.0.1:9" in message
    assert "is damaged" in message
    assert main(["sync", str(tmp_path / "nowhere")]) == 1
    assert "There is no folder" in capsys.readouterr().err
    assert main(["sync", "--all"]) == 2


def test_a_server_without_a_free_database_connection_is_not_a_rejection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import BAD_REQUEST

    def overloaded(self: Delivery, entry: Entry) -> None:
        raise MlflowException("QueuePool limit of size 5 overflow 10 reached", BAD_REQUEST)

    monkeypatch.setattr(Delivery, "_one", overloaded)
    with pytest.raises(TrackingError, match="QueuePool limit"):
        Delivery("http://127.0.0.1:1", "1", "abc", tmp_path)([{"tags": {"a": "b"}}])
