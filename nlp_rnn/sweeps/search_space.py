"""Tuned keys of a search and their ranges."""

import math
from dataclasses import dataclass
from typing import Any

from nlp_rnn.errors import ConfigError
from nlp_rnn.sweeps.sweep_arguments import SweepCommand

__all__ = ["Dimension", "read_dimension"]


@dataclass(frozen=True)
class Dimension:
    """A tuned key and its search space: one of `values`, or a number from `low` to `high`.

    Numbers are sampled on a log scale if `log`, and are integers if `whole`.
    """

    key: str
    values: tuple[str, ...] = ()
    low: float = math.nan
    high: float = math.nan
    log: bool = False
    whole: bool = False

    def suggest(self, trial: Any) -> str:
        """Return the value that the study tries next, as an override."""
        if self.values:
            return f"{self.key}={trial.suggest_categorical(self.key, self.values)}"
        if self.whole:
            number = trial.suggest_int(self.key, int(self.low), int(self.high), log=self.log)
            return f"{self.key}={number}"
        return f"{self.key}={trial.suggest_float(self.key, self.low, self.high, log=self.log)!r}"

    def distribution(self) -> Any:
        """Return the search space as Optuna's distribution."""
        from optuna import distributions

        if self.values:
            return distributions.CategoricalDistribution(self.values)
        if self.whole:
            return distributions.IntDistribution(int(self.low), int(self.high), log=self.log)
        return distributions.FloatDistribution(self.low, self.high, log=self.log)

    def study_value(self, value: Any) -> Any:
        """Return `value` in the type that the study uses, or None if it is outside the space."""
        if self.values:
            return str(value) if str(value) in self.values else None
        try:
            number = float(value)
        except (TypeError, ValueError):
            return None
        if isinstance(value, bool) or not self.low <= number <= self.high:
            return None
        if self.whole:
            return int(number) if number == int(number) else None
        return number


def read_dimension(command: SweepCommand, key: str) -> Dimension:
    """Return the range of a swept key.

    Raises
    ------
    ConfigError
        The range is empty, or logarithmic and not positive.
    """
    from hydra.core.override_parser.types import IntervalSweep

    override = command.overrides[key]
    swept = override.value()
    if not isinstance(swept, IntervalSweep):
        return Dimension(key, command.space[key])
    value: Any = swept
    whole = isinstance(value.start, int) and isinstance(value.end, int)
    low, high = float(value.start), float(value.end)
    log = "log" in value.tags
    if not low < high or (log and low <= 0):
        raise ConfigError(
            f"{override.input_line} is not a valid range: the first number "
            f"must be below the second{', and above 0 for log' if log else ''}."
        )
    return Dimension(key, (), low, high, log, whole)
