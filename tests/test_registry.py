"""The alias of a registered model moves to a run that is not worse on the same test texts."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient

import nlp_rnn
from nlp_rnn.cli import main
from nlp_rnn.errors import ClassifierError
from nlp_rnn.scoring.predictions import Predictions, write_predictions
from nlp_rnn.tracking.run_lifecycle import tracked_run
from nlp_rnn.tracking.store import obtain_experiment
from tests.tiny_classifier import save_tiny

LABELS = np.arange(60) % 3


class Store:
    """A store with runs that were right on so many of sixty texts."""

    def __init__(self, folder: Path, uri: str) -> None:
        self.folder, self.uri = folder, uri
        self.client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        self.experiment = obtain_experiment(uri, "test")
        self.count = 0

    def run(self, right: int, digest: str = "d1", rows: int = 60, seed: int = 0) -> str:
        self.count += 1
        folder = save_tiny(self.folder / f"classifier{self.count}", seed=seed)
        predictions = LABELS.copy()
        predictions[right:] = (predictions[right:] + 1) % 3
        probabilities = np.full((60, 3), 0.1)
        probabilities[np.arange(60), predictions] = 0.8
        path = self.folder / "test_predictions.parquet"
        write_predictions(
            path,
            Predictions.from_probabilities(
                range(rows),
                LABELS[:rows],
                probabilities[:rows],
                [3] * rows,
                ["bad", "fair", "good"],
            ),
        )
        with tracked_run(
            self.uri, self.experiment, name="r", parameters={}, tags={"data": "tiny"},
            system_metrics=False,
        ) as run:  # fmt: skip
            run.log_dataset("tiny test", digest, "test", {})
            run.log_file(path, "predictions")
            run.log_final({"test/accuracy": right / 60, "test/macro_f1": right / 60})
            run.log_classifier(folder, ["w2"])
        return run.run_id

    def champion(self, name: str = "reviews", alias: str = "champion") -> Any:
        return self.client.get_model_version_by_alias(name, alias)


@pytest.fixture
def store(tmp_path: Path, store_uri: str, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store_uri)
    monkeypatch.chdir(tmp_path)
    return Store(tmp_path, store_uri)


def register(run: str, *arguments: str) -> int:
    return main(["register", run, "--name", "reviews", *arguments])


def test_a_better_run_takes_the_alias_and_a_worse_one_does_not(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    first, worse, better, equal = (store.run(right) for right in (50, 49, 51, 51))
    capsys.readouterr()
    assert register(first) == 0
    assert "champion of reviews is now version 1\n" in capsys.readouterr().out
    assert store.champion().run_id == first
    assert store.champion().tags["test_accuracy"] == "0.8333"
    capsys.readouterr()
    assert register(worse) == 1
    message = capsys.readouterr().err
    assert "worse than the champion of reviews, version 1: test macro_f1 0.8166" in message
    assert "on the same 60 texts" in message
    assert "only the champion on 1 (McNemar p 0.5, not significant). Add --force" in message
    assert len(message.splitlines()) == 2
    assert store.champion().run_id == first
    assert len(store.client.search_model_versions("name='reviews'")) == 1
    assert register(better) == 0
    message = capsys.readouterr().out
    assert "0.8500 against 0.8333 of version 1" in message
    assert "60 texts (McNemar p 0.5, not significant)" in message
    assert store.champion().run_id == better
    assert register(equal, "--metric", "accuracy") == 0
    assert store.champion().run_id == equal
    assert register(worse, "--force") == 0
    assert store.champion().run_id == worse
    # a run is registered only once
    assert register(worse) == register(worse, "--alias", "old") == 0
    assert len(store.client.search_model_versions("name='reviews'")) == 4
    assert store.champion(alias="old").run_id == worse


def test_a_significant_difference_is_reported(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = store.run(50), store.run(20)
    assert register(bad) == 0
    assert register(good) == 0
    assert "(McNemar p 9.3e-10, significant)" in capsys.readouterr().out


def test_the_champion_loads_by_its_alias(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [store.run(50, seed=seed) for seed in (0, 1)]
    for number, run in enumerate(runs, 1):
        assert register(run) == 0
        message = capsys.readouterr().out
        assert 'nlp_rnn.load("models:/reviews@champion")' in message
        expected = nlp_rnn.load(store.folder / f"classifier{number}")
        for location in ("models:/reviews@champion", f"models:/reviews/{number}"):
            loaded = nlp_rnn.load(location)
            assert loaded.config == expected.config
        assert main(["predict", "models:/reviews@champion", "w2 w3"]) == 0
        assert capsys.readouterr().out.startswith(expected.predict(["w2 w3"])[0])


def test_a_classifier_from_a_uri_goes_to_other_processes(store: Store) -> None:
    import pickle

    register(store.run(50))
    classifier = nlp_rnn.load("models:/reviews@champion")
    again = pickle.loads(pickle.dumps(classifier))
    assert again.config == classifier.config
    register(store.run(50, seed=1))
    with pytest.raises(ClassifierError, match="holds a different classifier"):
        pickle.loads(pickle.dumps(classifier))


@pytest.mark.parametrize("other", [{"digest": "d2"}, {"rows": 59}])
def test_other_test_texts_cannot_be_compared(
    store: Store, capsys: pytest.CaptureFixture[str], other: dict[str, Any]
) -> None:
    first, second = store.run(50), store.run(55, **other)
    assert register(first) == 0
    assert register(second) == 1
    message = capsys.readouterr().err
    assert "different texts, so the two cannot be compared" in message
    assert "--force" in message
    assert store.champion().run_id == first
    assert register(second, "--force") == 0
    assert store.champion().run_id == second


def test_a_run_folder_will_do(
    store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = store.run(50)
    (store.folder / "run").mkdir()
    result = store.folder / "run" / "result.json"
    result.write_text(json.dumps({"run_id": run, "tracking_uri": store.uri}))
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert register("run") == 0
    assert store.champion().run_id == run
    result.write_text("{")
    assert register("run") == 2
    result.unlink()
    assert register("run") == 2
    assert "not a run folder" in capsys.readouterr().err


def test_runs_that_cannot_be_registered(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    failed = store.run(50)
    store.client.set_terminated(failed, "FAILED")
    with tracked_run(
        store.uri, store.experiment, name="r", parameters={}, tags={}, system_metrics=False
    ) as bare:
        pass
    capsys.readouterr()
    for arguments, message in (
        ([failed, "--name", "reviews"], "is FAILED, not FINISHED"),
        (["0" * 32, "--name", "reviews"], "MLflow at"),
        ([bare.run_id, "--name", "reviews"], "has no logged model named classifier"),
        ([bare.run_id], "--name NAME"),
        ([bare.run_id, "--name", ""], "--name NAME"),
        ([], "--name NAME"),
        ([bare.run_id, bare.run_id, "--name", "x"], "needs one run"),
        ([bare.run_id, "--name", "x", "--metric", "loss"], "--metric is 'loss'"),
    ):
        assert main(["register", *arguments]) in (1, 2), arguments
        error = capsys.readouterr().err
        assert message in error
        assert len(error.splitlines()) <= 2
    assert store.client.search_model_versions("name='reviews'") == []
    good = store.run(50)
    assert register(good) == 0
    with tracked_run(
        store.uri, store.experiment, name="r", parameters={}, tags={}, system_metrics=False
    ) as untested:
        untested.log_classifier(store.folder / "classifier1", ["w2"])
    assert register(untested.run_id) == 1
    assert "has no predictions for its test split" in capsys.readouterr().err


@pytest.mark.parametrize("registered", [False, True])
def test_a_classifier_without_its_files_is_not_registered(
    store: Store, capsys: pytest.CaptureFixture[str], registered: bool
) -> None:
    run = store.run(50)
    if registered:
        assert register(run) == 0
    (output,) = store.client.get_run(run).outputs.model_outputs
    location = store.client.get_logged_model(output.model_id).artifact_location
    folder = Path(location.removeprefix("file://"))
    folder.rename(folder.with_name("moved"))
    capsys.readouterr()
    for arguments in ((), ("--force",), ("--alias", "new")):
        assert register(run, *arguments) == 1
        message = capsys.readouterr().err
        assert f"The files of the classifier of the run {run} cannot be found at" in message
        assert len(message.splitlines()) == 2
    assert len(store.client.search_model_versions("name='reviews'")) == registered
    folder.with_name("moved").rename(folder)  # as the error advises
    assert register(run) == 0
    assert nlp_rnn.load("models:/reviews@champion").predict(["w2"])


def test_a_champion_without_its_files_is_not_overtaken_silently(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = store.run(50), store.run(55)
    assert register(first) == 0
    uri = store.client.get_run(first).info.artifact_uri
    Path(uri.removeprefix("file://")).rename(store.folder / "moved")
    capsys.readouterr()
    assert register(second) == 1
    message = capsys.readouterr().err
    assert f"The run {first}, version 1 with the alias champion, has no predictions" in message
    assert "--force" in message
    assert store.champion().run_id == first
    assert register(second, "--force") == 0
    assert store.champion().run_id == second


def test_without_a_store_the_error_says_how_to_set_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert register("0" * 32) == 1
    assert "MLFLOW_TRACKING_URI=" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
