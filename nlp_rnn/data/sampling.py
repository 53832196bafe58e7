"""Stratified sampling of rows by label: seeded, and the same on every machine."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy import ndarray

__all__ = ["Strata", "allocate", "sample"]


@dataclass(frozen=True)
class Strata:
    """Rows divided into strata, from each of which a proportional share is sampled.

    Attributes
    ----------
    ids : int64 array of shape (rows,)
        The stratum of each row.
    counts : int64 array of shape (strata,)
        The number of rows of each stratum.
    least : int64 array of shape (strata,)
        The number of rows of each stratum that a sample needs, so that every class has a row.
    classes : int
        The number of classes that have rows.
    representatives : int64 array or None
        Rows that together have every label. None where each stratum is a class.
    """

    ids: "ndarray[Any, Any]"
    counts: "ndarray[Any, Any]"
    least: "ndarray[Any, Any]"
    classes: int
    representatives: "ndarray[Any, Any] | None" = None

    @classmethod
    def of(cls, labels: "ndarray[Any, Any]", seed: Sequence[int]) -> "Strata":
        """Stratify rows by class, or multi-label rows by their rarest label.

        The rarest label comes first as in Sechidis et al. 2011
        (doi:10.1007/978-3-642-23808-6_10), because random cuts serve it worst. Unlike there, the
        stratum of a row does not depend on the rows that were chosen before it. Rows without
        labels form a stratum of their own.

        Parameters
        ----------
        labels : array
            int64 (rows,), or bool (rows, labels) for multi-label data.
        seed : sequence of int
            Seed for the choice of the representatives.
        """
        import numpy

        if labels.ndim == 1:
            counts = numpy.bincount(labels)
            return cls(labels, counts, numpy.minimum(counts, 1), int(numpy.count_nonzero(counts)))
        totals = labels.sum(axis=0)
        order = numpy.argsort(totals, kind="stable")
        ids = numpy.full(len(labels), len(totals), numpy.int64)
        for rank in reversed(range(len(order))):  # rarer labels overwrite more frequent ones
            ids[labels[:, order[rank]]] = rank
        keys = numpy.random.default_rng([*seed, len(totals)]).random(len(ids))
        rows = [numpy.flatnonzero(labels[:, label]) for label in numpy.flatnonzero(totals)]
        representatives = numpy.unique(
            [label_rows[keys[label_rows].argmin()] for label_rows in rows]
        ).astype(numpy.int64)
        size = len(totals) + 1
        counts = numpy.bincount(ids, minlength=size)
        least = numpy.bincount(ids[representatives], minlength=size)
        return cls(ids, counts, least, len(rows), representatives)


def allocate(
    counts: "ndarray[Any, Any]",
    total: int,
    least: "ndarray[Any, Any]",
    most: "ndarray[Any, Any]",
) -> "ndarray[Any, Any]":
    """Allocate `total` rows to classes in proportion to `counts` (largest remainder method).

    Parameters
    ----------
    counts : int64 array of shape (classes,)
        The number of rows of each class.
    total : int
        Rows to allocate, between the sums of `least` and `most`.
    least, most : int64 arrays of shape (classes,)
        Bounds of the share of each class. Ties go to the smaller class id.

    Returns
    -------
    int64 array of shape (classes,)

    Raises
    ------
    ValueError
        `total` is outside the bounds.
    """
    import numpy

    if not least.sum() <= total <= most.sum():
        raise ValueError(f"{total} rows cannot be allocated within {least} and {most}")
    quota = counts * (total / counts.sum())
    shares: ndarray[Any, Any] = numpy.clip(numpy.floor(quota).astype(numpy.int64), least, most)
    while (missing := total - int(shares.sum())) != 0:
        step = 1 if missing > 0 else -1
        free = shares < most if step > 0 else shares > least
        lack = numpy.where(free, step * (quota - shares), -numpy.inf)
        shares[int(numpy.argmax(lack))] += step
    return shares


def sample(
    ids: "ndarray[Any, Any]",
    shares: "ndarray[Any, Any]",
    seed: Sequence[int],
    first: "ndarray[Any, Any] | None" = None,
    last: "ndarray[Any, Any] | None" = None,
) -> "ndarray[Any, Any]":
    """Sample `shares[c]` rows of each class c at random.

    Guarantee: with the same seed, a sample with larger shares contains the smaller sample.

    Parameters
    ----------
    ids : int64 array of shape (rows,)
        The class of each row.
    shares : int64 array of shape (classes,)
        The number of rows to sample of each class.
    seed : sequence of int
        Seed of the random order.
    first, last : int64 array, optional
        Rows that are chosen before, or after, all other rows of their class.

    Returns
    -------
    bool array of shape (rows,)
        Mask of the sampled rows.
    """
    import numpy

    keys = numpy.random.default_rng(seed).random(len(ids))
    if first is not None:
        keys[first] -= 1
    if last is not None:
        keys[last] += 1
    order = numpy.lexsort((keys, ids))
    counts = numpy.bincount(ids, minlength=len(shares))
    starts = numpy.cumsum(counts) - counts
    rank = numpy.arange(len(ids)) - starts[ids[order]]
    mask = numpy.zeros(len(ids), dtype=bool)
    mask[order] = rank < shares[ids[order]]
    return mask
