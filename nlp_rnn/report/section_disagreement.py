"""Section on disagreements: single test texts that two configurations label differently."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.comparison.records import Difference
from nlp_rnn.report.context import NO_PAIR, ReportContext, clean_text
from nlp_rnn.report.page import Block, Paragraph, Placeholder, Section, TextCard, TextCards
from nlp_rnn.scoring.predictions import Predictions

__all__ = [
    "Disagreement",
    "disagreement_section",
    "largest_disagreements",
    "most_wrong_labels",
]


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
    if context.comparison.is_multi_label:
        return Section("disagreement", title, _multi_label_blocks(context, pair, first, second))
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


def most_wrong_labels(
    first: Sequence[Predictions], second: Sequence[Predictions], max_texts: int = 20
) -> list[tuple[int, float, float]]:
    """Find the texts of multi-label data on which two configurations differ most.

    Returns
    -------
    list of (int, float, float)
        Position of the text, and mean number of wrong labels over the seeds of both. The largest
        differences, half for each configuration if possible, those for the first one first.
    """

    def wrong(runs: Sequence[Predictions]) -> NDArray[np.float64]:
        counts = [(run.predictions != run.labels).sum(axis=1) for run in runs]
        return np.asarray(np.mean(counts, axis=0))

    of_first, of_second = wrong(first), wrong(second)
    gap = of_second - of_first
    order = np.argsort(-gap, kind="stable")
    for_first = [int(text) for text in order if gap[text] > 0]
    for_second = [int(text) for text in order[::-1] if gap[text] < 0]
    half = max_texts // 2
    chosen = [
        *for_first[: max(half, max_texts - len(for_second))],
        *for_second[: max(max_texts - half, max_texts - len(for_first))],
    ]
    return [(text, float(of_first[text]), float(of_second[text])) for text in chosen]


def _multi_label_blocks(
    context: ReportContext,
    pair: Difference,
    first: Sequence[Predictions],
    second: Sequence[Predictions],
) -> list[Block]:
    """The texts whose sets of labels differ most, with the labels that most seeds predict."""
    names, saved = np.array(context.comparison.label_names), first[0]
    chosen = most_wrong_labels(first, second)
    context.tables["disagreements"] = [
        {"row": int(saved.rows[text]), "first_wrong": of_first, "second_wrong": of_second}
        for text, of_first, of_second in chosen
    ]
    if not chosen:
        return [Placeholder(f"{pair.first} and {pair.second} predict the same labels.")]

    def listed(indicators: NDArray[np.bool_]) -> str:
        return ", ".join(names[indicators]) or "no label"

    def prediction(runs: Sequence[Predictions], text: int, wrong: float) -> tuple[str, bool]:
        votes = np.mean([run.predictions[text] for run in runs], axis=0) > 0.5
        correct = bool((votes == saved.labels[text]).all())
        return f"{listed(votes)}; {wrong:.1f} wrong labels on average", correct

    cards = []
    for text, of_first, of_second in chosen:
        row, length = int(saved.rows[text]), int(saved.lengths[text])
        known = context.texts is not None and row in context.texts
        shown = clean_text(context.texts[row]) if known and context.texts else f"row {row:,}"
        of_both = [
            (pair.first, *prediction(first, text, of_first)),
            (pair.second, *prediction(second, text, of_second)),
        ]
        head = f"{listed(saved.labels[text])} · {length:,} tokens · row {row:,}"
        cards.append(TextCard(head, shown, of_both))
    for_first = sum(of_first < of_second for _, of_first, of_second in chosen)
    blocks: list[Block] = [
        Paragraph(
            f"The {len(chosen)} largest disagreements among n = {context.num_texts:,} test texts, "
            f"by the mean number of wrong labels over {len(first)} and {len(second)} seeds. On the "
            f"first {for_first} {pair.first} is better, on the other {len(chosen) - for_first} "
            f"{pair.second}. The labels are those that most seeds predict. The texts are selected "
            "because they are extreme, so they do not show how good a configuration is."
        )
    ]
    if context.texts is None:
        reason = f"Only the rows are shown, not the texts: {context.why_no_texts}"
        blocks.append(Placeholder(reason))
    return [*blocks, TextCards(cards)]


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
