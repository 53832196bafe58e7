"""The built-in corpus: generated short English stories, labelled with the place of a letter.

Every story says early that somebody left a letter at one place and something else at the other
place. The order of the things and the order of the places are independent coin tosses. So no word
and no pair of neighbouring words reveals the label: a model must associate the letter with its
place and remember it over all the sentences that follow.
"""

import random

from nlp_rnn.errors import DataError

__all__ = ["PLACES", "make_stories"]

PLACES = ("mill", "tower")
"""The labels."""

_NAMES = (
    *("Ada", "Bruno", "Clara", "Emil", "Greta", "Hugo", "Ida", "Jonas"),
    *("Lena", "Marta", "Nils", "Oskar", "Paula", "Tilda", "Viktor", "Wanda"),
)
_THINGS = (
    *("basket", "compass", "flute", "kettle", "key", "lantern"),
    *("map", "mirror", "rope", "scarf", "shovel", "violin"),
)
_SCENES = (
    "It was the first warm day of spring.",
    "The village was still asleep.",
    "Autumn had come early that year.",
    "It was market day.",
    "The night had been long and cold.",
)
_OPENINGS = (
    "{name} left a {first} at the {here} and a {second} at the {there}.",
    "In the morning {name} hid a {first} at the {here} and a {second} at the {there}.",
    "Before breakfast {name} put a {first} in the {here} and a {second} in the {there}.",
    "{name} had forgotten a {first} in the {here} and a {second} in the {there}.",
    "On the way home {name} dropped off a {first} at the {here} and a {second} at the {there}.",
)
_DISTRACTIONS = (
    "It rained for an hour.",
    "A fox crossed the lane.",
    "The baker sold his last loaf.",
    "Somebody rang the church bell.",
    "Geese flew over the river.",
    "Nobody stood on the bridge.",
    "A cart rolled through the village.",
    "An old dog slept in the sun.",
    "Snow still lay on the hills.",
    "The wind smelled of apples.",
    "Two boys argued about a ball.",
    "Smoke rose behind the {place}.",
    "Children played near the {place}.",
    "The path to the {place} was muddy.",
    "Swallows nested under the roof of the {place}.",
    "A stranger asked the way to the {place}.",
    "People say that the {place} is haunted.",
    "{other} walked past the {place} and saw nobody.",
    "{other} talked about the old {place} all day.",
    "{other} bought a {thing} from a pedlar.",
    "{other} dreamed of a new {thing}.",
    "{other} was mending a {thing}.",
    "{other} carried a {thing} to the {place} and back.",
    "{other} baked a cake.",
    "{other} painted the fence green.",
    "{other} sang in the garden.",
)
_ENDINGS = (
    "At dusk {name} went back for the letter.",
    "Then {name} needed the letter and ran to fetch it.",
    "In the evening {name} came back to fetch the letter.",
    "When the moon rose, {name} set out to get the letter.",
    "{name} remembered where the letter was and smiled.",
)
_ATTEMPTS = 200  # in a row without a new story: nearly all stories have been generated


def make_stories(
    rows: int, sentences: int, seed: int, taken: set[str] | None = None
) -> tuple[list[str], list[str]]:
    """Generate `rows` different stories and their labels. Equal arguments give equal stories.

    Parameters
    ----------
    rows : int
        Number of stories.
    sentences : int
        A story has 0 to `sentences` distracting sentences; all numbers are equally likely.
    seed : int
        Seed of the generator.
    taken : set of str, optional
        Texts that must not be generated again. The new texts are added to it.

    Returns
    -------
    texts, labels : lists of str
        The labels are from `PLACES`, half of them each.

    Raises
    ------
    DataError
        There are fewer than `rows` different stories.
    """
    chance = random.Random(seed)
    taken = set() if taken is None else taken
    texts: list[str] = []
    labels = [PLACES[row % 2] for row in range(rows)]
    chance.shuffle(labels)
    for label in labels:
        for _ in range(_ATTEMPTS):
            text = _story(chance, label, chance.randint(0, sentences))
            if text not in taken:
                break
        else:
            raise DataError(
                f"With {sentences} distracting sentences there are not {rows:,} different stories; "
                f"{len(texts):,} were generated.\n"
                "Set data.train_rows and data.test_rows lower, or data.train_sentences and "
                "data.test_sentences higher."
            )
        taken.add(text)
        texts.append(text)
    return texts, labels


def _story(chance: random.Random, label: str, sentences: int) -> str:
    """Generate one story whose letter is at `label`."""
    name = chance.choice(_NAMES)
    others = [other for other in _NAMES if other != name]
    here, there = chance.sample(PLACES, 2)
    thing = chance.choice(_THINGS)
    first, second = ("letter", thing) if here == label else (thing, "letter")
    story = [chance.choice(_SCENES)] if chance.random() < 0.5 else []
    opening = chance.choice(_OPENINGS)
    story.append(opening.format(name=name, first=first, here=here, second=second, there=there))
    deck: list[str] = []
    for _ in range(sentences):
        if not deck:  # no sentence is repeated before all others were used
            deck = chance.sample(_DISTRACTIONS, len(_DISTRACTIONS))
        story.append(
            deck.pop().format(
                place=chance.choice(PLACES),
                thing=chance.choice(_THINGS),
                other=chance.choice(others),
            )
        )
    story.append(chance.choice(_ENDINGS).format(name=name))
    return " ".join(story)
