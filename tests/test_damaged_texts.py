"""Texts that were damaged before they are read, and encodings that look like UTF-8."""

import re
from pathlib import Path

import pytest

from nlp_rnn.data.corpus import load_corpus
from nlp_rnn.data.damaged_texts import wrong_encoding
from nlp_rnn.data.suspect_texts import text_notes
from nlp_rnn.errors import DataError
from tests.composing import compose

pytestmark = pytest.mark.usefixtures("own_datasets_cache")

RUSSIAN, CHINESE = "очень хороший фильм", "这部电影 很好看"
POLISH, GERMAN = "zażółć gęślą jaźń", "schöner Film, größer"
LABELS = ["pos", "neg"]


def read(path: Path, *options: str) -> tuple[list[str], tuple[str, ...]]:
    corpus = load_corpus(compose(["data=files", f"data.path={path}", *options]).data)
    return corpus.train["text"], corpus.notes


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (RUSSIAN, "cp1252"),
        (RUSSIAN, "latin-1"),
        (RUSSIAN, "cp1251"),
        (CHINESE, "latin-1"),
        (CHINESE, "gb18030"),
        (POLISH, "cp1250"),
        (POLISH, "cp852"),
        (GERMAN, "cp437"),
        (GERMAN, "cp850"),
        (GERMAN, "mac_roman"),
    ],
)
def test_text_that_was_decoded_wrongly_is_noted_in_any_language(text, encoding):
    damaged = text.encode().decode(encoding, "replace")
    (note, *_) = text_notes("train", [f"{damaged} {number}" for number in range(9)])
    assert "all 9 texts have signs such as Ã© for é: they are UTF-8" in note
    assert text_notes("train", [f"{text} {number}" for number in range(9)]) == []
    if "\ufffd" not in damaged and encoding not in ("cp1252", "latin-1"):
        code = re.findall(r"text\.encode.*?decode\(\)", note)[0]
        assert eval(code, {"text": damaged}) == text


@pytest.mark.parametrize(
    "text",
    ["«UN CAFÉ»", "„SCHÖN“", "naïve déçu", "10 °C", "Ärger", "日本語の映画", "한국어 영화", "Ω É”"],
)
def test_letters_beside_quotes_are_no_damage(text):
    assert wrong_encoding(text) is None


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("sch\ufffdner Film", "question marks in place of letters"),
        ("????? ?????", "question marks in place of letters"),
        ("a\0b", "have control characters"),
        ("sch+APY-ner Film", "have letters in UTF-7"),
    ],
)
def test_signs_of_lost_letters_are_noted(text, note):
    notes = text_notes("train", [f"{text} {number}" for number in range(9)])
    assert any(note in line for line in notes), notes
    assert text_notes("train", [f"why ??? +BCD-e C++11- {number}" for number in range(9)]) == []


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("日本語の映画でした", "iso2022_jp"),
        ("中文电影", "hz"),
        ("한국어 영화", "iso2022_kr"),
        ("an English film", "utf-16-le"),
        ("an English film", "utf-16-be"),
        ("an English film", "utf-32-le"),
        ("an English film", "utf-32-be"),
    ],
)
@pytest.mark.parametrize("kind", ["csv", "label", "folders"])
def test_encodings_whose_bytes_are_valid_utf8_are_named(tmp_path, text, encoding, kind):
    rows = [(f"{text} {number}", LABELS[number % 2]) for number in range(20)]
    path = tmp_path / f"a.{kind}"
    if kind == "folders":
        for number, (line, label) in enumerate(rows):
            (path / label).mkdir(parents=True, exist_ok=True)
            (path / label / f"{number}.txt").write_bytes(line.encode(encoding))
    else:
        form = "{1} {0}\n" if kind == "label" else "{0},{1}\n"
        lines = "".join(form.format(*row) for row in rows)
        path.write_bytes(("" if kind == "label" else "text,label\n").encode(encoding))
        path.write_bytes(path.read_bytes() + lines.encode(encoding))
    with pytest.raises(DataError, match=f"is not UTF-8: it looks like {encoding}") as caught:
        read(path)
    texts, _ = read(path, str(caught.value).split("Set ")[1])
    assert {*texts} < {line for line, _ in rows}


def test_ascii_files_beside_those_in_utf16(tmp_path):
    for number in range(12):
        (tmp_path / LABELS[number % 2]).mkdir(exist_ok=True)
        content = f"film {number:02}".encode("utf-16-le" if number % 3 else "ascii")
        (tmp_path / LABELS[number % 2] / f"{number}.txt").write_bytes(content)
    texts, notes = read(tmp_path, "data.encoding=utf-16-le")
    assert {*texts} < {f"film {number:02}" for number in range(12)}
    assert any("4 files read in the encoding that their bytes show" in note for note in notes)


def test_braces_of_latex_are_no_chinese(tmp_path):
    lines = [f"see Fig.~{{\\bf {n}}} and~}} x,{LABELS[n % 2]}" for n in range(20)]
    (path := tmp_path / "a.csv").write_text("\n".join(["text,label", *lines]) + "\n")
    assert read(path)[0][0].startswith("see Fig.~{")
