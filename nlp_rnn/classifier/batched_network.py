"""Token ids of many texts become probabilities: batches of similar length, run side by side."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.classifier.runtime import Runtime
from nlp_rnn.errors import ClassifierError
from nlp_rnn.tokens.tokenizer import PAD_ID

__all__ = ["BatchedNetwork", "batches", "usable_threads"]

# A batch ends at this many texts or this many token places, padding included. With four times as
# many places texts of 200 words took 4 % (LSTM) and 10 % (GRU) longer, with a quarter of the texts
# short ones 4 % and 21 % (128 hidden, one core with AVX2).
BATCH_TEXTS = 64
BATCH_TOKENS = 4096


class BatchedNetwork:
    """A runtime that takes any number of texts; safe to share between threads."""

    def __init__(self, run: Runtime, threads: int, softmax: bool = True) -> None:
        """Answer up to `threads` batches at the same time; `run` gives logits if `softmax`."""
        self.threads = threads
        self._softmax = softmax
        self._run = run

    def probabilities(self, ids: list[list[int]]) -> NDArray[np.float32]:
        """Probabilities (n, C) of the token ids of n texts in their order; none is empty."""
        logits = self._answers(ids)
        if not self._softmax:
            return logits
        # the largest becomes exp(0) = 1, so that nothing overflows
        largest = logits.max(axis=1, keepdims=True)
        weights: NDArray[np.float64] = np.exp(logits - largest, dtype=np.float64)
        weights /= weights.sum(axis=1, keepdims=True)
        return weights.astype(np.float32)

    def windowed(self, ids: list[list[int]], size: int) -> NDArray[np.float32]:
        """Probabilities (n, C), the mean over windows of each text, weighted by their tokens.

        Windows have at most `size` tokens, and those of a text differ by at most one.
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
        shares: NDArray[np.float64] = np.add.reduceat(weighted, starts)
        shares /= np.add.reduceat(lengths, starts)[:, None]
        return shares.astype(np.float32)

    def _answers(self, ids: list[list[int]]) -> NDArray[np.float32]:
        if len(ids) == 1:
            return self._batch(ids)
        order = list(batches([len(tokens) for tokens in ids]))
        parts = [[ids[row] for row in rows] for rows in order]
        if len(parts) == 1 or self.threads == 1:
            answers = [self._batch(part) for part in parts]
        else:
            with ThreadPoolExecutor(min(self.threads, len(parts))) as pool:
                answers = list(pool.map(self._batch, parts))
        logits = np.empty((len(ids), answers[0].shape[1]), np.float32)
        for rows, answer in zip(order, answers, strict=True):
            logits[rows] = answer
        return logits

    def _batch(self, ids: list[list[int]]) -> NDArray[np.float32]:
        """What the runtime answers, (B, C), to one batch of token ids."""
        if len(ids) == 1:
            return self._run(np.array(ids, dtype=np.int64), np.array([len(ids[0])]))
        lengths = np.array([len(tokens) for tokens in ids], dtype=np.int64)
        input_ids = np.full((len(ids), lengths.max()), PAD_ID, dtype=np.int64)
        for row, tokens in enumerate(ids):
            input_ids[row, : len(tokens)] = tokens
        return self._run(input_ids, lengths)


def batches(lengths: list[int]) -> Iterator[NDArray[np.int64]]:
    """Rows of texts of similar length, longest first, so that memory is asked for once."""
    order = np.argsort(np.negative(lengths), kind="stable")
    start = 0
    while start < len(order):
        longest = lengths[order[start]]
        size = max(1, min(BATCH_TEXTS, BATCH_TOKENS // longest))
        yield order[start : start + size]
        start += size


def usable_threads(threads: int | None) -> int:
    """`threads`, or one for each core that this process may use.

    Raises:
        ClassifierError: it is no whole number from 1.
    """
    if threads is None:
        # what this process may use, which in a container or under taskset is less than the machine
        if hasattr(os, "sched_getaffinity"):
            return len(os.sched_getaffinity(0))
        return os.cpu_count() or 1
    if type(threads) is not int or threads < 1:
        raise ClassifierError(f"threads is {threads!r}; type a whole number from 1, or None.")
    return threads
