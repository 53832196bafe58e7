"""Texts become token ids as the tokenizer would give, most words from memory.

Where a tokenizer cuts at white space before anything else, the tokens of a text are those of its
words, one after the other. A dictionary finds the tokens of a word it has met ten times faster
than the tokenizer makes them, and no more of a text is looked at than the network reads.
"""

import json
from collections.abc import Sequence
from typing import Any

from nlp_rnn.data.tokenizer import (
    MARK,
    MARKED_WORD,
    UNKNOWN_ID,
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
_FURTHER = ("Digits", "Punctuation")
_LOCAL = ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "BertNormalizer")

# White space for Python's split, but not for the tokenizers.
_SEPARATORS = "\x1c\x1d\x1e\x1f"


class WordCache:
    """A tokenizer that remembers words; safe to share between threads.

    Promise: `encode` gives what `nlp_rnn.data.tokenizer.encode` gives.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        described = json.loads(tokenizer.to_str())
        truncation = described["truncation"]
        self._longest: int | None = truncation["max_length"] if truncation else None
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
        # a word has a token, as a rule, so no more words are needed than tokens
        most = -1 if self._longest is None else self._longest
        split = [text.split(None, most) for text in texts]
        if most > 0:
            rests = [len(words) > most and bool(words.pop()) for words in split]
        else:
            rests = [False] * len(split)
        known = self._known
        new = {word for words in split for word in words if word not in known}
        if new:
            known = known | self._learn(list(new))
        ids = [[token for word in words for token in known[word]] for words in split]
        for place, text in enumerate(texts):
            short = rests[place] and len(ids[place]) < most
            if short or any(mark in text for mark in _SEPARATORS):
                (ids[place],) = encode(self._tokenizer, [text])
            elif self._longest is not None and len(ids[place]) > self._longest:
                del ids[place][self._longest :]
        return [tokens or [UNKNOWN_ID] for tokens in ids]

    def _learn(self, words: list[str]) -> dict[str, list[int]]:
        """The tokens of `words`; short ones are kept as long as there is room."""
        encodings = self._tokenizer.encode_batch_fast(
            [encodable(word) for word in words], add_special_tokens=False
        )
        learnt = {word: encoding.ids for word, encoding in zip(words, encodings, strict=True)}
        for word, tokens in learnt.items():
            if len(self._known) >= WORDS:
                break
            if len(word) <= WORD_LENGTH:
                self._known[word] = tokens
        return learnt


def _cuts_at_white_space(described: dict[str, Any]) -> bool:
    """Whether the tokens of a text are, by the tokenizer's JSON, those of its words."""
    # as `train_tokenizer` sets for BPE: a mark before each word, and a cut that white space ends
    marking = {"type": "Replace", "pattern": {"Regex": WORD_START}, "content": MARK}
    normalizer = described["normalizer"] or {"type": "Sequence", "normalizers": []}
    steps = normalizer["normalizers"] if normalizer["type"] == "Sequence" else [normalizer]
    cutter = described["pre_tokenizer"] or {"type": None}
    cutters = cutter["pretokenizers"] if cutter["type"] == "Sequence" else [cutter]
    truncation = described["truncation"] or {"direction": "Right", "stride": 0}
    return (
        bool(cutters)
        and (cutters[0]["type"] in _CUTTING or cutters[0].get("pattern") == {"Regex": MARKED_WORD})
        and all(cutter["type"] in _FURTHER for cutter in cutters[1:])
        and all(step["type"] in _LOCAL or step == marking for step in steps)
        and truncation["direction"] == "Right"
        and truncation["stride"] == 0  # the text's end is read too
        and described["post_processor"] is None
        and not any(
            added["lstrip"] or added["rstrip"] or added["content"].split() != [added["content"]]
            for added in described["added_tokens"]
        )
    )
