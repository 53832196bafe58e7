"""The classifier that a sweep recommends: its configuration, seed, folder and command."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import nlp_rnn
from nlp_rnn.comparison.compared_run import Run
from nlp_rnn.comparison.records import Comparison, Recommendation
from nlp_rnn.config.training import Monitor
from nlp_rnn.sweeps.deployment import deploy, recommended
from tests.made_comparison import configuration_of, made_comparison, made_run
from tests.tiny_classifier import save_tiny


def run_of(name: str, seed: int, score: float, data: str = "imdb", **changes: Any) -> Run:
    tags = {"data": data, "configuration": f"{name} {data}", "cell": name.split()[0]}
    metrics = {"validation/macro_f1": score, "validation/loss": 1 - score, "test/accuracy": 0.5}
    run = made_run(name, seed, None, metrics=metrics, tags=tags | changes.pop("tags", {}))
    return replace(run, run_id=f"{name}-{seed}-{data}", **changes)


LSTM = [run_of("lstm h128", seed, score) for seed, score in enumerate((0.70, 0.90), 1)]
GRU = [run_of("gru h128", seed, score) for seed, score in enumerate((0.84, 0.80, 0.82), 1)]
NGRAMS = [run_of("ngrams", 1, 0.86, kind="baseline")]
LINEAR = [run_of("linear", 1, 0.99, kind="baseline")]


def comparison_of(choice: str | None, uses: str = "most accurate") -> Comparison:
    return replace(
        made_comparison(),
        deployed=(configuration_of("lstm h128", LSTM), configuration_of("gru h128", GRU)),
        recommendations=(Recommendation(uses, choice, "It is better.", ""),),
    )


def ids(*arguments: Any, monitor: Monitor = Monitor.auto, **options: str) -> list[str]:
    return [one.run.run_id for one in recommended(*arguments, monitor, **options)]


def test_the_recommended_configuration_is_deployed_with_its_best_seed_on_validation() -> None:
    runs = [*LSTM, *GRU, *NGRAMS]
    assert ids(runs, [comparison_of("gru h128")]) == ["gru h128-1-imdb"]
    assert ids(runs, [comparison_of("lstm h128")]) == ["lstm h128-2-imdb"]


def test_without_a_recommendation_the_best_mean_validation_score_decides() -> None:
    # lstm has the best seed, gru the better mean, n-gram models the best mean of all
    for comparisons in ([], [comparison_of(None)], [comparison_of("lstm h128", "low latency")]):
        assert ids([*LSTM, *GRU], comparisons) == ["gru h128-1-imdb"]
        assert ids([*LSTM, *GRU, *NGRAMS, *LINEAR], comparisons) == ["ngrams-1-imdb"]
    assert ids([*LSTM, *GRU], [], monitor=Monitor.loss) == ["gru h128-1-imdb"]
    (only,) = recommended(GRU, [], Monitor.auto)
    assert only.reason == "the only configuration"


def test_runs_without_a_score_or_a_classifier_are_left_out() -> None:
    unscored = replace(GRU[0], metrics={})
    assert ids([unscored, GRU[1]], []) == ["gru h128-2-imdb"]
    assert ids([unscored, *LINEAR], []) == []


def test_a_search_for_the_best_classifier_has_chosen() -> None:
    (one,) = recommended([*LSTM, *GRU], [], Monitor.auto, chosen="lstm h128-1-imdb")
    assert (one.run.run_id, one.reason) == ("lstm h128-1-imdb", "the best that the search found")


def test_the_classifier_is_copied_and_the_command_registers_the_sweep(tmp_path: Path) -> None:
    save_tiny(tmp_path / "job" / "classifier")
    folder = {"run_folder": str(tmp_path / "job")}
    run = run_of("gru h128", 1, 0.8, data="my reviews", tags=folder)
    for _ in range(2):  # a resumed sweep replaces it
        lines = deploy(recommended([run], [], Monitor.auto), tmp_path / "sweep", "5eed0001")
    assert lines == [
        "deploy        gru h128 seed1 (the only configuration; of its seeds, the best "
        "validation/macro_f1, 0.8000)",
        f"classifier    {tmp_path / 'sweep' / 'classifier'}",
        "register it   nlp-rnn register 5eed0001 --name my-reviews",
    ]
    assert nlp_rnn.load(tmp_path / "sweep").predict(["w2"])


def test_each_of_several_data_sets_has_its_classifier(tmp_path: Path) -> None:
    other = run_of("gru h128", 1, 0.7, data="ag_news")
    lines = deploy(recommended([*GRU, other], [], Monitor.auto), tmp_path, "5eed0001")
    assert [line.split()[-1] for line in lines if line.startswith("register")] == [
        "ag_news",
        "imdb",
    ]
    assert "classifier    runs:/gru h128-1-ag_news" in lines
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("data", "name"), [("../x", "x"), ("Übung 1", "Übung-1"), ("!", "NAME")])
def test_the_suggested_name_is_one_word(tmp_path: Path, data: str, name: str) -> None:
    lines = deploy(
        recommended([run_of("gru h128", 1, 0.7, data=data)], [], Monitor.auto), tmp_path, "5"
    )
    assert lines[-1].endswith(f"--name {name}")
