"""Labels of files as they are written: numbers, lists in cells, indicators, blanks, -1."""

import json
import re
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pyarrow
import pytest
from pyarrow import parquet

from nlp_rnn.cli import main
from nlp_rnn.config.compose import compose
from nlp_rnn.config.data import FilesConfig
from nlp_rnn.config.data_checks import check_data
from nlp_rnn.data.corpus import Corpus, load_corpus
from nlp_rnn.data.labels import labels_of
from nlp_rnn.data.suspect_labels import label_notes
from nlp_rnn.errors import DataError
from tests.tiny_classifier import random_state, tiny_architecture, tiny_parts

pytestmark = pytest.mark.usefixtures("own_datasets_cache")

SHARED = Path(__file__).parents[1].parent / "shared" / "data"
FORMATS = ("csv", "tsv", "json", "jsonl", "parquet")


def write(path: Path, labels: list[Any], column: str = "label") -> Path:
    """A file of the format of its name with these labels, and a text of its own in each row."""
    path.parent.mkdir(parents=True, exist_ok=True)
    texts = [f"{path.stem} {row}" for row in range(len(labels))]
    rows = [{"text": text, column: label} for text, label in zip(texts, labels, strict=True)]
    kind = path.suffix[1:]
    if kind in ("csv", "tsv"):
        table = pd.DataFrame({"text": texts, column: pd.Series(labels, dtype=object)})
        table.to_csv(path, index=False, sep="," if kind == "csv" else "\t")
    elif kind == "json":
        path.write_text(json.dumps(rows))
    elif kind == "jsonl":
        path.write_text("\n".join(map(json.dumps, rows)))
    elif kind == "label":
        path.write_text("\n".join(f"{row[column]} {row['text']}" for row in rows))
    else:
        parquet.write_table(pyarrow.table({"text": texts, column: labels}), path)
    return path


def load(path: Path, **options: Any) -> Corpus:
    config = FilesConfig(name="files", path=str(path), **options)
    check_data(config)
    return load_corpus(config)


def overridden(path: Path, *overrides: str) -> Corpus:
    """The corpus of a command line, with all that Hydra does to it."""
    overrides = ("data=files", f"data.path={path}", *overrides)
    return load_corpus(compose([*overrides, "tokenizer.max_length=1000"]).data)


def refusal(path: Path, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        load(path, **options)
    assert len(str(caught.value).splitlines()) <= 2
    return str(caught.value)


def rows_of(corpus: Corpus, split: str = "train") -> list[Any]:
    labels = labels_of(getattr(corpus, split))
    if labels.ndim == 1:
        return [corpus.labels[label] for label in labels]
    return [{corpus.labels[index] for index in np.flatnonzero(row)} for row in labels]


def by_row(corpus: Corpus) -> dict[int, Any]:
    """The label of each row of the file, wherever it was cut to."""
    return {
        row: label
        for split in ("train", "validation", "test")
        for row, label in zip(getattr(corpus, split)["row"], rows_of(corpus, split), strict=True)
    }


WRITTEN = [
    ["007", "07", "7"],
    ["010", "10", "8"],
    ["0x1F", "31", "0X1f"],
    ["+1", "1", "-1"],
    ["1e3", "1000", "1E3"],
    ["1.1", "1.10", "2.3"],
    ["12345678901234567890", "12345678901234567891", "99999999999999999999"],
    ["9" * 5000, "1", "02"],
    ["1.0", "1", "2"],
    ["1.00", "2.00", "3.00"],
    ["1_000", "1000", "2"],
    ["nan", "NA", "null"],
    ["inf", "1", "-inf"],
    ["True", "true", "TRUE"],
    ["-0", "0", "-0.0"],
    ["1,5", "1.5", "15"],
    ["0.1", "0.10", ".1"],
    ["0b11", "0o7", "3"],
    ["\u0661", "1", "2"],
    ["12:30", "12:45", "1230"],
]


@pytest.mark.parametrize("labels", WRITTEN, ids=lambda labels: labels[0][:10])
@pytest.mark.parametrize("kind", FORMATS)
def test_labels_are_what_is_written(tmp_path: Path, kind: str, labels: list[str]) -> None:
    path = write(tmp_path / f"all.{kind}", labels * 10)
    corpus = load(path)
    assert set(corpus.labels) == {*labels}
    assert by_row(corpus) == dict(enumerate(labels * 10))


def test_labels_of_lines_are_what_is_written(tmp_path: Path) -> None:
    for number, labels in enumerate(WRITTEN):
        path = write(tmp_path / f"{number}.label", labels * 10)
        assert by_row(load(path)) == dict(enumerate(labels * 10))


@pytest.mark.parametrize("kind", [*FORMATS, "label"])
@pytest.mark.parametrize(
    ("labels", "order"),
    [
        ([10, 9, 1], ("1", "9", "10")),
        ([0, -1, 1], ("-1", "0", "1")),
        ([-10, -2, 5], ("-10", "-2", "5")),
        (["10", "9", "b"], ("10", "9", "b")),
        (["10", "9", "8.5"], ("10", "8.5", "9")),
        ([12345678901234567, 9, 1], ("1", "9", "12345678901234567")),
    ],
)
def test_whole_numbers_are_ordered_as_numbers_and_others_as_text(
    tmp_path: Path, kind: str, labels: list[Any], order: tuple[str, ...]
) -> None:
    if kind == "parquet" and str in map(type, labels):
        labels = [*map(str, labels)]
    elif kind in ("json", "jsonl"):  # strings and numbers are read alike
        assert load(write(tmp_path / f"text.{kind}", [*map(str, labels)] * 10)).labels == order
    corpus = load(write(tmp_path / f"all.{kind}", labels * 10))
    assert corpus.labels == order
    assert by_row(corpus) == dict(enumerate(map(str, labels * 10)))


@pytest.mark.parametrize(
    ("labels", "order", "kinds"),
    [
        ([1.0, 2.0, None], ("1", "2"), FORMATS),
        ([1.0, 2.5], ("1.0", "2.5"), FORMATS),
        ([0.1, 1e-7], ("0.1", "1e-07"), FORMATS),
        ([True, False, None], ("False", "True"), FORMATS),
        ([1, 2, None], ("1", "2"), FORMATS),
    ],
)
def test_numbers_are_named_alike_in_every_format(
    tmp_path: Path, labels: list[Any], order: tuple[str, ...], kinds: tuple[str, ...]
) -> None:
    digests = {load(write(tmp_path / f"all.{kind}", labels * 20)).digest for kind in kinds}
    assert len(digests) == 1
    assert load(tmp_path / "all.csv").labels == order


def test_floats_that_are_read_as_whole_numbers_are_told(tmp_path: Path) -> None:
    for kind in ("csv", "parquet"):
        corpus = load(write(tmp_path / f"all.{kind}", [1.0, 2.0, None] * 10))
        assert "train: the numbers of the labels are whole, 1.0 is read as 1" in corpus.notes
    assert load(write(tmp_path / "a.parquet", [1, 2] * 10)).notes == (
        load(write(tmp_path / "a.csv", [1, 2] * 10)).notes
    )


def test_a_number_that_lost_digits_is_an_error_and_a_string_is_not(tmp_path: Path) -> None:
    long = [12345678901234567890, 12345678901234567891]
    message = refusal(write(tmp_path / "a.jsonl", long * 10))
    assert "have lost digits" in message
    assert 'in JSON with quotes: "12345678901234567890"' in message
    assert load(write(tmp_path / "a.jsonl", [*map(str, long)] * 10)).labels == (*map(str, long),)


@pytest.mark.parametrize("kinds", [("csv", "csv"), ("csv", "jsonl"), ("jsonl", "csv")])
def test_one_decision_for_all_splits(tmp_path: Path, kinds: tuple[str, str]) -> None:
    numbers, mixed = ["1", "2", "10"], ["1", "2b", "10", "2"]
    for train, test in ((numbers, mixed), (mixed, numbers)):
        folder = tmp_path / train[1]
        write(folder / f"train.{kinds[0]}", train * 10)
        write(folder / f"test.{kinds[1]}", test)
        corpus = load(folder)
        assert sorted(corpus.labels) == ["1", "10", "2", "2b"]
        assert rows_of(corpus, "test") == test
    assert not [note for note in corpus.notes if "not in train" in note]


@pytest.mark.parametrize(
    ("train", "test", "labels"),
    [
        (("jsonl", [1, 2]), ("csv", ["1", "2"]), ("1", "2")),
        (("parquet", [1.0, 2.0]), ("parquet", [2, 1]), ("1", "2")),
        (("parquet", [1.0, 2.0, 2.5]), ("parquet", [2, 1]), ("1.0", "2.0", "2.5")),
        (("parquet", [2, 1]), ("jsonl", [1.0, 2.0, 2.5]), ("1.0", "2.0", "2.5")),
        (("csv", ["1.0", "2.0"]), ("csv", ["2", "1"]), ("1", "2")),
        (("csv", ["2", "1"]), ("csv", ["1.0", "2.0", ""]), ("1", "2")),
        (("csv", ["1.0", "2.0"]), ("csv", ["1.0", "2b"]), ("1.0", "2.0", "2b")),
        (("parquet", [1.0, 2.0]), ("csv", ["1", "2b"]), ("1", "2", "2b")),
        (("csv", ["07", "7"]), ("jsonl", [7]), ("07", "7")),
        (("parquet", [True, False]), ("csv", ["True", "False"]), ("False", "True")),
    ],
)
def test_splits_of_different_types(
    tmp_path: Path,
    train: tuple[str, list[Any]],
    test: tuple[str, list[Any]],
    labels: tuple[str, ...],
) -> None:
    write(tmp_path / f"train.{train[0]}", train[1] * 10)
    write(tmp_path / f"test.{test[0]}", test[1])
    assert load(tmp_path).labels == labels


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_ids_of_a_file_take_the_names_of_a_saved_split(tmp_path: Path, kind: str) -> None:
    labels = datasets.ClassLabel(names=["bad", "good"])
    train = datasets.Dataset.from_dict(
        {"text": [f"a {i}" for i in range(20)], "label": [0, 1] * 10}
    )
    train.cast_column("label", labels).to_parquet(str(tmp_path / "train.parquet"))
    write(tmp_path / f"test.{kind}", [1, 1, 0])
    corpus = load(tmp_path)
    assert corpus.labels == ("bad", "good")
    assert rows_of(corpus, "test") == ["good", "good", "bad"]


def test_a_category_of_pandas_is_text(tmp_path: Path) -> None:
    table = pd.DataFrame({"text": [f"t {i}" for i in range(20)], "label": ["07", "7"] * 10})
    table["label"] = table["label"].astype("category")
    table.to_parquet(tmp_path / "a.parquet")
    assert load(tmp_path / "a.parquet").labels == ("07", "7")


@pytest.mark.parametrize("kind", FORMATS)
def test_blanks_around_a_label_are_stripped(tmp_path: Path, kind: str) -> None:
    labels = [" pos", "pos", "neg ", "\tneg", "pos\n", "a  b"]
    corpus = load(write(tmp_path / f"all.{kind}", labels * 10))
    assert corpus.labels == ("a  b", "neg", "pos")
    blank = load(write(tmp_path / f"blank.{kind}", ["a", " ", "b"] * 10))
    assert blank.labels == ("a", "b")
    assert "train: 10 rows without a label (null) dropped" in blank.notes


def test_blanks_within_lists_and_around_names_are_stripped(tmp_path: Path) -> None:
    corpus = load(write(tmp_path / "a.jsonl", [[" a", "b "], ["a"], ["b"]] * 10))
    assert corpus.labels == ("a", "b")
    named = load(write(tmp_path / "b.csv", [" 1", "2 "] * 10), label_names={"1": "x", "2": "y"})
    assert named.labels == ("x", "y")


def test_classes_that_differ_only_in_case_are_told(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", ["pos", "Pos", "neg", "pos", "POS ", "Neg"] * 10)
    [note] = [note for note in load(path).notes if "case" in note]
    assert "'Neg' (10) and 'neg' (10); 'POS' (10) and 'Pos' (10) and 'pos' (20)" in note
    names = {"pos": "pos", "Pos": "pos", "POS": "pos", "neg": "neg", "Neg": "neg"}
    merged = load(path, label_names=names)
    assert merged.labels == ("pos", "neg")
    assert not [note for note in merged.notes if "case" in note]
    lists = load(write(tmp_path / "a.jsonl", [["a", "A"], ["b"]] * 10))
    assert any("'A' (10) and 'a' (10)" in note for note in lists.notes)
    assert label_notes({"train": {"a": 1, "b": 2}}) == []


INDICATORS: list[list[list[Any]]] = [
    [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]],
    [[1.0, 0.0, 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]],
    [[True, False, True], [False, True, False], [False, False, True], [False] * 3],
    [[1, 1, 1], [0, 0, 0], [0, 1, 1], [1, 0, 1]],
]


@pytest.mark.parametrize("rows", INDICATORS, ids=["one-hot", "floats", "booleans", "integers"])
@pytest.mark.parametrize("kind", FORMATS)
def test_lists_of_0_and_1_are_indicators(tmp_path: Path, kind: str, rows: list[list[Any]]) -> None:
    names = ["food", "staff", "late"]
    path = write(tmp_path / f"all.{kind}", rows * 10)
    message = refusal(path)
    assert "lists of 3 numbers, 0 or 1 for each class" in message
    overrides = message.split("'")[1]
    assert overrides == "data.label_names=[name1,name2,name3]"
    assert overridden(path, overrides).labels == ("name1", "name2", "name3")
    corpus = load(path, label_names=names)
    assert corpus.labels == ("food", "staff", "late")
    assert corpus.task == "multi_label"
    expected = [{names[index] for index, one in enumerate(row) if one} for row in rows * 10]
    assert by_row(corpus) == dict(enumerate(expected))
    [note] = [note for note in corpus.notes if "read as 0 or 1 for each class" in note]
    assert "(food, staff, late)" in note
    assert ("exactly one 1" in note) == all(sum(row) == 1 for row in rows)


@pytest.mark.parametrize(
    "words", [("0", "1"), ("0.0", "1.0"), ("False", "True"), ("no", "yes")], ids="".join
)
@pytest.mark.parametrize("form", ["lists", "cells", "joined"])
def test_texts_that_mean_0_and_1_are_indicators_too(
    tmp_path: Path, words: tuple[str, str], form: str
) -> None:
    rows = [[words[one] for one in row] for row in INDICATORS[3]]
    options: dict[str, Any] = {"label_separator": "comma"} if form == "joined" else {}
    cells = {"lists": rows, "cells": [*map(str, rows)], "joined": [*map(",".join, rows)]}[form]
    path = write(tmp_path / ("a.jsonl" if form == "lists" else "a.csv"), cells * 10)
    assert "must have 3 different names" in refusal(path, **options)
    corpus = load(path, label_names=["x", "y", "z"], **options)
    expected = [{"xyz"[index] for index, one in enumerate(row) if one} for row in INDICATORS[3]]
    assert by_row(corpus) == dict(enumerate(expected * 10))


def test_indicators_in_one_split_and_ids_in_another_are_an_error(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", INDICATORS[0] * 10)
    write(tmp_path / "test.jsonl", [[2], [0, 1]] * 5)
    message = refusal(tmp_path)
    assert "has lists of 0 and 1 for each class, but the test split has lists with other" in message
    write(tmp_path / "test.jsonl", [[0, 0, 1], [0, 1, 0]] * 5)
    assert load(tmp_path, label_names=["x", "y", "z"]).labels == ("x", "y", "z")


def test_labels_that_a_list_has_twice_may_be_votes(tmp_path: Path) -> None:
    notes = load(write(tmp_path / "a.jsonl", [["a", "a", "b"], ["b", "c", "a"]] * 10)).notes
    assert any("10 lists have a label twice, which counts once" in note for note in notes)
    assert not any("twice" in n for n in load(write(tmp_path / "b.jsonl", [["a", "b"]] * 9)).notes)


def test_indicators_need_as_many_different_names(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", INDICATORS[0] * 10)
    assert "must have 3 different names, not 2" in refusal(path, label_names=["a", "b"])
    assert "must have 3 different names, not 4" in refusal(path, label_names=[*"abcd"])
    assert "3 different names" in refusal(path, label_names={0: "a", 1: "a", 2: "b"})
    assert load(path, label_names={0: "a", 1: "b", 2: "c"}).labels == ("a", "b", "c")


def test_indicators_in_numpy_arrays_of_fixed_size_and_with_missing_rows(tmp_path: Path) -> None:
    flags = [*INDICATORS[3], None] * 10
    kind = pyarrow.list_(pyarrow.float32(), 3)
    table = {"text": [f"t {i}" for i in range(50)], "label": pyarrow.array(flags, kind)}
    rows = pyarrow.table(table)
    with pyarrow.ipc.new_file(tmp_path / "a.arrow", rows.schema) as file:
        file.write_table(rows)
    corpus = load(tmp_path / "a.arrow", label_names=["x", "y", "z"])
    assert "train: 10 rows without a label (null) dropped" in corpus.notes
    labels = by_row(corpus)
    assert (labels[0], labels[1], labels[2], labels[48]) == (
        *({"x", "y", "z"}, set(), {"y", "z"}, {"x", "z"}),
    )


@pytest.mark.parametrize(
    ("lists", "labels"),
    [
        ([[0], [0, 1, 2]], ("0", "1", "2")),
        ([[0], [1]], ("0", "1")),
        ([[0, 1], [1]], ("0", "1")),
        ([[0, 1], [1, 2]], ("0", "1", "2")),
        ([["0"], ["0", "1"], []], ("0", "1")),
        ([[], [0, 1]], ("0", "1")),
        ([[-1, 2], [2]], ("-1", "2")),
        ([["1"], ["01", "1"]], ("01", "1")),
    ],
)
def test_lists_of_labels_are_no_indicators(
    tmp_path: Path, lists: list[list[Any]], labels: tuple[str, ...]
) -> None:
    assert load(write(tmp_path / "a.jsonl", lists * 10)).labels == labels


def test_ids_of_class_labels_are_no_indicators(tmp_path: Path) -> None:
    inner = datasets.List(datasets.ClassLabel(names=["x", "y"]))
    features = datasets.Features({"text": datasets.Value("string"), "label": inner})
    rows = {"text": [f"t {i}" for i in range(20)], "label": [[0, 1], [1, 0]] * 10}
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(tmp_path / "set")
    assert set(map(tuple, rows_of(load(tmp_path / "set")))) in ({("x", "y")}, {("y", "x")})


def test_the_reading_of_lists_is_one_decision_for_all_splits(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", [[0], [0, 1, 2], [2]] * 10)
    write(tmp_path / "test.jsonl", [[0, 1], [1, 0]])
    corpus = load(tmp_path)
    assert corpus.labels == ("0", "1", "2")
    assert rows_of(corpus, "test") == [{"0", "1"}] * 2
    write(tmp_path / "train.jsonl", [[1], [2, 3]] * 10)
    write(tmp_path / "test.jsonl", [["1"], ["2", "2b"]])
    assert load(tmp_path).labels == ("1", "2", "3", "2b")


def raw_csv(path: Path, *cells: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{path.stem} {i},{cell}" for i, cell in enumerate(cells)]
    path.write_text("\n".join(["text,label", *lines]))
    return path


NEWS = [{"news", "world"}, {"news"}, set(), {"it's, so"}]


@pytest.mark.parametrize(
    "cells",
    [
        ["\"['news', 'world']\"", "['news']", "[]", '"[""it\'s, so""]"'],
        ['"[""news"", ""world""]"', '"[""news""]"', "[]", '"[""it\'s, so""]"'],
        ['"[""news"",""world""]"', " ['news'] ", " [ ] ", "\"['it\\'s, so']\""],
        ["['news' 'world']", "['news']", "[]", '"[""it\'s, so""]"'],
        ["['news'\n 'world']".join('""'), "['news']", "[]", '"[""it\'s, so""]"'],
        ["\"['news', 'world',]\"", "['news']", "[]", '"[""it\'s, so""]"'],
        ["\"['news', ' world ']\"", "['news']", "[]", '"[""it\'s, so""]"'],
    ],
    ids=["python", "json", "blanks", "numpy", "numpy lines", "comma at the end", "inner blanks"],
)
def test_written_lists_are_lists(tmp_path: Path, cells: list[str]) -> None:
    corpus = load(raw_csv(tmp_path / "a.csv", *(cells * 10)))
    assert corpus.task == "multi_label"
    assert by_row(corpus) == dict(enumerate(NEWS * 10))
    assert any("the cells of the column 'label' are read as lists" in n for n in corpus.notes)


@pytest.mark.parametrize(
    ("cells", "labels"),
    [
        (['"[1, 2]"', "[2]", "[]", ""], ("1", "2")),
        (['"[1.0, 2.0]"', "[2.0]", "[10]"], ("1", "2", "10")),
        (['"[1, ""b""]"', "[2]", "[]"], ("1", "2", "b")),
        (['"[""007"", ""7""]"', '"[""7""]"'], ("007", "7")),
        (["[1 2]", "[2]", "[10]"], ("1", "2", "10")),
        (['"[12345678901234567890, 1]"', "[1]"], ("1", "12345678901234567890")),
        (['"[""caf\\u00e9"", ""\\ud83d\\ude00""]"', '"[""b""]"'], ("b", "café", "😀")),
    ],
)
def test_labels_of_written_lists(tmp_path: Path, cells: list[str], labels: tuple[str, ...]) -> None:
    assert load(raw_csv(tmp_path / "a.csv", *(cells * 10))).labels == labels


@pytest.mark.parametrize(
    ("cells", "labels"),
    [
        (["[news]", "[world]"], ("[news]", "[world]")),
        (["['news']", "world"], ("['news']", "world")),
        (["['news", "world']"], ("['news", "world']")),
        (['"[[1], [2]]"', "[[3]]"], ("[[1], [2]]", "[[3]]")),
        (['"[1, 2 3]"', "[4]"], ("[1, 2 3]", "[4]")),
        (["(1)", "(2)"], ("(1)", "(2)")),
        (["[1 ... 2]", "[3]"], ("[1 ... 2]", "[3]")),
    ],
)
def test_what_only_looks_like_a_list_is_text(
    tmp_path: Path, cells: list[str], labels: tuple[str, ...]
) -> None:
    corpus = load(raw_csv(tmp_path / "a.csv", *(cells * 10)))
    assert corpus.labels == labels
    told = any("look like lists of labels" in note for note in corpus.notes)
    # a word in brackets, such as `[PAD]`, is a name
    assert told == any(re.match(r'"?\[(?!\w+\]$)', cell) for cell in cells)


def test_written_lists_and_a_separator_exclude_each_other(tmp_path: Path) -> None:
    path = raw_csv(tmp_path / "a.csv", *(["\"['news', 'world']\"", "['news']"] * 10))
    message = refusal(path, label_separator="comma")
    assert "has lists in its cells already" in message
    assert message.endswith("Remove data.label_separator.")
    assert load(path).labels == ("news", "world")
    joined = raw_csv(tmp_path / "b.csv", *(['"[news], world"', "world"] * 10))
    assert load(joined, label_separator="comma").labels == ("[news]", "world")


def test_written_lists_in_one_split_only_are_an_error(tmp_path: Path) -> None:
    raw_csv(tmp_path / "train.csv", *(["\"['news', 'world']\"", "['news']"] * 10))
    raw_csv(tmp_path / "test.csv", "news")
    message = refusal(tmp_path)
    assert message.startswith("The test split")
    assert "but the train split has lists" in message
    raw_csv(tmp_path / "test.csv", "['news']")
    assert rows_of(load(tmp_path), "test") == [{"news"}]
    write(tmp_path / "test.jsonl", [["news"]])
    (tmp_path / "test.csv").unlink()
    assert rows_of(load(tmp_path), "test") == [{"news"}]
    raw_csv(tmp_path / "validation.csv", "", "")
    assert "none of its 2 rows has a text and a label" in refusal(tmp_path)


def test_written_indicators_are_indicators(tmp_path: Path) -> None:
    cells = ["[1 0 0]", "[0. 1. 1.]", '"[0, 0, 1]"']
    path = raw_csv(tmp_path / "a.csv", *(cells * 10))
    assert "lists of 3 numbers" in refusal(path)
    assert by_row(load(path, label_names=["a", "b", "c"]))[1] == {"b", "c"}


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1", "0"], [1, 0]),
        (["1.0", "0.0"], [1, 0]),
        (["True", "False"], [1, 0]),
        (["true", " false"], [1, 0]),
    ],
)
def test_columns_of_classes_in_csv(tmp_path: Path, cells: list[str], expected: list[int]) -> None:
    lines = [f"t {i},{cells[i % 2]},{cells[(i // 2) % 2]}" for i in range(40)]
    (tmp_path / "a.csv").write_text("\n".join(["text,x,y", *lines]))
    corpus = load(tmp_path / "a.csv", label=["x", "y"])
    first, second = (("x", expected[0]), ("y", expected[0]))
    assert by_row(corpus)[0] == {name for name, one in (first, second) if one}
    assert by_row(corpus)[3] == set()
    (tmp_path / "a.csv").write_text("\n".join(["text,x,y", *lines, "last,maybe,1"]))
    assert "has 'maybe' in its column 'x', not 0 or 1" in refusal(
        tmp_path / "a.csv", label=["x", "y"]
    )


@pytest.mark.parametrize("kind", FORMATS)
def test_minus_one_is_a_class(tmp_path: Path, kind: str) -> None:
    write(tmp_path / f"train.{kind}", [-1, 0, 1] * 10)
    write(tmp_path / f"test.{kind}", [-1, -1])
    corpus = load(tmp_path)
    assert corpus.labels == ("-1", "0", "1")
    assert rows_of(corpus, "test") == ["-1", "-1"]
    named = overridden(tmp_path, "data.label_names={-1:bad,0:fair,1:good}")
    assert named.labels == ("bad", "fair", "good")
    write(tmp_path / f"test.{kind}", [-1, 1])
    write(tmp_path / f"train.{kind}", [0, 1] * 10)
    assert load(tmp_path).labels == ("0", "1", "-1")


@pytest.mark.parametrize("kind", FORMATS)
def test_minus_one_in_all_of_test_and_nowhere_in_train_is_no_label(
    tmp_path: Path, kind: str
) -> None:
    write(tmp_path / f"train.{kind}", [0, 1] * 10)
    write(tmp_path / f"test.{kind}", [-1, -1])
    for options in ({}, {"label_names": ["bad", "good"]}):
        message = refusal(tmp_path, **options)
        assert "label -1 in all rows; -1 means that there is no label" in message
    assert "remove the file" in message
    (tmp_path / f"test.{kind}").unlink()
    assert load(tmp_path).labels == ("0", "1")
    write(tmp_path / f"train.{kind}", [-1, -1])
    message = refusal(tmp_path)
    assert "The train split of" in message
    assert "-1 means that there is no label" in message


def test_class_labels_have_no_minus_one_until_it_is_named(tmp_path: Path) -> None:
    feature = datasets.ClassLabel(names=["bad", "good"])
    rows = {"text": [f"t {i}" for i in range(30)], "label": [0, 1, -1] * 10}
    features = datasets.Features({"text": datasets.Value("string"), "label": feature})
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(tmp_path / "set")
    message = refusal(tmp_path / "set")
    assert "label -1 in 10 of 30 rows" in message
    assert "data.label_names={-1:NAME,0:NAME,…}" in message
    named = load(tmp_path / "set", label_names={-1: "none", 0: "bad", 1: "good"})
    assert named.labels == ("none", "bad", "good")
    kept = load(tmp_path / "set", label_names={-1: "none", "bad": "bad", "good": "good"})
    assert kept.labels == ("none", "bad", "good")


@pytest.mark.parametrize(
    "label", ["007", "0x1F", "+1", "1e3", "1.10", "-1", "true", "null", "a b", "a:b", "1,5", "(x)"]
)
def test_every_label_can_be_named_as_the_error_says(tmp_path: Path, label: str) -> None:
    path = write(tmp_path / "a.csv", [label, "zz", "1.1", "1"] * 10)
    message = refusal(path, label_names={"zz": "z", "1.1": "v", "1": "one"})
    key = message.split("data.label_names={")[1].split(":NAME")[0]
    corpus = overridden(path, f"data.label_names={{{key}:NAME,zz:z,1.1:v,1:one}}")
    assert set(corpus.labels) == {"NAME", "z", "v", "one"}
    assert by_row(corpus)[0] == "NAME"


def test_a_key_that_became_a_number_names_the_only_label_of_its_value(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", ["1.10", "1e3", "+7", "true"] * 10)
    corpus = overridden(path, "data.label_names={1.10:a,1e3:b,+7:c,true:d}")
    assert corpus.labels == ("a", "b", "c", "d")
    path = write(tmp_path / "b.csv", ["1.10", "1.1", "2"] * 10)
    with pytest.raises(DataError, match=r"label '1\.10', which has no name"):
        overridden(path, "data.label_names={1.1:a,2:b}")


def classifier(folder: Path, *labels: str, multi_label: bool = False) -> Path:
    """A classifier with random parameters and these labels."""
    from nlp_rnn.classifier.classifier_saving import save_classifier

    architecture = tiny_architecture(num_labels=len(labels))
    parts = tiny_parts() | {
        "architecture": architecture,
        "state": random_state(architecture),
        "labels": [*labels],
    }
    if multi_label:
        parts["thresholds"] = [0.4] * len(labels)
    save_classifier(folder, **parts)
    return folder


@pytest.mark.parametrize(
    ("known", "kind", "labels"),
    [
        (("007", "7", "2b"), "csv", ["007", "7", "7"]),
        (("1", "2", "3"), "csv", ["1", "2", "1"]),
        (("1", "2", "3"), "csv", ["1.0", "2.0", ""]),
        (("1", "2", "3"), "parquet", [1.0, 2.0, 1.0]),
        (("1.0", "2.0", "2.5"), "parquet", [1.0, 2.0, 1.0]),
        (("1.0", "2.0", "2.5"), "csv", ["1.0", "2.0", "1.0"]),
        (("1", "2", "2b"), "jsonl", [1, 2, 1]),
        (("-1", "0", "1"), "csv", ["-1", "0", "-1"]),
        (("pos", "neg", "x"), "csv", [" pos", "neg ", "pos"]),
    ],
)
def test_evaluate_reads_labels_as_training_did(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    known: tuple[str, ...],
    kind: str,
    labels: list[Any],
) -> None:
    folder = classifier(tmp_path / "classifier", *known)
    path = write(tmp_path / f"more.{kind}", labels * 10)
    capsys.readouterr()
    assert main(["evaluate", str(folder), "data=files", f"data.path={path}", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["texts"] == 10 * sum(label != "" for label in labels)


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
def test_own_predictions_can_be_trained_on_and_evaluated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    names = ("007", "7", "it's, so")
    folder = classifier(tmp_path / "classifier", *names, multi_label=True)
    texts = write(tmp_path / "in.csv", ["x"] * 40)
    words = [f"w{i % 28 + 2} w{i * 7 % 28 + 2}" for i in range(40)]
    texts.write_text("\n".join(["text", *words]))
    output = tmp_path / f"out.{kind}"
    assert main(["predict", str(folder), "--input", str(texts), "--output", str(output)]) == 0
    corpus = load(output, label="labels")
    assert corpus.task == "multi_label"
    assert set(corpus.labels) <= {*names}
    assert len(corpus.labels) > 1
    capsys.readouterr()
    data = ["data=files", f"data.path={output}", "data.label=labels"]
    assert main(["evaluate", str(folder), *data, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["subset_accuracy"] == 1.0


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data sets are not here")
@pytest.mark.parametrize(
    ("name", "label", "digest"),
    [
        ("trec6", "label", "d1a1abc70a1c8940479268c76509491a"),
        ("sst2", "label", "3e1fae6f25f219c85d4e9425956e0a43"),
        ("goemotions", "labels", "69554d8d68cfdbe51b1518d532003785"),
    ],
)
def test_digests_of_real_sets_stay(name: str, label: str, digest: str) -> None:
    assert load(SHARED / name, label=label).digest == digest
