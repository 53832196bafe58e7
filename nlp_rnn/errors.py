"""Errors that a user can cause, with the exit code that the command line returns for each.

A message has one or two lines: what is wrong, what was found, and the command or option to use.
"""

__all__ = [
    "ClassifierError",
    "ComparisonError",
    "ConfigError",
    "DataError",
    "NlpRnnError",
    "PrunedError",
    "SupersededError",
    "SweepError",
    "SweepKilledError",
    "TrackingError",
    "TrainingError",
]


class NlpRnnError(Exception):
    """Base class of errors that a user can fix; the command line prints no traceback for them."""

    exit_code = 1


class ConfigError(NlpRnnError):
    """The command has wrong arguments: an unknown key, an invalid value or a contradiction."""

    exit_code = 2


class DataError(NlpRnnError):
    """The data cannot be read or is not suitable for training."""


class ClassifierError(NlpRnnError):
    """A saved classifier cannot be loaded or does not support what was requested."""


class TrackingError(NlpRnnError):
    """The MLflow store cannot be reached or written."""


class TrainingError(NlpRnnError):
    """Training cannot continue: the loss is NaN, or the device is not available."""


class ComparisonError(NlpRnnError):
    """No runs can be compared."""


class SweepError(NlpRnnError):
    """Some jobs of a sweep did not finish; the message has one line with the reason for each."""


class SweepKilledError(SweepError):
    """Jobs of a sweep were killed, and no job failed."""


class SupersededError(NlpRnnError):
    """Another process has taken over the job of this one, which ends without a result."""


class PrunedError(NlpRnnError):
    """A trial of a search was pruned because it fell behind the others; this is not a failure."""
