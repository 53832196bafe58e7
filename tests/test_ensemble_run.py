"""Runs with `model.ensemble`: what is saved, logged and predicted, and that it is out of sample."""

import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient

import nlp_rnn
from nlp_rnn import pipeline
from nlp_rnn.cli import main
from nlp_rnn.config.compose import read_config
from nlp_rnn.config.defaults import TrainingFacts, resolve_defaults
from nlp_rnn.config.model import Ensemble
from nlp_rnn.config.signature import signature
from nlp_rnn.ngrams.ensemble import EnsembleWeights
from nlp_rnn.runs import ngram_classifier, ngram_ensemble
from nlp_rnn.scoring.predictions import read_predictions
from tests.composing import compose

SMALL = [
    "data=files",
    "model.hidden_size=8",
    "model.embedding_size=8",
    "trainer.max_epochs=2",
    "trainer.threads=1",
    "tracking.system_metrics=false",
    "tracking.speed=none",
]
WORDS = {"bad": ("awful", "cold", "late"), "fair": ("plain", "usual"), "good": ("warm", "kind")}
FILLERS = ("tea", "service", "place", "people", "evening", "music", "room")


def texts_of(rows: int, seed: int) -> list[tuple[str, str]]:
    """Return texts and labels: each text has two words of its label among others."""
    chance = random.Random(seed)
    made = []
    for row in range(rows):
        label = sorted(WORDS)[row % 3]
        words = chance.choices(WORDS[label], k=2) + chance.choices(FILLERS, k=4)
        chance.shuffle(words)
        made.append((" ".join([*words, str(row), str(seed)]), label))
    return made


def write_data(folder: Path, multi_label: bool = False, pairs: bool = False) -> Path:
    folder.mkdir()
    for seed, (split, rows) in enumerate((("train", 60), ("validation", 15), ("test", 30))):
        lines = []
        for text, label in texts_of(rows, seed):
            labels: object = label
            if multi_label:
                labels = [label, "short"] if len(text) < 40 else [label]
            row = {"text": text, ("labels" if multi_label else "label"): labels}
            if pairs:
                row |= {"text": text[:10], "other": text[10:]}
            lines.append(json.dumps(row) + "\n")
        (folder / f"{split}.jsonl").write_text("".join(lines))
    return folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store_uri: str) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NLP_RNN_CACHE", str(tmp_path / "cache"))
    return tmp_path


def train(folder: str, data: Path, *overrides: str) -> dict:
    arguments = [*SMALL, f"data.path={data}", f"output_dir={folder}", *overrides]
    assert main(["train", *arguments]) == 0
    return json.loads((Path(folder) / "result.json").read_text())


def test_a_run_saves_an_ensemble_and_keeps_the_predictions_of_its_parts(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = train("one", write_data(here / "data"), "model.ensemble=on")
    metrics = result["metrics"]
    classifier = nlp_rnn.load(result["classifier"])
    ensemble = classifier.config["provenance"]["ensemble"]
    assert metrics["ensemble/network_weight"] == ensemble["network_weight"] > 0
    assert classifier.config["network_weight"] == ensemble["network_weight"]
    assert metrics["parameters/total"] == classifier.num_parameters
    assert metrics["parameters/network_total"] + metrics["parameters/ngrams"] == (
        classifier.num_parameters
    )
    assert metrics["train/seconds"] == pytest.approx(
        metrics["train/network_seconds"] + metrics["train/ngrams_seconds"]
    )
    rows = [json.loads(line) for line in (here / "data" / "test.jsonl").read_text().splitlines()]
    texts = [row["text"] for row in rows]
    saved = read_predictions(here / "one" / "test_predictions.parquet")
    assert np.allclose(classifier.predict_proba(texts), saved.probabilities, atol=1e-6)
    for part, table in classifier.predict_proba_of_parts(texts).items():
        assert np.allclose(saved.of(part).probabilities, table, atol=1e-6), part
        name = "test/accuracy" if part == "ensemble" else f"test/{part}_accuracy"
        assert metrics[name] == pytest.approx(saved.of(part).correct.mean())
    assert metrics["test/accuracy"] > metrics["test/network_accuracy"]  # two epochs are few
    assert metrics["latency/network_onnx_batch1_p50_ms"] > 0
    output = capsys.readouterr().out
    assert "ensemble: network × " in output
    (row,) = (line for line in output.splitlines() if line.startswith("  network alone"))
    assert f"{100 * metrics['test/network_accuracy']:.1f} %" in row
    run = MlflowClient(tracking_uri=result["tracking_uri"]).get_run(result["run_id"])
    assert run.data.params["model.ensemble"] == "on"
    assert run.data.tags["ensemble"].startswith("ensemble: network × ")
    assert "test, n-gram models alone" in run.data.tags["mlflow.note.content"]
    card = (here / "one" / "classifier" / "README.md").read_text()
    for row in ("test, this classifier", "test, network alone", "test, n-gram models alone"):
        assert f"| {row} | 30 |" in card
    for name, value in metrics.items():
        assert run.data.metrics[name] == pytest.approx(value), name


def test_saved_validation_predictions_are_those_for_texts_that_were_not_fitted(here: Path) -> None:
    data = write_data(here / "data")
    # labels of validation that contradict the texts: models that were fitted to them repeat them
    path = data / "validation.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    wrong = {"bad": "good", "good": "fair", "fair": "bad"}
    path.write_text("".join(json.dumps(r | {"label": wrong[r["label"]]}) + "\n" for r in rows))
    result = train("one", data, "model.ensemble=on")
    classifier = nlp_rnn.load(result["classifier"])
    assert classifier.config["provenance"]["fitted_to"] == ["train", "validation"]
    texts = [row["text"] for row in rows]
    saved = read_predictions(here / "one" / "validation_predictions.parquet").of("ngrams")
    of_classifier = classifier.predict_proba_of_parts(texts)["ngrams"]
    # what the saved, refitted models know of these texts is not in the file
    of_labels = saved.labels[:, None] == np.arange(3)
    assert (of_classifier[of_labels] > saved.probabilities[of_labels] + 0.02).all()
    assert result["metrics"]["validation/ngrams_accuracy"] < 0.2


def test_the_thresholds_of_a_multi_label_ensemble_are_chosen_for_the_ensemble(here: Path) -> None:
    data = write_data(here / "data", multi_label=True)
    result = train("one", data, "model.ensemble=on", "data.label=labels")
    metrics = result["metrics"]
    classifier = nlp_rnn.load(result["classifier"])
    assert classifier.thresholds is not None
    for split in ("validation", "test"):
        saved = read_predictions(here / "one" / f"{split}_predictions.parquet")
        assert np.array_equal(saved.predictions, saved.probabilities >= classifier.thresholds)
        for part in ("network", "ngrams"):
            assert f"{split}/{part}_micro_f1" in metrics
    assert metrics["test/micro_f1"] >= metrics["test/network_micro_f1"]
    origin = classifier.config["provenance"]["validation"]
    assert origin["micro_f1"] == pytest.approx(metrics["validation/micro_f1"], abs=1e-3)


def test_pairs_are_ensembles_too(here: Path) -> None:
    data = write_data(here / "data", pairs=True)
    pairs = ("data.text=[text,other]", "data.separator_token=true")
    result = train("one", data, "model.ensemble=on", *pairs)
    classifier = nlp_rnn.load(result["classifier"])
    row = json.loads((data / "test.jsonl").read_text().splitlines()[0])
    text = classifier.join_texts(row["text"], row["other"])
    saved = read_predictions(here / "one" / "test_predictions.parquet")
    assert np.allclose(classifier.predict_proba([text])[0], saved.probabilities[0], atol=1e-6)


def test_a_run_without_an_ensemble_has_no_columns_of_parts(here: Path) -> None:
    result = train("one", write_data(here / "data"), "model.ensemble=off")
    assert not any("network_" in name for name in result["metrics"])
    assert not read_predictions(here / "one" / "test_predictions.parquet").parts
    assert "network_weight" not in nlp_rnn.load(result["classifier"]).config


@pytest.mark.parametrize(("network", "ngrams"), [(1.0, 0.0), (0.0, 1.0)])
def test_the_guard_decides_what_auto_saves(
    here: Path, monkeypatch: pytest.MonkeyPatch, network: float, ngrams: float
) -> None:
    weights = EnsembleWeights(network, ngrams, "The ensemble is worse.")
    guarded = []

    def choose(*_: object, **options: bool) -> EnsembleWeights:
        guarded.append(options["guarded"])
        return weights

    monkeypatch.setattr(ngram_ensemble, "choose_ensemble", choose)
    result = train("one", write_data(here / "data"), "model.ensemble=auto")
    assert guarded == [True]
    saved = read_predictions(here / "one" / "test_predictions.parquet")
    classifier = nlp_rnn.load(result["classifier"])
    if ngrams:
        assert np.array_equal(saved.predictions, saved.of("ngrams").predictions)
        assert classifier.config["network_weight"] == 0
    else:
        assert not saved.parts
        assert "network_weight" not in classifier.config
    run = MlflowClient(tracking_uri=result["tracking_uri"]).get_run(result["run_id"])
    assert run.data.tags["ensemble"] == "ensemble: The ensemble is worse."


def test_on_has_no_guard(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    guarded = []
    choose = ngram_ensemble.choose_ensemble

    def noted(*arguments: np.ndarray, **options: bool) -> EnsembleWeights:
        guarded.append(options["guarded"])
        return choose(*arguments, **options)

    monkeypatch.setattr(ngram_ensemble, "choose_ensemble", noted)
    train("one", write_data(here / "data"), "model.ensemble=on")
    assert guarded == [False]


def test_a_run_that_ends_while_fitting_resumes_to_the_same_classifier(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_data(here / "data")
    whole = train("whole", data, "model.ensemble=on")

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ngram_classifier, "fit_ngrams", interrupted)
        arguments = [*SMALL, f"data.path={data}", "output_dir=cut", "model.ensemble=on"]
        assert main(["train", *arguments]) != 0
    assert not (here / "cut" / "result.json").exists()
    resumed = pipeline.resume(here / "cut")
    for name in ("model.safetensors", "model.onnx", "ngrams.safetensors"):
        files = [Path(folder) / name for folder in (whole["classifier"], resumed.classifier)]
        assert files[0].read_bytes() == files[1].read_bytes(), name
    for name in ("test", "validation"):
        tables = [
            read_predictions(here / folder / f"{name}_predictions.parquet").probabilities
            for folder in ("whole", "cut")
        ]
        assert np.array_equal(*tables)


@pytest.mark.slow
def test_worker_processes_train_the_network_and_the_first_one_fits_the_ngrams(here: Path) -> None:
    result = train(
        "one",
        write_data(here / "data"),
        "model.ensemble=on",
        "trainer.processes=2",
        "trainer.threads=2",
    )
    assert nlp_rnn.load(result["classifier"]).config["network_weight"] > 0


def test_a_validation_split_that_was_fitted_is_not_evaluated_as_new(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_data(here / "data")
    result = train("one", data, "model.ensemble=on")
    arguments = ["evaluate", result["classifier"], "data=files", f"data.path={data}"]
    assert main([*arguments, "--split", "validation"]) == 0
    assert "n-gram models were fitted to the validation split too" in capsys.readouterr().err


def test_what_auto_resolves_to() -> None:
    facts = TrainingFacts(1000, 20_000, 3, 100)

    def resolved(*overrides: str) -> Ensemble:
        config = compose(["model.ensemble=auto", *overrides])
        return resolve_defaults(config, facts).model.ensemble

    assert resolved() is Ensemble.on
    assert resolved("experiment=probe", "data.probe=recall") is Ensemble.off


def test_runs_of_earlier_versions_had_no_ensembles(here: Path) -> None:
    data = write_data(here / "data")
    train("one", data, "model.ensemble=off")
    path = here / "one" / "config.yaml"
    with_key = read_config(path)
    path.write_text(
        "".join(line for line in path.read_text().splitlines(True) if "ensemble" not in line)
    )
    earlier = read_config(path)
    assert earlier.model.ensemble is Ensemble.off
    assert signature(earlier) == signature(with_key)
    auto = compose([*SMALL, f"data.path={data}", "model.ensemble=auto"])
    assert signature(auto) != signature(earlier)
    shutil.rmtree(here / "one")
