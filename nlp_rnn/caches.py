"""Folders of caches, which may be deleted at any time."""

import logging
import os
import tempfile
from functools import cache
from pathlib import Path

from nlp_rnn.errors import ConfigError

__all__ = ["cache_dir", "datasets_cache"]

logger = logging.getLogger(__name__)


def cache_dir() -> Path:
    """Return the cache folder of tokenizers and token ids.

    It is `NLP_RNN_CACHE`, else `nlp_rnn` in `XDG_CACHE_HOME`, else `~/.cache/nlp_rnn`, else a
    temporary folder if that cannot be written.

    Raises
    ------
    ConfigError
        The folder of an environment variable cannot be written.
    """
    if path := os.environ.get("NLP_RNN_CACHE"):
        return _writable(_expanded(path), "NLP_RNN_CACHE")
    if path := os.environ.get("XDG_CACHE_HOME"):
        return _writable(_expanded(path) / "nlp_rnn", "XDG_CACHE_HOME")
    return _writable(_expanded("~/.cache/nlp_rnn"), None)


def datasets_cache() -> Path:
    """Return the folder of files that were converted for the library datasets.

    It is the cache of that library, else a temporary folder if that cannot be written.

    Raises
    ------
    ConfigError
        The folder of an environment variable cannot be written.
    """
    import datasets

    names = ("HF_DATASETS_CACHE", "HF_HOME", "XDG_CACHE_HOME")
    variable = next((name for name in names if os.environ.get(name)), None)
    return _writable(_expanded(str(datasets.config.HF_DATASETS_CACHE)) / "nlp_rnn", variable)


def _expanded(path: str) -> Path:
    try:
        return Path(path).expanduser().absolute()
    except RuntimeError:  # there is no home folder
        return Path(path).absolute()


@cache
def _writable(folder: Path, variable: str | None) -> Path:
    """Return `folder` if it can be written; else an error names the variable that has set it."""
    problem = _problem(folder)
    if problem is None:
        return folder
    if variable is not None:
        raise ConfigError(
            f"The cache {folder} of {variable} cannot be written: {problem.strerror}.\n"
            f"Set {variable} to a folder that is writable, or unset it."
        )
    user = str(os.getuid()) if hasattr(os, "getuid") else "user"
    other = Path(tempfile.gettempdir()) / f"nlp_rnn-{user}" / folder.name
    try:
        other.parent.mkdir(mode=0o700, exist_ok=True)
        other.mkdir(exist_ok=True)
        problem = _problem(other)
        if problem is None and hasattr(os, "getuid") and other.parent.stat().st_uid != os.getuid():
            problem = PermissionError(1, "it belongs to another user")
    except OSError as error:
        problem = error
    if problem is not None:
        raise ConfigError(
            f"Neither {folder} nor {other} can be used as a cache: {problem.strerror}.\n"
            "Set NLP_RNN_CACHE and HF_HOME to folders that are writable."
        )
    logger.warning("The cache %s cannot be written; %s is used instead.", folder, other)
    return other


def _problem(folder: Path) -> OSError | None:
    """Return why no file can be written in a folder, which is created; None if it can."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as error:
        return error
