"""Csv files as people have them: titles, comments, totals, other delimiters, no header."""

import codecs
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from nlp_rnn.errors import NlpRnnError
from tests.reading import load

pytestmark = pytest.mark.usefixtures("own_datasets_cache")

LABELS = ["pos", "neg"] * 10


def rows(path: Path, *options: str) -> list[Any]:
    source = load(path, *options)
    columns = [*source.text, source.label]
    return [[row[name] for name in columns] for row in source.splits["train"].to_list()]


def refusal(path: Path, *options: str) -> str:
    with pytest.raises(NlpRnnError) as caught:
        load(path, *options)
    message = str(caught.value)
    assert len(message.splitlines()) == 2
    return message


def table(row: str, header: str = "text,label\n") -> str:
    lines = (row.format(i=i, n=i + 1, l=label) for i, label in enumerate(LABELS))
    return header + "".join(f"{line}\n" for line in lines)


def write(folder: Path, content: str, name: str = "a.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode())
    return path


def converted(message: str, path: Path) -> Path:
    """Run the command that a message names, and return the file that it writes."""
    command = re.split(r"Convert it(?: to tsv)?: ", message)[1]
    suffix = ".tsv" if "NEW.tsv" in command else ".csv"
    command = command.replace("NEW.tsv", "NEW").replace("OLD", path.name)
    new = path.with_name(f"new{suffix}")
    subprocess.run(command.replace("NEW", new.name), shell=True, check=True, cwd=path.parent)
    return new


PLAIN = [[f"film {i}", label] for i, label in enumerate(LABELS)]


@pytest.mark.parametrize(
    "before",
    [
        "# exported 2024\n",
        "Report, by Anna\n",
        "Reviews\n\n2024;x\n",
        '"A title, quoted"\n',
        "\n\n",
    ],
)
@pytest.mark.parametrize("options", [(), ("data.delimiter=comma",)])
def test_lines_before_the_header_are_skipped_with_a_note(tmp_path, before, options):
    path = write(tmp_path, before + table("film {i},{l}"))
    assert rows(path, *options) == PLAIN
    notes = load(path, *options).notes
    assert any("before the header skipped" in note for note in notes) or not before.strip()


def test_a_row_that_names_the_columns_far_below_is_no_header(tmp_path):
    path = write(tmp_path, "x,y\n" + "a,b\n" * 20 + table("film {i},{l}"))
    assert "has no column 'text'" in refusal(path)


@pytest.mark.parametrize("end", ["   \n", "\x1a", "\t\n", "\0\0\0", " \n \n", "\n\n"])
def test_blanks_at_the_end_are_no_row(tmp_path, end):
    assert rows(write(tmp_path, table("film {i},{l}") + end)) == PLAIN


@pytest.mark.parametrize("end", ["(20 rows affected)", "-- end", "Total 20"])
def test_a_line_that_is_no_row_is_named_with_advice(tmp_path, end):
    path = write(tmp_path, table("film {i},{l}") + end + "\n")
    message = refusal(path)
    assert f"Row #22: Expected 2 columns, got 1: {end}" in message
    assert "remove this line" in message
    path.write_text(path.read_text().replace(f"{end}\n", ""))
    assert rows(path) == PLAIN


def test_rows_that_lack_cells(tmp_path):
    path = write(tmp_path, table("film {i},{l}", "text,label,note\n"))
    message = refusal(path)
    assert "The row has 2 cells instead of 3." in message
    assert "add the empty cells" in message
    path.write_text(table("film {i},{l},", "text,label,note\n"))
    assert rows(path) == PLAIN


@pytest.mark.parametrize(
    ("header", "row", "note"),
    [
        ("text,label\n", "film {i},{l},", "each row ends with a delimiter"),
        ("text,label,\n", "film {i},{l}", "the header ends with a delimiter"),
        (
            '"text","label"\n',
            '"{n}","film {i}","{l}"',
            "the numbers of the rows",
        ),  # write.table of R
    ],
)
def test_headers_that_lack_a_cell(tmp_path, header, row, note):
    path = write(tmp_path, table(row, header))
    assert rows(path) == PLAIN
    assert any(note in line for line in load(path).notes)


def test_a_comma_in_every_text_is_not_taken_for_another_column(tmp_path):
    path = write(tmp_path, table("film, {i},{l}"))
    message = refusal(path)
    assert "All rows have 3 cells, but the header has 2" in message
    assert "enclose texts that contain the delimiter in double quotes" in message


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ("film\\, {i},{l}", "A backslash seems to escape"),
        ('film{i}, "{l}, x"', "A blank is before its quotes"),
        ("'film, {i}',{l}", "Single quotes enclose its texts"),
    ],
)
@pytest.mark.parametrize("delimiter", [",", ";"])
def test_the_command_that_the_error_names_converts_the_file(tmp_path, row, what, delimiter):
    path = write(tmp_path, table(row, "text,label\n").replace(",", delimiter))
    message = refusal(path)
    assert what in message
    new = rows(converted(message, path))
    assert len(new) == 20
    assert all(len(cells) == 2 and "\\" not in cells[0] and "'" not in cells[0] for cells in new)
    assert new[0] in (
        [f"film{delimiter} 0", "pos"],
        ["film0", f"pos{delimiter} x"],
    )


@pytest.mark.parametrize("delimiter", [":", "^", " ", "\x01", "~", "\x1f", "#", "&"])
@pytest.mark.parametrize("header", ["text{0}label\n", "id{0}text{0}label\n"])
def test_unusual_delimiters_are_detected_and_noted(tmp_path, delimiter, header):
    row = "film-{i}" + delimiter.replace("{", "{{") + "{l}"
    row = "7" + delimiter + row if header.startswith("id") else row
    path = write(tmp_path, table(row, header.format(delimiter)))
    assert rows(path) == [[f"film-{i}", label] for i, label in enumerate(LABELS)]
    name = {" ": "space"}.get(delimiter, delimiter if delimiter.isprintable() else repr(delimiter))
    assert load(path).notes == (f"a.csv: read with delimiter {name}",)


@pytest.mark.parametrize("separator", ["，", "      ", "    ", "||", " -> "])
def test_separators_that_are_no_delimiter_are_converted(tmp_path, separator):
    row = "film-{i:<9}{l}" if separator == "    " else "film-{i}" + separator + "{l}"
    path = write(tmp_path, table(row, f"text{separator}label\n"))
    if separator in ("||", " -> ", "      "):  # empty or odd columns are between
        assert [row[1].strip() for row in rows(path)] == LABELS
    else:
        message = refusal(path)
        new = rows(converted(message, path))
        assert new == [[f"film-{i}", label] for i, label in enumerate(LABELS)]


def test_lines_that_are_enclosed_in_quotes_are_converted(tmp_path):
    path = write(tmp_path, table('"film {i},{l}"', '"text,label"\n'))
    message = refusal(path)
    assert "Each of its lines is enclosed in quotes" in message
    assert rows(converted(message, path)) == PLAIN


@pytest.mark.parametrize(
    ("row", "options"),
    [
        ("film {i},{l}", "data.header=false data.text=1 data.label=2"),
        ("{l},a longer film {i}", "data.header=false data.text=2 data.label=1"),
        ("{n},film {i},{l}", "data.header=false data.text=2 data.label=3"),
    ],
)
def test_a_file_without_a_header_is_read_as_the_error_says(tmp_path, row, options):
    path = write(tmp_path, table(row, ""))
    message = refusal(path)
    assert f"such as {options} (row 1: " in message
    assert [cells[1] for cells in rows(path, *options.split())] == LABELS


@pytest.mark.parametrize("kind", ["an SQL dump", "an ARFF file", "the expanded form of psql"])
def test_exports_of_other_programs_are_named(tmp_path, kind):
    lines = {
        "an SQL dump": "-- dump\nINSERT INTO t VALUES (1,'a, b','pos');\n" * 5,
        "the expanded form of psql": "-[ RECORD 1 ]----\ntext  | a b\nlabel | pos\n" * 5,
        "an ARFF file": "@relation x\n@attribute label {pos,neg}\n@data\n'a b',pos\n",
    }[kind]
    assert kind in refusal(write(tmp_path, lines))


def test_a_file_of_blank_lines_has_no_rows(tmp_path):
    assert "has no rows: all of its lines are blank." in refusal(write(tmp_path, "\n\n \n"))


@pytest.mark.parametrize(
    "header",
    ["\ufeff\ufefftext,label\n", "te\u200bxt,label\n", "text\u00a0,label\n", "text,la\u00adbel\n"],
)
def test_invisible_characters_in_the_header_do_not_matter(tmp_path, header):
    assert rows(write(tmp_path, table("film {i},{l}", header))) == PLAIN


def test_names_of_columns_in_two_unicode_forms(tmp_path):
    path = write(tmp_path, table("film {i},{l}", "texte\u0301,label\n"))
    assert rows(path, "data.text='texté'") == PLAIN


def test_names_that_differ_in_case_are_advised(tmp_path):
    path = write(tmp_path, table("film {i},{l}", "Text,LABEL\n"))
    message = refusal(path)
    assert message.endswith("Set the columns to use: data.text=Text data.label=LABEL")
    assert rows(path, *re.findall(r"data\.\w+=\w+", message)) == PLAIN


def test_a_byte_order_mark_before_a_title(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(codecs.BOM_UTF8 + b"A title\r\n" + table("film {i},{l}").encode())
    assert rows(path) == PLAIN


def test_a_wrong_column_is_named_beside_long_texts(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(f"abstract,topic\n{'long ' * 40_000},x\nshort,y\n")
    assert "has no column 'text'; it has: abstract, topic" in refusal(path)


DRAWN = {
    "markdown": ("| {t:<9} | {l:<5} |", "| --------- | :---: |", "", "a.csv"),
    "psql": (" {t:<9} | {l:<5}", "-----------+-------", "(20 rows)\n", "a.txt.csv"),
    "mysql": ("| {t:<9} | {l:<5} |", "+-----------+-------+", "+-----------+-------+\n", "a.csv"),
    "sqlcmd": ("{t:<9},{l:<5}", "---------,-----", "\n(20 rows affected)\n", "a.csv"),
    "sqlite box": (
        "│ {t:<9} │ {l:<5} │",
        "├───────────┼───────┤",
        "└───────────┴───────┘\n",
        "a.csv",
    ),
    "sqlite column": ("{t:<9}  {l:<5}", "---------  -----", "", "a.csv"),
    "ssms": ("{t:<9} {l:<5}", "--------- -----", "\n(20 rows)\n", "a.csv"),
    "tabs": ("{t}\t{l}", "---------\t-----", "", "a.tsv"),
}


@pytest.mark.parametrize("kind", DRAWN)
def test_tables_that_are_drawn_with_lines_are_converted(tmp_path, kind):
    row, ruler, end, name = DRAWN[kind]
    lines = [row.format(t=f"film {i}", l=label) for i, label in enumerate(LABELS)]
    lines = [row.format(t="text", l="label"), ruler, *lines]
    lines = [ruler, *lines] if kind == "mysql" else lines
    path = write(tmp_path, "\n".join(lines) + "\n" + end, name)
    assert rows(converted(refusal(path), path)) == PLAIN


@pytest.mark.parametrize("separator", ["::", " @@ ", "+++$+++", "##"])
@pytest.mark.parametrize("header", [True, False])
def test_separators_of_several_characters_are_converted(tmp_path, separator, header):
    row = separator.join(["{n}", "film {i}", "{l}"])
    path = write(tmp_path, table(row, separator.join(["id", "text", "label\n"]) if header else ""))
    options = [] if header else ["data.header=false", "data.text=2", "data.label=3"]
    if header:  # one of the signs is the delimiter, with empty columns between
        assert [[cell.strip() for cell in row] for row in rows(path)] == PLAIN
    else:
        assert rows(converted(refusal(path, *options), path), *options) == PLAIN
    message = refusal(path, *options, f"data.delimiter='{separator}'")
    assert rows(converted(message, path), *options) == PLAIN


@pytest.mark.parametrize("delimiter", ["\x01", "\x1f"])
def test_files_of_hive_without_a_header_are_read_as_the_error_says(tmp_path, delimiter):
    path = write(tmp_path, table(delimiter.join(["{n}", "film, {i}", "{l}"]), ""))
    options = re.search(r"data.header=false data.text=\d data.label=\d", refusal(path))
    assert options
    assert rows(path, *options[0].split()) == [[f"film, {i}", lab] for i, lab in enumerate(LABELS)]
    assert any(f"delimiter {delimiter!r}" in n for n in load(path, *options[0].split()).notes)
