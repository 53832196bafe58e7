import itertools
import json
import logging
import math
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nlp_rnn.errors import TrackingError
from nlp_rnn.tracking.interruption import Interruptions, Terminated
from nlp_rnn.tracking.machine import machine_tags
from nlp_rnn.tracking.run_lifecycle import tracked_run
from nlp_rnn.tracking.store import obtain_experiment
from nlp_rnn.tracking.tracked_run import TrackedRun

Open = Callable[..., Any]


@pytest.fixture
def experiment_id(store_uri: str) -> str:
    return obtain_experiment(store_uri, "tests")


@pytest.fixture
def open_run(store_uri: str, experiment_id: str, tmp_path: Path) -> Open:
    """`tracked_run` in the test's own store, with a new run folder."""
    numbers = itertools.count()

    def opened(**options: Any) -> Any:
        settings: dict[str, Any] = {"name": "a run", "parameters": {}, "tags": {}}
        settings["folder"] = tmp_path / f"run{next(numbers)}"
        return tracked_run(
            store_uri, experiment_id, **{**settings, "system_metrics": False, **options}
        )

    return opened


@pytest.fixture
def client(store_uri: str, experiment_id: str) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=store_uri)


def artifact(client: Any, run: TrackedRun, file: str) -> str:
    # Not by a download, which would leave files in a temporary folder.
    from urllib.parse import unquote, urlsplit

    folder = unquote(urlsplit(client.get_run(run.run_id).info.artifact_uri).path)
    return (Path(folder) / file).read_text()


def test_a_run_that_ends_well_holds_everything(
    open_run: Open, client: Any, tmp_path: Path, store_uri: str
) -> None:
    import mlflow

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    file = tmp_path / "config.yaml"
    file.write_text("seed: 1\n")
    parameters = {f"key.{number}": number for number in range(150)} | {"model.cell": "gru"}
    with open_run(name="gru seed1", parameters=parameters, tags={"configuration": "gru"}) as run:
        assert mlflow.get_tracking_uri() == store_uri
        assert client.get_run(run.run_id).info.status == "RUNNING"
        for epoch in range(1, 4):
            run.log_metrics({"train/loss": 1 / epoch, "validation/macro_f1": 0.5}, step=epoch)
        run.log_final({"test/accuracy": 0.75})
        run.log_file(file)
        run.log_file(file, "folder")
        run.log_text("all is well", "report.txt")
        run.log_table(("a", "b"), [[1, "x"]], "first.json")
        run.log_table(("a",), [[2]], "second.json")
        run.log_dataset("birds train", "0123abcd", "training", {"rows": 7}, source="/data/birds")
        run.log_dataset("stories test", "4567", "test", {"rows": 8})
        run.set_note("**well**")
        run.set_tags({"cell": "gru"})

    ended = client.get_run(run.run_id)
    assert (ended.info.status, ended.info.run_name) == ("FINISHED", "gru seed1")
    assert ended.data.params == {name: str(value) for name, value in parameters.items()}
    assert ended.data.tags.items() >= {"configuration": "gru", "cell": "gru"}.items()
    assert ended.data.tags["mlflow.note.content"] == "**well**"
    assert ended.data.tags["host"] == machine_tags()["host"]
    assert "error" not in ended.data.tags
    assert ended.data.metrics == {
        "train/loss": 1 / 3,
        "validation/macro_f1": 0.5,
        "test/accuracy": 0.75,
    }
    assert artifact(client, run, "config.yaml") == artifact(client, run, "folder/config.yaml")
    assert artifact(client, run, "report.txt") == "all is well"
    assert json.loads(artifact(client, run, "first.json")) == {
        "columns": ["a", "b"],
        "data": [[1, "x"]],
    }
    shown = json.loads(ended.data.tags["mlflow.loggedArtifacts"])
    assert [table["path"] for table in shown] == ["first.json", "second.json"]
    datasets = {entry.dataset.name: entry for entry in ended.inputs.dataset_inputs}
    assert datasets["birds train"].dataset.digest == "0123abcd"
    assert datasets["birds train"].dataset.profile == '{"rows": 7}'
    assert [tag.value for tag in datasets["stories test"].tags] == ["test"]

    assert "MLFLOW_TRACKING_URI" not in os.environ
    assert not mlflow.tracking.is_tracking_uri_set()
    assert {number: signal.getsignal(number) for number in before} == before


def test_passwords_stay_out_of_mlflow(open_run: Open, client: Any) -> None:
    uri = "postgresql://me:s3cret@host/runs"
    with open_run(
        parameters={"tracking.uri": uri}, tags={"command": f"train tracking.uri={uri}"}
    ) as run:
        run.set_note(f"`nlp-rnn train tracking.uri='{uri}'`")
        run.log_text(f"uri: {uri}", "config.yaml")
    logged = client.get_run(run.run_id)
    stored = [*logged.data.params.values(), *logged.data.tags.values()]
    stored.append(artifact(client, run, "config.yaml"))
    assert not any("s3cret" in value for value in stored)
    assert logged.data.params["tracking.uri"] == "postgresql://me:***@host/runs"


def test_a_run_that_fails_keeps_all_metrics_and_the_traceback(open_run: Open, client: Any) -> None:
    with pytest.raises(ZeroDivisionError), open_run() as run:  # noqa: PT012
        run.set_note("so far so good")
        for step in range(2500):
            run.log_metrics({"train/loss": float(step)}, step=step)
        print(1 // 0)
    ended = client.get_run(run.run_id)
    assert ended.info.status == "FAILED"
    assert ended.data.tags["error"].startswith("ZeroDivisionError: integer division")
    assert ended.data.tags["mlflow.note.content"].startswith("**FAILED**: `ZeroDivisionError: ")
    assert ended.data.tags["mlflow.note.content"].endswith("so far so good")
    assert "print(1 // 0)" in artifact(client, run, "traceback.txt")
    history = client.get_metric_history(run.run_id, "train/loss")
    assert sorted(point.value for point in history) == [float(step) for step in range(2500)]


@pytest.mark.parametrize(
    ("number", "error", "reason"),
    [
        (signal.SIGINT, KeyboardInterrupt, "stopped by Ctrl-C"),
        (signal.SIGTERM, SystemExit, "stopped by SIGTERM"),
        (signal.SIGHUP, SystemExit, "stopped by SIGHUP"),
    ],
)
def test_a_run_that_is_stopped_is_killed(
    number: int, error: type[BaseException], reason: str, open_run: Open, client: Any
) -> None:
    with pytest.raises(error) as raised, open_run() as run:  # noqa: PT012
        run.log_metrics({"train/loss": 0.5}, step=1)
        os.kill(os.getpid(), number)
        time.sleep(5)
    if error is SystemExit:
        assert raised.value.code == 128 + number
    ended = client.get_run(run.run_id)
    assert ended.info.status == "KILLED"
    assert ended.data.tags["error"] == reason
    assert ended.data.tags["mlflow.note.content"] == f"**KILLED**: `{reason}`"
    assert ended.data.metrics == {"train/loss": 0.5}
    assert client.list_artifacts(run.run_id) == []


def test_a_terminated_process_exits_143_and_never_saw_torch(
    store_uri: str, experiment_id: str, client: Any
) -> None:
    script = f"""
import sys, time
from nlp_rnn.tracking.run_lifecycle import tracked_run
with tracked_run({store_uri!r}, {experiment_id!r}, name="x", parameters={{}}, tags={{}}) as run:
    for step in range(1500):
        run.log_metrics({{"train/loss": float(step)}}, step=step)
    print(run.run_id, "torch" in sys.modules, flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as job:
        assert job.stdout is not None
        run_id, torch_was_imported = job.stdout.readline().split()
        job.terminate()
        assert job.wait(timeout=60) == 143
    assert torch_was_imported == "False"
    assert client.get_run(run_id).info.status == "KILLED"
    assert len(client.get_metric_history(run_id, "train/loss")) == 1500


def test_a_run_id_in_the_environment_is_not_reused(
    open_run: Open, client: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with open_run() as first:
        first.log_metrics({"train/loss": 1.0}, step=1)
    monkeypatch.setenv("MLFLOW_RUN_ID", first.run_id)
    with caplog.at_level(logging.WARNING), open_run() as second:
        second.log_metrics({"train/loss": 2.0}, step=2)
    assert second.run_id != first.run_id
    assert f"MLFLOW_RUN_ID={first.run_id}" in caplog.text
    assert client.get_run(first.run_id).data.metrics == {"train/loss": 1.0}
    assert client.get_run(second.run_id).data.metrics == {"train/loss": 2.0}


def test_a_run_can_belong_to_a_sweep(open_run: Open, client: Any, experiment_id: str) -> None:
    parent = client.create_run(experiment_id)
    with open_run(parent_run_id=parent.info.run_id) as run:
        pass
    assert client.get_run(run.run_id).data.tags["mlflow.parentRunId"] == parent.info.run_id


def test_a_run_in_a_run_is_ended_alone(open_run: Open, client: Any) -> None:
    with open_run() as outer:
        with pytest.raises(ValueError, match="inner"), open_run() as inner:
            raise ValueError("inner")
        assert client.get_run(inner.run_id).info.status == "FAILED"
        assert client.get_run(outer.run_id).info.status == "RUNNING"
    assert client.get_run(outer.run_id).info.status == "FINISHED"


def test_a_missing_parent_or_experiment_is_reported_in_one_line(
    open_run: Open, store_uri: str
) -> None:
    with pytest.raises(TrackingError, match="not found") as caught, open_run(parent_run_id="0a"):
        pass
    assert "\n" not in str(caught.value)
    nowhere = tracked_run(store_uri, "999", name="x", parameters={}, tags={})
    with pytest.raises(TrackingError, match="999"), nowhere:
        pass


def test_metrics_that_are_no_numbers_do_no_harm(open_run: Open, client: Any) -> None:
    with open_run() as run:
        for step, value in enumerate([1.0, math.nan, math.inf, -math.inf]):
            run.log_metrics({"train/loss": value}, step=step)
    history = client.get_metric_history(run.run_id, "train/loss")
    values = [point.value for point in sorted(history, key=lambda point: point.step)]
    assert values[0] == 1.0
    assert math.isnan(values[1])
    assert values[2:] == [sys.float_info.max, -sys.float_info.max]


def test_a_metric_name_that_mlflow_rejects_raises_an_error_at_once(
    open_run: Open, client: Any
) -> None:
    with open_run() as run:
        for name in ("f1 (macro)", "/f1", "test//f1", "", "f1\n"):
            with pytest.raises(ValueError, match="is not a valid name of an MLflow metric"):
                run.log_metrics({"test/fine": 1.0, name: 1.0}, step=0)
        run.log_metrics({"per class/f1: a.b-c_d": 0.5}, step=0)
    assert client.get_run(run.run_id).data.metrics == {"per class/f1: a.b-c_d": 0.5}


def test_final_metrics_are_the_latest(open_run: Open, client: Any) -> None:
    with open_run() as run:
        for epoch in (1, 2, 3):
            run.log_metrics({"validation/accuracy": epoch / 10}, step=epoch)
        run.log_final({"validation/accuracy": 0.2, "test/accuracy": 0.1})
        assert run.flush()
        assert client.get_run(run.run_id).data.metrics["test/accuracy"] == 0.1
    metrics = client.get_run(run.run_id).data.metrics
    assert metrics == {"validation/accuracy": 0.2, "test/accuracy": 0.1}
    (point,) = client.get_metric_history(run.run_id, "test/accuracy")
    assert point.step == 0


def test_long_values_are_shortened_visibly(open_run: Open, client: Any) -> None:
    with open_run(parameters={"data.text": "a" * 7000}, tags={"group": "b" * 9000}) as run:
        run.set_note("c" * 8000)
        run.set_tags({"other": "d" * 8001})
    data = client.get_run(run.run_id).data
    assert len(data.params["data.text"]) == 6000
    assert data.params["data.text"].endswith("a\n… shortened from 7,000 characters")
    assert data.tags["group"].endswith("b\n… shortened from 9,000 characters")
    assert data.tags["mlflow.note.content"] == "c" * 8000
    assert len(data.tags["other"]) == 8000


def test_metrics_are_sent_while_the_run_is_running(
    open_run: Open, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nlp_rnn.tracking.outbox.SECONDS_BETWEEN_SENDS", 0.05)
    with open_run() as run:
        run.log_metrics({"train/loss": 0.5}, step=1)
        deadline = time.monotonic() + 20
        while not client.get_run(run.run_id).data.metrics and time.monotonic() < deadline:
            time.sleep(0.05)
        assert client.get_run(run.run_id).data.metrics == {"train/loss": 0.5}


def test_system_metrics_are_logged_if_wanted(
    open_run: Open, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.1")
    with open_run(system_metrics=True) as run:
        time.sleep(1)
    assert "system/cpu_utilization_percentage" in client.get_run(run.run_id).data.metrics


def test_a_closed_run_takes_no_more_metrics(open_run: Open) -> None:
    with open_run() as run:
        pass
    with pytest.raises(RuntimeError, match="closed"):
        run.log_metrics({"train/loss": 0.5}, step=1)


def test_a_signal_waits_for_the_end_of_a_critical_block() -> None:
    received = Interruptions()
    done = []
    with pytest.raises(Terminated, match="SIGTERM"), received.hold():  # noqa: PT012
        received.receive(signal.SIGTERM)
        done.append("to the end")
    assert done == ["to the end"]
    with pytest.raises(KeyboardInterrupt):
        received.receive(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), received.hold():  # noqa: PT012
        received.receive(signal.SIGTERM)
        received.receive(signal.SIGINT)
        done.append("a second signal is obeyed at once")
    assert done == ["to the end"]


def test_a_signal_while_a_run_is_closed_finds_it_finished(open_run: Open, client: Any) -> None:
    opened = open_run()
    run = opened.__enter__()
    end = run._end

    def slow_end(status: str) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        end(status)

    run._end = slow_end
    with pytest.raises(Terminated):
        opened.__exit__(None, None, None)
    assert client.get_run(run.run_id).info.status == "FINISHED"


def test_a_run_outside_the_main_thread_takes_no_signals(open_run: Open, client: Any) -> None:
    runs = []

    def work() -> None:
        with open_run() as run:
            runs.append(run)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert client.get_run(runs[0].run_id).info.status == "FINISHED"


def test_the_machine_is_described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    tags = machine_tags()
    assert int(tags["cores"]) >= 1
    assert float(tags["memory_gb"]) > 0
    assert tags["python"] == sys.version.split()[0]
    assert tags["torch"][0].isdigit()
    assert tags["processor"]
    assert "commit" not in tags
    monkeypatch.setenv("PATH", "")
    assert "commit" not in machine_tags()


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_the_commit_of_the_checkout_is_a_tag(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "A")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "a@example.org")
    (tmp_path / "file").write_text("1")
    for command in (["init", "-q"], ["add", "file"], ["commit", "-qm", "one"], ["tag", "v1"]):
        subprocess.run(["git", *command], check=True)
    commit = machine_tags()["commit"]
    head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    assert len(commit) == 12
    assert head.stdout.startswith(commit)
    (tmp_path / "file").write_text("2")
    assert machine_tags()["commit"] == f"{commit}-dirty"
