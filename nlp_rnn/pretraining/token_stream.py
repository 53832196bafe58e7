"""Token streams for language models: concatenated texts, and batches for truncated BPTT.

A padding token separates the texts, and another one is at each end of the stream; no text contains
it. The model learns to forget the previous text at this token. The state is not reset there,
because a window would have to be split wherever a text ends.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.tokens.tokenizer import PAD_ID

__all__ = ["BOUNDARY_ID", "StreamWindows", "TokenTexts", "parallel_sequences"]

BOUNDARY_ID = PAD_ID
"""Token id between two texts, and at both ends of a stream."""

MIN_WINDOWS = 8
"""Minimum number of windows per sequence, so that an epoch of a short stream has many updates."""


@dataclass(frozen=True)
class TokenTexts:
    """Token ids of n texts, concatenated.

    Attributes
    ----------
    tokens : int32 (tokens,)
        Token ids of all texts, without separators.
    lengths : int64 (n,)
        Number of tokens of each text.
    """

    tokens: NDArray[np.int32]
    lengths: NDArray[np.int64]

    def stream(self, seed: int | None = None, epoch: int = 0) -> NDArray[np.int32]:
        """Return all texts with `BOUNDARY_ID` around each of them, int32 (tokens + n + 1,).

        With a `seed`, the texts are in a random order that depends on the seed and the epoch.
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
        """Number of tokens to predict in a stream: all but the first."""
        return len(self.tokens) + len(self.lengths)

    def first(self, tokens: int) -> "TokenTexts":
        """Return the first texts, at least one, up to a total of `tokens` tokens."""
        count = max(1, int(np.searchsorted(np.cumsum(self.lengths), tokens, side="right")))
        return TokenTexts(self.tokens[: int(self.lengths[:count].sum())], self.lengths[:count])


class StreamWindows:
    """Batches of a token stream for truncated backpropagation through time.

    The stream is cut into B parallel sequences of equal length, and each batch has the next window
    of every sequence. The recurrent state at the end of a window is the initial state of the next
    one. Up to B - 1 tokens at the end of the stream are dropped.

    Parameters
    ----------
    stream : ndarray
        Token ids, int32 (tokens,).
    batch_size : int
        Maximum number of parallel sequences, B. Short streams have fewer (`parallel_sequences`).
    window : int
        Maximum length of a window in tokens.
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
        """Number of tokens to predict in all windows (not the number of windows)."""
        return self._inputs.size

    def batches(self, first: int = 0) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Yield the inputs and targets of each window, int64 (T, B) both.

        Parameters
        ----------
        first : int
            Number of the first window to yield, from 0; the windows before it are skipped.
        """
        for start in range(first * self.window, self._inputs.shape[1], self.window):
            steps = slice(start, start + self.window)
            inputs, targets = (
                np.ascontiguousarray(tokens[:, steps].T, np.int64)
                for tokens in (self._inputs, self._targets)
            )
            yield inputs, targets


def parallel_sequences(tokens: int, batch_size: int, window: int) -> int:
    """Return the number of parallel sequences for a stream of `tokens` tokens to predict.

    It is at most `batch_size`, and low enough for `MIN_WINDOWS` windows in each sequence.
    """
    return max(1, min(batch_size, tokens // (MIN_WINDOWS * window)))
