"""Advice for json files that cannot be parsed: what their first lines suggest."""

import re
from pathlib import Path

__all__ = ["json_advice", "row_advice"]

_FROM_PYTHON = (
    'python3 -c "import ast, json, sys; [print(json.dumps(ast.literal_eval(line))) for line in '
    'sys.stdin if line.strip()]" < OLD > NEW'
)
_WITHOUT_START = "sed 's/^[^{]*//' OLD > NEW"
_WITHOUT_ASSIGNMENT = "sed '1s/^[^=]*=//; $s/;[[:space:]]*$//' OLD > NEW"
_FROM_STRINGS = (
    'python3 -c "import json, sys; [print(json.loads(line)) for line in sys.stdin '
    'if line.strip()]" < OLD > NEW'
)
_LINES = 'Write one record per line, {"text": …, "label": …}, or a list of records.'


def json_advice(plain: Path) -> str:
    """Return the second line of the message about a file that is no valid JSON."""
    with plain.open(encoding="utf-8-sig", errors="replace", newline="\n") as file:
        start = file.read(1 << 16).lstrip()
    with plain.open("rb") as file:
        file.seek(max(0, plain.stat().st_size - 1000))
        end = file.read().decode("utf-8", "ignore").rstrip()
    first = start.split("\n")[0].rstrip()
    if re.search(r"^\s*(//|#)", start, re.MULTILINE):
        return "Remove the comments, which JSON does not have: grep -vE '^ *(//|#)' OLD > NEW"
    if re.match(r"[\w.$\s]+=\s*[\[{]", first):
        return f"It is JavaScript. Remove what is before the records: {_WITHOUT_ASSIGNMENT}"
    if re.match(r'[^{["][^{]*\{\s*"', first):
        return f"Its lines have something before the records. Remove it: {_WITHOUT_START}"
    if re.match(r"\{\s*'", start):
        return f"It has records of Python, not of JSON. Convert it: {_FROM_PYTHON}"
    if first.startswith("{") and first.endswith("},"):
        return "Remove the commas at the ends of the lines: sed 's/},[[:space:]]*$/}/' OLD > NEW"
    if start.startswith("[") and re.search(r",\s*\]$", end):
        return "Remove the comma before the last bracket."
    if start.startswith("[") and not end.endswith("]"):
        return "It ends before its last bracket ]: write or download it again."
    return _LINES


def row_advice(row: object) -> str:
    """Return the second line of the message about a row that is no object."""
    if isinstance(row, str) and row.lstrip().startswith("{"):
        return f"It is a record within a string. Convert the file: {_FROM_STRINGS}"
    return 'Remove it, or write each row as {"text": …, "label": …}.'
