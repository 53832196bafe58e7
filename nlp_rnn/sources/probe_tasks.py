"""Diagnostic probes: generated texts of symbols that test one ability of a recurrent memory.

Training texts have up to L tokens, test texts up to 1, 2, 4 and 8 L, which distinguishes a rule
that generalizes from memorized texts. Every class is equally frequent at every length, and the
classes of a probe differ as little as possible. Each probe is meant for a network with one
direction that classifies by its last state; `second_direction` says what a second one reveals.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import permutations

from nlp_rnn.config.data import PROBE_FACTORS

__all__ = ["PROBES", "Probe", "make_probe", "test_parts"]

Maker = Callable[[random.Random, int, str], list[str]]


@dataclass(frozen=True)
class Probe:
    """A diagnostic task.

    Attributes
    ----------
    labels : tuple of str
        The classes.
    make : callable
        Function of a random generator, a length and a label that returns the tokens of a text, at
        most `length` of them.
    shortest : int
        The smallest length, in tokens, at which every class has texts.
    question : str
        What the label says about a text.
    second_direction : str
        How much easier the task is for a network that also reads from the end.
    """

    labels: tuple[str, ...]
    make: Maker
    shortest: int
    question: str
    second_direction: str


def make_probe(
    probe: Probe, rows: int, shortest: int, longest: int, chance: random.Random
) -> tuple[list[str], list[str]]:
    """Generate `rows` texts of `shortest` to `longest` tokens, and their labels.

    All classes are equally frequent, up to one row.
    """
    labels = [probe.labels[row % len(probe.labels)] for row in range(rows)]
    chance.shuffle(labels)
    lengths = [chance.randint(shortest, longest) for _ in labels]
    texts = [
        " ".join(probe.make(chance, length, label))
        for length, label in zip(lengths, labels, strict=True)
    ]
    return texts, labels


def test_parts(probe: Probe, length: int) -> dict[str, tuple[int, int]]:
    """Return the shortest and longest test text of each length factor, in tokens.

    The range of `2x` begins where that of `1x` ends.
    """
    parts = {f"{factor}x": (factor * length // 2 + 1, factor * length) for factor in PROBE_FACTORS}
    return parts | {"1x": (probe.shortest, length)}


def _counting(chance: random.Random, length: int, label: str) -> list[str]:
    half = length // 2 - 1
    other = half if label == "equal" else half + _off(chance)
    return ["a"] * half + ["b"] * other


def _off(chance: random.Random) -> int:
    """Return -2, -1, 1 or 2: with ±1 alone, the parity of the length would reveal the class."""
    return chance.choice((-2, -1, 1, 2))


def _counting3(chance: random.Random, length: int, label: str) -> list[str]:
    third = (length - 2) // 3
    counts = [third, third, third]
    if label == "unequal":
        counts[chance.choice((1, 2))] += _off(chance)
    return [letter for letter, count in zip("abc", counts, strict=True) for _ in range(count)]


def _dyck1(chance: random.Random, length: int, label: str) -> list[str]:
    """Generate balanced brackets, or two of them swapped so that one closes nothing.

    Texts of both classes have as many opening as closing brackets, begin with an opening and end
    with a closing bracket.
    """
    while True:
        word = _balanced(chance, length // 2)
        if label == "balanced":
            return word
        for _ in range(20):
            first, second = sorted(chance.sample(range(1, len(word) - 1), 2))
            if word[first] == "(" and word[second] == ")":
                swapped = word.copy()
                swapped[first], swapped[second] = ")", "("
                if _lowest(swapped) < 0:
                    return swapped


def _balanced(chance: random.Random, pairs: int) -> list[str]:
    """Generate balanced brackets, all sequences equally likely (Arnold & Sleep 1980)."""
    word: list[str] = []
    height = 0
    for left in range(2 * pairs, 0, -1):
        opens = (height + 2) * (left - height) / (2 * left * (height + 1))
        word.append("(" if chance.random() < opens else ")")
        height += 1 if word[-1] == "(" else -1
    return word


def _lowest(word: list[str]) -> int:
    height = lowest = 0
    for bracket in word:
        height += 1 if bracket == "(" else -1
        lowest = min(lowest, height)
    return lowest


_DEPTH = 4


def _dyck2(chance: random.Random, length: int, label: str) -> list[str]:
    """Generate two kinds of nested brackets; in class `wrong` one closes the other kind."""
    word: list[str] = []
    opened: list[str] = []
    for left in range(2 * (length // 2), 0, -1):
        deepest = len(opened) in (_DEPTH, left)
        if opened and (deepest or chance.random() < 0.5):
            word.append({"(": ")", "[": "]"}[opened.pop()])
        else:
            opened.append(chance.choice("(["))
            word.append(opened[-1])
    if label == "wrong":
        wrong = chance.choice([index for index, bracket in enumerate(word) if bracket in ")]"])
        word[wrong] = {")": "]", "]": ")"}[word[wrong]]
    return word


def _majority(chance: random.Random, length: int, label: str) -> list[str]:
    """Generate two letters in random order; the label leads by 1 to a quarter of the length."""
    margin = chance.randint(1, max(1, length // 4))
    margin += (length - margin) % 2
    most = (length + margin) // 2
    other = "b" if label == "a" else "a"
    word = [label] * most + [other] * (length - most)
    chance.shuffle(word)
    return word


_COLOURS = ("blue", "green", "red", "white")
_NOISE = ("and", "but", "here", "now", "so", "then", "there", "while")
_NAMES = ("anna", "bert", "cora", "dirk", "emma", "fred", "gina", "hugo")
_PAIRS = 4


def _recall(chance: random.Random, length: int, label: str) -> list[str]:
    before = length // 2
    noise = chance.choices(_NOISE, k=length - 1)
    return [*noise[:before], label, *noise[before:]]


def _pairs(chance: random.Random, length: int, label: str) -> list[str]:
    """Generate names with colours among noise, then a name; the label is its colour."""
    names = chance.sample(_NAMES, _PAIRS)
    colours = [label, *chance.choices(_COLOURS, k=_PAIRS - 1)]
    pairs = list(zip(names, colours, strict=True))
    chance.shuffle(pairs)
    noise = length - 2 * _PAIRS - 2
    positions = sorted(chance.randint(0, noise) for _ in pairs)
    word = chance.choices(_NOISE, k=noise)
    for position, pair in reversed(list(zip(positions, pairs, strict=True))):
        word[position:position] = pair
    return [*word, "ask", names[0]]


_SINGULAR = ("cabinet", "door", "key", "lamp", "letter", "table")
_PLURAL = tuple(f"{noun}s" for noun in _SINGULAR)
_NEAR = ("behind", "beside", "near", "under")


def _agreement(chance: random.Random, length: int, label: str) -> list[str]:
    """Generate `the keys near the lamp … are`; the number of each noun between is random."""
    plural = chance.random() < 0.5
    word = ["the", chance.choice(_PLURAL if plural else _SINGULAR)]
    for _ in range((length - 3) // 3):
        nouns = chance.choice((_SINGULAR, _PLURAL))
        word += [chance.choice(_NEAR), "the", chance.choice(nouns)]
    return [*word, "are" if plural == (label == "right") else "is"]


_CUPS = {"a": (1, 0, 2), "b": (0, 2, 1), "c": (1, 2, 0)}
_ORDERS = {order: "".join(str(cup + 1) for cup in order) for order in permutations(range(3))}


def _permutation(chance: random.Random, length: int, label: str) -> list[str]:
    """Generate moves of three cups (swap the first or last two, rotate); the label is the order."""
    while True:
        word = chance.choices("abc", k=length)
        order = (0, 1, 2)
        for letter in word:
            first, second, third = _CUPS[letter]
            order = (order[first], order[second], order[third])
        if _ORDERS[order] == label:
            return word


_SAME = "nothing: from the other end it is the same task"

PROBES: dict[str, Probe] = {
    "counting": Probe(
        ("equal", "unequal"),
        _counting,
        8,
        "as many b as a, or one or two more or less",
        _SAME,
    ),
    "counting3": Probe(
        ("equal", "unequal"),
        _counting3,
        11,
        "as many b and c as a, or one or two more or less of b or of c",
        "half of it: one direction need only compare a with b, the other c with b",
    ),
    "dyck1": Probe(
        ("balanced", "broken"),
        _dyck1,
        8,
        "balanced brackets, or two swapped so that one closes what was never opened",
        _SAME,
    ),
    "dyck2": Probe(
        ("right", "wrong"),
        _dyck2,
        4,
        f"two kinds of brackets, at most {_DEPTH} deep, or one closing bracket of the other kind",
        _SAME,
    ),
    "majority": Probe(
        ("a", "b"),
        _majority,
        4,
        "which letter is more frequent, by 1 to a quarter of the length",
        "nothing: the order does not matter",
    ),
    "recall": Probe(
        _COLOURS,
        _recall,
        5,
        "the colour in the middle, noise before and after it",
        "nothing: the colour is as far from the other end",
    ),
    "pairs": Probe(
        _COLOURS,
        _pairs,
        2 * _PAIRS + 2,
        f"the colour that went with the name at the end, one of {_PAIRS}",
        "everything: it reads the question first, and needs to remember only one colour",
    ),
    "agreement": Probe(
        ("right", "wrong"),
        _agreement,
        6,
        "whether the verb at the end has the number of the noun at the beginning",
        "everything: it reads the noun last, just before the prediction",
    ),
    "permutation": Probe(
        tuple(sorted(_ORDERS.values())),
        _permutation,
        4,
        "the order of three cups after the moves",
        _SAME,
    ),
}
"""All probes by name."""
