"""Escaping of the separator token where it stands literally in the text of a pair."""

__all__ = ["ESCAPE", "escape_separator", "escaped_form", "unescape_separator"]

ESCAPE = "\u2060"
"""WORD JOINER: invisible, and no white space."""


def escaped_form(separator: str) -> str:
    """Return the separator with an invisible character after its first one."""
    return separator[:1] + ESCAPE + separator[1:]


def escape_separator(text: str, separator: str) -> str:
    """Return `text` with every `separator` escaped, so that it remains text.

    Only the separator that stands between two texts is not escaped. The normalizer of the
    tokenizer removes the escapes, see `tokens.special_tokens`.
    """
    return text.replace(separator, escaped_form(separator))


def unescape_separator(text: str, separator: str) -> str:
    """Return the text that `escape_separator` was applied to."""
    return text.replace(escaped_form(separator), separator)
