"""Pool of streams, in which one step of all streams is computed at once."""

from collections.abc import Hashable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.classifier.recurrent_step import State
from nlp_rnn.classifier.stream_context import StreamContext, check_text
from nlp_rnn.classifier.word_buffer import WordBuffer
from nlp_rnn.errors import ClassifierError
from nlp_rnn.ngrams.ngram_stream import NgramStream
from nlp_rnn.tokens.tokenizer import UNKNOWN_ID

__all__ = ["StreamPool"]

Probabilities = dict[Hashable, NDArray[np.float32]]

Read = tuple[list[int], NDArray[np.float32]]
"""Token ids, and n-gram scores (T, C) after each of them, (T, 0) without n-gram models."""


def _none(ids: list[int]) -> NDArray[np.float32]:
    return np.empty((len(ids), 0), np.float32)


class StreamPool:
    """Streams by key, each opened by its first text; made by `TextClassifier.stream_pool`.

    The probabilities of a stream are those of a `TextStream`, whatever the other streams contain.
    A pool must not be shared between threads.
    """

    def __init__(self, context: StreamContext) -> None:
        self._context = context
        self._rows: dict[Hashable, int] = {}
        self._buffers: dict[Hashable, WordBuffer] = {}
        self._ngrams: dict[Hashable, NgramStream | None] = {}
        self._free: list[int] = []
        # one row for each stream; rows of closed streams are reused
        self._state: State = context.network.start(0)
        self._last = np.zeros((0, len(context.labels)), np.float32)  # NaN before the first token
        self._logits = np.zeros((0, len(context.labels)), np.float32)  # of the network

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._rows

    def read(self, texts: Mapping[Hashable, str]) -> Probabilities:
        """Append text to some streams, and return probabilities (C,) of those with a new token.

        Raises
        ------
        ClassifierError
            A text is not a `str`. In this case no stream is changed.
        """
        for text in texts.values():
            check_text(text)
        self._open(texts)
        complete = {key: self._buffers[key].add(text) for key, text in texts.items()}
        return self._step(self._encode(complete))

    def read_tokens(self, tokens: Mapping[Hashable, Sequence[int]]) -> Probabilities:
        """Append token ids to some streams, and return probabilities (C,) of those with a new one.

        Raises
        ------
        ClassifierError
            A token id is not one of this classifier, the last word of a stream is incomplete, or
            n-gram models need the text. In this case no stream is changed.
        """
        self._context.check_without_ngrams()
        ids = {key: self._context.check_tokens(ids) for key, ids in tokens.items()}
        for key in ids:
            if key in self._buffers and self._buffers[key].pending:
                raise ClassifierError(
                    f"The last word of the stream {key!r} is incomplete.\n"
                    "A stream of a pool accepts either text or tokens, not both."
                )
        self._open(ids)
        return self._step({key: (of_key, _none(of_key)) for key, of_key in ids.items()})

    def finish(self, *keys: Hashable) -> Probabilities:
        """Process the last word of some streams, close them, and return their probabilities (C,).

        Raises
        ------
        ClassifierError
            There is no stream with one of the keys. In this case no stream is closed.
        """
        rows = self._rows_of(keys)
        read = self._encode({key: self._buffers[key].rest() for key in keys})
        for key, row in zip(keys, rows, strict=True):
            if read[key][0]:
                continue
            counts = self._ngrams[key]
            scores = np.empty((1, 0), np.float32) if counts is None else counts.scores()[None]
            if np.isnan(self._last[row, 0]):
                read[key] = [UNKNOWN_ID], scores  # a text without any token
            elif counts is not None:  # n-grams without any token
                logits = self._logits[row : row + 1]
                self._last[row] = self._context.probabilities(logits, scores)[0]
        self._step(read)
        probabilities = dict(zip(keys, self._last[rows], strict=True))
        self.drop(*keys)
        return probabilities

    def drop(self, *keys: Hashable) -> None:
        """Close some streams without a prediction.

        Raises
        ------
        ClassifierError
            There is no stream with one of the keys. In this case no stream is closed.
        """
        self._rows_of(keys)
        for key in dict.fromkeys(keys):
            self._free.append(self._rows.pop(key))
            del self._buffers[key], self._ngrams[key]

    def _rows_of(self, keys: Sequence[Hashable]) -> NDArray[np.int64]:
        for key in keys:
            if key not in self._rows:
                raise ClassifierError(f"There is no open stream {key!r} in this pool.")
        return np.array([self._rows[key] for key in keys], dtype=np.int64)

    def _open(self, keys: Mapping[Hashable, object]) -> None:
        """Assign a row of the state to each new key."""
        new = [key for key in keys if key not in self._rows]
        if len(self._free) < len(new):
            rows = len(self._last)
            more = max(len(new) - len(self._free), rows)  # at least twice as many
            self._free += range(rows + more - 1, rows - 1, -1)
            fresh = self._context.network.start(more)
            self._state = {
                name: np.concatenate([array, fresh[name]]) for name, array in self._state.items()
            }
            blank = np.zeros((more, self._last.shape[1]), np.float32)
            self._last = np.concatenate([self._last, blank])
            self._logits = np.concatenate([self._logits, blank])
        rows_new = np.array([self._free.pop() for _ in new], dtype=np.int64)
        for name, array in self._context.network.start(len(new)).items():
            self._state[name][rows_new] = array
        self._last[rows_new] = np.nan
        for key, row in zip(new, rows_new.tolist(), strict=True):
            self._rows[key] = row
            self._buffers[key], self._ngrams[key] = WordBuffer(), self._context.start_ngrams()

    def _encode(self, complete: Mapping[Hashable, str]) -> dict[Hashable, Read]:
        counts = [self._ngrams[key] for key in complete]
        continued = [not np.isnan(self._last[self._rows[key], 0]) for key in complete]
        read = self._context.encode(list(complete.values()), counts, continued)
        return dict(zip(complete, read, strict=True))

    def _step(self, read: Mapping[Hashable, Read]) -> Probabilities:
        """Process the first token of every stream, then the second of those that have one, …"""
        active = {key: tokens for key, (tokens, _) in read.items() if tokens}
        keys = sorted(active, key=lambda key: -len(active[key]))
        rows = np.array([self._rows[key] for key in keys], dtype=np.int64)
        counts = np.array([len(active[key]) for key in keys])
        for step in range(counts[0] if keys else 0):
            running = rows[: int((counts > step).sum())]
            tokens = np.array([active[key][step] for key in keys[: len(running)]])
            state = {name: array[running] for name, array in self._state.items()}
            scores = np.stack([read[key][1][step] for key in keys[: len(running)]])
            self._logits[running] = self._context.network.read(state, tokens)
            self._last[running] = self._context.probabilities(self._logits[running], scores)
            for name, array in state.items():
                self._state[name][running] = array
        return dict(zip(keys, self._last[rows], strict=True))
