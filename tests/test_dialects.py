"""Delimiters, encodings and columns of csv files as spreadsheets and other tools export them."""

import codecs
import csv
import gzip
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from nlp_rnn.errors import NlpRnnError
from tests.reading import load

pytestmark = pytest.mark.usefixtures("own_datasets_cache")

TEXTS = ["good, really", "bad; really", 'say "x"', "a\nb", "tab\there", "a|b"]
LABELS = ["pos", "neg"] * 3


def rows(path: Path, *options: str) -> list[dict[str, Any]]:
    return list(load(path, *options).splits["train"].to_list())


def refusal(path: Path, *options: str) -> str:
    with pytest.raises(NlpRnnError) as caught:
        load(path, *options)
    message = str(caught.value)
    assert len(message.splitlines()) <= 2
    return message


def advised(message: str) -> str:
    """Return the option that a message says to set."""
    match = re.search(r"data\.\w+=\S+", message)
    assert match
    return match[0]


@pytest.mark.parametrize(
    ("delimiter", "name"), [(";", ";"), ("\t", "tab"), ("|", "|"), (",", None)]
)
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_the_delimiter_is_detected_and_reported(tmp_path, delimiter, name, quoting, line_end):
    path = tmp_path / "a.csv"
    table = pd.DataFrame({"id": range(6), "text": TEXTS, "label": LABELS, "price": ["1,5"] * 6})
    table.to_csv(path, sep=delimiter, index=False, quoting=quoting, lineterminator=line_end)
    assert [row["text"] for row in rows(path)] == TEXTS
    assert [row["label"] for row in rows(path)] == LABELS
    note = (f"a.csv: read with delimiter {name}",) if name else ()
    assert load(path).notes == note


def test_tsv_files_with_other_delimiters(tmp_path):
    path = tmp_path / "a.tsv"
    for delimiter, note in ((",", ("a.tsv: read with delimiter ,",)), ("\t", ())):
        pd.DataFrame({"text": TEXTS, "label": LABELS}).to_csv(path, sep=delimiter, index=False)
        assert [row["text"] for row in rows(path)] == TEXTS
        assert load(path).notes == note


def test_excel_german_with_decimal_commas_and_byte_order_mark(tmp_path):
    path = tmp_path / "Mappe1.csv"
    path.write_bytes(
        "text;preis;label\r\nschön, gut;3,50;pos\r\nöde;2,00;neg\r\n".encode("utf-8-sig")
    )
    assert rows(path) == [
        {"text": "schön, gut", "label": "pos"},
        {"text": "öde", "label": "neg"},
    ]
    assert [row["preis"] for row in rows(path, "data.text=preis")] == ["3,50", "2,00"]


@pytest.mark.parametrize("first", ["sep=;", "SEP=;", '"sep=;"', "\ufeffsep=;"])
def test_the_first_line_sep_is_honoured_and_skipped(tmp_path, first):
    path = tmp_path / "a.csv"
    path.write_text(f"{first}\r\ntext;label\r\na, b;x\r\n", newline="")
    assert rows(path) == [{"text": "a, b", "label": "x"}]
    assert load(path).notes == ("a.csv: read with delimiter ;, by its first line sep=",)
    # where a header is missing too, and where a row is broken
    path.write_text(f"{first}\na, b;x\n")
    assert rows(path, "data.header=false", "data.columns=[text,label]")[0]["text"] == "a, b"
    path.write_text(f"{first}\ntext;label\na;x\na;x;y\n")
    assert "Row #4" in refusal(path)


def test_a_first_line_sep_with_any_character_and_with_an_option(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("sep=^\ntext^label\na, b^x\n")
    assert rows(path) == [{"text": "a, b", "label": "x"}]
    path.write_text("sep=,\ntext;label\na, b;x\n")
    assert rows(path, "data.delimiter=';'") == [{"text": "a, b", "label": "x"}]


def test_the_option_overrides_the_detection(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text;x,label\na;b,c\n")
    assert rows(path, "data.text='text;x'") == [{"text;x": "a;b", "label": "c"}]
    path.write_text("text;label\na;b\n")
    assert "it has: text;label" in refusal(path, "data.delimiter=comma")


def test_a_comma_wins_ties_unless_only_another_delimiter_gives_the_columns(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text,x;y,label\na,b;c,d\n")
    assert rows(path) == [{"text": "a", "label": "d"}]
    path.write_text("text;price,EUR;label\nfine;3,5;pos\n")
    assert rows(path) == [{"text": "fine", "label": "pos"}]


def test_a_broken_row_is_named_although_the_delimiter_was_detected(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text;label\ngood;pos\nbad; really;neg\n")
    assert "Row #3: Expected 2 columns, got 3" in refusal(path)
    path.write_text('text;label\ngood;pos\n"bad; really";neg\n')
    assert rows(path)[1] == {"text": "bad; really", "label": "neg"}


def test_a_missing_column_is_reported_with_the_columns_of_the_dialect(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("review;stars\ngood, yes;5\n")
    assert "no column 'text'; it has: review, stars." in refusal(path)
    assert rows(path, "data.text=review", "data.label=stars")[0]["review"] == "good, yes"


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_without_a_header_the_delimiter_is_detected_too(tmp_path, delimiter):
    path = tmp_path / "a.csv"
    path.write_text(f"ham{delimiter}Hello, you\nspam{delimiter}Win\n")
    options = ("data.header=false", "data.columns=[label,text]")
    assert rows(path, *options)[0] == {"text": "Hello, you", "label": "ham"}
    numbered = rows(path, "data.header=false", "data.label=1", "data.text=2")
    assert numbered[1] == {"2": "Win", "1": "spam"}


def test_each_file_of_a_folder_has_its_dialect(tmp_path):
    (tmp_path / "train.csv").write_text("text;label\na, b;x\n")
    (tmp_path / "test.csv").write_text("text,label\nc,y\n")
    assert load(tmp_path).splits["train"][0] == {"text": "a, b", "label": "x"}
    assert load(tmp_path).splits["test"][0] == {"text": "c", "label": "y"}


def test_a_compressed_file_and_a_long_first_cell(tmp_path):
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"text;label\na, b;x\n"))
    assert rows(path) == [{"text": "a, b", "label": "x"}]
    path = tmp_path / "long.csv"
    long = "word, " * 300_000
    path.write_text(f'text;label\n"{long}";x\nb;y\n')
    assert [len(row["text"]) for row in rows(path)] == [len(long), 1]


@pytest.mark.parametrize("header", ["text, label", " text ,label", "text ; label"])
def test_blanks_around_the_names_of_columns(tmp_path, header):
    path = tmp_path / "a.csv"
    delimiter = ";" if ";" in header else ","
    path.write_text(f"{header}\na{delimiter}x\n")
    assert rows(path) == [{"text": "a", "label": "x"}]


def test_unnamed_and_duplicate_columns_that_nobody_asked_for(tmp_path):
    path = tmp_path / "a.csv"
    pd.DataFrame({"text": ["a"], "label": ["x"]}).to_csv(path)  # with an index
    assert rows(path) == [{"text": "a", "label": "x"}]
    path.write_text("x,text,x,label,,\n1,a,2,b,,\n")
    assert rows(path) == [{"text": "a", "label": "b"}]
    message = refusal(path, "data.text=x")
    assert "several columns named 'x'. Rename all but one" in message
    path.write_text("x,text,y,label,,\n1,a,2,b,,\n")
    assert rows(path, "data.text=x")[0]["x"] == "1"


MARKED = {
    "utf-8-sig": None,
    "utf-16": "UTF-16",
    "utf-32": "UTF-32",
}


@pytest.mark.parametrize("encoding", MARKED)
@pytest.mark.parametrize("kind", ["csv", "tsv", "json", "jsonl", "label", "csv.gz"])
def test_a_byte_order_mark_needs_no_option(tmp_path, encoding, kind):
    content = {
        "tsv": "text\tlabel\nschön\tx\n",
        "json": '[{"text": "schön", "label": "x"}]',
        "jsonl": '{"text": "schön", "label": "x"}\n',
        "label": "x schön\n",
    }.get(kind, "text,label\nschön,x\n")
    path = tmp_path / f"a.{kind}"
    raw = content.encode(encoding)
    path.write_bytes(gzip.compress(raw) if kind.endswith("gz") else raw)
    assert rows(path) == [{"text": "schön", "label": "x"}]
    name = MARKED[encoding]
    note = (f"a.{kind}: read as {name}, by its byte order mark",) if name else ()
    assert load(path).notes == note
    # a mark counts more than an option, so that one option fits all files of a folder
    assert rows(path, "data.encoding=cp1252") == [{"text": "schön", "label": "x"}]


def test_utf16_of_both_orders_and_in_folders_of_texts(tmp_path):
    path = tmp_path / "a.tsv"  # Excel: Unicode text
    content = "text\tlabel\r\nschön, gut\tx\r\n"
    path.write_bytes(codecs.BOM_UTF16_BE + content.encode("utf-16-be"))
    assert rows(path) == [{"text": "schön, gut", "label": "x"}]
    for name in ("pos", "neg"):
        (tmp_path / "f" / name).mkdir(parents=True)
        (tmp_path / "f" / name / "1.txt").write_bytes("schön".encode("utf-16"))
    assert [row["text"] for row in rows(tmp_path / "f")] == ["schön", "schön"]


SENTENCES = {
    "cp1252": "Das Café ist „schön“ – für 5 €",
    "utf-16-le": "Das Café ist schön",
    "utf-16-be": "Das Café ist schön",
    "gb18030": "这部电影非常好看，我很喜欢，值得再看一遍",
    "shift_jis": "この映画はとても面白かったです。カタカナ",
    "euc_jp": "この映画はとても面白かったです。",
    "big5": "這部電影非常好看，我很喜歡，值得再看一遍",
    "euc_kr": "이 영화는 정말 재미있었습니다",
    "cp1251": "Этот фильм мне очень понравился",
    "koi8-r": "Этот фильм мне очень понравился",
    "cp866": "Этот фильм мне очень понравился",
}


@pytest.mark.parametrize("encoding", SENTENCES)
@pytest.mark.parametrize("kind", ["csv", "jsonl", "label", "txt", "csv.gz"])
def test_the_encoding_that_an_error_names_reads_the_file(tmp_path, encoding, kind):
    text = SENTENCES[encoding]
    content = {
        "jsonl": f'{{"text": "ok", "label": "y"}}\n{{"text": "{text}", "label": "x"}}\n',
        "label": f"y ok\nx {text}\n",
    }.get(kind, f"text,label\nok,y\n{text},x\n")
    if kind == "txt":
        for label, one in (("x", text), ("y", "ok")):
            path = tmp_path / "folder" / label / "1.txt"
            path.parent.mkdir(parents=True)
            path.write_bytes(one.encode(encoding if label == "x" else "ascii"))
        path = tmp_path / "folder"
        if encoding.startswith("utf-16"):
            return  # one option for all files: each text would have to be in UTF-16
    else:
        path = tmp_path / f"a.{kind}"
        raw = content.encode(encoding)
        path.write_bytes(gzip.compress(raw) if kind.endswith("gz") else raw)
    message = refusal(path)
    assert "is not UTF-8" in message
    assert advised(message) == f"data.encoding={encoding}"
    assert text in [row["text"] for row in rows(path, advised(message))]


def test_bytes_outside_cp1252_are_read_as_latin_1(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes("text,label\ncaf\xe9 \x81,x\n".encode("latin-1"))
    assert "latin-1 ('café \\x81,x')" in refusal(path)
    assert rows(path, "data.encoding=latin-1") == [{"text": "café \x81", "label": "x"}]


def test_a_wrong_option_for_a_file_in_utf8_or_another_encoding(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text,label\nschön,x\n" + "“à” €,y\n" * 3, encoding="utf-8")
    assert rows(path, "data.encoding=gb18030") == rows(path)
    path.write_text("text,label\n…,x\nä,y\n", encoding="utf-8")  # few characters
    message = refusal(path, "data.encoding=gb18030")
    assert message.endswith("It is UTF-8: remove data.encoding.")
    assert len(rows(path)) == 2
    path.write_bytes("text,label\nschön,x\n".encode("cp1252"))
    message = refusal(path, "data.encoding=ascii")
    assert rows(path, advised(message)) == [{"text": "schön", "label": "x"}]


def test_damaged_utf8_is_not_taken_for_another_encoding(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes("text,label\nschön für Ärzte,x\n".encode() + b"bad \xff,y\n")
    message = refusal(path)
    assert "row 3, byte 5" in message
    assert "iconv -f utf-8 -t utf-8 -c OLD > NEW" in message
    path.write_bytes(path.read_bytes().decode(errors="ignore").encode())  # what iconv -c does
    assert [row["text"] for row in rows(path)] == ["schön für Ärzte", "bad "]


def test_a_tie_without_a_header_is_noted(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("Hello, you;ham\nWin, now;spam\n")
    options = ("data.header=false", "data.label=2", "data.text=1")
    assert rows(path, *options)[0] == {"1": "Hello", "2": " you;ham"}
    (note,) = load(path, *options).notes
    assert note == ("a.csv: read with delimiter ,; it could also be ;: set data.delimiter if it is")
    right = rows(path, *options, "data.delimiter=semicolon")
    assert right[0] == {"1": "Hello, you", "2": "ham"}
    assert load(path, *options, "data.delimiter=semicolon").notes == ()


def test_quotes_that_a_backslash_escapes_are_noted(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('text,label\n"say \\"hi\\" now",x\n')
    (note,) = load(path).notes
    assert "if it escapes the quote, the texts are wrong" in note
    path.write_text('text,label\n"say \\"hi\\", you",x\n')
    assert "Backslashes seem to escape its quotes. Convert it: python3" in refusal(path)
    path.write_text('text,label\n"say ""hi"", you",x\n')
    assert rows(path) == [{"text": 'say "hi", you', "label": "x"}]
    for cell, text in (
        ('"say ""hi"" now"', 'say "hi" now'),
        ('"C:\\"', "C:\\"),
        ('"a \\""b"""', 'a \\"b"'),
    ):
        path.write_text(f"text,label\n{cell},x\n")
        assert rows(path) == [{"text": text, "label": "x"}]
        assert load(path).notes == ()


def test_a_csv_file_of_postgresql(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('id,text,label\n1,"a ""b"", c",x\n2,,y\n3,"",z\n')
    assert [row["text"] for row in rows(path)] == ['a "b", c', None, ""]
