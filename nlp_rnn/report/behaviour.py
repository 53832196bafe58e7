"""The answers of runs to the same texts become what a mean hides: lengths, trust, disagreement."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.scoring.metrics import wilson_interval
from nlp_rnn.scoring.predictions import Predictions

__all__ = [
    "Disagreement",
    "LengthBand",
    "Reliability",
    "confusion_shares",
    "length_bands",
    "reliability",
    "telling_rows",
]

BINS = 10
"""Of equal width, over the probability of the label that was given."""


@dataclass(frozen=True)
class LengthBand:
    """The test texts of one range of lengths.

    Attributes:
        shortest, longest: tokens, both included.
        texts: how many there are.
        share: of answers that are right, over all texts and seeds of a group.
        low, high: 95 % interval of the share (Wilson), over texts only.
    """

    shortest: int
    longest: int
    texts: int
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class Reliability:
    """Whether the probabilities of a group can be taken at their word.

    Attributes:
        confidence: float64 (BINS,), the mean probability of the labels given in each bin.
        right: float64 (BINS,), the share of them that is right.
        counts: int64 (BINS,), answers in each bin, seeds counted one by one.
        error: expected calibration error, a mean over seeds, 0 to 1 (Naeini et al. 2015).
        brier: sum over the classes of the squared distance from the truth, a mean over texts
            and seeds, 0 to 2 (Brier 1950).
    """

    confidence: NDArray[np.float64]
    right: NDArray[np.float64]
    counts: NDArray[np.int64]
    error: float
    brier: float


@dataclass(frozen=True)
class Disagreement:
    """A text that one group reads and the other does not.

    Attributes:
        row: where it stands in the test split as it was read.
        label: the true class, a position.
        length: tokens.
        first, second: mean probability of the true class over the seeds of either group.
        first_right, second_right: seeds of either group that are right.
        first_answer, second_answer: the label given most often, a position.
    """

    row: int
    label: int
    length: int
    first: float
    second: float
    first_right: int
    second_right: int
    first_answer: int
    second_answer: int


def length_bands(groups: Sequence[Sequence[Predictions]], most: int = 5) -> list[list[LengthBand]]:
    """Cut the test texts into up to `most` bands of about as many texts, the same for all groups.

    Each group is the predictions of its seeds on the same rows. Groups whose tokenizers count
    differently are cut by the lengths of the first.
    """
    lengths = groups[0][0].lengths
    edges = np.unique(np.quantile(lengths, np.linspace(0, 1, most + 1)[1:-1], method="nearest"))
    bands = np.searchsorted(edges, lengths, side="left")
    found: list[list[LengthBand]] = []
    for runs in groups:
        right = np.mean([run.predictions == run.labels for run in runs], axis=0)
        row = []
        for band in np.unique(bands):
            inside = bands == band
            texts, share = int(inside.sum()), float(right[inside].mean())
            # the mean over seeds is no whole number of hits
            low, high = wilson_interval(round(share * texts), texts)
            shortest, longest = int(lengths[inside].min()), int(lengths[inside].max())
            row.append(LengthBand(shortest, longest, texts, share, low, high))
        found.append(row)
    return found


def reliability(runs: Sequence[Predictions]) -> Reliability:
    """Measure the calibration of a group, the predictions of its seeds."""
    confidences, rights, errors, briers = [], [], [], []
    for run in runs:
        confidence = run.probabilities.max(axis=1).astype(np.float64)
        right = (run.predictions == run.labels).astype(np.float64)
        counts, mean, share = _binned(confidence, right)
        errors.append(float((counts * np.abs(mean - share)).sum() / max(counts.sum(), 1)))
        truth = np.eye(run.probabilities.shape[1])[run.labels]
        briers.append(float(((run.probabilities - truth) ** 2).sum(axis=1).mean()))
        confidences.append(confidence)
        rights.append(right)
    counts, mean, share = _binned(np.concatenate(confidences), np.concatenate(rights))
    return Reliability(mean, share, counts, float(np.mean(errors)), float(np.mean(briers)))


def telling_rows(
    first: Sequence[Predictions], second: Sequence[Predictions], most: int = 20
) -> list[Disagreement]:
    """Find the texts that the two groups differ on most: half for each side, where there are such.

    A text counts when most seeds of one group give its label and most of the other's do not; the
    most telling are those with the largest gap in the mean probability of the true label.
    """
    labels, rows, lengths = first[0].labels, first[0].rows, first[0].lengths
    each = np.arange(len(labels))

    def measured(
        runs: Sequence[Predictions],
    ) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
        mean = np.mean([run.probabilities.astype(np.float64) for run in runs], axis=0)
        hits = np.sum([run.predictions == run.labels for run in runs], axis=0)
        votes = np.zeros(mean.shape)
        for run in runs:
            votes[each, run.predictions] += 1
        return mean[each, labels], hits, (votes + 1e-6 * mean).argmax(axis=1)

    first_sure, first_hits, first_answer = measured(first)
    second_sure, second_hits, second_answer = measured(second)
    gap = first_sure - second_sure
    first_reads, second_reads = first_answer == labels, second_answer == labels
    for_first = np.flatnonzero(first_reads & ~second_reads & (gap > 0))
    for_second = np.flatnonzero(second_reads & ~first_reads & (gap < 0))
    for_first = for_first[np.argsort(-gap[for_first], kind="stable")]
    for_second = for_second[np.argsort(gap[for_second], kind="stable")]
    half = most // 2
    places = [
        *for_first[: max(half, most - len(for_second))],
        *for_second[: max(most - half, most - len(for_first))],
    ]
    return [
        Disagreement(
            int(rows[place]),
            int(labels[place]),
            int(lengths[place]),
            float(first_sure[place]),
            float(second_sure[place]),
            int(first_hits[place]),
            int(second_hits[place]),
            int(first_answer[place]),
            int(second_answer[place]),
        )
        for place in places
    ]


def confusion_shares(runs: Sequence[Predictions]) -> NDArray[np.float64]:
    """Share (C, C) in percent of each true class (row) that is given each label, over all seeds.

    The row of a class that no test text has is NaN.
    """
    size = len(runs[0].label_names)
    counts = np.zeros((size, size))
    for run in runs:
        pairs = run.labels * size + run.predictions
        counts += np.bincount(pairs, minlength=size * size).reshape(size, size)
    with np.errstate(invalid="ignore"):
        shares: NDArray[np.float64] = 100 * counts / counts.sum(axis=1, keepdims=True)
    return shares


def _binned(
    confidence: NDArray[np.float64], right: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Count, mean confidence and share right of each bin."""
    bins = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    safe = np.maximum(counts, 1)
    mean = np.bincount(bins, confidence, minlength=BINS) / safe
    share = np.bincount(bins, right, minlength=BINS) / safe
    return counts, mean, share
