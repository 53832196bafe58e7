"""`scripts/results`: its data sets, the runs that it trains, and how it resumes."""

import importlib.machinery
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from mlflow import MlflowClient

SCRIPT = Path(__file__).parent.parent / "scripts" / "results"
SMALL = [
    "--overrides",
    "model.hidden_size=4 model.embedding_size=4 trainer.max_epochs=1 tokenizer=word "
    "tracking.speed=none tracking.system_metrics=false sweep.compare=false",
]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    loader = importlib.machinery.SourceFileLoader("results", str(SCRIPT))
    spec = importlib.util.spec_from_loader("results", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store_uri: str) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NLP_RNN_CACHE", str(tmp_path / "cache"))
    make(tmp_path / "sets" / "small set", 40)
    return tmp_path


def make(folder: Path, rows: int, column: str = "label", splits: tuple[str, ...] = ()) -> None:
    folder.mkdir(parents=True)
    labels: list[Any] = ["warm", "cold"] if column == "label" else [["warm", "dry"], ["cold"]]
    for split in splits or ("train", "test"):
        texts = [f"a {('warm', 'cold')[row % 2]} day {row} {split}" for row in range(rows)]
        frame = pd.DataFrame({"text": texts, column: [labels[row % 2] for row in range(rows)]})
        frame.to_parquet(folder / f"{split}.parquet")


def finished(here: Path) -> list[Any]:
    client = MlflowClient(tracking_uri=f"sqlite:///{here}/mlflow.db")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    runs = client.search_runs(experiments, "attributes.status = 'FINISHED'")
    return [run for run in runs if run.data.tags["kind"] == "train"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "there is no folder"),
        (["empty"], "empty has a training split (train.*)"),
        (
            ["sets", "--sets", "smal"],
            "sets has no data set 'smal', only no test, small set",
        ),
        (["sets", "--sets", "no test"], "no data set to run in sets has a test split"),
        (["sets", "--seeds", "0"], "--seeds must be at least 1, not 0"),
    ],
)
def test_wrong_arguments_end_with_a_message(
    here: Path, script: ModuleType, arguments: list[str], message: str, capsys: Any
) -> None:
    make(here / "sets" / "no test", 20, splits=("train",))
    (here / "empty" / "notes").mkdir(parents=True)
    with pytest.raises(SystemExit) as stopped:
        script.main(arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
    assert not (here / "results.md").exists()


@pytest.fixture
def trained(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Arguments of every sweep that was started; sweeps run in this process to save seconds."""
    from nlp_rnn.cli import main

    sweeps: list[list[str]] = []

    def train(arguments: list[str]) -> int:
        sweeps.append(arguments)
        return main(["train", "-m", *arguments])

    monkeypatch.setattr(script, "train", train)
    return sweeps


@pytest.mark.slow
def test_a_set_is_trained_once_and_a_set_that_fails_does_not_stop_the_others(
    here: Path, script: ModuleType, trained: list[list[str]], capsys: Any
) -> None:
    make(here / "sets" / "no test", 20, splits=("train",))
    make(here / "sets" / "broken", 10)
    (here / "sets" / "broken" / "test.parquet").write_bytes(b"not parquet")
    assert script.main(["sets", "--seeds", "1", *SMALL]) == 1
    output = capsys.readouterr()
    assert "left out: no test has no test split" in output.out
    assert "broken failed:" in output.err
    table = (here / "results.md").read_text(encoding="utf-8")
    assert "| small set | 40 | 50.0 | " in table
    assert "Not complete: broken: " in table
    assert "Left out: no test has no test split" in table
    assert len(finished(here)) == 2
    (row,) = (r for r in json.loads((here / "results.json").read_text())["rows"] if "cells" in r)
    assert set(row["baselines"]) == {"majority", "linear", "ngrams", "average"}
    assert row["cells"]["gru"]["sd"] is None
    assert len(row["cells"]["lstm"]["runs"]) == 1

    # again: nothing is trained
    assert script.main(["sets", "--sets", "small set", "--seeds", "1", *SMALL]) == 0
    assert len(trained) == 1
    assert "Not complete: broken: " not in (here / "results.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_another_seed_resumes_the_sweep_and_other_texts_do_not(
    here: Path, script: ModuleType, trained: list[list[str]]
) -> None:
    for seeds in "1", "2":
        assert script.main(["sets", "--seeds", seeds, *SMALL]) == 0
    assert len(trained) == 2
    assert trained[1][-1].startswith("sweep.resume=")
    runs = finished(here)
    assert len(runs) == 4
    assert len({run.data.tags["mlflow.parentRunId"] for run in runs}) == 1
    assert " ± " in (here / "results.md").read_text(encoding="utf-8")

    # other texts in the same folder are other data
    frame = pd.DataFrame({"text": ["warm one", "cold one"], "label": ["warm", "cold"]})
    frame.to_parquet(here / "sets" / "small set" / "test.parquet")
    assert script.main(["sets", "--seeds", "1", *SMALL]) == 0
    assert len(finished(here)) == 6
    assert "| small set | 2 | 50.0 | " in (here / "results.md").read_text(encoding="utf-8")


def runs_of(parent: str | None, *pairs: tuple[str, int]) -> dict[tuple[str, int], Any]:
    tags = {} if parent is None else {"mlflow.parentRunId": parent}
    return {pair: SimpleNamespace(data=SimpleNamespace(tags=tags)) for pair in pairs}


def test_runs_of_other_sweeps_are_not_trained_again(script: ModuleType) -> None:
    info, tags = SimpleNamespace(run_id="p", status="KILLED"), {"sweep": "p8"}
    sweep = SimpleNamespace(info=info, data=SimpleNamespace(tags=tags))

    def sweeps(newest: Any, runs: dict[tuple[str, int], Any]) -> list[list[str]]:
        return script.missing(runs, [1, 2], ["w"], SimpleNamespace(sweep=lambda _: newest))

    every = [(cell, seed) for cell in ("lstm", "gru") for seed in (1, 2)]
    assert sweeps(None, runs_of("p", *every)) == []
    assert sweeps(None, {}) == [["w", "seed=1,2"]]
    # a sweep with all runs is resumed with both cells, so that all are compared
    assert sweeps(sweep, runs_of("p", ("gru", 1))) == [["w", "seed=1,2", "sweep.resume=p8"]]
    single_runs = runs_of(None, ("gru", 1), ("gru", 2), ("lstm", 2))
    assert sweeps(None, single_runs) == [["w", "model=lstm", "seed=1"]]
    mixed = runs_of("p", ("lstm", 1)) | runs_of("q", ("lstm", 2))
    assert [arguments[:3] for arguments in sweeps(sweep, mixed)] == [["w", "model=gru", "seed=1,2"]]


def test_the_number_of_seeds_depends_on_the_seconds_of_training(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, here: Path
) -> None:
    import nlp_rnn.sweeps.baseline_runs

    monkeypatch.setattr(
        nlp_rnn.sweeps.baseline_runs,
        "ensure_baselines",
        lambda *_, names, **__: {names[0]: SimpleNamespace(metrics={"test/accuracy": 0.5})},
    )
    for seconds, count in ((299.0, 5), (301.0, 3)):
        trained: dict[tuple[str, int], Any] = {}

        def train(arguments: list[str], seconds: float = seconds, runs: Any = trained) -> int:
            seeds = next(a for a in arguments if a.startswith("seed="))[5:].split(",")
            for cell in ("lstm", "gru"):
                for seed in map(int, seeds):
                    metrics = {"test/accuracy": seed / 10, "train/seconds": seconds}
                    runs[cell, seed] = SimpleNamespace(
                        data=SimpleNamespace(metrics=metrics, tags={"mlflow.parentRunId": "p"}),
                        info=SimpleNamespace(run_id=f"{cell}{seed}"),
                    )
            return 0

        monkeypatch.setattr(script, "train", train)
        monkeypatch.setattr(script.Store, "finished", lambda _, runs=trained: dict(runs))
        row = script.run_set(here / "sets" / "small set", [], None)
        assert {len(cell["scores"]) for cell in row["cells"].values()} == {count}
        assert row["cells"]["gru"]["minutes"] == pytest.approx(seconds / 60)
        assert "failed" not in row


def test_the_table_has_micro_f1_of_multi_label_sets_and_published_scores(
    script: ModuleType, here: Path
) -> None:
    make(here / "sets" / "talk", 10, "labels")
    assert script._label(here / "sets" / "talk") == ["data.label=labels"]
    assert script._label(here / "sets" / "small set") == []
    cell = {"scores": {"1": 50.0}, "mean": 50.0, "sd": None, "parameters": 1e6}
    cell |= {"minutes": None, "latency_ms": 0.5, "machines": ["here"]}
    row = {"set": "imdb", "recipe": [], "test_texts": 10, "metric": "test/micro_f1"}
    row |= {"baselines": {"linear": 40.0}, "cells": {"gru": cell}}
    table = script.markdown([row], ["talk"], [])
    first = (
        "| imdb (micro-F1) | 10 | – | 40.0 | – | – | – | 50.0 | 0 / 1 "
        "| – / 1.00 | – / – | – / 0.50 |"
    )
    assert first in table
    assert "91.9? one-hot LSTM (Johnson & Zhang 2016)" in table
    assert "95.7° " in table
    assert "Still to come: talk" in table


def test_every_published_score_has_a_model_and_a_source() -> None:
    references = json.loads(SCRIPT.with_name("references.json").read_text(encoding="utf-8"))
    for name, scores in references.items():
        for entry in scores if name != "about" else ():
            assert set(entry) == {"score", "what", "source", "checked", "outside"}, name


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_killed_script_resumes(here: Path) -> None:
    make(here / "sets" / "talk", 60, "labels")
    command = [sys.executable, str(SCRIPT), "sets", "--sets", "talk", "--seeds", "2", *SMALL]
    command[-1] = command[-1].replace("max_epochs=1", "max_epochs=3")
    environment = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{here}/mlflow.db"}
    for number in (signal.SIGKILL, signal.SIGTERM):
        before = len(finished(here))
        with subprocess.Popen(command, env=environment, start_new_session=True) as process:
            deadline = time.monotonic() + 400
            while len(finished(here)) == before and time.monotonic() < deadline:
                time.sleep(0.2)
            process.send_signal(number)
            assert process.wait(200) in (-number, 128 + number)
    subprocess.run(command, env=environment, check=True)
    runs = finished(here)
    assert len(runs) == 4  # two cells, two seeds, none twice
    table = (here / "results.md").read_text(encoding="utf-8")
    assert "| talk (micro-F1) |" in table
    assert "Not complete" not in table
