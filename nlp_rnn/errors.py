"""The errors a user can cause: each carries one or two lines and the exit code of the command.

The words say what was wrong, what was found instead and what to type.
"""

__all__ = [
    "ClassifierError",
    "ComparisonError",
    "ConfigError",
    "DataError",
    "NlpRnnError",
    "SweepError",
    "TrackingError",
    "TrainingError",
]


class NlpRnnError(Exception):
    """Anything a user can mend; the command line prints it without a traceback."""

    exit_code = 1


class ConfigError(NlpRnnError):
    """The words of the command were wrong: an unknown key, a wrong value, a contradiction."""

    exit_code = 2


class DataError(NlpRnnError):
    """The data cannot be read or cannot be learnt from."""


class ClassifierError(NlpRnnError):
    """A saved classifier cannot be loaded, or was asked for what it cannot give."""


class TrackingError(NlpRnnError):
    """The MLflow store cannot be reached or written."""


class TrainingError(NlpRnnError):
    """Training cannot go on: the loss is no longer a number, or the device is not there."""


class ComparisonError(NlpRnnError):
    """There are no runs that can be compared."""


class SweepError(NlpRnnError):
    """A sweep came to its end, but not all its jobs did; a line for each says why."""
