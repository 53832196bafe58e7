"""`scripts/bench_recipes`: its arguments, and its summaries of accuracies."""

import importlib.machinery
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scipy import stats

SCRIPT = Path(__file__).parent.parent / "scripts" / "bench_recipes"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    loader = importlib.machinery.SourceFileLoader("bench_recipes", str(SCRIPT))
    spec = importlib.util.spec_from_loader("bench_recipes", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def results(*accuracies: float) -> list[dict]:
    return [{"held_out": {"accuracy": a}, "validation": {"accuracy": 0.5}} for a in accuracies]


def test_leading_arguments_that_exist_are_files_and_the_rest_are_variants(
    bench: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").touch()
    (tmp_path / "folder").mkdir()
    files, variants = bench.files_and_variants(["a.csv", "folder", "", "seed=1", "a.csv"])
    assert files == ["a.csv", "folder"]
    assert variants == ["", "seed=1", "a.csv"]
    assert bench.files_and_variants(["nowhere.csv", ""]) == ([], ["nowhere.csv", ""])


def test_a_row_has_the_deviation_or_the_interval_of_the_difference(bench: ModuleType) -> None:
    first, second = results(0.8, 0.9, 0.85), results(0.82, 0.91, 0.88)
    assert bench.summary(first, first, interval=False) == "85.00 ± 5.00 (50.00)"
    assert bench.summary(first, first, interval=True) == "85.00 (50.00)"
    low, high = stats.t.interval(0.95, 2, loc=2, scale=stats.sem(np.array([2, 1, 3])))
    expected = f"87.00 +2.00 [{low:+.2f} to {high:+.2f}] (50.00)"
    assert bench.summary(second, first, interval=True) == expected


@pytest.mark.slow
def test_trainings_in_the_output_are_not_repeated(tmp_path: Path) -> None:
    rows = "".join(f"{text},{label}\n" for text, label in [("good film", 1), ("bad film", 0)] * 30)
    (tmp_path / "a.csv").write_text("text,label\n" + rows)
    small = "model.hidden_size=4 model.embedding_size=4 trainer.max_epochs=1 trainer.r_drop=0"
    arguments = ["a.csv", f"{small} trainer.language_model=0", "--cells", "gru", "--jobs", "1"]
    command = [sys.executable, str(SCRIPT), *arguments, "--cuts", "1", "--held-out", "20"]
    first, second = (
        subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        for _ in range(2)
    )
    assert "1/1 a.csv gru cut 1 " in first.stderr
    assert first.stdout.startswith("gru ")
    assert (second.stdout, second.stderr) == (first.stdout, "")
    (line,) = (tmp_path / "bench_recipes.jsonl").read_text().splitlines()
    entry = json.loads(line)
    # 40 rows remain beside the held-out set: 36 to train on, 4 for validation
    assert (entry["held_out_rows"], entry["updates"], entry["epochs"]) == (20, 1, 1)
    assert 20 * entry["held_out"]["accuracy"] == pytest.approx(
        round(20 * entry["held_out"]["accuracy"])
    )
    assert entry["last"] == entry["held_out"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.csv", ""], "there is no file 'nowhere.csv'"),
        (["."], "at least one VARIANT"),
        ([".", "", "--interval", "--cuts", "1"], "set --cuts 4"),
    ],
)
def test_wrong_arguments_end_with_a_message(
    bench: ModuleType,
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench_recipes", *arguments])
    with pytest.raises(SystemExit, match="2"):
        bench.main()
    assert message in capsys.readouterr().err
