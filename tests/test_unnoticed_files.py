"""Files, folders and labels of splits that are not read, or not as meant: they are noted."""

from pathlib import Path

import pytest

from nlp_rnn.data.corpus import load_corpus
from tests.composing import compose

pytestmark = pytest.mark.usefixtures("own_datasets_cache")

LABELS = ["pos", "neg"]


def notes(path: Path) -> tuple[str, ...]:
    return load_corpus(compose(["data=files", f"data.path={path}"]).data).notes


def class_folders(folder: Path) -> Path:
    for number in range(20):
        (folder / LABELS[number % 2]).mkdir(parents=True, exist_ok=True)
        (folder / LABELS[number % 2] / f"{number}.txt").write_text(f"film {number}")
    return folder


def table(path: Path, *labels: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{path.stem} film {i},{labels[i % len(labels)]}" for i in range(20)]
    path.write_text("\n".join(["text,label", *lines]) + "\n")
    return path


def test_a_class_whose_texts_are_in_folders_is_noted(tmp_path):
    folder = class_folders(tmp_path / "d")
    (folder / "mid" / "first").mkdir(parents=True)
    (folder / "empty").mkdir()
    assert not any("mid" in note for note in notes(folder))
    (folder / "mid" / "first" / "1.txt").write_text("a film")
    assert any("mid have no texts but folders, so they are no classes" in n for n in notes(folder))
    (folder / "mid" / "first" / "1.txt").rename(folder / "mid" / "1.txt")
    assert "d: 3 classes by the names of folders: mid, neg, pos" in notes(folder)


@pytest.mark.parametrize("split", ["", "train"])
def test_tables_beside_class_folders_are_noted(tmp_path, split):
    folder = class_folders(tmp_path / "d" / split)
    for name in ("README.txt", "LICENSE"):
        (folder / name).write_text("about")
    assert not any("beside" in note for note in notes(tmp_path / "d"))
    table(folder / "more.csv", *LABELS)
    expected = "files beside the class folders are not read: more.csv"
    assert any(expected in note for note in notes(tmp_path / "d"))


def test_folders_with_splits_that_are_not_read_are_noted(tmp_path):
    table(tmp_path / "a" / "data" / "train.csv", *LABELS)
    table(tmp_path / "a" / "raw" / "train.csv", *LABELS)
    folders = "folders with a train split of their own that are not read: "
    assert folders + "raw" in notes(tmp_path / "a")
    table(tmp_path / "a" / "train.csv", *LABELS)
    assert folders + "data, raw" in notes(tmp_path / "a")
    table(tmp_path / "b" / "train" / "1.csv", *LABELS)
    table(tmp_path / "b" / "test" / "1.csv", *LABELS)
    assert not any("of their own" in note for note in notes(tmp_path / "b"))


def test_a_test_split_with_one_label_is_noted(tmp_path):
    table(tmp_path / "train.csv", *LABELS)
    table(tmp_path / "test.csv", "pos")
    (note,) = [note for note in notes(tmp_path) if "all 20 rows have the label 'pos'" in note]
    assert "remove the test split, and one is cut from train" in note
    table(tmp_path / "test.csv", *LABELS)
    assert not any("rows have the label" in note for note in notes(tmp_path))


def test_a_test_split_without_any_label_is_noted(tmp_path):
    table(tmp_path / "train.csv", "\"['a', 'b']\"", "['a']")
    table(tmp_path / "test.csv", "[]")
    assert any("test: no row has a label; if it only stands" in note for note in notes(tmp_path))
