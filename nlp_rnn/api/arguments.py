"""Options that are set in Python, as arguments of `nlp-rnn train`."""

import re
from collections.abc import Mapping, Sequence
from os import PathLike, fspath
from typing import Any

from nlp_rnn.errors import ConfigError

__all__ = ["Overrides", "as_arguments", "as_value"]

Overrides = Sequence[str] | Mapping[str, Any]
"""Options as arguments of the command line, or as a mapping from keys to values."""

# Strings that Hydra reads as strings without quotes.
BARE = re.compile(r"[A-Za-z_./][\w./-]*")
NOT_STRINGS = ("null", "true", "false", "inf", "nan")


def as_arguments(overrides: Overrides, options: Mapping[str, Any]) -> list[str]:
    """Return arguments of the command line for options set in Python.

    Parameters
    ----------
    overrides : sequence of str, or mapping
        Arguments such as `"trainer.max_epochs=5"`, or a mapping from keys to values such as
        `{"model": "lstm", "trainer.max_epochs": 5}`.
    options : mapping
        Keyword arguments. Two underscores stand for the dot in a key: `trainer__max_epochs=5`.

    Returns
    -------
    list of str
        The arguments, those of `options` last.

    Raises
    ------
    ConfigError
        `overrides` is a single string, or a value has no form on the command line.
    """
    if isinstance(overrides, str):
        raise ConfigError(
            f"overrides is the string {overrides!r}, but should be a list.\n"
            f"Pass overrides=[{overrides!r}]."
        )
    if isinstance(overrides, Mapping):
        arguments = [f"{key}={as_value(key, value)}" for key, value in overrides.items()]
    else:
        arguments = [str(override) for override in overrides]
    keywords = {name.replace("__", "."): value for name, value in options.items()}
    return [*arguments, *(f"{key}={as_value(key, value)}" for key, value in keywords.items())]


def as_value(key: str, value: Any) -> str:
    """Return a value in the grammar of Hydra's overrides."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str | PathLike):
        text = fspath(value)
        if BARE.fullmatch(text) and text.lower() not in NOT_STRINGS:
            return text
        text = text.replace("${", "\\${")  # what follows would be looked up as a key
        escaped = re.sub(r"(\\*)(?='|$)", r"\1\1", text).replace("'", "\\'")
        return f"'{escaped}'"
    if isinstance(value, Mapping):
        items = (f"{name}:{as_value(key, item)}" for name, item in value.items())
        return "{" + ",".join(items) + "}"
    if isinstance(value, Sequence):
        return "[" + ",".join(as_value(key, item) for item in value) + "]"
    if hasattr(value, "item"):  # a scalar of numpy
        return as_value(key, value.item())
    raise ConfigError(
        f"{key} is a {type(value).__name__}, which is not a value of the configuration.\n"
        "Pass a string, number, bool, None, list or dict."
    )
