"""A search runs the same number of trials for every cell and is resumed after kill -9."""

import io
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from nlp_rnn.cli import main
from nlp_rnn.config.sweep import SearchConfig
from nlp_rnn.config.training import Monitor
from nlp_rnn.errors import PrunedError
from nlp_rnn.sweeps.child_runs import Child
from nlp_rnn.sweeps.progress import JobCounts, JobEnd, SweepProgress
from nlp_rnn.sweeps.pruning import load_study, on_epoch
from nlp_rnn.sweeps.sweep_arguments import compose_sweep
from nlp_rnn.training.events import EpochEnd
from tests.servers import postgresql

optuna = pytest.importorskip("optuna", reason="pip install 'nlp_rnn[optuna]'")

from nlp_rnn.sweeps.search import Search, _finish_trial  # noqa: E402
from nlp_rnn.sweeps.search_studies import study_with_space  # noqa: E402

SMALL = [
    "data.train_rows=200",
    "data.test_rows=60",
    "data.train_sentences=2",
    "model.embedding_size=8",
    "trainer.max_epochs=3",
    "trainer.threads=1",
    "tracking.system_metrics=false",
    "tracking.speed=none",
]
SPACE = [
    "sweep=search",
    "optimizer.weight_decay=0.01",
    "model.embedding_dropout=0.1",
    "model.head_dropout=interval(0.0,0.5)",
    "model.hidden_size=int(interval(4,9))",
]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store_uri: str) -> MlflowClient:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NLP_RNN_CACHE", str(tmp_path / "cache"))
    return MlflowClient(tracking_uri=store_uri)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("seed=1,2", "A search trains every trial with one seed"),
        ("search.trials_per_cell=0", "search.trials_per_cell=0 must be at least 1"),
        ("search.study=mine search.trial=7", "are set by the sweep"),
        ("search.seeds=-1", "search.seeds=-1 at least 0"),
        ("model.head_dropout=interval(0.5,0.1)", "is not a valid range"),
        ("optimizer.learning_rate=tag(log,interval(0,1))", "above 0 for log"),
        ("search.pruner=sharp", "Set search.pruner to one of none, median, hyperband."),
        ("model.num_layers=99", "model.num_layers must be between 1 and 16"),
    ],
)
def test_wrong_words(
    store: MlflowClient, capsys: pytest.CaptureFixture[str], arguments: str, expected: str
) -> None:
    assert main(["train", *SPACE, *arguments.split()]) == 2
    message = capsys.readouterr().err
    assert expected in message
    assert len(message.splitlines()) <= 2


def test_a_search_needs_something_to_tune() -> None:
    arguments = ["model=lstm,gru", "search.trials_per_cell=3"]
    with (
        pytest.raises(Exception, match="The search has no key to tune"),
        compose_sweep(arguments) as command,
    ):
        Search(command)


def test_the_budget_is_counted() -> None:
    with compose_sweep([*SPACE, "search.trials_per_cell=7", "search.seeds=2"]) as command:
        search = Search(command)
        assert search.count == 2 * (7 + 2)
        assert [job.config.model.name for job in search.first_jobs()] == ["lstm", "gru"]


def test_the_first_trial_is_the_configuration_as_it_is() -> None:
    with compose_sweep(["sweep=search", "model.head_dropout=interval(0.0,0.2)"]) as command:
        search = Search(command)
        study = optuna.create_study(direction="maximize")
        search._enqueue_unchanged(study, search._cells[0])
        job = search._job(0, study.ask(), study)
        # null, and outside the range
        assert job.config.optimizer.learning_rate is None
        assert job.config.network.embedding_dropout is None
        assert job.config.network.head_dropout == 0.5
        assert job.config == search.first_jobs()[0].config
        study.tell(0, 0.9)
        again = search._job(0, study.trials[0])  # as a resumed search reads it
        assert (again.key, again.name) == (job.key, job.name)
        search._job(0, (second := study.ask()), study)
        study.tell(second, 0.1)
        assert set(study.trials[1].params) == {item.key for item in search._dimensions}
        progress = SweepProgress(JobCounts(4, 0), list[str]().append, io.StringIO())
        best = search._best(search._cells[0], study, progress)
        assert best[0].config.network.embedding_dropout is None
        assert best[0].key == job.key  # both have the seed 1


def drawn(folder: Path, *, jobs: int = 1, interrupted: bool) -> dict[str, list[str]]:
    """Points of both cells of a search that is perhaps interrupted in every batch."""
    space = [*SPACE, "model.hidden_size=8,16", f"sweep.jobs={jobs}"]
    points: dict[str, dict[int, str]] = {"model=lstm": {}, "model=gru": {}}
    folder.mkdir()
    with compose_sweep([*space, "search.trials_per_cell=14"]) as command:
        search = Search(command)
        options = replace(command.sweep_options.search, storage=f"sqlite:///{folder / 'search.db'}")
        cells = [" ".join(cell) for cell in search._cells]

        def load() -> list[Any]:
            return [load_study(options, cell, Monitor.macro_f1) for cell in cells]

        studies = load()
        for number, study in enumerate(studies):
            search._enqueue_unchanged(study, search._cells[number])
        while batch := search._next_trials(studies):
            if interrupted:  # when only one of the batch has its values
                search._job(batch[0][0], batch[0][1], studies[batch[0][0]])
                studies = load()
                batch = search._next_trials(studies)
            for number, trial in batch:
                search._job(number, trial, studies[number])
                points[cells[number]][trial.number] = str(trial.params)
            for number, trial in batch:
                dropout = trial.params["model.head_dropout"]
                studies[number].tell(trial, 1 - (dropout - 0.3) ** 2)
    return {cell: [values[i] for i in sorted(values)] for cell, values in points.items()}


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_an_interrupted_search_draws_the_same_points(tmp_path: Path, jobs: int) -> None:
    whole = drawn(tmp_path / "whole", jobs=jobs, interrupted=False)
    assert [len(points) for points in whole.values()] == [14, 14]
    assert len(set(whole["model=gru"])) == 14
    assert whole["model=gru"] == whole["model=lstm"]  # with the same results
    assert drawn(tmp_path / "interrupted", jobs=jobs, interrupted=True) == whole


@pytest.mark.parametrize(
    ("status", "stopped", "ended"),
    [
        ("FINISHED", False, True),
        ("FAILED", False, True),
        ("FAILED", True, True),
        ("KILLED", False, False),
        (None, True, False),
        (None, False, True),
    ],
)
def test_a_trial_that_was_killed_or_not_started_is_continued(
    status: str | None, stopped: bool, ended: bool
) -> None:
    study = optuna.create_study(direction="maximize")
    trial = study.ask()
    metrics = {"validation/macro_f1": 0.5}
    child = None if status is None else Child("key", "run", "job", status, 1.0, {}, metrics)
    assert _finish_trial(study, trial, child, Monitor.macro_f1, stopped) is ended
    running = optuna.trial.TrialState.RUNNING
    assert [frozen.state is running for frozen in study.trials] == [not ended]


def test_a_finished_trial_is_never_pruned(tmp_path: Path) -> None:
    options = SearchConfig(storage=f"sqlite:///{tmp_path / 'search.db'}", study="one")
    study = load_study(options, "one", Monitor.macro_f1)
    for _ in range(6):
        trial = study.ask()
        trial.report(0.9, 1)
        trial.report(0.9, 2)
        study.tell(trial, 0.9)
    trial = study.ask()
    report = on_epoch(replace(options, trial=trial._trial_id), Monitor.macro_f1)
    behind = {"validation/macro_f1": 0.1}
    report(EpochEnd(2, 2, 10, behind, best=False, is_last=True))
    assert study.trials[-1].intermediate_values == {2: 0.1}
    with pytest.raises(PrunedError, match=r"pruned after epoch 1: .* is behind \(median\)"):
        report(EpochEnd(1, 2, 5, behind, best=False))


def test_jobs_without_a_run_are_counted_with_a_reason() -> None:
    out, progress_tags = io.StringIO(), list[str]()
    counts = JobCounts(4, 0)
    progress = SweepProgress(counts, progress_tags.append, out)
    counts.count_earlier(1, 0)
    progress.report("gru trial0 seed1", JobEnd("FINISHED", "accuracy 0.5000", True, 2.0))
    progress.count_without_run("gru trial1 seed1", "is the same as gru trial0 seed1")
    progress.drop(1, "model=lstm: no trial finished")
    assert [line.split("  ")[0] for line in out.getvalue().splitlines() if "[" in line] == [
        "[2/4]",
        "[3/4]",
        "[3/3]",
    ]
    assert "gru trial1 seed1  is the same as gru trial0 seed1" in out.getvalue()
    assert progress_tags[-1] == "3/0/3"


def test_without_optuna_one_line_says_what_to_run(
    store: MlflowClient, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert main(["train", *SPACE]) == 2
    assert "pip install 'nlp_rnn[optuna]'" in capsys.readouterr().err


def test_failed_trials_wait_to_be_run_again(tmp_path: Path) -> None:
    space = ["model.hidden_size=8,16,32"]
    before = resumed(tmp_path, space, budget=2)
    with compose_sweep(["model=gru", "search.trials_per_cell=3", *space]) as command:
        search = Search(command)
        options = replace(command.sweep_options.search, storage=f"sqlite:///{tmp_path}/search.db")
        unchanged = search._unchanged(search._cells[0])
        study = load_study(options, "one", Monitor.macro_f1)
        study.tell(study.ask(), state=optuna.trial.TrialState.FAIL)
        arguments = (options, "one", Monitor.macro_f1, search._dimensions, unchanged)
        study = study_with_space(*arguments)
        states = [trial.state.name for trial in study.trials]
        assert states == ["COMPLETE"] * 2 + ["WAITING"]
        assert [(trial.params, trial.value) for trial in study.trials[:2]] == before
        assert study_with_space(*arguments).study_name == study.study_name


@pytest.mark.slow
def test_failed_trials_are_run_again_by_resume(
    store: MlflowClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests import fake_training

    def train(config: Any, folder: Path, overrides: list[str], membership: Any) -> Any:
        if config.model.num_layers == 2 and broken:
            raise ValueError("layer 2 is broken")
        membership = replace(membership, on_epoch=lambda event: None)
        return fake_training.train(config, folder, overrides, membership)

    broken = True
    monkeypatch.setenv("FAKE_SECONDS", "0")
    monkeypatch.setattr("nlp_rnn.pipeline.train", train)
    arguments = ["model=gru", "model.num_layers=1,2", "search.trials_per_cell=4", "search.seeds=0"]
    arguments += ["output_dir=swept", "sweep.compare=false"]
    assert main(["train", "-m", *arguments]) == 1
    failed = capsys.readouterr().err.count("layer 2 is broken")
    assert failed > 0
    broken = False
    assert main(["train", "-m", "resume=last"]) == 0
    output = capsys.readouterr()
    assert "broken" not in output.out + output.err
    assert f"Ended before: {4 - failed} of 4 jobs." in output.out
    all_runs = store.search_runs(["1"], "tags.kind != 'sweep'")
    names = {
        status: {run.info.run_name for run in all_runs if run.info.status == status}
        for status in ("FAILED", "FINISHED")
    }
    assert len(names["FAILED"]) == failed
    assert names["FAILED"] < names["FINISHED"]
    (parent,) = store.search_runs(["1"], "tags.kind = 'sweep'")
    assert parent.info.status == "FINISHED"
    study = optuna.load_study(
        study_name=f"{parent.data.tags['sweep']} all space 2",
        storage="sqlite:///swept/search.db",
    )
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 4


@pytest.mark.slow
def test_a_search_is_resumed_after_kill_9(tmp_path: Path, store: MlflowClient) -> None:
    arguments = [
        *SMALL,
        *SPACE,
        "search.trials_per_cell=4",
        "search.seeds=1",
        "sweep.compare=false",
    ]
    arguments += ["hydra.sweep.dir=swept"]
    process = subprocess.Popen(
        [sys.executable, "-m", "nlp_rnn", "train", *arguments],
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    while process.poll() is None and len(list((tmp_path / "swept").glob("*/result.json"))) < 3:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert main(["train", "-m", "resume=last"]) == 0

    all_runs = store.search_runs(["1"])
    (parent,) = (run for run in all_runs if run.data.tags["kind"] == "sweep")
    assert parent.info.status == "FINISHED"
    trials = [run for run in all_runs if " trial" in run.info.run_name]
    for cell in ("lstm", "gru"):
        numbers = {
            run.info.run_name.split()[2] for run in trials if run.info.run_name.startswith(cell)
        }
        assert numbers == {"trial0", "trial1", "trial2", "trial3"}
    for run in trials:
        given_up = "pruned" in run.data.tags or "error" in run.data.tags
        assert run.info.status == ("KILLED" if given_up else "FINISHED")
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
    files = {f.path for f in store.list_artifacts(parent.info.run_id, "search")}
    assert "search/best_by_trials.png" in files
    note = parent.data.tags["mlflow.note.content"]
    assert "10 of 10 jobs finished" in note  # two best trials are counted again

    study = optuna.load_study(
        study_name=f"{parent.data.tags['sweep']} model=gru",
        storage=f"sqlite:///{tmp_path}/swept/search.db",
    )
    assert len(study.trials) == 4
    assert study.trials[0].params["model.head_dropout"] == 0.5  # the unchanged configuration
    best = max(
        run.data.metrics["validation/macro_f1"]
        for run in trials
        if run.data.tags["cell"] == "gru" and run.info.status == "FINISHED"
    )
    assert study.best_value == pytest.approx(best)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_trials_are_stored_in_postgresql(tmp_path: Path, store: MlflowClient) -> None:
    arguments = [
        *SMALL,
        *SPACE,
        "search.trials_per_cell=2",
        "search.seeds=0",
        "sweep.compare=false",
    ]
    arguments += ["sweep.jobs=2", "hydra.sweep.dir=swept"]
    with postgresql() as address:
        arguments.append(f"search.storage='{address}'")
        subprocess.run([sys.executable, "-m", "nlp_rnn", "train", *arguments], check=True)
        all_runs = store.search_runs(["1"])
        (parent,) = (run for run in all_runs if run.data.tags["kind"] == "sweep")
        storage = optuna.storages.RDBStorage(address)
        for cell in ("lstm", "gru"):
            name = f"{parent.data.tags['sweep']} model={cell}"
            assert len(optuna.load_study(study_name=name, storage=storage).trials) == 2
        storage.remove_session()
        storage.engine.dispose()
    assert not (tmp_path / "swept" / "search.db").exists()
    for run in all_runs:
        assert "secret" not in str(run.to_dictionary())


@pytest.mark.slow
def test_a_trial_that_falls_behind_is_pruned(store: MlflowClient) -> None:
    arguments = [*SMALL, "model=gru", "search.trials_per_cell=8", "search.seeds=0"]
    arguments += [
        "optimizer.learning_rate=0.01,1e-9",
        "trainer.max_epochs=4",
        "model.hidden_size=16",
    ]
    assert main(["train", "-m", *arguments, "sweep.compare=false"]) == 0
    pruned = store.search_runs(["1"], "tags.pruned = 'true'")
    for run in pruned:
        assert run.info.status == "KILLED"
        assert "is behind (median)" in run.data.tags["error"]
        assert "test/accuracy" not in run.data.metrics


def resumed(
    folder: Path, space: list[str], *, budget: int, told: bool = True
) -> list[tuple[dict[str, Any], float | None]]:
    """Go on with a search of one cell, and return the parameters and values of all its trials."""
    unchanged = ["optimizer.weight_decay=0.01", "model.embedding_dropout=0.1"]
    arguments = ["model=gru", "search.trials_per_cell=9", *unchanged, *space]
    with compose_sweep(arguments) as command:
        search = Search(command)
        options = replace(command.sweep_options.search, storage=f"sqlite:///{folder / 'search.db'}")
        cell = search._cells[0]
        study = study_with_space(
            options, "one", Monitor.macro_f1, search._dimensions, search._unchanged(cell)
        )
        if not study.trials:
            search._enqueue_unchanged(study, cell)
        for _ in range(budget - sum(trial.state.is_finished() for trial in study.trials)):
            ((_, trial),) = search._next_trials([study])
            search._job(0, trial, study)
            if told:
                study.tell(trial, len(study.trials) / 10)
        for trial in study.trials:  # as at the start of a resumed search
            if trial.state.is_finished():
                search._job(0, trial)
        return [(trial.params, trial.value) for trial in study.trials]


CHANGED_SPACES = {
    "one more choice": (["model.hidden_size=8,16"], ["model.hidden_size=8,16,32"]),
    "a wider interval": (
        ["model.head_dropout=interval(0.1,0.2)"],
        ["model.head_dropout=interval(0.0,0.6)"],
    ),
    "an interval of integers that is wider": (
        ["model.hidden_size=int(interval(8,16))"],
        ["model.hidden_size=int(interval(4,64))"],
    ),
    "a log scale": (
        ["optimizer.learning_rate=interval(1e-3,1e-2)"],
        ["optimizer.learning_rate=tag(log,interval(1e-4,1e-1))"],
    ),
    "choices instead of an interval": (
        ["model.hidden_size=int(interval(8,9))"],
        ["model.hidden_size=8,9,64"],
    ),
    "one more key": (
        ["model.hidden_size=8,16"],
        ["model.hidden_size=8,16", "model.head_dropout=interval(0.0,0.6)"],
    ),
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name, marks=[] if name in ("a wider interval", "one more key") else pytest.mark.slow
        )
        for name in CHANGED_SPACES
    ],
)
def test_a_search_is_resumed_with_another_space(tmp_path: Path, name: str) -> None:
    before, after = CHANGED_SPACES[name]
    old = resumed(tmp_path, before, budget=4)
    new = resumed(tmp_path, after, budget=9)
    assert len(new) == 9
    for (old_values, old_value), (values, value) in zip(old, new[:4], strict=True):
        assert {key: str(values[key]) for key in old_values} == {
            key: str(value) for key, value in old_values.items()
        }
        assert value == old_value
    assert resumed(tmp_path, after, budget=9) == new  # the same space again
    if name == "one more key":
        assert {values["model.head_dropout"] for values, _ in new[:4]} == {0.5}


def test_trials_outside_of_a_narrower_space_do_not_count(tmp_path: Path) -> None:
    old = resumed(tmp_path, ["model.hidden_size=8,16,32"], budget=6)
    inside = [values for values, _ in old if values.get("model.hidden_size") != "32"]
    assert 0 < len(inside) < 6
    new = resumed(tmp_path, ["model.hidden_size=8,16"], budget=7)
    assert [values for values, _ in new[: len(inside)]] == inside
    assert len(new) == 7


def test_an_interrupted_trial_is_repeated_in_the_new_space(tmp_path: Path) -> None:
    resumed(tmp_path, ["model.hidden_size=8,16"], budget=3)
    old = resumed(tmp_path, ["model.hidden_size=8,16"], budget=4, told=False)
    new = resumed(tmp_path, ["model.hidden_size=8,16,32"], budget=6)
    assert [values for values, _ in new[:4]] == [values for values, _ in old]
