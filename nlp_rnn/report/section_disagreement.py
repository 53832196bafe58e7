"""Section on disagreements: single test texts that two configurations label differently."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.comparison.records import Difference
from nlp_rnn.report.context import NO_PAIR, ReportContext, clean_text
from nlp_rnn.report.page import Block, Paragraph, Placeholder, Section, TextCard, TextCards
from nlp_rnn.scoring.predictions import Predictions

__all__ = ["Disagreement", "disagreement_section", "largest_disagreements"]


@dataclass(frozen=True)
class Disagreement:
    """A test text that only one of two configurations labels correctly.

    Attributes
    ----------
    row : int
        Row of the test split.
    label : int
        Index of the true label.
    length : int
        Number of tokens.
    first_probability, second_probability : float
        Probability of the true label, mean over the seeds of the configuration.
    first_correct, second_correct : int
        Number of seeds that predict the true label.
    first_label, second_label : int
        Index of the label that most seeds predict.
    """

    row: int
    label: int
    length: int
    first_probability: float
    second_probability: float
    first_correct: int
    second_correct: int
    first_label: int
    second_label: int


def disagreement_section(context: ReportContext) -> Section:
    """Return the section: the texts on which the two best configurations differ most."""
    title = "Texts that the two configurations label differently"
    pair = context.best_pair()
    if pair is None:
        return Section("disagreement", title, [Placeholder(NO_PAIR)])
    first, second = context.predictions[pair.first], context.predictions[pair.second]
    rows = largest_disagreements(first, second)
    context.tables["disagreements"] = [vars(row) for row in rows]
    if not rows:
        none = (
            f"There is no test text that most seeds of one configuration ({pair.first} or "
            f"{pair.second}) label correctly and most seeds of the other label wrongly."
        )
        return Section("disagreement", title, [Placeholder(none)])
    for_first = sum(row.first_probability > row.second_probability for row in rows)
    blocks: list[Block] = [
        Paragraph(
            f"The {len(rows)} largest disagreements among n = {context.num_texts:,} test texts. "
            f"The first {for_first} are texts for which {pair.first} is better, the other "
            f"{len(rows) - for_first} are texts for which {pair.second} is better. They are "
            "ordered by the difference in the probability of the true label, a mean over "
            f"{len(first)} and {len(second)} seeds. They are selected because they are extreme, "
            "so they do not show how accurate a configuration is."
        )
    ]
    if context.texts is None:
        reason = f"Only the rows are shown, not the texts: {context.why_no_texts}"
        blocks.append(Placeholder(reason))
    blocks.append(TextCards([_card(context, pair, row, len(first), len(second)) for row in rows]))
    return Section("disagreement", title, blocks)


def largest_disagreements(
    first: Sequence[Predictions], second: Sequence[Predictions], max_texts: int = 20
) -> list[Disagreement]:
    """Find the texts on which two configurations differ most, if possible half for each.

    Each configuration is a sequence of the predictions of its seeds. A text counts if most seeds
    of one configuration predict the true label and most seeds of the other do not. The texts are
    ordered by the difference in the mean probability of the true label.
    """
    labels, rows, lengths = first[0].labels, first[0].rows, first[0].lengths
    texts = np.arange(len(labels))

    def vote(
        runs: Sequence[Predictions],
    ) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
        mean = np.mean([run.probabilities.astype(np.float64) for run in runs], axis=0)
        correct = np.sum([run.predictions == run.labels for run in runs], axis=0)
        votes = np.zeros(mean.shape)
        for run in runs:
            votes[texts, run.predictions] += 1
        return mean[texts, labels], correct, (votes + 1e-6 * mean).argmax(axis=1)

    first_probability, first_correct, first_label = vote(first)
    second_probability, second_correct, second_label = vote(second)
    gap = first_probability - second_probability
    only_first = (first_label == labels) & (second_label != labels) & (gap > 0)
    only_second = (second_label == labels) & (first_label != labels) & (gap < 0)
    for_first, for_second = np.flatnonzero(only_first), np.flatnonzero(only_second)
    for_first = for_first[np.argsort(-gap[for_first], kind="stable")]
    for_second = for_second[np.argsort(gap[for_second], kind="stable")]
    half = max_texts // 2
    chosen = [
        *for_first[: max(half, max_texts - len(for_second))],
        *for_second[: max(max_texts - half, max_texts - len(for_first))],
    ]
    return [
        Disagreement(
            int(rows[text]),
            int(labels[text]),
            int(lengths[text]),
            float(first_probability[text]),
            float(second_probability[text]),
            int(first_correct[text]),
            int(second_correct[text]),
            int(first_label[text]),
            int(second_label[text]),
        )
        for text in chosen
    ]


def _card(
    context: ReportContext, pair: Difference, row: Disagreement, seeds: int, other_seeds: int
) -> TextCard:
    names = context.comparison.label_names
    text = f"row {row.row:,} of the test split"
    if context.texts is not None and row.row in context.texts:
        text = clean_text(context.texts[row.row])

    def prediction(label: int, correct: int, seeds: int, probability: float) -> tuple[str, bool]:
        return (
            f"{names[label]}; {correct} of {seeds} seeds correct, probability of the true label "
            f"{100 * probability:.0f} %"
        ), label == row.label

    first = prediction(row.first_label, row.first_correct, seeds, row.first_probability)
    second = prediction(row.second_label, row.second_correct, other_seeds, row.second_probability)
    return TextCard(
        f"{names[row.label]} · {row.length:,} tokens · row {row.row:,}",
        text,
        [(pair.first, *first), (pair.second, *second)],
    )
