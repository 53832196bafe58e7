"""Files in other encodings: what is read by its bytes, and what the error messages propose."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from nlp_rnn.errors import NlpRnnError
from tests.reading import load

pytestmark = pytest.mark.usefixtures("own_datasets_cache")


def texts(path: Path, *options: str, split: str = "train") -> list[Any]:
    return list(load(path, *options).splits[split]["text"])


def refusal(path: Path, *options: str) -> str:
    with pytest.raises(NlpRnnError) as caught:
        load(path, *options)
    message = str(caught.value)
    assert len(message.splitlines()) == 2
    return message


def proposals(message: str) -> dict[str, str]:
    """Return the encodings that a message proposes, with the text that each of them gives."""
    found = re.findall(r"([\w-]+) \('((?:[^'\\]|\\.)*)'\)", message)
    return {name: text for name, text in found}


def table(text: str, rows: int = 40) -> str:
    return "text,label\n" + "".join(f'"{text} {row}",{row % 2}\n' for row in range(rows))


SENTENCES = {
    "Der Film ist schön für Gäste": ("cp1252", "cp850", "mac-roman", "cp437"),
    "Le film était très agréable": ("cp1252", "cp850", "mac-roman"),
    "La película no es muy aburrida, niño": ("cp1252", "cp850", "mac-roman"),
    "Zażółć gęślą jaźń": ("cp1250", "iso8859-2"),
    "Příliš žluťoučký kůň": ("cp1250", "iso8859-2"),
    "Nagyon jó film volt, őszintén szólva": ("cp1250", "cp852"),
    "Film çok güzeldi, ağladım, şaşırdım": ("cp1254", "iso8859-9"),
    "Filmas buvo labai geras, žiūrėjau": ("cp1257",),
    "Η ταινία ήταν πολύ καλή": ("cp1253", "iso8859-7"),
    "הסרט היה טוב מאוד": ("cp1255",),
    "كان الفيلم رائعا": ("cp1256", "iso8859-6"),
    "Фильм был очень хорош": ("cp1251", "koi8-r", "cp866", "iso8859-5"),
    "หนังเรื่องนี้ดีมาก": ("cp874",),
    "この映画はとても良かった": ("shift_jis", "euc_jp"),
    "这部电影非常好看": ("gbk",),
    "這部電影非常好看": ("big5",),
    "이 영화는 정말 재미있다": ("euc_kr",),
}


@pytest.mark.parametrize(
    ("text", "encoding"),
    [(text, encoding) for text, encodings in SENTENCES.items() for encoding in encodings],
)
def test_the_error_proposes_the_right_encoding_with_a_sample_of_its_text(tmp_path, text, encoding):
    path = tmp_path / "a.csv"
    path.write_bytes(table(text).encode(encoding))
    message = refusal(path)
    right = [
        name
        for name, sample in proposals(message).items()
        if any(sample in f'"{text} {row}",{row % 2}' for row in range(40))
    ]
    assert right, message
    assert len(proposals(message)) <= 6
    assert texts(path, f"data.encoding={right[0]}") == [f"{text} {row}" for row in range(40)]


def test_one_plausible_encoding_is_named_alone(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(table("Der Film ist schön für Gäste").encode("cp1252"))
    message = refusal(path)
    assert "It looks like cp1252 (" in message
    assert message.endswith("Der Film ist schön für Gäst'): set data.encoding=cp1252")


MIXED = (table("schön", 30) + "öde,1\n").encode() + "größer,0\nÄrger,1\n".encode("cp1252")


def test_lines_in_two_encodings_are_not_read_by_an_option_but_converted(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(MIXED)
    message = refusal(path)
    assert "Some lines are UTF-8, but others look like cp1252 ('größer,0')" in message
    command = message.split("Convert them: ")[1].replace("OLD", "a.csv").replace("NEW", "b.csv")
    subprocess.run(command, shell=True, check=True, cwd=tmp_path)
    expected = [*(f"schön {row}" for row in range(30)), "öde", "größer", "Ärger"]
    assert texts(tmp_path / "b.csv") == expected


@pytest.mark.parametrize("good", [1, 3, 500])
@pytest.mark.parametrize("bad", [1, 3, 500])
def test_any_share_of_lines_in_another_encoding_is_recognized(tmp_path, good, bad):
    path = tmp_path / "a.csv"
    lines = [*["müde,0\n".encode()] * good, *["café au lait,1\n".encode("latin-1")] * bad]
    path.write_bytes(b"text,label\n" + b"".join(lines))
    message = refusal(path)
    assert "Some lines are UTF-8, but others look like" in message


def test_surrogates_in_utf8_are_converted(tmp_path):
    path = tmp_path / "a.csv"  # as Java and MySQL write it
    surrogates = "\ud83d\ude00".encode("utf-8", "surrogatepass")
    path.write_bytes("text,label\nschön ".encode() + surrogates + b",x\nb,y\n")
    message = refusal(path)
    assert "It is CESU-8, UTF-8 with surrogates" in message
    command = message.split("Convert it: ")[1].replace("OLD", "a.csv").replace("NEW", "b.csv")
    subprocess.run(command, shell=True, check=True, cwd=tmp_path)
    assert texts(tmp_path / "b.csv") == ["schön 😀", "b"]


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "cp1251", "gb18030", "ascii"])
@pytest.mark.parametrize("kind", ["csv", "jsonl", "label"])
def test_utf8_is_read_as_utf8_whatever_the_option_says(tmp_path, encoding, kind):
    text = "schön, für Ärzte: “à” €"
    content = {
        "csv": f'text,label\n"{text}",x\n"{text}",y\n',
        "jsonl": f'{{"text": "{text}", "label": "x"}}\n' * 2,
        "label": f"x {text}\n" * 2,
    }[kind]
    path = tmp_path / f"a.{kind}"
    path.write_text(content, encoding="utf-8")
    source = load(path, f"data.encoding={encoding}")
    assert list(source.splits["train"]["text"]) == [text, text]
    assert source.notes == (f"a.{kind}: read as UTF-8, not {encoding}, because it is UTF-8",)


def test_each_file_of_a_folder_is_decoded_by_its_own_bytes(tmp_path):
    (tmp_path / "train.csv").write_text("text,label\nschön,x\nöde,y\n", encoding="utf-8")
    (tmp_path / "test.csv").write_bytes("text,label\nspät,x\n".encode("cp1252"))
    (tmp_path / "validation.csv").write_text("text,label\nplain,x\n")
    message = refusal(tmp_path)
    assert "test.csv is not UTF-8: row 2" in message
    assert texts(tmp_path, "data.encoding=cp1252") == ["schön", "öde"]
    assert texts(tmp_path, "data.encoding=cp1252", split="test") == ["spät"]
    assert load(tmp_path, "data.encoding=cp1252").notes == (
        "train.csv: read as UTF-8, not cp1252, because it is UTF-8",
    )


def test_each_text_of_class_folders_is_decoded_by_its_own_bytes(tmp_path):
    for name, content in {
        "pos/1": "schön".encode(),
        "pos/2": "für Ärzte".encode("cp1252"),
        "neg/1": b"plain",
        "neg/2": "spät, öde".encode("cp1252"),
    }.items():
        path = tmp_path / f"{name}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    assert "2.txt is not UTF-8: row 1, byte 3 of the file is 0xE4.\nIt " in refusal(tmp_path)
    assert "cp1252" in proposals(refusal(tmp_path))
    source = load(tmp_path, "data.encoding=cp1252")
    assert list(source.splits["train"]["text"]) == ["plain", "spät, öde", "schön", "für Ärzte"]
    assert any("1 files read in the encoding that their bytes show" in n for n in source.notes)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_utf16_and_utf32_without_a_mark_have_the_byte_order_of_their_zero_bytes(tmp_path, encoding):
    path = tmp_path / "a.csv"
    path.write_bytes("text,label\nФильм,x\n这部电影,y\n".encode(encoding))
    name = encoding[:6]
    assert texts(path, f"data.encoding={name}") == ["Фильм", "这部电影"]
    (note,) = load(path, f"data.encoding={name}").notes
    assert note == f"a.csv: read as {encoding.upper()}, by its zero bytes"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
@pytest.mark.parametrize("text", ["schön", "plain"])
def test_utf16_for_a_file_in_utf8_is_an_error_that_says_so(tmp_path, encoding, text):
    path = tmp_path / "a.csv"
    path.write_text(f"text,label\n{text},x\nabc,y\n", encoding="utf-8")
    message = refusal(path, f"data.encoding={encoding}")
    assert message.startswith(f"{path} is not {encoding}: ")
    assert message.endswith("It is UTF-8: remove data.encoding.")
    assert texts(path) == [text, "abc"]


@pytest.mark.slow
def test_a_long_line_and_a_late_byte_are_recognized_too(tmp_path):
    path = tmp_path / "a.json"
    records = ", ".join(f'{{"text": "word {row}", "label": {row % 2}}}' for row in range(60_000))
    path.write_bytes(f'[{records}, {{"text": "für Gäste", "label": 1}}]'.encode("cp1252"))
    assert path.stat().st_size > 2 << 20
    assert "data.encoding=cp1252" in refusal(path)
    assert texts(path, "data.encoding=cp1252")[-1] == "für Gäste"
