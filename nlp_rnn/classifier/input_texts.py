"""Whatever a caller gives as texts becomes checked strings, and chunks of them that fit memory."""

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet

from nlp_rnn.errors import ClassifierError

__all__ = ["chunks", "label_lists", "strings"]

# Texts whose token ids are in memory at a time: a chunk ends at this many texts or characters.
CHUNK_TEXTS = 4096
CHUNK_CHARACTERS = 8 << 20


def strings(values: Iterable[str], name: str) -> Iterator[str]:
    """The strings in `values` as they are asked for, each checked to be a `str`.

    Raises:
        ClassifierError: at once, if `values` is one text or nothing that has an order; at a
            value that is no `str`, with its position.
    """
    if isinstance(values, str | bytes):
        raise ClassifierError(
            f"{name} is one {type(values).__name__}, not a list of str.\n"
            "Put a single one into a list: [text]."
        )
    if hasattr(values, "columns"):
        raise ClassifierError(
            f"{name} is a table with the columns {', '.join(map(str, values.columns))}.\n"
            'Give one of them: predict(table["text"]).'
        )
    if isinstance(values, Mapping | AbstractSet):
        raise ClassifierError(
            f"{name} is {type(values).__name__}, not a list of str.\n"
            "Give a list; its order is the order of the answers."
        )
    try:
        iterator = iter(values)
    except TypeError:
        raise ClassifierError(
            f"{name} is {type(values).__name__}, not a list of str.\n"
            "Put a text into a list: [text]."
        ) from None
    return _checked(iterator, name)


def _checked(values: Iterator[str], name: str) -> Iterator[str]:
    for position, value in enumerate(values):
        if not isinstance(value, str):
            raise ClassifierError(
                f"{name}[{position}] is {type(value).__name__} {_shortened(value)}, not a str.\n"
                "Drop it, or turn it into text first."
            )
        yield value


def label_lists(values: Iterable[Iterable[str]]) -> Iterator[set[str]]:
    """The labels of each text as a set, each checked to be a `str`.

    Raises:
        ClassifierError: as `strings`, of `values` or of the labels of one text.
    """
    if isinstance(values, str | bytes):
        raise ClassifierError("labels is one word, not a list of lists of str: [[label], []].")
    for position, labels in enumerate(values):
        some = sorted(labels) if isinstance(labels, set | frozenset) else labels
        yield set(strings(some, f"labels[{position}]"))


def _shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:40] + "…"


def chunks(texts: Iterable[str]) -> Iterator[list[str]]:
    """Runs of `texts`, none of them empty, that are small enough to be tokenized at once."""
    chunk: list[str] = []
    characters = 0
    for text in texts:
        chunk.append(text)
        characters += len(text)
        if len(chunk) >= CHUNK_TEXTS or characters >= CHUNK_CHARACTERS:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk
