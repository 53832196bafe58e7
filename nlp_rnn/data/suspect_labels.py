"""Notes on labels that suggest a mistake in the data or in how it was read."""

import decimal
import itertools
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy

__all__ = ["edge_notes", "label_notes", "without_spelling"]

_MISSING = frozenset(
    "NA N/A n/a #N/A NULL null None NONE NaN nan NaT <NA> <null> (null) [null] (blank) \\N ? - nil "
    "unlabeled unlabelled unsup missing #REF! #VALUE! #DIV/0! #NAME? #NUM! #NULL!".split()
)
_SEPARATORS = {
    **{",": "comma", ";": "semicolon", "|": "'|'", "#": "'#'"},
    **{"/": "'/'", "+": "'+'", "&": "'&'", "\n": "newline", " ": "space"},
}
"""What can be between several labels, with the option that divides them."""

_WHOLE = re.compile(r"(-?(?:0|[1-9][0-9]*))\.0")
_QUOTES = str.maketrans("\u2018\u2019\u00b4`\u201c\u201d", "''''\"\"")
_NUMBER = re.compile(r"[-+]?[0-9]{1,300}(?:\.[0-9]{1,300})?(?:e[-+]?[0-9]{1,3})?")
_SHORTENED = re.compile(r"-?\d(?:[.,]\d+)?E\+\d{2,}")  # as spreadsheets show 123456789012
_TRUTHS = (("1", "true", "yes", "t", "y"), ("0", "false", "no", "f", "n"))

_ANY_NUMBER = re.compile(r"[-+]?\d+([.,]\d+)*")
_INTEGER = re.compile(r"-?[0-9]{1,18}")
_RULER = re.compile(r"[-=+:|_*.#~]{2,}")  # such as `-----` and `:---`
_TOTAL = re.compile(
    r"(grand |sub)?totals?|sum|summe|gesamt(ergebnis|summe)?|\(\d+ rows?( affected)?\)",
    re.IGNORECASE,
)
_LONG = 200  # characters of a label
_FEWEST = 5  # rows, for what could be a coincidence
_BITS = re.compile(r"[01](?:[ ,;|]?[01])+")


def label_notes(counts: Mapping[str, Mapping[str, int]], columns: Sequence[str] = ()) -> list[str]:
    """Return lines about labels that may be other spellings, missing values or no classes at all.

    Parameters
    ----------
    counts : mapping of str to mapping of str to int
        For each split, the number of rows of each label.
    columns : sequence of str, optional
        The names of the columns, which are no labels.
    """
    rows: dict[str, int] = {}
    for split in counts.values():
        for name, number in split.items():
            rows[name] = rows.get(name, 0) + number
    spellings: dict[str, list[str]] = {}
    for name in sorted(rows):
        spellings.setdefault(_folded(name), []).append(name)
    groups = [
        " and ".join(f"{_visible(name)} ({rows[name]:,})" for name in names)
        for names in spellings.values()
        if len(names) > 1
    ]
    notes = []
    if groups:
        by_case = all(len({name.casefold() for name in names}) == 1 for names in spellings.values())
        how = "differ only in case" if by_case else "are spelled alike"
        more = f" and {len(groups) - 20:,} more" if len(groups) > 20 else ""
        notes.append(
            f"labels that {how} are different classes: {'; '.join(groups[:20])}{more}; "
            "data.label_names can merge them"
        )
    if missing := [
        f"{name!r} ({rows[name]:,})" for name in sorted(rows) if _is_missing(name, rows)
    ]:
        notes.append(
            f"labels that other programs write for a missing value are classes: "
            f"{', '.join(missing)}; if they mean that there is no label, remove these rows"
        )
    integers = {int(name) for name in rows if _INTEGER.fullmatch(name)}
    negative = [number for number in integers if number < 0]
    if len(integers) == len(rows) > 1 == len(negative) and not integers <= {-1, 0, 1}:
        name = str(negative[0])
        notes.append(
            f"the label {name} ({rows.get(name, 0):,}) is a class; if it means that there is no "
            "label, remove these rows"
        )
    notes += _joined_notes(sorted(rows))
    rulers = [name for name in rows if _RULER.fullmatch(name)]
    rulers = rulers if 2 * len(rulers) < len(rows) else []  # `--` and `++` can be classes
    names = {column.casefold() for column in columns if not column.isdecimal()}
    repeated = [  # of a header, unlike the class `spam` of a column `spam`
        name
        for name, number in rows.items()
        if name.casefold() in names and number <= max(1, sum(rows.values()) // len(rows) // 10)
    ]
    odd = [name for name, number in rows.items() if _is_odd(name, number)]
    numbers = [name for name in rows if _ANY_NUMBER.fullmatch(name)]
    odd += numbers if 2 * len(numbers) < len(rows) else []
    if odd := sorted({*odd, *rulers, *repeated}):
        shown = ", ".join(f"{name[:60]!r} ({rows[name]:,})" for name in odd[:20])
        notes.append(
            f"labels that look like no classes: {shown}; if they are none, remove their rows, or "
            "set data.label to another column"
        )
    notes += _common_notes(sorted(rows))
    notes += _constant_notes(counts)
    single = [name for name, number in counts["train"].items() if number == 1]
    number = sum(counts["train"].values())
    if number >= _FEWEST and 2 * len(single) > number:
        notes.append(
            f"train: {len(single):,} of {len(counts['train']):,} labels occur only once, such as "
            f"{single[0][:60]!r}; if they are no classes, set data.label to another column"
        )
    return notes


def _constant_notes(counts: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Return lines about validation and test splits whose labels may only fill the column."""
    notes = []
    for split in counts if len(counts["train"]) > 1 else ():
        labels = counts[split]
        if not labels:
            what = "no row has a label"
        elif len(labels) == 1 and sum(labels.values()) >= _FEWEST:
            what = "all {1:,} rows have the label {0!r}".format(*next(iter(labels.items())))
        else:
            continue
        notes.append(
            f"{split}: {what}; if it only stands for labels that are not known, remove the "
            f"{split} split, and one is cut from train"
        )
    return notes


def _common_notes(names: Sequence[str]) -> list[str]:
    """Return lines about what all labels have in common, by which they are not plain names."""
    if len(names) < 2:
        return []
    if all(map(_BITS.fullmatch, names)) and len({*map(len, names)}) == 1:
        return [
            f"all labels are 0 and 1 only, such as {names[0]!r}; if they say which classes a text "
            "has, write them as lists: [0, 1]"
        ]
    notes = []
    if shortened := [name for name in names if _SHORTENED.fullmatch(name)]:
        notes.append(
            f"labels such as {shortened[0]!r} look like long numbers that a spreadsheet has "
            "shortened, so that different ones are the same; format the column as text there, and "
            "export it again"
        )
    truths = [[name for name in names if name.casefold() in words] for words in _TRUTHS]
    if sum(map(len, truths)) == len(names):
        for words in truths:
            if len({name.casefold() for name in words}) > 1:
                notes.append(
                    f"labels that mean the same are different classes: "
                    f"{' and '.join(map(repr, words))}; data.label_names can merge them"
                )
    ends = {name[-1] for name in names}
    end = ends.pop() if len(ends) == 1 else ""
    for how, part in (
        ("begin", _common_start(names)),
        ("end", "" if end.isalnum() or end in ")%+" else end),
    ):
        if part:
            notes.append(
                f"all labels {how} with {part!r}, such as {names[0]!r}; if it is no part of the "
                "label, remove it from the file"
            )
    return notes


def _common_start(names: Sequence[str]) -> str:
    """Return signs at the beginning of all names, or a key such as `label: `; empty without any."""
    pairs = zip(min(names), max(names), strict=False)
    start = "".join(
        first for first, _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)
    )
    start = re.sub(r"[^\W_]*$", "", start)
    if not start or start in ("+", "-"):
        return ""
    is_key = start.rstrip()[-1:] in (":", "=") or "(" in start
    return start if is_key or not start[0].isalnum() else ""


def edge_notes(split: str, names: Sequence[str], ids: "numpy.ndarray[Any, Any]") -> list[str]:
    """Return lines about a first or last row whose label no other row has.

    It may be a second header, such as units, or a total.

    Parameters
    ----------
    split : str
        Name of the split, with which the lines begin.
    names : sequence of str
        The labels.
    ids : int64 array of shape (rows,)
        The index of the label of each row.
    """
    import numpy

    numbers = numpy.bincount(ids, minlength=len(names))
    if (numbers == 1).sum() > 2 or (numbers > 0).sum() < 3:
        return []
    return [
        f"{split}: the {where} row has the label {names[index][:60]!r}, which no other row has; if "
        f"it is {what}, remove it"
        for where, index, what in (
            ("first", int(ids[0]), "a second header"),
            ("last", int(ids[-1]), "a total"),
        )
        if numbers[index] == 1
    ]


def _is_missing(name: str, names: Collection[str]) -> bool:
    """Return whether a label stands for a missing value; `-` does not beside `+`."""
    return name in _MISSING and not (name == "-" and "+" in names)


def _is_odd(name: str, number: int) -> bool:
    """Return whether a label of `number` rows looks like a total, a record, a list or a text."""
    if len(name) > _LONG or "\n" in name or "\t" in name:
        return True
    if _TOTAL.fullmatch(name):
        return number == 1
    is_enclosed = name[:1] + name[-1:] in ("[]", "{}")
    return is_enclosed and any(sign in name for sign in "'\",:")


def _joined_notes(names: Sequence[str]) -> list[str]:
    """Return lines about labels that seem to consist of others with a separator between them."""
    notes, known = [], {*names}
    for separator, option in _SEPARATORS.items():
        cells = [name for name in names if separator in name.strip(separator)]
        parts = Counter(part.strip() for name in names for part in {*name.split(separator)})
        joined = [
            name
            for name in cells
            if separator in ",;|#"
            and not _ANY_NUMBER.fullmatch(name)
            and _is_joined(name, separator, parts)
        ]
        whole = [name for name in cells if known.issuperset(map(str.strip, name.split(separator)))]
        if whole and all(map(_ANY_NUMBER.fullmatch, whole)):
            # `1,5` and `2,5` can be decimal numbers
            ends = {name.rpartition(separator)[2] for name in whole}
            whole = whole if len(ends) > 2 or any(n.count(separator) > 1 for n in whole) else []
        if len(joined) > 1 or whole:
            joined = joined if len(joined) > len(whole) else whole
            are = "label consists" if len(joined) == 1 else "labels consist"
            notes.append(
                f"{len(joined):,} {are} of parts that other labels have too, such as "
                f"{joined[0]!r}; if a text has several labels, set data.label_separator={option}"
            )
    return notes


def _is_joined(name: str, separator: str, parts: Mapping[str, int]) -> bool:
    """Return whether other labels have all parts of a label, or most of them."""
    known = [parts[part.strip()] > 1 for part in name.split(separator)]
    return 2 * sum(known) >= len(known)


def _folded(name: str) -> str:
    """Return what labels have in common that may mean the same, such as `a_b` and `a-b.`."""
    text = without_spelling(name)
    if _NUMBER.fullmatch(text):
        number = decimal.Decimal(text)
        return str(number.normalize()) if number else "0"
    signs = ("-" if unicodedata.category(s) == "Pd" or s == "\u2212" else s for s in text)
    text = "".join(signs).replace("_", " ").translate(_QUOTES)
    return " ".join(text.split()).rstrip(".,:;") or text


def without_spelling(name: str) -> str:
    """Return what spellings of a label have in common: case, form of characters, 1 and 1.0."""
    text = unicodedata.normalize("NFKC", name).casefold()
    text = "".join(sign for sign in text if unicodedata.category(sign) != "Cf")
    text = unicodedata.normalize("NFC", " ".join(text.split()))
    return match[1] if (match := _WHOLE.fullmatch(text)) else text


def _visible(name: str) -> str:
    """Return a label in quotes, with escapes for characters that cannot be seen or compared."""
    text = unicodedata.normalize("NFC", name)
    hidden = any(unicodedata.category(sign) == "Cf" for sign in name) or text != name
    return ascii(name) if hidden else repr(name)
