"""Folders as they are found: hub clones, shards, Spark, Kaggle, globs, class folders, projects."""

import os
import re
import shlex
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from nlp_rnn.config.checks import check
from nlp_rnn.data.corpus import Corpus, load_corpus
from nlp_rnn.errors import ConfigError, DataError, NlpRnnError
from nlp_rnn.runs.resolve import resolve, with_absolute_paths
from nlp_rnn.sources.path_errors import readable
from nlp_rnn.sources.source import Source, read_source
from tests.composing import compose

pytestmark = pytest.mark.usefixtures("own_datasets_cache")


def load(path: Path | str, *options: str) -> Source:
    config = compose(["data=files", f"data.path='{path}'", *options])
    check(config)
    return read_source(config.data)


def corpus(path: Path | str, *options: str) -> Corpus:
    config = compose(["data=files", f"data.path='{path}'", *options])
    check(config)
    return load_corpus(config.data)


def texts(path: Path | str, *options: str) -> dict[str, list[str]]:
    return {split: list(rows["text"]) for split, rows in load(path, *options).splits.items()}


def refusal(path: Path | str, *options: str) -> str:
    with pytest.raises(NlpRnnError) as caught:
        load(path, *options)
    message = str(caught.value)
    assert len(message.splitlines()) <= 2
    return message


def write(path: Path, *names: str, **columns: Any) -> Path:
    """Write a table with the names as texts and labels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = pd.DataFrame(columns or {"text": list(names), "label": list(names)})
    if ".parquet" in path.name:
        rows.to_parquet(path)
    elif ".json" in path.name:
        rows.to_json(path, orient="records", lines=".jsonl" in path.name)
    else:
        rows.to_csv(path, index=False)
    return path


def write_text(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def test_a_clone_of_a_hub_data_set(tmp_path):
    write(tmp_path / "data" / "train-00001-of-00002.parquet", "b")
    write(tmp_path / "data" / "train-00000-of-00002.parquet", "a")
    write(tmp_path / "data" / "test-00000-of-00001-b42a775f407cee45.parquet", "c")
    write_text(tmp_path / "README.md", "about")
    write_text(tmp_path / ".git" / "train.csv", "no")
    assert texts(tmp_path) == {"train": ["a", "b"], "test": ["c"]}
    assert texts(tmp_path / "data") == {"train": ["a", "b"], "test": ["c"]}
    assert load(tmp_path).notes == (
        f"read from the folder data in {tmp_path.name}",
        "train: read from 2 files, train-00000-of-00002.parquet, train-00001-of-00002.parquet",
    )


def test_a_missing_shard_is_an_error_until_it_is_there(tmp_path):
    write(tmp_path / "train-00000-of-00003.parquet", "a")
    write(tmp_path / "train-00002-of-00003.parquet", "c")
    assert "has 2 of 3 files of the train split; number 1 is missing" in refusal(tmp_path)
    write(tmp_path / "train-00001-of-00003.parquet", "b")
    assert texts(tmp_path) == {"train": ["a", "b", "c"]}


def test_several_configurations_of_a_hub_data_set(tmp_path):
    write(tmp_path / "plain" / "train-00000-of-00001.parquet", "a")
    write(tmp_path / "raw" / "train-00000-of-00001.parquet", "b")
    message = refusal(tmp_path)
    assert "several folders with a train split: plain, raw" in message
    assert texts(message.rpartition("data.path=")[2]) == {"train": ["a"]}


def test_the_converted_parquet_branch_of_the_hub(tmp_path):
    write(tmp_path / "default" / "train" / "0001.parquet", "b")
    write(tmp_path / "default" / "train" / "0000.parquet", "a")
    write(tmp_path / "default" / "validation" / "0000.parquet", "c")
    assert texts(tmp_path) == {"train": ["a", "b"], "validation": ["c"]}


@pytest.mark.parametrize("kind", ["parquet", "csv", "jsonl", "csv.gz"])
def test_shards_beside_the_file_are_read_in_natural_order(tmp_path, kind):
    for number in ("", "-1", "-2", "-10"):
        write(tmp_path / f"train{number}.{kind}", f"text {number}")
    assert texts(tmp_path) == {"train": ["text ", "text -1", "text -2", "text -10"]}
    assert load(tmp_path).notes == (f"train: read from 4 files, train.{kind} to train-10.{kind}",)


def test_files_that_are_not_shards_of_each_other(tmp_path):
    write(tmp_path / "train.csv", "a")
    write(tmp_path / "train-1.jsonl", "b")
    message = refusal(tmp_path)
    assert "several files for the train split: train-1.jsonl, train.csv" in message
    assert texts(tmp_path / "train.csv") == {"train": ["a"]}
    (tmp_path / "train-1.jsonl").unlink()
    assert texts(tmp_path) == {"train": ["a"]}
    write(tmp_path / "train-1.csv", "b")
    write(tmp_path / "train_1.csv", "c")
    assert "several files for the train split" in refusal(tmp_path)
    (tmp_path / "train_1.csv").rename(tmp_path / "train_2.csv")
    assert texts(tmp_path) == {"train": ["a", "b", "c"]}


def test_shards_with_other_columns_and_types(tmp_path):
    write(tmp_path / "train-1.parquet", text=["a"], label=[1], extra=["x"])
    write(tmp_path / "train-2.parquet", label=[2.0], text=["b"], other=[1])
    assert load(tmp_path).splits["train"].to_list() == [
        {"text": "a", "label": 1.0},
        {"text": "b", "label": 2.0},
    ]
    write(tmp_path / "train-2.parquet", text=["b"], label=["two"])  # as for two splits
    assert [row["label"] for row in load(tmp_path).splits["train"]] == ["1", "two"]
    write(tmp_path / "train-2.parquet", text=["b"], label=[["two"]])
    message = refusal(tmp_path)
    assert "train-2.parquet: the column 'label' does not have the type" in message
    write(tmp_path / "train-2.parquet", text=["b"], label=[2])
    assert texts(tmp_path) == {"train": ["a", "b"]}
    write(tmp_path / "train-2.parquet", text=["b"])
    assert "train-2.parquet has no column 'label'" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [
        ("imdb_train.csv", "imdb_dev.csv", "imdb_test.csv"),
        ("train_imdb.csv", "valid_imdb.csv", "test_imdb.csv"),
        ("my-data.train.csv", "my-data.val.csv", "my-data.test.csv"),
        ("Reviews-Train.csv", "dev.csv", "test.csv"),
        ("training.csv", "validation.csv", "test.csv"),
        ("TRAIN.CSV", "DEV.CSV", "TEST.CSV"),
        ("train.csv", "valid.csv", "test.csv"),
    ],
)
def test_names_of_split_files(tmp_path, train, validation, test):
    for name, text in ((train, "a"), (validation, "b"), (test, "c")):
        write(tmp_path / name, text)
    assert texts(tmp_path) == {"train": ["a"], "validation": ["b"], "test": ["c"]}
    write(tmp_path / ".train.csv", "hidden")
    write(tmp_path / "._train.csv", "of macOS")
    assert texts(tmp_path)["train"] == ["a"]


def test_a_file_named_train_counts_more_than_others(tmp_path):
    write(tmp_path / "train.csv", "a")
    write(tmp_path / "old_train.csv", "b")
    write(tmp_path / "test2.csv", "c")
    assert texts(tmp_path) == {"train": ["a"]}
    assert load(tmp_path).notes == ("files not used: old_train.csv, test2.csv",)


def test_two_names_before_train(tmp_path):
    write(tmp_path / "a_train.csv", "a")
    write(tmp_path / "b_train.csv", "b")
    message = refusal(tmp_path)
    assert "several files for the train split: a_train.csv, b_train.csv" in message
    (tmp_path / "b_train.csv").unlink()
    assert texts(tmp_path) == {"train": ["a"]}


def test_folders_of_spark(tmp_path):
    for folder in (tmp_path / "out", tmp_path / "splits" / "train.csv"):
        for number in (10, 2):
            write(folder / f"part-000{number}-6c1e.csv", f"text {number}")
        write_text(folder / "_SUCCESS", "")
        write_text(folder / ".part-0002-6c1e.csv.crc", "crc")
    assert texts(tmp_path / "out") == {"train": ["text 2", "text 10"]}
    assert texts(tmp_path / "splits") == {"train": ["text 2", "text 10"]}
    assert texts(tmp_path / "splits" / "train.csv") == {"train": ["text 2", "text 10"]}


def test_globs(tmp_path):
    write(tmp_path / "d" / "b.csv", "b")
    write(tmp_path / "d" / "a10.csv", "a10")
    write(tmp_path / "d" / "a2.csv", "a2")
    write(tmp_path / "d" / ".hidden.csv", "no")
    write_text(tmp_path / "d" / "README.md", "about")
    assert texts(f"{tmp_path}/d/*.csv") == {"train": ["a2", "a10", "b"]}
    assert texts(f"{tmp_path}/**/a*.csv") == {"train": ["a2", "a10"]}
    assert texts(f"{tmp_path}/d/*") == {"train": ["a2", "a10", "b"]}
    write(tmp_path / "s" / "train-1.csv", "a")
    write(tmp_path / "s" / "train-2.csv", "b")
    write(tmp_path / "s" / "test-1.csv", "c")
    write(tmp_path / "s" / "more.csv", "d")
    assert texts(f"{tmp_path}/s/*.csv") == {"train": ["a", "b"], "test": ["c"]}
    assert "files not used: more.csv" in load(f"{tmp_path}/s/*.csv").notes
    assert texts(f"{tmp_path}/s/train-*.csv") == {"train": ["a", "b"]}


def test_globs_that_match_nothing(tmp_path):
    assert "matches no file." in refusal(f"{tmp_path}/*.csv")
    write(tmp_path / "a.csv", "a")
    assert texts(f"{tmp_path}/*.csv") == {"train": ["a"]}
    (tmp_path / "a.csv").rename(tmp_path / "a.txt")
    assert refusal(f"{tmp_path}/*.txt").endswith("Set data.format=FORMAT.")
    assert texts(f"{tmp_path}/*.txt", "data.format=csv") == {"train": ["a"]}


@pytest.mark.parametrize("option", ["data.path=", "data.path=' '", "data.path=''"])
def test_an_empty_path_is_an_error(tmp_path, monkeypatch, option):
    for name in ("docs", "src"):
        write_text(tmp_path / name / "a.txt", "text")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="data.path is empty. Set data.path=FILE_OR_FOLDER"):
        check(compose(["data=files", option]))
    with pytest.raises(ConfigError, match="data.path is empty"):
        resolve(with_absolute_paths(compose(["data=files", option])))
    unlabelled = option.replace("path", "unlabelled")
    with pytest.raises(ConfigError, match="data.unlabelled is empty"):
        check(compose(["data=files", "data.path=x", "model.pretrained=auto", unlabelled]))
    with pytest.raises(ConfigError, match="data.path is empty. Set data.path=OWNER/NAME"):
        check(compose(["data=hub", option]))


def test_the_classes_of_class_folders_are_noted(tmp_path):
    for name in ("pos", "neg", ".git", "__pycache__"):
        write_text(tmp_path / name / "1.txt", name)
    source = load(tmp_path)
    assert set(source.splits["train"]["label"]) == {"pos", "neg"}
    assert source.notes == (f"{tmp_path.name}: 2 classes by the names of folders: neg, pos",)


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        (["docs/a.txt", "src/b.txt", "other/c.txt"], "folders of a project: docs, src"),
        (["Tests/a.txt", "node_modules/b.txt"], "folders of a project: Tests, node_modules"),
        (["pos/a.py", "neg/b.py", "neg/c.txt"], "not texts, such as neg/b.py"),
        (["raw/a.csv", "clean/b.csv"], "not texts, such as clean/b.csv"),
        (["cats/a.png", "dogs/b.jpg"], "not texts, such as cats/a.png"),
    ],
)
def test_a_folder_that_has_no_classes_is_rejected(tmp_path, files, reason):
    for name in files:
        write_text(tmp_path / "project" / name, "text")
    message = refusal(tmp_path / "project")
    assert "is not a folder of class folders" in message
    assert reason in message
    # what the message says to set
    write(tmp_path / "project" / "train.csv", "a")
    assert texts(tmp_path / "project") == {"train": ["a"]}
    assert texts(tmp_path / "project" / "train.csv") == {"train": ["a"]}


def test_single_project_names_and_documents_of_code_questions_are_classes(tmp_path):
    for name in ("docs/1.txt", "bugs/1.txt", "bugs/2"):
        write_text(tmp_path / name, "text")
    assert set(load(tmp_path).splits["train"]["label"]) == {"docs", "bugs"}


def test_the_layout_of_a_competition(tmp_path):
    rows = 40
    write(
        tmp_path / "train.csv",
        id=list(range(rows)),
        text=[f"text {row}" for row in range(rows)],
        label=["pos", "neg"] * (rows // 2),
    )
    write(tmp_path / "test.csv", id=[1, 2], text=["a", "b"])
    write(tmp_path / "sample_submission.csv", id=[1, 2], label=["pos", "pos"])
    source = load(tmp_path)
    assert list(source.splits) == ["train"]
    unused, note = source.notes
    assert unused == "files not used: sample_submission.csv"
    assert note.startswith("test: test.csv has no column label, so it is not used and test is cut")
    assert len(corpus(tmp_path).test) == 4
    command = re.search(r"nlp-rnn predict CLASSIFIER (.*)", note)
    assert command
    arguments = shlex.split(command[1])
    assert arguments == ["--input", str(tmp_path / "test.csv"), "--output", "predictions.csv"]


def test_a_competition_with_other_columns_and_a_validation_file(tmp_path):
    columns = {"title": ["a"], "body": ["b"]}
    options = ("data.text=[title,body]", "data.label=[rude,spam]")
    write(tmp_path / "train.csv", **columns, rude=[1], spam=[0])
    write(tmp_path / "dev.csv", **columns, rude=[1], spam=[0])
    write(tmp_path / "test.csv", **columns)
    source = load(tmp_path, *options)
    assert list(source.splits) == ["train", "validation"]
    assert "has no column rude, spam" in source.notes[0]
    assert f"--input {tmp_path / 'test.csv'} --output predictions.csv" in source.notes[0]
    # one of two columns, or the text, is an error
    write(tmp_path / "test.csv", **columns, rude=[1])
    assert "test.csv has no column 'spam'" in refusal(tmp_path, *options)
    write(tmp_path / "test.csv", title=["a"], rude=[1], spam=[1])
    assert "test.csv has no column 'body'" in refusal(tmp_path, *options)


def test_a_folder_instead_of_a_file_and_the_reverse(tmp_path):
    (tmp_path / "reviews.csv").mkdir()
    assert "reviews.csv has no train.*" in refusal(tmp_path / "reviews.csv")
    write(tmp_path / "reviews.csv" / "train.csv", "a")
    assert texts(tmp_path / "reviews.csv") == {"train": ["a"]}
    assert "There is no file or folder" in refusal(tmp_path / "reviews.csv" / "train.csv" / "x")


def test_links_pipes_and_names_that_are_too_long(tmp_path):
    (tmp_path / "link.csv").symlink_to(tmp_path / "gone.csv")
    assert "symbolic link to" in refusal(tmp_path / "link.csv")
    os.mkfifo(tmp_path / "pipe.csv")
    assert "is neither a file nor a folder" in refusal(tmp_path / "pipe.csv")
    assert "File name too long" in refusal(tmp_path / ("x" * 300 + ".csv"))
    write(tmp_path / "gone.csv", "a")
    assert texts(tmp_path / "link.csv") == {"train": ["a"]}


def test_permission_denied(tmp_path, monkeypatch):
    path = write(tmp_path / "a.csv", "a")

    def denied(self: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    for method in ("open", "iterdir", "stat"):
        with monkeypatch.context() as patch:
            patch.setattr(Path, method, denied)
            with pytest.raises(DataError) as caught, readable(path):
                getattr(Path(path), method)()
        assert str(caught.value).startswith(f"{path} cannot be read: Permission denied.\nChange")
    for method, target in (("open", path), ("iterdir", tmp_path)):
        with monkeypatch.context() as patch:
            patch.setattr(Path, method, denied)
            assert "cannot be read: Permission denied.\nChange" in refusal(target)
    assert texts(path) == {"train": ["a"]}


@pytest.mark.parametrize("suffix", ["gz", "zst"])
def test_a_file_that_is_not_compressed_in_spite_of_its_name(tmp_path, suffix):
    path = write_text(tmp_path / f"a.csv.{suffix}", "text,label\na,x\n")
    message = refusal(path)
    assert message.endswith("If it is not compressed, rename it to a.csv")
    assert texts(path.rename(tmp_path / "a.csv")) == {"train": ["a"]}
