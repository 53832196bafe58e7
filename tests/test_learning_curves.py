"""`scripts/learning_curves`: the trainings that it runs, how it resumes, its table and figure."""

import importlib
import importlib.machinery
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

SCRIPT = Path(__file__).parent.parent / "scripts" / "learning_curves"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NLP_RNN_CACHE", str(tmp_path / "cache"))
    loader = importlib.machinery.SourceFileLoader("learning_curves", str(SCRIPT))
    spec = importlib.util.spec_from_loader("learning_curves", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "learning_curves", module)
    loader.exec_module(module)
    return module


def unpacked(text: str) -> Any:
    return importlib.import_module("learning_curves_table").unpacked(text)


def make(folder: Path, rows: int = 60, splits: tuple[str, ...] = ("train", "test")) -> None:
    folder.mkdir(parents=True)
    for split in splits:
        texts = [f"a {('warm', 'cold')[row % 2]} day {row} {split}" for row in range(rows)]
        frame = pd.DataFrame({"text": texts, "label": [("y", "n")[row % 2] for row in range(rows)]})
        frame.to_parquet(folder / f"{split}.parquet")


@pytest.fixture
def trained(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The cells that are trained, without training: their accuracies are 0.5, 0.6, …"""
    cells: list[Any] = []

    def train_all(missing: list[Any], options: Any) -> Any:
        for cell in missing:
            cells.append(cell)
            yield cell, {"accuracy": 0.4 + len(cells) / 10, "seconds": 1.0}

    monkeypatch.setattr(script, "train_all", train_all)
    return cells


def test_small_sizes_have_several_samples_and_sizes_that_a_set_lacks_are_left_out(
    script: ModuleType, trained: list[Any], capsys: Any
) -> None:
    make(Path("sets/weather"))
    make(Path("sets/no test"), splits=("train",))
    arguments = ["sets", "--sizes", "20", "300", "all", "--models", "gru", "--samples", "2"]
    assert script.main(arguments) == 0
    assert [(c.set, c.rows, c.sample) for c in trained] == [
        ("weather", 20, 1),
        ("weather", 20, 2),
        ("weather", None, 1),
    ]
    table = Path("learning_curves/table.md").read_text(encoding="utf-8")
    assert "| 20 | weather | 55.0 ± 7.1 |" in table
    assert "| all | weather | 70.0 |" in table
    assert "Left out: no test has no test split" in table
    assert Path("learning_curves/curves.png").read_bytes().startswith(b"\x89PNG")

    # again, with one sample more: only that one is trained, and a cut line is trained again
    lines = Path("learning_curves/scores.jsonl")
    lines.write_text(lines.read_text()[:-20])
    assert script.main([*arguments[:-1], "3"]) == 0
    assert [(c.rows, c.sample) for c in trained[3:]] == [(20, 3), (None, 1)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sets", "--sizes", "many"], "--sizes must be 'all' or numbers of at least 2, not 'many'"),
        (["sets", "--samples", "0"], "--samples must be at least 1, not 0"),
        (["sets", "--sets", "whether"], "sets has no data set 'whether', only weather"),
        (["nowhere"], "has a training split (train.*)"),
        (["sets", "--models", "svm"], "invalid choice: 'svm'"),
    ],
)
def test_wrong_arguments_end_with_a_message(
    script: ModuleType, arguments: list[str], message: str, capsys: Any
) -> None:
    make(Path("sets/weather"))
    with pytest.raises(SystemExit, match="2"):
        script.main(arguments)
    assert message in capsys.readouterr().err


def test_an_ensemble_has_a_column_beside_that_of_its_network(script: ModuleType) -> None:
    entry: dict[str, Any] = {"set": "weather", "rows": 300, "sample": 1, "train_rows": 300}
    scores = [
        entry | {"model": "linear", "accuracy": 0.5},
        entry | {"model": "gru", "accuracy": 0.7, "network_accuracy": 0.6},
        entry | {"model": "gru", "accuracy": 0.9, "network_accuracy": 0.7, "sample": 2},
        entry | {"model": "linear", "accuracy": 0.6, "set": "trains"},
        entry | {"model": "gru", "accuracy": 0.65, "network_accuracy": 0.65, "set": "trains"},
        entry | {"model": "linear", "accuracy": 0.6, "set": "cars"},  # its GRU failed
    ]
    table = script.markdown(scores, False, "COMMAND", ["cars, gru: no memory"], [])
    assert "| rows | set | linear | GRU | GRU ensemble |" in table
    assert "| 300 | weather | 50.0 | 65.0 ± 7.1 | 80.0 ± 14.1 |" in table
    assert "| 300 | cars | 60.0 | – | – |" in table
    assert "| **300** | **mean of 2 sets** | **55.0** | **65.0** | **72.5** |" in table
    assert "Failed: cars, gru: no memory" in table


def test_differences_to_the_linear_model_are_paired_by_text(script: ModuleType) -> None:
    random = np.random.default_rng(0)
    correct = {"linear": random.random(500) < 0.7}
    assert (unpacked(script.packed(correct["linear"])) == correct["linear"]).all()
    correct["gru"] = correct["linear"] | (np.arange(500) % 10 == 0)  # better on some, worse on none
    correct["lstm"] = correct["linear"].copy()
    correct["lstm"][np.flatnonzero(correct["linear"])[0]] = False  # one text worse
    difference = 100 * (correct["gru"].mean() - correct["linear"].mean())
    entry: dict[str, Any] = {"set": "weather", "rows": 300, "sample": 1, "train_rows": 300}
    scores = [
        entry | {"model": model, "accuracy": c.mean(), "correct": script.packed(c)}
        for model, c in correct.items()
    ]
    table = script.markdown(scores, False, "COMMAND", [], [])
    gru = f"| 300 | gru − linear | {difference:+.1f} | 1 | weather {difference:+.1f} | – | "
    assert gru in table
    assert "| 300 | lstm − linear | -0.2 | 1 | – | – | weather -0.2 |" in table
    assert "− ngrams" not in table

    # held-out rows of two samples are different texts
    scores += [score | {"sample": 2} for score in scores]
    one, two = (script.markdown(scores, held_out, "", [], []) for held_out in (False, True))
    assert gru in one
    assert gru in two


@pytest.mark.slow
def test_validation_reads_no_test_split_and_a_failure_does_not_stop_the_others(
    script: ModuleType, capsys: Any
) -> None:
    make(Path("sets/it's weather"))
    Path("sets/it's weather/test.parquet").write_bytes(b"not parquet")
    arguments = ["sets", "--sizes", "40", "--models", "linear", "average", "--samples", "1"]
    bad = ["--overrides", "trainer.max_epochs=1 model.pooling=last"]  # not for the average
    command = [sys.executable, str(SCRIPT), *arguments, "--validation", *bad]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 1, run.stderr
    (line,) = Path("learning_curves/scores.jsonl").read_text(encoding="utf-8").splitlines()
    entry = json.loads(line)
    assert entry["model"] == "linear"
    assert entry["validation"]
    assert 0 <= entry["accuracy"] <= 1
    assert unpacked(entry["correct"]).mean() == entry["accuracy"]
    assert "40 rows, sample 1, average: failed: " in run.stderr
    table = Path("learning_curves/table.md").read_text(encoding="utf-8")
    assert "Accuracy on held-out rows of the training split" in table
    assert "Failed: it's weather, 40 rows, sample 1, average: " in table

    # the broken test split is read without --validation
    assert script.main(arguments) == 0
    assert "Left out: it's weather cannot be used" in capsys.readouterr().out


def test_students_are_trained_too_with_the_other_rows_as_their_pool(
    script: ModuleType, trained: list[Any], capsys: Any
) -> None:
    make(Path("sets/weather"))
    arguments = ["sets", "--sizes", "20", "all", "--models", "linear", "gru", "--samples", "1"]
    options = ["teacher=self", "teacher=predictions teacher.path=x.csv", "model.vectors=x"]
    teachers = [word for option in options for word in ("--teacher", option)]
    assert script.main([*arguments, "--pool", *teachers]) == 0
    assert [(c.rows, c.model, c.teacher.partition(" ")[0], c.pool) for c in trained] == [
        (20, "linear", "", False),
        (20, "gru", "", False),
        (20, "gru", "teacher=self", True),
        (20, "gru", "teacher=predictions", True),
        (20, "gru", "model.vectors=x", False),
        (None, "linear", "", False),
        (None, "gru", "", False),
        (None, "gru", "teacher=predictions", False),
        (None, "gru", "model.vectors=x", False),
    ]
    table = Path("learning_curves/table.md").read_text(encoding="utf-8")
    assert "| rows | set | linear | GRU | GRU, teacher=self | GRU, teacher=predictions " in table
    assert "| 20 | weather | 50.0 | 60.0 | 70.0 | 80.0 | 90.0 |" in table
    assert "| all | weather | 100.0 | 110.0 | – | 120.0 | 130.0 |" in table
    with pytest.raises(SystemExit):
        script.main([*arguments, "--pool"])
    assert "--pool is for students" in capsys.readouterr().err
    pool = script.write_pool(Path("sets/weather"), Path("pool.parquet"))
    assert list(pd.read_parquet(pool).columns) == ["text"]
    assert len(pd.read_parquet(pool)) == 60


def test_a_student_is_compared_with_the_same_model_without_a_teacher(script: ModuleType) -> None:
    entry: dict[str, Any] = {"set": "weather", "rows": 300, "sample": 1, "train_rows": 300}
    correct = np.arange(500) % 4 > 0
    scores = [
        entry | {"model": "gru", "accuracy": 0.75, "correct": script.packed(correct)},
        entry
        | {"model": "gru", "accuracy": 1.0, "correct": script.packed(correct | True)}
        | {"teacher": "teacher=self", "network_accuracy": 0.9, "teacher_accuracy": 0.8},
    ]
    table = script.markdown(scores, False, "COMMAND", [], [])
    heads = "GRU | GRU, teacher=self | GRU ensemble, teacher=self | teacher, teacher=self |"
    assert f"| rows | set | {heads}" in table
    assert "| 300 | weather | 75.0 | 90.0 | 100.0 | 80.0 |" in table
    assert "| 300 | gru, teacher=self − gru | +25.0 | 1 | weather +25.0 | – | " in table


def test_the_figure_of_students_has_the_accuracies_of_the_saved_classifiers(
    script: ModuleType,
) -> None:
    path = SCRIPT.with_name("draw_students")
    loader = importlib.machinery.SourceFileLoader("draw_students", str(path))
    spec = importlib.util.spec_from_loader("draw_students", loader)
    assert spec is not None
    figure = importlib.util.module_from_spec(spec)
    loader.exec_module(figure)
    entry: dict[str, Any] = {"set": "banking77", "rows": 1000, "sample": 1}
    network = entry | {"model": "gru", "accuracy": 0.8, "network_accuracy": 0.7}
    encoder = {"teacher": "teacher=encoder teacher.path=x", "teacher_accuracy": 0.9}
    scores = [
        entry | {"model": "linear", "accuracy": 0.5},
        entry | {"model": "ngrams", "accuracy": 0.6},
        network,
        network | {"accuracy": 0.82, "teacher": "model.vectors=x"},
        network | {"accuracy": 0.85} | encoder,
        network | {"accuracy": 0.81, "teacher": "teacher=self", "teacher_accuracy": 0.78},
        network | {"model": "lstm", "accuracy": 0.1},
    ]
    accuracies = figure.by_model(figure.points(scores), "gru")
    assert {name: round(values["banking77", 1000], 1) for name, values in accuracies.items()} == {
        "linear": 50,
        "n-grams": 60,
        "labelled": 80,
        "static": 82,
        "student": 85,
        "encoder": 90,
    }
    latency = {name: {"ms": 1.0, "mb": 2.0} for name in ("labelled", "student", "encoder")}
    figure.draw(accuracies, latency, "banking77", Path("figure.png"))
    assert Path("figure.png").read_bytes().startswith(b"\x89PNG")
