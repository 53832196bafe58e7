"""What may be compared is compared, what may not is named, and every kind of bad run is told."""

import math
from dataclasses import replace

import numpy as np
import pytest

from nlp_rnn.commands.compare import table
from nlp_rnn.comparison.compare import compare_runs
from nlp_rnn.comparison.evidence import Comparison, Interval, Outcome, Rules, Run
from nlp_rnn.comparison.verdict import outcome
from nlp_rnn.errors import ComparisonError
from tests.compared_runs import predictions, run, two_cells

RULES = Rules(resamples=300)


def changed(runs: list[Run], cell: str, **config: str) -> list[Run]:
    """The runs with other values in the configuration of one cell; `__` stands for a dot."""
    dotted = {key.replace("__", "."): value for key, value in config.items()}
    return [
        replace(each, config={**each.config, **dotted}) if each.cell == cell else each
        for each in runs
    ]


def compared(runs: list[Run], rules: Rules = RULES) -> Comparison:
    (found,) = compare_runs(runs, rules)
    return found


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"data__seed": "7"}, "another split: data.seed is 0 and 7"),
        ({"tokenizer__vocab_size": "30"}, "another tokenizer: tokenizer.vocab_size is 8000 and 30"),
        ({"trainer__max_epochs": "99"}, "another budget: trainer.max_epochs is 10 and 99"),
        ({"model__bidirectional": "False"}, "another direction"),
        ({"optimizer__learning_rate": "1"}, "cannot be compared: .*"),
        ({"model__hidden_size": "300"}, "not matched in any way: hidden size 128 and 300"),
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
    with pytest.raises(ComparisonError, match="No two of them read the same data.*texts d1.*d2"):
        compare_runs(runs, RULES)


def test_one_group_needs_another() -> None:
    runs = [each for each in two_cells(texts=50) if each.cell == "gru"]
    with pytest.raises(ComparisonError, match="only one kind of model.cell: gru"):
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
            group="gru h128 texts mean",
            config={**each.config, "model.pooling": "mean"},
        )
        for each in base
    ]
    base = [replace(each, config={**each.config, "model.pooling": "max"}) for each in base]
    found = compared([*base, *other], replace(RULES, by="model.pooling"))
    (difference,) = found.differences
    assert difference.matching == ("configuration",)
    assert {group.level for group in found.groups} == {"max", "mean"}
    assert {group.name for group in found.groups} == {
        "gru h128 pooling=max",
        "gru h128 pooling=mean",
    }
    assert difference.interval == Interval(0, 0, 0)


def test_a_failed_run_is_left_out_and_told() -> None:
    runs = [*two_cells(texts=100), run("gru", 6, None, status="FAILED", name="gru seed6")]
    notes = compared(runs).notes
    assert "1 run is FAILED, and is left out: gru seed6." in notes


def test_a_run_without_answers_is_left_out_and_told() -> None:
    runs = two_cells(texts=100)
    runs[0] = replace(runs[0], predictions=None)
    found = compared(runs)
    assert len(found.differences[0].by_seed) == 4
    assert any("gru seed1 of gru h128 has no answers" in note for note in found.notes)
    with pytest.raises(ComparisonError, match="no seed in common has its answers"):
        compare_runs([replace(each, predictions=None) for each in runs], RULES)


def test_a_run_with_other_test_texts_is_left_out_and_told() -> None:
    runs = two_cells(texts=100)
    runs[-1] = replace(runs[-1], predictions=predictions(np.ones(99, dtype=bool)))
    found = compared(runs)
    assert any("answered other test texts" in note for note in found.notes)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_metric_that_is_no_number_is_left_out_and_told(value: float) -> None:
    runs = [*two_cells(texts=100), run("gru", 6, None, metrics={"test/accuracy": value})]
    found = compared(runs)
    assert any("no number; without it its group looks better" in note for note in found.notes)
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
    assert uses["real-time answers"].choice is None
    assert "several machines" in uses["real-time answers"].reason
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
    assert "Not in the test, so nothing is known of them: perhaps." in found.notes


def test_controls_come_first_and_gate_what_is_recommended() -> None:
    runs = two_cells(texts=1000)
    strong = np.random.default_rng(0).random(1000) < 0.95
    linear = run("linear_svm", None, strong, kind="control", signature="", group="linear svm")
    average = run("average", 1, strong ^ True, signature="avg")
    found = compared([*runs, average, linear])
    names = [group.name for group in found.controls]
    assert names[0].startswith("majority class")
    assert names[1:] == ["linear svm", "average h128"]
    assert all(each.choice is None for each in found.recommendations)
    assert all("No group passes: linear svm" in each.reason for each in found.recommendations)
    told = table(found)
    assert (
        told.index("majority class") < told.index("linear svm (control)") < told.index("gru h128  ")
    )


def test_a_run_of_the_majority_class_stands_for_the_counted_one() -> None:
    constant = np.arange(100) % 2 == 0
    given = run("majority", None, constant, kind="control", signature="", group="majority")
    found = compared([*two_cells(texts=100), given])
    assert [group.name for group in found.controls] == ["majority"]
    assert found.controls[0].scores == {0: 50.0}


def test_limits_of_time_and_memory_gate_too() -> None:
    runs = two_cells(texts=5000, lstm=0.85)
    uses = {e.use: e for e in compared(runs, replace(RULES, latency_limit=1.5)).recommendations}
    assert uses["most accurate"].choice == "gru h128"  # the better LSTM takes 2 ms
    found = compared(runs, replace(RULES, memory_limit=0.01))
    assert all(each.choice is None for each in found.recommendations)


def test_recommendations_quote_their_numbers() -> None:
    found = compared(two_cells(texts=5000, gru=0.85, lstm=0.80))
    uses = {each.use: each for each in found.recommendations}
    assert list(uses) == [
        "most accurate",
        "real-time answers",
        "long texts",
        "few labels",
        "small memory",
    ]
    assert "5,000 texts × 5 seeds: first better" in uses["most accurate"].evidence
    assert "On the longest 25%" in uses["long texts"].evidence
    assert uses["few labels"].choice is None
    assert "1 ms p95 a text on onnxruntime" in uses["real-time answers"].evidence


def test_few_labels_speak_for_the_whole_data() -> None:
    few = [
        replace(each, digest="d0", run_id=f"{each.run_id}-few")
        for cell in ("gru", "lstm")
        for each in changed(two_cells(texts=5000, gru=0.7, lstm=0.6), cell, data__fraction="0.1")
        if each.cell == cell
    ]
    found = compare_runs([*two_cells(texts=1000), *few], RULES)
    for each in found:
        (said,) = (r for r in each.recommendations if r.use == "few labels")
        assert said.choice == "gru h128"
        assert "data.fraction=0.1" in said.evidence


@pytest.mark.parametrize(
    ("interval", "seeds", "p", "expected"),
    [
        ((0.6, 1.4), 5, 0.01, Outcome.first),
        ((-1.4, -0.6), 5, 0.01, Outcome.second),
        ((-0.4, 0.5), 5, 0.6, Outcome.equivalent),
        ((0.1, 0.4), 5, 0.01, Outcome.equivalent),  # surely not 0, and surely too small to matter
        ((0.4, 1.4), 5, 0.01, Outcome.undecided),
        ((-3.0, 3.0), 5, 0.9, Outcome.undecided),
        ((0.6, 1.4), 2, 0.01, Outcome.undecided),
        ((0.6, 1.4), 5, 0.06, Outcome.undecided),  # not after Holm
        ((math.nan, math.nan), 5, math.nan, Outcome.undecided),
    ],
)
def test_the_rule(interval: tuple[float, float], seeds: int, p: float, expected: Outcome) -> None:
    low, high = interval
    assert outcome(Interval((low + high) / 2, low, high), 0.5, seeds, p, RULES) is expected


def test_a_verdict_that_turns_with_the_rope_or_the_matching_says_so() -> None:
    same = two_cells(texts=5000, gru=0.83, lstm=0.80)
    narrow = compared(same, replace(RULES, ropes=(0.5, 1.0, 9.0)))
    assert any("turns with the ROPE" in each and "±9 practically" in each for each in narrow.flips)
    matched = [
        replace(
            each,
            run_id=f"{each.run_id}-large",
            signature="large",
            group="gru h155 texts large",
            config={**each.config, "model.hidden_size": "155"},
            metrics={**each.metrics, "parameters/recurrent": 4000.0},
            predictions=next(
                other.predictions
                for other in same
                if other.cell == "lstm" and other.seed == each.seed
            ),
        )
        for each in same
        if each.cell == "gru"
    ]
    found = compared([*same, *matched])
    assert {each.matching for each in found.differences} == {("size",), ("parameters",)}
    assert any("gru against lstm turns with the matching" in each for each in found.flips)


def test_holm_runs_over_all_pairs_of_all_data() -> None:
    runs = two_cells(texts=500, gru=0.83)
    other = [replace(each, digest="d9", run_id=f"{each.run_id}-9") for each in runs]
    alone = compared(runs).differences[0]
    both = [each.differences[0] for each in compare_runs([*runs, *other], RULES)]
    for each in both:
        assert each.p_values["mcnemar"] == alone.p_values["mcnemar"]
        assert each.adjusted["mcnemar"] == pytest.approx(2 * alone.p_values["mcnemar"])


def test_the_same_runs_give_the_same_words_in_any_order() -> None:
    runs = two_cells(texts=500)
    assert table(compared(runs)) == table(compared(runs[::-1]))


def test_the_table_says_all_of_it() -> None:
    told = table(compared(two_cells(texts=5000, gru=0.85, lstm=0.80)))
    for words in (
        "gru h128 is better than lstm h128",
        "5 seeds × 5,000 texts",
        "cannot go below p = 0.0625",
        "No linear control",
        "Machine: here one core",
        "after Holm",
    ):
        assert words in told
