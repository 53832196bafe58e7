"""Shares of n-gram models in a prediction: of each token, and of the strongest n-grams."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.inspection.text_tokens import TextTokens
from nlp_rnn.ngrams.section import Contribution
from nlp_rnn.ngrams.table import NgramTable

__all__ = ["NgramShares", "ngram_shares"]

STRONGEST = 12
"""Number of n-grams that are shown for a label."""


@dataclass(frozen=True)
class NgramShares:
    """What n-gram models add to the logits of one text.

    Attributes
    ----------
    bias : float32 (C,)
        What they add to any text.
    tokens : float32 (T, C)
        What the n-grams of each token add. An n-gram of several tokens is shared among them by
        their characters. Together with `bias` the sum is the scores of the text.
    contributions : list of Contribution
        What each n-gram adds.
    """

    bias: NDArray[np.float32]
    tokens: NDArray[np.float32]
    contributions: list[Contribution]

    def strongest(self, label: int) -> list[tuple[str, float]]:
        """Return the n-grams with the largest share in the margin of a label, and this share.

        The margin is the logit of the label minus the mean of all logits.
        """
        margins: dict[str, float] = {}
        for entry in self.contributions:
            margin = float(entry.scores[label] - entry.scores.mean())
            margins[entry.ngram] = margins.get(entry.ngram, 0.0) + margin
        return sorted(margins.items(), key=lambda item: -abs(item[1]))[:STRONGEST]


def ngram_shares(table: NgramTable, tokens: TextTokens) -> NgramShares:
    """Return the shares of n-gram models in the logits of one text.

    Parameters
    ----------
    table : NgramTable
        The n-gram models.
    tokens : TextTokens
        The text and its T tokens. N-gram models read all of the text; what they read after the
        last token is added to it.
    """
    contributions = table.contributions(tokens.text)
    # the share of a span is the difference of a running sum at its ends: each n-gram is spread
    # evenly over its characters
    size = len(tokens.text)
    slopes = np.zeros((size + 2, len(table.bias)))
    for entry in contributions:
        for start, end in entry.spans:
            start, end = min(start, size), min(max(end, start + 1), size + 1)
            share = entry.scores / (len(entry.spans) * max(end - start, 1))
            slopes[start] += share
            slopes[end] -= share
    cumulative = np.concatenate(
        [np.zeros((1, len(table.bias))), slopes.cumsum(axis=0).cumsum(axis=0)]
    )
    # a token ends where the next one begins, so that what stands between belongs to one of them
    cuts = [0, *tokens.starts[1:].tolist(), size + 1]
    values = np.diff(cumulative[np.maximum.accumulate(cuts)], axis=0).astype(np.float32)
    return NgramShares(table.bias, values, contributions)
