"""Many texts, each as it comes, become probabilities; a step of all is computed at once."""

from collections.abc import Hashable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.classifier.recurrent_step import State
from nlp_rnn.classifier.stream import Reader, check_text
from nlp_rnn.classifier.word_buffer import WordBuffer
from nlp_rnn.errors import ClassifierError
from nlp_rnn.tokens.tokenizer import UNKNOWN_ID

__all__ = ["StreamPool"]

Answers = dict[Hashable, NDArray[np.float32]]


class StreamPool:
    """Streams by any key; each begins with its first text. Not to be shared between threads.

    A stream in a pool answers as a `TextStream` does, whatever the others read.
    """

    def __init__(self, reader: Reader) -> None:
        """`TextClassifier.stream_pool` makes one."""
        self._reader = reader
        self._rows: dict[Hashable, int] = {}
        self._words: dict[Hashable, WordBuffer] = {}
        self._free: list[int] = []
        # one row a stream; rows of closed streams are used again
        self._state: State = reader.network.start(0)
        self._last = np.zeros((0, len(reader.labels)), np.float32)  # NaN before the first token

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._rows

    def read(self, texts: Mapping[Hashable, str]) -> Answers:
        """Read more of some streams; probabilities (C,) of those that have read a new token.

        Raises:
            ClassifierError: a text that is no `str`; nothing was read then.
        """
        for text in texts.values():
            check_text(text)
        self._open(texts)
        pieces = {key: self._words[key].add(text) for key, text in texts.items()}
        return self._step(self._encode(pieces))

    def read_tokens(self, tokens: Mapping[Hashable, Sequence[int]]) -> Answers:
        """As `read`, for token ids.

        Raises:
            ClassifierError: a token id that this classifier does not have, or text is waiting
                for the end of its word; nothing was read then.
        """
        ids = {key: self._reader.check_tokens(some) for key, some in tokens.items()}
        for key in ids:
            if key in self._words and self._words[key].pending:
                raise ClassifierError(
                    f"Text of the stream {key!r} is waiting for the end of its word.\n"
                    "A stream of a pool reads either text or tokens."
                )
        self._open(ids)
        return self._step(ids)

    def finish(self, *keys: Hashable) -> Answers:
        """Read the last word of some streams and close them; their last probabilities (C,).

        Raises:
            ClassifierError: there is no such stream; none was closed then.
        """
        rows = self._rows_of(keys)
        ids = self._encode({key: self._words[key].rest() for key in keys})
        for key, row in zip(keys, rows, strict=True):
            if not ids[key] and np.isnan(self._last[row, 0]):
                ids[key] = [UNKNOWN_ID]  # a text without a token, as everywhere
        self._step(ids)
        answers = dict(zip(keys, self._last[rows], strict=True))
        self.drop(*keys)
        return answers

    def drop(self, *keys: Hashable) -> None:
        """Close some streams without an answer.

        Raises:
            ClassifierError: there is no such stream; none was closed then.
        """
        self._rows_of(keys)
        for key in dict.fromkeys(keys):
            self._free.append(self._rows.pop(key))
            del self._words[key]

    def _rows_of(self, keys: Sequence[Hashable]) -> NDArray[np.int64]:
        for key in keys:
            if key not in self._rows:
                raise ClassifierError(f"There is no open stream {key!r} in this pool.")
        return np.array([self._rows[key] for key in keys], dtype=np.int64)

    def _open(self, keys: Mapping[Hashable, object]) -> None:
        """A fresh row for each key that has none."""
        new = [key for key in keys if key not in self._rows]
        if len(self._free) < len(new):
            rows = len(self._last)
            more = max(len(new) - len(self._free), rows)  # at least twice as many
            self._free += range(rows + more - 1, rows - 1, -1)
            fresh = self._reader.network.start(more)
            self._state = {
                name: np.concatenate([array, fresh[name]]) for name, array in self._state.items()
            }
            blank = np.zeros((more, self._last.shape[1]), np.float32)
            self._last = np.concatenate([self._last, blank])
        rows_new = np.array([self._free.pop() for _ in new], dtype=np.int64)
        for name, array in self._reader.network.start(len(new)).items():
            self._state[name][rows_new] = array
        self._last[rows_new] = np.nan
        for key, row in zip(new, rows_new.tolist(), strict=True):
            self._rows[key] = row
            self._words[key] = WordBuffer()

    def _encode(self, pieces: Mapping[Hashable, str]) -> dict[Hashable, list[int]]:
        return dict(zip(pieces, self._reader.encode(list(pieces.values())), strict=True))

    def _step(self, ids: Mapping[Hashable, list[int]]) -> Answers:
        """Read the first token of every stream, then the second of those that have one …"""
        reading = {key: some for key, some in ids.items() if some}
        keys = sorted(reading, key=lambda key: -len(reading[key]))
        rows = np.array([self._rows[key] for key in keys], dtype=np.int64)
        counts = np.array([len(reading[key]) for key in keys])
        for step in range(counts[0] if keys else 0):
            still = rows[: int((counts > step).sum())]
            tokens = np.array([reading[key][step] for key in keys[: len(still)]])
            some = {name: array[still] for name, array in self._state.items()}
            self._last[still] = self._reader.network.read(some, tokens)
            for name, array in some.items():
                self._state[name][still] = array
        return dict(zip(keys, self._last[rows], strict=True))
