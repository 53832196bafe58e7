"""What MLflow is told loses the passwords of addresses: everybody who sees a run sees all of it."""

import re

__all__ = ["without_passwords"]

PASSWORD = re.compile(r"(://[^\s:/@'\"]*):[^\s/@'\"]+@")


def without_passwords(text: str) -> str:
    """`text` with every `://user:password@` in it as `://user:***@`."""
    return PASSWORD.sub(r"\1:***@", text)
