"""Streaming prediction for one text that arrives in parts: probabilities after every token."""

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

__all__ = ["StreamContext", "TextStream", "check_text"]

FORMAT = "nlp_rnn.stream"
"""Marks JSON that was written by `TextStream.to_json`."""


@dataclass(frozen=True)
class StreamContext:
    """Network, tokenizer and labels that all streams of one classifier share.

    Attributes
    ----------
    network : StepNetwork
        Network that processes one token at a time.
    tokenizer : tokenizers.Tokenizer
        Tokenizer without truncation.
    labels : list of str
        Names of the C labels.
    checksum : str
        Hash that identifies the classifier; the JSON state of a stream contains it.
    thresholds : float64 array of shape (C,) or None
        Smallest probability at which each label of a multi-label classifier is predicted; None
        for a single-label classifier.
    """

    network: StepNetwork
    tokenizer: Any
    labels: list[str]
    checksum: str
    thresholds: NDArray[np.float64] | None = None

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each text; an empty list for a text without tokens.

        No text may end within a word: the tokens of an incomplete word can still change.
        """
        encodings = self.tokenizer.encode_batch_fast(
            [encodable(text) for text in texts], add_special_tokens=False
        )
        return [encoding.ids for encoding in encodings]

    def check_tokens(self, tokens: "Sequence[int] | NDArray[Any]") -> list[int]:
        """Return the token ids `tokens` as a list, after checking them.

        Raises
        ------
        ClassifierError
            `tokens` is not a list, tuple or array of integers from 0 to the vocabulary size - 1.
        """
        size = self.network.architecture.vocab_size
        listed: Any = tokens.tolist() if isinstance(tokens, np.ndarray) else tokens
        # `type`, because True is an int
        if isinstance(listed, list | tuple) and all(
            type(token) is int and 0 <= token < size for token in listed
        ):
            return list(listed)
        raise ClassifierError(
            f"{_shortened_repr(tokens)} is not a list of token ids. Token ids of this classifier "
            f"are whole numbers from 0 to {size - 1}."
        )


def check_text(text: Any) -> str:
    """Return `text`, after checking that it is a `str`.

    Raises
    ------
    ClassifierError
        `text` is not a `str`.
    """
    if not isinstance(text, str):
        raise ClassifierError(
            f"A stream expects str, not {type(text).__name__} {_shortened_repr(text)}."
        )
    return text


class TextStream:
    """Streaming prediction for one text that arrives in parts; made by `TextClassifier.stream`.

    The state of a unidirectional recurrent network is carried from token to token. A word is
    processed when the white space after it has arrived; `finish` processes the last word. After
    `finish`, tokens and probabilities equal those of `predict_proba` for the same text, except
    that a stream is not truncated at `max_length`. A stream must not be shared between threads;
    `copy` makes an independent one.

    Parameters
    ----------
    context : StreamContext
        Network, tokenizer and labels of the classifier.
    threshold : float, optional
        Probability of any label at which the stream stops early. Only for single-label
        classifiers; not related to the `thresholds` of the context.

    Attributes
    ----------
    num_tokens : int
        Number of tokens processed.
    probabilities : float32 array of shape (C,) or None
        Probabilities of the C labels after the last token; None before the first token.
    decided : str or None
        The first label whose probability reached `threshold`; None until then, and without a
        threshold. Once it is set, further tokens are ignored until `reset`.
    """

    def __init__(self, context: StreamContext, threshold: float | None = None) -> None:
        self._context = context
        self._threshold = threshold
        self.reset()

    def reset(self) -> None:
        """Discard the text, the predictions and the network's state, to start the next text."""
        self._buffer = WordBuffer()
        self._state: State = self._context.network.start(1)
        self.num_tokens = 0
        self.probabilities: NDArray[np.float32] | None = None
        self.decided: str | None = None

    @property
    def label(self) -> Any:
        """Prediction for the tokens so far: a label, or a list of labels if multi-label.

        None before the first token.
        """
        if self.probabilities is None:
            return None
        context = self._context
        return choose_labels(self.probabilities, context.labels, None, None, context.thresholds)

    def read(self, text: str) -> NDArray[np.float32]:
        """Append text, and process the words that are complete now.

        Returns
        -------
        float32 array of shape (k, C)
            Probabilities of the C labels after each of the k tokens that were processed. k is 0 if
            `text` completes no word, or if the stream has stopped at its threshold.

        Raises
        ------
        ClassifierError
            `text` is not a `str`.
        """
        complete = self._buffer.add(check_text(text))
        return self._process(self._context.encode([complete])[0] if complete else [])

    def read_tokens(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Append and process token ids instead of text.

        Returns
        -------
        float32 array of shape (k, C)
            Probabilities of the C labels after each of the k tokens; fewer rows if the stream stops
            at its threshold.

        Raises
        ------
        ClassifierError
            A token id is not in the vocabulary of the classifier, or text was read before whose
            last word is incomplete.
        """
        if self._buffer.pending:
            raise ClassifierError(
                "The last word of this stream is incomplete.\nCall finish() before read_tokens()."
            )
        return self._process(self._context.check_tokens(tokens))

    def finish(self) -> NDArray[np.float32]:
        """Process the last word, at the end of the text.

        A text without any token is processed as one unknown token, as in `predict_proba`.

        Returns
        -------
        float32 array of shape (k, C)
            Probabilities of the C labels after each of the k tokens of the last word.
        """
        (ids,) = self._context.encode([self._buffer.rest()])
        return self._process(ids or ([] if self.num_tokens else [UNKNOWN_ID]))

    def _process(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Process token ids, and return float32 probabilities (k, C) after each of them."""
        network = self._context.network
        if self._threshold is not None:
            return self._process_until_decided(ids)
        if len(ids) == 0:
            return np.empty((0, len(self._context.labels)), np.float32)
        rows = network.read_all(self._state, ids)
        self.num_tokens += len(ids)
        self.probabilities = rows[-1]
        return rows

    def _process_until_decided(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Process token ids one by one until the probability of a label reaches the threshold."""
        rows = [np.empty((0, len(self._context.labels)), np.float32)]
        for token in ids:
            if self.decided is not None:
                break
            rows.append(self._context.network.read_all(self._state, [token]))
            self.num_tokens += 1
            self.probabilities = rows[-1][0]
            if self.probabilities.max() >= self._threshold:
                self.decided = self.label
        return np.concatenate(rows)

    def copy(self) -> "TextStream":
        """Return an independent stream with a copy of the text, predictions and network state."""
        other = TextStream(self._context, self._threshold)
        other._buffer = WordBuffer(self._buffer.pending)
        other._state = {name: array.copy() for name, array in self._state.items()}
        other.num_tokens, other.decided = self.num_tokens, self.decided
        other.probabilities = self.probabilities
        return other

    def to_json(self) -> str:
        """Return the state as JSON, with which `TextClassifier.stream(state=…)` continues.

        The other stream may be in another process, but must have the same classifier. Of the text,
        the JSON contains only the incomplete last word. The threshold is not part of it.
        """
        return json.dumps(
            {
                "format": FORMAT,
                "classifier": self._context.checksum,
                "pending": self._buffer.pending,
                "num_tokens": self.num_tokens,
                "decided": self.decided,
                "probabilities": None
                if self.probabilities is None
                else [float(probability) for probability in self.probabilities],
                "state": {name: _to_base64(array) for name, array in self._state.items()},
            }
        )

    def restore(self, state: str) -> None:
        """Continue from a `state` that `to_json` returned.

        Raises
        ------
        ClassifierError
            `state` is not JSON from `to_json`, or comes from a stream of another classifier.
        """
        fresh = self._context.network.start(1)
        try:
            saved = json.loads(state)
            if saved["format"] != FORMAT:
                raise ValueError("unknown format")
            if saved["classifier"] != self._context.checksum:
                raise ClassifierError(
                    "This state comes from a stream of another classifier.\nStart a new stream."
                )
            if saved["state"].keys() != fresh.keys():
                raise ValueError("different arrays")
            arrays = {name: _from_base64(saved["state"][name], fresh[name]) for name in fresh}
            buffer = WordBuffer(check_text(saved["pending"]))
            count, decided, probabilities = (
                saved[key] for key in ("num_tokens", "decided", "probabilities")
            )
            if type(count) is not int or count < 0 or (count == 0) != (probabilities is None):
                raise ValueError("wrong number of tokens")
            if decided is not None and decided not in self._context.labels:
                raise ValueError("unknown label")
            row = None if probabilities is None else np.array(probabilities, np.float32)
            if row is not None and row.shape != (len(self._context.labels),):
                raise ValueError("wrong number of probabilities")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ClassifierError(
                f"This is not the state of a stream ({error}).\nPass the result of to_json()."
            ) from error
        self._state, self._buffer, self.probabilities = arrays, buffer, row
        self.num_tokens, self.decided = count, decided


def _to_base64(array: NDArray[Any]) -> str:
    """Return the little-endian bytes of an array as base64 text."""
    return base64.b64encode(array.astype(array.dtype.newbyteorder("<")).tobytes()).decode()


def _from_base64(text: str, like: NDArray[Any]) -> NDArray[Any]:
    """Return the array that `_to_base64` encoded, with the shape and data type of `like`.

    Raises
    ------
    ValueError
        The text has another number of bytes, or a value is NaN.
    """
    data = base64.b64decode(text, validate=True)
    if len(data) != like.nbytes:
        raise ValueError("wrong size")
    array = np.frombuffer(data, like.dtype.newbyteorder("<")).reshape(like.shape)
    if np.isnan(array).any():
        raise ValueError("not a number")
    return array.astype(like.dtype)


def _shortened_repr(value: object) -> str:
    """Return the `repr` of a value for a message, cut after 40 characters."""
    text = repr(value)
    return text if len(text) <= 40 else text[:40] + "…"
