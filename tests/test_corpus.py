"""The corpus: splits, cuts, limits, labels, notes and digest."""

import dataclasses
import json
import logging
from collections import Counter
from pathlib import Path

import datasets
import numpy as np
import pytest

from nlp_rnn.config.data import FilesConfig, HubConfig, StoriesConfig
from nlp_rnn.data.corpus import Corpus, load_corpus
from nlp_rnn.errors import DataError

pytestmark = pytest.mark.usefixtures("own_datasets_cache")

SPLITS = ("train", "validation", "test")
SHARED = Path(__file__).parents[1].parent / "shared" / "data"


def rows(number: int, *labels: object) -> list[dict]:
    names = labels or ("neg", "pos")
    return [{"text": f"text {i}", "label": names[i % len(names)]} for i in range(number)]


def write(folder: Path, **splits: list[dict]) -> FilesConfig:
    folder.mkdir(parents=True, exist_ok=True)
    for split, content in splits.items():
        lines = "\n".join(json.dumps(row) for row in content)
        (folder / f"{split}.jsonl").write_text(lines)
    return FilesConfig(name="files", path=str(folder))


def load(folder: Path, **splits: list[dict]) -> Corpus:
    return load_corpus(write(folder, **splits))


def refusal(config: FilesConfig) -> str:
    with pytest.raises(DataError) as caught:
        load_corpus(config)
    assert len(str(caught.value).splitlines()) <= 2
    return str(caught.value)


def class_counts(split: datasets.Dataset) -> dict[int, int]:
    return dict(Counter(split["label"]))


def test_three_splits_pass_untouched(tmp_path):
    corpus = load(tmp_path / "set", train=rows(6), validation=rows(2), test=rows(4, "pos", "neg"))
    assert corpus.name == "set"
    assert corpus.labels == ("neg", "pos")
    assert corpus.notes == ()
    assert corpus.test.to_dict() == {
        "text": ["text 0", "text 1", "text 2", "text 3"],
        "label": [1, 0, 1, 0],
        "row": [0, 1, 2, 3],
    }
    for split in SPLITS:
        features = getattr(corpus, split).features
        assert {name: feature.dtype for name, feature in features.items()} == {
            "text": "string",
            "label": "int64",
            "row": "int64",
        }


def test_no_text_is_copied_when_nothing_changes_and_a_second_run_reads_none(tmp_path, monkeypatch):
    config = write(tmp_path, train=rows(40))
    first = load_corpus(config)
    cached = sorted((Path(datasets.config.HF_DATASETS_CACHE) / "nlp_rnn").iterdir())
    assert [path.suffix for path in sorted(cached, key=lambda path: path.suffix)] == [
        ".arrow",
        ".digest",
    ]
    (hashes,) = (path for path in cached if path.suffix == ".arrow")
    assert datasets.Dataset.from_file(str(hashes)).column_names == [
        "exact",
        "normal",
        "missing",
        "blank",
    ]

    def read(dataset):
        raise AssertionError("texts are read again")

    for module in ("sources.text_column", "data.digest"):
        monkeypatch.setattr(f"nlp_rnn.{module}.arrow_batches", read)
    again = load_corpus(config)
    assert again.digest == first.digest
    assert again.quality == first.quality


def test_a_missing_validation_split_is_cut_stratified(tmp_path):
    corpus = load(tmp_path, train=rows(100, "a", "a", "a", "b"), test=rows(4, "a"))
    assert class_counts(corpus.train) == {0: 67, 1: 23}
    assert class_counts(corpus.validation) == {0: 8, 1: 2}
    both = [*corpus.train["row"], *corpus.validation["row"]]
    assert sorted(both) == list(range(100))
    assert list(corpus.train["row"]) == sorted(corpus.train["row"])
    assert all(
        text == f"text {row}"
        for text, row in zip(corpus.validation["text"], corpus.validation["row"], strict=True)
    )
    assert "validation: the data has none; cut 10 of 100 training rows" in corpus.notes[0]


def test_cuts_are_seeded_by_the_data(tmp_path):
    config = write(tmp_path, train=rows(100))

    def cut(seed: int) -> tuple[list[int], list[int]]:
        corpus = load_corpus(dataclasses.replace(config, seed=seed))
        return list(corpus.validation["row"]), list(corpus.test["row"])

    assert cut(0) == cut(0)
    assert cut(0)[0] != cut(1)[0]
    assert cut(0)[1] != cut(1)[1]


def test_a_single_file_is_cut_in_three(tmp_path):
    write(tmp_path, all=rows(100))
    corpus = load_corpus(FilesConfig(name="files", path=str(tmp_path / "all.jsonl")))
    assert corpus.name == "all"
    assert [len(getattr(corpus, split)) for split in SPLITS] == [81, 9, 10]
    assert [note.split(":")[0] for note in corpus.notes] == ["test", "validation"]
    everything = [row for split in SPLITS for row in getattr(corpus, split)["row"]]
    assert sorted(everything) == list(range(100))


def test_validation_fraction_and_at_least_one_row(tmp_path):
    config = write(tmp_path, train=rows(40), test=rows(2))
    assert len(load_corpus(dataclasses.replace(config, validation_fraction=0.5)).validation) == 20
    assert len(load_corpus(dataclasses.replace(config, validation_fraction=0.001)).validation) == 1
    most = load_corpus(dataclasses.replace(config, validation_fraction=0.99))
    assert class_counts(most.train) == {0: 1, 1: 1}


def test_a_class_with_one_row_stays_in_train(tmp_path):
    corpus = load(tmp_path, train=[*rows(30, "a"), {"text": "x", "label": "rare"}])
    assert corpus.labels == ("a", "rare")
    assert [class_counts(getattr(corpus, s)).get(1, 0) for s in SPLITS] == [1, 0, 0]


def test_too_few_rows_to_cut(tmp_path):
    message = refusal(write(tmp_path, train=rows(2), test=rows(2)))
    assert "2 training rows are too few to cut a validation split from" in message
    assert "validation.*" in message


def test_limit_keeps_every_class_and_the_whole_test_split(tmp_path):
    labels = ["a"] * 90 + ["b"] * 9 + ["rare"]
    config = write(tmp_path, train=rows(400, *labels), test=rows(50, "a", "b"))
    corpus = load_corpus(dataclasses.replace(config, limit=50))
    assert len(corpus.train) + len(corpus.validation) == 50
    assert len(corpus.test) == 50
    assert class_counts(corpus.train).keys() == {0, 1, 2}
    assert "train: limited to 50 of 400 rows (stratified, data.seed=0)" in corpus.notes
    assert load_corpus(dataclasses.replace(config, limit=400)).notes == load_corpus(config).notes


def test_limit_leaves_a_validation_split_of_its_own_alone(tmp_path):
    config = write(tmp_path, train=rows(40), validation=rows(30), test=rows(2))
    corpus = load_corpus(dataclasses.replace(config, limit=10))
    assert [len(getattr(corpus, split)) for split in SPLITS] == [10, 30, 2]


def test_a_limit_below_the_number_of_classes(tmp_path):
    config = write(tmp_path, train=rows(40, "a", "b", "c"))
    message = refusal(dataclasses.replace(config, limit=2))
    assert "data.limit=2 is less than one row for each of the 3 classes" in message


def test_nulls_are_dropped_and_empty_texts_kept_and_all_is_said(tmp_path):
    odd = [
        {"text": None, "label": "pos"},
        {"text": "", "label": "neg"},
        {"text": " \u00a0\n", "label": "neg"},
        {"text": "no label", "label": None},
        {"text": None, "label": None},
    ]
    corpus = load(tmp_path, train=[*odd, *rows(4)], validation=rows(2), test=[*rows(2), odd[1]])
    assert list(corpus.train["row"]) == [1, 2, 5, 6, 7, 8]
    assert list(corpus.train["text"])[:2] == ["", " \u00a0\n"]
    assert corpus.notes == (
        "train: 2 rows without a text (null) dropped",
        "train: 1 row without a label (null) dropped",
        "train: 2 rows with an empty text retained",
        "test: 1 row with an empty text retained",
    )


def test_a_label_that_train_never_had_is_kept(tmp_path):
    corpus = load(tmp_path, train=rows(6, "m", "z"), validation=rows(2, "m"), test=rows(3, "a"))
    assert corpus.labels == ("m", "z", "a")
    assert list(corpus.test["label"]) == [2, 2, 2]
    assert corpus.notes == ("test: label 'a' is not in train; its rows (3) count as wrong",)


def test_numbers_are_ordered_as_numbers_and_class_labels_keep_their_order(tmp_path):
    assert load(tmp_path / "n", train=rows(60, 10, 9, 2)).labels == ("2", "9", "10")
    saved = datasets.Dataset.from_list(rows(60, 0, 1, 2))
    saved = saved.cast_column("label", datasets.ClassLabel(names=["z", "b", "m"]))
    saved.save_to_disk(tmp_path / "saved")
    assert load_corpus(FilesConfig(name="files", path=str(tmp_path / "saved"))).labels == (
        *("z", "b", "m"),
    )


def test_numbers_in_csv_are_numbers(tmp_path):
    for number, name in ((1, "train"), (0, "test")):
        lines = [f"text {i},{i % 2}.0" for i in range(20 + number)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["text,label", *lines]))
    config = FilesConfig(name="files", path=str(tmp_path))
    assert load_corpus(config).labels == ("0", "1")
    (tmp_path / "test.csv").write_text("text,label\na,0.5\n")
    assert load_corpus(config).labels == ("0.0", "1.0", "0.5")
    (tmp_path / "test.csv").write_text("text,label\na,-1\n")
    assert f"The test split of {tmp_path.name} has label -1 in all rows" in refusal(config)
    (tmp_path / "test.csv").write_text("text,label\na,1\n,\n")
    assert "test: 1 row without a text (null) dropped" in load_corpus(config).notes


def test_several_text_columns_are_joined(tmp_path):
    content = [
        {"title": "A", "body": "b", "label": 0},
        {"title": None, "body": "b", "label": 1},
        {"title": "A", "body": None, "label": 0},
        {"title": None, "body": None, "label": 1},
    ] * 5
    config = write(tmp_path, train=content)
    config.text = ["title", "body"]
    corpus = load_corpus(config)
    texts = Counter(text for split in SPLITS for text in getattr(corpus, split)["text"])
    assert texts == {"A b": 5, "b": 5, "A": 5}
    assert "train: 5 rows without a text (null) dropped" in corpus.notes
    config.text = ["body", "title"]
    assert "b A" in load_corpus(config).train["text"]


def test_other_column_names_and_strings(tmp_path):
    import pandas as pd

    frame = pd.DataFrame({"review": ["a", "b"] * 20, "text": 1, "stars": [1, 2] * 20})
    frame.astype({"review": "category"}).to_parquet(tmp_path / "train.parquet")
    config = FilesConfig(name="files", path=str(tmp_path), text="review", label="stars")
    corpus = load_corpus(config)
    assert corpus.labels == ("1", "2")
    assert corpus.train.features["text"] == datasets.Value("string")
    assert set(corpus.train["text"]) == {"a", "b"}
    config.text = "text"
    assert "values of type int64, not texts" in refusal(config)


def test_mixed_values_in_a_column_are_refused(tmp_path):
    content = [{"text": "a", "label": 1}, {"text": "b", "label": "x"}]
    message = refusal(write(tmp_path, train=content))
    assert "the column 'label' has values of different types: a string in row 2" in message
    assert "Write the same type in all rows" in message


def test_a_single_class(tmp_path):
    message = refusal(write(tmp_path, train=rows(5, "a"), test=rows(4)))
    assert "single class, 'a'" in message


@pytest.mark.parametrize("split", SPLITS)
def test_a_split_without_any_usable_row(tmp_path, split):
    content = {name: rows(4) for name in SPLITS} | {split: rows(3, None)}
    message = refusal(write(tmp_path / "set", **content))
    assert f"The {split} split of set is empty: none of its 3 rows has a text and" in message
    assert ("one is cut from the training rows" in message) == (split != "train")


def test_a_csv_with_a_header_only(tmp_path):
    (tmp_path / "train.csv").write_text("text,label\n")
    message = refusal(FilesConfig(name="files", path=str(tmp_path)))
    assert message == f"The train split of {tmp_path.name} has no rows."


def test_the_hub_test_split_without_labels(monkeypatch):
    import nlp_rnn.sources.hub as hub

    train = datasets.Dataset.from_list(rows(9, 0, 1))
    test = datasets.Dataset.from_list(rows(9, -1))
    splits = datasets.DatasetDict(train=train, test=test, validation=train)
    monkeypatch.setattr(hub, "hub_is_reachable", lambda: True)
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: splits)
    config = HubConfig(name="hub", path="someone/set")
    assert "data.test_split=validation" in refusal(config)
    config.test_split = "validation"
    corpus = load_corpus(config)
    assert corpus.name == "someone/set"
    assert len(corpus.test) == 9


def test_digest_is_of_the_contents_only(tmp_path):
    content = {"train": rows(8), "validation": rows(2), "test": rows(2)}
    digest = load(tmp_path / "a", **content).digest
    assert load(tmp_path / "b c", **content).digest == digest
    # the same contents in other kinds of files
    for split, split_rows in content.items():
        datasets.Dataset.from_list(split_rows).to_parquet(tmp_path / "c" / f"{split}.parquet")
    assert load_corpus(FilesConfig(name="files", path=str(tmp_path / "c"))).digest == digest

    changes = {
        "a text": {"test": [{"text": "text x", "label": "neg"}, rows(2)[1]]},
        "a label": {"test": rows(2, "pos", "neg")},
        "the names": {
            split: rows(len(split_rows), "neg", "yes") for split, split_rows in content.items()
        },
        "where a text ends": {
            "test": [{"text": "text 0t", "label": "neg"}, {"text": "ext 1", "label": "pos"}]
        },
        "order": {"train": rows(8)[::-1]},
    }
    digests = {what: load(tmp_path / what, **content | new).digest for what, new in changes.items()}
    assert len({digest, *digests.values()}) == len(changes) + 1


def test_digest_does_not_depend_on_how_the_rows_are_stored(tmp_path):
    content = rows(2500)
    whole = write(tmp_path / "whole", train=content, test=rows(2))
    digest = load_corpus(whole).digest
    # rows without a text are skipped through an index, in another memory layout
    holes = [row for pair in zip(content, rows(2500, None), strict=True) for row in pair]
    assert load(tmp_path / "holes", train=holes, test=rows(2)).digest == digest


def test_stories():
    config = StoriesConfig(name="stories", train_rows=100, test_rows=20)
    corpus = load_corpus(config)
    assert corpus.name == "stories"
    assert corpus.labels == ("mill", "tower")
    assert [len(getattr(corpus, split)) for split in SPLITS] == [90, 10, 20]
    assert class_counts(corpus.test) == {0: 10, 1: 10}
    assert load_corpus(config).digest == corpus.digest
    assert load_corpus(dataclasses.replace(config, seed=1)).digest != corpus.digest


def test_the_library_is_kept_quiet_and_left_as_it_was(tmp_path, capfd):
    config = write(tmp_path, train=rows(30))
    datasets.enable_progress_bars()
    datasets.logging.set_verbosity(logging.INFO)
    try:
        load_corpus(config)
        (tmp_path / "train.jsonl").write_text('{"text": }')
        refusal(config)
        assert datasets.logging.get_verbosity() == logging.INFO
        assert not datasets.are_progress_bars_disabled()
    finally:
        datasets.logging.set_verbosity(logging.WARNING)
    assert capfd.readouterr() == ("", "")


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data sets are not here")
@pytest.mark.parametrize(
    ("name", "sizes", "num_labels"),
    [("trec6", (4907, 545, 500), 6), ("banking77", (9003, 1000, 3080), 77)],
)
def test_real_sets(name, sizes, num_labels):
    corpus = load_corpus(FilesConfig(name="files", path=str(SHARED / name)))
    assert tuple(len(getattr(corpus, split)) for split in SPLITS) == sizes
    assert len(corpus.labels) == num_labels
    full = np.bincount([*corpus.train["label"], *corpus.validation["label"]])
    cut = np.bincount(corpus.validation["label"], minlength=num_labels)
    assert np.abs(cut - full * len(corpus.validation) / full.sum()).max() <= 1
