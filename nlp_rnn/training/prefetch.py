"""Rows of an update become this process's batches, made before they are needed."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nlp_rnn.tokens.batches import Batch, TokenizedTexts, split_by_tokens
from nlp_rnn.training.processes import Processes

__all__ = ["PINNING", "DeviceBatch", "DeviceUpdate", "Update", "prefetch_updates"]

# Updates whose batches are made while an earlier one is computed.
AHEAD = 2

PINNING = Lock()
"""Held while memory is pinned, which must not happen while an update is recorded."""

# On a GPU every update of a shape but the first is replayed, so shapes should be few.
STEPS_MULTIPLE, VOCABULARY_MULTIPLE = 16, 1024


@dataclass(frozen=True)
class DeviceBatch:
    """A `Batch` on a device, its rows left out."""

    input_ids: Tensor
    lengths: Tensor
    labels: Tensor


@dataclass(frozen=True)
class DeviceUpdate:
    """What one process reads of an `Update`, on its device."""

    batches: list[DeviceBatch]
    weights: list[float]
    pair_weights: list[float]
    vocabulary: Tensor | None

    def tensors(self) -> Iterator[Tensor]:
        """All that lies on the device."""
        for batch in self.batches:
            yield from (batch.input_ids, batch.lengths, batch.labels)
        if self.vocabulary is not None:
            yield self.vocabulary

    def clone(self) -> "DeviceUpdate":
        """The same, elsewhere in the device's memory."""
        batches = [
            DeviceBatch(b.input_ids.clone(), b.lengths.clone(), b.labels.clone())
            for b in self.batches
        ]
        vocabulary = None if self.vocabulary is None else self.vocabulary.clone()
        return replace(self, batches=batches, vocabulary=vocabulary)


@dataclass(frozen=True)
class Update:
    """What one update reads.

    `batches` are this process's; `weights` what share of the update's texts each one is, over
    all processes 1 together. `texts` and `tokens` (padding left out) count all processes'.
    For a language model, `pair_weights` are shares likewise, of the pairs of neighbouring tokens,
    and `vocabulary` int64 (U,) is which tokens occur in the batches of all processes, rising; the
    last may be there more than once.
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

    def to(self, device: torch.device) -> DeviceUpdate:
        """Copy the arrays to `device`, without waiting for it where they are pinned."""

        def placed(array: NDArray[np.int64] | NDArray[np.bool_]) -> Tensor:
            return torch.from_numpy(array).to(device, non_blocking=True)

        return DeviceUpdate(
            [DeviceBatch(*map(placed, (b.input_ids, b.lengths, b.labels))) for b in self.batches],
            self.weights,
            self.pair_weights,
            None if self.vocabulary is None else placed(self.vocabulary),
        )


def prefetch_updates(
    texts: TokenizedTexts,
    updates: Sequence[Sequence[NDArray[np.int64]]],
    processes: Processes,
    *,
    for_gpu: bool,
    vocabulary: bool = False,
) -> Iterator[Update]:
    """The updates in their order, each a sequence of rows of batches; made in a thread.

    What is made is a pure function of the arguments, so the thread changes no result. Batches
    `for_gpu` lie where one can fetch them by itself, and have few shapes: texts are padded, and the
    last token of a vocabulary repeated, up to round numbers. With `vocabulary` updates have one.
    """
    steps = STEPS_MULTIPLE if for_gpu else 1

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
            batch = texts.batch(own, multiple=steps)
            batches.append(_pinned_batch(batch) if for_gpu else batch)
        occurring = texts.vocabulary(every) if vocabulary else None
        if occurring is not None and for_gpu:
            missing = -len(occurring) % VOCABULARY_MULTIPLE
            occurring = _pinned(np.pad(occurring, (0, missing), mode="edge"))
        return Update(batches, weights, len(every), tokens, pair_weights, occurring)

    waiting: deque[Future[Update]] = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="batches") as thread:
        for rows_of_batches in updates:
            waiting.append(thread.submit(make, rows_of_batches))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _pinned_batch(batch: Batch) -> Batch:
    return replace(
        batch,
        input_ids=_pinned(batch.input_ids),
        lengths=_pinned(batch.lengths),
        labels=_pinned(batch.labels),
    )


def _pinned(array: NDArray[Any]) -> NDArray[Any]:
    with PINNING:
        pinned: NDArray[Any] = torch.from_numpy(array).pin_memory().numpy()
    return pinned
