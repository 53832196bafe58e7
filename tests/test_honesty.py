"""A comparison detects true differences and claims no others."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest

from nlp_rnn.comparison.compare import compare_runs
from nlp_rnn.comparison.decide import decide
from nlp_rnn.comparison.pair import Pair
from nlp_rnn.comparison.resampling import resampled_scores, run_scores
from nlp_rnn.comparison.rules import Outcome, Rules
from nlp_rnn.comparison.score import ScoredRuns
from nlp_rnn.errors import ComparisonError
from tests.compared_runs import correct_predictions, run, two_cells

RULES = Rules(resamples=400)


def outcomes(
    trials: int, texts: int, seeds: int, gain: float, seed_sd: float, rope: float = 0.5
) -> list[Outcome]:
    """Simulate comparisons of a cell with one that is better by `gain`, each with texts of its own.

    All trials share the draws of the bootstrap, which costs nothing in truth: each has its own
    answers.
    """
    random = np.random.default_rng([texts, seeds, int(1e4 * gain), int(1e4 * seed_sd)])
    right = []
    for _ in range(trials):
        difficulty = random.normal(size=texts)
        for accuracy in (0.85 + gain, 0.85):
            right.append(
                correct_predictions(texts, accuracy, seeds, random, seed_sd, difficulty=difficulty)
            )
    predicted = np.concatenate(right).astype(np.int64)  # (trials × 2 × seeds, texts)
    labels = np.ones(texts, dtype=np.int64)
    rules = replace(RULES, rope=rope)
    scores = run_scores(labels, predicted, 2, "accuracy")
    replicates = resampled_scores(labels, predicted, 2, "accuracy", rules.resamples, 0)
    runs = [run("gru", seed, None, "a") for seed in range(seeds)]
    others = [run("lstm", seed, None, "b") for seed in range(seeds)]
    found = []
    for trial in range(trials):
        rows = slice(trial * 2 * seeds, (trial + 1) * 2 * seeds)
        columns = {each.run_id: i for i, each in enumerate((*runs, *others))}
        sheet = ScoredRuns(
            "d1", rules, columns, labels, predicted[rows], scores[rows], replicates[:, rows]
        )
        measured = sheet.difference(Pair("gru", "lstm", ("size",), ()), runs, others)
        found.append(decide([measured], rules)["d1"][0].outcome)
    return found


@pytest.mark.parametrize(
    ("texts", "seeds", "seed_sd", "rope"),
    [(500, 5, 0.01, 0.5), (500, 5, 0.01, 0.01), (300, 3, 0.02, 0.01)],
)
def test_a_cell_is_not_better_than_itself(
    texts: int, seeds: int, seed_sd: float, rope: float
) -> None:
    """200 comparisons with other seeds; even a ROPE of nothing leaves at most 5 %."""
    found = outcomes(200, texts, seeds, 0.0, seed_sd, rope)
    false = sum(each in (Outcome.first, Outcome.second) for each in found)
    low, high = binomtest(false, 200).proportion_ci(0.95, "exact")
    message = f"{false} of 200 called better, 95 % interval {low:.3f} to {high:.3f}"
    print(message)
    assert false / 200 <= 0.05, message


def test_two_points_on_five_thousand_texts_and_five_seeds_are_found() -> None:
    found = outcomes(100, 5000, 5, 0.02, 0.003)
    hits = sum(each is Outcome.first for each in found)
    low, high = binomtest(hits, 100).proportion_ci(0.95, "exact")
    assert hits >= 90, f"{hits} of 100, 95 % interval {low:.2f} to {high:.2f}"
    assert Outcome.second not in found


def test_three_seeds_that_spread_leave_it_inconclusive() -> None:
    found = outcomes(50, 500, 3, 0.01, 0.01)
    assert sum(each is Outcome.inconclusive for each in found) >= 45


def test_a_large_test_and_many_alike_seeds_are_called_equivalent() -> None:
    runs = two_cells(texts=20_000, seeds=10)
    (comparison,) = compare_runs(runs, Rules(rope=1.0, resamples=500))
    assert comparison.differences[0].outcome is Outcome.equivalent
    assert comparison.verdict.startswith("Equivalent: ")
    chosen = {each.use: each for each in comparison.recommendations}
    assert chosen["most accurate"].choice == "gru h128"  # as good, and faster
    assert "has the lowest latency" in chosen["most accurate"].reason


def test_a_bidirectional_cell_against_one_direction_is_not_compared() -> None:
    runs = two_cells(texts=100)
    one_way = [
        replace(each, config={**each.config, "model.bidirectional": "False"})
        if each.cell == "lstm"
        else each
        for each in runs
    ]
    with pytest.raises(ComparisonError, match="different direction: model.bidirectional is True"):
        compare_runs(one_way, RULES)


def test_one_seed_is_noted_and_is_inconclusive() -> None:
    (comparison,) = compare_runs(two_cells(texts=5000, seeds=1, gru=0.9, lstm=0.8), RULES)
    assert comparison.differences[0].interval.low > 5  # so many texts, and still
    assert comparison.differences[0].outcome is Outcome.inconclusive
    assert comparison.verdict.startswith("Inconclusive: ")
    assert "at least 3 seeds" in comparison.verdict
    assert any("share 1 seed: a conclusion needs at least 3" in note for note in comparison.notes)


def test_what_may_have_been_chosen_on_the_test_is_left_out() -> None:
    runs = [
        replace(each, metrics={k: v for k, v in each.metrics.items() if "validation" not in k})
        for each in two_cells(texts=100)
    ]
    with pytest.raises(ComparisonError, match="chosen on the test"):
        compare_runs(runs, RULES)


def test_the_best_of_a_seed_that_ran_twice_is_not_picked() -> None:
    runs = two_cells(texts=400)
    lucky = run("gru", 1, np.ones(400, dtype=bool), run_id="again", started=99)
    (comparison,) = compare_runs([*runs, lucky], RULES)
    (without,) = compare_runs(runs, RULES)
    assert comparison.differences[0].interval == without.differences[0].interval
    assert any("was trained 2 times; the first run counts" in note for note in comparison.notes)
