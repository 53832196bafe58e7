"""Checks of the texts and labels that a caller passes, and chunks of texts that fit into memory."""

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet

from nlp_rnn.errors import ClassifierError

__all__ = ["checked_label_sets", "checked_strings", "text_chunks"]

# A chunk, whose token ids are in memory together, ends at this many texts or characters.
CHUNK_TEXTS = 4096
CHUNK_VALUES = 1 << 23  # probabilities
CHUNK_CHARACTERS = 8 << 20


def checked_strings(values: Iterable[str], name: str) -> Iterator[str]:
    """Return an iterator over `values` that checks that each is a `str`.

    Raises
    ------
    ClassifierError
        At the call, if `values` is a single text or has no order; while iterating, if a value is
        no `str`. `name` is the name of the argument in the message.
    """
    if isinstance(values, str | bytes):
        raise ClassifierError(
            f"{name} is one {type(values).__name__}, not a list of str.\n"
            "Put a single text into a list: [text]."
        )
    if hasattr(values, "columns"):
        raise ClassifierError(
            f"{name} is a table with the columns {', '.join(map(str, values.columns))}.\n"
            'Pass one of them: predict(table["text"]).'
        )
    if isinstance(values, Mapping | AbstractSet):
        raise ClassifierError(
            f"{name} is {type(values).__name__}, not a list of str.\n"
            "Pass a list: its order is the order of the predictions."
        )
    try:
        iterator = iter(values)
    except TypeError:
        raise ClassifierError(
            f"{name} is {type(values).__name__}, not a list of str.\n"
            "Put a single text into a list: [text]."
        ) from None
    return _check_each(iterator, name)


def _check_each(values: Iterator[str], name: str) -> Iterator[str]:
    for position, value in enumerate(values):
        if not isinstance(value, str):
            raise ClassifierError(
                f"{name}[{position}] is {type(value).__name__} {_shortened(value)}, not a str.\n"
                "Remove it or convert it to text."
            )
        yield value


def checked_label_sets(values: Iterable[Iterable[str]]) -> Iterator[set[str]]:
    """Yield the labels of each text as a set, and check that each is a `str`.

    Raises
    ------
    ClassifierError
        As in `checked_strings`, for `values` or for the labels of one text.
    """
    if isinstance(values, str | bytes):
        raise ClassifierError(
            "labels is a single str. Pass a list of labels for each text: [[label], []]."
        )
    for position, labels in enumerate(values):
        ordered = sorted(labels) if isinstance(labels, set | frozenset) else labels
        yield set(checked_strings(ordered, f"labels[{position}]"))


def _shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:40] + "…"


def text_chunks(texts: Iterable[str], num_labels: int = 1) -> Iterator[list[str]]:
    """Yield the texts in non-empty lists that are small enough to be predicted at once.

    Parameters
    ----------
    texts : iterable of str
        The texts.
    num_labels : int, default 1
        The number of probabilities of each text.
    """
    most = max(1, min(CHUNK_TEXTS, CHUNK_VALUES // num_labels))
    chunk: list[str] = []
    characters = 0
    for text in texts:
        chunk.append(text)
        characters += len(text)
        if len(chunk) >= most or characters >= CHUNK_CHARACTERS:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk
