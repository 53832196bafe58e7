"""Runs from end to end: run folder, MLflow run and loaded classifier agree, or the run fails."""

import json
import os
import random
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import torch
from mlflow import MlflowClient

import nlp_rnn
from nlp_rnn.classifier.predictor import TextClassifier
from nlp_rnn.cli import main
from nlp_rnn.config.compose import read_config
from nlp_rnn.config.signature import signature
from nlp_rnn.config.training import Precision
from nlp_rnn.data.corpus import load_corpus
from nlp_rnn.errors import ClassifierError
from nlp_rnn.scoring.predictions import read_predictions
from nlp_rnn.sources.stories import PLACES
from tests import warm
from tests.composing import compose

SMALL = [
    "data.train_rows=200",
    "data.test_rows=60",
    "data.train_sentences=2",
    "model.hidden_size=8",
    "model.embedding_size=8",
    "trainer.max_epochs=2",
    "trainer.threads=1",
    "tracking.system_metrics=false",
    "tracking.speed=none",
]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store_uri: str) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NLP_RNN_CACHE", str(tmp_path / "cache"))
    return tmp_path


def train(folder: str, *overrides: str) -> dict:
    assert main(["train", *SMALL, f"output_dir={folder}", *overrides]) == 0
    return json.loads((Path(folder) / "result.json").read_text())


def test_folder_run_and_classifier_agree_on_every_test_prediction(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = train("one", "model=lstm")
    assert sorted(path.name for path in (here / "one").iterdir()) == [
        "classifier",
        "config.yaml",
        "confusion_matrix.png",
        "mistakes.html",
        "resolved.yaml",
        "result.json",
        "risk_coverage.png",
        "summary.txt",
        "test_predictions.parquet",
        "validation_predictions.parquet",
    ]
    assert result["run_id"] in capsys.readouterr().out
    client = MlflowClient(tracking_uri=result["tracking_uri"])
    run = client.get_run(result["run_id"])
    assert run.info.status == "FINISHED"
    for name, value in result["metrics"].items():
        assert run.data.metrics[name] == pytest.approx(value), name
    for name in ("test/accuracy", "test/macro_f1", "validation/macro_f1", "train/seconds"):
        assert name in result["metrics"]
    assert run.data.params["model.cell"] == "lstm"
    assert run.data.params["model.hidden_size"] == "8"
    assert run.data.tags["cell"] == "lstm"
    params = run.data.params
    assert (params["trainer.language_model"], params["trainer.r_drop"]) == ("0.5", "1.0")
    assert (params["model.embedding_dropout"], params["trainer.average_decay"]) == ("0.5", "0.0")
    assert (params["trainer.patience"], params["trainer.monitor"]) == ("6", "macro_f1")
    assert (params["trainer.device"], params["trainer.max_minutes"]) == ("cpu", "None")
    requested = json.loads(run.data.tags["requested"])
    assert requested["trainer.patience"] is None
    assert requested["trainer.device"] == "auto"
    assert "trainer.max_minutes" not in requested  # null means no limit
    assert len(run.data.tags["signature"]) == 8
    history = client.get_metric_history(result["run_id"], "validation/macro_f1")
    assert [point.step for point in history] == [1, 2, 3]  # the last is the kept weights'
    corpus = load_corpus(compose(SMALL).data)
    assert {d.dataset.name: d.dataset.digest for d in run.inputs.dataset_inputs} == {
        f"stories {split}": corpus.digest[:36] for split in ("train", "validation", "test")
    }

    artifacts = Path(client.download_artifacts(result["run_id"], "", str(here)))
    for name in (
        "config.yaml",
        "resolved.yaml",
        "classification_report.txt",
        "confusion_matrix.png",
    ):
        assert (artifacts / name).stat().st_size > 0
    texts = list(corpus.test["text"])
    expected = read_predictions(artifacts / "predictions" / "test_predictions.parquet")
    for location in (result["classifier"], f"runs:/{result['run_id']}/classifier"):
        classifier = nlp_rnn.load(location)
        assert list(classifier.classes_) == list(PLACES)
        probabilities = classifier.predict_proba(texts)
        np.testing.assert_allclose(probabilities, expected.probabilities, rtol=0, atol=1e-6)
        predictions = classifier.predict(texts)
        assert predictions == [expected.label_names[i] for i in expected.predictions]
    truth = [corpus.labels[label] for label in corpus.test["label"]]
    right = np.mean([one == other for one, other in zip(predictions, truth, strict=True)])
    assert result["metrics"]["test/accuracy"] == pytest.approx(right)
    mlflow.set_tracking_uri(result["tracking_uri"])
    model = mlflow.pyfunc.load_model(f"runs:/{result['run_id']}/classifier")
    answer = model.predict(texts)
    assert isinstance(answer, pd.DataFrame)
    assert list(answer["label"]) == predictions


def test_answers_take_as_many_threads_as_the_training(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[TextClassifier] = []
    load = TextClassifier.load

    def remembering(*given: object, **named: object) -> TextClassifier:
        loaded.append(load(*given, **named))  # type: ignore[arg-type]
        return loaded[-1]

    monkeypatch.setattr(TextClassifier, "load", remembering)
    train("one", "model.hidden_size=64", "model.embedding_size=64", "trainer.max_epochs=1")
    # MLflow loads its own copy, to see that it can
    own = [one for one in loaded if one.location == str(here / "one" / "classifier")]
    assert {one.threads for one in own} == {1}
    assert {one.runtime for one in own} == {"onnx", "int8"}


@pytest.mark.slow
def test_learning_rates_and_profile_are_in_the_run_when_asked_for(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = train("one", "trainer.find_learning_rate=true", "trainer.profile=true")
    told = capsys.readouterr().out
    client = MlflowClient(tracking_uri=result["tracking_uri"])
    artifacts = {file.path for file in client.list_artifacts(result["run_id"])}
    assert {"learning_rates.csv", "learning_rates.png", "profile.txt"} <= artifacts
    suggested = client.get_run(result["run_id"]).data.tags["suggested_learning_rate"]
    assert f"learning rate {float(suggested):.1e} suggested, 4.0e-03 used" in told
    plain = train("two")
    for name in ("test/loss", "validation/loss"):
        assert result["metrics"][name] == plain["metrics"][name]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_metrics_in_another_process(here: Path) -> None:
    measured = ("seconds", "tokens_per_second", "latency")

    def metrics(result: dict) -> dict[str, float]:
        return {k: v for k, v in result["metrics"].items() if not any(m in k for m in measured)}

    one = train("one")
    assert warm.run(["nlp-rnn", "train", *SMALL, "hydra.run.dir=two"]).returncode == 0
    two = json.loads((here / "two" / "result.json").read_text())
    other = train("three", "seed=2")
    assert metrics(one) == metrics(two)
    assert metrics(one) != metrics(other)
    assert len({result["run_id"] for result in (one, two, other)}) == 3


def test_a_saved_config_trains_again_from_anywhere(here: Path) -> None:
    data = pd.DataFrame({"text": ["ja", "nein", "doch", "nie"] * 10, "label": [1, 0, 1, 0] * 10})
    data.to_csv("answers.csv", index=False)
    words = ["data=files", "data.path=answers.csv", "model=rnn", "tokenizer=unigram", *SMALL[3:]]
    assert main(["train", *words, "hydra.run.dir=one"]) == 0
    config = read_config(here / "one" / "config.yaml")
    assert config.data.path == str(here / "answers.csv")
    expected = compose([*words, f"data.path={here / 'answers.csv'}"])
    assert config == expected
    assert signature(config) == signature(expected)


@pytest.mark.slow
def test_texts_of_every_kind_are_trained_on(here: Path) -> None:
    """In a path with blanks and letters of no ASCII; nothing is dropped in silence."""
    texts = [
        "x" * 1_000_000,
        "a\x00b",
        "c\u0085d",
        "🐉👩\u200d🚀",
        "שלום עולם",
        "   ",
        "",
        "\u202e x",
    ]
    folder = here / "Ordner mit é, und {mehr}"
    folder.mkdir()
    rows = [{"text": text, "label": number % 2} for number in range(20) for text in texts]
    content = "\n".join(map(json.dumps, rows))
    (folder / "wör ter.jsonl").write_text(content)
    words = ["data=files", f"data.path='{folder}/wör ter.jsonl'", *SMALL[3:], "tokenizer=char"]
    assert main(["train", *words, "hydra.run.dir=odd ä"]) == 0
    result = json.loads((here / "odd ä" / "result.json").read_text())
    assert len(read_predictions(here / "odd ä" / "test_predictions.parquet").rows) == 16
    assert len(nlp_rnn.load(result["classifier"]).predict(texts)) == len(texts)


def test_what_fails_in_training_is_failed_in_mlflow(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["optimizer.learning_rate=1e30", "optimizer.max_gradient_norm=1e30"]
    assert main(["train", *SMALL, *words, "hydra.run.dir=one"]) == 1
    told = capsys.readouterr().err
    assert "Set optimizer.learning_rate to less than" in told
    client = MlflowClient(tracking_uri=f"sqlite:///{here / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("nlp_rnn").experiment_id])
    assert run.info.status == "FAILED"
    trace = Path(client.download_artifacts(run.info.run_id, "traceback.txt", str(here)))
    assert "TrainingError" in trace.read_text()
    assert not (here / "one" / "classifier").exists()


def test_what_mlflow_does_not_take_loses_nothing_finished(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import nlp_rnn.classifier.mlflow_model

    def away(*arguments: object, **options: object) -> None:
        raise OSError("the artifact store is away")

    with monkeypatch.context() as for_now:
        for_now.setattr("nlp_rnn.tracking.outbox.SECONDS_TO_CLOSE", 0.1)
        for_now.setattr(nlp_rnn.classifier.mlflow_model, "log_classifier", away)
        assert main(["train", *SMALL, "hydra.run.dir=one"]) == 0
    result = json.loads((here / "one" / "result.json").read_text())
    assert nlp_rnn.load(result["classifier"]).predict(["A story."])
    client = MlflowClient(tracking_uri=result["tracking_uri"])
    run = client.get_run(result["run_id"])
    assert run.info.status == "FINISHED"
    assert run.data.metrics["test/accuracy"] == result["metrics"]["test/accuracy"]
    with pytest.raises(ClassifierError):
        nlp_rnn.load(f"runs:/{result['run_id']}/classifier")

    capsys.readouterr()
    assert main(["sync", "one"]) == 0
    assert (
        capsys.readouterr().out == "one: sent 6 pending entries\n"
    )  # the model and all after it: mistakes, summary, the status again
    monkeypatch.setenv("MLFLOW_TRACKING_URI", result["tracking_uri"])
    assert nlp_rnn.load(f"runs:/{result['run_id']}/classifier").predict(["A story."])
    assert main(["sync", "one"]) == 0
    assert capsys.readouterr().out == "There is nothing to send below one.\n"
    assert len(client.search_logged_models([result["experiment_id"]])) == 1


def test_store_and_experiment_of_the_environment_are_respected(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "elsewhere").mkdir()
    (here / "mlflow.db").rename(here / "elsewhere" / "runs.db")
    uri = f"sqlite:///{here / 'elsewhere' / 'runs.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    words = [word for word in SMALL if "hidden_size" not in word]
    assert main(["train", *words, "model=average", "hydra.run.dir=one"]) == 0
    result = json.loads((here / "one" / "result.json").read_text())
    assert result["tracking_uri"] == uri
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment(client.get_run(result["run_id"]).info.experiment_id)
    assert experiment.name == "mine"
    assert not (here / "mlflow.db").exists()


def test_a_run_that_was_killed_goes_on_in_the_same_mlflow_run(here: Path) -> None:
    """kill -9 in training, then resume: the same weights as a run that was never stopped."""
    words = [*SMALL, "trainer.max_epochs=5", "trainer.checkpoint_minutes=0", "data.train_rows=600"]
    out = here / "told.txt"
    process = warm.start(["nlp-rnn", "train", *words, "hydra.run.dir=killed"], out, out)
    warm.wait_for(process, out, "epoch 2")
    process.kill()
    process.join()
    assert not (here / "killed" / "result.json").exists()
    origin = json.loads((here / "killed" / "checkpoint" / "run.json").read_text())
    assert main(["train", "resume=killed"]) == 0
    resumed = json.loads((here / "killed" / "result.json").read_text())
    assert resumed["run_id"] == origin["run_id"]
    assert not (here / "killed" / "checkpoint").exists()
    assert main(["train", *words, "hydra.run.dir=whole"]) == 0
    for name in ("model.safetensors", "model.onnx", "tokenizer.json"):
        one, other = (here / run / "classifier" / name for run in ("killed", "whole"))
        assert one.read_bytes() == other.read_bytes()
    client = MlflowClient(tracking_uri=resumed["tracking_uri"])
    run = client.get_run(resumed["run_id"])
    assert run.info.status == "FINISHED"
    steps = [p.step for p in client.get_metric_history(run.info.run_id, "validation/macro_f1")]
    assert sorted(set(steps)) == list(range(1, int(resumed["metrics"]["train/epochs"]) + 2))
    assert main(["train", "resume=killed"]) == 2


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_ends_with_the_same_weights(here: Path) -> None:
    """kill -9 after random times, every new option on, until the run ends by itself."""
    words = [*SMALL[3:5], *SMALL[6:], "data.train_rows=2000", "data.test_rows=60"]
    words += ["data.train_sentences=2", "trainer.max_epochs=5", "trainer.checkpoint_minutes=0"]
    words += ["trainer.accumulation=2", "optimizer.schedule=plateau", "model.weight_drop=0.2"]
    words += ["trainer.average_decay=0.9", "model.output_dropout=0.2"]
    waits = random.Random(4)
    command = [sys.executable, "-m", "nlp_rnn", "train"]
    for attempt in range(3):
        rest = ["resume=killed"] if attempt else [*words, "hydra.run.dir=killed"]
        with subprocess.Popen([*command, *rest], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith("run folder"):
                    time.sleep(1 + 2 * waits.random())
                    process.kill()
        if (here / "killed" / "result.json").exists():
            break
        torn = list((here / "killed").glob("**/*.part"))
        assert len(torn) <= 1  # of the checkpoint that was being written
    else:
        assert main(["train", "resume=killed"]) == 0
    assert main(["train", *words, "hydra.run.dir=whole"]) == 0
    one, other = (here / run / "classifier" / "model.safetensors" for run in ("killed", "whole"))
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "kill"]
)
def test_a_run_that_was_stopped_is_killed_in_mlflow(here: Path, number: int, code: int) -> None:
    words = [*SMALL, "trainer.max_epochs=99", "trainer.patience=99", "hydra.run.dir=one"]
    out, err = here / "told.txt", here / "errors.txt"
    process = warm.start(["nlp-rnn", "train", *words], out, err)
    warm.wait_for(process, out, "epoch 2")
    assert process.pid is not None
    os.kill(process.pid, number)
    process.join(60)
    assert process.exitcode == code
    lines = err.read_text().splitlines()
    assert lines[-2] == f"Stopped by {'Ctrl-C' if code == 130 else 'SIGTERM'}."
    folder = shlex.quote(str(here / "one"))
    assert lines[-1] == f"To resume it, run nlp-rnn train resume={folder}"
    assert "Traceback" not in err.read_text()
    origin = json.loads((here / "one" / "checkpoint" / "run.json").read_text())
    client = MlflowClient(tracking_uri=origin["tracking_uri"])
    assert client.get_run(origin["run_id"]).info.status == "KILLED"
    assert client.get_metric_history(origin["run_id"], "validation/macro_f1")


def test_a_run_that_stops_before_its_texts_are_tokenized_logs_all_parameters_when_resumed(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("nlp_rnn.tokens.tokenization.tokenize_corpus", _raise_interrupt)
        assert main(["train", *SMALL, "output_dir=one"]) == 130
    assert main(["train", "resume=one"]) == 0
    result = json.loads((here / "one" / "result.json").read_text())
    run = MlflowClient(tracking_uri=result["tracking_uri"]).get_run(result["run_id"])
    assert (run.data.params["trainer.patience"], run.data.params["trainer.device"]) == ("6", "cpu")
    assert json.loads(run.data.tags["requested"])["trainer.patience"] is None


def test_a_run_that_is_resumed_with_another_precision_keeps_its_logged_parameters(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("nlp_rnn.training.trainer.Trainer.fit", _raise_interrupt)
        assert main(["train", *SMALL, "output_dir=one", "trainer.precision=auto"]) == 130
    logged = read_config(here / "one" / "resolved.yaml").trainer.precision
    other = torch.float32 if logged is Precision.bf16 else torch.bfloat16
    if other is torch.bfloat16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        pytest.skip("this machine has one precision only")
    monkeypatch.setattr("nlp_rnn.training.device.choose_precision", lambda *_: other)
    assert main(["train", "resume=one"]) == 0
    result = json.loads((here / "one" / "result.json").read_text())
    run = MlflowClient(tracking_uri=result["tracking_uri"]).get_run(result["run_id"])
    assert run.info.status == "FINISHED"
    assert run.data.params["trainer.precision"] == logged.name
    assert read_config(here / "one" / "resolved.yaml").trainer.precision is not logged


def _raise_interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("folder", ["nowhere", "."])
def test_there_must_be_something_to_resume(
    here: Path, folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", f"resume={folder}"]) == 2
    assert "no interrupted run" in capsys.readouterr().err
    assert main(["train", f"resume={folder}", "seed=2"]) == 2
    assert "seed=2" in capsys.readouterr().err
