"""Every format of files, folders of splits and saved data sets; errors of broken files."""

import socket
from pathlib import Path

import datasets
import pandas as pd
import pytest

from nlp_rnn.errors import DataError
from nlp_rnn.sources.arrow_cache import write_arrow
from nlp_rnn.sources.files import read_path

ROWS = {"text": ["good film", "bad film", "fine"], "label": ["pos", "neg", "pos"]}
WANTED = (["text"], ["label"])


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch, tmp_path_factory):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setattr(datasets.config, "HF_UPDATE_DOWNLOAD_COUNTS", False)


def write(path: Path, rows=ROWS) -> Path:
    frame = pd.DataFrame(rows)
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    elif path.suffix in (".csv", ".tsv"):
        frame.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")
    else:
        frame.to_json(path, orient="records", lines=path.suffix == ".jsonl", force_ascii=False)
    return path


def read(path: Path) -> dict[str, list]:
    splits = read_path(path, *WANTED, [])
    assert list(splits) == ["train"]
    return splits["train"].select_columns(["text", "label"]).to_dict()


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_path(path, *WANTED, [])
    message = str(caught.value)
    assert len(message.splitlines()) <= 2
    return message


@pytest.mark.parametrize("kind", ["parquet", "csv", "tsv", "json", "jsonl"])
def test_every_kind_of_file_gives_its_rows(tmp_path, kind):
    rows = ROWS | {"label": [1, 0, 1], "extra": [1.5, None, 2.5]}
    result = read(write(tmp_path / f"my data ü.{kind}", rows))
    assert result["text"] == ROWS["text"]
    assert [int(label) for label in result["label"]] == [1, 0, 1]


def test_a_changed_file_is_read_again(tmp_path):
    for kind in ("csv", "jsonl"):
        path = write(tmp_path / f"a.{kind}")
        read(path)
        assert read(write(path, {"text": ["other"], "label": ["x"]}))["text"] == ["other"]


@pytest.mark.parametrize("kind", ["csv", "json", "jsonl", "parquet"])
def test_line_breaks_and_odd_characters_survive(tmp_path, kind):
    rows = {"text": ["a\nb", 'say "x", y', "c\u0085d\u2028", "NA", "007"], "label": ["1"] * 5}
    assert read(write(tmp_path / f"a.{kind}", rows))["text"] == rows["text"]


def test_in_csv_an_empty_cell_is_missing_and_two_quotes_are_an_empty_text(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('text,label\n,pos\n"",neg\nnull,pos\n')
    assert read(path)["text"] == [None, "", "null"]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["2", "10", ""], ["2", "10", None]),
        (["2.0", "10.0", ""], [2.0, 10.0, None]),
        (["2.0", "10", ""], ["2.0", "10", None]),
        (["2", "ten", '""'], ["2", "ten", ""]),
    ],
)
def test_in_csv_labels_are_text_unless_every_one_is_a_whole_float(tmp_path, labels, expected):
    path = tmp_path / "a.csv"
    path.write_text("\n".join(["label,text", *(f"{label},1" for label in labels)]))
    assert read(path) == {"text": ["1", "1", "1"], "label": expected}


def test_csv_with_byte_order_mark_and_windows_line_ends(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xef\xbb\xbftext,label\r\na,1\r\n\r\nb,2\r\n")
    assert read(path) == {"text": ["a", "b"], "label": ["1", "2"]}


def test_a_folder_gives_its_splits_whatever_they_are_called(tmp_path):
    write(tmp_path / "train.csv")
    write(tmp_path / "dev.jsonl")
    write(tmp_path / "test.parquet")
    (tmp_path / "README.md").write_text("about")
    splits = read_path(tmp_path, *WANTED, [])
    assert list(splits) == ["train", "validation", "test"]
    assert all(list(split["text"]) == ROWS["text"] for split in splits.values())


def test_saved_to_disk_with_and_without_splits(tmp_path):
    labels = datasets.ClassLabel(names=["pos", "neg"])
    rows = datasets.Dataset.from_dict(ROWS).cast_column("label", labels)
    rows.select([2, 0]).save_to_disk(tmp_path / "one")
    one = read_path(tmp_path / "one", *WANTED, [])
    assert list(one["train"]["text"]) == ["fine", "good film"]
    assert one["train"].features["label"].names == ["pos", "neg"]

    every = datasets.DatasetDict(dev=rows, train=rows, unsupervised=rows)
    every.save_to_disk(tmp_path / "many")
    before = sorted(tmp_path.rglob("*"))
    notes: list[str] = []
    assert list(read_path(tmp_path / "many", *WANTED, notes)) == ["train", "validation"]
    assert notes == ["splits not used: unsupervised"]
    assert sorted(tmp_path.rglob("*")) == before


def test_reading_a_file_asks_nobody(tmp_path, monkeypatch):
    from nlp_rnn.config.data import FilesConfig
    from nlp_rnn.sources.source import read_source

    lookups: list[object] = []
    monkeypatch.setattr(datasets.config, "HF_UPDATE_DOWNLOAD_COUNTS", True)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **_: lookups.append(arguments))
    for kind in ("parquet", "csv", "jsonl"):
        path = write(tmp_path / f"a.{kind}")
        read_source(FilesConfig(name="files", path=str(path)))
    assert not lookups


def test_missing_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert refusal(Path("nowhere.csv")) == f"There is no file or folder {tmp_path}/nowhere.csv."
    assert refusal(Path("someone/set")).endswith("set data=hub data.path=someone/set")
    assert refusal(Path("imdb")).endswith("set data=hub data.path=imdb")


@pytest.mark.parametrize("kind", ["parquet", "csv", "tsv", "json", "jsonl"])
def test_missing_column_says_which_there_are(tmp_path, kind):
    path = write(tmp_path / f"a.{kind}", {"review": ["a"], "stars": [1]})
    message = refusal(path)
    assert str(path) in message
    assert "no column 'text'; it has: review, stars." in message
    assert "data.text=" in message


def test_a_column_that_is_there_twice(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text,label,text\na,b,c\n")
    assert "several columns named 'text'" in refusal(path)


def test_unsupported_kinds(tmp_path):
    (tmp_path / "a.xlsx").write_bytes(b"x")
    assert "Save its sheet as csv" in refusal(tmp_path / "a.xlsx")
    (tmp_path / "a.doc").write_bytes(b"x")
    assert ".parquet, .csv, .tsv, .json, .jsonl" in refusal(tmp_path / "a.doc")
    (tmp_path / "a.doc").unlink()
    message = refusal(tmp_path)
    assert "has no train.*" in message
    assert "it has: a.xlsx" in message


def test_two_files_for_one_split(tmp_path):
    write(tmp_path / "train.csv")
    write(tmp_path / "train.jsonl")
    assert "several files for the train split: train.csv, train.jsonl" in refusal(tmp_path)


@pytest.mark.parametrize("line", ["a,pos", "caf\xe9,pos", "a,\xe9"])
def test_an_encoding_that_is_not_utf8_names_file_row_and_byte(tmp_path, line):
    path = tmp_path / "a.csv"
    path.write_bytes(f"text,label\ngood,pos\n{line}\n\xe9,neg".encode("latin-1"))
    row, byte = (4, 1) if line == "a,pos" else (3, line.index("\xe9") + 1)
    assert f"{path} is not UTF-8: row {row}, byte {byte} of it is 0xE9." in refusal(path)


def test_json_in_another_encoding(tmp_path):
    from nlp_rnn.config.data import FilesConfig
    from nlp_rnn.sources.source import read_source

    path = tmp_path / "a.jsonl"
    path.write_bytes('{"text": "\xe9", "label": 1}\n'.encode("latin-1"))
    with pytest.raises(DataError) as caught:
        read_source(FilesConfig(name="files", path=str(path)))
    assert str(caught.value).startswith(
        f"The train split of {path} is not UTF-8: row 1, column 'text', has the byte 0xE9.\n"
        """It could be cp1252 ('{"text": "é", "label": 1}'), """
    )
    config = FilesConfig(name="files", path=str(path), encoding="cp1252")
    assert read_source(config).splits["train"]["text"][0] == "\xe9"


@pytest.mark.parametrize("extra", ["b", "b,pos,more"])
@pytest.mark.parametrize("row", [2, 5000])
def test_a_csv_row_of_another_width_is_named(tmp_path, extra, row):
    rows = ["text,label", *["a,neg"] * 6000]
    rows[row - 1] = extra
    (tmp_path / "a.csv").write_text("\n".join(rows))
    assert f"Row #{row}: Expected 2 columns" in refusal(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("a.jsonl", '{"text": "a", "label": 1}\n\n{"text": "b" "label": 1}\n', "line 3"),
        ("a.json", '[{"text": "a", "label": 1},\n{"text": "b", "label": 1]', "line 2"),
    ],
)
def test_broken_json_names_the_line(tmp_path, name, content, line):
    (tmp_path / name).write_text(content)
    message = refusal(tmp_path / name)
    assert f"{tmp_path / name} is not valid JSON: {line}" in message


def test_half_a_surrogate_pair_names_the_line(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a", "label": 1}\n\n{"text": "\\ud800", "label": 1}\n')
    assert f"{path} has half of a surrogate pair in line 3" in refusal(path)


def test_json_that_only_arrow_refuses(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a", "label": 1, "text": "b"}\n')
    assert f"{path} cannot be read: JSON parse error: Column(/text) was specified" in refusal(path)


def test_broken_parquet_and_broken_saved_dataset(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and then nonsense")
    assert f"{tmp_path}/a.parquet cannot be read: Parquet" in refusal(tmp_path / "a.parquet")
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "state.json").write_text("{}")
    assert "was written by save_to_disk but is damaged" in refusal(tmp_path / "saved")


@pytest.mark.parametrize(("name", "content"), [("a.csv", ""), ("a.jsonl", ""), ("a.json", "[]")])
def test_files_without_rows(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    assert refusal(tmp_path / name) in (
        f"{tmp_path / name} is empty.",
        f"{tmp_path / name} has no rows.",
    )


def test_a_failed_write_leaves_nothing_behind(tmp_path):
    import pyarrow

    schema = pyarrow.schema([("text", pyarrow.string())])

    def batches():
        yield pyarrow.RecordBatch.from_pydict({"text": ["a"]}, schema=schema)
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_arrow(["key"], schema, batches())
    assert not list(Path(datasets.config.HF_DATASETS_CACHE).rglob("*.*"))


def test_what_was_written_once_is_not_written_again():
    import pyarrow

    schema = pyarrow.schema([("text", pyarrow.string())])
    batch = pyarrow.RecordBatch.from_pydict({"text": ["a"]}, schema=schema)
    write_arrow(["key"], schema, [batch])
    assert list(write_arrow(["key"], schema, [])["text"]) == ["a"]
