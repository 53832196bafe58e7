"""Detection of the encoding of a text file that is not UTF-8, for error messages."""

import codecs
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import chain

__all__ = ["decodes", "encoding_advice", "is_damaged_utf8", "likely_encoding", "marked_encoding"]

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins as the mark of UTF-16 does
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SAMPLE = 1 << 16  # bytes of the lines by which an encoding is recognized
_HIGH_LINE = re.compile(rb"[^\n]*[\x80-\xff][^\n]*\n?")

_Chunks = Callable[[], Iterable[bytes]]


def marked_encoding(head: bytes) -> str | None:
    """Return the Unicode encoding whose byte order mark begins `head`; None without a mark."""
    return next((encoding for mark, encoding in _MARKS if head.startswith(mark)), None)


def likely_encoding(chunks: _Chunks) -> str | None:
    """Return an encoding in which the whole text can be decoded, and is likely to be written.

    Parameters
    ----------
    chunks : callable
        Returns the bytes of the file, in pieces, from the beginning.
    """
    head = next(iter(chunks()), b"")[:4096]
    if unmarked := _utf16_without_mark(head):
        return unmarked if decodes(chunks, unmarked) else None
    if b"\0" in head:
        return None
    sample = _lines_with_high_bytes(chunks)
    if is_damaged_utf8(sample):
        return None
    for encoding in (*_multibyte(sample), *_cyrillic(sample), "cp1252", "latin-1"):
        if decodes(chunks, encoding):
            return encoding
    return None


def encoding_advice(chunks: _Chunks) -> str:
    """Return the sentence of an error message that says how the file can be read."""
    lines = _lines_with_high_bytes(chunks).splitlines()
    right = [line for line in lines if _is_utf8(line)]
    if 1 < len(right) < len(lines) and 10 * len(right) >= len(lines):
        return (
            f"Of its lines with characters beyond ASCII, {len(right):,} are UTF-8 and "
            f"{len(lines) - len(right):,} are not. Convert those to UTF-8: no encoding reads both."
        )
    if encoding := likely_encoding(chunks):
        return f"It looks like {encoding}: set data.encoding={encoding}"
    return (
        "It is damaged or has several encodings. Save it as UTF-8; "
        "iconv -f utf-8 -t utf-8 -c OLD > NEW removes the wrong bytes."
    )


def _is_utf8(line: bytes) -> bool:
    with suppress(UnicodeDecodeError):
        return bool(line.decode())
    return False


def decodes(chunks: _Chunks, encoding: str) -> bool:
    """Return whether all bytes are valid in the encoding."""
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for chunk in chain(chunks(), [b""]):
            decoder.decode(chunk, final=not chunk)
    except UnicodeDecodeError:
        return False
    return True


def is_damaged_utf8(sample: bytes) -> bool:
    """Return whether most characters that are not ASCII are valid UTF-8."""
    text = sample.decode("utf-8", "surrogateescape")
    wrong = sum("\udc80" <= character <= "\udcff" for character in text)
    right = sum(not character.isascii() for character in text) - wrong
    return right > 2 * wrong


def _utf16_without_mark(head: bytes) -> str | None:
    """Recognize UTF-16 by the zero bytes of its ASCII characters, such as those of a header."""
    head = head[: len(head) // 2 * 2]
    half = len(head) // 2
    even, odd = head[::2].count(0), head[1::2].count(0)
    if max(even, odd) < 0.2 * half or min(even, odd) > 0.02 * half or not half:
        return None
    return "utf-16-le" if odd > even else "utf-16-be"


def _lines_with_high_bytes(chunks: _Chunks) -> bytes:
    sample = b""
    for chunk in chunks():
        for line in _HIGH_LINE.finditer(chunk):
            sample += line[0][:4096]
            if len(sample) >= _SAMPLE:
                return sample
    return sample


def _multibyte(sample: bytes) -> list[str]:
    """Return the encodings of Japanese, Chinese and Korean in which the sample looks right."""

    def share(encoding: str, is_typical: Callable[[str], bool]) -> float:
        with suppress(UnicodeDecodeError):
            text = sample.decode(encoding)
            wide = [character for character in text if not character.isascii()]
            return sum(map(is_typical, wide)) / max(1, len(wide))
        return 0.0

    sample = sample.rpartition(b"\n")[0] or sample  # a line may be cut
    possible = [
        encoding
        for base in (("shift_jis", "cp932"), ("euc_jp",))
        for encoding in base
        if share(base[-1], lambda character: "\u3041" <= character <= "\u30fe") > 0.2
    ]
    if share("cp949", lambda character: "\uac00" <= character <= "\ud7a3") > 0.85:
        possible += ["euc_kr", "cp949"]
    if share("gb18030", _is_common_in("gb2312", 0xB0, 0xD7)) > 0.6:
        possible.append("gb18030")
    if share("big5", _is_common_in("big5", 0xA4, 0xC6)) > 0.6:
        possible.append("big5")
    return possible


def _is_common_in(encoding: str, first: int, last: int) -> Callable[[str], bool]:
    """Return a test for the frequent characters of an encoding, which its lead bytes group."""

    def is_common(character: str) -> bool:
        with suppress(UnicodeEncodeError):
            return first <= character.encode(encoding)[0] <= last
        return False

    return is_common


def _cyrillic(sample: bytes) -> list[str]:
    """Return the encoding of Russian and its neighbours in which the sample looks right."""
    high = [byte for byte in sample if byte >= 0x80]
    runs = len(re.findall(rb"[\x80-\xff]+", sample))
    if not runs or len(high) < 3 * runs:  # words of Western languages have few accents in a row
        return []
    cp1251 = sum(byte >= 0xE0 for byte in high) / len(high)
    koi8 = sum(0xC0 <= byte <= 0xDF for byte in high) / len(high)
    cp866 = sum(0x80 <= byte <= 0xAF or 0xE0 <= byte <= 0xEF for byte in high) / len(high)
    scores = {"cp1251": cp1251, "koi8-r": koi8, "cp866": cp866}
    best = max(scores, key=lambda encoding: scores[encoding])
    return [best] if scores[best] > 0.7 else []
