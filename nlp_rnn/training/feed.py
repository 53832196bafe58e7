"""Rows of an update become this process's batches, made before they are needed."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from nlp_rnn.data.batches import Batch, TokenizedTexts, split_by_tokens
from nlp_rnn.training.processes import Processes

__all__ = ["Update", "feed"]

# Updates whose batches are made while an earlier one is computed.
AHEAD = 2


@dataclass(frozen=True)
class Update:
    """What one update reads.

    `batches` are this process's; `weights` what share of the update's texts each one is, over
    all processes 1 together. `texts` and `tokens` (padding left out) count all processes'.
    For a language model, `pair_weights` are shares likewise, of the pairs of neighbouring tokens,
    and `vocabulary` int64 (U,) is which tokens occur in the batches of all processes, rising.
    """

    batches: list[Batch]
    weights: list[float]
    texts: int
    tokens: int
    pair_weights: list[float]
    vocabulary: NDArray[np.int64] | None = None

    @classmethod
    def alone(cls, batch: Batch) -> "Update":
        """An update of one batch and one process."""
        return cls([batch], [1.0], len(batch.rows), batch.num_tokens, [1.0])


def feed(
    texts: TokenizedTexts,
    updates: Sequence[Sequence[NDArray[np.int64]]],
    processes: Processes,
    *,
    pinned: bool,
    vocabulary: bool = False,
) -> Iterator[Update]:
    """The updates in their order, each a sequence of rows of batches; made in a thread.

    What is made is a pure function of the arguments, so the thread changes no result. `pinned`
    batches lie where a GPU can fetch them by itself. With `vocabulary` updates have one.
    """

    def make(rows_of_batches: Sequence[NDArray[np.int64]]) -> Update:
        every = np.concatenate(rows_of_batches)
        tokens = int(texts.lengths[every].sum())
        batches, weights, pair_weights = [], [], []
        for rows in rows_of_batches:
            own = rows
            if processes.count > 1:
                own = split_by_tokens(rows, texts.lengths, processes.count)[processes.rank]
            weights.append(len(own) / len(every))
            pairs = int(texts.lengths[own].sum()) - len(own)
            pair_weights.append(pairs / max(1, tokens - len(every)))
            if not len(own):
                # gradients are exchanged by all, so read a text and let it count nothing
                own = rows[np.argmin(texts.lengths[rows])][None]
            batch = texts.batch(own)
            batches.append(_pinned(batch) if pinned else batch)
        occurring = texts.vocabulary(every) if vocabulary else None
        return Update(batches, weights, len(every), tokens, pair_weights, occurring)

    waiting: deque[Future[Update]] = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="batches") as thread:
        for rows_of_batches in updates:
            waiting.append(thread.submit(make, rows_of_batches))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _pinned(batch: Batch) -> Batch:
    return replace(
        batch,
        input_ids=torch.from_numpy(batch.input_ids).pin_memory().numpy(),
        lengths=torch.from_numpy(batch.lengths).pin_memory().numpy(),
        labels=torch.from_numpy(batch.labels).pin_memory().numpy(),
    )
