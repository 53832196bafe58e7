"""Values in the form that MLflow stores: without passwords and within its length limits."""

import re
from enum import Enum
from typing import Any

__all__ = [
    "METRIC_NAME",
    "PARAMETER_LENGTH",
    "TAG_LENGTH",
    "shorten",
    "stored_value",
    "without_passwords",
]

PARAMETER_LENGTH = 6000
TAG_LENGTH = 8000
"""MLflow's limits in characters. It rejects or silently cuts longer values."""

METRIC_NAME = re.compile(r"[\w.\- :]+(/[\w.\- :]+)*")

PASSWORD = re.compile(r"(://[^\s:/@'\"]*):[^\s/@'\"]+@")


def without_passwords(text: str) -> str:
    """Return `text` with every `://user:password@` replaced by `://user:***@`.

    Everybody who can open a run in MLflow sees everything that was logged to it.
    """
    return PASSWORD.sub(r"\1:***@", text)


def stored_value(value: Any, length: int) -> str:
    """Return `value` as text without passwords, shortened to `length` characters."""
    text = str(value.value if isinstance(value, Enum) else value)
    return shorten(without_passwords(text), length)


def shorten(text: str, length: int) -> str:
    """Return at most `length` characters of `text`; a last line says if some are missing."""
    if len(text) <= length:
        return text
    end = f"\n… shortened from {len(text):,} characters"
    return text[: length - len(end)] + end
