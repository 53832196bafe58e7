"""Json files, folders and columns that cannot be read as they are: following the advice works."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pytest

from nlp_rnn.config.checks import check
from nlp_rnn.config.compose import compose as compose_command_line
from nlp_rnn.data.corpus import load_corpus
from nlp_rnn.errors import NlpRnnError
from nlp_rnn.sources.source import Source, read_source
from tests.composing import compose

pytestmark = pytest.mark.usefixtures("own_datasets_cache")

TEXTS = [f"film {i}" for i in range(20)]
LABELS = ["pos", "neg"] * 10
PAIRS = [[text, label] for text, label in zip(TEXTS, LABELS, strict=True)]
RECORDS = [{"text": text, "label": label} for text, label in PAIRS]


def config(path: Path, *options: str) -> Any:
    composed = compose(["data=files", f"data.path='{path}'", *options])
    check(composed)
    return composed.data


def load(path: Path, *options: str) -> Source:
    return read_source(config(path, *options))


def rows(path: Path, *options: str, split: str = "train") -> list[Any]:
    source = load(path, *options)
    columns = [*source.text, source.label]
    return [[row[name] for name in columns] for row in source.splits[split].to_list()]


def refusal(path: Path, *options: str) -> str:
    with pytest.raises(NlpRnnError) as caught:
        load_corpus(config(path, *options))
    message = str(caught.value)
    assert len(message.splitlines()) <= 2
    return message


def options_of(message: str) -> list[str]:
    return re.findall(r"data\.\w+=[^\s;]+", message)


def run(command: str, folder: Path, old: str = "OLD") -> None:
    command = command.replace("OLD", old)
    # the python3 that has pandas and pyarrow
    paths = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": paths}
    subprocess.run(
        command, shell=True, check=True, cwd=folder, executable="/bin/bash", env=environment
    )


# --- json -------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["list", "splits", "lines", "nested", "indented", "swapped"])
def test_rows_that_are_lists_are_read_with_the_numbers_of_their_elements(tmp_path, layout):
    path = tmp_path / ("a.jsonl" if layout == "lines" else "a.json")
    pairs = [pair[::-1] for pair in PAIRS] if layout == "swapped" else PAIRS
    content: Any = {"splits": {"train": pairs, "test": pairs[:4]}, "nested": {"data": pairs}}
    content = content.get(layout, pairs)
    if layout == "lines":
        path.write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    else:
        path.write_text(json.dumps(content, indent=1 if layout == "indented" else None))
    message = refusal(path)
    assert "Its rows are lists, whose elements have numbers" in message
    assert rows(path, *options_of(message)) == PAIRS
    if layout == "splits":
        assert rows(path, *options_of(message), split="test") == PAIRS[:4]


def test_a_first_row_with_the_names_of_the_columns(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps([["text", "label"], *PAIRS]))
    assert rows(path) == PAIRS
    path.write_text(json.dumps({"train": [["id", "label", "text"], [1, "pos", "a"]]}))
    assert rows(path) == [["a", "pos"]]


JSONL = "".join(json.dumps(record) + "\n" for record in RECORDS)


@pytest.mark.parametrize(
    ("content", "advice"),
    [
        (JSONL.replace("}\n", "},\n"), "Remove the commas"),
        ("// made by hand\n" + JSONL, "Remove the comments"),
        ("# made by hand\n" + JSONL, "Remove the comments"),
        ("".join(f"{record}\n" for record in RECORDS), "It has records of Python"),
    ],
)
def test_json_lines_with_a_common_fault_are_read_after_the_command_of_the_error(
    tmp_path, content, advice
):
    path = tmp_path / "a.jsonl"
    path.write_text(content)
    message = refusal(path)
    assert "is not valid JSON: line 1" in message
    assert advice in message
    run(message.split(": ")[-1].replace("NEW", "new.jsonl"), tmp_path, "a.jsonl")
    assert rows(tmp_path / "new.jsonl") == PAIRS


def test_arrays_with_a_common_fault_have_advice(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(RECORDS)[:-1])
    assert refusal(path).endswith("It ends before its last bracket ]: write or download it again.")
    path.write_text(json.dumps(RECORDS)[:-1] + ",\n]")
    assert refusal(path).endswith("Remove the comma before the last bracket.")
    path.write_text("[" + JSONL.replace("}\n", "};\n") + "]")
    assert refusal(path).endswith("or a list of records.")


# --- folders ----------------------------------------------------------------------------------


@pytest.mark.parametrize("last", ["\n", ""])
def test_one_text_file_for_each_class(tmp_path, last):
    for label in ("pos", "neg"):
        lines = [text for text, other in PAIRS if other == label]
        (tmp_path / f"{label}.txt").write_text("\n".join(lines) + last)
    message = refusal(tmp_path)
    follow_lines_advice(message)


def follow_lines_advice(message: str) -> None:
    folder, command = re.findall(r"run in the folder (\S+): (.*); and set", message)[0]
    run(command, Path(folder))
    assert sorted(rows(Path(options_of(message)[0][10:]), "data.delimiter=tab")) == sorted(PAIRS)


@pytest.mark.parametrize("name", ["{}.txt", "{}/all.txt", "train/{}.txt"])
def test_texts_of_each_class_in_the_lines_of_one_file(tmp_path, name):
    for label in ("pos", "neg"):
        path = tmp_path / name.format(label)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(text + "\n" for text, other in PAIRS if other == label))
    follow_lines_advice(refusal(tmp_path))


@pytest.mark.parametrize(
    ("line", "format_name"),
    [
        ("{1},{0}", "csv"),
        ("{1}\t{0}", "tsv"),
        ("__label__{0} {1}", "fasttext"),
        ("{0} {1}", "lines"),
    ],
)
def test_a_training_file_with_the_suffix_txt(tmp_path, line, format_name):
    lines = [line.format(label, text) for text, label in PAIRS]
    header = ["text,label".replace(",", line[3])] if format_name in ("csv", "tsv") else []
    for split in ("train", "test"):
        (tmp_path / f"{split}.txt").write_text("".join(line + "\n" for line in header + lines))
    (option,) = options_of(refusal(tmp_path))[-1:]
    assert option == f"data.format={format_name}"
    assert rows(tmp_path, option) == rows(tmp_path, option, split="test") == PAIRS


def test_compressed_texts_in_class_folders(tmp_path):
    for number, (text, label) in enumerate(PAIRS):
        (tmp_path / label).mkdir(exist_ok=True)
        (tmp_path / label / f"{number:02}.txt").write_text(text)
    subprocess.run(["gzip", tmp_path / "neg" / "19.txt"], check=True)
    run(refusal(tmp_path).split("Decompress it: ")[1], tmp_path)
    assert sorted(rows(tmp_path)) == sorted(PAIRS)


def test_one_table_for_each_class(tmp_path):
    for label in ("pos", "neg"):
        lines = [text for text, other in PAIRS if other == label]
        pd.DataFrame({"text": lines}).to_csv(tmp_path / f"{label}.csv", index=False)
    message = refusal(tmp_path)
    run(message.split("run in the folder: ")[1], tmp_path)
    assert sorted(rows(tmp_path / "train.csv")) == sorted(PAIRS)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_partitions_of_spark(tmp_path, kind):
    for label in ("pos", "neg"):
        (tmp_path / f"label={label}").mkdir()
        lines = [text for text, other in PAIRS if other == label]
        table = pd.DataFrame({"text": lines})
        path = tmp_path / f"label={label}" / f"part-0.{kind}"
        table.to_parquet(path) if kind == "parquet" else table.to_csv(path, index=False)
    message = refusal(tmp_path)
    run(message.split("to one file: ")[1].replace("NEW", "new"), tmp_path)
    assert sorted(rows(tmp_path / "new.csv")) == sorted(PAIRS)


@pytest.mark.parametrize("name", ["trainset.csv", "reviews.csv", "Train (1).csv"])
def test_a_single_file_with_another_name(tmp_path, name):
    pd.DataFrame(RECORDS).to_csv(tmp_path / name, index=False)
    message = refusal(tmp_path)
    assert "Name it train.csv, or set data.path=" in message
    (tmp_path / name).rename(tmp_path / "train.csv")
    assert rows(tmp_path) == PAIRS


def test_numbered_files_are_read_by_the_pattern_of_the_error(tmp_path):
    for number in (1, 2):
        pd.DataFrame(RECORDS).to_csv(tmp_path / f"train{number}.csv", index=False)
    pattern = re.findall(r"such as (\S+\.csv)", refusal(tmp_path))[0]
    assert rows(Path(pattern)) == PAIRS * 2


@pytest.mark.parametrize(
    ("name", "header"), [("test.csv", "review,label"), ("test.csv", ""), ("train-2.csv", "a,b")]
)
def test_files_without_the_columns_of_the_first_one(tmp_path, name, header):
    lines = [f"{text},{label}" for text, label in PAIRS]
    first = "train.csv" if name == "test.csv" else "train-1.csv"
    (tmp_path / first).write_text("\n".join(["text,label", *lines]) + "\n")
    (tmp_path / name).write_text("\n".join([header] * bool(header) + lines) + "\n")
    message = refusal(tmp_path)
    assert f"It needs the columns of {first}: rename its columns, write the same header" in message
    (tmp_path / name).write_text("\n".join(["text,label", *lines]) + "\n")
    assert len(rows(tmp_path)) in (20, 40)


def test_a_name_of_several_lines(tmp_path):
    path = tmp_path / "a.csv"
    lines = "".join(f"{text},{label}\n" for text, label in PAIRS)
    path.write_text('"text\n(English)",label\n' + lines)
    assert "it has: text (English), label." in refusal(path)
    assert rows(path, "data.text='text (English)'") == PAIRS


def test_training_and_testing_are_splits(tmp_path):
    for split in ("training", "testing"):
        for label in ("pos", "neg"):
            (tmp_path / "folders" / split / label).mkdir(parents=True)
            (tmp_path / "folders" / split / label / "1.txt").write_text(f"{split} {label}")
        table = datasets.Dataset.from_list(RECORDS)
        table.to_csv(tmp_path / f"{split}.csv", index=False)
    assert set(load(tmp_path / "folders").splits) == {"train", "test"}
    assert set(load(tmp_path).splits) == {"train", "test"}
    saved = datasets.DatasetDict(training=table, testing=table, eval=table)
    saved.save_to_disk(str(tmp_path / "saved"))
    assert set(load(tmp_path / "saved").splits) == {"train", "test"}
    assert load(tmp_path / "saved").notes == ("splits not used: eval",)


def test_saved_splits_with_other_names_are_saved_as_the_error_says(tmp_path):
    table = datasets.Dataset.from_list(RECORDS)
    datasets.DatasetDict(part1=table, part2=table).save_to_disk(str(tmp_path / "saved"))
    message = refusal(tmp_path / "saved")
    assert "has no split named train; it has: part1, part2." in message
    run(message.split("other names: ")[1].replace("NEW", "new"), tmp_path)
    assert rows(tmp_path / "new") == PAIRS


def test_files_of_the_same_name_a_missing_part_and_a_broken_link_are_noted(tmp_path):
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        pd.DataFrame(RECORDS).to_csv(tmp_path / folder / "a.csv", index=False)
    assert "train: read from 2 files, x/a.csv, y/a.csv" in load(tmp_path / "*" / "a.csv").notes
    (tmp_path / "parts").mkdir()
    for number in (0, 2):
        shutil.copy(tmp_path / "x" / "a.csv", tmp_path / "parts" / f"part-0000{number}.csv")
    assert any(
        "may be missing" in note and "part-00001" in note for note in load(tmp_path / "parts").notes
    )
    (tmp_path / "x" / "a.csv").rename(tmp_path / "x" / "train.csv")
    (tmp_path / "x" / "test.csv").symlink_to("/nowhere/test.csv")
    assert (
        "test.csv: a link to /nowhere/test.csv, which does not exist" in load(tmp_path / "x").notes
    )


def test_addresses_and_lists_of_paths_have_advice(tmp_path):
    message = refusal(Path("https://example.org/data/a.csv"))
    assert message.startswith("data.path=https://example.org/data/a.csv is an address, not a path.")
    assert message.endswith("set data.path=a.csv")
    with pytest.raises(NlpRnnError) as caught:
        compose_command_line(["data=files", "data.path=[a.csv,b.csv]"])
    assert "'data.path=FOLDER/*.csv'" in str(caught.value)


# --- columns and labels -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["null", "true", "False", "0", "2024", "1e3", "1.5"])
def test_columns_whose_names_yaml_takes_for_other_values(tmp_path, name):
    path = tmp_path / "a.csv"
    pd.DataFrame({name: TEXTS, "label": LABELS}).to_csv(path, index=False)
    quoted = f"data.text='{name}'"
    assert [text for text, _ in rows(path, quoted)] == TEXTS
    if name not in ("0", "2024"):
        message = refusal(path, f"data.text={name}")
        assert "For a column with this name set \"data.text='" in message
        if name in ("null", "true"):
            assert quoted in message


@pytest.mark.parametrize(("yes", "no"), [("yes", "no"), ("x", ""), ("T", "F"), ("Y", "N")])
def test_columns_of_classes_as_spreadsheets_have_them(tmp_path, yes, no):
    path = tmp_path / "a.csv"
    first = [yes if label == "pos" else no for label in LABELS]
    table = pd.DataFrame({"text": TEXTS, "a": first, "b": [yes] * 20})
    table.to_csv(path, index=False)
    corpus = load_corpus(config(path, "data.label=[a,b]"))
    assert corpus.labels == ("a", "b")


def test_columns_of_classes_with_names_of_labels_are_rejected_with_advice(tmp_path):
    path = tmp_path / "a.csv"
    table = pd.DataFrame({"text": TEXTS, "label1": LABELS, "label2": ["cat"] * 20})
    table.to_csv(path, index=False)
    message = refusal(path, "data.label=[label1,label2]")
    assert [label for _, label in rows(path, options_of(message)[-1])] == LABELS


def test_labels_as_fasttext_writes_them_name_the_format(tmp_path):
    path = tmp_path / "a.label"
    path.write_text("".join(f"__label__{label} {text}\n" for text, label in PAIRS))
    message = refusal(path)
    assert rows(path, options_of(message)[0]) == PAIRS


def test_the_note_about_lists_names_the_cell_that_is_none(tmp_path):
    path = tmp_path / "a.csv"
    cells = ["['x', 'y']", "['y']"] * 9 + ["['x', 'y'", "['x']"]
    pd.DataFrame({"text": TEXTS, "label": cells}).to_csv(path, index=False)
    assert any(
        """others are not: "['x', 'y'".""" in note for note in load_corpus(config(path)).notes
    )
    cells = ["[PAD]", "[CLS]"] * 10
    pd.DataFrame({"text": TEXTS, "label": cells}).to_csv(path, index=False)
    assert not any("lists" in note for note in load_corpus(config(path)).notes)


def test_the_delimiter_without_a_header_gives_a_column_of_few_values(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("".join(f"Hello, World {i};{label}\n" for i, label in enumerate(LABELS)))
    options = ("data.header=false", "data.text=1", "data.label=2")
    assert [label for _, label in rows(path, *options)] == LABELS
    assert load(path, *options).notes == (
        "a.csv: read with delimiter ;; it could also be ,: set data.delimiter if it is",
    )


def test_a_quote_before_every_text_is_not_reported_as_a_single_class(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text,label\n" + "".join(f'"{text},{label}\n' for text, label in PAIRS))
    message = refusal(path)
    assert "data.quoting=false" in message
    assert [label for _, label in rows(path, "data.quoting=false")] == LABELS


# --- csv files that need a command or an option --------------------------------------------------


def lines_of(*pairs: list[str], form: str = "{0},{1}", header: str = "text,label") -> str:
    return "".join(f"{line}\n" for line in [header, *(form.format(*pair) for pair in pairs)])


@pytest.mark.parametrize("delimiter", [",", ";"])
@pytest.mark.parametrize("text", ['disk {} 5"', 'a 5", disk {}"', '"{}" said', 'C:\\new "{}""'])
def test_quotes_that_backslashes_escape_are_converted(tmp_path, delimiter, text):
    pairs = [[text.format(i), label] for i, (_, label) in enumerate(PAIRS)]
    cells = [[text.replace('"', '\\"'), label] for text, label in pairs]
    lines = (f'"{text}"{delimiter}{label}' for text, label in cells)
    path = tmp_path / "a.csv"
    path.write_text("\n".join([f"text{delimiter}label", *lines]) + "\n")
    try:
        (message,) = [note for note in load_corpus(config(path)).notes if "a backslash" in note]
    except NlpRnnError as error:
        message = str(error)
        assert "Backslashes seem to escape its quotes" in message
    command = re.split("Convert (?:it|the file): ", message)[1]
    run(command.replace("NEW", "b.csv"), tmp_path, "a.csv")
    assert rows(tmp_path / "b.csv") == pairs


def test_delimiters_at_the_ends_of_some_rows_are_removed(tmp_path):
    content = lines_of(*PAIRS).replace(",neg\n", ",neg,\n")
    (tmp_path / "a.csv").write_text(content)
    message = refusal(tmp_path / "a.csv")
    assert "The row ends with a delimiter, which the header lacks" in message
    run(message.split("where it is: ")[1].replace("NEW", "b.csv"), tmp_path, "a.csv")
    assert rows(tmp_path / "b.csv") == PAIRS


@pytest.mark.parametrize(
    ("first", "mark", "options"),
    [
        ("sep=|\n", ",", []),
        ("", ",", ["data.delimiter=semicolon"]),
        ("", "\t", ["data.delimiter=';'"]),
    ],
)
def test_a_delimiter_that_is_not_that_of_the_file(tmp_path, first, mark, options):
    path = tmp_path / "a.csv"
    path.write_text(first + lines_of(*PAIRS).replace(",", mark))
    (option,) = options_of(refusal(path, *options))[-1:]
    assert rows(path, option) == PAIRS


@pytest.mark.parametrize("content", ["<reviews>\n<review>a, b</review>\n", "<table><tr>\n"])
def test_markup_is_named(tmp_path, content):
    (tmp_path / "a.csv").write_text(content)
    assert "XML" in refusal(tmp_path / "a.csv")


def test_a_header_without_rows(tmp_path):
    (tmp_path / "a.csv").write_text("text,label")
    assert "has a header, but no rows" in refusal(tmp_path / "a.csv")


# --- json files without records ------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["lists", "pairs"])
def test_objects_without_columns_are_converted(tmp_path, layout):
    path = tmp_path / "a.json"
    lists = {label: [text for text, other in PAIRS if other == label] for label in ("pos", "neg")}
    path.write_text(json.dumps(lists if layout == "lists" else dict(PAIRS)))
    message = refusal(path)
    assert "has no records with columns" in message
    run(message.split("convert it: ")[1], tmp_path, "a.json")
    assert sorted(rows(tmp_path / "NEW.jsonl")) == sorted(PAIRS)


def test_lists_of_texts_are_divided_as_the_error_says(tmp_path):
    path = tmp_path / "intents.json"
    lists = [
        {"tag": label, "patterns": [text for text, other in PAIRS if other == label]}
        for label in ("pos", "neg")
    ]
    path.write_text(json.dumps({"intents": lists}))
    message = refusal(path, "data.text=patterns", "data.label=tag")
    code = re.findall(r"df\.explode\('\w+'\)", message)[0]
    table = eval(code, {"df": pd.DataFrame(lists)})
    table.to_csv(tmp_path / "a.csv", index=False)
    read = rows(tmp_path / "a.csv", "data.text=patterns", "data.label=tag")
    assert sorted(read) == sorted(PAIRS)


def test_records_of_0_and_1_name_their_fields(tmp_path):
    path = tmp_path / "a.jsonl"
    records = [
        {"text": text, "label": {"rude": i % 2, "spam": i % 3 == 0}} for i, text in enumerate(TEXTS)
    ]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    option = re.findall(r"'(data\.label=.*)'", refusal(path))[0]
    corpus = load_corpus(config(path, option))
    assert corpus.labels == ("label.rude", "label.spam")


@pytest.mark.parametrize("kind", ["jsonl", "json"])
def test_numbers_that_json_changes_are_noted(tmp_path, kind):
    numbers = ["1.10", "1.1", "2.5"]
    records = [f'{{"text": "{text}", "label": {numbers[i % 3]}}}' for i, text in enumerate(TEXTS)]
    path = tmp_path / f"a.{kind}"
    path.write_text("\n".join(records) if kind == "jsonl" else f'{{"data": [{",".join(records)}]}}')
    assert any("the label 1.10 is a number and read as 1.1" in note for note in load(path).notes)
    quoted = re.sub(r'"label": ([\d.]+)', r'"label": "\1"', path.read_text())
    path.write_text(quoted)
    assert {label for _, label in rows(path)} == {*numbers}
    assert not any("is a number" in note for note in load(path).notes)
