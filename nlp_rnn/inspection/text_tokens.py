"""Tokens of one text as the network reads them, with their character offsets in the text."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.tokens.tokenizer import UNKNOWN_ID, encodable

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["TextSpan", "TextTokens", "split_text", "text_spans", "tokenize_text"]


@dataclass(frozen=True)
class TextTokens:
    """The T tokens of one text that the network reads, as from `tokens.tokenizer.encode`.

    Attributes
    ----------
    text : str
        The text, with lone surrogates replaced.
    ids : int64 (T,)
        Token ids, at least one: an empty text is one unknown token.
    starts, ends : int64 (T,)
        Offsets of the tokens in characters of `text`. Both are equal for a token that stands for
        no character.
    num_untruncated : int
        Number of tokens of the whole text, before truncation to T.
    """

    text: str
    ids: NDArray[np.int64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    num_untruncated: int

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def num_unknown(self) -> int:
        """Number of unknown tokens."""
        return int((self.ids == UNKNOWN_ID).sum())


def tokenize_text(tokenizer: "Tokenizer", text: str) -> TextTokens:
    """Tokenize `text` with the truncation of the tokenizer's JSON, for head, tail or both ends."""
    text = encodable(text)
    encoding = tokenizer.encode(text, add_special_tokens=False)
    truncation = tokenizer.truncation
    max_length, tail = (truncation["max_length"], truncation["stride"]) if truncation else (0, 0)
    ids, offsets, count = encoding.ids, encoding.offsets, len(encoding.ids)
    if count == max_length and (windows := encoding.overflowing):
        if tail:
            # windows overlap by `tail`; the last one ends with the text
            ids = ids[: max_length - tail] + windows[-1].ids[-tail:]
            offsets = offsets[: max_length - tail] + windows[-1].offsets[-tail:]
            count = (max_length - tail) * len(windows) + len(windows[-1].ids)
        else:
            count += sum(len(window.ids) for window in windows)
    if not ids:
        ids, offsets = [UNKNOWN_ID], [(0, len(text))]
    starts, ends = np.array(offsets, dtype=np.int64).T
    return TextTokens(text, np.array(ids, dtype=np.int64), starts, ends, count)


def split_text(text: str) -> TextTokens:
    """Split `text` at white space, for a classifier without a tokenizer; all ids are unknown."""
    text = encodable(text)
    offsets = [match.span() for match in re.finditer(r"\S+", text)] or [(0, len(text))]
    starts, ends = np.array(offsets, dtype=np.int64).T
    ids = np.full(len(offsets), UNKNOWN_ID, dtype=np.int64)
    return TextTokens(text, ids, starts, ends, len(ids))


@dataclass(frozen=True)
class TextSpan:
    """Consecutive characters of a text and their attribution, None where no token covers them."""

    text: str
    value: float | None


def text_spans(
    tokens: TextTokens, values: Sequence[float] | NDArray[np.floating]
) -> list[TextSpan]:
    """Split the whole text into spans, each with the sum of the `values` (T,) of its tokens.

    Tokens that share characters form one span, for example the bytes of one character. Characters
    between tokens and truncated characters have no value. The joined spans are the text.
    """
    spans: list[TextSpan] = []
    end = 0
    order = np.argsort(tokens.starts, kind="stable")
    columns = (tokens.starts[order], tokens.ends[order], np.asarray(values, dtype=float)[order])
    merged: list[tuple[int, int, float]] = []
    for start, stop, addend in zip(*(column.tolist() for column in columns), strict=True):
        if merged and (start < merged[-1][1] or start == stop == merged[-1][1]):
            first, last, value = merged[-1]
            merged[-1] = (first, max(last, stop), value + addend)
        else:
            merged.append((start, stop, addend))
    for start, stop, value in merged:
        # some tokenizers count the space before a word to the word; it is not coloured
        word = tokens.text[start:stop].lstrip()
        start = stop - len(word) if word else start
        if start > end:
            spans.append(TextSpan(tokens.text[end:start], None))
        spans.append(TextSpan(tokens.text[start:stop], value))
        end = stop
    if end < len(tokens.text):
        spans.append(TextSpan(tokens.text[end:], None))
    return spans
