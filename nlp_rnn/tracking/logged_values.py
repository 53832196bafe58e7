"""Values as MLflow may keep them: without passwords, and not too long."""

import re
from enum import Enum
from typing import Any

__all__ = [
    "METRIC_NAME",
    "PARAMETER_LENGTH",
    "TAG_LENGTH",
    "recorded",
    "shortened",
    "without_passwords",
]

PARAMETER_LENGTH = 6000
TAG_LENGTH = 8000
"""MLflow's own limits; it would refuse or silently cut what is beyond them."""

METRIC_NAME = re.compile(r"[\w.\- :]+(/[\w.\- :]+)*")
PASSWORD = re.compile(r"(://[^\s:/@'\"]*):[^\s/@'\"]+@")


def without_passwords(text: str) -> str:
    """`text` with every `://user:password@` in it as `://user:***@`."""
    return PASSWORD.sub(r"\1:***@", text)


def _words(value: Any) -> str:
    return str(value.value if isinstance(value, Enum) else value)


def recorded(value: Any, length: int) -> str:
    """A value as MLflow may keep it: without passwords, and not too long."""
    return shortened(without_passwords(_words(value)), length)


def shortened(text: str, length: int) -> str:
    """At most `length` characters, and if some are missing, a last line that says so."""
    if len(text) <= length:
        return text
    end = f"\n… shortened from {len(text):,} characters"
    return text[: length - len(end)] + end
