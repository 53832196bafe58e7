"""The parts of a text that is a pair: what stands before and after the separator."""

from nlp_rnn.sources.separator import unescape_separator

__all__ = ["split_parts"]


def split_parts(text: str, separator: str | None) -> list[str]:
    """Return the parts of a text, which is one part without a separator."""
    if separator is None:
        return [text]
    return [unescape_separator(part, separator) for part in text.split(separator)]
