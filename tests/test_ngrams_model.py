"""Runs with `model=ngrams`: n-gram models alone, trained, evaluated, logged and deployed."""

import json
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pyarrow.parquet as pq
import pytest

import nlp_rnn
from nlp_rnn.cli import main
from nlp_rnn.config.compose import compose
from nlp_rnn.config.signature import logged_parameters, signature
from nlp_rnn.errors import ConfigError
from nlp_rnn.pipeline import Result, train
from tests.test_ngram_table import corpus

DATA = ["data=files", "data.path=data.csv"]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    texts, labels = corpus(300)
    rows = [f'"{text}",{"abc"[label]}' for text, label in zip(texts, labels, strict=True)]
    Path("data.csv").write_text("\n".join(["text,label", *rows]), encoding="utf-8")
    return tmp_path


def trained(*overrides: str) -> Result:
    config = compose(["model=ngrams", *DATA, "tracking.system_metrics=false", *overrides])
    return train(config, Path("run").absolute(), ["model=ngrams", *DATA])


def test_a_run_is_saved_logged_evaluated_and_timed(data: Path) -> None:
    result = trained()
    metrics = result.metrics
    classifier = nlp_rnn.load(result.classifier)
    assert classifier.config["architecture"] is None
    assert metrics["test/accuracy"] > 0.8
    assert metrics["parameters/total"] == classifier.num_parameters
    assert metrics["latency/onnx_batch1_p50_ms"] > 0
    assert metrics["throughput/onnx_batch32_texts_per_second"] > 0
    table = pq.read_table("run/test_predictions.parquet")
    assert {"row", "label", "prediction", "probabilities"} <= set(table.column_names)
    run = mlflow.MlflowClient(result.tracking_uri).get_run(result.run_id)
    assert run.info.status == "FINISHED"
    assert (run.data.tags["cell"], run.info.run_name) == ("ngrams", "ngrams seed1")
    assert not [key for key in run.data.params if key.startswith(("optimizer.", "tokenizer."))]
    assert "linear models" in Path(result.classifier, "README.md").read_text(encoding="utf-8")
    logged = nlp_rnn.load(f"runs:/{result.run_id}/classifier")
    texts = corpus(20, seed=3)[0]
    assert np.array_equal(logged.predict_proba(texts), classifier.predict_proba(texts))
    model = mlflow.pyfunc.load_model(f"runs:/{result.run_id}/classifier")
    assert model.predict(texts)["label"].tolist() == classifier.predict(texts)


def test_texts_that_were_trained_on_are_recognized(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = trained("tracking.speed=none")
    rows = Path("data.csv").read_text(encoding="utf-8").splitlines()
    Path("part.csv").write_text("\n".join(rows[:50]), encoding="utf-8")
    capsys.readouterr()
    arguments = ["data=files", "data.path=part.csv"]
    assert main(["evaluate", result.classifier, *arguments]) == 0
    assert "trained on" in capsys.readouterr().err
    assert main(["evaluate", result.classifier, *arguments, "--split", "unseen", "--json"]) == 0


def test_torchrun_is_rejected(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="torchrun started 2"):
        trained()


def test_validation_predictions_are_those_of_models_that_have_not_seen_the_split(
    data: Path,
) -> None:
    result = trained("tracking.speed=none")
    classifier = nlp_rnn.load(result.classifier)
    assert classifier.config["provenance"]["fitted_to"] == ["train", "validation"]
    table = pq.read_table("run/validation_predictions.parquet").to_pydict()
    lines = Path("data.csv").read_text(encoding="utf-8").splitlines()[1:]
    texts = [lines[row].rpartition(",")[0].strip('"') for row in table["row"]]
    saved = classifier.predict_proba(texts)
    assert not np.allclose(saved, np.array(table["probabilities"]), atol=1e-3)


def test_multi_label_texts_and_pairs(data: Path) -> None:
    rows = [
        {"a": "tea", "b": "cold milk", "labels": ["x", "y"]},
        {"a": "cup", "b": "", "labels": []},
    ]
    rows += [{"a": "good", "b": "tea", "labels": ["y"]}]
    with Path("pairs.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows * 20)
    options = ["data.path=pairs.jsonl", "data.text=[a,b]", "data.label=labels"]
    result = trained(*options, "data.separator_token=true", "tracking.speed=none")
    classifier = nlp_rnn.load(result.classifier)
    assert classifier.task == "multi_label"
    assert sorted(classifier.predict([classifier.join_texts("tea", "cold milk")])[0]) == ["x", "y"]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainer.max_epochs=3", "trainer.max_epochs=3 has no effect with model=ngrams"),
        ("trainer.device=cuda", "trainer.device=cuda has no effect"),
        ("optimizer.learning_rate=0.1", "optimizer.learning_rate=0.1 has no effect"),
        ("tokenizer=bpe", "tokenizer=bpe has no effect"),
        ("tokenizer.vocab_size=100", "tokenizer.vocab_size=100 has no effect"),
        ("pretraining.max_epochs=1", "pretraining.max_epochs=1 has no effect"),
        ("model.hidden_size=3", "model.hidden_size has no effect here"),
    ],
)
def test_options_without_an_effect_raise_an_error(data: Path, override: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compose(["model=ngrams", *DATA, override])
    assert message in str(caught.value)
    if not override.startswith("pretraining"):  # which needs a pretrained network
        compose(["model=gru", *DATA, override])


def test_options_with_an_effect_shape_the_signature(data: Path) -> None:
    def of(*overrides: str) -> Any:
        return compose(["model=ngrams", *DATA, *overrides])

    plain = signature(of())
    assert signature(of("seed=2", "trainer.device=cpu", "trainer.threads=1")) == plain
    assert signature(of("trainer.class_weight=balanced")) != plain
    assert signature(of("data.limit=100")) != plain
    assert "trainer.class_weight" in logged_parameters(of())
    assert "trainer.max_epochs" not in logged_parameters(of())
