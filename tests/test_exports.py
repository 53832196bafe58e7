"""Files as other programs export them, written from scratch, read as the table of the docs says."""

import csv
import gzip
import io
import json
import re
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import datasets
import pandas as pd
import pytest

from nlp_rnn.config.checks import check
from nlp_rnn.data.corpus import load_corpus
from nlp_rnn.errors import NlpRnnError
from nlp_rnn.sources.file_format import FileOptions
from nlp_rnn.sources.source import read_source
from nlp_rnn.sources.streams import find_streams, open_stream
from tests.composing import compose

pytestmark = pytest.mark.usefixtures("own_datasets_cache")

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "file-formats.md"
PLAIN = [
    "A good film, really; 3,50 well spent",
    'She said "no" twice',
    "schön & größer",
    "C:\\new\\table",
    "50 % more | less",
    "007",
]
TEXTS = [*PLAIN, "two\nlines", "a\ttab"]
LABELS = ["pos", "neg"]


Pairs = list[tuple[str, Any]]
Export = Callable[[Path, Pairs], tuple[Path, list[str]]]
EXPORTS: dict[str, tuple[Export, list[str]]] = {}


def export(name: str, texts: list[str] = TEXTS) -> Callable[[Export], Export]:
    """Register a function that writes rows to a folder; it returns a path and the options."""

    def register(function: Export) -> Export:
        EXPORTS[name] = (function, texts)
        return function

    return register


def written(pairs: Pairs, delimiter: str = ",", line_end: str = "\r\n") -> str:
    target = io.StringIO(newline="")
    writer = csv.writer(target, delimiter=delimiter, lineterminator=line_end)
    writer.writerow(["id", "text", "price", "label"])
    for number, (text, label) in enumerate(pairs):
        writer.writerow([number, text, "3,50" if delimiter == ";" else "3.50", label])
    return target.getvalue()


def table(pairs: Pairs) -> pd.DataFrame:
    return pd.DataFrame(
        {"text": [text for text, _ in pairs], "label": [label for _, label in pairs]}
    )


@export("Excel, German: CSV UTF-8")
def excel_german(folder: Path, pairs: Pairs) -> tuple[Path, list[str]]:
    (path := folder / "Mappe1.csv").write_bytes(written(pairs, ";").encode("utf-8-sig"))
    return path, []


@export("Excel, US: CSV UTF-8")
def excel_us(folder: Path, pairs: Pairs) -> tuple[Path, list[str]]:
    (path := folder / "Book1.csv").write_bytes(written(pairs).encode("utf-8-sig"))
    return path, []


@export("Excel: CSV")
def excel_ansi(folder: Path, pairs: Pairs) -> tuple[Path, list[str]]:
    (path := folder / "Mappe1.csv").write_bytes(written(pairs, ";").encode("cp1252"))
    return path, ["data.encoding=cp1252"]


@export("Excel: Unicode Text")
def excel_unicode(folder: Path, pairs: Pairs) -> tuple[Path, list[str]]:
    (path := folder / "Book1.txt").write_bytes(written(pairs, "\t").encode("utf-16"))
    return path, ["data.format=tsv"]


def workbook(path: Path, sheets: dict[str, list[list[Any]]]) -> None:
    """Write a minimal xlsx file with text and numbers."""
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    relations = "http://schemas.openxmlformats.org/package/2006/relationships"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"

    def cell(value: Any) -> str:
        if isinstance(value, int | float):
            return f"<c><v>{value}</v></c>"
        text = f'<t xml:space="preserve">{escape(value)}</t>'
        return f'<c t="inlineStr"><is>{text}</is></c>' if value else "<c/>"

    with zipfile.ZipFile(path, "w") as file:
        file.writestr("[Content_Types].xml", "<Types/>")
        file.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{relations}"><Relationship Id="r" '
            f'Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        )
        names = "".join(
            f'<sheet name="{name}" sheetId="{i}" r:id="r{i}"/>' for i, name in enumerate(sheets, 1)
        )
        file.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets>{names}</sheets></workbook>',
        )
        targets = "".join(
            f'<Relationship Id="r{i}" Type="{office}/worksheet" Target="worksheets/sheet{i}.xml"/>'
            for i in range(1, len(sheets) + 1)
        )
        file.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships xmlns="{relations}">{targets}</Relationships>',
        )
        for number, rows in enumerate(sheets.values(), 1):
            lines = "".join(f"<row>{''.join(map(cell, row))}</row>" for row in rows)
            file.writestr(
                f"xl/worksheets/sheet{number}.xml",
                f'<worksheet xmlns="{main}"><sheetData>{lines}</sheetData></worksheet>',
            )


@export("Excel: .xlsx", PLAIN)
def excel_workbook(folder: Path, pairs: Pairs) -> tuple[Path, list[str]]:
    rows = [["id", "text", "price", "label"]]
    workbook(
        path := folder / "Book1.xlsx",
        {"Sheet1": rows + [[i, text, 3.5, label] for i, (text, label) in enumerate(pairs)]},
    )
    return path, []


@export("Google Sheets: csv")
def sheets_csv(folder: Path, pairs: Pairs) -> tuple[Path, list[str]]:
    (path := folder / "Sheet - 1.csv").write_bytes(written(pairs).removesuffix("\r\n").encode())
    return path, []


@export("Google Sheets: tsv", PLAIN)  # line breaks and tabs become blanks, quotes stay
def sheets_tsv(folder: Path, pairs: Pairs) -> tuple[Path, list[str]]:
    lines = ["id\ttext\tlabel", *(f"{i}\t{text}\t{label}" for i, (text, label) in enumerate(pairs))]
    (path := folder / "Sheet - 1.tsv").write_bytes("\r\n".join(lines).encode())
    return path, []


@export("pandas: to_csv")
def pandas_csv(folder: Path, pairs: Pairs) -> tuple[Path, list[str]]:
    table(pairs).to_csv(path := folder / "a.csv")  # with the index
    return path, []


@export("pandas: to_csv(sep=';')")
def pandas_semicolon(folder: Path, pairs: Pairs) -> tuple[Path, list[str]]:
    table(pairs).to_csv(path := folder / "a.csv", sep=";", decimal=",", index=False)
    return path, []


def pandas_json(orient: Any, lines: bool = False) -> Export:
    def write(folder: Path, pairs: Pairs) -> tuple[Path, list[str]]:
        path = folder / ("a.jsonl" if lines else "a.json")
        table(pairs).to_json(path, orient=orient, lines=lines)
        return path, []

    return write


for _orient in ("records", "columns", "index", "split", "table"):
    EXPORTS[f"pandas: to_json(orient='{_orient}')"] = (pandas_json(_orient), TEXTS)
EXPORTS["pandas: to_json(orient='records', lines=True)"] = (pandas_json("records", True), TEXTS)


@export("pandas: to_parquet")
def pandas_parquet(folder: Path, pairs: Pairs) -> tuple[Path, list[str]]:
    frame = table(pairs)
    frame["label"] = frame["label"].astype("category")
    frame.set_index("text", append=True).to_parquet(path := folder / "a.parquet")
    return path, []


@export("PostgreSQL: COPY … WITH (FORMAT csv, HEADER)")
def postgresql_csv(folder: Path, pairs: Pairs) -> tuple[Path, list[str]]:
    (path := folder / "a.csv").write_text(written([*pairs, ("no label", "")], line_end="\n"))
    return path, []


@export("PostgreSQL: COPY … WITH (HEADER)")
def postgresql_text(folder: Path, pairs: Pairs) -> tuple[Path, list[str]]:
    escapes = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
    lines = ["id\ttext\tlabel", "0\tno label\t\\N"]
    lines += [f"{i}\t{text.translate(escapes)}\t{label}" for i, (text, label) in enumerate(pairs)]
    (path := folder / "a.tsv").write_text("".join(line + "\n" for line in lines))
    return path, []


def spark(folder: Path, kind: str, number: int) -> Path:
    folder = folder / f"out.{kind}"
    folder.mkdir(exist_ok=True)
    name = f"part-{number:05}-6c1e0f8a-c000" + (".snappy" if kind == "parquet" else "") + f".{kind}"
    for mark in ("_SUCCESS", "._SUCCESS.crc", f".{name}.crc"):
        (folder / mark).write_bytes(b"crc")
    return folder / name


@export("Spark: csv", [text for text in TEXTS if "\\" not in text])
def spark_csv(folder: Path, pairs: Pairs) -> tuple[Path, list[str]]:
    for number, part in enumerate((pairs[::2], pairs[1::2])):
        spark(folder, "csv", number).write_text(written(part, line_end="\n"))
    return folder / "out.csv", []


@export("Spark: json")
def spark_json(folder: Path, pairs: Pairs) -> tuple[Path, list[str]]:
    for number, part in enumerate((pairs[::2], pairs[1::2])):
        table(part).to_json(spark(folder, "json", number), orient="records", lines=True)
    return folder / "out.json", []


@export("Spark: parquet")
def spark_parquet(folder: Path, pairs: Pairs) -> tuple[Path, list[str]]:
    for number, part in enumerate((pairs[::2], pairs[1::2])):
        table(part).to_parquet(spark(folder, "parquet", number), compression="snappy")
    return folder / "out.parquet", []


@export("Kaggle")
def kaggle(folder: Path, pairs: Pairs) -> tuple[Path, list[str]]:
    frame = table(pairs).rename(columns={"label": "target"})
    frame.to_csv(folder / "train.csv", index_label="id")
    frame[["text"]].to_csv(folder / "test.csv", index_label="id")
    frame[["target"]].to_csv(folder / "sample_submission.csv", index_label="id")
    return folder, ["data.label=target"]


@export("Hugging Face: clone of a data set")
def hub_clone(folder: Path, pairs: Pairs) -> tuple[Path, list[str]]:
    (folder / "README.md").write_text("---\nconfigs: []\n---\n# A data set\n")
    (folder / ".gitattributes").write_text("*.parquet filter=lfs\n")
    (folder / "data").mkdir()
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=LABELS)}
    )
    for number, part in enumerate((pairs[::2], pairs[1::2])):
        rows = datasets.Dataset.from_pandas(table(part), features=features, preserve_index=False)
        rows.to_parquet(folder / "data" / f"train-{number:05}-of-00002.parquet")
    return folder, []


def label_studio_task(number: int, text: str, label: str) -> dict[str, Any]:
    value = {"choices": [label]}
    result = {"value": value, "id": "x1", "from_name": "sentiment", "to_name": "text"}
    annotation = {"id": number, "result": [result | {"type": "choices"}], "lead_time": 1.5 * number}
    return {"id": number, "annotations": [annotation], "data": {"text": text}, "meta": {}}


@export("Label Studio: JSON")
def label_studio_json(folder: Path, pairs: Pairs) -> tuple[Path, list[str]]:
    tasks = [label_studio_task(i, text, label) for i, (text, label) in enumerate(pairs)]
    (path := folder / "project-1.json").write_text(json.dumps(tasks, ensure_ascii=False))
    return path, ["data.text=data.text", "data.label=annotations.result.value.choices"]


@export("Label Studio: JSON-MIN")
def label_studio_min(folder: Path, pairs: Pairs) -> tuple[Path, list[str]]:
    tasks = [
        {"text": text, "id": i, "sentiment": label, "annotator": 1, "lead_time": 1.5 * i}
        for i, (text, label) in enumerate(pairs)
    ]
    (path := folder / "project-1.json").write_text(json.dumps(tasks))
    return path, ["data.label=sentiment"]


@export("Label Studio: CSV")
def label_studio_csv(folder: Path, pairs: Pairs) -> tuple[Path, list[str]]:
    frame = table(pairs).rename(columns={"label": "sentiment"})
    frame.assign(annotator=1).to_csv(path := folder / "project-1.csv", index=False)
    return path, ["data.label=sentiment"]


@export("fastText", PLAIN)
def fasttext(folder: Path, pairs: Pairs) -> tuple[Path, list[str]]:
    lines = (f"__label__{label} {text}\n" for text, label in pairs)
    (path := folder / "cooking.train.txt").write_text("".join(lines))
    return path, ["data.format=fasttext"]


@export("scikit-learn: load_files")
def load_files(folder: Path, pairs: Pairs) -> tuple[Path, list[str]]:
    for number, (text, label) in enumerate(pairs):
        (folder / label).mkdir(exist_ok=True)
        (folder / label / f"{number}.txt").write_text(text)
    return folder, []


def packed(function: Export) -> Export:
    def write(folder: Path, pairs: Pairs) -> tuple[Path, list[str]]:
        path, options = function(folder, pairs)
        (target := path.with_name(path.name + ".gz")).write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
        return target, options

    return write


def read(path: Path, options: list[str]) -> dict[str, str]:
    """Return the label of every text."""
    config = compose(["data=files", f"data.path='{path}'", *options])
    check(config)
    loaded = load_corpus(config.data)
    assert loaded.task == "single_label"
    parts = (loaded.train, loaded.validation, loaded.test)
    return {row["text"]: loaded.labels[row["label"]] for part in parts for row in part.to_list()}


def refused(path: Path, options: list[str]) -> str:
    """Return the error message of reading a file; empty if it can be read."""
    try:
        read(path, options)
    except NlpRnnError as error:
        return str(error)
    return ""


def needs_library(name: str) -> None:
    if name == "Excel: .xlsx":
        pytest.importorskip("python_calamine", reason="pip install 'nlp_rnn[excel]'")


def pairs_of(texts: list[str]) -> Pairs:
    return [(f"{text} {n}", LABELS[(i + n) % 2]) for n in range(4) for i, text in enumerate(texts)]


@pytest.mark.parametrize("name", EXPORTS)
def test_every_export_is_read_as_it_was_written(tmp_path: Path, name: str) -> None:
    needs_library(name)
    function, texts = EXPORTS[name]
    pairs = pairs_of(texts)
    path, options = function(tmp_path, pairs)
    assert read(path, options) == dict(pairs)


@pytest.mark.parametrize("name", EXPORTS)
def test_options_that_an_export_needs_are_named_by_the_errors(tmp_path: Path, name: str) -> None:
    function, texts = EXPORTS[name]
    path, options = function(tmp_path, pairs_of(texts))
    found: list[str] = []
    for _ in range(len(options)):
        if message := refused(path, found):
            named = [option for option in options if _is_named(option, message)]
            assert named, message
            found = sorted({*found, *named})
    assert {*found} == {*options}


def _is_named(option: str, message: str) -> bool:
    """Return whether a message names an option, or a column for it among those that there are."""
    key, _, value = option.partition("=")
    return option in message or (
        f"{key}=" in message and re.search(rf"\b{value}\b", message) is not None
    )


@pytest.mark.parametrize("name", EXPORTS)
def test_the_docs_have_every_export_with_its_options(tmp_path: Path, name: str) -> None:
    _, options = EXPORTS[name][0](tmp_path, pairs_of(PLAIN))
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith(f"| {name} |")]
    assert len(lines) == 1, name
    assert lines[0].rstrip("| ").rpartition("| ")[2] == (
        f"`{' '.join(options)}`" if options else "none"
    )


@pytest.mark.parametrize("name", ["pandas: to_csv", "Label Studio: JSON-MIN", "Google Sheets: tsv"])
def test_exports_can_be_compressed(tmp_path: Path, name: str) -> None:
    function, texts = EXPORTS[name]
    path, options = packed(function)(tmp_path, pairs_of(texts))
    assert read(path, options) == dict(pairs_of(texts))


def test_rows_without_a_label_of_postgresql_are_dropped(tmp_path: Path) -> None:
    for name in (
        "PostgreSQL: COPY … WITH (FORMAT csv, HEADER)",
        "PostgreSQL: COPY … WITH (HEADER)",
    ):
        path, _ = EXPORTS[name][0](tmp_path, pairs_of(TEXTS))
        config = compose(["data=files", f"data.path='{path}'"])
        (row,) = [row for row in read_source(config.data).splits["train"] if row["label"] is None]
        assert row["text"] == "no label"


def test_sheets_with_numbers_empty_cells_and_other_sheets(tmp_path: Path) -> None:
    needs_library("Excel: .xlsx")
    rows = [["a", 1], ["b", 2.5], [7, ""], ["", ""], ["", 3]]
    path = tmp_path / "a.xlsx"
    workbook(path, {"One": [["text", "label"], *rows], "Two": [["x"]]})
    config = compose(["data=files", f"data.path={path}"])
    source = read_source(config.data)
    assert source.splits["train"].to_list() == [
        {"text": "a", "label": "1"},
        {"text": "b", "label": "2.5"},
        {"text": "7", "label": None},
        {"text": None, "label": "3"},
    ]
    assert "a.xlsx: the sheet One is read; not used: Two" in source.notes
    config = compose(
        ["data=files", f"data.path={path}", "data.header=false", "data.text=1", "data.label=2"]
    )
    assert len(read_source(config.data).splits["train"]) == 5


def test_sheets_without_header_with_blanks_in_names_and_all_columns(tmp_path: Path) -> None:
    needs_library("Excel: .xlsx")
    path = tmp_path / "a.xlsx"
    workbook(path, {"One": [["id", " text ", "label"], [7, "good", "pos"], [8, "bad", "neg"]]})
    source = read_source(compose(["data=files", f"data.path={path}"]).data)
    assert source.splits["train"]["text"] == ["good", "bad"]
    (entry,) = find_streams(path, ["text"], [], FileOptions())["train"]
    stream = open_stream(entry, ["text"], [])
    assert stream.columns == ["id", "text", "label"]
    assert [row["id"] for block in stream.blocks for row in block] == ["7", "8"]
    for names in ("[text,label]", "[a,b,text,label]"):
        options = ["data.header=false", f"data.columns={names}"]
        assert "has 3 columns in its first row" in refused(path, options)


def test_the_sheet_with_the_columns_is_read_below_its_title(tmp_path: Path) -> None:
    needs_library("Excel: .xlsx")
    path = tmp_path / "a.xlsx"
    title: list[list[Any]] = [["Report of May"], ["by", "Anna"]]
    table = [["id", "text", "label"], [7, "good", "pos"], [8, "bad", "neg"]]
    workbook(path, {"Readme": title, "Data": [*title, *table]})
    source = read_source(compose(["data=files", f"data.path={path}"]).data)
    assert source.splits["train"].to_list() == [
        {"text": "good", "label": "pos"},
        {"text": "bad", "label": "neg"},
    ]
    assert source.notes == (
        "a.xlsx: the sheet Data is read; not used: Readme",
        "a.xlsx: 2 rows before the header skipped; the header is the row with the columns",
    )
    message = refused(path, ["data.text=review"])
    assert "no sheet with the columns review, label; its sheets begin with: Readme" in message
    (entry,) = find_streams(path, ["text"], [], FileOptions())["train"]
    assert open_stream(entry, ["text"], []).columns == ["id", "text", "label"]


def test_a_damaged_spreadsheet_is_no_archive_to_unpack(tmp_path: Path) -> None:
    needs_library("Excel: .xlsx")
    path = tmp_path / "a.xlsx"
    workbook(path, {"One": [["text", "label"], ["a", "b"]]})
    path.write_bytes(path.read_bytes()[:-200])
    message = refused(path, [])
    assert "is a spreadsheet that cannot be read" in message
    assert "Save its sheet as csv (in Excel: CSV UTF-8)" in message


def test_without_the_extra_a_spreadsheet_is_an_error_with_two_ways_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = excel_workbook(tmp_path, pairs_of(PLAIN))
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    message = refused(path, [])
    assert "pip install 'nlp_rnn[excel]'" in message
    assert "save its sheet as csv" in message
