"""A file format is one `FileFormat` and one line in `FORMATS`, as the page for contributors says.

The format of these tests has records of `key: value` lines, separated by blank lines.
"""

import gzip
import inspect
import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path

import datasets
import pytest
from datasets import Dataset

from nlp_rnn.cli import main
from nlp_rnn.config.checks import check
from nlp_rnn.config.data import FilesConfig
from nlp_rnn.data.corpus import Corpus, load_corpus
from nlp_rnn.errors import ConfigError, DataError
from nlp_rnn.sources.columns import require_columns
from nlp_rnn.sources.file_format import FileFormat, SourceFile, TableStream
from nlp_rnn.sources.formats import FORMATS
from tests.composing import compose
from tests.tiny_classifier import save_tiny


def _records(file: SourceFile) -> Iterator[dict[str, str | None]]:
    record: dict[str, str | None] = {}
    for number, line in chain(file.lines(), [(0, "")]):
        if not line and record:
            require_columns(list(record), file.columns, f"A record of {file.path}")
            yield record
            record = {}
        elif line:
            key, colon, value = line.partition(": ")
            if not colon:
                raise DataError(f"{file.path}: line {number} has no ': '.\nWrite KEY: VALUE.")
            record[key] = value


def _read_records(file: SourceFile) -> "Dataset":
    return file.from_rows(("records", 1), _records(file))


def _stream_records(file: SourceFile) -> TableStream:
    return TableStream([], ([record] for record in _records(file)))


RECORDS = FileFormat(
    "records",
    _read_records,
    suffixes=(".records",),
    options=("encoding",),
    stream=_stream_records,
)

PAGE = Path(__file__).parents[1] / "docs" / "how-to" / "add-a-file-format.md"
ROWS = [(f"film {row}", "pos" if row % 2 else "neg") for row in range(40)]
CONTENT = "\n".join(f"stars: 5\ntext: {text}\nlabel: {label}\n" for text, label in ROWS)


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setitem(FORMATS, RECORDS.name, RECORDS)


def load(path: Path, *options: str) -> Corpus:
    config = compose(["data=files", f"data.path='{path}'", *options])
    check(config)
    return load_corpus(config.data)


def rows_of(corpus: Corpus) -> set[tuple[str, str]]:
    return {
        (text, corpus.labels[label])
        for split in (corpus.train, corpus.validation, corpus.test)
        for text, label in zip(split["text"], split["label"], strict=True)
    }


def test_a_new_format_is_recognized_by_its_suffix(tmp_path: Path) -> None:
    path = tmp_path / "films.records"
    path.write_text(CONTENT)
    corpus = load(path)
    assert corpus.labels == ("neg", "pos")
    assert rows_of(corpus) == set(ROWS)


def test_a_new_format_can_be_chosen_by_name(tmp_path: Path) -> None:
    path = tmp_path / "films.txt"
    path.write_text(CONTENT.replace("film", "café"), encoding="latin-1")
    corpus = load(path, "data.format=records", "data.encoding=latin-1")
    assert ("café 0", "neg") in rows_of(corpus)


def test_a_new_format_can_be_compressed_and_be_one_split_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "train.records.gz").write_bytes(gzip.compress(CONTENT.encode()))
    (tmp_path / "test.csv").write_text("text,label\ngood,pos\n")
    corpus = load(tmp_path)
    assert len(corpus.train) + len(corpus.validation) == len(ROWS)
    assert list(corpus.test["text"]) == ["good"]


def test_messages_name_the_new_format_and_its_errors(tmp_path: Path) -> None:
    path = tmp_path / "films.records"
    path.write_text("text: good\nlabel\n")
    with pytest.raises(DataError, match="line 2 has no ': '"):
        load(path)
    path.write_text("text: good\n")
    with pytest.raises(DataError, match="has no column 'label'; it has: text"):
        load(path)
    with pytest.raises(DataError, match=r"data.quoting does not apply to .* \(records\)"):
        load(path, "data.quoting=false")
    path.write_bytes(CONTENT.encode().replace(b"film 7", b"caf\xe9"))
    with pytest.raises(DataError, match="is not UTF-8: row 30, byte 10"):
        load(path)
    with pytest.raises(ConfigError, match="Set data.format to one of: parquet, .*, records"):
        load(path, "data.format=record")
    with pytest.raises(DataError, match=r"suffix of a supported format \(.*\.records"):
        load_corpus(FilesConfig(name="files", path=str(path.rename(tmp_path / "films.txt"))))


def test_the_registry_has_every_format_once_under_its_name() -> None:
    assert all(known.name == name for name, known in FORMATS.items())
    suffixes = [suffix for known in FORMATS.values() for suffix in known.suffixes]
    assert len(set(suffixes)) == len(suffixes)


def test_the_page_shows_the_format_of_these_tests() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert inspect.getsource(_records) in page
    assert inspect.getsource(_read_records) in page
    assert len(page.splitlines()) < 90


@pytest.mark.parametrize("has_stream", [True, False])
def test_predict_reads_the_format(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_stream: bool
) -> None:
    if not has_stream:
        without = replace(RECORDS, stream=None)
        monkeypatch.setitem(FORMATS, RECORDS.name, without)
    (tmp_path / "films.records").write_text(CONTENT)
    folder, out = str(save_tiny(tmp_path / "classifier")), str(tmp_path / "out.jsonl")
    source = str(tmp_path / "films.records")
    assert main(["predict", folder, "--input", source, "--output", out]) == 0
    rows = [json.loads(line) for line in Path(out).read_text().splitlines()]
    assert [row["text"] for row in rows] == [text for text, _ in ROWS]
    others = {"stars", "label", "predicted_label", "predicted_score"}
    assert set(rows[0]) == {"text"} | (others if has_stream else {"label", "score"})
