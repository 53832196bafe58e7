"""What may be compared is compared, what may not is named, and every kind of bad run is told."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nlp_rnn.comparison.compare import compare_runs
from nlp_rnn.comparison.read import with_predictions
from nlp_rnn.comparison.records import Interval
from nlp_rnn.comparison.rules import Outcome
from nlp_rnn.comparison.table import table
from nlp_rnn.errors import ComparisonError
from nlp_rnn.scoring.predictions import write_predictions
from tests.compared_runs import RULES, changed, compared, predictions, run, two_cells


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"data__seed": "7"}, "different split: data.seed is 0 and 7"),
        (
            {"tokenizer__vocab_size": "30"},
            "tokenizer: tokenizer.vocab_size is 8000 and 30",
        ),
        ({"trainer__max_epochs": "99"}, "different budget: trainer.max_epochs is 10 and 99"),
        ({"model__bidirectional": "False"}, "different direction"),
        ({"optimizer__learning_rate": "1"}, "cannot be compared: .*"),
        ({"model__hidden_size": "300"}, "no matching criterion holds .*: hidden size 128 and 300"),
    ],
)
def test_what_is_not_alike_is_refused_by_name(config: dict[str, str], words: str) -> None:
    runs = changed(two_cells(texts=50), "gru", optimizer__learning_rate="0.1")
    runs = changed(runs, "lstm", **({"optimizer__learning_rate": "0.1"} | config))
    with pytest.raises(ComparisonError, match=words) as told:
        compare_runs(runs, RULES)
    assert len(str(told.value).splitlines()) == 2


def test_other_data_is_refused_by_name() -> None:
    runs = [
        replace(each, digest="d2") if each.cell == "lstm" else each for each in two_cells(texts=50)
    ]
    with pytest.raises(
        ComparisonError, match="No two configurations were trained on the same data.*texts d1.*d2"
    ):
        compare_runs(runs, RULES)


def test_one_group_needs_another() -> None:
    runs = [each for each in two_cells(texts=50) if each.cell == "gru"]
    with pytest.raises(ComparisonError, match="same model.cell \\(gru\\)"):
        compare_runs(runs, RULES)


def test_seeds_that_are_not_shared_pair_nothing() -> None:
    runs = [
        replace(each, seed=each.seed + 10) if each.cell == "lstm" and each.seed else each
        for each in two_cells(texts=50)
    ]
    with pytest.raises(ComparisonError, match="no seed in common"):
        compare_runs(runs, RULES)


def test_sizes_are_matched_by_what_was_counted() -> None:
    runs = changed(two_cells(texts=50), "gru", model__hidden_size="155")
    runs = [
        replace(each, metrics={**each.metrics, "parameters/recurrent": 3980.0})
        if each.cell == "gru"
        else each
        for each in runs
    ]
    (difference,) = compared(runs).differences
    assert difference.matching == ("parameters",)


def test_something_else_than_cells_is_compared() -> None:
    base = [each for each in two_cells(texts=200) if each.cell == "gru"]
    other = [
        replace(
            each,
            run_id=f"{each.run_id}-mean",
            signature="mean",
            configuration_name="gru h128 texts mean",
            config={**each.config, "model.pooling": "mean"},
        )
        for each in base
    ]
    base = [replace(each, config={**each.config, "model.pooling": "max"}) for each in base]
    found = compared([*base, *other], replace(RULES, by="model.pooling"))
    (difference,) = found.differences
    assert difference.matching == ("configuration",)
    assert {group.level for group in found.configurations} == {"max", "mean"}
    assert {group.name for group in found.configurations} == {
        "gru h128 pooling=max",
        "gru h128 pooling=mean",
    }
    assert difference.interval == Interval(0, 0, 0)


def test_a_failed_run_is_left_out_and_told() -> None:
    runs = [*two_cells(texts=100), run("gru", 6, None, status="FAILED", name="gru seed6")]
    notes = compared(runs).notes
    assert "1 run was left out (status FAILED): gru seed6." in notes


def test_a_run_without_answers_is_left_out_and_told() -> None:
    runs = two_cells(texts=100)
    runs[0] = replace(runs[0], predictions=None)
    found = compared(runs)
    assert len(found.differences[0].by_seed) == 4
    assert any("gru seed1 of gru h128 has no saved predictions" in note for note in found.notes)
    with pytest.raises(ComparisonError, match="no shared seed has saved predictions"):
        compare_runs([replace(each, predictions=None) for each in runs], RULES)


def test_a_run_with_other_test_texts_is_left_out_and_told() -> None:
    runs = two_cells(texts=100)
    runs[-1] = replace(runs[-1], predictions=predictions(np.ones(99, dtype=bool)))
    found = compared(runs)
    assert any("was evaluated on other test texts" in note for note in found.notes)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_metric_that_is_no_number_is_left_out_and_told(value: float) -> None:
    runs = [*two_cells(texts=100), run("gru", 6, None, metrics={"test/accuracy": value})]
    found = compared(runs)
    assert any(
        "not finite, and without it the configuration looks better" in note for note in found.notes
    )
    assert "nan" not in table(found)


def test_times_of_two_machines_are_not_compared_but_quality_is() -> None:
    runs = [
        replace(each, machine="elsewhere") if each.cell == "lstm" else each
        for each in two_cells(texts=5000, gru=0.85, lstm=0.80)
    ]
    found = compared(runs)
    assert found.differences[0].outcome is Outcome.first
    assert not found.same_machine
    assert any("timed on 2 machines" in note and "quality can" in note for note in found.notes)
    uses = {each.use: each for each in found.recommendations}
    assert uses["low latency"].choice is None
    assert "several machines" in uses["low latency"].reason
    assert uses["most accurate"].choice == "gru h128"
    assert "latency" not in found.differences[0].matching


def test_a_class_that_is_absent_from_the_test_is_named() -> None:
    names = ("no", "yes", "perhaps")
    runs = [
        replace(
            each,
            predictions=predictions(each.predictions.predictions == each.predictions.labels, names),
        )
        for each in two_cells(texts=100)
        if each.predictions is not None
    ]
    found = compared(runs, replace(RULES, metric="macro_f1"))
    assert "Classes without a test text, about which nothing is known: perhaps." in found.notes


def test_controls_come_first_and_gate_what_is_recommended() -> None:
    runs = two_cells(texts=1000)
    strong = np.random.default_rng(0).random(1000) < 0.95
    linear = run(
        "linear_svm", None, strong, kind="baseline", signature="", configuration_name="linear svm"
    )
    average = run("average", 1, strong ^ True, signature="avg")
    found = compared([*runs, average, linear])
    names = [group.name for group in found.baselines]
    assert names[0].startswith("majority class")
    assert names[1:] == ["linear svm", "average h128"]
    assert all(each.choice is None for each in found.recommendations)
    assert all(
        "the best baseline is linear svm with 9" in each.reason for each in found.recommendations
    )
    told = table(found)
    assert (
        told.index("majority class")
        < told.index("linear svm (baseline)")
        < told.index("gru h128  ")
    )
    assert told.count("No configuration meets") == 1
    assert "  all uses: none. No configuration meets the requirements; the best baseline" in told


def test_a_run_of_the_majority_class_stands_for_the_counted_one() -> None:
    constant = np.arange(100) % 2 == 0
    given = run(
        "majority", None, constant, kind="baseline", signature="", configuration_name="majority"
    )
    found = compared([*two_cells(texts=100), given])
    assert [group.name for group in found.baselines] == ["majority"]
    assert found.baselines[0].scores == {0: 50.0}


def test_the_same_runs_give_the_same_words_in_any_order() -> None:
    runs = two_cells(texts=500)
    assert table(compared(runs)) == table(compared(runs[::-1]))


def test_the_table_says_all_of_it() -> None:
    told = table(compared(two_cells(texts=5000, gru=0.85, lstm=0.80)))
    for words in (
        "Better: gru h128 is 5.00 points more accurate than lstm h128",
        "5 seeds, 5,000 test texts.",
        "cannot be below 0.0625",
        "no linear baseline",
        "Machine: here one core",
        "after Holm's correction",
    ):
        assert words in told


def test_answers_on_a_server_are_fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    answers = predictions(np.ones(10, dtype=bool))

    def download(self: object, run_id: str, path: str, folder: str) -> str:
        assert path == "predictions/test_predictions.parquet"
        if run_id == "lost":
            raise MlflowException("no such artifact")
        file = Path(folder) / "answers.parquet"
        write_predictions(file, answers)
        return str(file)

    monkeypatch.setattr(MlflowClient, "download_artifacts", download)
    there = run("gru", 1, None, artifacts="mlflow-artifacts:/1/there/artifacts")
    lost = run("gru", 2, None, run_id="lost", artifacts="mlflow-artifacts:/1/lost/artifacts")
    gone = run("gru", 3, None, artifacts=(tmp_path / "gone").as_uri())
    read = with_predictions(f"sqlite:///{tmp_path}/unused.db", [there, lost, gone])
    assert read[0].predictions is not None
    np.testing.assert_array_equal(read[0].predictions.rows, answers.rows)
    assert read[1].predictions is None
    assert read[2].predictions is None
