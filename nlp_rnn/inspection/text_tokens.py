"""A text becomes the tokens that the network reads, each with its place among the characters."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.tokens.tokenizer import UNKNOWN_ID, encodable

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["Piece", "TextTokens", "pieces", "read_tokens"]


@dataclass(frozen=True)
class TextTokens:
    """T tokens of a text, as `data.tokenizer.encode` gives them.

    Attributes:
        text: what was read, lone surrogates replaced; `starts` and `ends` count its characters.
        ids: int64 (T,), at least one: an empty text is one unknown token.
        starts, ends: int64 (T,); a token that stands for no character has both equal.
        num_uncut: tokens of the whole text, of which the network reads T.
    """

    text: str
    ids: NDArray[np.int64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    num_uncut: int

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def num_unknown(self) -> int:
        """Tokens that the tokenizer does not know."""
        return int((self.ids == UNKNOWN_ID).sum())

    @property
    def middles(self) -> NDArray[np.float64]:
        """The middle of each token in characters, (T,): where to draw it beside another model."""
        middles: NDArray[np.float64] = (self.starts + self.ends) / 2
        return middles


def read_tokens(tokenizer: "Tokenizer", text: str) -> TextTokens:
    """Tokenize `text` and cut it as the tokenizer's JSON says, both ends included."""
    text = encodable(text)
    encoding = tokenizer.encode(text, add_special_tokens=False)
    truncation = tokenizer.truncation
    most, tail = (truncation["max_length"], truncation["stride"]) if truncation else (0, 0)
    ids, offsets, count = encoding.ids, encoding.offsets, len(encoding.ids)
    if count == most and (windows := encoding.overflowing):
        if tail:
            # windows overlap by `tail`; the last one ends with the text
            ids = ids[: most - tail] + windows[-1].ids[-tail:]
            offsets = offsets[: most - tail] + windows[-1].offsets[-tail:]
            count = (most - tail) * len(windows) + len(windows[-1].ids)
        else:
            count += sum(len(window.ids) for window in windows)
    if not ids:
        ids, offsets = [UNKNOWN_ID], [(0, len(text))]
    places = np.array(offsets, dtype=np.int64)
    return TextTokens(text, np.array(ids, dtype=np.int64), places[:, 0], places[:, 1], count)


@dataclass(frozen=True)
class Piece:
    """Some characters of a text in a row and what they gave; None where nothing was read."""

    text: str
    value: float | None


def pieces(tokens: TextTokens, values: Sequence[float] | NDArray[np.floating]) -> list[Piece]:
    """The whole text in pieces, each with the sum of the `values` (T,) of the tokens in it.

    Tokens that share characters, as bytes of one character do, make one piece. What lies between
    tokens, or was cut off, has no value. Joined, the pieces are the text.
    """
    found: list[Piece] = []
    end = 0
    order = np.argsort(tokens.starts, kind="stable")
    columns = (tokens.starts[order], tokens.ends[order], np.asarray(values, dtype=float)[order])
    groups: list[tuple[int, int, float]] = []
    for start, stop, given in zip(*(column.tolist() for column in columns), strict=True):
        if groups and (start < groups[-1][1] or start == stop == groups[-1][1]):
            first, last, value = groups[-1]
            groups[-1] = (first, max(last, stop), value + given)
        else:
            groups.append((start, stop, given))
    for start, stop, value in groups:
        # the blank that some tokenizers count to a word is not coloured
        word = tokens.text[start:stop].lstrip()
        start = stop - len(word) if word else start
        if start > end:
            found.append(Piece(tokens.text[end:start], None))
        found.append(Piece(tokens.text[start:stop], value))
        end = stop
    if end < len(tokens.text):
        found.append(Piece(tokens.text[end:], None))
    return found
