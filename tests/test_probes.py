"""Probes: labels that are true, classes that differ by little, lengths tested beyond training."""

import json
import random
from collections import Counter
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient

from nlp_rnn.cli import main
from nlp_rnn.config.data import PROBE_LENGTHS, ProbeConfig, ProbeName
from nlp_rnn.data.corpus import load_corpus
from nlp_rnn.runs.evaluation import part_accuracies
from nlp_rnn.sources.probe_tasks import PROBES, make_probe


def config(name: str, **options: int) -> ProbeConfig:
    sizes = {"train_rows": 120, "test_rows": 60} | options
    return ProbeConfig(name="probe", probe=ProbeName[name], **sizes)


def heights(word: list[str]) -> np.ndarray:
    return np.cumsum([1 if bracket in "([" else -1 for bracket in word])


def wrong_brackets(word: list[str]) -> int:
    opened, wrong = [], 0
    for bracket in word:
        if bracket in "([":
            opened.append(bracket)
        else:
            wrong += {"(": ")", "[": "]"}[opened.pop()] != bracket
    return wrong


def cups(word: list[str]) -> str:
    row = list("123")
    for move in word:
        first, second, third = row
        row = {
            "a": [second, first, third],
            "b": [first, third, second],
            "c": [second, third, first],
        }[move]
    return "".join(row)


def judge(name: str, word: list[str]) -> str:
    """The label of a text, found in another way than it was made."""
    counts = Counter(word)
    match name:
        case "counting":
            assert word == sorted(word)
            assert abs(counts["a"] - counts["b"]) <= 2
            return "equal" if counts["a"] == counts["b"] else "unequal"
        case "counting3":
            assert word == sorted(word)
            off = [abs(counts[letter] - counts["a"]) for letter in "bc"]
            assert sorted(off) in ([0, 0], [0, 1], [0, 2])
            return "unequal" if any(off) else "equal"
        case "dyck1":
            assert (word[0], word[-1]) == ("(", ")")
            assert counts["("] == counts[")"]
            return "balanced" if heights(word).min() == 0 else "broken"
        case "dyck2":
            assert heights(word).min() == 0 == heights(word)[-1]
            assert heights(word).max() <= 4
            assert wrong_brackets(word) <= 1
            return "wrong" if wrong_brackets(word) else "right"
        case "majority":
            return max("ab", key=lambda letter: counts[letter])
        case "recall":
            assert counts.keys() & {"red", "green", "blue", "white"} == {word[len(word) // 2]}
            return word[len(word) // 2]
        case "pairs":
            assert word[-2] == "ask"
            return word[word.index(word[-1]) + 1]
        case "agreement":
            plural = word[1].endswith("s")
            return "right" if (word[-1] == "are") == plural else "wrong"
    return cups(word)


@pytest.mark.parametrize("name", PROBES)
def test_labels_are_true_balanced_and_at_every_length(name: str) -> None:
    corpus = load_corpus(config(name))
    longest, labels = PROBE_LENGTHS[name], len(PROBES[name].labels)
    assert set(corpus.labels) == set(PROBES[name].labels)
    for split in (corpus.train, corpus.validation, corpus.test):
        for text, label in zip(split["text"], split["label"], strict=True):
            assert judge(name, text.split()) == corpus.labels[label], text
    assert max(len(text.split()) for text in corpus.train["text"]) <= longest
    assert list(corpus.parts) == ["1x", "2x", "4x", "8x"]
    for factor, rows in zip((1, 2, 4, 8), corpus.parts.values(), strict=True):
        part = corpus.test.select(rows)
        lengths = [len(text.split()) for text in part["text"]]
        assert max(lengths) <= factor * longest
        # a text may be a little shorter than asked for, to have as many of each letter
        assert factor == 1 or min(lengths) > factor * longest // 2 - 6
        assert set(Counter(part["label"]).values()) == {60 // labels}


@pytest.mark.parametrize("name", PROBES)
def test_the_same_seed_gives_the_same_texts_and_another_seed_others(name: str) -> None:
    def digest(seed: int) -> str:
        return load_corpus(config(name, seed=seed)).digest

    assert digest(0) == digest(0) != digest(1)
    more = load_corpus(config(name, train_rows=200))
    assert list(more.test["text"]) == list(load_corpus(config(name)).test["text"])


@pytest.mark.parametrize("name", ["counting", "counting3"])
def test_an_odd_length_does_not_tell_all(name: str) -> None:
    """With one letter more or less alone, a cell that alternates would be always right."""
    texts, labels = make_probe(PROBES[name], 2000, 20, 40, random.Random(0))
    odd = [label for text, label in zip(texts, labels, strict=True) if len(text.split()) % 2]
    assert name == "counting3" or set(odd) == {"unequal"}
    unequal = [text for text, label in zip(texts, labels, strict=True) if label == "unequal"]
    assert np.mean([len(text.split()) % 2 for text in unequal]) == pytest.approx(0.5, abs=0.05)


def test_agreement_cannot_be_read_off_the_nearest_noun() -> None:
    texts, labels = make_probe(PROBES["agreement"], 2000, 12, 33, random.Random(0))
    nearest = [
        "right" if word[-2].endswith("s") == (word[-1] == "are") else "wrong"
        for word in map(str.split, texts)
    ]
    same = np.mean([one == other for one, other in zip(nearest, labels, strict=True)])
    assert 0.45 < same < 0.55


def test_every_name_has_a_probe_and_a_length() -> None:
    assert list(PROBES) == list(PROBE_LENGTHS) == [name.name for name in ProbeName]


def test_cups_in_all_orders() -> None:
    assert PROBES["permutation"].labels == tuple("".join(p) for p in permutations("123"))


@pytest.mark.parametrize("name", ["dyck1", "dyck2", "agreement", "permutation"])
def test_which_tokens_there_are_says_nothing(name: str) -> None:
    """The shares of the tokens, without their order or exact number: a bag of words at chance."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    texts, labels = make_probe(PROBES[name], 2000, 10, 33, random.Random(1))
    test_texts, test_labels = make_probe(PROBES[name], 1000, 34, 66, random.Random(2))
    bag = TfidfVectorizer(token_pattern=r"\S+")
    model = LogisticRegression(max_iter=500).fit(bag.fit_transform(texts), labels)
    assert model.score(bag.transform(test_texts), test_labels) < 0.58


def test_a_part_is_scored_by_the_mean_over_its_classes() -> None:
    corpus = load_corpus(config("majority"))
    labels = np.asarray(corpus.test["label"])
    predictions = labels.copy()
    predictions[60:120] = 0  # the second part: one class right, the other wrong
    predictions[120] = 1 - labels[120]
    accuracies = part_accuracies(corpus, predictions)
    assert accuracies == pytest.approx(
        {
            "test/accuracy_1x": 1.0,
            "test/accuracy_2x": 0.5,
            "test/accuracy_4x": 1 - 1 / 60,
            "test/accuracy_8x": 1.0,
        }
    )
    assert part_accuracies(load_corpus(config("majority", limit=50)), labels)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store_uri: str) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NLP_RNN_CACHE", str(tmp_path / "cache"))
    return tmp_path


SMALL = ["data.train_rows=60", "data.test_rows=20", "trainer.max_epochs=1", "trainer.threads=1"]
SMALL += ["tracking.system_metrics=false", "tracking.speed=none", "hydra.run.dir=run"]


def test_a_run_logs_the_accuracy_at_each_length(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "data=probe", "probe=recall", "data.length=300", *SMALL]) == 0
    output = capsys.readouterr().out
    assert "what a second direction reveals: nothing: the colour is as far" in output
    result = json.loads((here / "run" / "result.json").read_text())
    run = MlflowClient(tracking_uri=result["tracking_uri"]).get_run(result["run_id"])
    for part in ("1x", "2x", "4x", "8x"):
        assert 0 <= run.data.metrics[f"test/accuracy_{part}"] <= 1
    # as every class is as frequent in every part
    mean = np.mean(
        [result["metrics"][f"test/accuracy_{part}"] for part in ("1x", "2x", "4x", "8x")]
    )
    assert result["metrics"]["test/accuracy"] == pytest.approx(mean)
    assert run.data.params["data.probe"] == "recall"
    assert run.data.params["model.bidirectional"] == "False"
    arguments = ["data=probe", "data.probe=recall", "data.test_rows=4", "--json"]
    capsys.readouterr()
    assert main(["evaluate", "run/classifier", *arguments]) == 0
    assert json.loads(capsys.readouterr().out)["texts"] == 16


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data=probe"], "data.probe is not set"),
        (["probe=nothing"], "There is no probe=nothing; there are agreement, counting"),
        (["data=probe", "data.probe=dyck"], "one of counting, counting3, dyck1"),
        (
            ["data=stories", "probe=dyck1"],
            "data.probe has no effect here: it belongs to data=probe",
        ),
        (["model=average", "probe=dyck1"], "model.bidirectional has no effect here"),
        (["probe=dyck1", "data.length=7"], "data.length=7 is too short for the probe dyck1"),
        (["probe=dyck1", "data.length=0"], "data.length must be between 1 and"),
        (["probe=recall", "data.length=401"], "Set tokenizer.max_length=3208"),
        (["data=probe", "data.probe=recall"], "tokenizer.max_length=800 would cut test texts"),
    ],
)
def test_wrong_words(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["train", *arguments, *SMALL]) in (1, 2)
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) <= 2
    assert not (here / "run").exists()
