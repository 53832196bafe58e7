"""Files whose content is not what their names say: recognized by their first bytes."""

import gzip
import io
import json
import re
import shutil
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy
import pandas as pd
import pyarrow
import pytest

from nlp_rnn.errors import NlpRnnError
from tests.reading import load

pytestmark = pytest.mark.usefixtures("own_datasets_cache")

TABLE = pd.DataFrame({"text": [f"film {i}" for i in range(20)], "label": ["pos", "neg"] * 10})
CSV = TABLE.to_csv(index=False).encode()


def texts(path: Path, *options: str) -> list[Any]:
    return list(load(path, *options).splits["train"]["text"])


def refusal(path: Path, *options: str) -> str:
    with pytest.raises(NlpRnnError) as caught:
        load(path, *options)
    message = str(caught.value)
    assert len(message.splitlines()) == 2
    assert "iconv" not in message
    return message


def zipped(**files: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "/").replace("_", "."), content)
    return target.getvalue()


def tarred() -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        member = tarfile.TarInfo("a.csv")
        member.size = len(CSV)
        archive.addfile(member, io.BytesIO(CSV))
    return target.getvalue()


def saved(array: Any) -> bytes:
    target = io.BytesIO()
    numpy.save(target, array)
    return target.getvalue()


OTHERS = {
    "a zip archive": zipped(a_csv=CSV),
    "a spreadsheet": zipped(xl__workbook_xml=b"<x/>"),
    "a tar archive": tarred(),
    "a PNG image": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    "a JPEG image": b"\xff\xd8\xff\xe0\0\x10JFIF",
    "a PDF document": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3",
    "compressed with xz": b"\xfd7zXZ\0\0\x04",
    "compressed with bzip2": b"BZh91AY&SY",
    "an SQLite database": b"SQLite format 3\0\x10\0",
    "a document of old versions of Microsoft Office": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
    "a NumPy array": saved(numpy.arange(3)),
    "a web page or XML": b"<!DOCTYPE html>\n<html><body>Not found</body></html>",
    "a pointer of Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\n",
}


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.parquet", "a.csv.gz"])
def test_content_that_no_format_reads_is_named(tmp_path, kind, name):
    path = tmp_path / name
    content = OTHERS[kind]
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    if kind == "a spreadsheet" and name.endswith(".gz"):
        kind = "a zip archive"  # its list of files is at its end
    assert refusal(path).startswith(f"{path} is {kind}, not ")


def test_the_advice_for_an_archive_works(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(OTHERS["a zip archive"])
    assert refusal(path).endswith("Unpack it, and set data.path to a file or folder from it.")
    shutil.unpack_archive(path, tmp_path / "unpacked", "zip")
    assert texts(tmp_path / "unpacked" / "a.csv") == list(TABLE["text"])


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "json", "parquet"])
def test_compressed_content_is_read_whatever_the_name(tmp_path, suffix):
    plain, path = tmp_path / "plain", tmp_path / f"a.{suffix}"
    {
        "csv": lambda: TABLE.to_csv(plain, index=False),
        "tsv": lambda: TABLE.to_csv(plain, index=False, sep="\t"),
        "jsonl": lambda: TABLE.to_json(plain, orient="records", lines=True),
        "json": lambda: TABLE.to_json(plain, orient="records"),
        "parquet": lambda: TABLE.to_parquet(plain),
    }[suffix]()
    path.write_bytes(gzip.compress(plain.read_bytes()))
    assert texts(path) == list(TABLE["text"])
    assert load(path).notes == (f"a.{suffix}: decompressed, because its content is gzip",)
    path.write_bytes(pyarrow.compress(plain.read_bytes(), "zstd", asbytes=True))
    assert texts(path) == list(TABLE["text"])


def test_a_file_that_is_compressed_twice(tmp_path):
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(gzip.compress(CSV)))
    assert "compressed twice: its content is gzip again.\nDecompress it once" in refusal(path)
    path.write_bytes(gzip.decompress(path.read_bytes()))
    assert texts(path) == list(TABLE["text"])


def write(path: Path, kind: str) -> None:
    if kind == "csv":
        TABLE.to_csv(path, index=False)
    elif kind == "tsv":
        TABLE.to_csv(path, index=False, sep="\t")
    elif kind == "jsonl":
        TABLE.to_json(path, orient="records", lines=True)
    elif kind == "json":
        TABLE.to_json(path, orient="records", indent=2)
    elif kind == "parquet":
        path.write_bytes(TABLE.to_parquet())
    else:
        with pyarrow.ipc.new_file(str(path), (table := pyarrow.table(TABLE)).schema) as writer:
            writer.write_table(table)


@pytest.mark.parametrize("kind", ["csv", "tsv", "json", "jsonl", "parquet", "arrow"])
@pytest.mark.parametrize("name", ["csv", "tsv", "json", "jsonl", "parquet", "arrow"])
def test_a_file_with_the_suffix_of_another_format_is_read_as_the_error_says(tmp_path, kind, name):
    path = tmp_path / f"a.{name}"
    write(path, kind)
    if kind == name or {kind, name} in ({"csv", "tsv"}, {"json", "jsonl"}):
        assert texts(path) == list(TABLE["text"])
        return
    message = refusal(path)
    assert message.startswith(f"{path} is not {name}: its content is {kind}")
    (option,) = re.findall(r"data\.format=\w+", message)
    assert texts(path, option) == list(TABLE["text"])


@pytest.mark.parametrize("orient", ["columns", "split", "index"])
def test_json_objects_in_a_csv_file(tmp_path, orient):
    path = tmp_path / "a.csv"
    TABLE.to_json(path, orient=orient, indent=1)
    (option,) = re.findall(r"data\.format=\w+", refusal(path))
    assert texts(path, option) == list(TABLE["text"])


@pytest.mark.parametrize(
    "first",
    ["BZh", "ORC", "GIF8", "{a}", '"{""a"": 1}"', "[1]", "<b>", "Obj", "%PDF", "PAR1", "Rar!"],
)
def test_texts_that_begin_as_other_content_does(tmp_path, first):
    path = tmp_path / "a.csv"
    path.write_text(f"{first},text,label\n1,a,x\n2,b,y\n")
    assert texts(path) == ["a", "b"]
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"text": first, "label": "x"}) + "\n")
    assert texts(path) == [first]


def test_an_image_in_a_class_folder_is_named(tmp_path):
    for name, content in {"pos/1.txt": b"a", "pos/2.txt": b"b", "neg/1.txt": b"c"}.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    (tmp_path / "pos" / "logo").write_bytes(OTHERS["a PNG image"] + b"\xff")
    message = refusal(tmp_path)
    assert message.endswith("logo is a PNG image, not a text.\nRemove it from the folder.")
    (tmp_path / "pos" / "logo").unlink()
    assert texts(tmp_path) == ["c", "a", "b"]
