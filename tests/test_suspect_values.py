"""Notes on texts and labels that are read as they are, but are probably not what they should be."""

import ast
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from nlp_rnn.data.corpus import Corpus, load_corpus
from nlp_rnn.data.suspect_values import label_notes, text_notes
from tests.composing import compose

pytestmark = pytest.mark.usefixtures("own_datasets_cache")

WORDS = ["red", "green", "blue", "black", "white"]
TEXTS = [f"the {word} film number {i}" for i, word in enumerate(WORDS * 4)]
LABELS = ["pos", "neg"] * 10


def corpus(path: Path, *options: str) -> Corpus:
    return load_corpus(compose(["data=files", f"data.path='{path}'", *options]).data)


def written(path: Path, labels: list[Any], texts: list[str] = TEXTS) -> Path:
    table = pd.DataFrame({"text": texts, "label": labels})
    if path.suffix == ".csv":
        table.to_csv(path, index=False)
    else:
        table.to_json(path, orient="records", lines=True)
    return path


# --- texts ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "note"),
    [
        ([str(text.split()) for text in TEXTS], "all 20 texts look like lists of tokens"),
        ([json.dumps(text.split()) for text in TEXTS], "all 20 texts look like lists of tokens"),
        ([json.dumps({"body": text}) for text in TEXTS], "all 20 texts look like records"),
        ([str(1000 + i) for i in range(20)], "all 20 texts look like numbers, dates, ids or paths"),
        ([f"clips/{i}.wav" for i in range(20)], "look like numbers, dates, ids or paths"),
        ([f"https://a.b/{i}" for i in range(20)], "look like numbers, dates, ids or paths"),
        ([f"{text}\\nThe end" for text in TEXTS], "backslashes that seem to escape line ends"),
        ([f'say \\"{text}\\"' for text in TEXTS], "backslashes that seem to escape line ends"),
        ([f"7|{text}|x" for text in TEXTS], "each text has 2 × '|'"),
        ([f"7::{text}::x" for text in TEXTS], "each text has 2 × '::'"),
        ([f"{label} {text}" for text, label in zip(TEXTS, LABELS, strict=True)], "their label"),
        ([f"{text}\t{label}" for text, label in zip(TEXTS, LABELS, strict=True)], "their label"),
    ],
)
def test_texts_that_are_probably_none_are_noted(tmp_path, texts, note):
    notes = corpus(written(tmp_path / "a.jsonl", LABELS, texts)).notes
    assert any(note in line for line in notes if line.startswith("train: ")), notes


def test_ordinary_texts_have_no_note(tmp_path):
    assert text_notes("train", TEXTS, LABELS) == []
    odd = ["[sic] he said", "7", "(a) b", "a\\nabla b", "C:\\temp\\new", "a;b", "pos", "{x}"]
    assert text_notes("train", [*TEXTS, *odd], [*LABELS, *LABELS[:8]]) == []
    assert text_notes("train", ["1", "2"]) == []


def test_tokens_that_are_joined_as_the_note_says_have_no_note(tmp_path):
    path = written(tmp_path / "a.csv", LABELS, [str(text.split()) for text in TEXTS])
    (note,) = [line for line in corpus(path).notes if "tokens" in line]
    df = pd.read_csv(path)
    df["text"] = eval(note.split("in pandas: ")[1].split(" (such")[0], {"df": df, "ast": ast})
    df.to_csv(path, index=False)
    assert {*corpus(path).train["text"]} < {*TEXTS}
    assert not any("tokens" in line for line in corpus(path).notes)


# --- labels ---------------------------------------------------------------------------------


@pytest.mark.parametrize("odd", ["-----", ":---", "Total", "(20 rows)", "label", "a\nb", "x" * 300])
def test_labels_that_look_like_no_classes_are_noted(tmp_path, odd):
    path = written(tmp_path / "a.jsonl", [*LABELS[:-1], odd])
    (note,) = [line for line in corpus(path).notes if "look like no classes" in line]
    assert repr(odd[:60]) in note


@pytest.mark.parametrize("cells", [['{"rating": 1}', '{"rating": 2}'], ['["a"', "[[1], [2]]"]])
def test_labels_that_look_like_records_or_lists_are_noted(tmp_path, cells):
    notes = corpus(written(tmp_path / "a.csv", cells * 10)).notes
    assert any("look like" in line for line in notes)


def test_labels_that_are_signs_have_no_note():
    assert label_notes({"train": {"--": 5, "++": 5, "[PAD]": 4, "(a)": 3}}) == []


def test_a_column_of_ids_as_label_is_noted(tmp_path: Path) -> None:
    texts = [f"{text} {copy}" for copy in range(3) for text in TEXTS]
    path = written(tmp_path / "a.csv", [*[f"u{i}" for i in range(40)], *["a"] * 20], texts)
    assert any("40 of 41 labels occur only once" in line for line in corpus(path).notes)


# --- lists ----------------------------------------------------------------------------------


@pytest.mark.parametrize("in_test", ["pos", '{"choices": ["pos"]}'])
def test_several_choices_of_label_studio_in_a_csv_file_are_lists(tmp_path, in_test):
    choices = '{"choices": ["pos", "late"]}'
    written(tmp_path / "train.csv", ["pos", choices, "neg", None] * 5)
    written(tmp_path / "test.csv", [in_test] * 20, [f"test {text}" for text in TEXTS])
    read = corpus(tmp_path)
    assert read.task == "multi_label"
    assert read.labels == ("late", "neg", "pos")
    assert sum(sum(row) for row in [*read.train["label"], *read.validation["label"]]) == 20
    assert all(row == [False, False, True] for row in read.test["label"])
    assert any("read as lists, such as {" in line for line in read.notes)


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
@pytest.mark.parametrize("votes", [[[2, 1, 0], [1, 2, 0]], [[0.5, 2.0], [3.0, 1.0]]])
def test_lists_of_votes_are_noted(tmp_path, kind, votes):
    whole = [[int(vote * 2) for vote in row] for row in votes]
    notes = corpus(written(tmp_path / f"a.{kind}", whole * 10)).notes
    assert any(
        f"all lists have {len(votes[0])} numbers, which are read as the ids" in n for n in notes
    )
    notes = corpus(written(tmp_path / f"b.{kind}", [[2, 1, 0], [2], []] * 6 + [[1], [2]])).notes
    assert not any("numbers, which are read" in line for line in notes)
