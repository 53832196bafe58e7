"""The run folder that a user chose: it holds the old run or the new one, never parts of both."""

import json
import shlex
from pathlib import Path

import pytest

import nlp_rnn
from nlp_rnn.cli import main
from nlp_rnn.runs.run_folder import OUTPUTS
from nlp_rnn.tracking.journal import Journal

TRAIN = ["train", "model=ngrams", "data=files", "data.path=texts.csv"]


@pytest.fixture
def here(tmp_path: Path, store_uri: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store_uri)
    rows = [f"{('bad', 'good')[number % 2]} thing {number},{number % 2}" for number in range(60)]
    (tmp_path / "texts.csv").write_text("text,label\n" + "\n".join(rows) + "\n")
    return tmp_path


def test_another_run_in_the_same_folder_is_an_error_or_replaces_all_of_it(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*TRAIN, "output_dir=run"]) == 0
    saved = {path.name for path in (here / "run").iterdir()}
    assert saved <= set(OUTPUTS)
    first = (here / "run" / "result.json").read_text()
    capsys.readouterr()
    for arguments in (TRAIN, [*TRAIN, "seed=2"], ["pretrain"]):
        assert main([*arguments, "output_dir=run"]) == 2
        errors = capsys.readouterr().err.splitlines()
        assert len(errors) == 2
        assert "holds a run already" in errors[0]
        assert "overwrite=true" in errors[1]
    assert main([*TRAIN[:1], "-m", *TRAIN[1:], "seed=1,2", "output_dir=run"]) == 2
    assert "holds a run already" in capsys.readouterr().err
    assert (here / "run" / "result.json").read_text() == first
    (here / "run" / "notes.txt").write_text("of the user")
    (here / "run" / "mistakes.html").write_text("old")
    changed = [*TRAIN, "output_dir=run", "overwrite=true", "data.format=csv"]
    assert main(changed) == 0
    result = json.loads((here / "run" / "result.json").read_text())
    assert result["run_id"] != json.loads(first)["run_id"]
    assert (here / "run" / "mistakes.html").read_text() != "old"
    assert (here / "run" / "notes.txt").is_file()
    assert main([*TRAIN, "output_dir=run", "overwrite=yes"]) == 2


def test_a_wrong_option_leaves_the_old_run(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*TRAIN, "output_dir=run"]) == 0
    before = {path: path.stat().st_mtime_ns for path in (here / "run").rglob("*")}
    assert main([*TRAIN, "output_dir=run", "overwrite=true", "data.path=none.csv"]) != 0
    assert {path: path.stat().st_mtime_ns for path in (here / "run").rglob("*")} == before


def test_the_error_about_an_interrupted_run_says_how_to_resume_it(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = here / "a run" / "checkpoint"
    checkpoint.mkdir(parents=True)
    (checkpoint / "run.json").write_text("{}")
    assert main([*TRAIN, "output_dir=a run"]) == 2
    error = capsys.readouterr().err
    assert f"nlp-rnn train resume={shlex.quote(str(here / 'a run'))}" in error


def test_a_run_that_has_not_ended_is_not_replaced(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = {"uri": "sqlite:///none.db", "experiment_id": "1", "run_id": "1"}
    journal = Journal(here / "run", run)
    for overwrite in ("true", "false"):
        assert main([*TRAIN, "output_dir=run", f"overwrite={overwrite}"]) == 2
        assert "has not ended yet" in capsys.readouterr().err
    journal.close([])
    assert main([*TRAIN, "output_dir=run"]) == 0


def test_a_sweep_is_not_mixed_with_another_one(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = here / "sweep" / ".jobs"
    records.mkdir(parents=True)
    (records / "0.task").write_text("{}")
    for arguments in (TRAIN, [*TRAIN[:1], "-m", *TRAIN[1:], "seed=1,2"]):
        assert main([*arguments, "output_dir=sweep"]) == 2
        assert "holds a sweep" in capsys.readouterr().err


def test_python_has_the_same_rule(here: Path) -> None:
    options = {"output_dir": "run", "model": "ngrams"}
    first = nlp_rnn.train("texts.csv", **options)
    with pytest.raises(nlp_rnn.errors.ConfigError, match="holds a run already"):
        nlp_rnn.train("texts.csv", **options)
    second = nlp_rnn.train("texts.csv", overwrite=True, **options)
    assert first.run_id != second.run_id
