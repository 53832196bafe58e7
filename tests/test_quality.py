"""What is said about data before training, and what data.drop_leaks and data.fraction do."""

import json
from collections import Counter
from pathlib import Path

import datasets
import pytest

from nlp_rnn.config.checks import check
from nlp_rnn.config.data import FilesConfig
from nlp_rnn.data.corpus import Corpus, load_corpus
from nlp_rnn.errors import ConfigError, DataError
from nlp_rnn.sources.text_column import hash_texts
from tests.composing import compose

pytestmark = pytest.mark.usefixtures("own_datasets_cache")

SHARED = Path(__file__).parents[1].parent / "shared" / "data"


def load(folder: Path, splits: dict[str, list[tuple[str, str]]], **options: object) -> Corpus:
    for split, rows in splits.items():
        lines = [json.dumps({"text": text, "label": label}) for text, label in rows]
        (folder / f"{split}.jsonl").write_text("\n".join(lines))
    return load_corpus(FilesConfig(name="files", path=str(folder), **options))  # type: ignore[arg-type]


LEAKY = {
    "train": [(f"train {i}", "ab"[i % 2]) for i in range(10)]
    + [("Same", "a"), ("same  text ", "b"), ("valid", "b"), ("train 1", "a")],
    "validation": [("valid", "b"), ("fine", "a"), ("Same", "a")],
    "test": [("Same", "b"), ("Same", "b"), ("SAME\u00a0text", "a"), ("new", "b")],
}


def test_what_is_said(tmp_path):
    quality = load(tmp_path, LEAKY).quality
    assert quality.lines == [
        "test: 2 of 4 texts are also in train, 3 after normalization",
        "validation: 2 of 3 texts are also in train, 2 after normalization",
        "validation: 1 of 3 texts are also in test, 1 after normalization",
        "train: 1 texts repeat an earlier one",
        "test: 1 texts repeat an earlier one",
        "2 texts occur with different labels",
        "train: 2 classes of 7 rows each",
    ]
    assert quality.figures["data/test_texts_in_train"] == 2
    assert quality.figures["data/test_texts_in_train_normalized"] == 3
    assert quality.figures["data/train_largest_class"] == 7


def test_dropping_leaves_the_test_split_whole(tmp_path):
    corpus = load(tmp_path, LEAKY, drop_leaks=True)
    assert list(corpus.test["text"]) == [text for text, _ in LEAKY["test"]]
    assert list(corpus.validation["text"]) == ["valid", "fine"]
    assert list(corpus.train["text"]) == [*(f"train {i}" for i in range(10)), "train 1"]
    assert corpus.notes == (
        "validation: 1 texts dropped that are also in test",
        "train: 3 texts dropped that are also in validation or test",
    )


def test_a_class_that_dropping_takes_from_train_is_told(tmp_path):
    splits = {
        "train": [("x", "rare"), *((f"t{i}", "ab"[i % 2]) for i in range(20))],
        "validation": [("v", "a")],
        "test": [("X", "rare")],
    }
    corpus = load(tmp_path, splits, drop_leaks=True)
    assert corpus.labels == ("a", "b", "rare")
    assert "test: label 'rare' is not in train; its rows (1) count as wrong" in corpus.notes


def test_a_cut_split_is_compared_after_the_cut(tmp_path):
    rows = [(f"text {i % 70}", "ab"[i % 2]) for i in range(120)]
    corpus = load(tmp_path, {"train": rows})
    leaked = corpus.quality.figures["data/test_texts_in_train"]
    assert leaked == sum(text in set(corpus.train["text"]) for text in corpus.test["text"]) > 0
    clean = load(tmp_path, {"train": rows}, drop_leaks=True)
    splits = [set(s["text"]) for s in (clean.train, clean.validation, clean.test)]
    assert not splits[0] & splits[1]
    assert not splits[0] & splits[2]
    assert not splits[1] & splits[2]
    assert len(clean.train) == len(corpus.train)
    assert any(note.startswith("test:") and "texts dropped" in note for note in clean.notes)


def test_dropping_everything_is_refused(tmp_path):
    rows = [("a", "x"), ("b", "y")] * 10
    with pytest.raises(DataError, match="Every text of the train split is also in test"):
        load(tmp_path, {"train": rows, "test": rows}, drop_leaks=True)
    (tmp_path / "test.jsonl").unlink()
    with pytest.raises(
        DataError, match="Every text of the validation split that was cut is also in"
    ):
        load(tmp_path, {"train": rows}, drop_leaks=True)


def test_rare_classes_survive_and_are_told(tmp_path):
    rows = [(f"t{i}", "ab"[i % 2]) for i in range(40)] + [("one", "c"), ("two", "d")]
    corpus = load(tmp_path, {"train": rows})
    assert Counter(corpus.train["label"]).keys() == {0, 1, 2, 3}
    assert "train: classes with a single row: c, d" in corpus.quality.lines


def test_fraction_is_stratified_and_keeps_every_class(tmp_path):
    rows = [(f"t{i}", "aaab"[i % 4]) for i in range(400)] + [("one", "c")]
    splits = {"train": rows, "validation": [("v", "a")], "test": [("w", "a")]}
    corpus = load(tmp_path, splits, fraction=0.1)
    assert Counter(corpus.train["label"]) == {0: 29, 1: 10, 2: 1}
    assert "train: limited to 40 of 401 rows (stratified, data.seed=0)" in corpus.notes
    larger = load(tmp_path, splits, fraction=0.5)
    assert set(corpus.train["row"]) < set(larger.train["row"])
    assert len(load(tmp_path, splits, fraction=1.0).train) == 401
    assert Counter(load(tmp_path, splits, fraction=1e-6).train["label"]) == {0: 1, 1: 1, 2: 1}


@pytest.mark.parametrize(
    "options", [["data.fraction=0"], ["data.fraction=1.5"], ["data.fraction=0.5", "data.limit=9"]]
)
def test_fractions_that_are_refused(options):
    with pytest.raises(ConfigError, match="data.fraction"):
        check(compose(options))


def test_hashes_differ_as_texts_do():
    texts = ["a", "A", "ａ", " a\t", "a b", "a \u2003 b", "", None, "b"]
    hashes = hash_texts(datasets.Dataset.from_dict({"text": texts}))
    assert len(set(hashes.exact.tolist())) == 8  # a null is no text
    assert len(set(hashes.normal.tolist())) == 4


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data sets are not here")
@pytest.mark.parametrize(
    ("name", "test", "validation", "clashes"),
    [("trec6", 10, None, 0), ("chnsenticorp", 331, 338, 36), ("imdb", 123, None, 0)],
)
def test_leaks_of_real_sets(name, test, validation, clashes):
    figures = load_corpus(FilesConfig(name="files", path=str(SHARED / name))).quality.figures
    assert figures["data/test_texts_in_train"] == test
    if validation is not None:
        assert figures["data/validation_texts_in_train"] == validation
    assert figures["data/texts_with_different_labels"] == clashes
