"""Label ids become a stratified sample of their rows: seeded, the same on every machine."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy import ndarray

__all__ = ["Strata", "allocate", "sample"]


@dataclass(frozen=True)
class Strata:
    """Rows in groups, each of which is sampled in proportion.

    `ids`, int64 (rows,), is the stratum of each row, `counts`, int64 (strata,), the rows of each.
    `least`, int64 (strata,), of them are needed so that each of the `classes` that have rows has
    one; where a stratum is not a class, `kept` (int64) are the positions of such rows.
    """

    ids: "ndarray[Any, Any]"
    counts: "ndarray[Any, Any]"
    least: "ndarray[Any, Any]"
    classes: int
    kept: "ndarray[Any, Any] | None" = None

    @classmethod
    def of(cls, labels: "ndarray[Any, Any]", seed: Sequence[int]) -> "Strata":
        """The classes of rows with one label each, int64 (rows,); else by their rarest label.

        Where rows have several labels, bool (rows, labels), a row's stratum is the rarest of them:
        as in Sechidis et al. 2011 (doi:10.1007/978-3-642-23808-6_10) the labels that a chance cut
        would serve worst are served first, but a row's place hangs on nothing that was chosen
        before it. Rows without a label are a stratum.
        """
        import numpy

        if labels.ndim == 1:
            counts = numpy.bincount(labels)
            return cls(labels, counts, numpy.minimum(counts, 1), int(numpy.count_nonzero(counts)))
        totals = labels.sum(axis=0)
        order = numpy.argsort(totals, kind="stable")
        ids = numpy.full(len(labels), len(totals), numpy.int64)
        for place in reversed(range(len(order))):  # what is rarer is written over it
            ids[labels[:, order[place]]] = place
        keys = numpy.random.default_rng([*seed, len(totals)]).random(len(ids))
        rows = [numpy.flatnonzero(labels[:, label]) for label in numpy.flatnonzero(totals)]
        kept = numpy.unique([some[keys[some].argmin()] for some in rows]).astype(numpy.int64)
        size = len(totals) + 1
        counts = numpy.bincount(ids, minlength=size)
        return cls(ids, counts, numpy.bincount(ids[kept], minlength=size), len(rows), kept)


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
    ids: "ndarray[Any, Any]",
    shares: "ndarray[Any, Any]",
    seed: Sequence[int],
    first: "ndarray[Any, Any] | None" = None,
    last: "ndarray[Any, Any] | None" = None,
) -> "ndarray[Any, Any]":
    """Choose `shares[c]` rows of each class c at random; return a mask over the rows.

    `ids` is int64 of shape (rows,). With the same seed, a larger share holds the smaller one. The
    rows at the positions `first` are chosen before the others of their class, those at `last`
    after them.
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
