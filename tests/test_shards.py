"""Shards of a split whose columns have different types, and columns of types nobody asked for."""

import datetime
import json
import re
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pyarrow
import pytest
from pyarrow import parquet

from nlp_rnn.config.checks import check
from nlp_rnn.data.corpus import load_corpus
from nlp_rnn.errors import NlpRnnError
from nlp_rnn.sources.source import read_source
from tests.composing import compose

pytestmark = pytest.mark.usefixtures("own_datasets_cache")

TEXTS = [f"film {i}" for i in range(20)]
LABELS = ["pos", "neg"] * 10


def rows(path: Path, *options: str) -> list[dict[str, Any]]:
    config = compose(["data=files", f"data.path='{path}'", *options])
    check(config)
    return list(read_source(config.data).splits["train"].to_list())


def labels(path: Path, *options: str) -> tuple[str, ...]:
    config = compose(["data=files", f"data.path='{path}'", *options])
    check(config)
    return load_corpus(config.data).labels


def refusal(path: Path, *options: str) -> str:
    with pytest.raises(NlpRnnError) as caught:
        rows(path, *options)
    message = str(caught.value)
    assert len(message.splitlines()) == 2
    return message


def lines(*cells: str) -> str:
    return "text,label\n" + "".join(f"a {i},{cell}\n" for i, cell in enumerate(cells * 5))


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (("0", "1"), ("0.0", "1.0"), ("0", "1")),
        (("0", "1"), ("0.0", "1.0", ""), ("0", "1")),
        (("0.0", "1.0"), ("0", "1"), ("0", "1")),
        (("0.0", "1.0", ""), ("1.0", "x"), ("0.0", "1.0", "x")),
        (("0.0", "2.0"), ("0.0", "1.5"), ("0.0", "1.5", "2.0")),
        (("-1.0", "1.0"), ("-1", "1", "2"), ("-1", "1", "2")),
        (("x", "y"), ("x", ""), ("x", "y")),
    ],
)
def test_csv_shards_have_no_types(tmp_path, first, second, expected):
    (tmp_path / "train-1.csv").write_text(lines(*first))
    (tmp_path / "train-2.csv").write_text(lines(*second))
    assert labels(tmp_path) == expected


def test_parquet_and_json_shards_of_numbers_and_of_text(tmp_path):
    for kind, write in (
        ("parquet", lambda table, path: table.to_parquet(path)),
        ("jsonl", lambda table, path: table.to_json(path, orient="records", lines=True)),
    ):
        folder = tmp_path / kind
        folder.mkdir()
        for number, values in enumerate(([0, 1] * 10, ["1", "2b"] * 10)):
            write(pd.DataFrame({"text": TEXTS, "label": values}), folder / f"train-{number}.{kind}")
        assert labels(folder) == ("0", "1", "2b")


def test_shards_whose_class_labels_have_another_order(tmp_path):
    for number, names in enumerate((["neg", "pos"], ["pos", "neg"], ["pos", "neg", "other"])):
        features = datasets.Features(
            {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=names)}
        )
        table = datasets.Dataset.from_dict(
            {"text": TEXTS, "label": [names.index(label) for label in LABELS]}, features
        )
        table.to_parquet(tmp_path / f"train-{number}.parquet")
    assert [row["label"] for row in rows(tmp_path)] == LABELS * 3
    assert labels(tmp_path) == ("neg", "pos")


def test_shards_that_cannot_be_read_together_name_their_types(tmp_path):
    for number, value in enumerate(("pos", ["pos", "neg"])):
        table = pyarrow.table({"text": TEXTS, "label": [value] * 20})
        parquet.write_table(table, tmp_path / f"train-{number}.parquet")
    message = refusal(tmp_path)
    assert "train-1.parquet: the column 'label' does not have the type that it has in" in message


DATES = ["2024-01-01", "2024-12-31", "2024-01-01 10:00", "2024-01-01T10:00:00Z", "2024-01-01T10:00"]


@pytest.mark.parametrize("date", DATES)
@pytest.mark.parametrize("layout", ["jsonl", "json", "nested", "list", "text", "joined"])
def test_strings_of_json_that_look_like_dates_are_strings(tmp_path, date, layout):
    path = tmp_path / ("a.json" if layout == "json" else "a.jsonl")
    record: dict[str, Any] = {"text": "a", "label": date}
    options: tuple[str, ...] = ()
    if layout == "nested":
        record, options = {"u": record}, ("data.text=u.text", "data.label=u.label")
    elif layout == "list":
        record["label"] = [date]
    elif layout == "text":
        record = {"text": date, "label": "x"}
    elif layout == "joined":
        record = {"title": date, "body": "b", "label": "x"}
        options = ("data.text=[title,body]",)
    content = json.dumps([record] * 3) if layout == "json" else f"{json.dumps(record)}\n" * 3
    path.write_text(content)
    for row in rows(path, *options):
        assert date in json.dumps(row)


def test_dates_of_parquet_are_labels(tmp_path):
    path = tmp_path / "a.parquet"
    dates = [datetime.date(2024, 1, 1 + i % 2) for i in range(20)]
    parquet.write_table(pyarrow.table({"text": TEXTS, "label": dates}), path)
    assert labels(path) == ("2024-01-01", "2024-01-02")


UNUSED = {
    "map": pyarrow.array([[("a", 1)]] * 20, pyarrow.map_(pyarrow.string(), pyarrow.int32())),
    "list_view": pyarrow.array([["a"]] * 20, pyarrow.list_view(pyarrow.string())),
    "run_end": pyarrow.RunEndEncodedArray.from_arrays([20], ["x"]),
    "map_in_struct": pyarrow.array(
        [{"m": [("a", 1)]}] * 20,
        pyarrow.struct([("m", pyarrow.map_(pyarrow.string(), pyarrow.int32()))]),
    ),
    "interval": pyarrow.nulls(20, pyarrow.month_day_nano_interval()),
}


def write_arrow(table: pyarrow.Table, path: Path, form: str) -> None:
    if form == "parquet":
        parquet.write_table(table, path)
    else:
        new = pyarrow.ipc.new_file if form == "file" else pyarrow.ipc.new_stream
        with new(str(path), table.schema) as writer:
            writer.write_table(table)


@pytest.mark.parametrize("kind", UNUSED)
@pytest.mark.parametrize("form", ["parquet", "file", "stream"])
def test_an_unused_column_of_any_type_does_not_stop_the_reading(tmp_path, kind, form):
    path = tmp_path / ("a.parquet" if form == "parquet" else "a.arrow")
    table = pyarrow.table({"x": UNUSED[kind], "text": TEXTS, "label": LABELS})
    try:
        write_arrow(table, path, form)
    except pyarrow.ArrowNotImplementedError:
        pytest.skip(f"pyarrow cannot write {kind} to parquet")
    assert [row["label"] for row in rows(path)] == LABELS
    message = refusal(path, "data.label=x") if kind.startswith("map") else ""
    if kind == "map":
        (label,) = re.findall(r"to others: (\w+)$", message)
        assert [row["label"] for row in rows(path, f"data.label={label}")] == LABELS


@pytest.mark.parametrize("form", ["file", "stream"])
def test_views_and_run_ends_are_read_as_what_they_hold(tmp_path, form):
    path = tmp_path / "a.arrow"
    table = pyarrow.table(
        {
            "text": pyarrow.array(TEXTS, pyarrow.string_view()),
            "label": pyarrow.RunEndEncodedArray.from_arrays([10, 20], ["pos", "neg"]),
            "tags": pyarrow.array([["a", "b"], ["b"]] * 10, pyarrow.list_view(pyarrow.string())),
        }
    )
    write_arrow(table, path, form)
    assert [row["text"] for row in rows(path)] == TEXTS
    assert [row["label"] for row in rows(path)] == ["pos"] * 10 + ["neg"] * 10
    assert labels(path, "data.label=tags") == ("a", "b")


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_names_of_class_labels_stay_beside_a_column_of_any_type(tmp_path, kind):
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])}
    )
    rows = {"text": [f"film {i}" for i in range(20)], "label": [i % 2 for i in range(20)]}
    table = datasets.Dataset.from_dict(rows, features=features).data.table
    maps = pyarrow.array([[("k", 1)]] * 20, pyarrow.map_(pyarrow.string(), pyarrow.int64()))
    table = table.append_column("m", maps)
    path = tmp_path / f"a.{kind}"
    if kind == "parquet":
        parquet.write_table(table, path)
    else:
        with pyarrow.ipc.new_file(path, table.schema) as file:
            file.write_table(table)
    assert labels(path) == ("neg", "pos")
