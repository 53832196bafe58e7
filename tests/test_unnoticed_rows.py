"""Rows of csv files that come out wrongly without an error: they are noted or rejected."""

from pathlib import Path

import pytest

from nlp_rnn.errors import DataError
from nlp_rnn.sources.file_format import DEFAULT_OPTIONS
from nlp_rnn.sources.streams import find_streams, open_stream
from tests.reading import load

pytestmark = pytest.mark.usefixtures("own_datasets_cache")

LABELS = ["pos", "neg"]


def write(path: Path, *lines: str, end: str = "\n") -> Path:
    path.write_bytes("".join(line + end for line in lines).encode())
    return path


def stream_notes(path: Path) -> list[str]:
    notes: list[str] = []
    (entry,) = find_streams(path, ["text"], [], DEFAULT_OPTIONS)["train"]
    for _ in open_stream(entry, ["text"], notes).blocks:
        pass
    return notes


@pytest.mark.parametrize(
    ("mark", "note"),
    [("\r", "ends with a carriage return"), ("\\\n", "ends with a backslash")],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_line_ends_within_texts_without_quotes_are_noted(tmp_path, mark, note, end):
    mark = mark.replace("\n", end)
    lines = [f"{LABELS[i % 2]},good{mark}film, number {i}" for i in range(20)]
    path = write(tmp_path / "a.csv", "label,text", *lines, end=end)
    for notes in (load(path).notes, stream_notes(path), load(path, "data.quoting=false").notes):
        assert any(note in line and "'pos,good'" in line for line in notes), notes
    quoted = [f'{LABELS[i % 2]},"good{mark}film, number {i}"' for i in range(20)]
    path = write(tmp_path / "b.csv", "label,text", *quoted, end=end)
    source = load(path)
    assert source.splits["train"]["text"][3] == f"good{mark}film, number 3"
    assert source.notes == ()


@pytest.mark.parametrize("end", ["\r", "\r\r\n", "\n\n"])
def test_unusual_line_ends_are_no_fault(tmp_path, end):
    lines = [f"a film,{LABELS[i % 2]}" for i in range(9)]
    source = load(write(tmp_path / "a.csv", "text,label", *lines, end=end))
    assert len(source.splits["train"]) == 9
    assert source.notes == ()


def test_escaped_backslashes_at_line_ends_are_no_fault(tmp_path):
    lines = [f"{LABELS[i % 2]},C:\\\\" for i in range(9)]
    assert load(write(tmp_path / "a.csv", "label,text", *lines)).notes == ()


@pytest.mark.parametrize(
    ("row", "late", "where"),
    [
        ("film {i},{label},", "film, x,pos", "'pos' in the last column"),
        ("{n},film {i},{label}", "film, x,pos", "'film' in the first column"),
    ],
)
def test_a_column_that_the_header_lacks_is_as_in_the_first_rows(tmp_path, row, late, where):
    lines = [row.format(i=i, n=i + 1, label=LABELS[i % 2]) for i in range(25)]
    path = write(tmp_path / "a.csv", "text,label", *lines)
    assert load(path).splits["train"]["text"][:2] == ["film 0", "film 1"]
    path = write(tmp_path / "b.csv", "text,label", *lines, late)
    for read in (load, stream_notes):
        with pytest.raises(DataError, match=f"row 27 has {where}") as caught:
            read(path)
        assert "enclose texts that contain the delimiter" in str(caught.value)
    quoted = row.format(i="0, x", n=26, label="pos").replace("film 0, x", '"film 0, x"')
    path = write(tmp_path / "c.csv", "text,label", *lines, quoted)
    assert load(path).splits["train"]["text"][25] == "film 0, x"


@pytest.mark.parametrize(("delimiter", "other"), [(";", ","), (",", ";"), ("\t", ",")])
def test_a_delimiter_that_leaves_quotes_in_cells_is_the_wrong_one(tmp_path, delimiter, other):
    lines = [f'{LABELS[i % 2]}{delimiter}"film{other} {i}{delimiter} x"' for i in range(20)]
    options = ["data.header=false", "data.text=2", "data.label=1"]
    rows = load(write(tmp_path / "a.csv", *lines), *options).splits["train"]
    assert rows["2"][1] == f"film{other} 1{delimiter} x"
    assert {*rows["1"]} == {*LABELS}
