"""Files that readers accept although their rows, texts or labels come out wrong."""

import csv
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pytest

from nlp_rnn.config.checks import check
from nlp_rnn.data.corpus import Corpus, load_corpus
from nlp_rnn.errors import NlpRnnError
from nlp_rnn.sources.source import read_source
from tests.composing import compose

LABELS = ["pos", "pos", "neg", "neg"]


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path_factory.mktemp("cache")))


def corpus(path: Path, *options: str) -> Corpus:
    config = compose(["data=files", f"data.path='{path}'", *options])
    check(config)
    return load_corpus(config.data)


def rows(path: Path, *options: str) -> list[dict[str, Any]]:
    config = compose(["data=files", f"data.path='{path}'", *options])
    check(config)
    return list(read_source(config.data).splits["train"].to_list())


def refusal(path: Path, *options: str) -> str:
    with pytest.raises(NlpRnnError) as caught:
        corpus(path, *options)
    message = str(caught.value)
    assert len(message.splitlines()) <= 2
    return message


def write(path: Path, *lines: str, end: str = "\n") -> Path:
    path.parent.mkdir(exist_ok=True)
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
