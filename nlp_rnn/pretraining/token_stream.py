"""Token streams for language models: all texts in a row, read in windows by parallel sequences.

Between two texts, and at both ends, stands the padding token, which no text contains. The model
learns to forget the previous text there. Resetting the state instead would cut the windows apart.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.tokens.tokenizer import PAD_ID

__all__ = ["BOUNDARY_ID", "StreamWindows", "TokenTexts", "parallel_sequences"]

BOUNDARY_ID = PAD_ID

MIN_WINDOWS = 8
"""Minimum number of windows in a sequence, so that a short stream still gives many updates."""


@dataclass(frozen=True)
class TokenTexts:
    """Token ids of all texts in a row, int32 (tokens,), and `lengths` of the texts, int64 (n,)."""

    tokens: NDArray[np.int32]
    lengths: NDArray[np.int64]

    def stream(self, seed: int | None = None, epoch: int = 0) -> NDArray[np.int32]:
        """Return all texts with boundaries, int32 (tokens + n + 1,).

        With a `seed`, the texts are shuffled by the seed and the epoch.
        """
        starts = np.cumsum(self.lengths) - self.lengths
        order = np.arange(len(starts))
        if seed is not None:
            order = np.random.default_rng([seed, epoch]).permutation(len(starts))
        lengths = self.lengths[order]
        ends = np.cumsum(lengths + 1)
        stream = np.full(1 + int(ends[-1]), BOUNDARY_ID, np.int32)
        # for each token, how far its position in the stream is from its position in `tokens`
        shift = np.repeat(ends - lengths - starts[order], lengths)
        source = np.arange(len(shift)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        source += np.repeat(starts[order], lengths)
        stream[source + shift] = self.tokens[source]
        return stream

    @property
    def stream_length(self) -> int:
        """Number of tokens that a stream predicts: all but its first."""
        return len(self.tokens) + len(self.lengths)

    def first(self, tokens: int) -> "TokenTexts":
        """Return the first texts that have at most `tokens` tokens together, at least one text."""
        count = max(1, int(np.searchsorted(np.cumsum(self.lengths), tokens, side="right")))
        return TokenTexts(self.tokens[: int(self.lengths[:count].sum())], self.lengths[:count])


class StreamWindows:
    """A stream cut into parallel sequences of equal length, which are read window by window.

    Truncated backpropagation through time: the state at the end of a window is the state at the
    start of the next one. The tokens that do not fill a sequence are left out: fewer than there
    are sequences.

    Parameters
    ----------
    stream : ndarray
        Token ids, int32 (tokens,).
    batch_size : int
        Maximum number of parallel sequences. Short streams have fewer (`parallel_sequences`).
    window : int
        Tokens of a sequence that are read at once.
    """

    def __init__(self, stream: NDArray[np.int32], batch_size: int, window: int) -> None:
        tokens = len(stream) - 1
        self.count = parallel_sequences(tokens, batch_size, window)
        length = tokens // self.count
        self.window = min(window, length)
        self._inputs = stream[: self.count * length].reshape(self.count, length)
        self._targets = stream[1 : self.count * length + 1].reshape(self.count, length)
        self.windows = -(-length // self.window)

    def __len__(self) -> int:
        """Number of tokens that are predicted."""
        return self._inputs.size

    def batches(self, first: int = 0) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Yield inputs and targets, int64 (T, B) each, of every window from number `first` on."""
        for start in range(first * self.window, self._inputs.shape[1], self.window):
            steps = slice(start, start + self.window)
            inputs, targets = (
                np.ascontiguousarray(tokens[:, steps].T, np.int64)
                for tokens in (self._inputs, self._targets)
            )
            yield inputs, targets


def parallel_sequences(tokens: int, batch_size: int, window: int) -> int:
    """Return the number of parallel sequences for a stream of `tokens` tokens."""
    return max(1, min(batch_size, tokens // (MIN_WINDOWS * window)))
