"""What all streams of a classifier share: network, tokenizer, labels and n-gram models."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.classifier.recurrent_step import StepNetwork
from nlp_rnn.errors import ClassifierError
from nlp_rnn.ngrams.ngram_stream import NgramStream
from nlp_rnn.ngrams.probabilities import ensemble_logits, probabilities_of
from nlp_rnn.ngrams.table import NgramTable
from nlp_rnn.tokens.tokenizer import encodable

__all__ = ["StreamContext", "check_text"]

Scores = NDArray[np.float32]

find_words = re.compile(r"\S+").finditer  # what `str.split` returns


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
    ngrams : NgramTable or None
        N-gram models of an ensemble.
    network_weight : float
        Weight of the network's logits in the ensemble.
    """

    network: StepNetwork
    tokenizer: Any
    labels: list[str]
    checksum: str
    thresholds: NDArray[np.float64] | None = None
    ngrams: NgramTable | None = None
    network_weight: float = 1.0

    def start_ngrams(self) -> NgramStream | None:
        """Return n-gram counts of an empty text; None without n-gram models."""
        return None if self.ngrams is None else NgramStream(self.ngrams)

    def encode(
        self,
        texts: Sequence[str],
        ngrams: Sequence[NgramStream | None],
        continued: Sequence[bool],
    ) -> list[tuple[list[int], Scores]]:
        """Return the token ids of each text, and the n-gram scores after each of the T tokens.

        No text may end within a word: the tokens of an incomplete word can still change.

        Parameters
        ----------
        texts : sequence of n str
            More text of n streams.
        ngrams : sequence of n NgramStream or None
            N-gram counts of the streams, which are updated.
        continued : sequence of n bool
            Whether each stream had tokens before; `texts` of these begin with white space.

        Returns
        -------
        list of n pairs
            Ids, an empty list for a text without tokens, and float32 scores (T, C). A word counts
            from its last token on. Without n-gram models the scores are (T, 0).
        """
        encodings = self._encodings([encodable(text) for text in texts], continued)
        if self.ngrams is None:
            return [(one.ids, np.empty((len(one.ids), 0), np.float32)) for one in encodings]
        pairs = zip(texts, encodings, ngrams, strict=True)
        return [
            (encoding.ids, _read(text, [end for _, end in encoding.offsets], counts))
            for text, encoding, counts in pairs
            if counts is not None
        ]

    def _encodings(self, texts: Sequence[str], continued: Sequence[bool]) -> list[Any]:
        """Return the encodings of texts, with offsets if n-gram models need them."""
        encodings: list[Any] = [None] * len(texts)
        split = self._continuing is not self.tokenizer
        for tokenizer, of_continued in ((self.tokenizer, False), (self._continuing, True)):
            chosen = [i for i, value in enumerate(continued) if (value and split) == of_continued]
            if not chosen:
                continue
            # the fast variant has no offsets
            fast, slow = tokenizer.encode_batch_fast, tokenizer.encode_batch
            encode = fast if self.ngrams is None else slow
            batch = encode([texts[i] for i in chosen], add_special_tokens=False)
            for i, encoding in zip(chosen, batch, strict=True):
                encodings[i] = encoding
        return encodings

    @cached_property
    def _continuing(self) -> Any:
        """Tokenizer for text that is not the beginning of a text; often the same one.

        A byte-level tokenizer puts a blank before a text, and others a mark.
        """
        whole = json.loads(self.tokenizer.to_str())
        steps = {key: _continued(whole[key]) for key in ("normalizer", "pre_tokenizer")}
        if all(whole[key] == step for key, step in steps.items()):
            return self.tokenizer
        return type(self.tokenizer).from_str(json.dumps(whole | steps))

    def probabilities(self, logits: Scores, scores: Scores) -> Scores:
        """Return the probabilities (n, C) of logits of the network and n-gram scores."""
        together = logits
        if self.ngrams is not None:
            together = ensemble_logits(logits, self.network_weight, scores)
        return probabilities_of(together, self.thresholds is not None)

    def check_without_ngrams(self) -> None:
        """Check that token ids are enough.

        Raises
        ------
        ClassifierError
            There are n-gram models, which read text.
        """
        if self.ngrams is not None:
            raise ClassifierError(
                "The n-gram models of this classifier read text, not token ids.\n"
                "Call read with text, or set network_only=True for the network alone."
            )

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


def _read(text: str, ends: list[int], counts: NgramStream) -> Scores:
    """Count the words of `text`; return the scores (T, C) when each token, at `ends`, was read."""
    rows, words = [], list(find_words(text))
    row, number = counts.scores(), 0
    for token, end in enumerate(ends):
        before, last = number, token == len(ends) - 1
        while number < len(words) and (last or words[number].end() <= end):
            counts.read(words[number][0])
            number += 1
        if number > before:
            row = counts.scores()
        rows.append(row)
    for word in words[number:]:  # a text without tokens
        counts.read(word[0])
    return np.stack(rows) if rows else np.empty((0, len(row)), np.float32)


def _shortened_repr(value: object) -> str:
    """Return the `repr` of a value for a message, cut after 40 characters."""
    text = repr(value)
    return text if len(text) <= 40 else text[:40] + "…"


def _continued(step: Any) -> Any:
    """Return a step of a tokenizer without what it does only at the beginning of a text."""
    if not isinstance(step, dict):
        return step
    match step["type"]:
        case "Sequence":
            key = next(key for key in ("normalizers", "pretokenizers") if key in step)
            inner = [_continued(one) for one in step[key]]
            return step | {key: [one for one in inner if one is not None]}
        case "ByteLevel":
            return step | {"add_prefix_space": False}
        case "Metaspace":
            return step | {"prepend_scheme": "never"}
        case "Strip":
            return step | {"strip_left": False}
        case "Prepend":
            return None
    return step
