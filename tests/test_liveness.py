"""Runs whose process or machine died are closed when the next run starts."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from nlp_rnn.tracking.journal import Journal
from nlp_rnn.tracking.liveness import close_dead_runs, process_tags
from nlp_rnn.tracking.run_lifecycle import tracked_run
from nlp_rnn.tracking.store import obtain_experiment


@pytest.fixture
def client(store_uri: str) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=store_uri)


@pytest.fixture
def experiment(store_uri: str) -> str:
    return obtain_experiment(store_uri, "tests")


def status(client: Any, run_id: str) -> tuple[str, str | None]:
    run = client.get_run(run_id)
    return run.info.status, run.data.tags.get("error")


def test_a_killed_process_is_found_when_the_next_run_begins(
    store_uri: str, experiment: str, client: Any
) -> None:
    other = client.create_run(obtain_experiment(store_uri, "other"), tags=process_tags())
    script = f"""
import time
from nlp_rnn.tracking.run_lifecycle import tracked_run
with tracked_run({store_uri!r}, {experiment!r}, name="x", parameters={{}}, tags={{}}) as run:
    run.flush()
    print(run.run_id, flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as job:
        assert job.stdout is not None
        killed = job.stdout.readline().strip()
        assert close_dead_runs(store_uri, experiment) == []
        job.kill()
        job.wait()
    assert status(client, killed) == ("RUNNING", None)
    with tracked_run(
        store_uri, experiment, name="r", parameters={}, tags={}, system_metrics=False
    ) as run:
        assert status(client, killed) == ("KILLED", "its process died")
        assert close_dead_runs(store_uri, experiment) == []
    assert status(client, run.run_id) == ("FINISHED", None)
    with tracked_run(
        store_uri, experiment, name="r", parameters={}, tags={}, run_id=killed, system_metrics=False
    ):
        assert status(client, killed) == ("RUNNING", None)
    assert status(client, killed) == ("FINISHED", None)
    assert status(client, other.info.run_id)[0] == "RUNNING"


def test_the_end_of_a_run_that_a_dead_process_could_not_send_is_sent(
    store_uri: str, experiment: str, client: Any, tmp_path: Path
) -> None:
    dead = process_tags() | {"process": "999999999 started 1.0"}
    created = [
        client.create_run(experiment, tags=dead | {"run_folder": str(tmp_path / name)})
        for name in ("at its end", "before")
    ]
    ended, unfinished = (run.info.run_id for run in created)
    owner = {"uri": store_uri, "experiment_id": experiment}
    metric = {"metrics": [["test/accuracy", 0.5, 1, 1]]}
    last = [metric, {"status": "FINISHED", "time": 2000}]
    Journal(tmp_path / "at its end", owner | {"run_id": ended}).close(last)
    Journal(tmp_path / "before", owner | {"run_id": unfinished}).close([metric])
    assert close_dead_runs(store_uri, experiment) == [unfinished]
    assert status(client, ended) == ("FINISHED", None)
    assert status(client, unfinished) == ("KILLED", "its process died")
    for run_id in (ended, unfinished):
        assert client.get_run(run_id).data.metrics == {"test/accuracy": 0.5}


def test_another_machine_is_dead_when_it_is_silent(
    store_uri: str, experiment: str, client: Any
) -> None:
    now = time.time()

    def run(began: float, **tags: str) -> str:
        created = client.create_run(experiment, start_time=int(began * 1000), tags=tags)
        return str(created.info.run_id)

    away = {"host": "another", "process": "1 started 2.0"}
    alive = run(now - 9000, heartbeat=f"{now - 60:.0f}", **away)
    silent = run(now - 9000, heartbeat=f"{now - 7000:.0f}", **away)
    young = run(now - 60, **away)
    never_heard = run(now - 9000, **away)
    of_another_program = run(now - 9000)
    number_used_again = run(now, **process_tags() | {"process": "1 started 2.0"})
    assert set(close_dead_runs(store_uri, experiment)) == {silent, never_heard, number_used_again}
    assert status(client, silent) == ("KILLED", "no heartbeat from another for half an hour")
    for run_id in (alive, young, of_another_program):
        assert status(client, run_id)[0] == "RUNNING"


def test_a_run_sends_a_heartbeat(
    store_uri: str, experiment: str, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nlp_rnn.tracking.outbox.SECONDS_BETWEEN_SENDS", 0.02)
    monkeypatch.setattr("nlp_rnn.tracking.outbox.SECONDS_BETWEEN_BEATS", 0.05)
    with tracked_run(
        store_uri, experiment, name="r", parameters={}, tags={}, system_metrics=False
    ) as run:
        deadline = time.monotonic() + 10
        while "heartbeat" not in client.get_run(run.run_id).data.tags:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    beat = float(client.get_run(run.run_id).data.tags["heartbeat"])
    assert abs(time.time() - beat) < 20
