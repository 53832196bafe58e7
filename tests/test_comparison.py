"""Which configurations are compared, and what is reported about runs that are left out."""

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
    ("config", "message"),
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
def test_configurations_that_differ_in_more_are_not_compared_and_the_key_is_named(
    config: dict[str, str], message: str
) -> None:
    runs = changed(two_cells(texts=50), "gru", optimizer__learning_rate="0.1")
    runs = changed(runs, "lstm", **({"optimizer__learning_rate": "0.1"} | config))
    with pytest.raises(ComparisonError, match=message) as error:
        compare_runs(runs, RULES)
    assert len(str(error.value).splitlines()) == 2


def test_other_data_is_not_compared_and_is_named() -> None:
    runs = [
        replace(each, digest="d2") if each.cell == "lstm" else each for each in two_cells(texts=50)
    ]
    with pytest.raises(
        ComparisonError, match="No two configurations were trained on the same data.*texts d1.*d2"
    ):
        compare_runs(runs, RULES)


def test_one_configuration_needs_another() -> None:
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


def test_sizes_are_matched_by_the_counted_parameters() -> None:
    runs = changed(two_cells(texts=50), "gru", model__hidden_size="155")
    runs = [
        replace(each, metrics={**each.metrics, "parameters/recurrent": 3980.0})
        if each.cell == "gru"
        else each
        for each in runs
    ]
    (difference,) = compared(runs).differences
    assert difference.matching == ("parameters",)


def test_values_of_another_key_are_compared() -> None:
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
    comparison = compared([*base, *other], replace(RULES, by="model.pooling"))
    (difference,) = comparison.differences
    assert difference.matching == ("configuration",)
    assert {configuration.level for configuration in comparison.configurations} == {"max", "mean"}
    assert {configuration.name for configuration in comparison.configurations} == {
        "gru h128 pooling=max",
        "gru h128 pooling=mean",
    }
    assert difference.interval == Interval(0, 0, 0)


def test_a_failed_run_is_left_out_with_a_note() -> None:
    runs = [*two_cells(texts=100), run("gru", 6, None, status="FAILED", name="gru seed6")]
    notes = compared(runs).notes
    assert "1 run was left out (status FAILED): gru seed6." in notes


def test_a_run_without_predictions_is_left_out_with_a_note() -> None:
    runs = two_cells(texts=100)
    runs[0] = replace(runs[0], predictions=None)
    comparison = compared(runs)
    assert len(comparison.differences[0].by_seed) == 4
    assert any(
        "gru seed1 of gru h128 has no saved predictions" in note for note in comparison.notes
    )
    with pytest.raises(ComparisonError, match="no shared seed has saved predictions"):
        compare_runs([replace(each, predictions=None) for each in runs], RULES)


def test_a_run_with_other_test_texts_is_left_out_with_a_note() -> None:
    runs = two_cells(texts=100)
    runs[-1] = replace(runs[-1], predictions=predictions(np.ones(99, dtype=bool)))
    comparison = compared(runs)
    assert any("was evaluated on other test texts" in note for note in comparison.notes)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_metric_that_is_no_number_is_left_out_with_a_note(value: float) -> None:
    runs = [*two_cells(texts=100), run("gru", 6, None, metrics={"test/accuracy": value})]
    comparison = compared(runs)
    assert any(
        "not finite, and without it the configuration looks better" in note
        for note in comparison.notes
    )
    assert "nan" not in table(comparison)


def test_times_of_two_machines_are_not_compared_but_quality_is() -> None:
    runs = [
        replace(each, machine="elsewhere") if each.cell == "lstm" else each
        for each in two_cells(texts=5000, gru=0.85, lstm=0.80)
    ]
    comparison = compared(runs)
    assert comparison.differences[0].outcome is Outcome.first
    assert not comparison.same_machine
    assert any("timed on 2 machines" in note and "quality can" in note for note in comparison.notes)
    uses = {each.use: each for each in comparison.recommendations}
    assert uses["low latency"].choice is None
    assert "several machines" in uses["low latency"].reason
    assert uses["most accurate"].choice == "gru h128"
    assert "latency" not in comparison.differences[0].matching


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
    comparison = compared(runs, replace(RULES, metric="macro_f1"))
    assert "Classes without a test text, about which nothing is known: perhaps." in comparison.notes


def test_baselines_come_first_and_limit_what_is_recommended() -> None:
    runs = two_cells(texts=1000)
    strong = np.random.default_rng(0).random(1000) < 0.95
    linear = run(
        "linear_svm", None, strong, kind="baseline", signature="", configuration_name="linear svm"
    )
    average = run("average", 1, strong ^ True, signature="avg")
    comparison = compared([*runs, average, linear])
    names = [configuration.name for configuration in comparison.baselines]
    assert names[0].startswith("majority class")
    assert names[1:] == ["linear svm", "average h128"]
    assert all(each.choice is None for each in comparison.recommendations)
    assert all(
        "the best baseline is linear svm with 9" in each.reason
        for each in comparison.recommendations
    )
    text = table(comparison)
    assert (
        text.index("majority class")
        < text.index("linear svm (baseline)")
        < text.index("gru h128  ")
    )
    assert text.count("No configuration meets") == 1
    assert (
        "  all uses: no recommendation. No configuration meets the requirements; the best baseline"
        in text
    )


def test_a_run_of_the_majority_class_stands_for_the_counted_one() -> None:
    constant = np.arange(100) % 2 == 0
    majority = run(
        "majority", None, constant, kind="baseline", signature="", configuration_name="majority"
    )
    comparison = compared([*two_cells(texts=100), majority])
    assert [configuration.name for configuration in comparison.baselines] == ["majority"]
    assert comparison.baselines[0].scores == {0: 50.0}


def test_the_same_runs_give_the_same_text_in_any_order() -> None:
    runs = two_cells(texts=500)
    assert table(compared(runs)) == table(compared(runs[::-1]))


def test_the_table_has_conclusion_notes_and_methods() -> None:
    text = table(compared(two_cells(texts=5000, gru=0.85, lstm=0.80)))
    for words in (
        "Better: gru h128 is 5.00 points more accurate than lstm h128",
        "5 seeds, 5,000 test texts.",
        "cannot be below 0.0625",
        "no linear baseline",
        "Machine: here one core",
        "after Holm's correction",
    ):
        assert words in text


def test_predictions_on_a_server_are_downloaded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    saved = predictions(np.ones(10, dtype=bool))

    def download(self: object, run_id: str, path: str, folder: str) -> str:
        assert path == "predictions/test_predictions.parquet"
        if run_id == "lost":
            raise MlflowException("no such artifact")
        file = Path(folder) / "saved.parquet"
        write_predictions(file, saved)
        return str(file)

    monkeypatch.setattr(MlflowClient, "download_artifacts", download)
    present = run("gru", 1, None, artifacts="mlflow-artifacts:/1/there/artifacts")
    lost = run("gru", 2, None, run_id="lost", artifacts="mlflow-artifacts:/1/lost/artifacts")
    missing = run("gru", 3, None, artifacts=(tmp_path / "gone").as_uri())
    runs = with_predictions(f"sqlite:///{tmp_path}/unused.db", [present, lost, missing])
    assert runs[0].predictions is not None
    np.testing.assert_array_equal(runs[0].predictions.rows, saved.rows)
    assert runs[1].predictions is None
    assert runs[2].predictions is None
