"""Sources: names and columns, generated stories, and strings that are not UTF-8."""

import datasets
import pyarrow
import pytest
from pyarrow import parquet

from nlp_rnn.config.data import DataConfig, FilesConfig, StoriesConfig
from nlp_rnn.errors import DataError
from nlp_rnn.sources.source import read_source

pytestmark = pytest.mark.usefixtures("own_datasets_cache")


def test_stories_have_the_sizes_that_were_asked_for():
    source = read_source(StoriesConfig(name="stories", train_rows=60, test_rows=30))
    assert {split: len(rows) for split, rows in source.splits.items()} == {"train": 60, "test": 30}
    assert (source.text, source.label) == (("text",), "label")
    assert not {*source.splits["train"]["text"]} & {*source.splits["test"]["text"]}


def test_the_test_stories_do_not_depend_on_the_training_stories():
    def texts(seed: int, **options: int) -> list[str]:
        config = StoriesConfig(name="stories", seed=seed, test_rows=30, **options)
        return list(read_source(config).splits["test"]["text"])

    assert texts(0, train_rows=50) == texts(0, train_rows=20, train_sentences=2)
    assert texts(0) != texts(1)
    assert len(max(texts(0, test_sentences=100))) > len(max(texts(0, test_sentences=0)))


def test_files_give_name_and_columns(tmp_path):
    (tmp_path / "reviews.csv").write_text("title,body,stars\na,b,1\n")
    path = str(tmp_path / "reviews.csv")
    config = FilesConfig(name="files", path=path, text=["title", "body"], label="stars")
    source = read_source(config)
    assert source.name == "reviews"
    assert source.text == ("title", "body")
    assert source.label == "stars"
    folder = FilesConfig(name="files", path=str(tmp_path))
    (tmp_path / "reviews.csv").rename(tmp_path / "train.csv")
    folder.text, folder.label = "body", "stars"
    assert read_source(folder).name == tmp_path.name


def test_a_saved_split_without_the_column(tmp_path):
    datasets.Dataset.from_dict({"text": ["a"], "labels": [1]}).save_to_disk(tmp_path)
    message = rf"The train split of {tmp_path} has no column 'label'; it has: text, labels\."
    with pytest.raises(DataError, match=message):
        read_source(FilesConfig(name="files", path=str(tmp_path)))


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_strings_that_are_not_utf8_name_file_row_and_byte(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    if kind == "jsonl":
        line = '{"text": "good", "label": "pos"}\n'
        path.write_bytes((line * 2 + line.replace("good", "caf\xe9")).encode("latin-1"))
    else:
        texts = pyarrow.array([b"good", None, b"caf\xe9"])
        texts = pyarrow.StringArray.from_buffers(3, *texts.buffers()[1:], texts.buffers()[0])
        parquet.write_table(pyarrow.table({"text": texts, "label": [1, 2, 3]}), path)
    message = rf"{path} is not UTF-8: row 3, column 'text', has the byte 0xE9\."
    with pytest.raises(DataError, match=message):
        read_source(FilesConfig(name="files", path=str(path)))


def test_a_source_that_nobody_knows():
    with pytest.raises(DataError, match="data=mystery"):
        read_source(DataConfig(name="mystery"))
