"""Several processes in a whole run: one MLflow run, a true status, and no process left behind."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from mlflow import MlflowClient

from nlp_rnn.cli import main
from nlp_rnn.errors import DataError, TrainingError
from nlp_rnn.runs.worker_processes import processes_of
from nlp_rnn.tokens.tokenization import open_tokens
from tests import warm
from tests.composing import compose
from tests.test_pipeline import SMALL

WORDS = [
    *[word for word in SMALL if "threads" not in word],
    "model.embedding_dropout=0",
    "model.head_dropout=0",
    "trainer.precision=fp32",
]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"]
TORCHRUN += ["-m", "nlp_rnn", "train", *WORDS]
STOPPED = ["nlp-rnn", "train", *WORDS, "trainer.max_epochs=12", "trainer.patience=12"]
STOPPED += ["trainer.processes=2"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store_uri: str) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NLP_RNN_CACHE", str(tmp_path / "cache"))
    return tmp_path


def losses(folder: Path) -> list[float]:
    result = json.loads((folder / "result.json").read_text())
    client = MlflowClient(tracking_uri=result["tracking_uri"])
    experiment = client.get_experiment_by_name("nlp_rnn").experiment_id
    runs = {run.data.tags["run_folder"]: run for run in client.search_runs([experiment])}
    run = runs[str(folder)]
    assert run.info.status == "FINISHED"
    return [p.value for p in client.get_metric_history(run.info.run_id, "train/loss")]


@pytest.mark.parametrize("started", ["here", pytest.param("torchrun", marks=pytest.mark.slow)])
def test_two_processes_give_the_losses_of_one_in_one_run(here: Path, started: str) -> None:
    assert main(["train", *WORDS, "hydra.run.dir=one"]) == 0
    if started == "here":
        done = warm.run(["nlp-rnn", "train", *WORDS, "trainer.processes=2", "hydra.run.dir=two"])
    else:
        arguments = [*TORCHRUN, "hydra.run.dir=two"]
        done = subprocess.run(arguments, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("epoch 2/2") == 1
    assert losses(here / "two") == pytest.approx(losses(here / "one"), abs=1e-4)
    assert "processes: 2" in (here / "two" / "resolved.yaml").read_text()
    result = json.loads((here / "one" / "result.json").read_text())
    client = MlflowClient(tracking_uri=result["tracking_uri"])
    assert len(client.search_runs([client.get_experiment_by_name("nlp_rnn").experiment_id])) == 2


@pytest.mark.parametrize(
    ("whom", "number", "status"),
    [
        ("first", signal.SIGINT, "KILLED"),
        # nobody is left to write more
        pytest.param("first", signal.SIGKILL, "RUNNING", marks=pytest.mark.slow),
        pytest.param("second", signal.SIGKILL, "FAILED", marks=pytest.mark.slow),
    ],
    ids=["Ctrl-C", "kill -9", "a dying worker"],
)
def test_no_process_is_left_behind(
    here: Path,
    whom: str,
    number: int,
    status: str,
) -> None:
    out, err = here / "output.txt", here / "errors.txt"
    process = warm.start([*STOPPED, "hydra.run.dir=one"], out, err)
    warm.wait_for(process, out, "epoch 1/")
    first = psutil.Process(process.pid)
    (worker,) = [
        child for child in first.children() if "nlp_rnn.runs.worker_processes" in child.cmdline()
    ]
    (first if whom == "first" else worker).send_signal(number)
    process.join(60)
    worker.wait(10)
    origin = json.loads((here / "one" / "checkpoint" / "run.json").read_text())
    client = MlflowClient(tracking_uri=origin["tracking_uri"])
    assert client.get_run(origin["run_id"]).info.status == status
    if status == "FAILED":
        assert "Process 2 of 2 ended with exit code -9: it was killed" in err.read_text()
        assert process.exitcode == 1
        # and it can be resumed
        assert main(["train", "resume=one"]) == 0


def test_a_cache_that_is_not_shared_is_reported(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="NLP_RNN_CACHE") as error:
        open_tokens(tmp_path / "elsewhere.arrow")
    assert len(str(error.value).splitlines()) == 2


def test_a_process_that_cannot_start_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    config = compose(["trainer.processes=2"])
    with pytest.raises(TrainingError, match="Process 2 of 2 ended with exit code 1"):
        processes_of(config).__enter__()


def test_torchrun_must_agree_with_the_words(
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    for name, value in (("RANK", 0), ("WORLD_SIZE", 2), ("LOCAL_RANK", 0), ("LOCAL_WORLD_SIZE", 2)):
        monkeypatch.setenv(name, str(value))
    assert main(["train", *WORDS, "trainer.processes=3"]) == 2
    assert "torchrun started 2 processes" in capsys.readouterr().err
    assert main(["train", *WORDS, "-m", "seed=1,2"]) == 2
    assert "torchrun trains one run" in capsys.readouterr().err
