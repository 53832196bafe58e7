"""Label ids become a stratified sample of their rows: seeded, the same on every machine."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy import ndarray

__all__ = ["allocate", "sample"]


def allocate(
    counts: "ndarray[Any, Any]",
    total: int,
    least: "ndarray[Any, Any]",
    most: "ndarray[Any, Any]",
) -> "ndarray[Any, Any]":
    """Share `total` rows out among classes in proportion to `counts` (largest remainders).

    Class c gets at least `least[c]` and at most `most[c]`; ties go to the smaller id. All arrays
    are int64 of shape (classes,). `total` must lie between the sums of `least` and `most`.
    """
    import numpy

    if not least.sum() <= total <= most.sum():
        raise ValueError(f"{total} rows cannot be shared out within {least} and {most}")
    quota = counts * (total / counts.sum())
    shares: ndarray[Any, Any] = numpy.clip(numpy.floor(quota).astype(numpy.int64), least, most)
    while (missing := total - int(shares.sum())) != 0:
        step = 1 if missing > 0 else -1
        free = shares < most if step > 0 else shares > least
        lack = numpy.where(free, step * (quota - shares), -numpy.inf)
        shares[int(numpy.argmax(lack))] += step
    return shares


def sample(
    ids: "ndarray[Any, Any]", shares: "ndarray[Any, Any]", seed: Sequence[int]
) -> "ndarray[Any, Any]":
    """Choose `shares[c]` rows of each class c at random; return a mask over the rows.

    `ids` is int64 of shape (rows,). With the same seed, a larger share holds the smaller one.
    """
    import numpy

    keys = numpy.random.default_rng(seed).random(len(ids))
    order = numpy.lexsort((keys, ids))
    counts = numpy.bincount(ids, minlength=len(shares))
    starts = numpy.cumsum(counts) - counts
    rank = numpy.arange(len(ids)) - starts[ids[order]]
    mask = numpy.zeros(len(ids), dtype=bool)
    mask[order] = rank < shares[ids[order]]
    return mask
