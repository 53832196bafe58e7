"""A classifier is found by its folder, its run folder, or ids of a run or a sweep in MLflow."""

import builtins
import shutil
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

import nlp_rnn
from nlp_rnn.classifier.location import RECOMMENDED_TAG, find_classifier
from nlp_rnn.cli import main
from nlp_rnn.errors import ClassifierError
from nlp_rnn.extras import MissingPackageError
from nlp_rnn.tracking.run_lifecycle import tracked_run
from nlp_rnn.tracking.store import obtain_experiment
from tests.tiny_classifier import save_tiny


class Runs:
    """A store in the working directory with one run that has a classifier."""

    def __init__(self, folder: Path, uri: str) -> None:
        self.uri = uri
        self.experiment = obtain_experiment(uri, "test")
        self.folder = folder / "outputs" / "run"
        classifier = save_tiny(self.folder / "classifier")
        self.expected = nlp_rnn.TextClassifier.load(classifier).predict_proba(["w2 w3"])
        with tracked_run(
            uri, self.experiment, name="r", parameters={}, tags={}, system_metrics=False
        ) as run:
            run.log_classifier(classifier, ["w2"])
        self.id = run.run_id

    def sweep(self, **tags: str) -> str:
        tags = {"kind": "sweep"} | tags
        with tracked_run(
            self.uri, self.experiment, name="s", parameters={}, tags=tags, system_metrics=False
        ) as run:
            pass
        return str(run.run_id)


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store_uri: str) -> Runs:
    monkeypatch.chdir(tmp_path)
    return Runs(tmp_path, store_uri)


def test_every_kind_of_location_loads_the_classifier(
    runs: Runs, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = runs.sweep(**{RECOMMENDED_TAG: runs.id, "best_run": "f" * 32})
    earlier = runs.sweep(best_run=runs.id)
    uri = f"runs:/{runs.id}/classifier"
    for location, found in (
        (runs.folder / "classifier", str(runs.folder / "classifier")),
        (runs.folder, str(runs.folder / "classifier")),
        ("outputs/run", "outputs/run/classifier"),
        (runs.id, uri),
        (runs.id[:8], uri),
        (f"runs:/{runs.id}", uri),
        (f"runs:/{runs.id[:8]}", uri),
        (uri, uri),
        (sweep, uri),
        (sweep[:8], uri),
        (earlier[:8], uri),
    ):
        assert find_classifier(location) == found
    for location in (runs.folder, runs.id[:8], sweep[:8]):
        classifier = nlp_rnn.load(location)
        assert (classifier.predict_proba(["w2 w3"]) == runs.expected).all()
    assert classifier.location == uri
    # each command reaches the same function
    for command in (["predict", runs.id[:8], "w2"], ["predict", str(runs.folder), "w2"]):
        assert main(command) == 0
    outputs = capsys.readouterr().out.splitlines()
    assert outputs[0] == outputs[1]
    assert main(["register", sweep[:8], "--name", "tiny"]) == 0
    version = MlflowClient(runs.uri).get_model_version_by_alias("tiny", "champion")
    assert version.run_id == runs.id


def test_a_folder_or_file_with_the_name_of_an_id_is_that_folder(runs: Runs, tmp_path: Path) -> None:
    shutil.copytree(runs.folder / "classifier", tmp_path / "deadbeef")
    assert find_classifier("deadbeef") == "deadbeef"
    assert nlp_rnn.load("deadbeef").location == str(tmp_path / "deadbeef")


def test_a_classifier_that_cannot_be_found_is_an_error_of_two_lines(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    several = runs.sweep(**{RECOMMENDED_TAG: f"{'a' * 32} {'b' * 32}"})
    running = runs.sweep()
    for location, message in (
        ("0" * 8, "has no run 00000000"),
        ("0" * 32, "not found"),
        (several, "a classifier for each: aaaaaaaa, bbbbbbbb"),
        (running[:8], "recommends no classifier: it is FINISHED"),
        ("nowhere", "does not exist"),
        ("", "."),
    ):
        with pytest.raises(ClassifierError, match=message) as caught:
            nlp_rnn.load(location)
        assert len(str(caught.value).splitlines()) == 2
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////nowhere/mlflow.db")
    with pytest.raises(ClassifierError, match="there is no MLflow store at /nowhere/mlflow.db"):
        nlp_rnn.load(runs.id[:8])


def test_without_mlflow_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    imported = builtins.__import__

    def without_mlflow(name: str, *arguments: Any) -> Any:
        if name.partition(".")[0] == "mlflow":
            raise ModuleNotFoundError("No module named 'mlflow'", name="mlflow")
        return imported(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", without_mlflow)
    monkeypatch.setattr("nlp_rnn.extras.find_spec", lambda name: None)
    for location in ("1a2b3c4d", "runs:/1a2b3c4d", "models:/reviews@champion"):
        with pytest.raises(MissingPackageError, match=r"'nlp_rnn\[mlflow\]'"):
            nlp_rnn.load(location)
