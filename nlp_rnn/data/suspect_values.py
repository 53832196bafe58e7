"""Notes on values of labels that suggest a mistake in the data or in how it was read."""

import re
import unicodedata
from collections.abc import Mapping

__all__ = ["spelling_notes"]

_MISSING = frozenset(("NA", "N/A", "#N/A", "NULL", "null", "None", "NaN", "nan", "<NA>", "\\N"))
_SEPARATORS = {",": "comma", ";": "semicolon", "|": "'|'"}
_NUMBER = re.compile(r"(-?(?:0|[1-9][0-9]*))\.0")


def spelling_notes(counts: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Return lines about labels that may be spellings of each other, or of a missing label.

    Parameters
    ----------
    counts : mapping of str to mapping of str to int
        For each split, the number of rows of each label.
    """
    rows: dict[str, int] = {}
    for split in counts.values():
        for name, number in split.items():
            rows[name] = rows.get(name, 0) + number
    spellings: dict[str, list[str]] = {}
    for name in sorted(rows):
        spellings.setdefault(_without_spelling(name), []).append(name)
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
    if missing := [f"{name!r} ({rows[name]:,})" for name in sorted(rows) if name in _MISSING]:
        notes.append(
            f"labels that other programs write for a missing value are classes: "
            f"{', '.join(missing)}; if they mean that there is no label, remove these rows"
        )
    for separator, option in _SEPARATORS.items():
        joined = [name for name in sorted(rows) if _is_joined(name, separator, rows)]
        if len(joined) > 1:
            notes.append(
                f"{len(joined):,} labels consist of other labels, such as {joined[0]!r}; if a text "
                f"has several labels, set data.label_separator={option}"
            )
    return notes


def _is_joined(name: str, separator: str, rows: Mapping[str, int]) -> bool:
    """Return whether a label consists of other labels with a separator between them."""
    return separator in name and all(part.strip() in rows for part in name.split(separator))


def _without_spelling(name: str) -> str:
    """Return what spellings of a label have in common: case, form of characters, 1 and 1.0."""
    text = unicodedata.normalize("NFKC", name).casefold()
    text = "".join(sign for sign in text if unicodedata.category(sign) != "Cf")
    text = unicodedata.normalize("NFC", " ".join(text.split()))
    return match[1] if (match := _NUMBER.fullmatch(text)) else text


def _visible(name: str) -> str:
    """Return a label in quotes, with escapes for characters that cannot be seen or compared."""
    text = unicodedata.normalize("NFC", name)
    hidden = any(unicodedata.category(sign) == "Cf" for sign in name) or text != name
    return ascii(name) if hidden else repr(name)
