"""Texts become token ids as the tokenizer would give, most words from memory.

Where a tokenizer cuts at white space before anything else, the tokens of a text are those of its
words, one after the other. A dictionary finds the tokens of a word it has met ten times faster
than the tokenizer makes them, and of a long text only the ends that are read are looked at.
"""

import json
from collections.abc import Sequence
from typing import Any

from nlp_rnn.tokens.tokenizer import (
    MARK,
    MARKED_WORD,
    UNKNOWN_ID,
    VARIATION_SELECTOR,
    WORD_START,
    encodable,
    encode,
)

__all__ = ["WordCache"]

# Words that are kept, which is three megabytes, and characters of the longest one.
WORDS = 1 << 15
WORD_LENGTH = 32
# Texts whose unknown words are looked up together.
BLOCK = 256

# Pre-tokenizers that cut at white space, or further what was cut there, and normalizers that do
# not look across it.
_CUTTING = ("Whitespace", "WhitespaceSplit", "BertPreTokenizer")
_FURTHER = ("Digits", "Punctuation", "Split")
_LOCAL = ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "BertNormalizer")

# White space for Python's split, but not for the tokenizers.
_SEPARATORS = "\x1c\x1d\x1e\x1f"


class WordCache:
    """A tokenizer that remembers words; safe to share between threads.

    Promise: `encode` gives what `nlp_rnn.tokens.tokenizer.encode` gives.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        described = json.loads(tokenizer.to_str())
        truncation = described["truncation"]
        self._longest: int | None = truncation["max_length"] if truncation else None
        self._tail: int = truncation["stride"] if truncation else 0
        self._head = (self._longest or 0) - self._tail
        self._by_words = _cuts_at_white_space(described)
        self._known: dict[str, list[int]] = {}

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, cut at `max_length`; `[UNKNOWN_ID]` when there is none."""
        if not self._by_words:
            return encode(self._tokenizer, texts)
        found: list[list[int]] = []
        for start in range(0, len(texts), BLOCK):
            found += self._block(texts[start : start + BLOCK])
        return found

    def _block(self, texts: Sequence[str]) -> list[list[int]]:
        split = [self._split(text) for text in texts]
        known = self._known
        words = {word for first, last, _ in split for word in (*first, *last)}
        if new := [word for word in words if word not in known]:
            known = known | self._learn(new)
        found = []
        for text, (first, last, cut) in zip(texts, split, strict=True):
            ids = [token for word in first for token in known[word]]
            end = [token for word in last for token in known[word]] if cut else ids
            short = cut and (len(ids) < self._head or len(end) < self._tail)
            if short or any(mark in text for mark in _SEPARATORS):
                (ids,) = encode(self._tokenizer, [text])
            elif cut or (self._longest is not None and len(ids) > self._longest):
                ids = ids[: self._head] + end[len(end) - self._tail :]
            found.append(ids or [UNKNOWN_ID])
        return found

    def _split(self, text: str) -> tuple[list[str], list[str], bool]:
        """The words that may be read, of a long text those of its two ends, and whether it is long.

        A word has a token, as a rule, so no more words are needed than tokens.
        """
        if self._longest is None:
            return text.split(), [], False
        words = text.split(None, self._longest)
        if len(words) <= self._longest:
            return words, [], False
        rest = words.pop()
        if not self._tail:
            return words, [], True
        end = rest.rsplit(None, self._tail)[-self._tail :]
        return words[: self._head], [*words, *end][-self._tail :], True

    def _learn(self, words: list[str]) -> dict[str, list[int]]:
        """The tokens of `words`; short ones are kept as long as there is room."""
        encodings = self._tokenizer.encode_batch_fast(
            [encodable(word) for word in words], add_special_tokens=False
        )
        learnt = {word: encoding.ids for word, encoding in zip(words, encodings, strict=True)}
        if self._tail:  # of a word that is cut too, windows that overlap by so many tokens
            for word, encoding in zip(words, encodings, strict=True):
                for window in encoding.overflowing:
                    learnt[word] = learnt[word] + window.ids[self._tail :]
        for word, tokens in learnt.items():
            if len(self._known) >= WORDS:
                break
            if len(word) <= WORD_LENGTH:
                self._known[word] = tokens
        return learnt


def _cuts_at_white_space(described: dict[str, Any]) -> bool:
    """Whether the tokens of a text are, by the tokenizer's JSON, those of its words."""
    # as `train_tokenizer` sets: for BPE a mark before each word, and a cut that white space ends
    marking = {"type": "Replace", "pattern": {"Regex": WORD_START}, "content": MARK}
    dropping = {"type": "Replace", "pattern": {"Regex": VARIATION_SELECTOR}, "content": ""}
    normalizer = described["normalizer"] or {"type": "Sequence", "normalizers": []}
    steps = normalizer["normalizers"] if normalizer["type"] == "Sequence" else [normalizer]
    cutter = described["pre_tokenizer"] or {"type": None}
    cutters = cutter["pretokenizers"] if cutter["type"] == "Sequence" else [cutter]
    truncation = described["truncation"] or {"direction": "Right"}
    return (
        bool(cutters)
        and (cutters[0]["type"] in _CUTTING or cutters[0].get("pattern") == {"Regex": MARKED_WORD})
        and all(cutter["type"] in _FURTHER for cutter in cutters[1:])
        and all(step["type"] in _LOCAL or step in (marking, dropping) for step in steps)
        and truncation["direction"] == "Right"
        and described["post_processor"] is None
        and not any(
            added["lstrip"] or added["rstrip"] or added["content"].split() != [added["content"]]
            for added in described["added_tokens"]
        )
    )
