"""Detection of the encoding of a text file: by its bytes where they leave no doubt, else advice."""

import codecs
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import chain, islice

__all__ = [
    "CHUNK",
    "decodes",
    "encoding_advice",
    "evident_encoding",
    "hidden_encoding",
    "likely_encodings",
    "marked_encoding",
]

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins as the mark of UTF-16 does
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SINGLE_BYTE = {
    **{f"cp{number}": f"cp{number}" for number in (1252, 1250, 1251, *range(1253, 1258), 874)},
    **{f"iso8859_{number}": f"iso8859-{number}" for number in (2, 5, 6)},
    **{"koi8_r": "koi8-r", "mac_roman": "mac-roman"},
    **{f"cp{number}": f"cp{number}" for number in (850, 852, 866)},
}
"""Encodings that advice can name, the common ones first."""

CHUNK = 1 << 20
"""Bytes of a file that are decoded together."""

_SEARCHED = 16  # chunks at the beginning of a file
_HZ = re.compile(rb"~\{(?:[!-}]{2})+?~\}")  # Chinese in letters of ASCII

_SAMPLE = 1 << 16  # bytes of the lines by which an encoding is recognized
_HIGH_LINE = re.compile(rb"[^\n\x80-\xff]{0,80}[\x80-\xff][^\n]{0,4000}")
_SURROGATES = re.compile(rb"\xed[\xa0-\xaf][\x80-\xbf]\xed[\xb0-\xbf][\x80-\xbf]")
_COHERENT = 0.2  # of 1: the letters are as frequent as in a known language
_CHOICES = 6
_SHOWN = 28  # characters of a text that a message shows

_REMOVE = (
    "Save it as UTF-8; iconv -f utf-8 -t utf-8 -c OLD > NEW removes the bytes that are not UTF-8."
)
_FROM_CESU = (
    "python3 -c \"import sys; sys.stdout.buffer.write(sys.stdin.buffer.read().decode('utf-8', "
    "'surrogatepass').encode('utf-16', 'surrogatepass').decode('utf-16').encode())\" < OLD > NEW"
)
_FROM_TWO = (
    "python3 -c \"import codecs, sys; codecs.register_error('other', lambda e: "
    "(e.object[e.start:e.end].decode('{}'), e.end)); sys.stdout.buffer.write("
    "sys.stdin.buffer.read().decode('utf-8', 'other').encode())\" < OLD > NEW"
)

_Chunks = Callable[[], Iterable[bytes]]


def marked_encoding(head: bytes) -> str | None:
    """Return the Unicode encoding whose byte order mark begins `head`; None without a mark."""
    return next((encoding for mark, encoding in _MARKS if head.startswith(mark)), None)


def evident_encoding(chunks: _Chunks, encoding: str) -> tuple[str, str]:
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
    text = b"".join(islice(_high_lines(chunks), 4)).decode("utf-8", "ignore")
    number = sum(not character.isascii() for character in text)
    if number <= (3 if _is_multibyte(encoding) else 0):
        return encoding, ""
    return "utf-8", f"read as UTF-8, not {encoding}, because it is UTF-8"


def _note_on_utf8(chunks: _Chunks, encoding: str) -> str:
    """Return a note on lines that are UTF-8 in a file of another encoding; empty without any."""
    # with letters from 0x80 on, or with several bytes per character, a line can be UTF-8 by chance
    letters = sum(map(str.isalpha, bytes(range(0x80, 0xA0)).decode(encoding, "replace")))
    if _is_multibyte(encoding) or letters >= 16:
        return ""
    lines = [line for line in _high_lines(chunks) if _is_utf8(line)]
    if not lines:
        return ""
    are = "line is" if len(lines) == 1 else "lines are"
    return (
        f"{len(lines):,} {are} UTF-8, but read as {encoding}, such as "
        f"{lines[0].decode(encoding, 'replace')[:_SHOWN]!r}; to convert the others, run "
        + _FROM_TWO.format(encoding)
    )


def _is_multibyte(encoding: str) -> bool:
    return len(bytes(range(256)).decode(encoding, "replace")) < 256


def likely_encodings(chunks: _Chunks) -> list[str]:
    """Return the encodings in which the whole text can be decoded and is plausible, best first.

    Parameters
    ----------
    chunks : callable
        Returns the bytes of the file, in pieces, from the beginning.
    """
    head = next(iter(chunks()), b"")[:4096]
    if unmarked := _without_mark(head):
        return [unmarked] if decodes(chunks, unmarked) else []
    if b"\0" in head:
        return []
    sample = _sample(chunks)
    names = dict.fromkeys(
        (*_plausible(sample, _COHERENT), *_multibyte(sample), *_plausible(sample))
    )
    likely = [encoding for encoding in names if decodes(chunks, encoding)]
    low, high = (len(re.findall(part, sample)) for part in (rb"[\x80-\x9f]", rb"[\xa0-\xff]"))
    if low <= high and not _multibyte(sample) and not decodes(chunks, "cp1252"):
        likely.insert(2, "latin-1")  # Western text with a byte that cp1252 does not define
    return likely[:_CHOICES] or ["latin-1"]


def _plausible(sample: bytes, coherence: float = 0.0) -> list[str]:
    """Return an encoding for each plausible decoding of the sample, the best first."""
    from charset_normalizer import from_bytes

    order = list(_SINGLE_BYTE)
    ranks: dict[str, float] = {}
    for match in from_bytes(sample, cp_isolation=order, preemptive_behaviour=False, threshold=0.4):
        # of the encodings that give the same text, the most common one
        names = [name for name in order if name in match.could_be_from_charset]
        if names and match.coherence >= coherence:
            ranks[names[0]] = match.chaos - match.coherence / 2
    best = min(ranks.values(), default=0.0)
    near = [name for name in order if ranks.get(name, 9) < best + 0.15]
    return [_SINGLE_BYTE[name] for name in sorted(near, key=lambda name: round(ranks[name], 1))]


def encoding_advice(chunks: _Chunks) -> str:
    """Return the sentence of an error message that says how the file can be read.

    If several encodings are plausible, it shows what each of them makes of a line.
    """
    sample = _sample(chunks)
    if repair := _repair(sample):
        return repair
    encodings = likely_encodings(chunks)
    shown = [
        f"{encoding} ({text!r})" if text else encoding
        for encoding, text in zip(encodings, _samples(sample, encodings), strict=True)
    ]
    if len(encodings) == 1:
        return f"It looks like {shown[0]}: set data.encoding={encodings[0]}"
    if encodings:
        return (
            f"It could be {', '.join(shown[:-1])} or {shown[-1]}. Set data.encoding to the one "
            f"that shows the text as it should be, such as data.encoding={encodings[0]}"
        )
    return f"It is damaged. {_REMOVE}"


def _samples(sample: bytes, encodings: list[str]) -> list[str]:
    """Return what each encoding makes of the line on which they differ most."""
    best = [""] * len(encodings)
    for line in islice(sample.split(b"\n"), 50):
        texts = [line.decode(name, "replace") for name in encodings]
        # of each character, in how many ways it is read
        ways = [len({*them}) for them in zip(*texts, strict=False)]
        start = max(0, ways.index(max(ways)) - 12) if ways else 0
        parts = [text[start:][:_SHOWN].strip() for text in texts]
        if len(set(parts)) > len(set(best)) or not any(best):
            best = parts
    return best


def _repair(sample: bytes) -> str | None:
    """Return how to repair a text of which some lines are UTF-8; None if it is in one encoding."""
    if b"\0" in sample:
        return None
    if _SURROGATES.search(sample):
        return f"It is CESU-8, UTF-8 with surrogates. Convert it: {_FROM_CESU}"
    lines = sample.split(b"\n")
    wrong = b"\n".join(line for line in lines if not _is_utf8(line))
    number = sum(not line.isascii() and _is_utf8(line) for line in lines)
    if not number or (_multibyte(sample) and 2 * number < len(lines)):
        return None
    # letters that are not UTF-8, such as in `caf\xe9`
    text = wrong.decode("utf-8", "surrogateescape")
    letters = re.findall(r"(?<=[^\W\d_])[\udc80-\udcff]|[\udc80-\udcff](?=[^\W\d_])", text)
    if 2 * len(letters) < len(re.findall(r"[\udc80-\udcff]", text)):
        return f"It is UTF-8, but damaged. {_REMOVE}"
    encoding = [*_plausible(wrong), "latin-1"][0]
    shown = _samples(wrong, [encoding])[0]
    return (
        f"Some lines are UTF-8, but others look like {encoding} ({shown!r}). Convert them: "
        + _FROM_TWO.format(encoding)
    )


def _is_utf8(line: bytes) -> bool:
    with suppress(UnicodeDecodeError):
        line.decode()
        return True
    return False


def decodes(chunks: _Chunks, encoding: str) -> bool:
    """Return whether all bytes are valid in the encoding."""
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for chunk in chain(chunks(), [b""]):
            decoder.decode(chunk, final=not chunk)
    except UnicodeError:
        return False
    return True


def hidden_encoding(chunks: _Chunks) -> str | None:
    """Return the encoding of bytes that are valid UTF-8, but plainly mean something else.

    These are UTF-16 and UTF-32 without a byte order mark, whose English text is valid UTF-8, and
    the encodings of seven bits for Japanese, Korean and Chinese. Only the beginning is searched.
    """
    head = b"".join(islice(chunks(), _SEARCHED))
    if b"\0" in head:
        return _without_mark(head[:4096])
    encodings = ("iso2022_jp", "iso2022_jp_2", "iso2022_kr") if b"\x1b$" in head else ()
    if 0 < head.count(b"~{") == len(_HZ.findall(head)):
        encodings = (*encodings, "hz")
    for encoding in encodings:
        if decodes(chunks, encoding) and not head.decode(encoding, "ignore").isascii():
            return encoding
    return None


def _without_mark(head: bytes) -> str | None:
    """Recognize UTF-32 and UTF-16 by the zero bytes of ASCII characters, such as of a header."""
    for width in (4, 2):
        number = len(head) // width
        zeros = [head[: number * width][place::width].count(0) for place in range(width)]
        if not number or max(zeros) < 0.2 * number or min(zeros) > 0.02 * number:
            continue
        encoding = f"utf-{8 * width}-{'le' if zeros[0] == min(zeros) else 'be'}"
        with suppress(UnicodeError):
            codecs.getincrementaldecoder(encoding)().decode(head)
            return encoding
    return None


def _sample(chunks: _Chunks) -> bytes:
    """Return the first lines with bytes that are not ASCII, and the first that are not UTF-8."""
    lines: list[bytes] = []
    size = number_wrong = 0
    for line in _high_lines(chunks):
        is_wrong = not _is_utf8(line)
        if size < _SAMPLE or is_wrong:
            lines.append(line)
            size += len(line)
            number_wrong += is_wrong
        if size >= _SAMPLE and number_wrong:
            break
    return b"\n".join(lines)


def _high_lines(chunks: _Chunks) -> Iterator[bytes]:
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


def _multibyte(sample: bytes) -> list[str]:
    """Return the encodings of Japanese, Chinese and Korean in which the sample looks right."""

    def share(encoding: str, is_typical: Callable[[str], bool]) -> float:
        text = sample.decode(encoding, "replace")  # a line of the sample may be cut
        wide = [character for character in text if not character.isascii()]
        return sum(map(is_typical, wide)) / max(1, len(wide))

    possible = [
        encoding
        for base in (("shift_jis", "cp932"), ("euc_jp",))
        for encoding in base
        if share(base[-1], lambda character: "\u3041" <= character <= "\u30fe") > 0.2
    ]

    # cp949 makes rare syllables of Western letters; those of EUC-KR are the common ones
    def is_hangul(character: str) -> bool:
        return "\uac00" <= character <= "\ud7a3"

    if share("cp949", is_hangul) > 0.9 and share("euc_kr", is_hangul) > 0.6:
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
