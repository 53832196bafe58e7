"""Tokenized texts become padded batches, bucketed by length, in a seeded order.

Padding a batch costs as much as its longest text, so texts of like length go together. The
order is a pure function of seed and epoch: a run that was stopped finds its place again.
"""

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

# Texts sorted together, in batches: large enough to pad little, small enough to stay shuffled.
BATCHES_PER_BUCKET = 50

# Texts lie anywhere in the file, and of each the system brings its surroundings, 64 KiB.
_RELEASE_AFTER_TEXTS = RELEASE_AFTER >> 16


@dataclass(frozen=True)
class Batch:
    """B texts padded to the longest of them.

    `input_ids` int64 (B, T), `PAD_ID` after each text; `lengths` int64 (B,), each in 1..T;
    `labels` int64 (B,), or bool (B, C) of texts with any number of labels; `rows` int64 (B,),
    positions in the `TokenizedTexts`.
    """

    input_ids: NDArray[np.int64]
    lengths: NDArray[np.int64]
    labels: NDArray[np.int64] | NDArray[np.bool_]
    rows: NDArray[np.int64]

    @property
    def num_tokens(self) -> int:
        """Tokens without padding."""
        return int(self.lengths.sum())


class TokenizedTexts:
    """One split's token ids, read in place from a memory-mapped Arrow table.

    The table has a list column `input_ids` and a column `label`, int64 or lists of C booleans.
    Nothing is copied but 28 bytes a text, or 20 + C.

    Attributes:
        lengths: int64 (n,), tokens.
        labels: int64 (n,), or bool (n, C).
    """

    def __init__(self, dataset: "Dataset") -> None:
        self._files = mapped_files(dataset) if dataset.data.nbytes > RELEASE_AFTER else frozenset()
        self._read = 0
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

    def __len__(self) -> int:
        return len(self.lengths)

    def token_counts(self, vocab_size: int) -> NDArray[np.int64]:
        """How often each token id occurs, int64 (`vocab_size`,)."""
        counts = np.zeros(vocab_size, np.int64)
        for values in self._values:
            counts += np.bincount(values, minlength=vocab_size)
        return counts

    def batch(self, rows: NDArray[np.int64], multiple: int = 1) -> Batch:
        """The texts at `rows`, padded to the longest of them, or on to a `multiple` of tokens."""
        lengths = self.lengths[rows]
        steps = -(-int(lengths.max()) // multiple) * multiple
        input_ids = np.full((len(rows), steps), PAD_ID, dtype=np.int64)
        for i, row in enumerate(rows):
            start, length = self._starts[row], lengths[i]
            input_ids[i, :length] = self._values[self._chunk[row]][start : start + length]
        self._forget(len(rows))
        return Batch(input_ids, lengths, self.labels[rows], rows)

    def vocabulary(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Which tokens occur in the texts at `rows`, int64 (U,), rising."""
        starts, lengths = self._starts[rows], self.lengths[rows]
        texts = [
            self._values[chunk][start : start + length]
            for chunk, start, length in zip(self._chunk[rows], starts, lengths, strict=True)
        ]
        self._forget(len(rows))
        return np.unique(np.concatenate(texts)).astype(np.int64)

    def _forget(self, rows: int) -> None:
        """Count so many texts as read; after many, let the system have their pages back."""
        self._read += rows
        if self._files and self._read >= _RELEASE_AFTER_TEXTS:
            release_pages(self._files)
            self._read = 0

    def batches(self, order: Sequence[NDArray[np.int64]]) -> Iterator[Batch]:
        """The batches of an order, one after the other."""
        for rows in order:
            yield self.batch(rows)


def epoch_order(
    lengths: NDArray[np.int64], batch_size: int, seed: int, epoch: int
) -> list[NDArray[np.int64]]:
    """Rows of each training batch of one epoch: every row once, like lengths together.

    Rows are shuffled, cut into buckets of `BATCHES_PER_BUCKET` batches, sorted by length within
    a bucket and cut into batches, which are shuffled in turn.
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
    """Rows of each batch for answering: every row once, sorted by length, longest first.

    The longest first, so that too large a batch fails at once.
    """
    rows = np.arange(len(lengths))
    return _cut(_sort(rows, lengths)[::-1].copy(), batch_size)


def split_by_tokens(
    rows: NDArray[np.int64], lengths: NDArray[np.int64], parts: int
) -> list[NDArray[np.int64]]:
    """A batch's `rows` in `parts` shares of about equally many tokens, like lengths together.

    A share may be empty: one text cannot be cut. Together the shares are the batch.
    """
    rows = _sort(rows, lengths)
    ends = np.cumsum(lengths[rows])
    # a text belongs to the share that the middle of its tokens falls into
    middles = ends - lengths[rows] / 2
    bounds = np.searchsorted(middles, ends[-1] * np.arange(1, parts) / parts)
    return np.split(rows, bounds)


def _sort(rows: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    return rows[np.argsort(lengths[rows], kind="stable")]


def _cut(rows: NDArray[np.int64], size: int) -> list[NDArray[np.int64]]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]
