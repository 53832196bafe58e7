"""Folders of caches, which may be deleted at any time."""

import os
from pathlib import Path

__all__ = ["cache_dir"]


def cache_dir() -> Path:
    """Return the cache folder of tokenizers and token ids.

    It is `NLP_RNN_CACHE`, else `nlp_rnn` in `XDG_CACHE_HOME`, else `~/.cache/nlp_rnn`.
    """
    if path := os.environ.get("NLP_RNN_CACHE"):
        return Path(path).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "nlp_rnn"
