"""Choice of the features of a section by their document frequencies."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.ngrams.vocabulary import Vocabulary

__all__ = ["select"]


def select(
    keys: NDArray[np.uint32], frequencies: NDArray[Any], num_texts: int, max_features: int
) -> Vocabulary:
    """Return the n-grams that are in the most texts, at most `max_features`.

    The inverse document frequencies are scikit-learn's: log((1 + n) / (1 + frequency)) + 1.

    Parameters
    ----------
    keys : uint32 array of shape (k,)
        Different keys in ascending order.
    frequencies : int array of shape (k,)
        The number of texts that have each key.
    num_texts : int
        n, the number of texts.
    max_features : int
        Features with the same frequency as the last one are chosen by their keys, which are hashes.
    """
    if len(keys) > max_features:
        chosen = np.sort(np.argsort(-frequencies, kind="stable")[:max_features])
        keys, frequencies = keys[chosen], frequencies[chosen]
    idf = np.log((1 + num_texts) / (1 + frequencies)) + 1
    return Vocabulary(keys.astype(np.uint32), idf.astype(np.float16))
