"""Multi-label data: every form of label columns, stratified splits, and errors."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pytest

from nlp_rnn.config.data import FilesConfig
from nlp_rnn.config.data_checks import check_data
from nlp_rnn.data.corpus import Corpus, load_corpus
from nlp_rnn.data.labels import labels_of
from nlp_rnn.data.sampling import Strata
from nlp_rnn.errors import ConfigError, DataError

pytestmark = pytest.mark.usefixtures("own_datasets_cache")

SHARED = Path(__file__).parents[1].parent / "shared" / "data"


def files(path: Path, **options: Any) -> FilesConfig:
    config = FilesConfig(name="files", path=str(path), **options)
    check_data(config)
    return config


def write(folder: Path, **splits: list[Any]) -> Path:
    """A folder with a jsonl file for each split, whose rows have these labels."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, labels in splits.items():
        rows = [{"text": f"{split} {row}", "label": label} for row, label in enumerate(labels)]
        (folder / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


def names_of(corpus: Corpus, split: str) -> list[set[str]]:
    flags = labels_of(getattr(corpus, split))
    assert flags.dtype == bool
    return [{corpus.labels[index] for index in np.flatnonzero(row)} for row in flags]


def refusal(config: FilesConfig) -> str:
    with pytest.raises(DataError) as caught:
        load_corpus(config)
    assert len(str(caught.value).splitlines()) <= 2
    return str(caught.value)


LISTS = [["rude", "spam"], [], ["spam"], ["rude"], ["kind, or so"], ["spam", "spam"]]
SETS = [set(labels) for labels in LISTS]


def test_lists_of_names(tmp_path: Path) -> None:
    data = write(tmp_path, train=LISTS, validation=LISTS[:2], test=[["spam"], []])
    corpus = load_corpus(files(data))
    assert corpus.task == "multi_label"
    assert corpus.labels == ("kind, or so", "rude", "spam")
    assert names_of(corpus, "train") == SETS
    assert names_of(corpus, "test") == [{"spam"}, set()]
    assert corpus.quality.figures["data/train_without_labels"] == 1
    assert corpus.quality.figures["data/train_labels_per_text"] == pytest.approx(1.0)


@pytest.mark.parametrize("typed", [False, True])
def test_lists_of_ids_as_a_dataset_has_them(tmp_path: Path, typed: bool) -> None:
    """`ClassLabel` ids take their names, plain ones those of `data.label_names`."""
    ids = [[2, 0], [], [1], [0], [2]]
    inner = datasets.ClassLabel(names=["x", "y", "z"]) if typed else datasets.Value("int16")
    features = datasets.Features({"text": datasets.Value("string"), "labels": datasets.List(inner)})
    texts = [f"a {row}" for row in range(5)]
    split = datasets.Dataset.from_dict({"text": texts, "labels": ids}, features=features)
    datasets.DatasetDict(train=split, validation=split, test=split).save_to_disk(tmp_path / "set")
    names = None if typed else ["x", "y", "z"]
    corpus = load_corpus(files(tmp_path / "set", label="labels", label_names=names))
    assert corpus.labels == ("x", "y", "z")
    assert names_of(corpus, "train") == [{"x", "z"}, set(), {"y"}, {"x"}, {"z"}]
    if not typed:
        bare = load_corpus(files(tmp_path / "set", label="labels"))
        assert bare.labels == ("0", "1", "2")


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_column_for_each_class(tmp_path: Path, kind: str) -> None:
    table = pd.DataFrame(
        {
            "text": [f"one {row}" for row in range(40)],
            "rude": [1, 0, 0, 1] * 10,
            "spam": [0, 0, 1, 1] * 10,
            "other": [0.5] * 40,
        }
    )
    if kind == "parquet":
        table["spam"] = table["spam"].astype(bool)
    path = tmp_path / f"all.{kind}"
    getattr(table, f"to_{kind}")(path, index=False)
    corpus = load_corpus(
        files(path, label=["spam", "rude"], label_names={"rude": "unkind"} | {"spam": "spam"})
    )
    assert corpus.labels == ("spam", "unkind")
    kinds = Counter(frozenset(labels) for labels in names_of(corpus, "train"))
    assert set(kinds) == {
        frozenset(),
        frozenset(["unkind"]),
        frozenset(["spam"]),
        frozenset(["spam", "unkind"]),
    }
    assert "not 0 or 1" in refusal(files(path, label=["spam", "other"]))


def test_rows_of_which_nothing_is_known_are_dropped_and_counted(tmp_path: Path) -> None:
    labels = [["a"], None, ["b"], []]
    corpus = load_corpus(files(write(tmp_path, train=labels, validation=LISTS, test=labels)))
    assert names_of(corpus, "train") == [{"a"}, {"b"}, set()]
    assert "train: 1 row without a label (null) dropped" in corpus.notes


def test_a_null_in_a_column_of_a_class_makes_the_row_unknown(tmp_path: Path) -> None:
    table = pd.DataFrame({"text": list("abcd"), "x": [1, 0, None, 1], "y": [0, 1, 1, 0]})
    for split in ("train", "validation", "test"):
        table.to_csv(tmp_path / f"{split}.csv", index=False)
    corpus = load_corpus(files(tmp_path, label=["x", "y"]))
    assert names_of(corpus, "train") == [{"x"}, {"y"}, {"x"}]
    assert "test: 1 row without a label (null) dropped" in corpus.notes


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        (
            {"train": [["a"], ["b"]], "test": ["a", "b"]},
            "has one label per row in its column 'label'",
        ),
        ({"train": [["a"], ["a"], []]}, "a single label, 'a'"),
        ({"train": [[], [], []]}, "no row with a label"),
        ({"train": [["a", None], ["b"]]}, "an empty string within the list of labels of row 1"),
        ({"train": [["a"], ["b", ""]]}, "an empty string within the list of labels of row 2"),
        ({"train": [[["a"]], [["b"]]]}, "not one label per row"),
        ({"train": [[0.5], [1.0]]}, r"not whole numbers, such as 0.5"),
        ({"train": [[-1], [1]], "test": [[1, 0.5]]}, "such as 0.5"),
        ({"train": [["a"], "b"]}, "different types: a string in row 2, a list in the rows before"),
        (
            {"train": ["a", ["b"], 3]},
            "different types: a list in row 2, a string in the rows before",
        ),
        ({"train": [["a"], [1]]}, "values of different types"),
    ],
)
def test_what_is_no_list_of_labels(
    tmp_path: Path, splits: dict[str, list[Any]], message: str
) -> None:
    assert message in refusal(files(write(tmp_path, **splits)))


def test_one_label_in_train_and_lists_in_test_are_two_forms(tmp_path: Path) -> None:
    data = write(tmp_path, train=["a", "b"], test=[["a"], ["b"]])
    assert "one label per row in its column 'label', but the test split has lists" in refusal(
        files(data)
    )


def test_a_label_that_train_never_had_is_told(tmp_path: Path) -> None:
    data = write(tmp_path, train=[["a"], ["b"]], validation=[["a"]], test=[["c", "a"]])
    corpus = load_corpus(files(data))
    assert corpus.labels == ("a", "b", "c")
    assert "test: label 'c' is not in train; its rows (1) cannot be found" in corpus.notes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label": []}, "a column or a list of columns"),
        ({"label": ["a", "a"]}, "names a column twice"),
        ({"label": ["a", 2.5]}, "a column or a list of columns"),
        ({"label": ["a", "b"], "label_names": ["x"]}, "with different names"),
        ({"label": ["a", "b"], "label_names": {"a": "x", "c": "y"}}, "with different names"),
        ({"label": ["a", "b"], "label_names": {"a": "x", "b": "x"}}, "with different names"),
    ],
)
def test_options_without_sense(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_data(FilesConfig(name="files", path="x.csv", **options))


def rare(rows: int) -> list[list[str]]:
    """A frequent label, one on every tenth row, and one on a single row."""
    return [
        ["often", *(["seldom"] if row % 10 == 0 else []), *(["once"] if row == 7 else [])]
        if row % 3
        else []
        for row in range(rows)
    ]


def test_cuts_keep_every_label_in_train_and_are_seeded(tmp_path: Path) -> None:
    data = write(tmp_path, train=rare(200))
    corpus = load_corpus(files(data))
    assert [len(split) for split in (corpus.train, corpus.validation, corpus.test)] == [162, 18, 20]
    counts = {split: labels_of(getattr(corpus, split)).sum(axis=0) for split in ("train", "test")}
    assert counts["train"][corpus.labels.index("once")] == 1
    seldom = corpus.labels.index("seldom")
    assert counts["test"][seldom] == 1  # 13 of 200, a tenth of the rows
    assert load_corpus(files(data)).digest == corpus.digest
    assert load_corpus(files(data, seed=1)).digest != corpus.digest


def test_a_limit_keeps_every_label_and_a_smaller_one_is_part_of_it(tmp_path: Path) -> None:
    data = write(tmp_path, train=rare(200), validation=rare(30), test=rare(30))
    small, large = (load_corpus(files(data, limit=limit)) for limit in (20, 60))
    assert len(small.train) == 20
    assert labels_of(small.train).any(axis=0).all()
    assert set(small.train["row"]) <= set(large.train["row"])
    assert "data.limit=1 is less than one row" in refusal(files(data, limit=1))


def test_the_stratum_of_a_row_is_its_rarest_label() -> None:
    labels = np.array([[1, 0, 1], [1, 1, 0], [0, 0, 0], [1, 0, 0]], bool)
    strata = Strata.of(labels, [0])
    # rarest first: label 1 (one row), then 2 (one row), then 0; the last is of rows without any
    assert strata.ids.tolist() == [1, 0, 3, 2]
    assert strata.counts.tolist() == [1, 1, 1, 1]
    assert labels[strata.representatives].any(axis=0).all()


def test_the_same_labels_in_another_order_are_the_same(tmp_path: Path) -> None:
    """A digest is of what a row has, and a text with the same labels twice contradicts nothing."""
    one = load_corpus(files(write(tmp_path / "1", train=LISTS, validation=LISTS, test=LISTS)))
    turned = [list(reversed(labels)) for labels in LISTS]
    two = load_corpus(files(write(tmp_path / "2", train=turned, validation=turned, test=turned)))
    assert one.digest == two.digest
    rows = [{"text": "same", "label": labels} for labels in (["a", "b"], ["b", "a"], ["a"])]
    path = tmp_path / "some.jsonl"
    path.write_text("\n".join(map(json.dumps, rows * 10)))
    figures = load_corpus(files(path)).quality.figures
    assert figures["data/texts_with_different_labels"] == 1
    path.write_text("\n".join(map(json.dumps, rows[:2] * 10)))
    assert load_corpus(files(path)).quality.figures["data/texts_with_different_labels"] == 0


def joined(path: Path, *cells: str, **options: Any) -> Corpus:
    """A csv file with these cells ten times over, and a text of its own in each row."""
    lines = [f'"t {row}",{cell}' for row, cell in enumerate(cells * 10)]
    path.write_text("\n".join(["text,label", *lines]) + "\n")
    return load_corpus(files(path, **options))


@pytest.mark.parametrize(
    ("separator", "cells"),
    [
        ("comma", ['"a, b c"', '""', "a", "", '" b c,"']),
        (";", ["a;b c", '""', "a", "", ";b c; "]),
        ("tab", ["a\tb c", "", "a", "", "b c"]),
        ("and", ["a and b c", "", "a", "", "b c"]),
    ],
)
def test_words_between_which_something_stands(
    tmp_path: Path, separator: str, cells: list[str]
) -> None:
    corpus = joined(tmp_path / "a.csv", *cells, label_separator=separator)
    assert corpus.labels == ("a", "b c")
    counts = Counter(frozenset(labels) for labels in names_of(corpus, "train"))
    assert set(counts) == {frozenset("a"), frozenset(["b c"]), frozenset(), frozenset(["a", "b c"])}


def test_numbers_between_which_something_stands_are_words(tmp_path: Path) -> None:
    """Of a split whose rows have one number each, `07` is that of the other one too."""
    for split, cells in (("train", ['"07,1"', "07", "1"]), ("validation", ["07"]), ("test", ["1"])):
        lines = [f"{split} {row},{cell}" for row, cell in enumerate(cells)]
        (tmp_path / f"{split}.csv").write_text("\n".join(["text,label", *lines]))
    corpus = load_corpus(files(tmp_path, label_separator=","))
    assert corpus.labels == ("1", "07")
    assert names_of(corpus, "validation") == [{"07"}]
    named = load_corpus(files(tmp_path, label_separator=",", label_names={"07": "x", "1": "y"}))
    assert named.labels == ("x", "y")


def test_words_of_fasttext_may_be_several(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("__label__a __label__b one  two\nthree four\n__label__a\n__label__b x\n" * 10)
    corpus = load_corpus(files(path, format="fasttext", label_separator="space"))
    pairs = zip(corpus.train["text"], names_of(corpus, "train"), strict=True)
    assert {(text, tuple(sorted(labels))) for text, labels in pairs} == {
        *(("one  two", ("a", "b")), ("three four", ()), ("", ("a",)), ("x", ("b",)))
    }
    assert "set data.label_separator=space" in refusal(files(path, format="fasttext"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label_separator": ""}, "must be the text between two labels"),
        ({"label_separator": " ,"}, "must be the text between two labels"),
        ({"label_separator": ",", "label": ["a", "b"]}, "a column for each class"),
        ({"label_separator": ",", "format": "fasttext"}, "Set data.label_separator=space"),
    ],
)
def test_separators_without_sense(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        files(Path("x.csv"), **options)


def test_a_separator_that_stands_nowhere_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no text with two labels separated by ';'"):
        joined(tmp_path / "a.csv", "a", '"b, a"', label_separator=";")
    path = write(tmp_path / "lists", train=[["a"], ["b"]])
    with pytest.raises(DataError, match="not strings that data.label_separator can split"):
        load_corpus(files(path, label_separator=";"))


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data sets are not here")
def test_a_real_set_of_several_labels() -> None:
    corpus = load_corpus(files(SHARED / "goemotions", label="labels"))
    sizes = [len(split) for split in (corpus.train, corpus.validation, corpus.test)]
    assert sizes == [43410, 5426, 5427]
    assert len(corpus.labels) == 28
    assert labels_of(corpus.test).sum(axis=1).max() <= 5
    assert corpus.quality.figures["data/train_labels_per_text"] == pytest.approx(1.177, abs=1e-3)
    half = load_corpus(files(SHARED / "goemotions", label="labels", fraction=0.1))
    assert len(half.train) == 4341
    shares = [labels_of(loaded.train).mean(axis=0) for loaded in (corpus, half)]
    np.testing.assert_allclose(*shares, atol=0.004)
    assert (shares[1] > 0).all()
