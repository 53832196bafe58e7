"""Data sources for tests, read as by `nlp-rnn train data=files`."""

from pathlib import Path

from nlp_rnn.config.checks import check
from nlp_rnn.sources.source import Source, read_source
from tests.composing import compose


def load(path: Path, *options: str) -> Source:
    """Return the rows and notes of a file or folder, read with these options."""
    config = compose(["data=files", f"data.path='{path}'", *options])
    check(config)
    return read_source(config.data)
