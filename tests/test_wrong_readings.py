"""Files that readers accept although their rows, texts or labels come out wrong."""

import csv
import json
import subprocess
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from nlp_rnn.config.checks import check
from nlp_rnn.config.data import DataConfig
from nlp_rnn.data.corpus import Corpus, load_corpus
from nlp_rnn.errors import NlpRnnError
from nlp_rnn.sources.source import read_source
from tests.composing import compose

pytestmark = pytest.mark.usefixtures("own_datasets_cache")

LABELS = ["pos", "pos", "neg", "neg"]


def configured(path: Path, *options: str) -> DataConfig:
    config = compose(["data=files", f"data.path='{path}'", *options])
    check(config)
    return config.data


def corpus(path: Path, *options: str) -> Corpus:
    return load_corpus(configured(path, *options))


def rows(path: Path, *options: str) -> list[dict[str, Any]]:
    return list(read_source(configured(path, *options)).splits["train"].to_list())


def refusal(path: Path, *options: str) -> str:
    with pytest.raises(NlpRnnError) as caught:
        corpus(path, *options)
    message = str(caught.value)
    assert len(message.splitlines()) <= 2
    return message


def write(path: Path, *lines: str, end: str = "\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(line + end for line in lines).encode())
    return path


# --- quotes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_quotes_that_only_begin_cells_do_not_swallow_rows(tmp_path, delimiter, end):
    lines = [f'"unbalanced {i}{delimiter}{LABELS[i % 4]}' for i in range(20)]
    path = write(tmp_path / "a.csv", delimiter.join(["text", "label"]), *lines, end=end)
    message = refusal(path)
    assert message.startswith(f'{path}: a quote in line 2 is not closed in this line: "unbal')
    assert "data.quoting=false" in message
    texts = [row["text"] for row in rows(path, "data.quoting=false")]
    assert texts == [f'"unbalanced {i}' for i in range(20)]


@pytest.mark.parametrize("column", ["text", "note"])
def test_a_pair_of_quotes_in_neighbouring_rows_is_found_in_any_column(tmp_path, column):
    cells = [
        {"id": str(i), "note": "n", "text": f"text {i}", "label": LABELS[i % 4]} for i in range(40)
    ]
    cells[10][column] = '"open a'
    cells[11][column] = '"open b'
    path = write(tmp_path / "a.csv", "id,note,text,label", *(",".join(c.values()) for c in cells))
    assert "a quote in line 12 is not closed" in refusal(path)
    assert len(rows(path, "data.quoting=false")) == 40


def test_cells_of_several_lines_with_quotes_and_delimiters_are_no_fault(tmp_path):
    texts = ['say "x",\n"y"', '"\n"', ",\n,", 'a\r\nb,"', '5" pipe', "plain"]
    table = pd.DataFrame({"text": texts * 3, "label": ["a", "b", "c"] * 6})
    for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL):
        table.to_csv(path := tmp_path / f"{quoting}.csv", index=False, quoting=quoting)
        assert [row["text"] for row in rows(path)] == texts * 3
    path = write(tmp_path / "b.csv", "text,label", 'a 5" pipe,x', '"two\nlines" ,y', "c,x", "d,y")
    assert [row["text"] for row in rows(path)] == ['a 5" pipe', "two\nlines ", "c", "d"]


# --- labels ---------------------------------------------------------------------------------


def labelled(path: Path, labels: list[str], repeats: int = 4) -> Path:
    cells = [label for _ in range(repeats) for label in labels]
    table = pd.DataFrame({"text": [f"text {i}" for i in range(len(cells))], "label": cells})
    table.to_csv(path, index=False)
    return path


@pytest.mark.parametrize(
    ("labels", "note"),
    [
        (["1", "1.0", "2"], "are spelled alike are different classes: '1' (4) and '1.0' (4)"),
        (["pos", "pos\u200b", "neg"], r"'pos' (4) and 'pos\u200b' (4)"),
        (["caf\u00e9", "cafe\u0301", "neg"], r"'cafe\u0301' (4) and 'café' (4)"),
        (["ａ", "a", "b"], "'a' (4) and 'ａ' (4)"),
        (["a b", "a  b", "a\u00a0b", "c"], "'a  b' (4) and 'a b' (4) and 'a\\xa0b' (4)"),
    ],
)
def test_labels_that_look_alike_are_noted(tmp_path, labels, note):
    loaded = corpus(labelled(tmp_path / "a.csv", labels))
    assert len(loaded.labels) == len(labels)
    assert any(note in line for line in loaded.notes), loaded.notes


def test_the_note_on_look_alikes_says_how_to_merge_them(tmp_path):
    path = labelled(tmp_path / "a.csv", ["1", "1.0", "2"])
    message = refusal(path, "data.label_names={1:one,2:two}")
    assert r"{1.0\ :NAME,…}" in message
    loaded = corpus(path, r"data.label_names={1:one,1.0\ :one,2:two}")
    assert loaded.labels == ("one", "two")


@pytest.mark.parametrize("value", ["NA", "NULL", "null", "None", "nan", "#N/A", "<NA>"])
def test_labels_that_mean_a_missing_value_are_noted(tmp_path, value):
    loaded = corpus(labelled(tmp_path / "a.csv", ["pos", "neg", value]))
    assert value in loaded.labels
    assert any(f"{value!r} (4)" in line and "remove these rows" in line for line in loaded.notes)
    loaded = corpus(labelled(tmp_path / "b.csv", ["pos", "neg", "none", "na"]))
    assert not any("missing value" in line for line in loaded.notes)


@pytest.mark.parametrize("option", ["data.text=label", "data.text=[text,label]"])
def test_the_label_cannot_be_part_of_the_text(tmp_path, option):
    path = labelled(tmp_path / "a.csv", ["a", "b"])
    assert "both name the column 'label'" in refusal(path, option)


@pytest.mark.parametrize(
    "cells",
    [
        ["{a,b}", "{c}", "{}"],
        ['{a,"b c"}', "{c,d}", "{a}"],
        ["('a', 'b')", "('c',)", "()"],
        ["{'a', 'b'}", "{'c'}", "set()"],
        ["array(['a', 'b'], dtype=object)", "array(['c'], dtype=object)", "array([])"],
        ["['a' 'b']", "['c']", "[]"],
    ],
)
def test_arrays_tuples_and_sets_in_cells_are_lists(tmp_path, cells):
    loaded = corpus(labelled(tmp_path / "a.csv", cells, repeats=6))
    assert loaded.task == "multi_label"
    assert {"a", "c"} < {*loaded.labels}
    assert any("read as lists" in line for line in loaded.notes)


@pytest.mark.parametrize(
    "cells",
    [["(a)", "(b)"], ["(1)", "(2)"], ['{"a": 1}', '{"b": 2}'], ["{a: 1}", "{b: 2}"], ["(a", "b)"]],
)
def test_brackets_that_are_no_lists_are_text(tmp_path, cells):
    loaded = corpus(labelled(tmp_path / "a.csv", cells, repeats=10))
    assert loaded.task == "single_label"
    assert set(loaded.labels) == set(cells)


@pytest.mark.parametrize("marks", [("1", ""), ("x", ""), ("1.0", ""), ("TRUE", "")])
def test_columns_of_classes_with_marks_only(tmp_path, marks):
    one, zero = marks
    table = pd.DataFrame(
        {
            "text": [f"text {i}" for i in range(30)],
            "rude": [one if i % 3 == 0 else zero for i in range(30)],
            "spam": [one if i % 2 == 0 else zero for i in range(30)],
        }
    )
    table.to_csv(path := tmp_path / "a.csv", index=False)
    loaded = corpus(path, "data.label=[rude,spam]")
    assert len(loaded.train) + len(loaded.validation) + len(loaded.test) == 30
    assert any("empty cells are read as 0" in line for line in loaded.notes)
    for row in loaded.train.to_list():
        number = int(row["text"].split()[1])
        assert row["label"] == [number % 3 == 0, number % 2 == 0]


@pytest.mark.parametrize("marks", [("yes", "no"), ("Y", "N"), ("t", "f")])
def test_columns_of_classes_with_words(tmp_path, marks):
    table = pd.DataFrame({"text": [f"text {i}" for i in range(30)]})
    table["rude"] = [marks[i % 3 > 0] for i in range(30)]
    table["spam"] = [marks[i % 2] for i in range(30)]
    table.to_csv(path := tmp_path / "a.csv", index=False)
    loaded = corpus(path, "data.label=[rude,spam]")
    for row in loaded.train.to_list():
        number = int(row["text"].split()[1])
        assert row["label"] == [number % 3 == 0, number % 2 == 0]


def test_columns_that_are_named_by_numbers(tmp_path):
    table = pd.DataFrame([[f"text {i}", LABELS[i % 4]] for i in range(20)])
    table.to_csv(path := tmp_path / "a.csv")  # columns '', 0 and 1
    loaded = corpus(path, "data.text=0", "data.label=1")
    assert loaded.labels == ("neg", "pos")
    assert loaded.train[0]["text"].startswith("text ")


@pytest.mark.parametrize("kind", ["string", "binary", "large_binary"])
def test_text_that_parquet_stores_as_bytes(tmp_path, kind):
    import pyarrow
    from pyarrow import parquet

    texts = [f"schön {i}" for i in range(20)]
    table = pyarrow.table(
        {
            "text": pyarrow.array([text.encode() for text in texts], kind),
            "label": pyarrow.array([LABELS[i % 4].encode() for i in range(20)], kind),
        }
    )
    parquet.write_table(table, path := tmp_path / "a.parquet")
    loaded = corpus(path)
    assert loaded.labels == ("neg", "pos")
    assert loaded.train[0]["text"] in texts
    table = table.set_column(0, "text", pyarrow.array([b"sch\xf6n"] * 20, pyarrow.binary()))
    parquet.write_table(table, path := tmp_path / "b.parquet")
    assert "not UTF-8" in refusal(path)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("values", "labels"),
    [
        (["2024-01-01", "2024-02-01"], ("2024-01-01", "2024-02-01")),
        (["2024-01-01 10:00:00", "2024-02-01"], ("2024-01-01 10:00:00", "2024-02-01 00:00:00")),
    ],
)
@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_dates_are_labels(tmp_path, kind, values, labels, zone):
    times = pd.to_datetime(pd.Series(values * 10), format="mixed")
    if kind == "parquet":
        times = times.dt.tz_localize(zone)
    table = pd.DataFrame({"text": [f"t {i}" for i in range(20)], "label": times})
    path = tmp_path / f"a.{kind}"
    table.to_csv(path, index=False) if kind == "csv" else table.to_parquet(path)
    assert corpus(path).labels == labels


def test_dates_and_times_are_told_apart_over_all_splits(tmp_path):
    for split, values in (("train", ["2024-01-01", "2024-02-01"]), ("test", ["2024-01-01 10:30"])):
        times = pd.to_datetime(pd.Series(values * 10), format="mixed")
        table = pd.DataFrame({"text": [f"{split} {i}" for i in range(len(times))], "label": times})
        table.to_parquet(tmp_path / f"{split}.parquet")
    labels = ("2024-01-01 00:00:00", "2024-02-01 00:00:00", "2024-01-01 10:30:00")
    assert corpus(tmp_path).labels == labels


# --- quotes in other columns, at the end, and around parts of cells ---------------------------


def film(number: int, **cells: str) -> str:
    row = {
        "id": str(number),
        "author": "Bob",
        "text": f"film {number}",
        "label": LABELS[number % 4],
    }
    return ",".join([*(row | cells).values()])


@pytest.mark.parametrize("end", ["\n", ""])
@pytest.mark.parametrize("packed", [False, True])
def test_an_unclosed_quote_in_a_column_that_is_not_used(tmp_path, end, packed):
    import gzip

    lines = ["id,author,text,label,note"]
    lines += [film(i) + (',"open' if i == 27 else ",ok") for i in range(1000)]
    path = write(tmp_path / "a.csv", *lines[:-1])
    path.write_bytes(path.read_bytes() + (lines[-1] + end).encode())
    if packed:
        packed_path = tmp_path / "a.csv.gz"
        packed_path.write_bytes(gzip.compress(path.read_bytes()))
        path = packed_path
    message = refusal(path)
    assert f'{path}: a quote in line 29 is not closed in this line: "open' in message
    assert len(rows(path, "data.quoting=false")) == 1000


@pytest.mark.parametrize("second", ['"Al', '12" disk'])
def test_two_quotes_far_apart_in_a_column_that_is_not_used(tmp_path, second):
    lines = [
        film(i, **({7: {"author": '"Bob'}, 907: {"author": second}}.get(i, {})))
        for i in range(1000)
    ]
    path = write(tmp_path / "a.csv", "id,author,text,label", *lines)
    assert "a quote in line 9 is not closed" in refusal(path)
    (tmp_path / "f").mkdir()
    write(tmp_path / "f" / "train.csv", "id,author,text,label", *map(film, range(50)))
    write(tmp_path / "f" / "test.csv", "id,author,text,label", *lines)
    assert "test.csv: a quote in line 9 is not closed" in refusal(tmp_path / "f")


def test_whole_rows_within_a_closed_cell_of_any_column_are_noted(tmp_path):
    lines = [
        film(i, **({7: {"author": '"Bob'}, 30: {"author": 'Al"'}}.get(i, {}))) for i in range(99)
    ]
    path = write(tmp_path / "a.csv", "id,author,text,label", *lines)
    notes = corpus(path).notes
    assert any("1 cell contains what looks like whole rows" in note for note in notes)
    assert len(rows(path, "data.quoting=false")) == 99


def test_texts_of_several_lines_with_delimiters_are_no_rows(tmp_path):
    texts = [f"first {i}\nsecond; third\nfourth" for i in range(30)]
    table = pd.DataFrame({"text": texts, "label": [LABELS[i % 4] for i in range(30)]})
    table.to_csv(path := tmp_path / "a.csv", index=False, sep=";")
    assert not any("whole rows" in note for note in corpus(path).notes)


@pytest.mark.parametrize("last", ['"film x","po', '"film x","', '"film x,', '"a ""b'])
def test_a_file_that_ends_within_a_quote_is_cut_off(tmp_path, last):
    lines = [f'"film {i}","{LABELS[i % 4]}"' for i in range(20)]
    path = write(tmp_path / "a.csv", '"text","label"', *lines)
    path.write_bytes(path.read_bytes() + last.encode())
    assert "in line 22 is not closed" in refusal(path) or "syntax error" in refusal(path)


def test_blanks_before_quotes_and_quotes_around_parts_are_noted(tmp_path):
    lines = [f'pos, "quoted ""text"" {i}"' if i % 2 else f'neg, "plain {i}"' for i in range(20)]
    notes = corpus(write(tmp_path / "a.csv", "label,text", *lines)).notes
    assert any('a blank before "plain 0"' in note for note in notes)
    lines = [f'{LABELS[i % 4]},"hello" said {i}' for i in range(20)]
    path = write(tmp_path / "b.csv", "label,text", *lines)
    assert any('enclose only a part of "hello" said 0' in note for note in corpus(path).notes)
    assert rows(path, "data.quoting=false")[1]["text"] == '"hello" said 1'
    texts = ['"hello" said', 'a, "b" c', '\n"x" y', "plain"] * 5
    table = pd.DataFrame({"text": texts, "label": [LABELS[i % 4] for i in range(20)]})
    table.to_csv(path := tmp_path / "c.csv", index=False)
    assert not any("quote" in note for note in corpus(path).notes)
    assert [row["text"] for row in rows(path)] == texts


@pytest.mark.parametrize(
    ("row", "note"),
    [
        ('pos,"hello" said 7', 'enclose only a part of "hello" said 7'),
        ('pos, "a blank before"', 'a blank before "a blank before"'),
    ],
)
def test_quotes_of_a_late_row_are_noted(tmp_path, row, note):
    lines = [f'{LABELS[i % 4]},"he said ""hi"" to film {i}, twice"' for i in range(40_000)]
    path = write(tmp_path / "a.csv", "label,text", *lines, row, *lines[:10])
    assert any(note in line for line in read_source(configured(path)).notes)
    path = write(tmp_path / "b.csv", "label,text", *lines, 'neg,he said "hi" to, x'[:19], *lines)
    assert not any("quote" in line for line in read_source(configured(path)).notes)


# --- encodings ------------------------------------------------------------------------------


def test_utf8_is_read_as_utf8_whatever_the_option_says(tmp_path):
    path = write(
        tmp_path / "a.csv", "text,label", *(f"schön {i},{LABELS[i % 4]}" for i in range(20))
    )
    loaded = corpus(path, "data.encoding=cp1252")
    assert loaded.train[0]["text"].startswith("schön")
    assert "a.csv: read as UTF-8, not cp1252, because it is UTF-8" in loaded.notes


def test_a_folder_with_files_of_two_encodings_is_read_as_the_error_says(tmp_path):
    lines = ["text,label", *(f"schön {i},{LABELS[i % 4]}" for i in range(20))]
    write(tmp_path / "train.csv", *lines)
    (tmp_path / "test.csv").write_bytes("\n".join(lines).encode("cp1252"))
    assert "such as data.encoding=cp1252" in refusal(tmp_path)
    loaded = corpus(tmp_path, "data.encoding=cp1252")
    assert {text.split()[0] for text in (*loaded.train["text"], *loaded.test["text"])} == {"schön"}


def test_class_folders_with_files_of_two_encodings(tmp_path):
    for label in ("pos", "neg"):
        for number in range(10):
            path = write(tmp_path / label / f"{number}.txt", f"schön, größer, über {number}")
            if number % 2:
                path.write_bytes(path.read_text().encode("cp1252"))
    loaded = corpus(tmp_path, "data.encoding=cp1252")
    assert {text.split(",")[0] for text in loaded.train["text"]} == {"schön"}


@pytest.mark.parametrize("wrong", [1, 10, 17])
def test_lines_of_two_encodings_are_not_read_as_one(tmp_path, wrong):
    lines = [f"schön {i},{LABELS[i % 4]}\n" for i in range(20)]
    encoded = [line.encode("cp1252" if i < wrong else "utf-8") for i, line in enumerate(lines)]
    (tmp_path / "a.csv").write_bytes(b"text,label\n" + b"".join(encoded))
    assert "Some lines are UTF-8, but others look like" in refusal(tmp_path / "a.csv")
    encoded = [line.encode() for line in lines]
    (tmp_path / "a.csv").write_bytes(b"text,label\n" + b"".join(encoded))
    assert len(rows(tmp_path / "a.csv")) == 20


def test_lines_of_utf8_in_a_file_of_another_encoding_are_noted(tmp_path):
    lines = [f"schön {i},{LABELS[i % 4]}" for i in range(20)]
    path = tmp_path / "a.csv"
    mixed = [line.encode("utf-8" if i % 10 == 3 else "cp1252") for i, line in enumerate(lines)]
    path.write_bytes(b"\n".join([b"text,label", *mixed]) + b"\n")
    (note,) = [n for n in corpus(path, "data.encoding=cp1252").notes if "lines are UTF-8" in n]
    assert note.startswith("a.csv: 2 lines are UTF-8, but read as cp1252, such as 'schÃ¶n 3,")
    command = note.split("run ")[1].replace("OLD", "a.csv").replace("NEW", "b.csv")
    subprocess.run(command, shell=True, check=True, cwd=tmp_path)
    texts = [row["text"] for row in rows(tmp_path / "b.csv")]
    assert texts == [f"schön {i}" for i in range(20)]
    path.write_bytes("\n".join(["text,label", *lines]).encode("cp1252"))
    assert not any("UTF-8" in n for n in corpus(path, "data.encoding=cp1252").notes)


def test_utf_16_without_a_mark_says_which_option_reads_it(tmp_path):
    lines = ["text,label", *(f"film {i},{LABELS[i % 4]}" for i in range(20))]
    path = tmp_path / "a.csv"
    path.write_bytes("\n".join(lines).encode("utf-16-le"))
    assert "data.encoding=utf-16-le" in refusal(path)
    assert len(rows(path, "data.encoding=utf-16")) == 20
    assert len(rows(path, "data.encoding=utf-16-le")) == 20


# --- lists of 0 and 1, views ----------------------------------------------------------------


def listed_rows(path: Path, lists: list[Any]) -> Path:
    lines = [json.dumps({"text": f"a {i}", "label": label}) for i, label in enumerate(lists)]
    return write(path, *lines)


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
@pytest.mark.parametrize("place", [0, 57, 99])
def test_an_empty_list_among_lists_of_0_and_1_is_a_row_without_a_label(tmp_path, kind, place):
    lists = [[0, 1, 0] if i % 2 else [1, 0, 0] for i in range(100)]
    lists[place] = []
    path = tmp_path / f"a.{kind}"
    if kind == "jsonl":
        listed_rows(path, lists)
    else:
        write(path, "text,label", *(f'a {i},"{label}"' for i, label in enumerate(lists)))
    loaded = corpus(path, "data.label_names=[x,y,z]")
    for row in (*loaded.train.to_list(), *loaded.validation.to_list(), *loaded.test.to_list()):
        number = int(row["text"].split()[1])
        expected = [] if number == place else (["y"] if number % 2 else ["x"])
        assert [
            name for name, one in zip(loaded.labels, row["label"], strict=True) if one
        ] == expected


@pytest.mark.parametrize("other", [[1, 0], [0], [1, 0, 0, 1]])
def test_a_list_of_another_length_among_lists_of_0_and_1_is_named(tmp_path, other):
    lists = [[0, 1, 0] if i % 2 else [1, 0, 0] for i in range(100)]
    path = listed_rows(tmp_path / "a.jsonl", [*lists[:70], other, *lists[70:]])
    message = refusal(path, "data.label_names=[x,y,z]")
    assert f"has {len(other)} instead of 3 numbers in the list of 0 and 1 in row 71" in message
    listed_rows(tmp_path / "f" / "train.jsonl", lists)
    listed_rows(tmp_path / "f" / "test.jsonl", [other] * 3)
    assert "in row 1" in refusal(tmp_path / "f", "data.label_names=[x,y,z]")


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
@pytest.mark.parametrize("other", [[0, 2, 0], [2, 1, 0], [1, 0, 7]])
def test_another_number_among_lists_of_0_and_1_is_named(tmp_path, kind, other):
    lists = [[0, 1, 0] if i % 2 else [1, 0, 1] for i in range(100)]
    lists[57] = other
    path = tmp_path / f"a.{kind}"
    if kind == "jsonl":
        listed_rows(path, lists)
    else:
        write(path, "text,label", *(f'a {i},"{label}"' for i, label in enumerate(lists)))
    message = refusal(path, "data.label_names=[a,b,c]")
    assert "the list in row 58 has other numbers than 0 and 1" in message
    assert str(other) in message


def test_equally_long_lists_of_ids_stay_ids(tmp_path):
    lists = [[0, 1, 2], [2, 1, 0], [3, 1, 2], [1, 0, 3]] * 10
    assert corpus(listed_rows(tmp_path / "a.jsonl", lists)).labels == ("0", "1", "2", "3")


def test_lists_of_the_ids_0_and_1_stay_ids(tmp_path):
    lists = [[0], [1], [0, 1], [1, 0], []] * 10
    assert corpus(listed_rows(tmp_path / "a.jsonl", lists)).labels == ("0", "1")
    lists = [[0, 1], [1, 0], []] * 10
    assert corpus(listed_rows(tmp_path / "b.jsonl", lists)).labels == ("0", "1")
    lists = [[0, 1], [1, 1], []] * 10  # ids are not repeated
    assert "data.label_names must have 2" in refusal(listed_rows(tmp_path / "c.jsonl", lists))


@pytest.mark.parametrize("kind", ["string_view", "large_string"])
def test_arrow_files_with_other_types_of_strings(tmp_path, kind):
    import pyarrow

    strings = getattr(pyarrow, kind)()
    table = pyarrow.table(
        {
            "text": pyarrow.array([f"film {i}" for i in range(20)]).cast(strings),
            "label": pyarrow.array([LABELS[i % 4] for i in range(20)]).cast(strings),
        }
    )
    with pyarrow.ipc.new_file(path := tmp_path / "a.arrow", table.schema) as writer:
        writer.write_table(table)
    loaded = corpus(path)
    assert loaded.labels == ("neg", "pos")
    assert loaded.train[0]["text"].startswith("film ")


# --- rows that are none, columns of splits --------------------------------------------------


def test_rows_that_repeat_the_header_are_left_out(tmp_path):
    part = ["id,text,label", *(film(i).replace(",Bob", "") for i in range(10))]
    path = write(tmp_path / "a.csv", *part, *part, *part)
    loaded = corpus(path)
    assert loaded.labels == ("neg", "pos")
    assert "a.csv: 2 rows repeat the header; left out" in loaded.notes
    assert [row["text"] for row in rows(path)] == [f"film {i}" for i in range(10)] * 3
    table = pd.DataFrame({"text": ["text", "label", "a"] * 4, "label": ["x", "label", "y"] * 4})
    table.to_csv(path := tmp_path / "b.csv", index=False)
    assert len(rows(path)) == 12  # only whole headers are none


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_column_of_splits_that_is_not_used_is_noted(tmp_path, kind):
    table = pd.DataFrame({"text": [f"film {i}" for i in range(20)], "label": [*LABELS] * 5})
    table["split"] = ["train", "test"] * 10
    path = tmp_path / f"a.{kind}"
    if kind == "jsonl":
        table.to_json(path, orient="records", lines=True)
    else:
        table.to_csv(path) if kind == "csv" else table.to_parquet(path)
    assert any("the column 'split' is not used" in note for note in corpus(path).notes)
    assert not any("'split'" in note for note in corpus(path, "data.label=split").notes)


def test_a_null_of_postgresql_in_a_comma_separated_file(tmp_path):
    path = write(tmp_path / "a.csv", "text,label", r"C:\new,pos", r"\N,neg", r"a,\N", r'"\N",neg')
    assert [tuple(row.values()) for row in rows(path)] == [
        (r"C:\new", "pos"),
        (None, "neg"),
        ("a", None),
        (r"\N", "neg"),
    ]


def test_backslashes_of_a_tab_separated_file_without_nulls_are_text(tmp_path):
    path = write(
        tmp_path / "a.tsv", "text\tlabel", "C:\\new\tpos", "a\\\\b \\Name\tneg", '"x\ty"\tpos'
    )
    assert [row["text"] for row in rows(path)] == ["C:\\new", "a\\\\b \\Name", "x\ty"]


# --- files and lists that are not read ------------------------------------------------------


def test_lists_of_records_that_are_no_split_are_noted(tmp_path):
    table = [{"text": f"film {i}", "label": LABELS[i % 4]} for i in range(20)]
    content = {"train": table, "val": table[:4], "dev": table[:4], "oos_test": table[:4], "n": 1}
    (path := tmp_path / "a.json").write_text(json.dumps(content))
    loaded = corpus(path)
    assert "a.json: splits train, val" in loaded.notes
    assert "a.json: lists of records that are not used: dev, oos_test" in loaded.notes
    assert len(loaded.validation) == 4


def test_a_pattern_leaves_test_files_out_of_train(tmp_path):
    for name in ("a", "b", "test"):
        lines = [f"{name} {i},{LABELS[i % 4]}" for i in range(20)]
        write(tmp_path / f"{name}.csv", "text,label", *lines)
    loaded = corpus(tmp_path / "*.csv")
    assert {text.split()[0] for text in loaded.train["text"]} == {"a", "b"}
    assert {text.split()[0] for text in loaded.test["text"]} == {"test"}
    assert len(rows(tmp_path / "t*.csv")) == 20  # nothing but a test file


def class_folders(folder: Path) -> Path:
    for label in ("pos", "neg"):
        for number in range(6):
            write(folder / label / f"{number}.txt", f"{label} {number}")
    return folder


def test_files_in_class_folders_that_are_no_texts(tmp_path):
    folder = class_folders(tmp_path / "d")
    for name in ("Thumbs.db", "desktop.ini", "1.txt~", ".hidden"):
        (folder / "pos" / name).write_text("no text")
    assert len(rows(folder)) == 12
    assert not any("texts although" in note for note in corpus(folder).notes)
    write(folder / "neg" / "x.html", "<p>")
    write(folder / "pos" / "sub" / "9.txt", "deep")
    notes = corpus(folder).notes
    assert "d: folders within class folders are not read: pos/sub" in notes
    assert "d: read as texts although most files end in .txt: neg/x.html" in notes


def test_folders_of_splits_without_class_folders(tmp_path):
    class_folders(tmp_path / "a" / "train")
    write(tmp_path / "a" / "test" / "1.txt", "one")
    notes = corpus(tmp_path / "a").notes
    assert "test: the folder test has no class folders; not used" in notes
    for split in ("train", "test"):
        for number in range(9):
            write(tmp_path / "b" / split / f"{number}.txt", f"{number}")
    message = refusal(tmp_path / "b")
    assert "has no folder for each class: test, train have texts without labels" in message


@pytest.mark.parametrize(
    ("separator", "option"), [(",", "comma"), ("|", "'|'"), (";", "semicolon")]
)
def test_labels_that_consist_of_others_hint_at_the_separator(tmp_path, separator, option):
    labels = ["a", "b", f"a{separator}b", f"b{separator} a", "c"]
    path = labelled(tmp_path / "a.csv", labels)
    (note,) = [note for note in corpus(path).notes if "consist of parts" in note]
    assert f"set data.label_separator={option}" in note
    assert corpus(path, f"data.label_separator={option}").labels == ("a", "b", "c")
    path = labelled(tmp_path / "b.csv", ["a", "b", f"New York{separator} NY"])
    assert not any("consist of parts" in note for note in corpus(path).notes)


# --- numbers of columns ---------------------------------------------------------------------


@pytest.mark.parametrize("first", ["3,2,good film", "1,2,good film", "2,3,fine"])
def test_numbers_of_columns_are_no_header_among_the_rows(tmp_path, first):
    path = write(tmp_path / "a.csv", first, "3,2,bad film", "4,3,bad film", "7,2,good cast")
    options = ("data.text=3", "data.label=2")
    message = refusal(path, *options)
    assert "data.header=false" in message
    read = rows(path, "data.header=false", *options)
    assert [row["3"] for row in read] == [first.split(",")[2], "bad film", "bad film", "good cast"]


def test_a_header_of_numbers_is_a_header(tmp_path):
    for header in ("0,1,2", "1,2,3", "2020,2021,2022"):
        path = write(tmp_path / "a.csv", header, "1,2,good film", "2,3,bad film")
        names = header.split(",")
        read = rows(path, f"data.text='{names[2]}'", f"data.label='{names[1]}'")
        assert [row[names[2]] for row in read] == ["good film", "bad film"]


def test_a_header_in_a_file_that_is_read_without_is_noted(tmp_path):
    path = write(tmp_path / "a.csv", "text,label", *["good film,pos", "bad film,neg"] * 9)
    options = ("data.header=false", "data.text=1", "data.label=2")
    assert any("row 1 looks like a header: text, label" in n for n in corpus(path, *options).notes)
    path = write(tmp_path / "b.csv", "fine,pos", *["good film,pos", "bad film,neg"] * 9)
    assert not any("looks like a header" in note for note in corpus(path, *options).notes)


@pytest.mark.parametrize("text", ['He said "hi", \\nabla C:\\temp', "two\nlines", "a\ttab"])
def test_quoted_cells_beside_nulls_of_mysql_are_no_text_of_copy(tmp_path, text):
    path = tmp_path / "a.tsv"
    frame = pd.DataFrame({"text": [text, "b"] * 4, "label": ["p", "n"] * 4, "v": [None, 1] * 4})
    frame.to_csv(path, sep="\t", na_rep="\\N", index=False)
    assert [row["text"] for row in rows(path)] == [text, "b"] * 4
    assert not any("PostgreSQL" in note for note in corpus(path).notes)


def test_quotes_of_copy_text_stay_text(tmp_path):
    lines = ['"a" film\tpos\t\\N', "b\\tc\tneg\t1", '"d"\tpos\t2', 'e "f"\tneg\t\\N']
    read = rows(write(tmp_path / "a.tsv", "text\tlabel\tv", *lines))
    assert [row["text"] for row in read] == ['"a" film', "b\tc", '"d"', 'e "f"']


def test_line_ends_of_old_macs(tmp_path):
    path = write(tmp_path / "a.csv", "text,label", "good film,pos", "bad film,neg", end="\r")
    assert rows(path)[1] == {"text": "bad film", "label": "neg"}
    path = write(tmp_path / "b.csv", "a title", "text;label", "good;pos", "bad;neg", end="\r")
    assert [row["text"] for row in rows(path)] == ["good", "bad"]


def test_joined_files_with_byte_order_marks(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes("\ufefftext,label\na,x\nb,y\n".encode() * 2)
    assert [row["text"] for row in rows(path)] == ["a", "b"] * 2


@pytest.mark.parametrize("log", ["_delta_log/0.json", "metadata/v1.metadata.json", ".hoodie/a"])
def test_tables_with_deleted_rows_are_not_read_by_their_files(tmp_path, log):
    folder = tmp_path / "table"
    write(folder / log, "{}")
    frame = pd.DataFrame({"text": ["a", "b"], "label": ["x", "y"]})
    for part in range(2):
        frame.to_parquet(folder / f"part-0000{part}-x.parquet")
    if log.startswith(("_", ".")):  # checkpoints of Delta Lake are Parquet files, too
        pd.DataFrame({"txn": ["t"]}).to_parquet((folder / log).parent / "10.checkpoint.parquet")
    message = refusal(folder)
    assert "is a" in message
    assert "Export its rows" in message
    pattern = message.split("data.path=")[1].strip("'")
    assert len(rows(Path(pattern))) == 4


def test_labels_at_the_ends_of_lines_are_noted(tmp_path):
    path = write(tmp_path / "a.txt", *["good film\tpos", "bad film\tneg"] * 9)
    notes = corpus(path, "data.format=lines").notes
    (note,) = [note for note in notes if "ends with a tab" in note]
    options = note.split("set ")[1].split()
    assert rows(path, *options)[1] == {"1": "bad film", "2": "neg"}
    path = write(tmp_path / "b.txt", *["pos\tgood film", "neg\tbad film"] * 9)
    assert not any("ends with a tab" in note for note in corpus(path, "data.format=lines").notes)
