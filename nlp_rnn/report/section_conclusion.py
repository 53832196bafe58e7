"""section_conclusion."""

from typing import TYPE_CHECKING

from nlp_rnn.comparison.records import Recommendation
from nlp_rnn.report.context import Material, percent
from nlp_rnn.report.page import (
    Block,
    Items,
    Missing,
    Section,
    Words,
)
from nlp_rnn.report.section_difference import why_no_difference

if TYPE_CHECKING:
    pass

__all__ = ["recommendation_section", "undecided_section", "verdict_section"]

MATCHINGS = ("size", "parameters", "latency")
"""In what two cells can be the same, one at a time."""
MOST_NAMED = 6
"""Pairs that a sentence names; of more it names the first and the last."""


def verdict_section(material: Material) -> Section:
    """The answer, and where another threshold or matching gives another one."""
    comparison = material.comparison
    blocks: list[Block] = [Words(comparison.verdict, "verdict")]
    if comparison.robustness:
        blocks.append(Items([("This turns it.", flip, "") for flip in comparison.robustness]))
    elif comparison.differences:
        ropes = ", ".join(f"±{rope:g}" for rope in comparison.rules.ropes)
        blocks.append(Words(f"The outcome is the same for a ROPE of {ropes} points."))
    ways = {way for each in comparison.differences for way in each.matching}
    absent = [way for way in MATCHINGS if way not in ways]
    if ways & set(MATCHINGS) and absent:
        there = " and ".join(f"the same {way}" for way in MATCHINGS if way in ways)
        blocks.append(
            Words(
                f"Compared were groups of {there}. No pair here has the same "
                f"{' or '.join(absent)}: nothing is said about that way of matching."
            )
        )
    return Section("verdict", "Verdict", blocks)


def recommendation_section(material: Material) -> Section:
    """What to take for each use, quoting its evidence."""
    found = material.comparison.recommendations
    block: Block = Missing(
        "Nothing is recommended: there are no two comparable groups of runs. Train both cells with "
        "the same seeds on the same data."
    )
    if len(found) > 1 and len({(each.choice, each.reason, each.evidence) for each in found}) == 1:
        block = Items([(f"For every use: {found[0].choice or 'none of them'}", *_said(found[0]))])
    elif found:
        block = Items(
            [
                (
                    f"{each.use[:1].upper()}{each.use[1:]}: {each.choice or 'undecided'}",
                    *_said(each),
                )
                for each in found
            ]
        )
    return Section("recommendation", "Recommendation by use", [block])


def undecided_section(material: Material) -> Section:
    """What the runs could not answer and what would."""
    comparison = material.comparison
    blocks: list[Block] = [
        Items([("", sentence, "") for sentence in comparison.inconclusive])
        if comparison.inconclusive
        else Missing(
            "Nothing that was asked is left open."
            if comparison.differences
            else why_no_difference(comparison)
        )
    ]
    if comparison.differences:
        pairs = sorted(comparison.differences, key=lambda each: each.detectable)
        some = pairs if len(pairs) <= MOST_NAMED else [pairs[0], pairs[-1]]
        least = (", ", " to ")[len(pairs) > MOST_NAMED].join(
            f"{each.first} − {each.second} {percent(each.detectable, 2)} points" for each in some
        )
        blocks.append(
            Words(
                f"Smallest true difference that these seeds and texts would show in "
                f"{comparison.rules.power:.0%} of repetitions: {least}."
            )
        )
    return Section("undecided", "What could not be decided, and what it would take", blocks)


def _said(each: Recommendation) -> tuple[str, str]:
    return each.reason, each.evidence
