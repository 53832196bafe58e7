"""Files of `data.unlabelled`: read as those of predict, in the form of the labelled data."""

import gzip
from pathlib import Path

import pytest

from nlp_rnn.config.data import TableConfig
from nlp_rnn.data.corpus import load_corpus
from nlp_rnn.data.unlabelled import Unlabelled, read_unlabelled
from nlp_rnn.errors import DataError
from tests.composing import compose

pytestmark = pytest.mark.usefixtures("own_datasets_cache")

TEXTS = ["ein schöner Film", "zwei größere Filme"]


def unlabelled(folder: Path, path: Path, *options: str, text: str = "text") -> Unlabelled:
    lines = [f"film {i},{['pos', 'neg'][i % 2]}" for i in range(20)]
    (folder / "labelled.csv").write_text("\n".join([f"{text},label", *lines]) + "\n")
    data = ["data=files", f"data.path={folder / 'labelled.csv'}", f"data.text={text}"]
    config = compose([*data, f"data.unlabelled={path}", "model.pretrained=auto", *options]).data
    assert isinstance(config, TableConfig)
    return read_unlabelled(config, load_corpus(config))


def write(path: Path, content: str, encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode(encoding))
    return path


def test_the_encoding_that_the_error_names_reads_the_texts(tmp_path):
    path = write(tmp_path / "u.csv", "text\n" + "\n".join(TEXTS) + "\n", "cp1252")
    with pytest.raises(DataError, match="is not UTF-8") as caught:
        unlabelled(tmp_path, path)
    read = unlabelled(tmp_path, path, str(caught.value).split("such as ")[1])
    assert read.texts["text"] == TEXTS
    assert read.notes[0] == "unlabelled: read as in training: data.encoding=cp1252"


@pytest.mark.parametrize("text", ["text", "review"])
def test_lines_and_files_of_texts(tmp_path, text):
    content = "\n".join(TEXTS) + "\n"
    path = write(tmp_path / "u.txt", content)
    assert unlabelled(tmp_path, path, text=text).texts["text"] == TEXTS
    (packed := tmp_path / "v.txt.gz").write_bytes(gzip.compress(content.encode()))
    assert unlabelled(tmp_path, packed, text=text).texts["text"] == TEXTS
    for number, line in enumerate(TEXTS):
        write(tmp_path / "folder" / f"{number}.txt", line)
    assert unlabelled(tmp_path, tmp_path / "folder", text=text).texts["text"] == TEXTS


def test_a_folder_or_file_without_a_train_split(tmp_path):
    path = write(tmp_path / "d" / "test.csv", "text;id\n" + ";1\n".join(TEXTS) + ";1\n")
    assert unlabelled(tmp_path, path.parent).texts["text"] == TEXTS
    write(tmp_path / "d" / "validation.csv", "text\nnoch ein Film\n")
    with pytest.raises(DataError, match="no train split, but several others: validation, test"):
        unlabelled(tmp_path, path.parent)
    write(tmp_path / "d" / "train.csv", "text\nnoch ein Film\n")
    assert unlabelled(tmp_path, path.parent).texts["text"] == ["noch ein Film"]


def test_lines_without_labels_beside_labelled_lines(tmp_path):
    lines = [f"{['pos', 'neg'][i % 2]} film {i}" for i in range(20)]
    labelled = write(tmp_path / "a.txt", "\n".join(lines) + "\n")
    options = [f"data.path={labelled}", "data.format=lines"]
    path = write(tmp_path / "u.txt", "\n".join(TEXTS) + "\n")
    assert unlabelled(tmp_path, path, *options).texts["text"] == TEXTS
    path = write(tmp_path / "v.txt", "pos ein Film\nneg zwei Filme\n")
    assert unlabelled(tmp_path, path, *options).texts["text"] == ["ein Film", "zwei Filme"]
