"""A training that memory is too small for says so, whichever library ran out of it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from nlp_rnn.errors import TrainingError

__all__ = ["memory_errors"]

SIGNS = ("can't allocate memory", "out of memory", "failed to allocate memory")
ASKED = re.compile(r"tried to allocate ([\d.]+ ?[KMGT]?i?)(?:B|bytes)", re.IGNORECASE)


@contextmanager
def memory_errors(batch_size: str) -> Iterator[None]:
    """What torch and numpy raise for want of memory becomes a TrainingError of two lines.

    `batch_size` is the key of the number of texts that are read together.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        told = str(error)
        if not isinstance(error, MemoryError) and not any(sign in told for sign in SIGNS):
            raise
        found = ASKED.search(told)
        asked = f": {_size(found[1])} more were asked for" if found else ""
        raise TrainingError(
            f"There is not enough memory{asked}.\nType a smaller {batch_size}, "
            "model.hidden_size, model.embedding_size or tokenizer.max_length."
        ) from error


def _size(asked: str) -> str:
    """Bytes as torch says them, a plain number on the CPU, for people."""
    if not asked.strip().isdigit():
        return f"{asked}B"
    return f"{int(asked) / 2**30:,.1f} GiB"
