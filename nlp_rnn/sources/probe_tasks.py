"""A seed becomes texts of symbols that ask one thing of a memory: to count, to nest, to keep.

Trained at lengths up to L, tested at up to 1, 2, 4 and 8 L, so that what was learnt is told from
what was remembered. Every class is equally frequent at every length, and the classes of a probe
differ by as little as they can (`_PROBES` says by what). Each is meant for one direction and the
last state; `second_direction` says what reading from the other end would give away.
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
    """One task: `make(chance, length, label)` gives the tokens of a text, at most `length`.

    `shortest` is the shortest length that every class has.
    """

    labels: tuple[str, ...]
    make: Maker
    shortest: int
    question: str
    second_direction: str


def make_probe(
    probe: Probe, rows: int, shortest: int, longest: int, chance: random.Random
) -> tuple[list[str], list[str]]:
    """Return `rows` texts of `shortest` to `longest` tokens and their labels, classes in turn."""
    labels = [probe.labels[row % len(probe.labels)] for row in range(rows)]
    chance.shuffle(labels)
    lengths = [chance.randint(shortest, longest) for _ in labels]
    texts = [
        " ".join(probe.make(chance, length, label))
        for length, label in zip(lengths, labels, strict=True)
    ]
    return texts, labels


def test_parts(probe: Probe, length: int) -> dict[str, tuple[int, int]]:
    """Shortest and longest test text of each factor: `2x` begins where `1x` ends."""
    parts = {f"{factor}x": (factor * length // 2 + 1, factor * length) for factor in PROBE_FACTORS}
    return parts | {"1x": (probe.shortest, length)}


def _counting(chance: random.Random, length: int, label: str) -> list[str]:
    half = length // 2 - 1
    other = half if label == "equal" else half + _off(chance)
    return ["a"] * half + ["b"] * other


def _off(chance: random.Random) -> int:
    """One or two, more or less: with one alone, whether a text's length is odd tells the class."""
    return chance.choice((-2, -1, 1, 2))


def _counting3(chance: random.Random, length: int, label: str) -> list[str]:
    third = (length - 2) // 3
    counts = [third, third, third]
    if label == "unequal":
        counts[chance.choice((1, 2))] += _off(chance)
    return [letter for letter, count in zip("abc", counts, strict=True) for _ in range(count)]


def _dyck1(chance: random.Random, length: int, label: str) -> list[str]:
    """Balanced, or with one pair swapped so that a bracket closes what was never opened.

    Both kinds have as many opening as closing brackets, begin with an opening and end with a
    closing one.
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
    """One of all balanced words of that length, each as likely (Arnold & Sleep 1980)."""
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
    """Two kinds of brackets at most `_DEPTH` deep; one closing bracket may be of the other kind."""
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
        place = chance.choice([place for place, bracket in enumerate(word) if bracket in ")]"])
        word[place] = {")": "]", "]": ")"}[word[place]]
    return word


def _majority(chance: random.Random, length: int, label: str) -> list[str]:
    """Two letters in random order; one leads by 1 to a quarter of the length."""
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
    """Names with a colour each among noise, then a name: which colour had it?"""
    names = chance.sample(_NAMES, _PAIRS)
    colours = [label, *chance.choices(_COLOURS, k=_PAIRS - 1)]
    told = list(zip(names, colours, strict=True))
    chance.shuffle(told)
    noise = length - 2 * _PAIRS - 2
    places = sorted(chance.randint(0, noise) for _ in told)
    word = chance.choices(_NOISE, k=noise)
    for place, pair in reversed(list(zip(places, told, strict=True))):
        word[place:place] = pair
    return [*word, "ask", names[0]]


_SINGULAR = ("cabinet", "door", "key", "lamp", "letter", "table")
_PLURAL = tuple(f"{noun}s" for noun in _SINGULAR)
_NEAR = ("behind", "beside", "near", "under")


def _agreement(chance: random.Random, length: int, label: str) -> list[str]:
    """`the keys near the lamp … are`: each noun between has a number of its own, by a coin."""
    plural = chance.random() < 0.5
    word = ["the", chance.choice(_PLURAL if plural else _SINGULAR)]
    for _ in range((length - 3) // 3):
        nouns = chance.choice((_SINGULAR, _PLURAL))
        word += [chance.choice(_NEAR), "the", chance.choice(nouns)]
    return [*word, "are" if plural == (label == "right") else "is"]


_CUPS = {"a": (1, 0, 2), "b": (0, 2, 1), "c": (1, 2, 0)}
_ORDERS = {order: "".join(str(cup + 1) for cup in order) for order in permutations(range(3))}


def _permutation(chance: random.Random, length: int, label: str) -> list[str]:
    """Moves of three cups (swap the first two, the last two, rotate); the label is their order."""
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
        "everything: it reads the question first, and keeps one colour instead of all",
    ),
    "agreement": Probe(
        ("right", "wrong"),
        _agreement,
        6,
        "whether the verb at the end has the number of the noun at the beginning",
        "everything: it reads the noun last, just before it answers",
    ),
    "permutation": Probe(
        tuple(sorted(_ORDERS.values())),
        _permutation,
        4,
        "the order of three cups after the moves",
        _SAME,
    ),
}
"""By name."""
