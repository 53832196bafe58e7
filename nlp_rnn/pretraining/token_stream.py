"""Token ids of texts become one long stream, read side by side in lanes, window by window.

Between two texts, and at both ends, stands one token that no text has: padding's. A reset of the
state there would cut the windows apart; with a token the model itself learns to forget what came
before.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.tokens.tokenizer import PAD_ID

__all__ = ["BOUNDARY_ID", "StreamWindows", "TokenTexts"]

BOUNDARY_ID = PAD_ID

SHORTEST = 8
"""Windows of a lane, at least: else a short stream would be read in a few updates."""


@dataclass(frozen=True)
class TokenTexts:
    """Texts as token ids one after the other, int32 (tokens,), and their `lengths` int64 (n,)."""

    tokens: NDArray[np.int32]
    lengths: NDArray[np.int64]

    def stream(self, seed: int | None = None, epoch: int = 0) -> NDArray[np.int32]:
        """All texts with boundaries, int32 (tokens + n + 1,); shuffled by seed and epoch if any."""
        starts = np.cumsum(self.lengths) - self.lengths
        order = np.arange(len(starts))
        if seed is not None:
            order = np.random.default_rng([seed, epoch]).permutation(len(starts))
        lengths = self.lengths[order]
        ends = np.cumsum(lengths + 1)
        stream = np.full(1 + int(ends[-1]), BOUNDARY_ID, np.int32)
        # text by text, where it begins in the stream less where it begins here
        shift = np.repeat(ends - lengths - starts[order], lengths)
        source = np.arange(len(shift)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        source += np.repeat(starts[order], lengths)
        stream[source + shift] = self.tokens[source]
        return stream

    @property
    def stream_length(self) -> int:
        """Tokens of a stream less the first: so many are foretold."""
        return len(self.tokens) + len(self.lengths)

    def first(self, tokens: int) -> "TokenTexts":
        """The first texts, as many as have at most so many tokens together; at least one."""
        count = max(1, int(np.searchsorted(np.cumsum(self.lengths), tokens, side="right")))
        return TokenTexts(self.tokens[: int(self.lengths[:count].sum())], self.lengths[:count])


class StreamWindows:
    """A stream in `count` pieces of one length that are read side by side.

    What does not fill a piece is left out: fewer tokens than there are lanes.
    """

    def __init__(self, stream: NDArray[np.int32], batch_size: int, window: int) -> None:
        """At most `batch_size` lanes, fewer where a lane would be shorter than some windows."""
        tokens = len(stream) - 1
        self.count = parallel_sequences(tokens, batch_size, window)
        self.window = min(window, tokens // self.count)
        length = tokens // self.count
        self._read = stream[: self.count * length].reshape(self.count, length)
        self._foretold = stream[1 : self.count * length + 1].reshape(self.count, length)
        self.windows = -(-length // self.window)

    def __len__(self) -> int:
        return self._read.size

    def batches(self, first: int = 0) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """What is read and what is foretold, int64 (T, B) each, window by window from `first`."""
        for start in range(first * self.window, self._read.shape[1], self.window):
            part = slice(start, start + self.window)
            yield tuple(  # type: ignore[misc]
                np.ascontiguousarray(side[:, part].T, np.int64)
                for side in (self._read, self._foretold)
            )


def parallel_sequences(tokens: int, batch_size: int, window: int) -> int:
    """How many lanes a stream of so many tokens is read in."""
    return max(1, min(batch_size, tokens // (SHORTEST * window)))
