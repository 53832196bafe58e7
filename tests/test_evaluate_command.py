"""A saved classifier is tested on any labelled data, and says so as text and as JSON."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import nlp_rnn
from nlp_rnn.cli import main
from nlp_rnn.errors import ConfigError
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
        (["classifier", "more.csv"], "Set data=files data.path=more.csv"),
        (["classifier", "data=files", "data.path=nowhere.csv"], "no file or folder"),
        (["classifier", "data=files", "model=lstm"], "model=lstm is not supported by evaluate"),
        (["classifier", "data=filse"], "There is no data=filse; there are"),
        (["classifier", "data=files", "data.limit=5"], "data.limit has an effect only on training"),
        (["classifier", "data=files", "data.fraction=0.5"], "data.fraction has an effect only on"),
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


def test_the_function_gives_what_the_command_gives_for_data_in_every_form(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = labelled(here / "more.csv", 50, wrong=5)
    expected = scores(capsys, "data.path=more.csv")
    table = pd.read_csv("more.csv", keep_default_na=False)
    columns = {"text": "review", "label": "stars"}
    for evaluation in (
        nlp_rnn.evaluate("classifier", "more.csv", **columns),
        nlp_rnn.evaluate(nlp_rnn.load("classifier"), table, **columns),
        nlp_rnn.evaluate("classifier", (list(table.review), labels)),
        nlp_rnn.evaluate("classifier", overrides=[*WORDS, "data.path=more.csv"]),
    ):
        assert evaluation.metrics.items() <= expected.items()
        assert list(evaluation.interval or ()) == expected["accuracy_interval_95"]
        assert list(evaluation.predictions.text) == list(table.review)
        assert (evaluation.predictions.label == evaluation.predictions.prediction).sum() == 45
        assert evaluation.report.texts.sum() == 50
        assert "all: 50 texts\naccuracy 0.9000" in repr(evaluation)
    assert capsys.readouterr().out == ""
    with pytest.raises(ConfigError, match="split is 'dev'; the choices are test, validation"):
        nlp_rnn.evaluate("classifier", table, split="dev", **columns)


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
    assert "n-gram models were fitted to the validation split" in capsys.readouterr().err
    other = [*WORDS, "data.path=other.csv"]
    labelled(here / "other.csv", 50, seed=5)
    known = set(pd.read_csv("more.csv").review)
    table = pd.read_csv("other.csv")
    table[~table.review.isin(known)].to_csv("other.csv", index=False)
    assert main(["evaluate", "run/classifier", *other, "--json"]) == 0
    output = capsys.readouterr()
    assert (json.loads(output.out)["split"], output.err) == ("all", "")


# Texts that were trained on


@pytest.fixture
def trained(here: Path, store_uri: str) -> pd.DataFrame:
    """A table of 120 different texts, 30 of them with a rare form, and a classifier of it."""
    texts = [f"w{number % 9 + 2} w{number % 2 + 20} W{number} x" for number in range(120)]
    frame = pd.DataFrame({"review": texts, "stars": [number % 2 for number in range(120)]})
    frame.to_csv("more.csv", index=False, sep=";")
    assert main(["train", *SMALL, *WORDS, "data.path=more.csv"]) == 0
    return frame


def evaluate(
    capsys: pytest.CaptureFixture[str], *arguments: str, options: list[str] = WORDS
) -> tuple[dict[str, Any], str]:
    capsys.readouterr()
    assert main(["evaluate", "run/classifier", *options, *arguments, "--json"]) == 0
    output = capsys.readouterr()
    return json.loads(output.out), output.err


def test_texts_that_were_trained_on_are_recognized_in_every_form(
    trained: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = json.loads(Path("run/classifier/config.json").read_text())["provenance"]["rows"]
    others = 120 - rows["train"]
    shuffled = trained.sample(frac=1, random_state=1)
    shuffled.to_json("shuffled.jsonl", orient="records", lines=True)
    spelled = shuffled.assign(review=shuffled.review.str.upper().str.replace(" ", "  ") + " ")
    spelled.to_parquet("spelled.parquet")
    new = pd.DataFrame({"review": [f"new {number}" for number in range(40)], "stars": [0, 1] * 20})
    pd.concat([shuffled, new]).to_csv("mixed.tsv", index=False, sep="\t")
    for arguments, total in (
        (["data.path=shuffled.jsonl"], 120),
        (["data.path=spelled.parquet"], 120),
        (["data.path=mixed.tsv"], 160),
        (["data.path=more.csv", "data.seed=7"], 120),
        (["data.path=more.csv", "--split", "all"], 120),
    ):
        scores, message = evaluate(capsys, *arguments)
        assert (scores["texts"], scores["training_texts"]) == (total, rows["train"]), arguments
        assert f"trained on {rows['train']} of these texts" in message
        assert f"{rows['validation']} others are in its validation split" in message
    # the advice of the warnings
    assert "Use --split test" in message
    scores, message = evaluate(capsys, "data.path=mixed.tsv", "--split", "unseen")
    assert (scores["texts"], scores["training_texts"]) == (40 + rows["test"], 0)
    assert "Warning" not in message
    assert f"{40 + rows['test']} of 160 texts are in neither" in message
    assert others == rows["validation"] + rows["test"]


def test_a_part_of_the_training_file_is_recognized(
    trained: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    trained.head(3).to_csv("part.csv", index=False)
    scores, message = evaluate(capsys, "data.path=part.csv")
    number = scores["training_texts"]
    assert scores["texts"] == 3
    assert (number > 0) == (f"trained on {number} of these texts" in message)
    new, _ = evaluate(capsys, "data.path=more.csv", "--split", "test", "--predictions", "p.parquet")
    kept_apart = trained.iloc[read_predictions(Path("p.parquet")).rows]
    kept_apart.to_csv("test.csv", index=False)
    scores, message = evaluate(capsys, "data.path=test.csv")
    assert (scores["texts"], scores["training_texts"]) == (new["texts"], 0)
    assert scores["accuracy"] == new["accuracy"]
    assert message == ""


def test_the_options_of_the_training_are_the_defaults_of_evaluate(
    trained: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    scores, message = evaluate(capsys, "data.path=more.csv", options=["data=files"])
    assert scores["split"] == "test"
    assert "read as in training: data.text=review data.label=stars" in message
    # a file with other columns is read without them
    trained.rename(columns={"review": "text", "stars": "label"}).to_csv("other.csv", index=False)
    scores, message = evaluate(capsys, "data.path=other.csv", options=["data=files"])
    assert scores["split"] == "test"  # the content is that of the training
    assert "not read as in training: data.text=review data.label=stars, which" in message
    assert "but with data.text=text data.label=label" in message


def test_a_file_without_labels_asks_for_the_label_column(
    trained: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    trained.drop(columns="stars").assign(n=1, label=trained.stars).to_csv("other.csv", index=False)
    arguments = ["evaluate", "run/classifier", "data=files", "data.path=other.csv"]
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert "has no column 'stars'; it has: review, n, label. (read as in training:" in error
    assert " data.text=review data.label=stars)\nSet the columns to use" in error
    assert main([*arguments, "data.label=label"]) == 0


def test_a_file_of_one_row_and_one_of_a_single_class_are_evaluated(
    trained: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (1, 5):
        frame = pd.DataFrame({"review": [f"new {i}" for i in range(number)], "stars": [1] * number})
        frame.to_csv("few.csv", index=False)
        scores, _ = evaluate(capsys, "data.path=few.csv")
        assert scores["texts"] == number


def test_a_classifier_without_hashes_is_evaluated_as_before(
    trained: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("run/classifier/training_texts.safetensors").unlink()
    scores, message = evaluate(capsys, "data.path=more.csv", "--split", "all")
    assert scores["training_texts"] > 90
    assert "Warning" in message
    trained.to_json("same.jsonl", orient="records", lines=True)
    scores, message = evaluate(capsys, "data.path=same.jsonl")
    assert scores["split"] == "test"  # the content, not the file, is known
    arguments = ["evaluate", "run/classifier", *WORDS, "data.path=same.jsonl"]
    assert main([*arguments, "--split", "unseen"]) == 1
    assert "has no hashes" in capsys.readouterr().err
    assert main([*arguments, "--split", "test"]) == 0
    Path("run/classifier/training_texts.safetensors").write_bytes(b"changed")
    assert main(arguments) == 1
    assert "training_texts.safetensors" in capsys.readouterr().err


def test_nothing_unseen_and_no_such_split_are_errors_with_advice(
    trained: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate(capsys, "data.path=more.csv", "--split", "train", "--predictions", "p.parquet")
    trained.iloc[read_predictions(Path("p.parquet")).rows].to_csv("seen.csv", index=False)
    arguments = ["evaluate", "run/classifier", *WORDS, "data.path=seen.csv"]
    assert main([*arguments, "--split", "unseen"]) == 1
    assert "trained on all of these texts" in capsys.readouterr().err
    scores, message = evaluate(capsys, "data.path=seen.csv")
    assert scores["training_texts"] == scores["texts"]
    assert f"trained on {scores['texts']} of these texts" in message


def test_a_sample_of_the_hashes_estimates_the_number(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nlp_rnn.classifier import training_texts as module

    monkeypatch.setattr(module, "MAX_HASHES", 2000)
    random = np.random.default_rng(0)
    train = random.integers(0, 2**64, 20_000, dtype=np.uint64)
    hashes = {"train": train, "validation": train[:500]}
    data = module.pack_hashes(hashes)
    assert len(data) < 8 * 2500 + 1000
    save_tiny(Path("c"))
    config = {"files": {module.TRAINING_TEXTS: {"bytes": len(data), "sha256": _sha256(data)}}}
    Path("c", module.TRAINING_TEXTS).write_bytes(data)
    stored = module.read_training_texts(Path("c"), config)
    assert stored is not None
    assert not stored.exact
    new = random.integers(0, 2**64, 10_000, dtype=np.uint64)
    known = stored.known(np.concatenate([train[:10_000], new]), "train")
    assert not known.exact
    assert known.number == pytest.approx(10_000, rel=0.1)
    assert str(known).startswith("about ")
    assert stored.known(train[:600], "validation") == module.KnownTexts(500, True)
    assert stored.known(new[:0], "train").number == 0


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
