"""Prefetching: a thread prepares the batches of the next updates while the current one runs."""

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

# Number of updates that are prepared ahead of the current one.
AHEAD = 2

PINNING = Lock()
"""Held while memory is pinned, which must not happen while a CUDA graph is captured."""

# On a GPU, updates of equal shape share one CUDA graph, so there should be few shapes.
STEPS_MULTIPLE, VOCABULARY_MULTIPLE = 16, 1024


@dataclass(frozen=True)
class DeviceBatch:
    """Tensors of a `Batch` on the device, with the same names; `rows` is left out."""

    input_ids: Tensor
    lengths: Tensor
    labels: Tensor


@dataclass(frozen=True)
class DeviceUpdate:
    """An `Update` on the device, with the same attributes except `texts` and `tokens`."""

    batches: list[DeviceBatch]
    weights: list[float]
    pair_weights: list[float]
    vocabulary: Tensor | None

    def tensors(self) -> Iterator[Tensor]:
        """Yield all tensors on the device."""
        for batch in self.batches:
            yield from (batch.input_ids, batch.lengths, batch.labels)
        if self.vocabulary is not None:
            yield self.vocabulary

    def clone(self) -> "DeviceUpdate":
        """Return a copy that shares no tensor with this update."""
        batches = [
            DeviceBatch(b.input_ids.clone(), b.lengths.clone(), b.labels.clone())
            for b in self.batches
        ]
        vocabulary = None if self.vocabulary is None else self.vocabulary.clone()
        return replace(self, batches=batches, vocabulary=vocabulary)


@dataclass(frozen=True)
class Update:
    """The batches of one update on the CPU.

    Attributes
    ----------
    batches : list of Batch
        The batches of this process.
    weights : list of float
        Fraction of the update's texts that each batch contains. Over all processes these fractions
        add up to 1.
    texts, tokens : int
        Texts, and tokens without padding, of all processes.
    pair_weights : list of float
        Fraction of the update's pairs of neighbouring tokens that each batch contains, for the
        auxiliary language model.
    vocabulary : ndarray or None
        Sorted token ids, int64 (U,), that occur in the batches of all processes. The last one may
        be repeated.
    """

    batches: list[Batch]
    weights: list[float]
    texts: int
    tokens: int
    pair_weights: list[float]
    vocabulary: NDArray[np.int64] | None = None

    @classmethod
    def alone(cls, batch: Batch) -> "Update":
        """Return an update of one batch in a single process."""
        return cls([batch], [1.0], len(batch.rows), batch.num_tokens, [1.0])

    def to(self, device: torch.device) -> DeviceUpdate:
        """Copy the arrays to a device; pinned arrays are copied without waiting for it."""

        def moved(array: NDArray[Any]) -> Tensor:
            return torch.from_numpy(array).to(device, non_blocking=True)

        return DeviceUpdate(
            [DeviceBatch(*map(moved, (b.input_ids, b.lengths, b.labels))) for b in self.batches],
            self.weights,
            self.pair_weights,
            None if self.vocabulary is None else moved(self.vocabulary),
        )


def prefetch_updates(
    texts: TokenizedTexts,
    updates: Sequence[Sequence[NDArray[np.int64]]],
    processes: Processes,
    *,
    for_gpu: bool,
    vocabulary: bool = False,
) -> Iterator[Update]:
    """Yield the updates in their order, prepared by a thread.

    The prepared batches are a pure function of the arguments, so the thread changes no result.

    Parameters
    ----------
    texts : TokenizedTexts
        The training split.
    updates : sequence
        For each update, the rows int64 (B,) of each of its batches.
    processes : Processes
        This process among all that train together. Every batch is divided among them.
    for_gpu : bool
        Whether to pin the memory of the batches and to limit the number of shapes: the texts are
        padded, and the last token of the vocabulary is repeated, up to round numbers.
    vocabulary : bool
        Whether the updates need their vocabulary.
    """
    steps = STEPS_MULTIPLE if for_gpu else 1

    def make(rows_of_batches: Sequence[NDArray[np.int64]]) -> Update:
        all_rows = np.concatenate(rows_of_batches)
        tokens = int(texts.lengths[all_rows].sum())
        batches, weights, pair_weights = [], [], []
        for rows in rows_of_batches:
            share = rows
            if processes.count > 1:
                share = split_by_tokens(rows, texts.lengths, processes.count)[processes.rank]
            weights.append(len(share) / len(all_rows))
            pairs = int(texts.lengths[share].sum()) - len(share)
            pair_weights.append(pairs / max(1, tokens - len(all_rows)))
            if not len(share):
                # every process takes part in the exchange of gradients: this text has the weight 0
                share = rows[np.argmin(texts.lengths[rows])][None]
            batch = texts.batch(share, multiple=steps)
            batches.append(_pinned_batch(batch) if for_gpu else batch)
        occurring = texts.vocabulary(all_rows) if vocabulary else None
        if occurring is not None and for_gpu:
            missing = -len(occurring) % VOCABULARY_MULTIPLE
            occurring = _pinned(np.pad(occurring, (0, missing), mode="edge"))
        return Update(batches, weights, len(all_rows), tokens, pair_weights, occurring)

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
