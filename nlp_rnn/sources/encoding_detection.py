"""Detection of the encoding of a text file by its bytes, where they leave no doubt."""

import codecs
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import chain, islice

__all__ = [
    "CHUNK",
    "FROM_TWO",
    "SHOWN",
    "Chunks",
    "decodes",
    "evident_encoding",
    "hidden_encoding",
    "high_lines",
    "is_utf8",
    "marked_encoding",
    "without_mark",
]

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins as the mark of UTF-16 does
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

CHUNK = 1 << 20
"""Bytes of a file that are decoded together."""

SHOWN = 28
"""Characters of a text that a message shows."""

_SEARCHED = 16  # chunks at the beginning of a file
_HZ = re.compile(rb"~\{(?:[!-}]{2})+?~\}")  # Chinese in letters of ASCII
_HIGH_LINE = re.compile(rb"[^\n\x80-\xff]{0,80}[\x80-\xff][^\n]{0,4000}")

FROM_TWO = (
    "python3 -c \"import codecs, sys; codecs.register_error('other', lambda e: "
    "(e.object[e.start:e.end].decode('{}'), e.end)); sys.stdout.buffer.write("
    "sys.stdin.buffer.read().decode('utf-8', 'other').encode())\" < OLD > NEW"
)
"""Command that converts a file of which some lines are UTF-8 and others in another encoding."""

Chunks = Callable[[], Iterable[bytes]]
"""Function that returns the bytes of a text, in pieces, from the beginning."""


def marked_encoding(head: bytes) -> str | None:
    """Return the Unicode encoding whose byte order mark begins `head`; None without a mark."""
    return next((encoding for mark, encoding in _MARKS if head.startswith(mark)), None)


def evident_encoding(chunks: Chunks, encoding: str) -> tuple[str, str]:
    """Return the encoding that the bytes of a text show without doubt, else `encoding`; and why.

    That is the encoding of a byte order mark. It is UTF-8 if the text has characters that are not
    ASCII and all of them are valid UTF-8: texts in other encodings are not by chance, unless they
    are short and have several bytes per character. UTF-16 and UTF-32 without a mark have the byte
    order that the zero bytes of their ASCII characters show.

    Parameters
    ----------
    chunks : callable
        Returns the bytes of the text, in pieces, from the beginning.
    encoding : str
        The encoding that is set.

    Returns
    -------
    encoding, note : str
        The encoding, and a line for the user; empty for the encoding that is set, and for the
        byte order mark of UTF-8.
    """
    head = next(iter(chunks()), b"")[:4096]
    if marked := marked_encoding(head):
        note = f"read as {marked.upper()}, by its byte order mark"
        return marked, "" if marked in ("utf-8", encoding) else note
    name = codecs.lookup(encoding).name
    if name in ("utf-16", "utf-32"):
        width = int(name[-2:]) // 8
        first, last = head[::width].count(0), head[width - 1 :: width].count(0)
        if first == last:
            return encoding, ""
        unmarked = f"{name}-{'le' if first < last else 'be'}"
        return unmarked, f"read as {unmarked.upper()}, by its zero bytes"
    if name == "utf-8" or b"\0" in head:
        return encoding, ""
    if not decodes(chunks, "utf-8"):
        return encoding, _note_on_utf8(chunks, encoding)
    if name.startswith(("utf-16", "utf-32")):  # with zero bytes for letters of ASCII
        return "utf-8", f"read as UTF-8, not {encoding}, because it has no zero bytes"
    text = b"".join(islice(high_lines(chunks), 4)).decode("utf-8", "ignore")
    number = sum(not character.isascii() for character in text)
    if number <= (3 if _is_multibyte(encoding) else 0):
        return encoding, ""
    return "utf-8", f"read as UTF-8, not {encoding}, because it is UTF-8"


def _note_on_utf8(chunks: Chunks, encoding: str) -> str:
    """Return a note on lines that are UTF-8 in a file of another encoding; empty without any."""
    # with letters from 0x80 on, or with several bytes per character, a line can be UTF-8 by chance
    letters = sum(map(str.isalpha, bytes(range(0x80, 0xA0)).decode(encoding, "replace")))
    if _is_multibyte(encoding) or letters >= 16:
        return ""
    lines = [line for line in high_lines(chunks) if is_utf8(line)]
    if not lines:
        return ""
    are = "line is" if len(lines) == 1 else "lines are"
    return (
        f"{len(lines):,} {are} UTF-8, but read as {encoding}, such as "
        f"{lines[0].decode(encoding, 'replace')[:SHOWN]!r}; to convert the others, run "
        + FROM_TWO.format(encoding)
    )


def _is_multibyte(encoding: str) -> bool:
    return len(bytes(range(256)).decode(encoding, "replace")) < 256


def is_utf8(line: bytes) -> bool:
    """Return whether bytes are valid UTF-8."""
    with suppress(UnicodeDecodeError):
        line.decode()
        return True
    return False


def decodes(chunks: Chunks, encoding: str) -> bool:
    """Return whether all bytes are valid in the encoding."""
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for chunk in chain(chunks(), [b""]):
            decoder.decode(chunk, final=not chunk)
    except UnicodeError:
        return False
    return True


def hidden_encoding(chunks: Chunks) -> str | None:
    """Return the encoding of bytes that are valid UTF-8, but plainly mean something else.

    These are UTF-16 and UTF-32 without a byte order mark, whose English text is valid UTF-8, and
    the encodings of seven bits for Japanese, Korean and Chinese. Only the beginning is searched.
    """
    head = b"".join(islice(chunks(), _SEARCHED))
    if b"\0" in head:
        return without_mark(head[:4096])
    encodings = ("iso2022_jp", "iso2022_jp_2", "iso2022_kr") if b"\x1b$" in head else ()
    if 0 < head.count(b"~{") == len(_HZ.findall(head)):
        encodings = (*encodings, "hz")
    for encoding in encodings:
        if decodes(chunks, encoding) and not head.decode(encoding, "ignore").isascii():
            return encoding
    return None


def without_mark(head: bytes) -> str | None:
    """Recognize UTF-32 and UTF-16 by the zero bytes of ASCII characters, such as of a header."""
    for width in (4, 2):
        number = len(head) // width
        zeros = [head[: number * width][offset::width].count(0) for offset in range(width)]
        if not number or max(zeros) < 0.2 * number or min(zeros) > 0.02 * number:
            continue
        encoding = f"utf-{8 * width}-{'le' if zeros[0] == min(zeros) else 'be'}"
        with suppress(UnicodeError):
            codecs.getincrementaldecoder(encoding)().decode(head)
            return encoding
    return None


def high_lines(chunks: Chunks) -> Iterator[bytes]:
    """Yield the lines, or parts of long lines, with bytes that are not ASCII."""
    for index, chunk in enumerate(chunks()):
        for match in _HIGH_LINE.finditer(chunk):
            line = match[0]
            # it may begin or end within a character
            if index and not match.start():
                line = line.lstrip(bytes(range(0x80, 0xC0)))
            if len(line) > 4000 or (match.end() == len(chunk) == CHUNK):
                line = re.sub(rb"(?<=[\x00-\x7f])[\x80-\xff]{1,8}\Z", b"", line)
            yield line
