"""Streaming prediction for one text that arrives in parts: probabilities after every token."""

import base64
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.classifier.label_choice import choose_labels
from nlp_rnn.classifier.recurrent_step import State
from nlp_rnn.classifier.stream_context import StreamContext, check_text
from nlp_rnn.classifier.word_buffer import WordBuffer
from nlp_rnn.errors import ClassifierError
from nlp_rnn.tokens.tokenizer import UNKNOWN_ID

__all__ = ["TextStream"]

FORMAT = "nlp_rnn.stream"
"""Marks JSON that was written by `TextStream.to_json`."""


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
        self._ngrams = self._context.start_ngrams()
        self._logits: NDArray[np.float32] | None = None
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
        return self._process(*self._encode(complete))

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
            A token id is not in the vocabulary of the classifier, text was read before whose last
            word is incomplete, or n-gram models need the text.
        """
        self._context.check_without_ngrams()
        if self._buffer.pending:
            raise ClassifierError(
                "The last word of this stream is incomplete.\nCall finish() before read_tokens()."
            )
        ids = self._context.check_tokens(tokens)
        return self._process(ids, np.empty((len(ids), 0), np.float32))

    def finish(self) -> NDArray[np.float32]:
        """Process the last word, at the end of the text.

        A text without any token is processed as one unknown token, as in `predict_proba`.

        Returns
        -------
        float32 array of shape (k, C)
            Probabilities of the C labels after each of the k tokens of the last word.
        """
        ids, scores = self._encode(self._buffer.rest())
        if not ids and self._ngrams is not None:
            scores = self._ngrams.scores()[None]
            if self._logits is not None and self.decided is None:  # n-grams without any token
                self.probabilities = self._context.probabilities(self._logits, scores)[0]
        elif not ids:
            scores = np.empty((1, 0), np.float32)
        if not ids and not self.num_tokens:
            return self._process([UNKNOWN_ID], scores)
        return self._process(ids, scores)

    def _encode(self, text: str) -> tuple[list[int], NDArray[np.float32]]:
        """Return the token ids of complete words, and the n-gram scores after each token."""
        if not text:
            return [], np.empty((0, 0), np.float32)
        return self._context.encode([text], [self._ngrams], [self.num_tokens > 0])[0]

    def _process(self, ids: Sequence[int], scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """Process token ids, and return float32 probabilities (k, C) after each of them.

        `scores` are the n-gram scores after each token, float32 (k, C).
        """
        if self._threshold is not None:
            return self._process_until_decided(ids, scores)
        if len(ids) == 0:
            return np.empty((0, len(self._context.labels)), np.float32)
        return self._read(ids, scores)

    def _read(self, ids: Sequence[int], scores: NDArray[np.float32]) -> NDArray[np.float32]:
        context = self._context
        logits = context.network.read_all(self._state, ids)
        rows = context.probabilities(logits, scores)
        self.num_tokens += len(ids)
        self.probabilities, self._logits = rows[-1], logits[-1:]
        return rows

    def _process_until_decided(
        self, ids: Sequence[int], scores: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Process token ids one by one until the probability of a label reaches the threshold."""
        rows = [np.empty((0, len(self._context.labels)), np.float32)]
        for number, token in enumerate(ids):
            if self.decided is not None:
                break
            rows.append(self._read([token], scores[number : number + 1]))
            if rows[-1].max() >= self._threshold:
                self.decided = self.label
        return np.concatenate(rows)

    def copy(self) -> "TextStream":
        """Return an independent stream with a copy of the text, predictions and network state."""
        other = TextStream(self._context, self._threshold)
        other._buffer = WordBuffer(self._buffer.pending)
        other._state = {name: array.copy() for name, array in self._state.items()}
        other.num_tokens, other.decided = self.num_tokens, self.decided
        other.probabilities, other._logits = self.probabilities, self._logits
        other._ngrams = None if self._ngrams is None else self._ngrams.copy()
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
                **(
                    {}
                    if self._ngrams is None
                    else {
                        "ngrams": self._ngrams.to_json(),
                        "logits": None if self._logits is None else self._logits[0].tolist(),
                    }
                ),
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
            ngrams, logits = self._context.start_ngrams(), None
            if ngrams is not None:
                ngrams.restore(saved["ngrams"])
                logits = None if row is None else np.array([saved["logits"]], np.float32)
                if logits is not None and logits.shape[1] != len(self._context.labels):
                    raise ValueError("wrong number of logits")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ClassifierError(
                f"This is not the state of a stream ({error}).\nPass the result of to_json()."
            ) from error
        self._state, self._buffer, self.probabilities = arrays, buffer, row
        self._ngrams, self._logits = ngrams, logits
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
