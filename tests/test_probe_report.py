"""The report of runs on probes: a figure, and tables of the length at which each cell fails."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from nlp_rnn.comparison.compared_run import Run
from nlp_rnn.comparison.probes import probe_curves, seeds_ahead
from nlp_rnn.errors import ComparisonError, DataError
from nlp_rnn.report.probe_report import write_probe_report
from nlp_rnn.report.report import write_report
from nlp_rnn.report.report_data import read_probes
from tests.compared_runs import run
from tests.made_comparison import configuration_of, made_comparison, made_run


def probed(cell: str, probe: str, seed: int, *accuracies: float) -> Run:
    names = [f"test/accuracy_{factor}x" for factor in (1, 2, 4, 8)]
    return run(
        cell,
        seed,
        None,
        config={"data.probe": probe},
        metrics=dict(zip(names, accuracies, strict=True)),
        digest=f"digest of {probe}",
    )


RUNS = [
    probed("rnn", "dyck1", 1, 0.85, 0.6, 0.5, 0.5),
    probed("gru", "dyck1", 1, 1.0, 0.89, 0.8, 0.7),
    probed("gru", "dyck1", 2, 1.0, 0.9, 0.7, 0.6),
    probed("lstm", "dyck1", 2, 1.0, 0.95, 0.8, 0.55),
    probed("lstm", "dyck1", 1, 1.0, 0.97, 0.6, 0.65),
    probed("lstm", "permutation", 1, 1.0, 0.95, 0.92, 0.91),
]


def test_curves_are_ordered_and_fail_where_the_mean_is_below_ninety() -> None:
    curves = probe_curves(RUNS)
    assert [(curve.probe, curve.cell, curve.seeds) for curve in curves] == [
        ("dyck1", "lstm", (1, 2)),
        ("dyck1", "gru", (1, 2)),
        ("dyck1", "rnn", (1,)),
        ("permutation", "lstm", (1,)),
    ]
    assert [curve.breaks for curve in curves] == ["4×", "2×", "not learned", "beyond 8×"]
    assert curves[0].means == pytest.approx([100, 96, 70, 60])
    assert [curve.chance for curve in curves] == pytest.approx([50, 50, 50, 100 / 6])
    ahead, shared = seeds_ahead(curves[0], curves[1])
    assert (ahead.tolist(), shared) == ([0, 2, 1, 0], 2)
    ahead, shared = seeds_ahead(curves[1], curves[2])
    assert (ahead.tolist(), shared) == ([1, 1, 1, 1], 1)


def test_other_failed_and_repeated_runs_are_left_out() -> None:
    other = run("lstm", 1, np.ones(4, dtype=bool))
    failed = replace(RUNS[0], status="FAILED", seed=9)
    again = replace(RUNS[5], run_id="again", metrics=RUNS[0].metrics)
    assert len(probe_curves([other, failed])) == 0
    (curve,) = probe_curves([RUNS[5], again])
    assert curve.accuracies.tolist() == [[100, 95, 92, 91]]


def test_runs_that_differ_in_more_than_the_seed_raise_an_error() -> None:
    with pytest.raises(ComparisonError, match="gru on the probe dyck1 differ in more than the"):
        probe_curves([*RUNS, replace(RUNS[1], seed=7, configuration_name="another size")])
    with pytest.raises(ComparisonError, match="dyck1 were trained on different texts"):
        probe_curves([*RUNS, replace(RUNS[1], seed=7, digest="other texts")])


def test_the_report(tmp_path: Path) -> None:
    report = write_probe_report(RUNS, tmp_path / "probes")
    files = {path.relative_to(tmp_path / "probes").as_posix() for path in
             (tmp_path / "probes").rglob("*") if path.is_file()}  # fmt: skip
    assert files == {"probes.html", "probes.md", "figures/probes.png", "data/probes.parquet"}
    assert {report.page, report.summary, *report.figures, *report.tables} == {
        tmp_path / "probes" / name for name in files
    }
    summary = report.summary.read_text()
    assert re.search(r"\| dyck1\s+\| 4×\s+\| 2×\s+\| not learned\s+\| balanced brackets", summary)
    assert re.search(r"\| permutation\s+\| beyond 8×\s+\| –\s+\| –", summary)
    assert re.search(r"\| dyck1, lstm over gru\s+\| 0 of 2\s+\| 2 of 2\s+\| 1 of 2", summary)
    assert "96.0 ± 1.0" in summary
    page = report.page.read_text()
    assert "<svg" in page
    assert "dyck1" in page
    rows = pq.read_table(report.tables[0]).to_pylist()
    assert len(rows) == 6 * 4
    assert rows[1] == {
        "probe": "dyck1", "cell": "lstm", "seed": 1, "factor": 2, "accuracy": 97.0
    }  # fmt: skip


def test_without_probes_or_a_folder_there_is_no_report(tmp_path: Path) -> None:
    with pytest.raises(ComparisonError, match="No run on a probe has finished"):
        write_probe_report([], tmp_path / "probes")
    assert not (tmp_path / "probes").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        write_probe_report(RUNS, tmp_path / "file")


def test_a_report_shows_probes_of_the_same_architecture(tmp_path: Path, store_uri: str) -> None:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param, RunTag

    client = MlflowClient(tracking_uri=store_uri)
    experiment = client.create_experiment("e")
    sizes = {"hidden_size": "32", "num_layers": "1", "bidirectional": "False", "pooling": "last"}
    for seed, size, probe in (
        (1, "32", "dyck1"),
        (2, "32", "dyck1"),
        (3, "64", "dyck1"),
        (4, "32", None),
    ):
        run_id = client.create_run(experiment).info.run_id
        params = {"model.cell": "lstm", "seed": str(seed)}
        params |= {f"model.{key}": value for key, value in (sizes | {"hidden_size": size}).items()}
        params |= {"data.probe": probe} if probe else {}
        client.log_batch(
            run_id,
            [Metric(f"test/accuracy_{f}x", 1 - f / 20, 0, 0) for f in (1, 2, 4, 8)],
            [Param(key, value) for key, value in params.items()],
            [RunTag("group", f"lstm h{size} probe")],
        )
        client.set_terminated(run_id)
    config = {"model.cell": "lstm"} | {f"model.{key}": value for key, value in sizes.items()}
    configuration = configuration_of(
        "lstm h32", (made_run("lstm h32", 1, None, config=config, experiment_id=experiment),)
    )
    comparison = replace(
        made_comparison(configurations=1, seeds=1, texts=20), configurations=(configuration,)
    )
    (curve,) = read_probes(comparison, store_uri)
    assert (curve.probe, curve.cell, curve.seeds) == ("dyck1", "lstm h32", (1, 2))
    assert curve.means == pytest.approx([95, 90, 80, 60])
    page = write_report(comparison, tmp_path / "r", probes=[curve]).page.read_text()
    memory = page[page.index('id="memory"') :]
    assert "Length at which each cell fails" in memory
    assert "95.0 ± 0.0" in memory
    other = replace(
        comparison,
        configurations=(
            configuration_of("gru", (made_run("gru", 1, None, experiment_id=experiment),)),
        ),
    )
    assert read_probes(other, store_uri) == []
