"""A sweep is one run with a child for each job, even after failures and kill -9."""

import json
import os
import signal
import subprocess
import sys
import time
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

import nlp_rnn
from nlp_rnn.cli import main
from nlp_rnn.errors import ConfigError
from nlp_rnn.sweeps.jobs import Job, expand_grid
from nlp_rnn.sweeps.progress import duration
from nlp_rnn.sweeps.sweep_arguments import changes_only_how, compose_sweep
from tests import warm

SMALL = [
    "data.train_rows=200",
    "data.test_rows=60",
    "data.train_sentences=2",
    "model.hidden_size=8",
    "model.embedding_size=8",
    "trainer.max_epochs=2",
    "tracking.system_metrics=false",
    "tracking.speed=none",
]
COMMAND = [sys.executable, "-m", "nlp_rnn", "train"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "a folder's name"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("NLP_RNN_CACHE", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def store(here: Path, prepared_store: Path) -> MlflowClient:
    (here / "mlflow.db").write_bytes(prepared_store.read_bytes())
    return MlflowClient(tracking_uri=f"sqlite:///{here}/mlflow.db")


def jobs(*arguments: str) -> tuple[Job, ...]:
    with compose_sweep(arguments) as command:
        return expand_grid(command)


def runs(client: MlflowClient) -> tuple[Any, dict[str, Any]]:
    """The sweep's run, and its children by name."""
    experiment = client.get_experiment_by_name("nlp_rnn")
    all_runs = client.search_runs([experiment.experiment_id])
    parents = [run for run in all_runs if run.data.tags["kind"] == "sweep"]
    assert len(parents) == 1
    children = [run for run in all_runs if run.data.tags["kind"] == "train"]
    for child in children:
        assert child.data.tags["mlflow.parentRunId"] == parents[0].info.run_id
        assert child.data.tags["sweep"] == parents[0].data.tags["sweep"]
    by_name = {run.info.run_name: run for run in children}
    assert len(by_name) == len(children)
    return parents[0], by_name


@pytest.mark.parametrize(
    ("preset", "count", "names"),
    [
        ("cells", 10, ["lstm h128 seed1", "gru h128 seed5"]),
        ("cells_matched", 10, ["lstm h128 seed1"]),
        ("sizes", 24, ["gru h32 seed3", "lstm h256 seed1"]),
        ("labels", 30, ["gru h128 fraction=0.05 seed2"]),
    ],
)
def test_presets(preset: str, count: int, names: list[str]) -> None:
    grid = jobs(f"sweep={preset}")
    assert len(grid) == count == len({job.key for job in grid})
    assert set(names) <= {job.name for job in grid}


def test_arguments_replace_those_of_a_preset() -> None:
    grid = jobs("sweep=cells", "seed=7,8", "model.hidden_size=16")
    assert [job.name for job in grid] == [
        "lstm h16 seed7",
        "lstm h16 seed8",
        "gru h16 seed7",
        "gru h16 seed8",
    ]
    assert grid[0].overrides == ("model.hidden_size=16", "model=lstm", "seed=7")


def test_a_job_has_the_same_key_whichever_sweep_asks_for_it() -> None:
    first = {job.name: job.key for job in jobs("model=lstm,gru", "seed=1,2", "sweep.jobs=1")}
    second = {job.name: job.key for job in jobs("seed=2,3", "model=gru", "sweep.on_failure=stop")}
    assert first["gru h128 seed2"] == second["gru h128 seed2"]
    assert first["gru h128 seed1"] not in second.values()


def test_jobs_that_differ_in_the_seed_equal_jobs_that_are_composed_alone() -> None:
    together = jobs("model=gru", "model.match=lstm", "seed=1,2")
    alone = [jobs(*job.overrides)[0] for job in together]
    assert [job.config for job in together] == [job.config for job in alone]
    assert [job.key for job in together] == [job.key for job in alone]
    follows = jobs("seed=1,2", "data.seed=${seed}")
    assert [(job.config.seed, job.config.data.seed) for job in follows] == [(1, 1), (2, 2)]


def test_keys_of_a_swept_choice_are_checked_against_each_job() -> None:
    grid = jobs("data=imdb,sst2", "data.drop_leaks=true", "seed=1")
    assert [(job.config.data.name, job.config.data.drop_leaks) for job in grid] == [  # type: ignore[attr-defined]
        ("imdb", True),
        ("sst2", True),
    ]
    grid = jobs("data=files", "data.path=one.csv,two.csv", "data.text=title", "seed=1")
    assert [Path(job.config.data.path).name for job in grid] == [  # type: ignore[attr-defined]
        "one.csv",
        "two.csv",
    ]
    grid = jobs("data=files,hub", "data.path=one.csv", "data.label_names=[a,b]", "seed=1")
    assert [job.config.data.name for job in grid] == ["files", "hub"]
    grid = jobs("tokenizer=bpe,unigram", "tokenizer.vocab_size=900", "seed=1", "sweep.jobs=1")
    assert [job.config.tokenizer.vocab_size for job in grid] == [900, 900]  # type: ignore[attr-defined]


def test_a_preset_can_sweep_a_choice_with_its_keys(here: Path) -> None:
    (here / "sweep").mkdir()
    (here / "sweep" / "sets.yaml").write_text(
        "# @package _global_\nhydra:\n  mode: MULTIRUN\n  sweeper:\n    params:\n"
        "      data: imdb,sst2\n      seed: 1,2\n"
    )
    grid = jobs("--config-dir", str(here), "sweep=sets", "data.drop_leaks=true", "seed=3")
    assert [(job.config.data.name, job.config.seed) for job in grid] == [("imdb", 3), ("sst2", 3)]


def test_a_key_that_one_of_the_choices_does_not_have_is_an_error() -> None:
    for data in ("stories,imdb", "imdb,stories"):
        with pytest.raises(ConfigError, match=r"data.drop_leaks has no effect"):
            jobs(f"data={data}", "data.drop_leaks=true", "seed=1")
    with pytest.raises(ConfigError, match=r"data.path is not set"):
        jobs("data=files,hub", "seed=1")


def test_duplicates_run_once() -> None:
    assert len(jobs("seed=1,1,2")) == 2
    assert len(jobs("model=gru", "model.cell=gru,gru", "seed=1")) == 1
    assert len(jobs("model.forget_bias=1,1.0", "seed=1")) == 1


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("seed=range(3,3)", "The sweep is empty: seed has no value."),
        ("tracking.experiment=a,b", "tracking.experiment cannot be swept"),
        ("sweep.jobs=1,2", "sweep.jobs cannot be swept"),
        ("sweep.jobs=0", "sweep.jobs must be at least 1, not 0."),
        ("sweep.jobs=1000", "sweep.jobs=1000 would leave jobs without a core"),
        ("sweep.on_failure=explode", "Set sweep.on_failure to one of continue, stop."),
        ("model.hidden_size=interval(1,5)", "is a range and has no single values to try"),
        ("modl=gru,lstm", "There is no key modl."),
        ("model.dropout=0.1,0.2", "model.dropout=0.1 acts between layers"),
        ("seed=1,2 hydra.sweep.subdir=${hydra.job.num}", "Set output_dir=FOLDER"),
        ("seed=1,2 output_dir=out/${hydra.job.override_dirname}", "a folder of its own"),
        ("sweep=everything", "There is no sweep=everything; there are best, cells,"),
        ("seed=1,2 hydra/launcher=pbs", "Set sweep.backend=processes, slurm or ray"),
        ("seed=1,2 hydra/launcher=submitit_slurm", "Set sweep.backend=slurm instead."),
        ("seed=1,2 hydra.launcher.timeout_min=5", "Set slurm.time=… instead."),
        ("seed=1,2 hydra/launcher=joblib", "sweeps do not use Hydra's launchers"),
        ("seed=1,2 slurm.time=5", "slurm.… has no effect with sweep.backend=processes"),
        ("seed=1,2 sweep.restarts=-1", "sweep.restarts must be at least 0, not -1."),
        (
            "seed=1,2 search.seeds=3",
            "search.… has no effect on a sweep without a hyperparameter search",
        ),
        ("resume=nothing", "There is no sweep 'nothing' in this experiment"),
        ("seed=1,2 resume=last", "There is no sweep 'last' in this experiment"),
        ("seed=1,2 resume=184474e5", "There is no sweep '184474e5' in this experiment"),
        ("seed=1,2 resume=01844745", "There is no sweep '01844745' in this experiment"),
    ],
)
def test_wrong_arguments_are_reported_in_two_lines_and_leave_nothing(
    here: Path,
    store: MlflowClient,
    capsys: pytest.CaptureFixture[str],
    arguments: str,
    expected: str,
) -> None:
    assert main(["train", "-m", *arguments.split()]) == 2
    output = capsys.readouterr().err
    assert expected in output
    assert len(output.splitlines()) <= 2
    assert {path.name for path in here.iterdir()} <= {"mlflow.db", "mlartifacts"}


def test_a_folder_that_cannot_be_created_is_reported_before_anything_starts(
    here: Path, store: MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "file").write_text("no folder")
    assert main(["train", "-m", "seed=1,2", "hydra.sweep.dir=file/swept"]) == 1
    output = capsys.readouterr().err
    assert "cannot be created: Not a directory." in output
    assert len(output.splitlines()) == 2


def test_options_of_a_sweep_raise_an_error_for_one_run(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for override in ("sweep.jobs=2", "search.seeds=3"):
        assert main(["train", override]) == 2
        assert "Add -m" in capsys.readouterr().err


def test_a_dry_run_lists_the_jobs_and_leaves_nothing(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "sweep=cells", "model.dropout=0,0.2", "seed=1", "--dry-run"]) == 0
    output = capsys.readouterr().out
    assert "gru h128 dropout=0.0 seed1" in output
    assert "model.dropout=0.2 acts between layers" in output
    assert "4 jobs: model=lstm,gru model.dropout=0,0.2" in output
    assert "There is no earlier run" in output
    assert not list(here.iterdir())


def test_two_jobs_share_the_cores() -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one core cannot be shared out")
    cores = len(os.sched_getaffinity(0))
    with compose_sweep(["seed=1,2", "sweep.jobs=2"]) as command:
        assert [job.config.trainer.threads for job in expand_grid(command)] == [cores // 2] * 2
    grid = jobs("seed=1,2", "sweep.jobs=2", "trainer.threads=1")
    assert [job.config.trainer.threads for job in grid] == [1, 1]


def test_a_sweep_is_one_run_with_children_and_a_comparison(
    here: Path,
    store: MlflowClient,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_RUN_ID", "left over from an earlier day")
    arguments = [*SMALL, "model=lstm,gru", "model.num_layers=1,99", "seed=1,2"]
    assert main(["train", "-m", *arguments]) == 1
    output = capsys.readouterr()
    assert "4 of 8 jobs did not finish" in output.err
    assert "  gru h8 num_layers=99 seed2: FAILED: ConfigError" in output.err
    assert "[8/8]" in output.out

    parent, children = runs(store)
    assert len(children) == 8
    assert {run.info.status for name, run in children.items() if "=99" in name} == {"FAILED"}
    done = {name: run for name, run in children.items() if "=99" not in name}
    assert {run.info.status for run in done.values()} == {"FINISHED"}
    assert len({run.data.tags["configuration"] for run in done.values()}) == 2
    failed = children["gru h8 num_layers=99 seed1"]
    assert "between 1 and 16" in failed.data.tags["error"]
    assert [f.path for f in store.list_artifacts(failed.info.run_id)] == ["traceback.txt"]

    assert parent.info.status == "FAILED"
    assert parent.data.tags["progress"] == "4/4/8"
    assert parent.data.params == {
        "model": "lstm,gru",
        "model.num_layers": "1,99",
        "seed": "1,2",
    }
    assert parent.data.tags["command"].startswith("nlp-rnn train -m data.train_rows=200")
    best = store.get_run(parent.data.tags["best_run"])
    name = "validation/macro_f1"
    assert best.data.metrics[name] == max(run.data.metrics[name] for run in done.values())
    assert parent.data.metrics["best_test_accuracy"] == best.data.metrics["test/accuracy"]
    note = parent.data.tags["mlflow.note.content"]
    assert "4 of 8 jobs finished" in note
    assert "gru h8" in note
    assert f"nlp-rnn train -m resume={parent.data.tags['sweep']}" in note
    deployed = store.get_run(parent.data.tags["recommended_run"]).data
    sweep_id = parent.data.tags["sweep"]
    assert f"register it   nlp-rnn register {sweep_id} --name stories\n" in output.out
    assert f"nlp-rnn register {sweep_id} --name stories" in note
    folder = parent.data.tags["run_folder"]
    for location in (sweep_id, folder):
        assert nlp_rnn.load(location).config["provenance"]["seed"] == int(deployed.params["seed"])
    files = {f.path for f in store.list_artifacts(parent.info.run_id, "comparison")}
    assert {"comparison/report.html", "comparison/summary.md"} <= files

    assert main(["train", "-m", *arguments, "--dry-run"]) == 0
    assert "in total, estimated from earlier runs" in capsys.readouterr().out

    # Resuming runs only the failed jobs again.
    assert main(["train", "-m", *arguments, "resume=last", "sweep.compare=false"]) == 1
    output = capsys.readouterr()
    assert "4 of 8 jobs are finished already." in output.out
    again = store.search_runs([parent.info.experiment_id], "tags.kind = 'train'")
    assert len(again) == 12
    assert store.get_run(parent.info.run_id).data.tags["progress"] == "4/4/8"


def test_the_first_failure_can_stop_a_sweep(here: Path, store: MlflowClient) -> None:
    arguments = [*SMALL, "seed=1,2", "model.num_layers=99,1", "sweep.on_failure=stop"]
    assert main(["train", "-m", *arguments, "hydra.sweep.dir=swept"]) == 1
    parent, children = runs(store)
    assert list(children) == ["gru h8 num_layers=99 seed1"]
    assert "not run" in parent.data.tags["mlflow.note.content"]
    folders = (path for path in (here / "swept").glob("[!.]*") if path.is_dir())
    assert {path.name for path in folders} == {
        Path(children["gru h8 num_layers=99 seed1"].data.tags["run_folder"]).name
    }


def start(*arguments: str) -> ForkServerProcess:
    """Start a sweep in its own session and return when its second job has started."""
    long = ["trainer.max_epochs=6", "trainer.patience=6", "data.train_rows=600"]
    long += ["trainer.checkpoint_minutes=0", "sweep.compare=false", "hydra.sweep.dir=swept"]
    output = Path("output.txt")
    command = ["nlp-rnn", "train", "-m", *SMALL, *long, "seed=1,2,3", *arguments]
    process = warm.start(command, output, output)
    deadline = time.monotonic() + 120
    while process.is_alive() and time.monotonic() < deadline:
        if list(Path("swept").glob("*/result.json")) and any(
            "epoch 2" in path.read_text() and not (path.parent / "result.json").exists()
            for path in Path("swept").glob("*/output.log")
        ):
            return process
        time.sleep(0.02)
    raise AssertionError(output.read_text())


@pytest.mark.parametrize(
    ("number", "code"),
    [
        pytest.param(signal.SIGINT, 130, id="ctrl-c"),
        pytest.param(signal.SIGTERM, 143, id="kill", marks=pytest.mark.slow),
    ],
)
def test_a_sweep_that_is_stopped_leaves_nothing_running(
    here: Path, store: MlflowClient, number: signal.Signals, code: int
) -> None:
    process = start()
    assert process.pid is not None
    os.kill(process.pid, number)
    process.join(60)
    output = Path("output.txt").read_text()
    assert process.exitcode == code, output
    parent, children = runs(store)
    statuses = sorted(run.info.status for run in children.values())
    assert statuses == ["FINISHED", "KILLED"]
    assert parent.info.status == "KILLED"
    assert f"nlp-rnn train -m resume={parent.data.tags['sweep']}" in output


def kill_9(process: ForkServerProcess) -> None:
    """Kill a process and everything that it started."""
    assert process.pid is not None
    os.killpg(process.pid, signal.SIGKILL)
    process.join()


@pytest.mark.slow
def test_a_sweep_is_resumed_after_kill_9(here: Path, store: MlflowClient) -> None:
    process = start()
    kill_9(process)
    parent, children = runs(store)
    assert parent.info.status == "RUNNING"
    finished = {name: r.info.run_id for name, r in children.items() if r.info.status == "FINISHED"}
    interrupted = {name: r.info.run_id for name, r in children.items() if name not in finished}
    assert len(finished) == len(interrupted) == 1

    assert main(["train", "-m", f"resume={parent.data.tags['sweep']}"]) == 0
    again, children = runs(store)
    assert again.info.run_id == parent.info.run_id
    assert again.info.status == "FINISHED"
    assert again.data.tags["progress"] == "3/0/3"
    assert len(children) == 3
    assert {run.info.status for run in children.values()} == {"FINISHED"}
    for name, run_id in (finished | interrupted).items():
        assert children[name].info.run_id == run_id
    for run in children.values():
        folder = Path(run.data.tags["run_folder"])
        assert json.loads((folder / "result.json").read_text())["run_id"] == run.info.run_id


@pytest.mark.slow
def test_two_sweeps_of_the_same_second_are_two(here: Path, store: MlflowClient) -> None:
    arguments = [*COMMAND, "-m", *SMALL, "trainer.max_epochs=1", "seed=1", "sweep.compare=false"]
    both = [subprocess.Popen(arguments, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait(120) for process in both] == [0, 0]
    all_runs = store.search_runs(["1"])
    parents = [run for run in all_runs if run.data.tags["kind"] == "sweep"]
    assert len({run.data.tags["sweep"] for run in parents}) == 2
    assert len({run.data.tags["run_folder"] for run in all_runs}) == 4


@pytest.mark.slow
def test_two_workers_give_the_same_parent_and_children(here: Path, store: MlflowClient) -> None:
    arguments = [*SMALL, "model=lstm,gru", "seed=1,2", "sweep.compare=false"]
    assert main(["train", "-m", *arguments, "sweep.jobs=2"]) == 0
    parent, children = runs(store)
    assert sorted(children) == ["gru h8 seed1", "gru h8 seed2", "lstm h8 seed1", "lstm h8 seed2"]
    assert {run.info.status for run in children.values()} == {"FINISHED"}
    assert parent.data.tags["progress"] == "4/0/4"


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("launcher", [[], ["sweep.jobs=2"]], ids=["one", "two at a time"])
def test_twenty_sweeps_are_killed_and_resumed(
    here: Path, store: MlflowClient, launcher: list[str]
) -> None:
    for number in range(20):
        for path in here.glob("*"):
            if path.name == "swept":
                subprocess.run(["rm", "-rf", path], check=True)
        process = start(*launcher, f"tracking.experiment=number{number}")
        kill_9(process)
        arguments = ["resume=last", f"tracking.experiment=number{number}"]
        assert subprocess.run([*COMMAND, "-m", *SMALL, *arguments]).returncode == 0


def test_durations_are_for_people() -> None:
    assert [duration(s) for s in (0.4, 59, 185, 7800)] == ["0 s", "59 s", "3 min 5 s", "2 h 10 min"]


def test_a_sweep_is_resumed_with_other_options_of_how_it_runs() -> None:
    assert changes_only_how(["tracking.uri=sqlite:///x", "sweep.jobs=2", "slurm.time=20"])
    assert not changes_only_how(["tracking.uri=sqlite:///x", "model=lstm"])
