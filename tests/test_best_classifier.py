"""`sweep=best`: steps that are kept if validation says so, within a time, and one classifier."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf

import nlp_rnn
from nlp_rnn.cli import main
from nlp_rnn.config.signature import plain
from nlp_rnn.config.training import TrainerConfig
from nlp_rnn.errors import ConfigError, TrackingError
from nlp_rnn.scoring.predictions import Predictions, write_predictions
from nlp_rnn.sweeps.best_changes import is_better
from nlp_rnn.sweeps.best_classifier import BestClassifier
from nlp_rnn.sweeps.child_runs import Child
from nlp_rnn.sweeps.jobs import Job
from nlp_rnn.sweeps.progress import JobCounts, SweepProgress
from nlp_rnn.sweeps.sweep_arguments import compose_sweep

TEXTS = 400


def child(
    folder: Path, accuracy: float, loss: float = 0.5, confidence: float = 0.9, **changes: Any
) -> Child:
    """Write the validation predictions of a run of which the first texts are right."""
    right = np.full(TEXTS, confidence)
    right[round(accuracy * TEXTS) :] = 1 - confidence
    write(folder, right)
    (folder / "classifier").mkdir(exist_ok=True)
    (folder / "classifier" / "config.json").write_text(folder.name)
    metrics = {"validation/accuracy": accuracy, "validation/loss": loss}
    values = {"key": folder.name, "run_id": folder.name, "name": folder.name, "seconds": 60.0}
    tags = {"run_folder": str(folder)}
    return Child(**(values | {"status": "FINISHED", "tags": tags, "metrics": metrics} | changes))


def write(folder: Path, right: np.ndarray) -> None:
    """Write validation predictions in which the labels have these probabilities."""
    folder.mkdir(parents=True, exist_ok=True)
    labels, count = np.zeros(len(right), np.int64), len(right)
    predictions = Predictions.from_probabilities(
        range(count), labels, np.stack([right, 1 - right], axis=1), np.ones(count), ("a", "b")
    )
    write_predictions(folder / "validation_predictions.parquet", predictions)


def test_accuracy_decides_if_it_differs_clearly_and_else_the_likelihood(tmp_path: Path) -> None:
    base = child(tmp_path / "base", 0.8)
    assert is_better(child(tmp_path / "clear", 0.84, confidence=0.99), base, 1)
    assert not is_better(child(tmp_path / "worse", 0.76, confidence=0.75), base, 0)
    # one text of 400 is less than two standard errors
    assert is_better(child(tmp_path / "likelier", 0.7975, confidence=0.8), base, 1)
    assert not is_better(child(tmp_path / "unlikelier", 0.8025, confidence=0.95), base, 0)
    other = child(tmp_path / "other", 0.9)
    write(tmp_path / "other", np.full(300, 0.9))
    with pytest.raises(TrackingError, match="validated on different texts"):
        is_better(other, base, 0)


def test_a_margin_is_in_standard_errors_of_the_difference(tmp_path: Path) -> None:
    draw = np.random.default_rng(1)
    right = draw.uniform(0.55, 0.9, TEXTS)
    gain = draw.normal(0, 0.05, TEXTS)
    gain += 0.002 - gain.mean()  # 0.8 standard errors
    first, second = child(tmp_path / "first", 1.0), child(tmp_path / "second", 1.0)
    write(tmp_path / "first", right * np.exp(gain))
    write(tmp_path / "second", right)
    assert [is_better(first, second, margin) for margin in (0, 0.7, 0.9)] == [True, True, False]
    assert not is_better(second, first, 0)
    assert not is_better(first, first, 0)


def test_multi_label_runs_are_compared_by_the_likelihood_of_all_labels(tmp_path: Path) -> None:
    runs = []
    for name, second in (("one", 0.2), ("other", 0.4)):
        runs.append(child(tmp_path / name, 1.0))
        probabilities = np.tile([0.9, second], (TEXTS, 1))
        probabilities += np.random.default_rng(0).uniform(-0.05, 0.05, (TEXTS, 2))
        predictions = Predictions.from_probabilities(
            range(TEXTS),
            np.tile([True, False], (TEXTS, 1)),
            probabilities,
            np.ones(TEXTS),
            ("a", "b"),
            np.array([0.5, 0.5]),
        )
        write_predictions(tmp_path / name / "validation_predictions.parquet", predictions)
    assert is_better(runs[0], runs[1], 1)
    assert not is_better(runs[1], runs[0], 0)


class FakeSweep:
    """Supervisor and children of a sweep, whose jobs take no time."""

    def __init__(self, folder: Path, quality: Callable[[Any], tuple[float, float]]) -> None:
        self.folder, self.quality, self.started = folder, quality, []
        self.children: dict[str, Child] = {}
        self.status: dict[str, str] = {}

    def run(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            self.started.append(job.name)
            changes = {"key": job.key, "name": job.name, "status": "FINISHED"}
            changes["status"] = self.status.get(job.name, "FINISHED")
            folder = self.folder / job.folder
            self.children[job.key] = child(folder, *self.quality(job.config), **changes)

    def read(self, patience: float = 0) -> dict[str, Child]:
        return dict(self.children)

    def search(self, *arguments: str) -> BestClassifier:
        with compose_sweep(["sweep=best", *arguments]) as command:
            search = BestClassifier(command)
            progress = SweepProgress(JobCounts(search.count, 0), lambda _: None)
            run: Any = SimpleNamespace(set_note=lambda _: None)
            sweep: Any = self
            search.run(sweep, JobCounts(search.count, 0), progress, sweep, self.folder, run)
        return search


def quality(config: Any) -> tuple[float, float]:
    """The GRU is better, adversarial training helps, more than one change of a step does not."""
    score = 0.8 + 0.03 * (config.model.cell == "gru")
    if config.trainer.adversarial:
        score += 0.05 if config.trainer.perturbation == 1 else 0.02
    if config.model.hidden_size > 128:
        score -= 0.05
    return score, 1.0 - score + 0.001 * config.seed


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSweep:
    monkeypatch.chdir(tmp_path)
    return FakeSweep(tmp_path / "sweep", quality)


def test_what_helps_on_validation_is_kept(sweep: FakeSweep) -> None:
    search = sweep.search("sweep.max_minutes=1000")
    best = "gru h128 adversarial1"
    assert sweep.started == [
        "lstm h128 seed1",
        "gru h128 seed1",
        "gru h384 pretrained seed1",
        "gru h256 large seed1",
        "gru h128 r_drop seed1",
        f"{best} seed1",
        "gru h128 adversarial5 seed1",
        f"{best} seed2",
        f"{best} seed3",
    ]
    assert len(sweep.started) == search.count
    assert sweep.children[search.chosen].name == f"{best} seed1"
    assert search.note.count("best so far") == 3
    assert f"| {best} seed1 | 88.00 | 0.1210 | 1 min 0 s | best so far |" in search.note


def test_what_the_time_does_not_allow_is_left_out(sweep: FakeSweep) -> None:
    search = sweep.search("sweep.max_minutes=5")
    # every training takes a minute, and a pretrained network five times as long as the best so far
    assert sweep.started[2:] == [
        "gru h256 large seed1",
        "gru h128 r_drop seed1",
        *(f"gru h128 adversarial{perturbation} seed1" for perturbation in (1, 5)),
        *(f"gru h128 adversarial1 seed{seed}" for seed in (2, 3)),
    ]
    assert (
        "gru h384 pretrained seed1 | | | | left out: needs about 6 min 15 s"
        in search.note.replace("  ", " ")
    )
    none = FakeSweep(sweep.folder / "none", quality)
    search = none.search("sweep.max_minutes=0.5", "model=gru")
    assert none.started == ["gru h128 seed1"]
    assert search.note.count("left out") == search.count - 1
    assert none.children[search.chosen].name == "gru h128 seed1"


def test_what_is_the_default_for_the_data_is_not_tried(sweep: FakeSweep) -> None:
    search = sweep.search("sweep.max_minutes=0.5", "model=gru")
    (key,) = sweep.children
    resolved = plain(replace(search.jobs[0].config, trainer=TrainerConfig(r_drop=1.0)))
    folder = Path(sweep.children[key].tags["run_folder"])
    (folder / "resolved.yaml").write_text(OmegaConf.to_yaml(resolved))
    search = sweep.search("sweep.max_minutes=1000", "model=gru")
    assert "| r_drop | | | | left out: it is the default for this data |" in search.note.replace(
        "  ", " "
    )
    assert not [name for name in sweep.started if "r_drop" in name]


def test_options_of_the_user_stay(sweep: FakeSweep) -> None:
    fixed = ["model=gru", "model.hidden_size=32", "trainer.adversarial=0", "trainer.r_drop=0"]
    search = sweep.search("sweep.max_minutes=1000", *fixed)
    assert "| large | | | | left out: model.hidden_size is set |" in search.note.replace("  ", " ")
    assert sweep.started == ["gru h32 seed1", "gru h32 seed2", "gru h32 seed3"]


def test_unlabelled_texts_are_used_where_they_have_an_effect(sweep: FakeSweep) -> None:
    sweep.folder = sweep.folder.with_name("a sweep's folder")
    data = ["data=files", "data.path=train.csv", "data.unlabelled=texts.txt"]
    search = sweep.search("sweep.max_minutes=1000", *data)
    assert len(search.jobs) == search.count
    jobs = {job.name: job for job in search.jobs if job.config.data.unlabelled}  # type: ignore[attr-defined]
    assert list(jobs) == [
        "gru h128 self seed1",
        "gru h384 pretrained seed1",
        "gru h128 adversarial1 distilled seed1",
    ]
    assert jobs["gru h384 pretrained seed1"].config.pretraining.max_minutes == 250
    # the student learns from all seeds of the best configuration, and from the other cell
    teacher = jobs["gru h128 adversarial1 distilled seed1"].config.teacher
    assert teacher.kind.name == "classifier"
    names = [
        *(f"gru h128 adversarial1 seed{seed}" for seed in (1, 2, 3)),
        *("lstm h128 seed1", "gru h128 seed1"),
    ]
    keys = {child.name: key for key, child in sweep.children.items()}
    folders = {job.key: job.folder for job in search.jobs}
    assert teacher.path == [
        str(sweep.folder / folders[keys[name]] / "classifier") for name in names
    ]


def test_a_teacher_of_the_user_is_the_teacher_of_all_trials(sweep: FakeSweep) -> None:
    data = ["data=files", "data.path=train.csv", "data.unlabelled=texts.txt", "teacher=self"]
    search = sweep.search("sweep.max_minutes=1000", "model=gru", *data)
    assert {job.config.teacher.kind.name for job in search.jobs} == {"self"}
    assert "self" not in search.note


def test_a_search_that_was_killed_is_resumed(sweep: FakeSweep) -> None:
    killed = "gru h128 adversarial5 seed1"
    sweep.status = {killed: "KILLED"}
    assert sweep.search("sweep.max_minutes=1000").chosen == ""
    assert sweep.started[-1] == killed
    record = sweep.folder / "best.json"
    saved = json.loads(record.read_text())
    record.write_text(json.dumps(saved | {"seconds": 60 * 995}))
    sweep.status, sweep.started = {}, []
    search = sweep.search("sweep.max_minutes=1000")
    # it was started before, so it is trained though little time is left
    assert sweep.started == [killed, "gru h128 adversarial1 seed2", "gru h128 adversarial1 seed3"]
    assert sweep.children[search.chosen].name == "gru h128 adversarial1 seed1"
    assert json.loads(record.read_text())["seconds"] >= 60 * 995


def test_a_trial_that_fails_is_named_and_the_others_continue(sweep: FakeSweep) -> None:
    sweep.status = {"gru h128 adversarial1 seed1": "FAILED"}
    search = sweep.search("sweep.max_minutes=1000", "model=gru")
    assert sweep.children[search.chosen].name == "gru h128 adversarial5 seed1"
    assert "FAILED" in search.note


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("seed=1,2", "found a sweep over seed"),
        ("search.trials_per_cell=3", "are two kinds of search"),
        ("sweep.max_minutes=0", "sweep.max_minutes must be"),
        ("search.seeds=2", "search.… has no effect"),
    ],
)
def test_wrong_arguments(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: str,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "sweep=best", *arguments.split()]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) <= 2
    with pytest.raises(ConfigError), compose_sweep(["sweep=best", "seed=1,2"]) as command:
        BestClassifier(command)


@pytest.mark.slow
def test_the_command_ends_with_a_classifier(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    store_uri: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NLP_RNN_CACHE", str(tmp_path / "cache"))
    rows = [("warm and kind", "good"), ("cold and late", "bad")] * 40
    lines = [f"{text} {number},{label}" for number, (text, label) in enumerate(rows)]
    Path("train.csv").write_text("\n".join(["text,label", *lines]) + "\n")
    texts = [f"kind or late {number}" for number in range(40)]
    Path("pool.csv").write_text("\n".join(["text", *texts]) + "\n")
    arguments = [
        *("sweep=best", "sweep.max_minutes=10", "data=files", "data.path=train.csv", "model=gru"),
        *("data.unlabelled=pool.csv", "trainer.adversarial=0", "trainer.r_drop=0"),
        *("model.hidden_size=8", "model.embedding_size=8", "trainer.max_epochs=1"),
        *("tracking.system_metrics=false", "tracking.speed=none", "sweep.compare=false"),
        "output_dir=swept",
    ]
    assert main(["train", *arguments]) == 0
    assert re.search(r"distilled seed\d  accuracy", capsys.readouterr().out)
    assert nlp_rnn.load("swept/classifier").predict(["warm and kind"])
