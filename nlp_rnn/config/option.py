"""Fields of the configuration schemas, each with its help text and the values that it allows."""

import dataclasses
import math
from typing import Any, NamedTuple

__all__ = [
    "FRACTION",
    "INSIDE_UNIT",
    "MISSING",
    "POSITIVE",
    "SEED",
    "Interval",
    "at_least",
    "between",
    "help_of",
    "option",
]

MISSING: Any = "???"
"""OmegaConf's mark of a value that has to be set; importing it would take a tenth of a second."""


class Interval(NamedTuple):
    """Numbers that an option allows.

    Attributes
    ----------
    low, high : float
        Bounds of the interval.
    includes_low, includes_high : bool
        Whether the bounds themselves are allowed.
    text : str
        The interval as the end of a sentence, such as "at least 1".
    """

    low: float
    high: float
    includes_low: bool
    includes_high: bool
    text: str

    def contains(self, value: float) -> bool:
        """Return whether `value` is in the interval; NaN is in none."""
        above = self.low < value or (self.includes_low and value == self.low)
        return above and (value < self.high or (self.includes_high and value == self.high))


def at_least(low: int) -> Interval:
    """Return the interval of all numbers from `low`."""
    return Interval(low, math.inf, True, True, f"at least {low}")


def between(low: int, high: int) -> Interval:
    """Return the interval from `low` to `high`, both included."""
    return Interval(low, high, True, True, f"between {low} and {high}")


FRACTION = Interval(0, 1, True, False, "at least 0 and below 1")
INSIDE_UNIT = Interval(0, 1, False, False, "above 0 and below 1")
POSITIVE = Interval(0, math.inf, False, False, "above 0")
SEED = between(0, 2**32 - 1)


def option(default: Any, help_text: str, allowed: Interval | None = None) -> Any:
    """Return a dataclass field with a default, the sentence that explains it, and its limits.

    The help text is shown by `nlp-rnn train --help` and by `--cfg job`, and it is the text of the
    configuration reference. A value that is not `allowed` raises an error, null excepted.
    """
    metadata = {"help": help_text, "allowed": allowed}
    if isinstance(default, list):
        return dataclasses.field(default_factory=lambda: list(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def help_of(schema: type) -> dict[str, str]:
    """Return the help text of every field of a schema, by field name."""
    return {f.name: f.metadata.get("help", "") for f in dataclasses.fields(schema)}
