"""New names for labels, as the option `data.label_names` sets them."""

import math
import re
from collections.abc import Mapping

from nlp_rnn.errors import DataError

__all__ = ["WHOLE_NUMBER", "new_name"]

WHOLE_NUMBER = re.compile(r"-?[1-9][0-9]*|0")
"""A whole number in its only canonical spelling: `7`, but not `07`, `+7` or `7.0`."""


def new_name(text: str, every: set[str], label_names: Mapping[str, str], where: str) -> str:
    """Return the name of a label in `data.label_names`.

    On a command line the keys 1.10, 1e3 and true arrive as 1.1, 1000.0 and True. Such a key names
    the only label of the same value.

    Parameters
    ----------
    text : str
        The label as it is in the data.
    every : set of str
        The labels of all splits.
    label_names : mapping of str to str
        The new names.
    where : str
        Description of the split, with which the error message begins.

    Raises
    ------
    DataError
        The label has no name.
    """
    keys = {key.strip(): name for key, name in label_names.items()}
    if text in keys:
        return keys[text]
    for key, name in keys.items():
        if _same_value(key, text) and sum(_same_value(key, other) for other in every) == 1:
            return name
    raise DataError(
        f"{where} has the label {text!r}, which has no name in data.label_names; there "
        f"are names for: {', '.join(list(keys)[:20])}.\nName every label: "
        f"'data.label_names={{{_key(text)}:NAME,…}}', or a list for the labels from 0."
    )


def _same_value(key: str, text: str) -> bool:
    if key in ("True", "False", "None"):
        return key.lower().replace("none", "null") == text.lower()
    try:
        return float(key) == float(text)
    except ValueError:
        return False


def _key(text: str) -> str:
    """Return a label as a key on Hydra's command line: a blank at its end keeps it a string."""
    escaped = re.sub(r"([\\:,=(){}\[\]])", r"\\\1", text)
    try:
        is_typed = bool(math.isfinite(float(text))) and not WHOLE_NUMBER.fullmatch(text)
    except ValueError:
        is_typed = text.lower() in ("true", "false", "null")
    return rf"{escaped}\ " if is_typed else escaped
