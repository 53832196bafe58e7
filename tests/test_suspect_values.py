"""Notes on texts and labels that are read as they are, but are probably not what they should be."""

import ast
import json
import subprocess
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from nlp_rnn.data.corpus import Corpus, load_corpus
from nlp_rnn.data.suspect_labels import label_notes
from nlp_rnn.data.suspect_texts import text_notes
from nlp_rnn.errors import DataError
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
        ([f'"{text}"' for text in TEXTS], "all 20 texts are enclosed in quotes"),
        ([f"b'{text}'" for text in TEXTS], "all 20 texts are enclosed in quotes"),
        (["good", "x,", "film", "a1"] * 5, "all 20 texts have no blanks, as single tokens"),
        ([f"%{i}A{text}".replace(" ", "%20") for i, text in enumerate(TEXTS)], "no blanks"),
        ([f"{text} trÃ¨s bon" for text in TEXTS], "have signs such as Ã© for é"),
        ([f"{text} itâ€™s" for text in TEXTS], "have signs such as Ã© for é"),
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
    french = ["l’été”, dit-il", "Ã la carte", "MANHÃ” boa", "Â bord"]
    assert text_notes("train", [*TEXTS, *french], [*LABELS, *LABELS[:4]]) == []
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


@pytest.mark.parametrize(
    "odd", ["-----", ":---", "Total", "(20 rows)", "label", "text", "2024", "a\nb", "x" * 300]
)
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


@pytest.mark.parametrize(
    ("row", "note"),
    [
        (0, "train: the first row has the label 'class', which no other row has"),
        (-1, "train: the last row has the label 'class', which no other row has"),
    ],
)
def test_a_first_or_last_row_with_a_label_of_its_own_is_noted(tmp_path, row, note):
    labels = [*LABELS]
    labels[row] = "class"
    assert any(note in line for line in corpus(written(tmp_path / "a.csv", labels)).notes)
    labels = [*LABELS]
    labels[10] = "class"
    assert not any("which no other" in n for n in corpus(written(tmp_path / "b.csv", labels)).notes)


@pytest.mark.parametrize(
    ("labels", "note"),
    [
        (["pos:", "neg:"], "all labels end with ':', such as 'neg:'"),
        (["(0", "(1"], "all labels begin with '(', such as '(0'"),
        (["__class__a", "__class__b"], "all labels begin with '__class__'"),
        (["0 1 1", "1 0 0"], "all labels are 0 and 1 only, such as '0 1 1'"),
        (["011", "100"], "all labels are 0 and 1 only"),
        (["pos", "?"], "labels that other programs write for a missing value are classes: '?'"),
        (["-1", "2"], "the label -1 (10) is a class"),
        (["neg#late", "pos#late"], "set data.label_separator='#'"),
        (["neg,late", "pos,late"], "set data.label_separator=comma"),
    ],
)
def test_labels_that_are_no_plain_names_are_noted(tmp_path, labels, note):
    assert any(note in line for line in corpus(written(tmp_path / "a.csv", labels * 10)).notes)


@pytest.mark.parametrize(
    "labels", [["-1", "0", "1"], ["+", "-"], ["0", "1"], ["10", "20"], ["1,5", "2,5"]]
)
def test_plain_labels_have_no_note(labels):
    assert label_notes({"train": dict.fromkeys(labels, 10)}) == []


@pytest.mark.parametrize("column", ["answer", "AssignmentStatus", "was_cancelled"])
def test_columns_that_may_reject_rows_are_noted(tmp_path, column):
    path = written(tmp_path / "a.csv", LABELS)
    pd.read_csv(path).assign(**{column: "accept"}).to_csv(path, index=False)
    assert any(f"the column {column!r} is not used; if it says" in n for n in corpus(path).notes)


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


def test_lists_of_one_label_are_noted(tmp_path):
    path = written(tmp_path / "a.jsonl", [[label] for label in LABELS])
    (note,) = [line for line in corpus(path).notes if "no list has two labels" in line]
    df = pd.read_json(path, lines=True)
    df["label"] = eval(note.split("in pandas: ")[1], {"df": df})
    df.to_json(path, orient="records", lines=True)
    assert corpus(path).task == "single_label"


def test_a_word_at_the_ends_of_lines_that_may_be_the_label_is_noted(tmp_path):
    path = tmp_path / "a.txt"
    rows = [f"{WORDS[i % 5]} film {i} {label}" for i, label in enumerate(LABELS)]
    path.write_text("\n".join(rows) + "\n")
    (note,) = [n for n in corpus(path, "data.format=lines").notes if "ends with a blank" in n]
    command = note.split("run ")[1].replace("OLD", "a.txt").replace("NEW", "b.txt")
    subprocess.run(command, shell=True, check=True, cwd=tmp_path)
    read = corpus(tmp_path / "b.txt", "data.format=lines")
    assert read.labels == ("neg", "pos")
    assert not any("ends with" in line for line in read.notes)


def test_a_record_as_label_names_its_fields(tmp_path):
    path = written(tmp_path / "a.jsonl", [{"name": label, "id": 1} for label in LABELS])
    with pytest.raises(DataError, match=r"such as data\.label=label\.name"):
        corpus(path)
    assert corpus(path, "data.label=label.name").labels == ("neg", "pos")


@pytest.mark.parametrize(
    ("labels", "note"),
    [
        (["007", "07", "8"], "are spelled alike are different classes: '007' (10) and '07' (10)"),
        (["1e3", "1000"], "'1000' (10) and '1e3' (10)"),
        (["a-b", "a\u2013b", "c"], "'a-b' (10) and 'a–b' (10)"),
        (["a_b", "a b", "c"], "'a b' (10) and 'a_b' (10)"),
        (["don't", "don\u2019t", "c"], "are spelled alike"),
        (["pos.", "pos", "c"], "'pos' (10) and 'pos.' (10)"),
        (["TRUE", "FALSE", "1", "0"], "mean the same are different classes: '0' and 'FALSE'"),
        (["1.23457E+11", "1.23458E+11"], "look like long numbers that a spreadsheet has shortened"),
        (["label: a", "label: b"], "all labels begin with 'label: '"),
        (["tensor(0)", "tensor(1)"], "all labels begin with 'tensor('"),
        (["a", "b", "a/b"], "1 label consists of parts that other labels have too, such as 'a/b'"),
        (["a", "b", "a | b"], "set data.label_separator='|'"),
        (["a", "b", "a b"], "set data.label_separator=space"),
        (["4", "27", "0", "4,27", "0,4", "27,0"], "3 labels consist of parts"),
        (["pos", "neg", "(null)"], "for a missing value are classes: '(null)'"),
        (["pos", "neg", "#VALUE!"], "for a missing value are classes: '#VALUE!'"),
        (["pos", "neg", "n/a"], "for a missing value are classes: 'n/a'"),
        (["1", "2", "-99"], "the label -99 (10) is a class"),
    ],
)
def test_labels_that_may_mean_something_else_are_noted(labels, note):
    notes = label_notes({"train": dict.fromkeys(labels, 10)})
    assert any(note in line for line in notes), notes


@pytest.mark.parametrize(
    "labels",
    [
        ["+", "-"],
        ["+1", "-1"],
        ["C", "C++", "C#"],
        ["1", "1,5", "2", "2,5", "5"],
        ["yes", "no"],
        ["y", "n", "maybe"],
        ["1-2", "3-4"],
        ["LABEL_0", "LABEL_1"],
        ["a_b", "a", "b"],
        ["1.1", "2.3"],
    ],
)
def test_labels_that_differ_have_no_note(labels):
    assert label_notes({"train": dict.fromkeys(labels, 10)}) == []


def test_a_repeated_header_is_no_class_but_a_class_can_have_the_name_of_the_column():
    rows = {"spam": 500, "ham": 500, "Text": 2}
    (note,) = label_notes({"train": rows}, ("text", "spam"))
    assert "labels that look like no classes: 'Text' (2);" in note
    assert label_notes({"train": {"1": 50, "2": 50, "3": 2}}, ("2", "3", "1")) == []


def test_separators_that_the_notes_name_are_accepted(tmp_path):
    for separator, option in (("\n", "newline"), ("/", "'/'"), (" ", "space"), ("&", "'&'")):
        labels = ["a", "b", f"a{separator}b"] * 10
        texts = [f"film {number}" for number in range(30)]
        path = written(tmp_path / f"{ord(separator)}.csv", labels, texts)
        notes = corpus(path).notes
        assert any(f"data.label_separator={option}" in note for note in notes), notes
        assert corpus(path, f"data.label_separator={option}").labels == ("a", "b")
