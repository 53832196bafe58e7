"""Predict reads what training reads, with the options of the training as defaults."""

import gzip
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import feather, parquet

import nlp_rnn
from nlp_rnn.classifier.classifier_saving import save_classifier
from nlp_rnn.cli import main
from nlp_rnn.data.corpus import load_corpus
from nlp_rnn.sources.file_format import FileOptions
from nlp_rnn.sources.files import Entry
from nlp_rnn.sources.reading import described_reading
from nlp_rnn.sources.same_form import has_labels
from nlp_rnn.sources.source import read_source
from tests.composing import compose
from tests.tiny_classifier import save_tiny, tiny_parts

TEXTS = [f"w{2 + number} w{3 + number % 7}, w4" for number in range(8)]
ODD = ['w5, "w9"\nw7', "w2;w3|w4\tw5", "w8 😀 é", "", "w6  "]
ROWS = [{"id": number, "text": text} for number, text in enumerate([*TEXTS, *ODD])]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    save_tiny(tmp_path / "classifier")
    return tmp_path


def predict(*arguments: str, classifier: str = "classifier") -> list[dict[str, Any]]:
    """Return the rows that `predict --output out.jsonl` writes."""
    assert main(["predict", classifier, *arguments, "--output", "out.jsonl"]) == 0
    return [json.loads(line) for line in Path("out.jsonl").read_text("utf-8").splitlines()]


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert main(["predict", "classifier", *arguments, "--output", "out.jsonl"]) in (1, 2)
    message = capsys.readouterr().err
    assert len(message.splitlines()) <= 2
    assert not Path("out.jsonl").exists()
    return message


def texts(rows: list[dict[str, Any]], column: str = "text") -> list[Any]:
    return [row[column] for row in rows]


def check_labels(rows: list[dict[str, Any]], text: str = "text") -> None:
    known = [row for row in rows if row[text] is not None]
    expected = nlp_rnn.load("classifier").predict(texts(known, text))
    assert [row["label"] for row in known] == expected


# Formats, dialects, encodings


def write_csv(path: Path, delimiter: str, encoding: str = "utf-8", **options: Any) -> None:
    table = pd.DataFrame(ROWS)
    table.to_csv(path, sep=delimiter, index=False, quoting=2, encoding=encoding, **options)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_every_delimiter_is_detected(delimiter: str, line_end: str) -> None:
    write_csv(Path("in.csv"), delimiter, lineterminator=line_end)
    rows = predict("--input", "in.csv")
    assert texts(rows) == texts(ROWS)
    assert texts(rows, "id") == [str(row["id"]) for row in ROWS]
    check_labels(rows)


def test_a_first_line_sep_and_a_delimiter_that_is_set() -> None:
    Path("in.csv").write_text("sep=;\ntext;n\nw2, w3;1\n")
    assert texts(predict("--input", "in.csv")) == ["w2, w3"]
    Path("in.csv").write_text("text~n\nw2, w3~1\n")
    assert texts(predict("--input", "in.csv", "data.delimiter=~")) == ["w2, w3"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252", "latin-1", "gb18030"])
def test_encodings(encoding: str, capsys: pytest.CaptureFixture[str]) -> None:
    frame = pd.DataFrame({"text": ["w2 é", "w3 ü"], "n": [1, 2]})
    frame.to_csv("in.csv", index=False, encoding=encoding)
    marked = encoding in ("utf-8-sig", "utf-16")
    options = [] if marked else [f"data.encoding={encoding}"]
    assert texts(predict("--input", "in.csv", *options)) == ["w2 é", "w3 ü"]
    if encoding == "cp1252":  # the error names the option that reads the file
        Path("out.jsonl").unlink()
        message = refusal(capsys, "--input", "in.csv")
        option = re.search(r"data\.encoding=[\w-]+", message)
        assert option
        assert texts(predict("--input", "in.csv", option[0])) == ["w2 é", "w3 ü"]


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
@pytest.mark.parametrize("name", ["in.csv", "in.jsonl", "in.txt"])
def test_compressed_files(name: str, compression: str) -> None:
    content = {
        "in.csv": "id,text\n1,w2 w3\n",
        "in.jsonl": '{"text": "w2 w3"}\n',
        "in.txt": "w2 w3\n",
    }[name]
    path = f"{name}{'.gz' if compression == 'gzip' else '.zst'}"
    with pa.output_stream(path, compression=compression) as file:
        file.write(content.encode())
    assert texts(predict("--input", path)) == ["w2 w3"]


def test_a_file_without_header_by_numbers_and_by_names() -> None:
    Path("in.tsv").write_text('1\t"w2 said\n2\tw3\n')
    options = ("data.header=false", "data.quoting=false")
    rows = predict("--input", "in.tsv", *options, "data.text=2")
    assert texts(rows, "2") == ['"w2 said', "w3"]
    rows = predict("--input", "in.tsv", *options, "data.columns=[id,text]")
    assert rows[0] | {"label": 0, "score": 0} == {
        "id": "1",
        "text": '"w2 said',
        "label": 0,
        "score": 0,
    }


def test_json_in_every_layout() -> None:
    records = [{"id": 1, "text": "w2", "tags": ["a"]}, {"id": 2, "text": "w3", "tags": None}]
    frame = pd.DataFrame(records)
    for orient in ("records", "columns", "index", "split"):
        frame.to_json("in.json", orient=orient)
        rows = predict("--input", "in.json")
        assert [(row["id"], row["text"], row["tags"]) for row in rows] == [
            (1, "w2", ["a"]),
            (2, "w3", None),
        ]
    Path("in.json").write_text(json.dumps({"meta": 1, "a": {"items": records}, "b": records}))
    rows = predict("--input", "in.json", "data.rows=a.items")
    assert texts(rows) == ["w2", "w3"]
    Path("in.json").write_text(json.dumps(records, indent=3))
    assert texts(predict("--input", "in.json")) == ["w2", "w3"]


def test_several_lists_of_records_ask_for_a_key(capsys: pytest.CaptureFixture[str]) -> None:
    Path("in.json").write_text(json.dumps({"a": [{"text": "w2"}], "b": [{"text": "w3"}]}))
    option = re.search(r"such as (data\.rows=\S+)", refusal(capsys, "--input", "in.json"))
    assert option
    assert texts(predict("--input", "in.json", option[1])) == ["w2"]


def test_an_array_of_json_is_read_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nlp_rnn.sources.json_records._BLOCK", 7)
    values = [{"text": f'w{number} "]}},', "n": number * 1.5e30} for number in range(300)]
    Path("in.json").write_text("\n " + json.dumps(values))
    assert texts(predict("--input", "in.json")) == [value["text"] for value in values]
    Path("in.json").write_text(json.dumps(values)[:-1] + ",]")
    assert main(["predict", "classifier", "--input", "in.json"]) == 1


def test_nested_columns_and_fields_in_lists() -> None:
    rows: list[dict[str, Any]] = [
        {"a": {"b": "w2"}, "c": [{"t": "w3"}]},
        {"a": {"b": None}, "c": []},
        {"a": None, "c": [{"t": "w5"}]},
    ]
    Path("in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    parquet.write_table(pa.Table.from_pylist(rows), "in.parquet")
    for name in ("in.jsonl", "in.parquet"):
        out = predict("--input", name, "data.text=a.b")
        assert [row["a"] for row in out] == [row["a"] for row in rows]
        assert [row["label"] is None for row in out] == [False, True, True]
        assert out[0]["label"] == nlp_rnn.load("classifier").predict(["w2"])[0]
        out = predict("--input", name, "data.text=c.t")
        assert [row["label"] is None for row in out] == [False, True, False]


def test_a_field_that_no_row_has_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"a": {"b": "w2"}, "n": 1}]
    Path("in.jsonl").write_text(json.dumps(rows[0]) + "\n")
    parquet.write_table(pa.Table.from_pylist(rows), "in.parquet")
    for name in ("in.jsonl", "in.parquet"):
        assert "no texts in the field 'a.c'" in refusal(capsys, "--input", name, "data.text=a.c")
        assert "no column 'b'" in refusal(capsys, "--input", name, "data.text=b")


def test_arrow_files_streams_and_special_string_types() -> None:
    table = pa.table(
        {
            "text": pa.array(["w2", None, "w3"]).dictionary_encode(),
            "view": pa.array(["w2", None, "w3"], pa.string_view()),
            "n": [[1], None, []],
        }
    )
    feather.write_feather(table.drop(["view"]), "in.arrow", compression="uncompressed")
    rows = predict("--input", "in.arrow")
    assert texts(rows) == ["w2", None, "w3"]
    assert texts(rows, "n") == [[1], None, []]
    with pa.OSFile("in.arrow", "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)
    assert texts(predict("--input", "in.arrow", "data.text=view"), "view") == ["w2", None, "w3"]


def test_lines_and_fasttext_with_and_without_labels() -> None:
    Path("in.label").write_text("LOC:city w2 w3\n")
    (row,) = predict("--input", "in.label")
    assert (row["text"], row["coarse_label"], row["fine_label"]) == ("w2 w3", "LOC", "city")
    Path("in.txt").write_text("__label__a __label__b w2\nw3\n")
    rows = predict("--input", "in.txt", "data.format=fasttext")
    assert texts(rows) == ["w2", "w3"]
    assert texts(rows, "label") == ["a b", ""]
    assert texts(predict("--input", "in.txt")) == ["__label__a __label__b w2", "w3"]


def test_saved_data_sets() -> None:
    rows = {"text": ["w2", "w3"], "label": [1, 0]}
    feature = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["x", "y"])}
    )
    dataset = datasets.Dataset.from_dict(rows, features=feature)
    dataset.save_to_disk("one")
    assert texts(predict("--input", "one")) == ["w2", "w3"]
    datasets.DatasetDict({"train": dataset, "rest": dataset.select([1])}).save_to_disk("two")
    out = predict("--input", "two", "--split", "rest")
    assert [(row["text"], row["label"]) for row in out] == [("w3", 0)]
    assert len(predict("--input", "two", "--split", "all")) == 3


# Folders, patterns, splits


def test_shards_patterns_and_folders(capsys: pytest.CaptureFixture[str]) -> None:
    Path("data").mkdir()
    for number in range(11):
        Path(f"data/train-{number}.csv").write_text(f"text,n\nw{number + 2},{number}\n")
    expected = [f"w{number + 2}" for number in range(11)]
    assert texts(predict("--input", "data")) == expected
    assert texts(predict("--input", "data/*.csv")) == expected
    Path("data/test.csv").write_text("text,n\nw29,0\n")
    Path("out.jsonl").unlink()
    message = refusal(capsys, "--input", "data")
    assert "several splits: train, test" in message
    for split, number in (("test", 1), ("train", 11), ("all", 12)):
        assert len(predict("--input", "data", "--split", split)) == number
    Path("out.jsonl").unlink()
    assert "has no split dev" in refusal(capsys, "--input", "data", "--split", "dev")


def test_a_folder_without_train_and_one_without_splits(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("data").mkdir()
    Path("data/test.jsonl").write_text('{"text": "w2"}\n')
    assert texts(predict("--input", "data")) == ["w2"]
    Path("data/test.jsonl").unlink()
    for name in ("a.csv", "b.csv"):
        Path("data", name).write_text("text,n\nw3,1\n")
    Path("out.jsonl").unlink()
    message = refusal(capsys, "--input", "data")
    assert "data.path" not in message
    pattern = re.search(r"pattern such as (\S+\*\.csv)", message)
    assert pattern
    assert texts(predict("--input", pattern[1])) == ["w3", "w3"]


def test_shards_with_other_columns(capsys: pytest.CaptureFixture[str]) -> None:
    pd.DataFrame({"text": ["w2"], "n": [1]}).to_parquet("train-1.parquet")
    pd.DataFrame({"m": [0.5], "text": ["w3"]}).to_parquet("train-2.parquet")
    rows = predict("--input", "*.parquet")
    assert [(row.get("n"), row.get("m")) for row in rows] == [(1, None), (None, 0.5)]
    arguments = ["predict", "classifier", "--input", "*.parquet"]
    for kind in ("csv", "parquet"):
        assert main([*arguments, "--output", f"o.{kind}"]) == 1
        assert "Set --output to a .jsonl file" in capsys.readouterr().err
    pd.DataFrame({"n": [2.5], "text": ["w3"]}).to_parquet("train-2.parquet")
    assert main([*arguments, "--output", "o.csv"]) == 0
    assert pd.read_csv("o.csv").n.tolist() == [1.0, 2.5]


def test_folders_of_text_files_name_the_file() -> None:
    Path("flat").mkdir()
    for name in ("b", "a"):
        Path("flat", f"{name}.txt").write_text(f"w2 {name}\n")
    rows = predict("--input", "flat")
    assert [(row["file"], row["text"]) for row in rows] == [("a.txt", "w2 a"), ("b.txt", "w2 b")]
    for name in ("pos", "neg"):
        Path("classes", "test", name).mkdir(parents=True)
        Path("classes", "test", name, "1.txt").write_text(f"w3 {name}")
    rows = predict("--input", "classes")
    assert [(row["file"], row["label"]) for row in rows] == [
        ("neg/1.txt", "neg"),
        ("pos/1.txt", "pos"),
    ]
    assert {"predicted_label", "predicted_score"} <= set(rows[0])


def test_several_txt_files_and_no_match(capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.txt").write_text("w2\n\nw3")
    Path("b.txt").write_bytes("w4 é\r\n".encode("cp1252"))
    assert texts(predict("--input", "?.txt", "data.encoding=cp1252")) == ["w2", "", "w3", "w4 é"]
    Path("out.jsonl").unlink()
    assert "--input *.tsv matches no file" in refusal(capsys, "--input", "*.tsv")
    message = refusal(capsys, "--input", "owner/name")
    assert "Set --input to a file, a folder or a pattern" in message
    assert "data=hub" not in message


# Columns


def test_repeated_and_unnamed_columns_pass_through() -> None:
    Path("in.csv").write_text(",text,a,a,a.1\n0,w2,1,2,3\n")
    (row,) = predict("--input", "in.csv")
    assert list(row) == ["", "text", "a", "a.2", "a.1", "label", "score"]
    assert [row["a"], row["a.2"], row["a.1"]] == ["1", "2", "3"]


def test_pairs_and_joined_columns_from_every_format() -> None:
    rows = [
        {"one": "w2 [SEP] w3", "two": "w4"},
        {"one": None, "two": "w5"},
        {"one": None, "two": None},
    ]
    frame = pd.DataFrame(rows)
    frame.to_csv("in.csv", index=False, sep=";")
    frame.to_parquet("in.parquet")
    frame.to_json("in.jsonl", orient="records", lines=True)
    save_classifier(Path("pairs"), separator="[SEP]", **tiny_parts())
    for classifier in ("pairs", "classifier"):
        model = nlp_rnn.load(classifier)
        expected = ["w2 [SEP] w3 w4", "w5"]
        if classifier == "pairs":
            expected = [model.join_texts("w2 [SEP] w3", "w4"), model.join_texts("", "w5")]
        for name in ("in.csv", "in.parquet", "in.jsonl"):
            out = predict("--input", name, "data.text=[one,two]", classifier=classifier)
            assert [row["label"] for row in out] == [*model.predict(expected), None]


# Standard input


@pytest.mark.parametrize("kind", ["csv", "tsv", "json", "jsonl", "parquet", "csv.gz"])
def test_standard_input_in_every_format(kind: str) -> None:
    frame = pd.DataFrame({"id": [1, 2], "review": ["w2 w3", "w4; w5"]})
    path = Path(f"in.{kind}")
    match kind:
        case "csv" | "csv.gz":
            frame.to_csv(path, sep=";", index=False)
        case "tsv":
            frame.to_csv(path, sep="\t", index=False)
        case "json" | "jsonl":
            frame.to_json(path, orient="records", lines=kind == "jsonl")
        case "parquet":
            frame.to_parquet(path)
    options = [f"data.format={kind.split('.')[0]}", "data.text=review"]
    done = subprocess.run(
        [sys.executable, "-m", "nlp_rnn", "predict", "classifier", *options, "--output", "o.csv"],
        input=path.read_bytes(),
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert pd.read_csv("o.csv").review.tolist() == frame.review.tolist()


def test_errors_about_standard_input_name_it() -> None:
    for options, content in (
        (["data.format=csv"], b"text,n\nw2\n"),
        (["data.format=csv"], b"a,n\nw2,1\n"),
        ([], b"w2 \xff\n"),
        (["data.rows=a"], b"w2\n"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "nlp_rnn", "predict", "classifier", *options],
            input=content,
            capture_output=True,
        )
        message = done.stderr.decode()
        assert done.returncode == 1
        assert "standard input" in message
        assert "/tmp" not in message
        assert "/dev" not in message
        assert len(message.splitlines()) <= 2


# Options of the training as defaults


def saved_with(*options: str) -> str:
    """Save a classifier that was trained with these options of the data."""
    source = read_source(compose(["data=files", *options]).data)
    provenance = {"reading": dict(source.reading)}
    save_classifier(Path("trained"), **tiny_parts() | {"provenance": provenance})
    return "trained"


def test_the_options_of_the_training_are_the_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    Path("train.tsv").write_bytes('1\t"w2 é\tx\n0\tw3\ty\n'.encode("cp1252"))
    options = ("data.header=false", "data.quoting=false", "data.encoding=cp1252")
    columns = ("data.columns=[label,review,more]", "data.text=review")
    name = saved_with("data.path=train.tsv", *options, *columns)
    Path("new.tsv").write_bytes('?\t"w4 ü\tx\n'.encode("cp1252"))
    capsys.readouterr()
    (row,) = predict("--input", "new.tsv", classifier=name)
    assert (row["review"], row["label"], row["more"]) == ('"w4 ü', "?", "x")
    note = capsys.readouterr().err
    assert "read as in training: data.text=review data.header=false" in note
    for part in ("data.columns=[label,review,more]", "data.quoting=false", "data.encoding=cp1252"):
        assert part in note
    # another format has only the columns in common
    Path("new.jsonl").write_text('{"review": "w5 é", "n": 1}\n')
    (row,) = predict("--input", "new.jsonl", classifier=name)
    assert row["review"] == "w5 é"
    assert "data.header" not in capsys.readouterr().err
    # options that are set override, also in part
    Path("new.tsv").write_text("text\tn\nw6\t1\n")
    (row,) = predict("--input", "new.tsv", "data.header=true", "data.text=text", classifier=name)
    assert (row["text"], row["n"]) == ("w6", "1")


def test_a_file_that_cannot_be_read_as_in_training_is_read_without(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("train.json").write_text(json.dumps({"a": [{"t": "w2", "label": i} for i in (0, 1)]}))
    name = saved_with("data.path=train.json", "data.rows=a", "data.text=t")
    for document in ({"b": [{"t": "w3"}]}, [{"t": "w3"}]):
        Path("new.json").write_text(json.dumps(document))
        assert texts(predict("--input", "new.json", classifier=name), "t") == ["w3"]
        assert "data.rows=a" not in capsys.readouterr().err


def test_another_text_column_than_that_of_the_training(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("train.csv").write_text("review,label\nw2,0\nw3,1\n")
    name = saved_with("data.path=train.csv", "data.text=review")
    for header, column in (("text,n", "text"), ("body", "body")):
        Path("new.csv").write_text(f"{header}\nw4{',1' if ',' in header else ''}\n")
        assert texts(predict("--input", "new.csv", classifier=name), column) == ["w4"]
        assert "read as in training" not in capsys.readouterr().err
    Path("new.csv").write_text("body,n\nw4,1\n")
    assert main(["predict", name, "--input", "new.csv"]) == 1
    message = capsys.readouterr().err
    assert "has no column 'review'; it has: body, n" in message
    assert "data.text=COLUMN" in message
    assert texts(predict("--input", "new.csv", "data.text=body", classifier=name), "body") == ["w4"]


def test_a_format_that_was_set_applies_to_files_with_the_same_suffix() -> None:
    Path("train.txt").write_text("__label__a w2\n__label__b w3\n")
    name = saved_with("data.path=train.txt", "data.format=fasttext")
    Path("new.txt").write_text("__label__a w4\n")
    assert texts(predict("--input", "new.txt", classifier=name)) == ["w4"]
    assert texts(predict("--input", "new.txt", "data.format=txt", classifier=name)) == [
        "__label__a w4"
    ]
    Path("new.csv").write_text("text,n\nw5,1\n")
    assert texts(predict("--input", "new.csv", classifier=name)) == ["w5"]


def test_utf8_is_read_as_utf8_by_a_classifier_of_cp1252() -> None:
    Path("train.csv").write_bytes("text,label\nw2 é,0\nw3,1\n".encode("cp1252"))
    name = saved_with("data.path=train.csv", "data.encoding=cp1252")
    Path("new.csv").write_text("text,n\nw4 é,1\n", encoding="utf-8")
    assert texts(predict("--input", "new.csv", classifier=name)) == ["w4 é"]


def test_a_classifier_of_before_knows_the_columns_of_pairs() -> None:
    provenance = {"text_columns": ["one", "two"]}
    parts = tiny_parts() | {"provenance": provenance}
    save_classifier(Path("pairs"), separator="[SEP]", **parts)
    Path("in.csv").write_text("one,two\nw2,w3\n")
    (row,) = predict("--input", "in.csv", classifier="pairs")
    model = nlp_rnn.load("pairs")
    assert row["label"] == model.predict([model.join_texts("w2", "w3")])[0]


def test_label_names_are_saved_as_json() -> None:
    Path("train.csv").write_text("text,label\nw2,0\nw3,1\n")
    data = compose(["data=files", "data.path=train.csv", "data.label_names={0:x,1:y}"]).data
    assert described_reading(data, [])["options"]["label_names"] == {"0": "x", "1": "y"}  # type: ignore[arg-type]


# The test file of a competition


def write_table(path: Path, frame: pd.DataFrame) -> None:
    name = path.name.removesuffix(".gz")
    match name.rpartition(".")[2]:
        case "csv":
            frame.to_csv(path, index=False, sep=";")
        case "tsv":
            frame.to_csv(path, index=False, sep="\t", encoding="utf-16")
        case "jsonl" | "json":
            frame.to_json(path, orient="records", lines=name.endswith("l"))
        case "parquet":
            frame.to_parquet(path)
        case "arrow":
            feather.write_feather(frame, str(path), compression="uncompressed")


@pytest.mark.parametrize(
    "name", ["{}.csv", "{}.tsv", "{}.jsonl", "{}.json", "{}.parquet", "{}.arrow", "{}.csv.gz"]
)
@pytest.mark.parametrize("shards", [1, 2])
def test_the_command_for_a_competition_works_in_every_format(name: str, shards: int) -> None:
    folder = Path("the data")
    folder.mkdir()
    labels = [number % 2 for number in range(8)]
    train = pd.DataFrame({"review": TEXTS, "stars": labels, "id": range(8)})
    write_table(folder / name.format("train"), train)
    for shard in range(shards):
        test = pd.DataFrame({"id": [shard], "review": [f"w{shard + 2}"]})
        stem = "test" if shards == 1 else f"test-0000{shard}-of-00002"
        write_table(folder / name.format(stem), test)
    options = (f"data.path='{folder}'", "data.text=review", "data.label=stars")
    source = read_source(compose(["data=files", *options]).data)
    assert list(source.splits) == ["train"]
    (note,) = [note for note in source.notes if "nlp-rnn predict" in note]
    command = re.search(r"nlp-rnn (predict CLASSIFIER .*)", note)
    assert command
    trained = saved_with(*options)
    arguments = [trained if a == "CLASSIFIER" else a for a in shlex.split(command[1])]
    assert main(arguments) == 0
    predictions = pd.read_csv("predictions.csv")
    assert predictions.review.tolist() == [f"w{shard + 2}" for shard in range(shards)]
    expected = nlp_rnn.load("classifier").predict(predictions.review.tolist())
    assert predictions.label.tolist() == expected


def test_the_command_for_a_test_list_within_a_json_file(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [{"t": text, "label": number % 2} for number, text in enumerate(TEXTS)]
    Path("all.json").write_text(json.dumps({"train": rows, "test": [{"t": "w2"}]}))
    options = ("data.path=all.json", "data.text=t")
    source = read_source(compose(["data=files", *options]).data)
    command = re.search(r"nlp-rnn (predict CLASSIFIER .*)", "\n".join(source.notes))
    assert command
    arguments = shlex.split(command[1].replace("CLASSIFIER", saved_with(*options)))
    assert main(arguments) == 0
    assert pd.read_csv("predictions.csv").t.tolist() == ["w2"]


# Predictions are read back


STRANGE = [
    'w2, "w9"',
    "w3\nw4",
    "w5\r\nw6",
    "w7\tw8;|",
    " w9 ",
    '"',
    "NA",
    "007",
    "",
    "😀",
    "=1+1",
    "w2\\",
    "é",
]


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
@pytest.mark.parametrize("multi_label", [False, True])
def test_predictions_are_read_back_by_train_evaluate_and_pandas(
    kind: str, multi_label: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = ["007", "a, b", '["7"']
    thresholds = [0.3, 0.3, 0.3] if multi_label else None
    parts = tiny_parts() | {"labels": labels}
    save_classifier(Path("strange"), thresholds=thresholds, **parts)
    frame = pd.DataFrame({"text": STRANGE, "n": range(len(STRANGE))})
    frame.to_parquet("in.parquet")
    out = f"out.{kind}"
    assert main(["predict", "strange", "--input", "in.parquet", "--output", out]) == 0
    model = nlp_rnn.load("strange")
    expected = model.predict(STRANGE)
    column = "labels" if multi_label else "label"
    # train
    options = ["data=files", f"data.path={out}", f"data.label={column}"]
    source = read_source(compose(options).data)
    assert source.splits["train"]["text"] == STRANGE
    corpus = load_corpus(compose(options).data, labels, cutting=False)
    if not multi_label:
        assert [corpus.labels[i] for i in corpus.train["label"]] == expected
    else:
        read = [{corpus.labels[i] for i in np.flatnonzero(row)} for row in corpus.train["label"]]
        assert read == [set(row) for row in expected]
    # evaluate
    capsys.readouterr()
    assert main(["evaluate", "strange", *options, "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["subset_accuracy" if multi_label else "accuracy"] == 1.0
    assert scores["texts"] == len(STRANGE)
    # predict
    assert main(["predict", "strange", "--input", out, "--output", "again.jsonl"]) == 0
    again = [json.loads(line) for line in Path("again.jsonl").read_text().splitlines()]
    assert texts(again) == STRANGE
    assert [row[f"predicted_{column}"] for row in again] == expected
    # pandas
    match kind:
        case "parquet":
            table = pd.read_parquet(out)
        case "jsonl":
            table = pd.read_json(out, lines=True, dtype=False)
        case _:
            separator = "\t" if kind == "tsv" else ","
            table = pd.read_csv(out, sep=separator, dtype=str, keep_default_na=False)
    assert table.text.tolist() == STRANGE
    values = table[column].tolist()
    if multi_label:
        values = [json.loads(v) if isinstance(v, str) else list(v) for v in values]
    assert values == expected


def test_null_and_empty_texts_stay_apart_in_every_format() -> None:
    Path("in.jsonl").write_text('{"text": null, "m": ""}\n{"text": "", "m": null}\n')
    for kind in ("csv", "tsv", "jsonl", "parquet"):
        arguments = ["predict", "classifier", "--input", "in.jsonl", "--output", f"o.{kind}"]
        assert main(arguments) == 0
        rows = predict("--input", f"o.{kind}")
        assert [(row["text"], row["m"]) for row in rows] == [(None, ""), ("", None)]
        assert [row["label"] is None for row in rows] == [True, False]


def test_halves_of_surrogate_pairs_survive_where_the_format_can_hold_them() -> None:
    Path("in.jsonl").write_text('{"text": "w2 \\ud800", "n": {"a": ["\\udc00"]}}\n')
    (row,) = predict("--input", "in.jsonl")
    assert (row["text"], row["n"]) == ("w2 \ud800", {"a": ["\udc00"]})
    for kind in ("csv", "tsv", "parquet"):
        arguments = ["predict", "classifier", "--input", "in.jsonl", "--output", f"o.{kind}"]
        assert main(arguments) == 0
        assert texts(predict("--input", f"o.{kind}")) == ["w2 \ufffd"]


def test_several_files_are_resumed(monkeypatch: pytest.MonkeyPatch) -> None:
    from nlp_rnn.classifier.predictor import TextClassifier

    monkeypatch.setattr("nlp_rnn.commands.input_tables.CHUNK_ROWS", 10)
    for number in range(3):
        lines = "".join(f"w{row % 20 + 2},{number}\n" for row in range(25))
        Path(f"part-{number}.csv").write_text("text,n\n" + lines)
    Path("whole.gz").write_bytes(gzip.compress(b""))
    arguments = ["predict", "classifier", "--input", "part-*.csv"]
    assert main([*arguments, "--output", "whole.csv"]) == 0
    calls: list[int] = []
    predict_proba = TextClassifier.predict_proba

    def fails(self: TextClassifier, batch: Any, **options: Any) -> Any:
        calls.append(len(batch))
        if len(calls) % 4 == 0:
            raise KeyboardInterrupt
        return predict_proba(self, batch, **options)

    monkeypatch.setattr(TextClassifier, "predict_proba", fails)
    codes = [main([*arguments, "--output", "out.csv"]) for _ in range(3)]
    assert codes == [130, 130, 0]
    assert Path("out.csv").read_bytes() == Path("whole.csv").read_bytes()
    assert len(pd.read_csv("out.csv")) == 75


# Files of another form than that of the training


def sms_classifier() -> str:
    """Save a classifier that was trained on a file without header, whose quotes are text."""
    Path("sms.tsv").write_text('ham\tgood "x film\nspam\tbad "y" film\nham\tgood film\n')
    options = ("data.header=false", "data.label=1", "data.text=2", "data.quoting=false")
    return saved_with("data.path=sms.tsv", *options)


@pytest.mark.parametrize("kind", ["tsv", "csv"])
def test_predictions_are_read_back_by_a_classifier_of_a_file_without_header(
    kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name, out = sms_classifier(), f"out.{kind}"
    assert main(["predict", name, "--input", "sms.tsv", "--output", out]) == 0
    capsys.readouterr()
    again = predict("--input", out, classifier=name)
    assert texts(again, "2") == ['good "x film', 'bad "y" film', "good film"]
    if kind == "tsv":
        assert "so that data.header data.quoting of the training do not apply" in (
            capsys.readouterr().err
        )
    for options in ([], ["data.header=true"]):
        arguments = ["data=files", f"data.path={out}", "data.label=label", *options]
        assert main(["evaluate", name, *arguments, "--json"]) == 0
        result = json.loads(capsys.readouterr().out)
        assert (result["texts"], result["accuracy"]) == (3, 1.0)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("id\ttext\n1\tgood\n2\tbad\n", ["good", "bad"]),
        ("number\ttext\n1\tgood film\n2\tbad film\n", ["good film", "bad film"]),
        ('text\tlabel\n"a ""b"" c"\tham\n', ['a "b" c']),
    ],
)
def test_a_header_is_recognized_by_a_classifier_of_a_file_without(
    content: str, expected: list[str]
) -> None:
    name = sms_classifier()
    Path("new.tsv").write_text(content)
    assert texts(predict("--input", "new.tsv", classifier=name)) == expected


def test_a_file_without_header_is_still_read_as_in_training(
    capsys: pytest.CaptureFixture[str],
) -> None:
    name = sms_classifier()
    Path("new.tsv").write_text('ham\tOk\nham\t"Great" film\nspam\t"call" now\n')
    read = predict("--input", "new.tsv", classifier=name)
    assert texts(read, "2") == ["Ok", '"Great" film', '"call" now']
    assert "not read as in training" not in capsys.readouterr().err


def test_a_header_without_the_text_column_is_an_error_whose_advice_works(
    capsys: pytest.CaptureFixture[str],
) -> None:
    name = sms_classifier()
    Path("new.tsv").write_text("code\tbody\n1\tgood film\n2\tbad film\n")
    assert main(["predict", name, "--input", "new.tsv", "--output", "o.csv"]) == 1
    assert "has no column '2'; it has: code, body.\nSet the column" in capsys.readouterr().err
    assert main(["predict", name, "--input", "new.tsv", "--output", "o.csv"]) == 1
    assert "if its first row is no header, data.header=false" in capsys.readouterr().err
    read = predict("--input", "new.tsv", "data.header=false", classifier=name)
    assert texts(read, "2") == ["body", "good film", "bad film"]
    read = predict("--input", "new.tsv", "data.text=body", classifier=name)
    assert texts(read, "body") == ["good film", "bad film"]


def test_another_delimiter_than_that_of_the_training() -> None:
    Path("train.csv").write_text("good, film;pos\nbad film;neg\n")
    options = ("data.header=false", "data.delimiter=semicolon", "data.text=1", "data.label=2")
    name = saved_with("data.path=train.csv", *options)
    assert main(["predict", name, "--input", "train.csv", "--output", "out.csv"]) == 0
    again = predict("--input", "out.csv", classifier=name)
    assert texts(again, "1") == ["good, film", "bad film"]
    Path("new.csv").write_text("text,label\ngood film,pos\nbad film,neg\n")
    assert texts(predict("--input", "new.csv", classifier=name)) == ["good film", "bad film"]
    Path("new.csv").write_text("good film,pos\nbad film,neg\n")
    assert texts(predict("--input", "new.csv", classifier=name), "1") == ["good film", "bad film"]


def test_quotes_of_predictions_are_read_by_a_classifier_without_quoting() -> None:
    Path("train.tsv").write_text('text\tlabel\ngood "x film\tham\nbad film\tspam\n')
    name = saved_with("data.path=train.tsv", "data.quoting=false")
    Path("new.tsv").write_text('text\tn\ngood "x film\t1\nbad film\t2\n')
    assert main(["predict", name, "--input", "new.tsv", "--output", "out.tsv"]) == 0
    Path("out.tsv").write_text(Path("out.tsv").read_text().replace("label\tscore", "a\tb"))
    assert texts(predict("--input", "out.tsv", classifier=name)) == ['good "x film', "bad film"]


def test_a_classifier_of_pairs_needs_both_columns(capsys: pytest.CaptureFixture[str]) -> None:
    Path("train.csv").write_text("q,a,label\nw2,w3,0\nw4,w5,1\n")
    name = saved_with("data.path=train.csv", "data.text=[q,a]", "data.separator_token=true")
    Path("new.csv").write_text("text\nw2 w3\n")
    assert main(["predict", name, "--input", "new.csv", "--output", "o.csv"]) == 1
    message = capsys.readouterr().err
    assert "has no column 'q'" in message
    assert "data.text=COLUMN" in message
    assert texts(predict("--input", "new.csv", "data.text=text", classifier=name)) == ["w2 w3"]


def test_the_only_column_is_named_as_its_header_may_be_a_text(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("new.csv").write_text("good film\nbad film\n")
    assert texts(predict("--input", "new.csv"), "good film") == ["bad film"]
    assert "whose header is 'good film'; if this is a text, set data.header=false" in (
        capsys.readouterr().err
    )
    read = predict("--input", "new.csv", "data.header=false")
    assert texts(read, "1") == ["good film", "bad film"]


@pytest.mark.parametrize("kind", ["csv", "tsv"])
def test_texts_like_the_null_of_postgresql_are_read_back(kind: str) -> None:
    strange = [r"\N", 'say "hi"', r"C:\temp", "x", "two\nlines"]
    Path("in.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in strange))
    assert main(["predict", "classifier", "--input", "in.jsonl", "--output", f"out.{kind}"]) == 0
    assert texts(predict("--input", f"out.{kind}")) == strange


def test_labels_of_lines_are_recognized_in_the_encoding_of_the_training() -> None:
    names = ["négatif", "déçu", *tiny_parts()["labels"][2:]]
    lines = "négatif w2 w3\ndéçu w4 w5\n".encode("cp1252")
    Path("train.txt").write_bytes(lines)
    options = {"format": "lines", "encoding": "cp1252"}
    entry = Entry(Path("train.txt"), FileOptions(), "txt")
    assert has_labels(entry, options, set(names))
    assert not has_labels(entry, {"format": "lines"}, set(names))


def test_lines_without_labels_are_texts_for_a_classifier_of_labelled_lines(
    capsys: pytest.CaptureFixture[str],
) -> None:
    first, second = tiny_parts()["labels"][:2]
    Path("train.txt").write_text(f"{first} w2 w3\n{second} w4 w5\n")
    name = saved_with("data.path=train.txt", "data.format=lines")
    assert texts(predict("--input", "train.txt", classifier=name)) == ["w2 w3", "w4 w5"]
    Path("plain.txt").write_text("nice film\ndull film\n")
    capsys.readouterr()
    assert texts(predict("--input", "plain.txt", classifier=name)) == ["nice film", "dull film"]
    assert "not read as in training (data.format=lines)" in capsys.readouterr().err
    read = predict("--input", "plain.txt", "data.format=lines", classifier=name)
    assert texts(read) == ["film", "film"]
    Path("train.txt").write_text("__label__a w2\n__label__b w3\n")
    name = saved_with("data.path=train.txt", "data.format=fasttext")
    (row, _) = predict("--input", "plain.txt", classifier=name)
    assert row["text"] == "nice film"
    assert "predicted_label" not in row


@pytest.mark.parametrize("rows", [1, 3])
def test_line_ends_of_old_macs(rows: int) -> None:
    Path("in.csv").write_bytes(b"n,text\r" + b"1,good film\r" * rows)
    assert texts(predict("--input", "in.csv")) == ["good film"] * rows


@pytest.mark.parametrize("kind", ["txt", "jsonl"])
def test_a_pipe_that_is_not_utf8_names_the_option_that_reads_it(kind: str) -> None:
    content = {"txt": "gut é\n", "jsonl": '{"text": "gut é"}\n'}[kind].encode("cp1252")
    command = [sys.executable, "-m", "nlp_rnn", "predict", "classifier", f"data.format={kind}"]
    done = subprocess.run(command, input=content, capture_output=True)
    message = done.stderr.decode()
    assert "standard input is not UTF-8: it has the byte 0xE9.\nSet data.encoding" in message
    command += ["data.encoding=cp1252", "--output", "o.jsonl"]
    done = subprocess.run(command, input=content, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(Path("o.jsonl").read_text())["text"] == "gut é"


def test_fields_of_nested_columns_are_no_columns_of_csv(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("train.jsonl").write_text('{"u": {"text": "w2"}, "label": 0}\n' * 2)
    name = saved_with("data.path=train.jsonl", "data.text=u.text")
    for kind in ("csv", "jsonl"):
        out = ["--output", f"out.{kind}"]
        Path("new.jsonl").write_text('{"u": {"text": "w2"}}\n' * 2)
        assert main(["predict", name, "--input", "new.jsonl", *out]) == 0
    arguments = ["data=files", "data.path=out.csv"]
    capsys.readouterr()
    assert main(["evaluate", name, *arguments]) == 1
    message = capsys.readouterr().err
    assert "has no column 'u.text'; it has: u, label, score" in message
    assert "write the data as one of them" in message
    assert main(["evaluate", name, "data=files", "data.path=out.jsonl", "--json"]) == 0


# What is probably no text, and advice for predictions


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("in.csv", "body,n\nw2 w3,1\nw4 w5,2\n"),
        ("in.csv", "1,w2 w3 w4\n2,w5 w6 w7\n3,w5 w6 w7\n"),
        ("in.csv", "| body | n |\n|----|---|\n| w2 | 1 |\n"),
        ("in.json", '[["w2 w3", 1], ["w4 w5", 2]]'),
    ],
)
def test_advice_for_predictions_names_no_label(
    name: str, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(name).write_text(content)
    message = refusal(capsys, "--input", name)
    assert "data.label" not in message
    assert len(message.splitlines()) == 2
    if options := re.findall(r"data\.\w+=[\w]+", message.replace("data.text=COLUMN", "")):
        assert len(predict("--input", name, *options)) == len(content.splitlines())


def test_texts_that_look_like_tokens_or_rows_are_noted(capsys: pytest.CaptureFixture[str]) -> None:
    for values, note in (
        ([str(text.split()) for text in TEXTS], "all 8 texts look like lists of tokens"),
        ([f"7;{text}" for text in TEXTS], "each text has 1 × ';'"),
    ):
        pd.DataFrame({"text": values}).to_json("in.jsonl", orient="records", lines=True)
        assert texts(predict("--input", "in.jsonl")) == values
        assert f"in.jsonl: {note}" in capsys.readouterr().err
    pd.DataFrame({"text": TEXTS}).to_json("in.jsonl", orient="records", lines=True)
    predict("--input", "in.jsonl")
    assert "texts" not in capsys.readouterr().err


def test_lines_of_a_table_empty_lines_and_line_ends_of_old_macs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("in.txt").write_text("id,text\n" + "".join(f"{i},{text}\n" for i, text in enumerate("ab")))
    assert len(predict("--input", "in.txt")) == 3
    message = capsys.readouterr().err
    assert "in.txt: line 1 looks like a header, 'id,text'" in message
    option = re.search(r"data\.format=\w+", message)
    assert option
    assert texts(predict("--input", "in.txt", option[0])) == ["a", "b"]
    Path("in.txt").write_text("w2\n\nw3\n\n")
    assert texts(predict("--input", "in.txt")) == ["w2", "", "w3", ""]
    assert "in.txt: 2 of 4 texts are empty" in capsys.readouterr().err
    Path("in.txt").write_bytes(b"w2 w3\rw4\r")
    assert texts(predict("--input", "in.txt")) == ["w2 w3", "w4"]


@pytest.mark.parametrize("content", ['"w2 w3"\n"w4"\n', '["w2 w3", "w4", "w5"]'])
def test_strings_in_json_are_no_rows(content: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("in.jsonl").write_text(content)
    assert "is not an object" in refusal(capsys, "--input", "in.jsonl")
