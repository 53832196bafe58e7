"""Token ids become rows of a table of n-grams, by arithmetic that torch, numpy and ONNX share.

A single token has the row of its id. Longer n-grams are hashed into rows after those (Joulin et
al. 2016, arXiv:1607.01759): n-grams that fall together share a row. Imports no torch.
"""

from typing import Any

__all__ = ["DEFAULT_BUCKETS", "LARGEST_ORDER", "MULTIPLIER", "PRIME", "extend", "row"]

# Both below 2**31, so that no product of them leaves int64 and nothing is ever negative.
PRIME = 2**31 - 1
MULTIPLIER = 1_640_531_527  # 2**32 less Knuth's 2654435769, about 0.76 of PRIME

DEFAULT_BUCKETS = 2**18
LARGEST_ORDER = 3


def extend(hashed: Any, tokens: Any) -> Any:
    """Hashes of n-grams that have one more token: int64 of any shape, from 0 to `PRIME` - 1.

    `hashed` are those without their last token, or the ids of single tokens; `tokens` the last.
    """
    return (hashed * MULTIPLIER + tokens + 1) % PRIME


def row(hashed: Any, vocab_size: int, buckets: int) -> Any:
    """The rows of n-grams of two or more tokens, int64."""
    return hashed % buckets + vocab_size
