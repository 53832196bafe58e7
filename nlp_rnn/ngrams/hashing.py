"""Hashes of tokens and n-grams: the 32-bit keys by which a table finds the weights of a feature.

A key identifies an n-gram without storing it. Two of a million n-grams share a key with a
probability of 0.02 % for each n-gram; both then share their weights, in training and afterwards.
"""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

__all__ = ["bigram_keys", "code_points", "token_hash", "token_keys", "window_keys"]

MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
BIGRAM = np.uint64(0xD6E8FEB86659FD93)


def token_hash(token: str, part: int = 0) -> int:
    """Return a 64-bit hash of a token in one part of a text; the same on every machine."""
    data = token.encode("utf-8", "surrogatepass")
    return int.from_bytes(
        blake2b(data, digest_size=8, salt=part.to_bytes(2, "little")).digest(), "little"
    )


def token_keys(hashes: NDArray[np.uint64]) -> NDArray[np.uint32]:
    """Return the keys of single tokens, from their hashes."""
    return _mixed(hashes)


def bigram_keys(hashes: NDArray[np.uint64], following: NDArray[np.uint64]) -> NDArray[np.uint32]:
    """Return the keys of pairs of tokens, from the hashes of both."""
    return _mixed(hashes * MULTIPLIER + following + BIGRAM)


def code_points(texts: Sequence[str]) -> NDArray[np.uint64]:
    """Return the code points of all texts, one after the other."""
    data = "".join(texts).encode("utf-32-le", "surrogatepass")
    return np.frombuffer(data, "<u4").astype(np.uint64)


def window_keys(
    hashes: NDArray[np.uint64], size: int, part: NDArray[np.uint64]
) -> NDArray[np.uint32]:
    """Return the keys of windows of `size` characters, in the parts `part` of their texts.

    `hashes` of windows that are one character longer are `hashes * MULTIPLIER + character`.
    """
    return _mixed(hashes + MULTIPLIER * (part * np.uint64(16) + np.uint64(size)))


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint32]:
    """Return 32 well-mixed bits of each value (the finalizer of SplitMix64, Steele et al. 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (values >> np.uint64(32)).astype(np.uint32)
