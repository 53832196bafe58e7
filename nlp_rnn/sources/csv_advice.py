"""Advice for csv and tsv files that cannot be read: what their rows or headers suggest."""

import csv
import re
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

from nlp_rnn.config.data_checks import to_tsv
from nlp_rnn.sources.columns import listed
from nlp_rnn.sources.csv_header import BLANK
from nlp_rnn.sources.file_format import FileOptions

__all__ = ["DOUBLE_QUOTES", "column_advice", "drawn_table", "syntax_message"]

_ROWS = 100
_FEWEST = 5  # lines, for what could be a coincidence
_SHOWN = 50  # characters of a row that a message shows
_FAULT = re.compile(r"Row #(\d+): Expected (\d+) columns, got (\d+): ?(.*)", re.DOTALL)

_REWRITE = (
    'python3 -c "import csv, sys; csv.writer(sys.stdout).writerows(csv.reader(sys.stdin, {}))" '
    "< OLD > NEW"
)
DOUBLE_QUOTES = (
    'python3 -c "import re, sys; q = chr(34); b = re.escape(chr(92)); sys.stdout.write(re.sub('
    "f'(?<!{b})((?:{b}{b})*){b}{q}', lambda m: m[1] + q + q, sys.stdin.read()))\" < OLD > NEW"
)
"""Command that writes quotes with a backslash before them as doubled quotes."""

_WITHOUT_ENDS = (
    'python3 -c "import csv, sys; csv.writer(sys.stdout).writerows(r if any(r[{0}:]) else r[:{0}] '
    'for r in csv.reader(sys.stdin{1}))" < OLD > NEW'
)
_UNWRAP = (
    "python3 -c \"import csv, sys; sys.stdout.writelines(row[0] + '\\n' for row in "
    'csv.reader(sys.stdin) if row)" < OLD > NEW'
)
_DRAWN = (
    'python3 -c "import csv, re, sys; csv.writer(sys.stdout).writerows([c.strip() for c in '
    "re.split('[{0}]', l.strip().removeprefix('{0}').removesuffix('{0}'))] for l in sys.stdin "
    "if '{0}' in l and re.search('[^-=:|+,;\u2500-\u257f\\\\s]', l))\" < OLD > NEW"
)
_FIXED_WIDTH = (
    'python3 -c "import csv, re, sys; h, r, *ls = sys.stdin; s = [m.span() for m in '
    "re.finditer('-+', r)]; csv.writer(sys.stdout).writerows([l[a:b].strip() for a, b in s] "
    'for l in [h, *ls] if len(l) > s[-1][0])" < OLD > NEW'
)
_LINE = r"\-=+:|,;\t ─-╿"  # of a ruler
_RULER = re.compile(f"[{_LINE}]*(?:--|==|:-|-:|[\u2500-\u257f]{{2}})[{_LINE}]*")
_EXPORTS = (
    ("insert into", "an SQL dump", "Export the table as csv"),
    ("create table", "an SQL dump", "Export the table as csv"),
    (r"-\[ record 1 \]", "the expanded form of psql", "Export it as csv: psql --csv"),
    ("@relation", "an ARFF file", "Save it as csv in Weka, or remove the lines that begin with @"),
)


def syntax_message(
    path: Path, plain: Path, error: Exception, options: FileOptions, delimiter: str
) -> str:
    """Return the message about a row that has too few or too many cells.

    Parameters
    ----------
    path, plain : Path
        The file as the user named it, and its uncompressed copy in UTF-8.
    error : Exception
        The error of pyarrow, which names the row.
    options : FileOptions
        The options about the form of the file.
    delimiter : str
        The character between two cells.
    """
    first = str(error).splitlines()[0][:200]
    counted = " (row 1 is the header)" if options.header else ""
    message = f"{path} has a syntax error: {first}{counted}.\n"
    if known := _other_export(plain):
        return f"{path} is {known[0]}.\n{known[1]}, and set data.path to that file."
    if advice := drawn_table(plain):
        return f"{path} is a table drawn with lines.\n{advice}"
    if "Empty CSV" in str(error):
        return f"{path} has a header, but no rows.\nSet data.path to another file."
    fault = _FAULT.search(str(error))
    if fault is None:
        return message + _quoting_advice(options)
    number, expected, actual = (int(fault[index]) for index in (1, 2, 3))
    return message + _row_advice(plain, number, expected, actual, fault[4], options, delimiter)


def _row_advice(
    plain: Path,
    number: int,
    expected: int,
    actual: int,
    row: str,
    options: FileOptions,
    delimiter: str,
) -> str:
    mark = re.escape(delimiter)
    for pattern, argument, what in (
        (rf"\\{mark}", "escapechar='\\\\\\\\'", "A backslash seems to escape its delimiters"),
        (rf'(?:^|{mark}) +"', "skipinitialspace=True", "A blank is before its quotes"),
        (
            rf"(?:^|{mark})'[^']*{mark}[^']*'",
            'quotechar=\\"\'\\"',
            "Single quotes enclose its texts",
        ),
    ):
        if actual > expected and options.quoting and re.search(pattern, row):
            if delimiter != ",":
                argument += f", delimiter={delimiter!r}"
            return f"{what}. Convert it: {_REWRITE.format(argument)}"
    if (
        number == 2
        and options.header
        and actual > expected
        and _widths(plain, delimiter) == {actual}
    ):
        return (
            f"All rows have {actual} cells, but the header has {expected}. Complete the header, or "
            "enclose texts that contain the delimiter in double quotes."
        )
    if actual == expected + 1 and row.rstrip("\r\n").endswith(delimiter):
        arguments = "" if delimiter == "," else f"delimiter={delimiter!r}"
        return (
            "The row ends with a delimiter, which the header lacks. Remove it where it is: "
            + _WITHOUT_ENDS.format(expected, f", {arguments}" * bool(arguments))
        )
    if actual < expected and '"' not in row:
        cells = "cell" if actual == 1 else "cells"
        return (
            f"The row has {actual} {cells} instead of {expected}. If it is not part of the table, "
            "such as a total or a comment, remove this line; otherwise add the empty cells."
        )
    return _quoting_advice(options)


def _quoting_advice(options: FileOptions) -> str:
    if not options.quoting:
        return "With data.quoting=false a cell ends at every delimiter and a row at every line end."
    return (
        "Enclose a text with a comma, a quote or a line break in double quotes; if quotes have no "
        "meaning in the file, set data.quoting=false"
    )


def _rows(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    """Return the cells of lines up to the first that the csv module cannot read, as a long text."""
    rows: list[list[str]] = []
    with suppress(csv.Error):
        rows.extend(csv.reader(lines, delimiter=delimiter))
    return rows


def _lines(plain: Path, number: int = _ROWS) -> list[str]:
    with plain.open(encoding="utf-8-sig", errors="replace", newline="\n") as file:
        return [line.rstrip("\r\n") for line in islice(file, number) if line.strip(BLANK)]


def _widths(plain: Path, delimiter: str) -> set[int]:
    return {len(row) for row in _rows(_lines(plain)[1:], delimiter)}


def _other_export(plain: Path) -> tuple[str, str] | None:
    start = "\n".join(_lines(plain, 20)).lower()
    if start.lstrip().startswith("<"):
        return "XML or HTML", "Export its rows as csv or jsonl"
    for mark, kind, remedy in _EXPORTS:
        if re.search(rf"^\s*{mark}(?!\w)", start, re.MULTILINE):
            return kind, remedy
    return None


def drawn_table(plain: Path) -> str | None:
    """Return advice for a table that is drawn with lines below its header; None for others.

    Markdown, psql, MySQL, SQLite and sqlcmd draw such tables.
    """
    lines = _lines(plain, 4)
    rulers = [number for number, line in enumerate(lines) if _RULER.fullmatch(line)]
    if not rulers or rulers[0] > 1 or len(lines) < 3:
        return None
    header = lines[1 - rulers[0]]
    mark = next((mark for mark in "|\u2502\u2503,;\t" if mark in header), None)
    if mark is None:
        return f"Convert it: {_FIXED_WIDTH}" if re.search("-+ +-+", lines[rulers[0]]) else None
    return "Convert it: " + _DRAWN.format(mark.replace("\t", "\\t"))


def column_advice(
    plain: Path, names: Sequence[str], columns: Sequence[str], delimiter: str, header: bool = True
) -> str:
    """Return the advice for a file without the required columns.

    Parameters
    ----------
    plain : Path
        The uncompressed copy of the file, in UTF-8.
    names : sequence of str
        The cells of its first row.
    columns : sequence of str
        The required columns.
    delimiter : str
        The character at which the first row was split.
    header : bool, default True
        Whether the first row is read as a header.
    """
    lines = _lines(plain)
    if known := _other_export(plain):
        return f"It is {known[0]}. {known[1]}, and set data.path to that file."
    if advice := drawn_table(plain):
        return advice
    if lines[0].casefold().startswith("sep=") and len(lines) > 1:
        lines = lines[1:]  # its delimiter is not that of the file
    if not header:
        separator = _long_separator(lines)
        return (
            _separator_advice(separator)
            if separator
            else "Set the numbers of the columns, data.text=COLUMN data.label=COLUMN, or "
            "data.delimiter to the character between two cells."
        )
    if len(names) == 1 and set(columns) <= {cell.strip() for cell in names[0].split(delimiter)}:
        return f"Each of its lines is enclosed in quotes. Convert it: {_UNWRAP}"
    words = "|".join(map(re.escape, columns))
    between = re.findall(rf"(?:{words})([^\w\"']+)(?=\"?(?:{words}))", lines[0])
    if len(set(between)) == 1 and len(columns) == 2:
        if between[0].isspace() and between[0] != "\t":
            pattern = "  +" if len(between[0]) > 1 else " +"
            return (
                "Blanks seem to separate its columns. Convert it to tsv: "
                f"sed -E 's/{pattern}/\\t/g' OLD > NEW.tsv"
            )
        return _separator_advice(between[0])
    if separator := _long_separator(lines):
        return _separator_advice(separator)
    rows = _rows(lines, delimiter)
    if advice := _headerless(rows):
        return advice
    folded = {name.strip().casefold(): name for name in names}
    if set(map(str.casefold, columns)) <= set(folded) and len(columns) == 2:
        text, label = (folded[column.casefold()] for column in columns)
        return f"Set the columns to use: data.text={text} data.label={label}"
    return "Set the columns to use: data.text=COLUMN data.label=COLUMN"


def _separator_advice(separator: str) -> str:
    if len(separator) == 1 and separator.isascii():  # another one is set
        name = {",": "comma", ";": "semicolon", "\t": "tab"}.get(separator, repr(separator))
        return f"Its columns are separated by {separator!r}: set data.delimiter={name}"
    return (
        f"{separator!r} seems to separate its columns, but a delimiter has one character of ASCII. "
        f"Convert it to tsv: {to_tsv(separator)}"
    )


def _long_separator(lines: Sequence[str]) -> str | None:
    """Return several signs, such as `::`, that all lines have equally often; None without any."""
    if len(lines) < _FEWEST:
        return None
    for signs in dict.fromkeys(re.findall(r"\s?[^\w\s\"'()\[\]]{2,}\s?", lines[0])):
        for separator in (signs, signs.strip()):
            if len({line.count(separator) for line in lines}) == 1:
                return str(separator)
    return None


def _headerless(rows: Sequence[Sequence[str]]) -> str | None:
    """Return advice for a file whose first row looks like the others; None if it does not."""
    first, others = rows[0], [row for row in rows[1:] if len(row) == len(rows[0])]
    if len(first) < 2 or len(others) < 2:
        return None
    repeated = [index for index, cell in enumerate(first) if any(o[index] == cell for o in others)]
    if not repeated and not any(re.fullmatch(r"-?\d+(\.\d+)?", cell) for cell in first):
        return None
    every = [first, *others]
    sizes = [sum(len(row[index]) for row in every) for index in range(len(first))]
    text = max(range(len(first)), key=lambda index: sizes[index])
    rest = [index for index in range(len(first)) if index != text]
    label = min(rest, key=lambda index: (len({row[index] for row in every}), -index))
    example = listed([first[text], first[label]])
    return (
        f"If it has no header, set data.header=false and the numbers of the columns, such as "
        f"data.header=false data.text={text + 1} data.label={label + 1} (row 1: {example}); "
        "otherwise data.text=COLUMN data.label=COLUMN"
    )
