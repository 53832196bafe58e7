"""The parts of a text that is a pair: what stands before and after the separator."""

from nlp_rnn.sources.separator import unescape_separator

__all__ = ["parts_with_offsets", "split_parts"]


def split_parts(text: str, separator: str | None) -> list[str]:
    """Return the parts of a text, which is one part without a separator."""
    return [part for part, _ in parts_with_offsets(text, separator)]


def parts_with_offsets(text: str, separator: str | None) -> list[tuple[str, int]]:
    """Return the parts of a text, each with the number of characters before it."""
    if separator is None:
        return [(text, 0)]
    parts, offset = [], 0
    for part in text.split(separator):
        parts.append((unescape_separator(part, separator), offset))
        offset += len(part) + len(separator)
    return parts
