"""Notes on texts that suggest a mistake in the data or in how it was read."""

import re
from collections.abc import Callable, Sequence

from nlp_rnn.data.damaged_texts import (
    has_control_characters,
    has_lost_letters,
    has_utf7,
    wrong_encoding,
)

__all__ = ["text_notes"]

_FEWEST = 5  # texts, for what could be a coincidence
_NO_TEXT = re.compile(
    r"(?=\D*\d)[-+.,:/\s\d%$€£TZ]+"  # numbers, dates and times
    r"|\w+://\S+|\S*/\S+\.\w{2,5}|\S+\.(jpe?g|png|wav|mp3|txt|pdf|html?|json|xml)"
    r"|[0-9a-f]{8}-[0-9a-f-]{20,}|[0-9a-f]{24,}",
    re.IGNORECASE,
)
_ESCAPED = re.compile(r'(?<=[\s.,;!?])\\[nrt]|(?<!\\)\\(?:[nrt](?![a-z])|u[0-9a-f]{4}|")')
_QUOTED = re.compile(r"""[bu]?(['"]).*\1""", re.DOTALL)
_MARKS = ("\t", "|", ";", "::", "\x01")


def text_notes(split: str, texts: Sequence[str], labels: Sequence[str] = ()) -> list[str]:
    """Return lines about texts that are probably not what a reader would call the text.

    Parameters
    ----------
    split : str
        Name of the split, with which the lines begin.
    texts : sequence of str
        Some of its texts.
    labels : sequence of str, optional
        The label of each of these texts.
    """
    pairs = [(text, label) for text, label in zip(texts, labels, strict=False) if text.strip()]
    texts = [text for text in texts if text.strip()]
    number = len(texts)
    kinds: tuple[tuple[Callable[[str], object], float, str], ...] = (
        (
            _is_list,
            0.5,
            "look like lists of tokens and are read with their brackets and quotes; join the "
            "tokens, in pandas: df.text.map(ast.literal_eval).map(' '.join)",
        ),
        (
            _is_record,
            0.5,
            "look like records and are read with their braces and keys; write the field with the "
            "text to a column of its own",
        ),
        (
            _QUOTED.fullmatch,
            0.5,
            "are enclosed in quotes, which are read as a part of the text; if quotes enclose the "
            "cells of a csv file, set data.quoting=true",
        ),
        (
            _has_fasttext_labels,
            0.5,
            "have labels as fastText writes them, which are read as a part of the text; set "
            "data.format=fasttext",
        ),
        (
            _is_no_text,
            0.9,
            "look like numbers, dates, ids or paths; if another column has the texts, set "
            "data.text to it",
        ),
        (
            _has_no_blank,
            0.9,
            "have no blanks, as single tokens or encoded texts; if the file has one token in each "
            "line, write one text in each row",
        ),
        (
            wrong_encoding,
            0.01,
            "have signs such as Ã© for é: they are UTF-8 that another program has decoded wrongly, "
            "as {0}; the Python library ftfy, or text.encode('{0}').decode(), repairs them",
        ),
        (
            has_lost_letters,
            0.01,
            "have the sign \ufffd (U+FFFD) or question marks in place of letters that another "
            "program could not read; export the texts again, as UTF-8",
        ),
        (
            has_control_characters,
            0.01,
            "have control characters, as binary data or another encoding has",
        ),
        (
            has_utf7,
            0.01,
            "have letters in UTF-7; in Python, text.encode().decode('utf-7') repairs them",
        ),
        (
            _ESCAPED.search,
            0.01,
            "have backslashes that seem to escape line ends or quotes; they are read as they are "
            "written",
        ),
    )
    notes = []
    for matches, share, what in kinds:
        examples = [(text, match) for text in texts if (match := matches(text))]
        if number >= _FEWEST and len(examples) >= max(share * number, 1):
            example, match = examples[0]
            what = what.format(match)
            notes.append(
                f"{split}: {_share(len(examples), number)} texts {what}{_such_as(example)}"
            )
            if share >= 0.5:
                break
    for mark in _MARKS:
        counts = {text.count(mark) for text in texts}
        if number >= _FEWEST and len(counts) == 1 and (count := counts.pop()):
            notes.append(
                f"{split}: each text has {count} × {mark!r}, like a row of several cells; if it is "
                f"one, set data.format, data.delimiter or data.text{_such_as(texts[0])}"
            )
    revealing = [text for text, label in pairs if _reveals(text.strip(), label)]
    if len(pairs) >= _FEWEST and len(revealing) >= 0.9 * len(pairs):
        notes.append(
            f"{split}: {_share(len(revealing), number)} texts begin or end with their label; if it "
            "is no part of the text, set data.format, data.delimiter or data.text"
            f"{_such_as(revealing[0])}"
        )
    return notes


def _share(part: int, number: int) -> str:
    return f"all {number:,}" if part == number else f"{part:,} of {number:,}"


def _such_as(example: str) -> str:
    return f" (such as {example[:60]!r})"


def _reveals(text: str, label: str) -> bool:
    """Return whether a text begins or ends with a label."""
    text, label = text.casefold(), label.casefold()
    begins = text.startswith(label) and not text[len(label) :][:1].isalnum()
    return begins or (text.endswith(label) and not text[: -len(label)][-1:].isalnum())


def _is_list(text: str) -> bool:
    text = text.strip()
    return text[:1] + text[-1:] in ("[]", "()") and text[1:].lstrip()[:1] in ("'", '"')


def _is_record(text: str) -> bool:
    return text.rstrip()[-1:] == "}" and re.match(r"""\s*\{\s*(['"])\w+\1\s*:""", text) is not None


def _has_fasttext_labels(text: str) -> bool:
    return "__label__" in text


def _has_no_blank(text: str) -> bool:
    return text.isascii() and not any(map(str.isspace, text.strip()))


def _is_no_text(text: str) -> bool:
    return len(text) < 300 and _NO_TEXT.fullmatch(text.strip()) is not None
