"""A saved classifier is tested on any labelled data, and says so as text and as JSON."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import nlp_rnn
from nlp_rnn.cli import main
from nlp_rnn.scoring.predictions import read_predictions
from tests.tiny_classifier import save_tiny, tiny_texts


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NLP_RNN_CACHE", str(tmp_path / "cache"))
    save_tiny(tmp_path / "classifier")
    return tmp_path


def labelled(path: Path, number: int, seed: int = 0, wrong: int = 0) -> list[str]:
    """A csv file with the labels that the classifier gives, but for the first `wrong`."""
    texts = [text or "w2" for text in tiny_texts(number, seed)]
    labels = nlp_rnn.load("classifier").predict(texts)
    others = {"bad": "fair", "fair": "good", "good": "bad"}
    labels[:wrong] = [others[label] for label in labels[:wrong]]
    pd.DataFrame({"review": texts, "stars": labels}).to_csv(path, index=False)
    return labels


WORDS = ["data=files", "data.text=review", "data.label=stars"]


def scores(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["evaluate", "classifier", *WORDS, *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_every_row_of_a_file_is_tested(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labelled(here / "more.csv", 90, wrong=9)
    result = scores(capsys, "data.path=more.csv", "--output", "scores.json")
    assert (result["texts"], result["split"]) == (90, "all")
    assert result["accuracy"] == pytest.approx(0.9)
    low, high = result["accuracy_interval_95"]
    assert low < 0.9 < high
    assert json.loads((here / "scores.json").read_text()) == result
    assert main(["evaluate", "classifier", *WORDS, "data.path=more.csv"]) == 0
    output = capsys.readouterr().out
    assert "more, all: 90 texts\naccuracy 0.9000" in output
    assert "precision" in output


def test_the_test_split_is_tested_where_there_is_one(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "data").mkdir()
    labelled(here / "data" / "train.csv", 60)
    labels = labelled(here / "data" / "test.csv", 40, seed=1, wrong=10)
    result = scores(capsys, "data.path=data", "--predictions", "answers.parquet")
    assert (result["texts"], result["split"], result["accuracy"]) == (40, "test", 0.75)
    predictions = read_predictions(here / "answers.parquet")
    assert [predictions.label_names[label] for label in predictions.labels] == labels
    assert float((predictions.labels == predictions.predictions).mean()) == 0.75
    assert scores(capsys, "data.path=data", "--split", "train")["accuracy"] == 1.0
    assert scores(capsys, "data.path=data", "--split", "all")["texts"] == 100
    windows = scores(capsys, "data.path=data", "--windows")
    assert windows["texts"] == 40
    torch = scores(capsys, "data.path=data", "--runtime", "torch", "--threads", "1")
    assert torch["accuracy"] == 0.75


def test_labels_are_matched_by_name(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = [text or "w2" for text in tiny_texts(40)]
    predicted = nlp_rnn.load("classifier").predict(texts)
    two = pd.DataFrame({"review": texts, "stars": predicted})
    two = two[two.stars != predicted[0]]
    assert 1 < two.stars.nunique() + 1
    two.to_csv("two.csv", index=False)
    assert scores(capsys, "data.path=two.csv")["accuracy"] == 1.0
    strange = pd.DataFrame({"review": texts, "stars": ["bad", "strange"] * 20})
    strange.to_csv("strange.csv", index=False)
    assert main(["evaluate", "classifier", *WORDS, "data.path=strange.csv"]) == 1
    output = capsys.readouterr().err
    assert "does not know: strange.\nIt knows: bad, fair, good." in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "evaluate needs a classifier and data"),
        (["classifier"], "evaluate needs a classifier and data"),
        (["classifier", "more.csv"], "evaluate needs a classifier and data"),
        (["classifier", "data=files", "data.path=nowhere.csv"], "no file or folder"),
        (["classifier", "data=files", "model=lstm"], "model=lstm is not supported by evaluate"),
        (["classifier", "data=filse"], "There is no data=filse; there are"),
        (["classifier", "data=files", "data.limit=5"], "data.limit has an effect only on training"),
        (["classifier", "data=files", "data.pth=x"], "There is no key data.pth"),
        (["classifier", "data=files"], "data.path is not set"),
        (["classifier", "data=stories", "--split", "dev"], "--split is 'dev'"),
        (["nowhere", "data=stories"], "nowhere does not exist"),
    ],
)
def test_wrong_words(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["evaluate", *arguments]) in (1, 2)
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) <= 2
    assert sorted(os.listdir(here)) == ["classifier"]


def test_rows_and_scores_are_those_of_the_classifier(here: Path) -> None:
    labelled(here / "more.csv", 50, wrong=5)
    arguments = [*WORDS, "data.path=more.csv", "--predictions", "p.parquet"]
    assert main(["evaluate", "classifier", *arguments]) == 0
    predictions = read_predictions(here / "p.parquet")
    table = pd.read_csv("more.csv", keep_default_na=False)
    texts = [table.review[row] for row in predictions.rows]
    np.testing.assert_allclose(
        predictions.probabilities, nlp_rnn.load("classifier").predict_proba(texts), atol=1e-6
    )


SMALL = [
    *("model.hidden_size=4", "model.embedding_size=4", "trainer.max_epochs=1", "trainer.threads=1"),
    *("tracking.speed=none", "tracking.system_metrics=false", "output_dir=run"),
]


@pytest.mark.parametrize("options", [[], ["data.seed=3", "data.limit=60"]], ids=["default", "set"])
def test_data_that_was_trained_on_is_tested_on_the_texts_that_were_kept_apart(
    here: Path, store_uri: str, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    labelled(here / "more.csv", 90, wrong=30)
    pd.read_csv("more.csv").drop_duplicates("review").to_csv("more.csv", index=False)
    data = [*WORDS, "data.path=more.csv"]
    assert main(["train", *SMALL, *data, *options]) == 0
    trained = json.loads((here / "run" / "result.json").read_text())["metrics"]
    capsys.readouterr()
    assert main(["evaluate", "run/classifier", *data, "--json"]) == 0
    output = capsys.readouterr()
    result = json.loads(output.out)
    assert (result["split"], result["training_texts"]) == ("test", 0)
    assert result["accuracy"] == pytest.approx(trained["test/accuracy"])
    assert "was trained on this data" in output.err
    assert main(["evaluate", "run/classifier", *data, "--json", "--split", "all"]) == 0
    output = capsys.readouterr()
    rows = json.loads((here / "run/classifier/config.json").read_text())["provenance"]["rows"]
    assert json.loads(output.out)["training_texts"] == rows["train"]
    assert f"trained on {rows['train']} of these texts" in output.err
    assert main(["evaluate", "run/classifier", *data, "--json", "--split", "validation"]) == 0
    assert "weights were chosen on the validation split" in capsys.readouterr().err
    other = [*WORDS, "data.path=other.csv"]
    labelled(here / "other.csv", 50, seed=5)
    known = set(pd.read_csv("more.csv").review)
    table = pd.read_csv("other.csv")
    table[~table.review.isin(known)].to_csv("other.csv", index=False)
    assert main(["evaluate", "run/classifier", *other, "--json"]) == 0
    output = capsys.readouterr()
    assert (json.loads(output.out)["split"], output.err) == ("all", "")
