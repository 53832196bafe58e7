"""`scripts/bench_recipes`: how it reads its words, and what it says of accuracies."""

import importlib.machinery
import importlib.util
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


def test_what_is_there_is_a_file_and_the_rest_are_variants(
    bench: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").touch()
    (tmp_path / "folder").mkdir()
    files, variants = bench.files_and_variants(["a.csv", "folder", "", "seed=1", "a.csv"])
    assert files == [str(tmp_path / "a.csv"), str(tmp_path / "folder")]
    assert variants == ["", "seed=1", "a.csv"]
    assert bench.files_and_variants(["nowhere.csv", ""]) == ([], ["nowhere.csv", ""])


def test_a_row_has_the_deviation_or_the_interval_of_the_difference(bench: ModuleType) -> None:
    one, other = results(0.8, 0.9, 0.85), results(0.82, 0.91, 0.88)
    assert bench.summary(one, one, interval=False) == "85.00 ± 5.00 (50.00)"
    assert bench.summary(one, one, interval=True) == "85.00 (50.00)"
    low, high = stats.t.interval(0.95, 2, loc=2, scale=stats.sem(np.array([2, 1, 3])))
    expected = f"87.00 +2.00 [{low:+.2f} to {high:+.2f}] (50.00)"
    assert bench.summary(other, one, interval=True) == expected


@pytest.mark.parametrize("words", [["nowhere.csv", ""], [".", "", "--interval", "--cuts", "1"]])
def test_wrong_words_are_refused(
    bench: ModuleType, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench_recipes", *words])
    with pytest.raises(SystemExit, match="2"):
        bench.main()
