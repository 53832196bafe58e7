"""The answers of a comparison's runs become sections on lengths, trust, disagreement, confusion."""

import numpy as np

from nlp_rnn.comparison.records import Difference
from nlp_rnn.report.behaviour import (
    Disagreement,
    confusion_shares,
    length_bands,
    reliability,
    telling_rows,
)
from nlp_rnn.report.context import Material, percent, points, shown_text
from nlp_rnn.report.page import (
    Block,
    Card,
    Cards,
    Figures,
    Missing,
    Section,
    Table,
    Words,
)

__all__ = [
    "calibration_section",
    "confusion_section",
    "disagreement_section",
    "length_section",
]

NO_PREDICTIONS = (
    "No run here has its answers to the single test texts (predictions/test_predictions.parquet), "
    "which this section is made from. Runs of this version of nlp-rnn log them: train again."
)
NO_PAIR = (
    "This needs two comparable groups whose runs have their answers to the same test texts; "
    "there are none."
)
SMALLEST = 12
"""Fewer test texts than this cannot be cut by length."""

MOST_CONFUSIONS = 15


def length_section(material: Material) -> Section:
    """How accuracy changes with the length of a text."""
    title = "Accuracy by text length"
    found = material.predictions
    if not found:
        return Section("length", title, [Missing(NO_PREDICTIONS)])
    if material.num_texts < SMALLEST:
        few = f"{material.num_texts} test texts are too few to be cut by their length."
        return Section("length", title, [Missing(few)])
    from nlp_rnn.report.behaviour_figures import length_figure

    bands = dict(zip(found, length_bands(list(found.values())), strict=True))
    material.tables["lengths"] = [
        {"group": name, **vars(band)} for name, row in bands.items() for band in row
    ]
    figure = length_figure(bands, material.styles, "test accuracy (%)")
    first = next(iter(found))
    caption = (
        f"The n = {material.num_texts:,} test texts in ranges of about as many texts; length in "
        f"tokens as {first} counts them. Points are means over the seeds, lines 95 % intervals "
        "(Wilson) that count the texts only, so overlapping lines do not mean equal."
    )
    picture = material.picture(figure, "length", "Test accuracy by the length of a text")
    return Section("length", title, [Figures([(picture, caption)])])


def calibration_section(material: Material) -> Section:
    """Whether the probabilities mean what they say."""
    title = "Calibration: can the probabilities be trusted?"
    found = {name: reliability(runs) for name, runs in material.predictions.items()}
    if not found:
        return Section("calibration", title, [Missing(NO_PREDICTIONS)])
    from nlp_rnn.report.behaviour_figures import reliability_figure

    material.tables["calibration"] = [
        {
            "group": name,
            "bin": place,
            "confidence": float(each.confidence[place]),
            "right": float(each.right[place]),
            "answers": int(each.counts[place]),
        }
        for name, each in found.items()
        for place in range(len(each.counts))
    ]
    answers = {name: len(runs) for name, runs in material.predictions.items()}
    table = Table(
        ["group", "ECE, points", "Brier, 0 to 2", "mean probability, %", "right, %"],
        [
            [
                name,
                percent(100 * each.error, 2),
                f"{each.brier:.3f}",
                percent(100 * float((each.confidence * each.counts).sum() / each.counts.sum())),
                percent(100 * float((each.right * each.counts).sum() / each.counts.sum())),
            ]
            for name, each in found.items()
        ],
        "ECE: how far the probability of a label is from how often it is right, on average, in 10 "
        "bins (Naeini et al. 2015). Brier: squared distance of all probabilities from the truth. "
        f"Means over seeds, n = {material.num_texts:,} test texts; lower is better for both.",
    )
    seeds = ", ".join(f"{name} × {count}" for name, count in answers.items())
    caption = (
        f"n = {material.num_texts:,} test texts for each seed ({seeds}). On the dotted line "
        "probabilities can be taken at their word; below it the group is too sure of itself, "
        "above it not sure enough. Larger marks are more answers."
    )
    figure = reliability_figure(found, material.styles)
    picture = material.picture(figure, "calibration", "Share right over the probability given")
    return Section("calibration", title, [table, Figures([(picture, caption)])])


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


def confusion_section(material: Material) -> Section:
    """Which confusions one group makes more often than the other."""
    title = "Confusion: where the errors differ"
    pair = material.pair()
    if pair is None:
        return Section("confusion", title, [Missing(NO_PAIR)])
    from nlp_rnn.report.behaviour_figures import confusion_figure

    names = material.comparison.label_names
    first = confusion_shares(material.predictions[pair.first])
    second = confusion_shares(material.predictions[pair.second])
    gap = first - second
    counts = np.bincount(material.predictions[pair.first][0].labels, minlength=len(names))
    material.tables["confusion"] = [
        {
            "label": names[row],
            "answer": names[column],
            "first": float(first[row, column]),
            "second": float(second[row, column]),
            "texts": int(counts[row]),
        }
        for row, column in np.ndindex(*gap.shape)
        if first[row, column] or second[row, column]
    ]
    absent = [name for name, count in zip(names, counts, strict=True) if not count]
    seen = np.nan_to_num(gap)
    caption = (
        f"Of each true label (row, n = {counts[counts > 0].min():,} to {counts.max():,} texts a "
        f"label), the share given each label by {pair.first} minus that by {pair.second}, in "
        f"points, means over the seeds. Purple: {pair.second} more often; orange: {pair.first}. "
        "On the diagonal, more is better."
    )
    if absent:
        caption += f" No test text has the label {', '.join(map(repr, absent[:5]))}."
    figure = confusion_figure(seen, names)
    picture = material.picture(figure, "confusion", f"Confusion, {pair.first} minus {pair.second}")
    blocks: list[Block] = [Figures([(picture, caption)])]
    apart = seen.copy()
    np.fill_diagonal(apart, 0)
    order = np.argsort(-np.abs(apart) * counts[:, None], axis=None, kind="stable")
    places = [np.unravel_index(place, apart.shape) for place in order[:MOST_CONFUSIONS]]
    rows = [
        [
            f"{names[row]} → {names[column]}",
            percent(float(first[row, column])),
            percent(float(second[row, column])),
            points(float(apart[row, column])),
            f"{counts[row]:,}",
        ]
        for row, column in places
        if apart[row, column]
    ]
    if rows:
        heads = ["true → given", f"{pair.first}, %", f"{pair.second}, %", "points", "n texts"]
        told = "The confusions that differ in most texts, as shares of the texts of the true label."
        blocks.append(Table(heads, rows, told))
    return Section("confusion", title, blocks)


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
