"""Padded batches of tokenized texts, bucketed by length, in a seeded order.

A batch costs as much as its longest text, so texts of similar length share a batch. The order is a
function of seed and epoch alone, so that an interrupted run can be resumed.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.data.labels import label_array
from nlp_rnn.sources.arrow_cache import RELEASE_AFTER, mapped_files, release_pages
from nlp_rnn.tokens.tokenizer import PAD_ID

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["Batch", "TokenizedTexts", "epoch_order", "length_order", "split_by_tokens"]

# Batches that are sorted together: many enough to pad little, few enough to stay shuffled.
BATCHES_PER_BUCKET = 50

# Texts are scattered over the file, and for each of them the system reads 64 KiB around it.
_RELEASE_AFTER_TEXTS = RELEASE_AFTER >> 16


@dataclass(frozen=True)
class Batch:
    """B texts, padded to the longest of them.

    Attributes
    ----------
    input_ids : int64 array of shape (B, T)
        Token ids, followed by `PAD_ID`.
    lengths : int64 array of shape (B,)
        Tokens without padding, 1 to T.
    labels : int64 array of shape (B,), or bool array of shape (B, C) for multi-label data
        Label ids, or whether a text has each of C labels. With soft targets: the probabilities of
        the labels, float32 (B, C).
    rows : int64 array of shape (B,)
        Indices in the `TokenizedTexts`.
    """

    input_ids: NDArray[np.int64]
    lengths: NDArray[np.int64]
    labels: NDArray[np.int64] | NDArray[np.bool_] | NDArray[np.float32]
    rows: NDArray[np.int64]

    @property
    def num_tokens(self) -> int:
        """Number of tokens without padding."""
        return int(self.lengths.sum())


class TokenizedTexts:
    """The token ids of a split, read in place from a memory-mapped Arrow table.

    Only 28 bytes per text are copied into memory (20 + C for multi-label data).

    Parameters
    ----------
    dataset : Dataset
        A list column `input_ids` (int32), and a column `label`: int64, or lists of C booleans.

    Attributes
    ----------
    lengths : int64 array of shape (n,)
        Tokens of each text.
    labels : int64 array of shape (n,), or bool array of shape (n, C)
        Label ids, or whether a text has each of C labels.
    targets : float32 array of shape (n, C), or None
        Soft targets: probabilities of the labels, which replace the labels in every batch.
    """

    def __init__(self, dataset: "Dataset") -> None:
        self._files = mapped_files(dataset) if dataset.data.nbytes > RELEASE_AFTER else frozenset()
        self._num_read = 0
        chunks = dataset.data.column("input_ids").chunks
        self._values: list[NDArray[np.int32]] = []
        starts, lengths, chunk_of_row = [], [], []
        for number, chunk in enumerate(chunks):
            offsets = chunk.offsets.to_numpy().astype(np.int64)
            # `values`, unlike `flatten()`, keeps the positions that the offsets count from
            self._values.append(chunk.values.to_numpy(zero_copy_only=True))
            starts.append(offsets[:-1])
            lengths.append(np.diff(offsets))
            chunk_of_row.append(np.full(len(chunk), number, dtype=np.int32))
        self._starts = np.concatenate(starts)
        self._chunk = np.concatenate(chunk_of_row)
        self.lengths: NDArray[np.int64] = np.concatenate(lengths)
        self.labels: NDArray[np.int64] | NDArray[np.bool_] = label_array(
            dataset.data.column("label")
        )
        self.targets: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.lengths)

    def with_targets(
        self, labels: NDArray[np.int64] | NDArray[np.bool_], targets: NDArray[np.float32]
    ) -> "TokenizedTexts":
        """Return the same texts with other labels, and with soft targets for their batches."""
        texts = copy.copy(self)
        texts.labels, texts.targets = labels, targets
        return texts

    def token_counts(self, vocab_size: int) -> NDArray[np.int64]:
        """Count the occurrences of each token id, int64 (`vocab_size`,)."""
        counts = np.zeros(vocab_size, np.int64)
        for values in self._values:
            counts += np.bincount(values, minlength=vocab_size)
        return counts

    def batch(self, rows: NDArray[np.int64], multiple: int = 1) -> Batch:
        """Return the texts at `rows`, padded to the longest one, rounded up to a `multiple`."""
        lengths = self.lengths[rows]
        steps = -(-int(lengths.max()) // multiple) * multiple
        input_ids = np.full((len(rows), steps), PAD_ID, dtype=np.int64)
        for i, row in enumerate(rows):
            start, length = self._starts[row], lengths[i]
            input_ids[i, :length] = self._values[self._chunk[row]][start : start + length]
        self._count_read(len(rows))
        labels = self.labels if self.targets is None else self.targets
        return Batch(input_ids, lengths, labels[rows], rows)

    def vocabulary(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the distinct token ids of the texts at `rows`, int64 (U,), ascending."""
        starts, lengths = self._starts[rows], self.lengths[rows]
        texts = [
            self._values[chunk][start : start + length]
            for chunk, start, length in zip(self._chunk[rows], starts, lengths, strict=True)
        ]
        self._count_read(len(rows))
        return np.unique(np.concatenate(texts)).astype(np.int64)

    def _count_read(self, rows: int) -> None:
        """Count `rows` texts as read; after many of them, release the pages of the file."""
        self._num_read += rows
        if self._files and self._num_read >= _RELEASE_AFTER_TEXTS:
            release_pages(self._files)
            self._num_read = 0

    def batches(self, order: Sequence[NDArray[np.int64]]) -> Iterator[Batch]:
        """Yield the batch of each array of rows in `order`."""
        for rows in order:
            yield self.batch(rows)


def epoch_order(
    lengths: NDArray[np.int64], batch_size: int, seed: int, epoch: int
) -> list[NDArray[np.int64]]:
    """Return the rows of each training batch of one epoch.

    Rows are shuffled and divided into buckets of `BATCHES_PER_BUCKET` batches. Each bucket is
    sorted by length and divided into batches. Finally the batches are shuffled.

    Parameters
    ----------
    lengths : int64 array of shape (n,)
        Tokens of each text.
    batch_size : int
        Texts per batch.
    seed, epoch : int
        The order is a function of both.

    Returns
    -------
    list of int64 arrays
        Every row once; only the last batch of the last bucket may be smaller than `batch_size`.
    """
    generator = np.random.default_rng([seed, epoch])
    rows = generator.permutation(len(lengths))
    size = batch_size * BATCHES_PER_BUCKET
    batches = [
        batch
        for start in range(0, len(rows), size)
        for batch in _cut(_sort(rows[start : start + size], lengths), batch_size)
    ]
    return [batches[i] for i in generator.permutation(len(batches))]


def length_order(lengths: NDArray[np.int64], batch_size: int) -> list[NDArray[np.int64]]:
    """Return the rows of each batch for inference: every row once, the longest texts first.

    The longest texts come first so that a batch that is too large fails at once.
    """
    rows = np.arange(len(lengths))
    return _cut(_sort(rows, lengths)[::-1].copy(), batch_size)


def split_by_tokens(
    rows: NDArray[np.int64], lengths: NDArray[np.int64], parts: int
) -> list[NDArray[np.int64]]:
    """Divide the `rows` of a batch into `parts` shares with similar numbers of tokens.

    Rows are sorted by length. A share may be empty, because a text is never divided.

    Parameters
    ----------
    rows : int64 array of shape (B,)
        The rows of the batch.
    lengths : int64 array of shape (n,)
        Tokens of all texts.
    parts : int
        Number of shares.

    Returns
    -------
    list of int64 arrays
        The shares; together they have every row once.
    """
    rows = _sort(rows, lengths)
    ends = np.cumsum(lengths[rows])
    # a text belongs to the share that contains the middle of its tokens
    middles = ends - lengths[rows] / 2
    bounds = np.searchsorted(middles, ends[-1] * np.arange(1, parts) / parts)
    return np.split(rows, bounds)


def _sort(rows: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    return rows[np.argsort(lengths[rows], kind="stable")]


def _cut(rows: NDArray[np.int64], size: int) -> list[NDArray[np.int64]]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]
