"""Text or tokens as they come become probabilities after every token."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.classifier.label_choice import choose_labels
from nlp_rnn.classifier.recurrent_step import State, StepNetwork
from nlp_rnn.classifier.word_buffer import WordBuffer
from nlp_rnn.errors import ClassifierError
from nlp_rnn.tokens.tokenizer import UNKNOWN_ID, encodable

__all__ = ["Reader", "TextStream", "check_text"]

FORMAT = "nlp_rnn.stream"


@dataclass(frozen=True)
class Reader:
    """What streams of one classifier share; `tokenizer` cuts nothing."""

    network: StepNetwork
    tokenizer: Any
    labels: list[str]
    checksum: str
    thresholds: NDArray[np.float64] | None = None

    def encode(self, pieces: Sequence[str]) -> list[list[int]]:
        """Token ids of each piece of whole words; none for an empty one."""
        encodings = self.tokenizer.encode_batch_fast(
            [encodable(piece) for piece in pieces], add_special_tokens=False
        )
        return [encoding.ids for encoding in encodings]

    def check_tokens(self, tokens: "Sequence[int] | NDArray[Any]") -> list[int]:
        """`tokens` as a list, each one that the network knows.

        Raises:
            ClassifierError: a token that is no id of this classifier's tokenizer.
        """
        size = self.network.architecture.vocab_size
        listed: Any = tokens.tolist() if isinstance(tokens, np.ndarray) else tokens
        # `type`, because True is an int
        if isinstance(listed, list | tuple) and all(
            type(token) is int and 0 <= token < size for token in listed
        ):
            return list(listed)
        raise ClassifierError(
            f"{_shortened(tokens)} is no list of token ids; this classifier's are whole "
            f"numbers from 0 to {size - 1}."
        )


def check_text(text: Any) -> str:
    """`text` if it is a `str`.

    Raises:
        ClassifierError: it is not.
    """
    if not isinstance(text, str):
        raise ClassifierError(f"A stream reads str, not {type(text).__name__} {_shortened(text)}.")
    return text


class TextStream:
    """One text that is read as it comes. Not to be shared between threads; copies are its own.

    A word is read when the white space after it has come; `finish` reads the last one. What was
    read has the tokens, and so the probabilities, that `predict_proba` would give it, except that
    a stream is not cut at `max_length`.

    Attributes:
        num_tokens: tokens read.
        probabilities: float32 (C,) after the last of them; None before the first.
        decided: with a threshold, the label that first was as probable, else None. From then on
            nothing more is read until `reset`.
    """

    def __init__(self, reader: Reader, threshold: float | None = None) -> None:
        """`TextClassifier.stream` makes one."""
        self._reader = reader
        self._threshold = threshold
        self.reset()

    def reset(self) -> None:
        """Forget everything, for the next text."""
        self._words = WordBuffer()
        self._state: State = self._reader.network.start(1)
        self.num_tokens = 0
        self.probabilities: NDArray[np.float32] | None = None
        self.decided: str | None = None

    @property
    def label(self) -> Any:
        """What `predict` would answer to what was read; None before the first token."""
        if self.probabilities is None:
            return None
        reader = self._reader
        return choose_labels(self.probabilities, reader.labels, None, None, reader.thresholds)

    def read(self, text: str) -> NDArray[np.float32]:
        """Probabilities (k, C) after each of the k tokens that `text` completed, often 0 or 1.

        Raises:
            ClassifierError: `text` is no `str`.
        """
        piece = self._words.add(check_text(text))
        return self._read(self._reader.encode([piece])[0] if piece else [])

    def read_tokens(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Probabilities (k, C) after each of k token ids.

        Raises:
            ClassifierError: a token id that this classifier does not have; text is waiting for
                the end of its word.
        """
        if self._words.pending:
            raise ClassifierError(
                "Text is waiting for the end of its word.\nCall finish() before read_tokens()."
            )
        return self._read(self._reader.check_tokens(tokens))

    def finish(self) -> NDArray[np.float32]:
        """Read the last word; a text without a token is answered as `predict_proba` does."""
        (ids,) = self._reader.encode([self._words.rest()])
        return self._read(ids or ([] if self.num_tokens else [UNKNOWN_ID]))

    def _read(self, ids: Sequence[int]) -> NDArray[np.float32]:
        network = self._reader.network
        if self._threshold is not None:
            return self._read_until_certain(ids)
        if len(ids) == 0:
            return np.empty((0, len(self._reader.labels)), np.float32)
        rows = network.read_all(self._state, ids)
        self.num_tokens += len(ids)
        self.probabilities = rows[-1]
        return rows

    def _read_until_certain(self, ids: Sequence[int]) -> NDArray[np.float32]:
        rows = [np.empty((0, len(self._reader.labels)), np.float32)]
        for token in ids:
            if self.decided is not None:
                break
            rows.append(self._reader.network.read_all(self._state, [token]))
            self.num_tokens += 1
            self.probabilities = rows[-1][0]
            if self.probabilities.max() >= self._threshold:
                self.decided = self.label
        return np.concatenate(rows)

    def copy(self) -> "TextStream":
        """A stream that has read the same and goes on by itself."""
        other = TextStream(self._reader, self._threshold)
        other._words = WordBuffer(self._words.pending)
        other._state = {name: array.copy() for name, array in self._state.items()}
        other.num_tokens, other.decided = self.num_tokens, self.decided
        other.probabilities = self.probabilities
        return other

    def to_json(self) -> str:
        """Everything read so far as JSON, for `TextClassifier.stream(state=…)` anywhere.

        It holds the word that has not ended, and no other text.
        """
        return json.dumps(
            {
                "format": FORMAT,
                "classifier": self._reader.checksum,
                "pending": self._words.pending,
                "num_tokens": self.num_tokens,
                "decided": self.decided,
                "probabilities": None
                if self.probabilities is None
                else [float(share) for share in self.probabilities],
                "state": {name: _packed(array) for name, array in self._state.items()},
            }
        )

    def restore(self, state: str) -> None:
        """Go on where the stream that gave `state` by `to_json` was.

        Raises:
            ClassifierError: `state` is not that of a stream of this classifier.
        """
        fresh = self._reader.network.start(1)
        try:
            saved = json.loads(state)
            if saved["format"] != FORMAT:
                raise ValueError("another format")
            if saved["classifier"] != self._reader.checksum:
                raise ClassifierError("This stream was read by another classifier; begin anew.")
            if saved["state"].keys() != fresh.keys():
                raise ValueError("other parts")
            arrays = {name: _unpacked(saved["state"][name], fresh[name]) for name in fresh}
            words = WordBuffer(check_text(saved["pending"]))
            count, decided, shares = (
                saved[key] for key in ("num_tokens", "decided", "probabilities")
            )
            if type(count) is not int or count < 0 or (count == 0) != (shares is None):
                raise ValueError("no count of tokens")
            if decided is not None and decided not in self._reader.labels:
                raise ValueError("no label")
            row = None if shares is None else np.array(shares, np.float32)
            if row is not None and row.shape != (len(self._reader.labels),):
                raise ValueError("other probabilities")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ClassifierError(
                f"This is not the state of a stream ({error}).\nGive what to_json() returned."
            ) from error
        self._state, self._words, self.probabilities = arrays, words, row
        self.num_tokens, self.decided = count, decided


def _packed(array: NDArray[Any]) -> str:
    return base64.b64encode(array.astype(array.dtype.newbyteorder("<")).tobytes()).decode()


def _unpacked(text: str, like: NDArray[Any]) -> NDArray[Any]:
    data = base64.b64decode(text, validate=True)
    if len(data) != like.nbytes:
        raise ValueError("other sizes")
    array = np.frombuffer(data, like.dtype.newbyteorder("<")).reshape(like.shape)
    if np.isnan(array).any():
        raise ValueError("not a number")
    return array.astype(like.dtype)


def _shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:40] + "…"
