"""Batches of texts of similar length, computed in parallel threads."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.classifier.runtime import Runtime
from nlp_rnn.cores import available_cores
from nlp_rnn.errors import ClassifierError
from nlp_rnn.tokens.tokenizer import PAD_ID

__all__ = ["BatchedNetwork", "batches", "usable_threads"]

# A batch has at most this many texts and this many tokens, padding included. Four times as many
# tokens made texts of 200 words 4 % (LSTM) and 10 % (GRU) slower; a quarter of the texts made
# short texts 4 % and 21 % slower (128 hidden, one core with AVX2).
BATCH_TEXTS = 64
BATCH_TOKENS = 4096


class BatchedNetwork:
    """Network for any number of texts, which splits them into batches; threads can share it.

    Parameters
    ----------
    run : Runtime
        Function that computes one batch.
    threads : int
        Number of batches that are computed at the same time.
    to_probabilities : callable
        Returns the probabilities (n, C) of what `run` returns.
    """

    def __init__(
        self,
        run: Runtime,
        threads: int,
        to_probabilities: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    ) -> None:
        self.threads = threads
        self._to_probabilities = to_probabilities
        self._run = run

    def probabilities(self, ids: list[list[int]]) -> NDArray[np.float32]:
        """Return the probabilities (n, C) of n texts; each has at least one token id."""
        return self._to_probabilities(self.outputs(ids))

    def windowed(self, ids: list[list[int]], size: int) -> NDArray[np.float32]:
        """Return the mean probabilities (n, C) of the windows of each text, weighted by tokens.

        Windows have at most `size` tokens, and the windows of a text differ by at most one.
        """
        windows: list[list[int]] = []
        starts = []
        for tokens in ids:
            starts.append(len(windows))
            parts = -(-len(tokens) // size)
            cuts = [len(tokens) * part // parts for part in range(parts + 1)]
            windows += [tokens[a:b] for a, b in pairwise(cuts)]
        lengths = np.array([len(window) for window in windows], dtype=np.float64)
        weighted = self.probabilities(windows) * lengths[:, None]
        means: NDArray[np.float64] = np.add.reduceat(weighted, starts)
        means /= np.add.reduceat(lengths, starts)[:, None]
        return means.astype(np.float32)

    def outputs(self, ids: list[list[int]]) -> NDArray[np.float32]:
        """Return what the runtime computes for n texts, (n, C), in their order."""
        if len(ids) == 1:
            return self._batch(ids)
        order = list(batches([len(tokens) for tokens in ids]))
        parts = [[ids[row] for row in rows] for rows in order]
        if len(parts) == 1 or self.threads == 1:
            outputs = [self._batch(part) for part in parts]
        else:
            with ThreadPoolExecutor(min(self.threads, len(parts))) as pool:
                outputs = list(pool.map(self._batch, parts))
        joined = np.empty((len(ids), outputs[0].shape[1]), np.float32)
        for rows, output in zip(order, outputs, strict=True):
            joined[rows] = output
        return joined

    def _batch(self, ids: list[list[int]]) -> NDArray[np.float32]:
        """Return what the runtime computes for one batch of B texts, (B, C)."""
        if len(ids) == 1:
            return self._run(np.array(ids, dtype=np.int64), np.array([len(ids[0])]))
        lengths = np.array([len(tokens) for tokens in ids], dtype=np.int64)
        input_ids = np.full((len(ids), lengths.max()), PAD_ID, dtype=np.int64)
        for row, tokens in enumerate(ids):
            input_ids[row, : len(tokens)] = tokens
        return self._run(input_ids, lengths)


def batches(lengths: list[int]) -> Iterator[NDArray[np.int64]]:
    """Yield batches of rows of similar length, longest first, so that memory is allocated once."""
    order = np.argsort(np.negative(lengths), kind="stable")
    start = 0
    while start < len(order):
        longest = lengths[order[start]]
        size = max(1, min(BATCH_TEXTS, BATCH_TOKENS // longest))
        yield order[start : start + size]
        start += size


def usable_threads(threads: int | None) -> int:
    """Return `threads`, or by default the number of cores that this process may use.

    Raises
    ------
    ClassifierError
        `threads` is no whole number from 1.
    """
    if threads is None:
        return available_cores()
    if type(threads) is not int or threads < 1:
        raise ClassifierError(f"threads is {threads!r}; set a whole number from 1, or None.")
    return threads
