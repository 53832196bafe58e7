"""Forms of files: without header, compressed, in other encodings, one labelled text per line."""

import gzip
import zipfile
from pathlib import Path

import datasets
import pyarrow
import pyarrow.parquet
import pytest

from nlp_rnn.config.checks import check
from nlp_rnn.data.corpus import load_corpus
from nlp_rnn.errors import ConfigError, DataError, NlpRnnError
from tests.composing import compose

pytestmark = pytest.mark.usefixtures("own_datasets_cache")

RAW = Path(__file__).parents[1].parent / "shared" / "data" / "raw_formats"


def load(path: Path, *options: str):
    from nlp_rnn.sources.source import read_source

    config = compose(["data=files", f"data.path='{path}'", *options])
    check(config)
    return read_source(config.data)


def rows(path: Path, *options: str) -> list[dict]:
    return load(path, *options).splits["train"].to_list()


def refusal(path: Path, *options: str) -> str:
    with pytest.raises(NlpRnnError) as caught:
        load(path, *options)
    assert len(str(caught.value).splitlines()) <= 2
    return str(caught.value)


def test_csv_without_header_by_number_and_by_name(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('"1","title","a ""b"" \\c"\n"2","x","y"\n')
    expected = [{"2": "title", "3": 'a "b" \\c', "1": "1"}, {"2": "x", "3": "y", "1": "2"}]
    assert rows(path, "data.header=false", "data.text=[2,3]", "data.label=1") == expected
    named = rows(path, "data.header=false", "data.columns=[label,title,text]")
    assert named == [{"text": 'a "b" \\c', "label": "1"}, {"text": "y", "label": "2"}]
    assert "no column '4'; it has: 1, 2, 3" in refusal(
        path, "data.header=false", "data.text=4", "data.label=1"
    )
    message = refusal(path, "data.header=false", "data.columns=[label,text]")
    assert "has 3 columns in its first row, but data.columns has 2 names" in message


@pytest.mark.parametrize(("option", "character"), [("';'", ";"), ("tab", "\t"), ("'|'", "|")])
def test_any_delimiter(tmp_path, option, character):
    path = tmp_path / "a.csv"
    path.write_text(f"text{character}label\na, b{character}x\n")
    assert rows(path, f"data.delimiter={option}") == [{"text": "a, b", "label": "x"}]


def test_without_quoting_a_quote_is_a_character(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text('ham\t"so\nham\tc\nspam\td\nham\t"e\n')
    options = ("data.header=false", "data.columns=[label,text]")
    assert [row["text"] for row in rows(path, *options, "data.quoting=false")] == [
        *('"so', "c", "d", '"e'),
    ]
    # read with quoting, rows would be swallowed
    message = refusal(path, *options)
    assert "a quote in line 1 is not closed in this line" in message
    assert "data.quoting=false" in message
    path.write_text('ham\t"so\nham\tc\nspam\td\nham\te"\n')
    (note,) = load(path, *options).notes
    assert "1 cell contains what looks like whole rows" in note
    assert "data.quoting=false" in note


def test_a_stray_quote_within_a_cell_and_one_that_never_ends(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('text,label\n6" nail,x\n')
    assert rows(path) == [{"text": '6" nail', "label": "x"}]
    path.write_text('text,label\n"never,x\nends,y\n')
    assert "set data.quoting=false" in refusal(path)


@pytest.mark.parametrize("kind", ["csv", "tsv", "json", "jsonl"])
@pytest.mark.parametrize("packing", ["gz", "zst"])
def test_packed_files(tmp_path, kind, packing):
    content = {
        "csv": "text,label\ncafé,x\n",
        "tsv": "text\tlabel\ncafé\tx\n",
        "json": '[{"text": "café", "label": "x"}]',
        "jsonl": '{"text": "café", "label": "x"}\n',
    }[kind].encode()
    path = tmp_path / f"my file.{kind}.{packing}"
    name = {"gz": "gzip", "zst": "zstd"}[packing]
    path.write_bytes(
        gzip.compress(content)
        if packing == "gz"
        else pyarrow.compress(content, codec=name, asbytes=True)
    )
    assert rows(path) == [{"text": "café", "label": "x"}]
    path.write_bytes(path.read_bytes()[:-4])
    assert f"{path} cannot be decompressed" in refusal(path)
    path.write_bytes(b"not packed at all")
    assert f"{path} cannot be decompressed" in refusal(path)


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_packed_tables(tmp_path, kind):
    table = pyarrow.table({"text": ["café", "b"], "label": [1, 0], "other": [[1], [2]]})
    plain, path = tmp_path / "plain", tmp_path / f"a.{kind}.gz"
    if kind == "parquet":
        pyarrow.parquet.write_table(table, plain)
    else:
        with pyarrow.ipc.new_file(plain, table.schema) as file:
            file.write_table(table)
    path.write_bytes(gzip.compress(plain.read_bytes()))
    assert [(row["text"], row["label"]) for row in rows(path)] == [("café", 1), ("b", 0)]
    path.write_bytes(gzip.compress(b"PAR1 and nothing else"))
    assert f"{path} cannot be read: " in refusal(path)


def test_an_encoding_is_for_the_text_files_of_a_folder(tmp_path):
    (tmp_path / "train.csv").write_bytes("text,label\ncafé,x\n".encode("latin-1"))
    table = pyarrow.table({"text": ["thé"], "label": ["x"]})
    pyarrow.parquet.write_table(table, tmp_path / "test.parquet")
    splits = load(tmp_path, "data.encoding=latin-1").splits
    assert [splits[split]["text"][0] for split in ("train", "test")] == ["café", "thé"]


def test_a_folder_of_packed_splits(tmp_path):
    for name in ("train", "dev", "test"):
        (tmp_path / f"{name}.csv.gz").write_bytes(gzip.compress(b"text,label\na,x\n"))
    assert list(load(tmp_path).splits) == ["train", "validation", "test"]


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "utf-16", "gb18030"])
@pytest.mark.parametrize("kind", ["csv", "jsonl", "lines"])
def test_encodings(tmp_path, encoding, kind):
    text = "é für 2" if encoding != "gb18030" else "好书"
    content = {
        "csv": f"text,label\n{text},x\n",
        "jsonl": f'{{"text": "{text}", "label": "x"}}\n',
        "lines": f"x {text}\n",
    }[kind]
    path = tmp_path / ("a.label" if kind == "lines" else f"a.{kind}")
    path.write_bytes(content.encode(encoding))
    assert rows(path, f"data.encoding={encoding}") == [{"text": text, "label": "x"}]


def test_bytes_of_another_encoding_name_file_row_and_byte(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"text,label\n" + b"fine,x\n" * 5 + b"bad \x81,x\n")
    position = len(b"text,label\n" + b"fine,x\n" * 5 + b"bad ") + 1
    message = refusal(path, "data.encoding=cp1252")
    assert f"{path} is not cp1252: row 7, byte {position} of the file is 0x81." in message
    assert "cp850 ('bad ü,x')" in refusal(path)
    assert rows(path, "data.encoding=latin-1")[5] == {"text": "bad \x81", "label": "x"}
    # where decoding began in an earlier piece of the file
    path.write_bytes("text,label\n".encode("utf-16") + b"\x41" * (1 << 20) + b"\x00\xd8\x41\x41")
    assert "row 2, byte" in refusal(path, "data.encoding=utf-16")


def test_nested_records(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(
        '{"id": 1, "utterance": {"text": "hi", "by": {"name": "x"}}}\n'
        '{"id": 2, "utterance": null}\n'
    )
    loaded = rows(path, "data.text=utterance.text", "data.label=utterance.by.name")
    assert loaded == [
        {"utterance.text": "hi", "utterance.by.name": "x"},
        {"utterance.text": None, "utterance.by.name": None},
    ]
    assert "no field 'words' in 'utterance'; it has: text, by" in refusal(
        path, "data.text=utterance.words", "data.label=id"
    )
    assert "no nested records in 'id'" in refusal(path, "data.text=id.text", "data.label=id")
    table = pyarrow.Table.from_pylist([{"a": {"b": "t"}, "a.b": "flat", "label": 1}])
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    assert rows(tmp_path / "a.parquet", "data.text=a.b")[0]["a.b"] == "flat"
    pyarrow.parquet.write_table(table.select(["a", "label"]), tmp_path / "b.parquet")
    assert rows(tmp_path / "b.parquet", "data.text=a.b") == [{"a.b": "t", "label": 1}]


@pytest.mark.parametrize("opened", ["new_stream", "new_file"])
def test_arrow(tmp_path, opened):
    table = pyarrow.table({"text": ["a", "b"], "label": [1, 0]})
    path = tmp_path / "a.arrow"
    with getattr(pyarrow.ipc, opened)(str(path), table.schema) as writer:
        writer.write_table(table)
    assert rows(path) == table.to_pylist()
    path.write_bytes(b"nothing of that kind")
    assert f"{path} cannot be read" in refusal(path)


def test_a_folder_for_each_class(tmp_path):
    for name, content in {
        "train/pos/2.txt": "good\u0085film\n",
        "train/pos/10.txt": "",
        "train/neg/1.txt": "b\nad",
        "train/unsup/1.txt": "?",
        "train/urls_pos.txt": "http",
        "test/neg/1.txt": "no",
        "README": "about",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode())
    source = load(tmp_path)
    assert source.splits["train"].to_list() == [
        {"text": "b\nad", "label": "neg"},
        {"text": "", "label": "pos"},
        {"text": "good\u0085film", "label": "pos"},
    ]
    assert source.splits["test"].to_list() == [{"text": "no", "label": "neg"}]
    assert source.notes == (
        "train: the texts in unsup have no label and are not used",
        "train: files beside the class folders are not read: urls_pos.txt",
        "train: 2 classes by the names of folders: neg, pos",
        "test: 1 class by the names of folders: neg",
    )
    assert list(load(tmp_path / "train").splits) == ["train"]
    assert "no column 'stars'; it has: text, label" in refusal(tmp_path, "data.label=stars")
    assert "data.format=csv does not apply" in refusal(tmp_path, "data.format=csv")
    (tmp_path / "train/pos/3.txt").write_bytes(b"ok\n\xe9")
    assert f"{tmp_path}/train/pos/3.txt is not UTF-8: row 2, byte 4" in refusal(tmp_path)
    assert len(load(tmp_path, "data.encoding=latin-1").splits["train"]) == 4


def test_a_label_on_each_line(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("DESC:manner How\u0085so ?\r\n\nNUM 1\nHUM \n".encode())
    assert rows(path, "data.format=lines") == [
        {"text": "How\u0085so ?", "label": "DESC:manner"},
        {"text": "1", "label": "NUM"},
        {"text": "", "label": "HUM"},
    ]
    coarse = rows(path, "data.format=lines", "data.label=coarse_label")
    assert [row["coarse_label"] for row in coarse] == ["DESC", "NUM", "HUM"]
    path.write_text("two words\ta text\n")
    loaded = rows(path, "data.format=lines", "data.delimiter=tab")
    assert loaded == [{"text": "a text", "label": "two words"}]
    path.write_text("a b\n\nalone\n")
    message = refusal(path, "data.format=lines")
    assert f"{path}: row 3 has no white space between a label and a text: 'alone'" in message
    assert "data.format" in refusal(path)


def test_fasttext(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("__label__good-one  A film ,\nno label\n__label__bad\n")
    assert rows(path, "data.format=fasttext") == [
        {"text": "A film ,", "label": "good-one"},
        {"text": "no label", "label": None},
        {"text": "", "label": "bad"},
    ]
    path.write_text("__label__a one\n__label__a __label__b two\n")
    assert f"{path}: row 2 has 2 labels: a, b" in refusal(path, "data.format=fasttext")
    multi_label = rows(path, "data.format=fasttext", "data.label_separator=space")
    assert [row["label"] for row in multi_label] == ["a", "a b"]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("__label__a  two  words ", "two  words "),
        ("  __label__a text", "text"),
        ("text at the end __label__a", "text at the end"),
        ("text at the end  __label__a ", "text at the end"),
        ("in the __label__a middle", "in the middle"),
        ("in the\t__label__a\tmiddle", "in the\tmiddle"),
        ("no__label__x __label__a", "no__label__x"),
        ("  indented __label__a", "  indented"),
        ("__label__a", ""),
    ],
)
def test_a_fasttext_label_anywhere_is_removed_from_the_text(tmp_path, line, text):
    path = tmp_path / "a.txt"
    path.write_text(f"{line}\n")
    assert rows(path, "data.format=fasttext") == [{"text": text, "label": "a"}]


@pytest.mark.parametrize(
    ("line", "text", "label"),
    [
        ("__label__a __label__b text", "text", "a b"),
        ("__label__a text __label__b", "text", "a b"),
        ("one __label__a two __label__b three", "one two three", "a b"),
        ("text __label__a __label__b", "text", "a b"),
        ("__label__a __label__b", "", "a b"),
    ],
)
def test_several_fasttext_labels_anywhere(tmp_path, line, text, label):
    path = tmp_path / "a.txt"
    path.write_text(f"{line}\n")
    options = ("data.format=fasttext", "data.label_separator=space")
    assert rows(path, *options) == [{"text": text, "label": label}]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("__label__a,text more", "a comma in '__label__a,text'"),
        ("__label__a, __label__b text", "a comma in '__label__a,'"),
        ("text __label__a,__label__b", "a comma in '__label__a,__label__b'"),
        ("__label__ a text", "no name after '__label__'"),
    ],
)
def test_fasttext_labels_with_a_comma(tmp_path, line, what):
    path = tmp_path / "a.txt"
    path.write_text(f"__label__a ok\n{line}\n")
    options = ("data.format=fasttext", "data.label_separator=space")
    message = refusal(path, *options)
    assert f"{path}: row 2 has {what}" in message
    path.write_text(message.rpartition(": ")[2])  # the example of the message
    assert rows(path, *options) == [{"text": "text", "label": "a b"}]


def test_names_for_numbers_and_for_names(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text,label\n" + "a,1\nb,2\nc,3\n" * 10)

    def labels(option: str) -> tuple[str, ...]:
        config = compose(["data=files", f"data.path={path}", option])
        check(config)
        return load_corpus(config.data).labels

    assert labels("data.label_names={1:World,2:Sports,3:Sci/Tech}") == (
        *("World", "Sports", "Sci/Tech"),
    )
    assert labels("data.label_names={1:bad,2:bad,3:good}") == ("bad", "good")
    assert labels("data.label_names=[none,z,y,x]") == ("z", "y", "x")
    with pytest.raises(DataError, match="label '3', which has no name in data.label_names"):
        labels("data.label_names=[z,y,x]")
    path.write_text("text,label\n" + "a,ham\nb,spam\n" * 10)
    assert labels("data.label_names={spam:junk,ham:fine}") == ("junk", "fine")


def test_names_for_a_class_label(tmp_path):
    saved = datasets.Dataset.from_dict({"text": ["a", "b"] * 20, "label": [0, 1] * 20})
    saved.cast_column("label", datasets.ClassLabel(names=["0", "x"])).save_to_disk(tmp_path / "s")
    config = compose(["data=files", f"data.path={tmp_path}/s", "data.label_names={0:neg,x:pos}"])
    assert load_corpus(config.data).labels == ("neg", "pos")


def test_archives_are_not_opened(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../escaped.csv", "text,label\na,x\n")
    assert "is an archive. Archives are not supported" in refusal(path)
    path.rename(tmp_path / "a.tar.gz")
    assert "Unpack it" in refusal(tmp_path / "a.tar.gz")
    assert not (tmp_path.parent / "escaped.csv").exists()


def test_a_name_with_signs_of_a_pattern(tmp_path):
    path = tmp_path / "a [1]*.jsonl"
    path.write_text('{"text": "a", "label": "x"}\n')
    assert rows(path) == [{"text": "a", "label": "x"}]


@pytest.mark.parametrize(
    ("kind", "option"),
    [
        ("jsonl", "data.header=false data.columns=[a]"),
        ("jsonl", "data.delimiter=semicolon"),
        ("jsonl", "data.quoting=false"),
        ("label", "data.quoting=false"),
        ("parquet", "data.encoding=latin-1"),
    ],
)
def test_an_option_about_another_kind_of_file_is_refused(tmp_path, kind, option):
    path = tmp_path / f"a.{kind}"
    path.write_text("x")
    assert "does not apply to" in refusal(path, *option.split())


@pytest.mark.parametrize(
    "options",
    [
        ["data.columns=[text,label]"],
        ["data.header=false", "data.columns=[a,a]"],
        ["data.delimiter=ab"],
        ["data.delimiter='\"'"],
        ["data.encoding=klingon"],
        ["data.encoding=hex"],
        ["data.label_names=[]"],
        ["data.label_names=[a,a]"],
        ["data.label_names=3"],
        ["data.text=[a,a]"],
        ["data.text=true"],
    ],
)
def test_options_without_sense(options):
    with pytest.raises(ConfigError) as caught:
        check(compose(["data=files", "data.path=x", *options]))
    assert len(str(caught.value).splitlines()) <= 2


@pytest.mark.shared
@pytest.mark.skipif(not RAW.is_dir(), reason="the shared data sets are not here")
@pytest.mark.parametrize(
    ("name", "options", "rows", "labels"),
    [
        (
            "ag_news_test_head.csv",
            "data.header=false data.label=1 data.text=[2,3] "
            "data.label_names={1:World,2:Sports,3:Business,4:Sci/Tech}",
            466,
            4,
        ),
        ("trec_train_head.label", "data.encoding=latin-1 data.label=coarse_label", 1958, 6),
        (
            "sms_spam_head.tsv",
            "data.header=false data.text=2 data.label=1 data.quoting=false",
            1382,
            2,
        ),
        ("sms_spam_head.tsv", "data.format=lines", 1382, 2),
        (
            "goemotions_dev_head.tsv",
            "data.header=false data.text=1 data.label=2 data.label_separator=comma",
            1472,
            28,
        ),
        ("nlupp_banking_fold0.json", "data.label=intents", 96, 47),
    ],
)
def test_real_awkward_files(name, options, rows, labels):
    config = compose(["data=files", f"data.path={RAW / name}", *options.split()])
    check(config)
    corpus = load_corpus(config.data)
    assert sum(len(s) for s in (corpus.train, corpus.validation, corpus.test)) == rows
    assert len(corpus.labels) == labels
