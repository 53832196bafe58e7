"""Contribution of each token of a text to a prediction: the text is predicted without the token.

It needs probabilities only, so it includes everything that predicts (an ensemble too), and neither
torch nor the weights. Unlike occlusion in `attribution`, the token is removed from the text instead
of being replaced by zeros, so its neighbours become neighbours of each other. Method: Li et al.
2016, arXiv:1612.08220.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.inspection.text_tokens import TextTokens, text_spans

__all__ = ["MAX_SPANS", "LeftOut", "contributions", "leave_out", "log_odds"]

MAX_SPANS = 200
"""Largest number of texts with something left out; in longer texts several tokens are left out
together."""

# float32 probabilities closer to 0 or 1 than this cannot be told apart
SMALLEST = 1e-7


@dataclass(frozen=True)
class LeftOut:
    """A text, its parts, and the text without each part.

    Attributes
    ----------
    parts : list of str
        Consecutive parts; joined they are the text.
    positions : list of int or None
        For each part the index in `texts` of the text without it; None for a part that no token
        covers.
    texts : list of str
        The whole text, then the text without each part that has a token.
    """

    parts: list[str]
    positions: list[int | None]
    texts: list[str]


def leave_out(tokens: TextTokens) -> LeftOut:
    """Return the parts of a text, at most `MAX_SPANS` of them with tokens, and the text without."""
    spans = text_spans(tokens, np.ones(len(tokens)))
    covered = sum(span.value is not None for span in spans)
    size = -(-covered // MAX_SPANS) or 1  # tokens that are left out together
    parts: list[str] = []
    is_covered: list[bool] = []
    count = 0
    for span in spans:
        joins = count % size != 0 and bool(parts)
        if span.value is not None:
            count += 1
        if joins:  # together with what stands between the tokens
            parts[-1] += span.text
        else:
            parts.append(span.text)
            is_covered.append(span.value is not None)
    texts = [tokens.text]
    positions: list[int | None] = []
    start = 0
    for part, has_token in zip(parts, is_covered, strict=True):
        positions.append(len(texts) if has_token else None)
        if has_token:
            texts.append(tokens.text[:start] + tokens.text[start + len(part) :])
        start += len(part)
    return LeftOut(parts, positions, texts)


def contributions(probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the decrease of the log-odds of C labels without each of n parts, float64 (n, C).

    Parameters
    ----------
    probabilities : float32 (1 + n, C)
        Probabilities of `LeftOut.texts`.
    """
    odds = log_odds(probabilities)
    decreases: NDArray[np.float64] = odds[:1] - odds[1:]
    return decreases


def log_odds(probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return log(p / (1 - p)) of float32 probabilities, at most ±16."""
    p = np.clip(probabilities.astype(np.float64), SMALLEST, 1 - SMALLEST)
    odds: NDArray[np.float64] = np.log(p) - np.log1p(-p)
    return odds
