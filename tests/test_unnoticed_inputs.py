"""Inputs of predict that are not read as meant, and labels in lines, spreadsheets and JSON."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow
import pytest
from pyarrow import parquet

from nlp_rnn.commands.input_options import open_input
from nlp_rnn.commands.output_values import as_cell, as_json, plain_rows
from nlp_rnn.errors import DataError
from tests.reading import load
from tests.test_exports import needs_library, workbook
from tests.test_reading_advice import run

pytestmark = pytest.mark.usefixtures("own_datasets_cache")

TEXTS = [f"film {i}" for i in range(20)]
LABELS = ["pos", "neg"] * 10
RECORDS = [{"text": text, "label": label} for text, label in zip(TEXTS, LABELS, strict=True)]
TRAINED = {"id2label": {"0": "neg", "1": "pos"}, "provenance": {}}
ON_REVIEWS: dict[str, Any] = {
    **TRAINED,
    "provenance": {"reading": {"options": {"text": "review", "label": "stars"}}},
}


def write(path: Path, *lines: str) -> Path:
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def predicted(
    path: Path, *options: str, config: Mapping[str, Any] = TRAINED
) -> tuple[list[str | None], list[str]]:
    """Return the texts that predict reads, and its notes."""
    notes: list[str] = []
    table = open_input(str(path), options, config, None, notes)
    texts = [text for chunk in table.chunks() for text in chunk.texts]
    return texts, [*notes, *table.notes]


# --- predict --------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["text", "review", "Review"])
def test_a_header_of_one_column_in_a_txt_file_is_noted(tmp_path, first):
    path = write(tmp_path / "a.txt", first, *TEXTS)
    texts, notes = predicted(path, config=ON_REVIEWS)
    assert len(texts) == 21
    assert any("line 1 looks like a header" in note for note in notes), notes
    assert predicted(path, "data.format=csv", f"data.text={first}")[0] == TEXTS
    assert predicted(write(tmp_path / "b.txt", *TEXTS), config=ON_REVIEWS)[1] == []


def test_labels_in_a_txt_file_are_noted(tmp_path):
    lines = [f"{label} {text}" for text, label in zip(TEXTS, LABELS, strict=True)]
    path = write(tmp_path / "a.txt", *lines)
    (note,) = predicted(path)[1]
    assert "the texts begin with labels, such as 'pos film 0'" in note
    assert predicted(path, note.split("set ")[-1])[0] == TEXTS
    path = write(tmp_path / "b.txt", *(f"__label__{line}" for line in lines))
    (note,) = [note for note in predicted(path)[1] if "as fastText writes them" in note]
    assert predicted(path, note.split("set ")[-1].split(" (")[0])[0] == TEXTS


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_another_column_than_that_of_the_training_is_noted(tmp_path, kind):
    table = pd.DataFrame({"text": TEXTS, "id": range(20)})
    path = tmp_path / f"a.{kind}"
    table.to_csv(path, index=False) if kind == "csv" else table.to_json(
        path, orient="records", lines=True
    )
    texts, notes = predicted(path, config=ON_REVIEWS)
    assert texts == TEXTS
    expected = "has no column 'review' as in training; the texts are those of column 'text'"
    assert any(expected in note for note in notes)
    assert not any("as in training" in n for n in predicted(path, "data.text=text")[1])


@pytest.mark.parametrize("kind", ["binary", "large_binary", "binary_view"])
def test_texts_that_parquet_stores_as_bytes_are_predicted(tmp_path, kind):
    texts = ["schön", "größer", None]
    column = pyarrow.array([text and text.encode() for text in texts], kind)
    parquet.write_table(pyarrow.table({"text": column}), path := tmp_path / "a.parquet")
    assert predicted(path)[0] == texts
    column = pyarrow.array([b"good", b"sch\xf6n"], kind)
    parquet.write_table(pyarrow.table({"text": column}), path)
    with pytest.raises(DataError, match="row 2, column 'text', has the byte 0xF6"):
        predicted(path)


def test_values_of_other_columns_are_written_as_training_reads_them():
    values = {"b": pyarrow.array([b"sch\xc3\xb6n", b"\xff"]), "t": pyarrow.array([True, False])}
    values["f"] = pyarrow.array([0.1, 2.5], pyarrow.float32())
    first, second = plain_rows(pyarrow.RecordBatch.from_pydict(values))
    assert [*map(as_cell, first.values())] == ["schön", "True", "0.1"]
    assert json.loads(as_json(first)) == {"b": "schön", "t": True, "f": 0.1}
    assert as_cell(second["b"]) == "b'\\xff'"


# --- JSON -----------------------------------------------------------------------------------


@pytest.mark.parametrize("between", ["\n", "", " ", "\n\n"])
@pytest.mark.parametrize("indent", [1, None])
@pytest.mark.parametrize("kind", ["json", "jsonl"])
def test_records_without_an_array_on_any_lines(tmp_path, between, indent, kind):
    path = tmp_path / f"a.{kind}"
    path.write_text(between.join(json.dumps(record, indent=indent) for record in RECORDS))
    assert load(path).splits["train"].to_list() == RECORDS
    assert predicted(path)[0] == TEXTS
    mixed = [record | {"x": [1, "y"][i % 2]} for i, record in enumerate(RECORDS)]
    path.write_text(between.join(json.dumps(record, indent=indent) for record in mixed))
    assert load(path).splits["train"].to_list() == RECORDS
    assert predicted(path)[0] == TEXTS


def test_an_indented_record_that_is_cut_is_an_error(tmp_path):
    content = "\n".join(json.dumps(record, indent=1) for record in RECORDS)
    (path := tmp_path / "a.jsonl").write_text(content[:-9])
    for read in (load, predicted):
        with pytest.raises(DataError, match=r"Unterminated string|Expecting"):
            read(path)


# --- lines ----------------------------------------------------------------------------------


@pytest.mark.parametrize("line", ["__label__{1}__label__x {0}", '"__label__{1}" {0}'])
def test_labels_of_fasttext_that_are_not_apart_are_an_error(tmp_path, line):
    path = write(
        tmp_path / "a.txt", *(line.format(*row) for row in zip(TEXTS, LABELS, strict=True))
    )
    with pytest.raises(DataError, match="has '__label__' within the word") as caught:
        load(path, "data.format=fasttext")
    assert str(caught.value).endswith("__label__a __label__b text")


@pytest.mark.parametrize("prefix", ["__LABEL__", "__class__", "_label_", "#", "label:"])
def test_another_prefix_than_that_of_fasttext_is_replaced_as_the_error_says(tmp_path, prefix):
    lines = [f"{prefix}{label} {text}" for text, label in zip(TEXTS, LABELS, strict=True)]
    path = write(tmp_path / "a.txt", *lines)
    with pytest.raises(DataError, match="has no word that begins with __label__") as caught:
        load(path, "data.format=fasttext")
    run(str(caught.value).split("run ")[1], tmp_path, "a.txt")
    assert load(tmp_path / "NEW", "data.format=fasttext").splits["train"].to_list() == RECORDS
    path = write(tmp_path / "b.txt", *(line.removeprefix(prefix) for line in lines))
    with pytest.raises(DataError, match="Set data.format=lines"):
        load(path, "data.format=fasttext")


def test_lines_that_continue_others_are_noted(tmp_path):
    lines = [f"{label} {text}\n  and more" for text, label in zip(TEXTS, LABELS, strict=True)]
    source = load(write(tmp_path / "a.txt", *lines), "data.format=lines")
    assert any("20 of the first 40 lines begin with white space" in n for n in source.notes)


def test_marks_at_the_ends_of_questions_are_no_labels(tmp_path):
    lines = [f"{label} what is film {i} {'?.'[i % 2]}" for i, label in enumerate(LABELS)]
    assert load(write(tmp_path / "a.label", *lines)).notes == ()


# --- spreadsheets ---------------------------------------------------------------------------


def test_labels_that_a_spreadsheet_has_rounded_are_an_error(tmp_path):
    needs_library("Excel: .xlsx")
    ids = [1234567890123456789, 1234567890123456790]
    rows: list[list[Any]] = [[text, ids[i % 2]] for i, text in enumerate(TEXTS)]
    workbook(path := tmp_path / "a.xlsx", {"One": [["text", "label"], *rows]})
    with pytest.raises(DataError, match="spreadsheets store at most 15 digits") as caught:
        load(path)
    assert "Format the column as text" in str(caught.value)
    rows = [[text, str(ids[i % 2])] for i, text in enumerate(TEXTS)]
    workbook(path, {"One": [["text", "label"], *rows]})
    assert {*load(path).splits["train"]["label"]} == {*map(str, ids)}
