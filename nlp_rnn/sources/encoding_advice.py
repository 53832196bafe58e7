"""Advice for text files that are not UTF-8: the encodings that are likely, with samples."""

import re
from collections.abc import Callable
from contextlib import suppress
from itertools import islice

from nlp_rnn.sources.encoding_detection import (
    FROM_TWO,
    SHOWN,
    Chunks,
    decodes,
    high_lines,
    is_utf8,
    without_mark,
)

__all__ = ["encoding_advice", "likely_encodings"]

_SINGLE_BYTE = {
    **{f"cp{number}": f"cp{number}" for number in (1252, 1250, 1251, *range(1253, 1258), 874)},
    **{f"iso8859_{number}": f"iso8859-{number}" for number in (2, 5, 6)},
    **{"koi8_r": "koi8-r", "mac_roman": "mac-roman"},
    **{f"cp{number}": f"cp{number}" for number in (850, 852, 866)},
}
"""Encodings that advice can name, the common ones first."""


_SAMPLE = 1 << 16  # bytes of the lines by which an encoding is recognized
_SURROGATES = re.compile(rb"\xed[\xa0-\xaf][\x80-\xbf]\xed[\xb0-\xbf][\x80-\xbf]")
_COHERENT = 0.2  # of 1: the letters are as frequent as in a known language
_CHOICES = 6

_REMOVE = (
    "Save it as UTF-8; iconv -f utf-8 -t utf-8 -c OLD > NEW removes the bytes that are not UTF-8."
)
_FROM_CESU = (
    "python3 -c \"import sys; sys.stdout.buffer.write(sys.stdin.buffer.read().decode('utf-8', "
    "'surrogatepass').encode('utf-16', 'surrogatepass').decode('utf-16').encode())\" < OLD > NEW"
)


def likely_encodings(chunks: Chunks) -> list[str]:
    """Return the encodings in which the whole text can be decoded and is plausible, best first.

    Parameters
    ----------
    chunks : callable
        Returns the bytes of the file, in pieces, from the beginning.
    """
    head = next(iter(chunks()), b"")[:4096]
    if unmarked := without_mark(head):
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


def encoding_advice(chunks: Chunks) -> str:
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
        parts = [text[start:][:SHOWN].strip() for text in texts]
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
    wrong = b"\n".join(line for line in lines if not is_utf8(line))
    number = sum(not line.isascii() and is_utf8(line) for line in lines)
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
        + FROM_TWO.format(encoding)
    )


def _sample(chunks: Chunks) -> bytes:
    """Return the first lines with bytes that are not ASCII, and the first that are not UTF-8."""
    lines: list[bytes] = []
    size = number_wrong = 0
    for line in high_lines(chunks):
        is_wrong = not is_utf8(line)
        if size < _SAMPLE or is_wrong:
            lines.append(line)
            size += len(line)
            number_wrong += is_wrong
        if size >= _SAMPLE and number_wrong:
            break
    return b"\n".join(lines)


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
