"""Layouts of json files, and long json lines with columns that nobody asked for."""

import gzip
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from nlp_rnn.config.signature import signature
from nlp_rnn.errors import NlpRnnError
from nlp_rnn.sources.file_format import FileOptions
from nlp_rnn.sources.streams import find_streams, open_stream
from tests.composing import compose
from tests.reading import load

pytestmark = pytest.mark.usefixtures("own_datasets_cache")

ROWS = [{"text": "a", "label": "x"}, {"text": "b\nü", "label": "y"}]


def rows(path: Path, *options: str) -> list[dict[str, Any]]:
    train = load(path, *options).splits["train"]
    return list(train.select_columns(sorted(train.column_names, reverse=True)).to_list())


def refusal(path: Path, *options: str) -> str:
    with pytest.raises(NlpRnnError) as caught:
        load(path, *options)
    message = str(caught.value)
    assert len(message.splitlines()) <= 2
    return message


def write(path: Path, content: Any, indent: int | None = None) -> Path:
    raw = json.dumps(content, indent=indent).encode()
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
    return path


INSIDE = {
    "data": {"data": ROWS},
    "rows": {"version": 1, "rows": ROWS, "more": {"a": [1]}},
    "result.items": {"status": "ok", "result": {"items": ROWS, "total": 2}},
}


@pytest.mark.parametrize("key", INSIDE)
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("name", ["a.json", "a.json.gz"])
def test_rows_inside_an_object(tmp_path, key, indent, name):
    path = write(tmp_path / name, INSIDE[key], indent)
    assert rows(path) == ROWS
    assert load(path).notes == (f"{name}: the rows are those of {key} (data.rows={key})",)
    assert rows(path, f"data.rows={key}") == ROWS
    assert load(path, f"data.rows={key}").notes == ()


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("orient", ["records", "columns", "index", "split", "table", "list"])
def test_the_orientations_of_pandas(tmp_path, orient, indent):
    path = tmp_path / "a.json"
    frame = pd.DataFrame([{"id": 1} | row for row in ROWS])
    if orient == "list":
        write(path, frame.to_dict("list"), indent)
    else:
        frame.to_json(path, orient=orient, indent=indent)
    train = load(path).splits["train"].select_columns(["text", "label"])
    assert train.to_list() == ROWS


def test_columns_of_numbers_lists_and_nulls(tmp_path):
    path = write(tmp_path / "a.json", {"text": ["a", None], "label": [1, 2], "more": [0]})
    assert rows(path) == [{"text": "a", "label": 1}, {"text": None, "label": 2}]
    path = write(tmp_path / "b.json", {"text": ["a", "b"], "label": [["x"], []]})
    assert [row["label"] for row in rows(path)] == [["x"], []]
    # columns of different lengths are no table
    path = write(tmp_path / "c.json", {"text": ["a", "b"], "label": ["x"]})
    assert "label" in rows(path)[0]


def test_nested_columns_inside(tmp_path):
    path = write(tmp_path / "a.json", {"data": [{"say": {"text": "a"}, "label": "x", "n": None}]})
    assert rows(path, "data.text=say.text") == [{"say.text": "a", "label": "x"}]


@pytest.mark.parametrize("indent", [None, 1])
def test_several_splits_in_one_file(tmp_path, indent):
    more = [{"text": "c", "label": "x", "extra": 1}]
    path = write(
        tmp_path / "a.json", {"train": ROWS, "dev": more, "test": more, "info": {}}, indent
    )
    source = load(path)
    assert list(source.splits) == ["train", "validation", "test"]
    assert list(source.splits["test"]["text"]) == ["c"]
    assert source.notes == ("a.json: splits train, dev, test",)
    assert list(load(path, "data.rows=dev").splits["train"]["text"]) == ["c"]
    write(path, {"train": {"text": ["a"], "label": ["x"]}, "test": {"text": ["b"], "label": ["y"]}})
    assert {split: s["text"][0] for split, s in load(path).splits.items()} == {
        "train": "a",
        "test": "b",
    }


def test_several_lists_of_records_need_an_option(tmp_path):
    path = write(tmp_path / "a.json", {"old": ROWS[:1], "new": {"all": ROWS}})
    message = refusal(path)
    assert "several lists of records: old, new.all" in message
    assert rows(path, "data.rows=new.all") == ROWS
    assert rows(path, message.rpartition("such as ")[2]) == ROWS[:1]
    # only one of them has the columns
    write(path, {"users": [{"name": "n"}], "posts": ROWS})
    assert rows(path) == ROWS
    # neither has them: the error lists the columns
    write(path, {"posts": [{"body": "a", "stars": 5}]})
    assert "no column 'text'; it has: body, stars" in refusal(path)
    assert rows(path, "data.text=body", "data.label=stars") == [{"stars": 5, "body": "a"}]


def test_a_key_without_rows(tmp_path):
    path = write(tmp_path / "a.json", {"data": ROWS, "n": 2})
    message = refusal(path, "data.rows=items")
    assert "no list of records at data.rows=items" in message
    assert rows(path, message.rpartition("such as ")[2]) == ROWS
    write(path, ROWS)
    assert refusal(path, "data.rows=data").endswith("Remove data.rows.")
    assert rows(path) == ROWS
    lines = tmp_path / "a.jsonl"
    lines.write_text('{"text": "a", "label": "x"}\n')
    assert "data.rows does not apply to" in refusal(lines, "data.rows=data")
    assert len(rows(lines)) == 1


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_one_record_and_lines_of_records_are_what_they_were(tmp_path, name):
    path = tmp_path / name
    path.write_text('{"text": "a", "label": "x"}\n')
    assert rows(path) == ROWS[:1]
    path.write_text("\n".join(json.dumps(row) for row in ROWS))
    assert rows(path) == ROWS
    path.write_text('{"text": "a", "label": "x", "meta": [{"k": 1}]}')
    assert [row["text"] for row in rows(path)] == ["a"]


FIRST = [{"text": f"text {row}", "label": "x", "other": 1} for row in range(3000)]


@pytest.mark.parametrize(
    "last",
    [
        {"other": "one"},
        {"other": [1, 2]},
        {"other": {"a": 1}},
        {"other": None},
        {"other": float("nan")},
        {"other": 10**30},
        {"late": "key"},
        {"late": {"deep": [1, {"er": 2}]}},
    ],
)
@pytest.mark.parametrize("kind", ["jsonl", "json"])
@pytest.mark.parametrize("length", [1, 4000])  # the longer file is read in several pieces
def test_columns_that_nobody_asked_for_never_stop_the_reading(tmp_path, last, kind, length):
    records = [row | {"text": "w" * length} for row in FIRST]
    records.append({"text": "last", "label": "y"} | last)
    path = tmp_path / f"a.{kind}"
    path.write_text(
        json.dumps(records) if kind == "json" else "\n".join(json.dumps(r) for r in records)
    )
    train = load(path).splits["train"]
    assert len(train) == 3001
    assert (train["text"][3000], train["label"][3000]) == ("last", "y")


def test_a_repeated_key_that_nobody_asked_for(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a", "id": 1, "id": 2, "label": "x"}\n')
    assert rows(path) == ROWS[:1]
    path.write_text('{"text": "a", "text": "b", "label": "x"}\n')
    assert "Column(/text) was specified twice" in refusal(path)


@pytest.mark.parametrize(
    ("last", "what"),
    [
        (
            {"text": 5, "label": "x"},
            "column 'text' has values of different types: a number in row 3001, a string in",
        ),
        ({"text": ["b"], "label": "x"}, "different types: a list in row 3001"),
        ({"text": {"a": 1}, "label": "x"}, "different types: an object in row 3001"),
    ],
)
def test_a_wanted_column_that_changes_its_type_names_row_and_column(tmp_path, last, what):
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in [*FIRST, last]))
    assert what in refusal(path)
    path.write_text("\n".join(json.dumps(row) for row in [*FIRST, ROWS[0]]))
    assert len(load(path).splits["train"]) == 3001


def test_a_label_that_changes_its_type_late_names_row_and_column(tmp_path):
    path = tmp_path / "a.jsonl"
    long = [row | {"text": "w" * 4000} for row in FIRST]  # read in several pieces
    for label, kind in ((2, "a number"), ([1], "a list"), ({"a": 1}, "an object")):
        last = {"text": "b", "label": label}
        path.write_text("\n".join(json.dumps(row) for row in [*long, last]))
        message = refusal(path)
        assert f"column 'label' has values of different types: {kind} in row 3001" in message


def test_a_wanted_column_may_be_late_and_mix_whole_numbers_with_fractions(tmp_path):
    path = tmp_path / "a.jsonl"
    late = [{"text": "a", "other": 1}] * 3000 + [{"text": "b", "label": "x", "other": "s"}]
    path.write_text("\n".join(json.dumps(row) for row in late))
    assert load(path).splits["train"]["label"][2999:] == [None, "x"]
    numbers = [{"text": "a", "label": 1, "o": 1}, {"text": "b", "label": 1.5, "o": "s"}]
    path.write_text("\n".join(json.dumps(row) for row in numbers))
    assert [row["label"] for row in rows(path)][1] == 1.5


def test_data_rows_counts_in_a_signature_only_where_it_is_set():
    options = ["data=files", "data.path=/data/a.json"]
    base = signature(compose(options))
    assert signature(compose([*options, "data.rows=null"])) == base
    assert signature(compose([*options, "data.rows=data"])) != base


@pytest.mark.parametrize(
    ("name", "content", "number"),
    [
        ("a.jsonl", 'null\n{"text": "a", "label": 1}\n', 1),  # pyarrow ended the process
        ("a.jsonl", "null", 1),
        ("a.json", "null\n", 1),
        ("a.json", '[null, {"text": "a", "label": 1}]', 1),
        ("a.json", '\ufeff[\n  {"text": "a", "label": 1},\n  null\n]', 2),
        ("a.jsonl", '{"text": "a", "label": 1}\n null\n', 2),
    ],
)
def test_a_row_that_is_null_is_an_error(tmp_path, name, content, number):
    path = tmp_path / name
    path.write_text(content, "utf-8")
    assert f"row {number} is not an object: null.\nRemove it" in refusal(path)


def test_nulls_in_lists_and_texts_are_no_null_rows(tmp_path):
    records = [{"text": "a, null, b\nnull", "label": "x", "n": [None, 1]}] * 2
    for indent in (None, 1):
        assert rows(write(tmp_path / f"{indent}.json", records, indent))[1]["label"] == "x"


ADVISED = {
    "a log": "2024-05-01T10:00:00Z INFO {}",
    "a stream": "data: {}",
    "strings": None,
    "JavaScript": "window.YTD.part0 = [{}];",
}


@pytest.mark.parametrize("kind", ADVISED)
def test_records_with_something_around_them_are_converted(tmp_path, kind):
    lines = [json.dumps(row) for row in ROWS * 5]
    form = ADVISED[kind]
    if kind == "JavaScript":
        lines = [json.dumps(ROWS * 5)[1:-1]]
    lines = [json.dumps(line) if form is None else form.replace("{}", line) for line in lines]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(lines) + "\n")
    command = re.search(r"(?:Remove it|Convert the file|before the records): (.*)", refusal(path))
    assert command
    new = "b.json" if kind == "JavaScript" else "b.jsonl"
    run = command[1].replace("OLD", "a.jsonl").replace("NEW", new)
    subprocess.run(run, shell=True, check=True, cwd=tmp_path)
    assert rows(tmp_path / new) == ROWS * 5


@pytest.mark.parametrize("orient", ["index", "columns", "split"])
def test_the_keys_of_rows_are_a_column_of_predictions(tmp_path, orient):
    path = tmp_path / "a.json"
    pd.DataFrame(ROWS, index=["r7", "r9"]).to_json(path, orient=orient)
    assert rows(path) == ROWS
    (entry,) = find_streams(path, ["text"], [], FileOptions())["train"]
    (block,) = open_stream(entry, ["text"], []).blocks
    keys = [{"index": key} for key in ("r7", "r9")]
    assert block == [key | row for key, row in zip(keys, ROWS, strict=True)]
    pd.DataFrame(ROWS).to_json(path, orient=orient)
    (block,) = open_stream(entry, ["text"], []).blocks
    assert block == ROWS
