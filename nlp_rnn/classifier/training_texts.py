"""Hashes of the texts that a classifier was trained on, to recognize them in other data.

The classifier folder stores 8 bytes for each distinct text of the training and validation split,
at most 8 MiB for each. Of larger splits it stores the smallest hashes: a random sample of the
texts, from which the number of texts that were trained on is estimated.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.classifier.manifest import TRAINING_TEXTS, read_checked_file
from nlp_rnn.errors import ClassifierError
from nlp_rnn.ngrams.vocabulary import sorted_unique

__all__ = ["MAX_HASHES", "KnownTexts", "TrainingTexts", "pack_hashes", "read_training_texts"]

MAX_HASHES = 1 << 20
"""Stored hashes of each split at most."""

SPLITS = ("train", "validation")

# Raise it when `sources.text_column.hash_texts` returns other hashes.
_VERSION = "1"


@dataclass(frozen=True)
class KnownTexts:
    """How many of some texts a split of the training data has.

    Attributes
    ----------
    number : int
        The number of texts.
    exact : bool
        Whether it was counted, not estimated from a sample.
    """

    number: int
    exact: bool

    def __str__(self) -> str:
        return f"{'' if self.exact else 'about '}{self.number:,}"


@dataclass(frozen=True)
class TrainingTexts:
    """Stored hashes of the texts of the training and validation split.

    Attributes
    ----------
    hashes : mapping of str to uint64 array
        Sorted, distinct hashes of each split.
    distinct : mapping of str to int
        The number of distinct texts of each split; more than the hashes if they are a sample.
    """

    hashes: Mapping[str, NDArray[np.uint64]]
    distinct: Mapping[str, int]

    @property
    def exact(self) -> bool:
        """Whether the hashes of all texts are stored."""
        return all(len(self.hashes[split]) == self.distinct[split] for split in SPLITS)

    def known(self, hashes: NDArray[np.uint64], split: str) -> KnownTexts:
        """Count the texts with these hashes that `train` or `validation` has too."""
        stored = self.hashes[split]
        matches = int(_are_in(hashes, stored).sum())
        if len(stored) == self.distinct[split]:
            return KnownTexts(matches, True)
        comparable = int((hashes <= stored[-1]).sum())
        return KnownTexts(round(matches / max(comparable, 1) * len(hashes)), False)

    def unseen(self, hashes: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Return which texts are neither in train nor in validation, if all hashes are stored."""
        unseen = np.ones(len(hashes), bool)
        for stored in self.hashes.values():
            unseen &= ~_are_in(hashes, stored)
        return unseen


def _are_in(hashes: NDArray[np.uint64], stored: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Return which hashes are among stored ones, which are sorted."""
    if not len(stored):
        return np.zeros(len(hashes), bool)
    places = np.minimum(stored.searchsorted(hashes), len(stored) - 1)
    matches: NDArray[np.bool_] = stored[places] == hashes
    return matches


def pack_hashes(hashes: Mapping[str, NDArray[np.uint64]]) -> bytes:
    """Return the hashes of all texts of `train` and `validation` as bytes of a safetensors file."""
    from safetensors.numpy import save

    distinct = {split: sorted_unique(hashes[split]) for split in SPLITS}
    metadata = {split: str(len(values)) for split, values in distinct.items()}
    packed: bytes = save(
        {split: np.ascontiguousarray(values[:MAX_HASHES]) for split, values in distinct.items()},
        metadata | {"version": _VERSION},
    )
    return packed


def read_training_texts(folder: Path, config: Mapping[str, Any]) -> TrainingTexts | None:
    """Return the stored hashes of a classifier folder; None if it has none.

    Raises
    ------
    ClassifierError
        The file was changed.
    """
    import json

    from safetensors.numpy import load

    if TRAINING_TEXTS not in config["files"] or not (folder / TRAINING_TEXTS).exists():
        return None
    data = read_checked_file(folder, TRAINING_TEXTS, config)
    try:
        length = int.from_bytes(data[:8], "little")
        metadata = json.loads(data[8 : 8 + length])["__metadata__"]
        hashes = load(data)
        distinct = {split: int(metadata[split]) for split in SPLITS}
        arrays = {split: hashes[split].astype(np.uint64) for split in SPLITS}
    except Exception as error:  # the library raises its own types
        raise ClassifierError(f"{folder / TRAINING_TEXTS} is not a file of hashes.") from error
    return TrainingTexts(arrays, distinct) if metadata.get("version") == _VERSION else None
