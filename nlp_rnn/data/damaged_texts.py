"""Texts that were damaged before they were read: decoded wrongly, or with letters lost."""

import codecs
import re

__all__ = ["has_control_characters", "has_lost_letters", "has_utf7", "wrong_encoding"]

_SINGLE_BYTE = ("cp1252", "cp1251", "cp1250", "cp437", "cp850", "cp852", "cp866", "mac_roman")
_ENCODINGS = (*_SINGLE_BYTE, "gb18030", "big5")
_BLANKS = re.compile(r"[ \t\r\n]+")  # a non-breaking space can be a part of a letter
# UTF-8 that was decoded as latin-1 or cp1252: the first byte is a letter, the next is none
_WESTERN = re.compile(
    "[\u00c2\u00c3][\u0080-\u00bf\u20ac\u201a\u0192\u201e\u2020\u2021\u02c6\u2030\u0160\u2039\u0152\u2022]|\u00e2[\u20ac\u0080]"
)
_CONTROL = re.compile(r"[\0-\x08\x0e-\x1f\x7f]")
_LOST = re.compile(r"\ufffd|(?<!\S)\?{3,}\s+\?{3,}(?!\S)")
_UTF7 = re.compile(r"\+[A-Za-z0-9/][A-Za-z0-9+/]{2,}-")


def wrong_encoding(text: str) -> str | None:
    """Return the encoding in which UTF-8 was decoded wrongly, as in `Ã©`; None for other texts.

    In the encoding, the bytes of every word are valid UTF-8, which other words never are by chance
    if there are several letters that are not ASCII.
    """
    if text.isascii():
        return None
    if _WESTERN.search(text):
        return "cp1252"
    words = [word for word in _BLANKS.split(text) if not word.isascii() and "\ufffd" not in word]
    for encoding in _ENCODINGS if words else ():
        decoded = [_decoded(word, encoding) for word in words]
        if (
            None not in decoded
            and sum(not sign.isascii() for sign in "".join(map(str, decoded))) > 1
        ):
            return encoding
    return None


def _decoded(word: str, encoding: str) -> str | None:
    try:
        return word.encode(encoding, "same_byte").decode("utf-8")
    except UnicodeError:
        return None


def _same_byte(error: UnicodeError) -> tuple[bytes, int]:
    """Encode a character for a byte that an encoding does not define, such as U+0081, as it."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return error.object[error.start : error.end].encode("latin-1"), error.end


codecs.register_error("same_byte", _same_byte)


def has_lost_letters(text: str) -> bool:
    """Return whether signs such as U+FFFD, or words of `?` alone, stand for letters."""
    return _LOST.search(text) is not None


def has_control_characters(text: str) -> bool:
    """Return whether a text has characters such as NUL, as binary data has."""
    return _CONTROL.search(text) is not None


def has_utf7(text: str) -> bool:
    """Return whether a text has letters in UTF-7, such as `+APY-`."""
    if not (match := _UTF7.search(text)):
        return False
    try:
        return any(map(str.isalpha, match[0].encode().decode("utf-7")))
    except UnicodeError:
        return False
