"""section_disagreement."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.comparison.records import Difference
from nlp_rnn.report.context import NO_PAIR, Material, shown_text
from nlp_rnn.report.page import (
    Block,
    Card,
    Cards,
    Missing,
    Section,
    Words,
)
from nlp_rnn.scoring.predictions import Predictions

if TYPE_CHECKING:
    pass

__all__ = ["Disagreement", "disagreement_section", "telling_rows"]


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


def disagreement_section(material: Material) -> Section:
    """The texts that one group reads and the other does not."""
    title = "Where the two disagree"
    pair = material.pair()
    if pair is None:
        return Section("disagreement", title, [Missing(NO_PAIR)])
    first, second = material.predictions[pair.first], material.predictions[pair.second]
    rows = telling_rows(first, second)
    material.tables["disagreements"] = [vars(row) for row in rows]
    if not rows:
        same = (
            f"There is no test text that most seeds of {pair.first} or of {pair.second} label "
            "right and most of the other's do not."
        )
        return Section("disagreement", title, [Missing(same)])
    for_first = sum(row.first > row.second for row in rows)
    blocks: list[Block] = [
        Words(
            f"The {len(rows)} most telling of n = {material.num_texts:,} test texts: first "
            f"{for_first} that {pair.first} reads better, then {len(rows) - for_first} that "
            f"{pair.second} reads better, by the gap in the probability of the true label, a mean "
            f"over {len(first)} and {len(second)} seeds. They are chosen for being extreme and say "
            "nothing about how often either is right."
        )
    ]
    if material.texts is None:
        blocks.append(Missing(f"Only the rows are shown, not the texts: {material.no_texts}"))
    blocks.append(Cards([_card(material, pair, row, len(first), len(second)) for row in rows]))
    return Section("disagreement", title, blocks)


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


def _card(
    material: Material, pair: Difference, row: Disagreement, seeds: int, other_seeds: int
) -> Card:
    names = material.comparison.label_names
    text = f"row {row.row:,} of the test split"
    if material.texts is not None and row.row in material.texts:
        text = shown_text(material.texts[row.row])

    def said(answer: int, right: int, of: int, sure: float) -> str:
        return (
            f"{names[answer]}; {right} of {of} seeds right, {100 * sure:.0f} % for the true label"
        )

    return Card(
        f"{names[row.label]} · {row.length:,} tokens · row {row.row:,}",
        text,
        [
            (
                pair.first,
                said(row.first_answer, row.first_right, seeds, row.first),
                row.first_answer == row.label,
            ),
            (
                pair.second,
                said(row.second_answer, row.second_right, other_seeds, row.second),
                row.second_answer == row.label,
            ),
        ],
    )
