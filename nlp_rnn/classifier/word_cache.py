"""Tokenizer with a cache of words, which gives the same token ids several times faster.

If a tokenizer first splits at white space, the tokens of a text are the concatenated tokens of its
words. A dictionary finds the tokens of a known word ten times faster than the tokenizer computes
them. In a long text only the parts that remain after truncation are looked up.
"""

import json
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from nlp_rnn.tokens.special_tokens import unescaping_step
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

# Number of cached words, which take three megabytes, and characters of the longest one.
MAX_WORDS = 1 << 15
MAX_WORD_LENGTH = 32
# Number of texts whose unknown words are tokenized together.
BLOCK_TEXTS = 256

# Pre-tokenizers that split at white space, or split the result further, and normalizers that do
# not look across white space.
_SPLIT_AT_WHITE_SPACE = ("Whitespace", "WhitespaceSplit", "BertPreTokenizer")
_SPLIT_FURTHER = ("Digits", "Punctuation", "Split")
_LOCAL_NORMALIZERS = ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "BertNormalizer")

# White space for Python's split, but not for the tokenizers.
_SEPARATORS = "\x1c\x1d\x1e\x1f"


class WordCache:
    """Tokenizer that caches the tokens of words; threads can share it.

    Guarantee: `encode` returns what `nlp_rnn.tokens.tokenizer.encode` returns.

    Parameters
    ----------
    tokenizer : tokenizers.Tokenizer
        Any tokenizer. One that does not split at white space first is used without the cache.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        description = json.loads(tokenizer.to_str())
        truncation = description["truncation"]
        self._max_length: int | None = truncation["max_length"] if truncation else None
        self._tail: int = truncation["stride"] if truncation else 0
        self._head = (self._max_length or 0) - self._tail
        self._uses_cache = _splits_at_white_space(description)
        self._cache: dict[str, list[int]] = {}

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each text, truncated; `[UNKNOWN_ID]` for a text without any."""
        if not self._uses_cache:
            return encode(self.tokenizer, texts)
        ids: list[list[int]] = []
        for start in range(0, len(texts), BLOCK_TEXTS):
            ids += self._encode_block(texts[start : start + BLOCK_TEXTS])
        return ids

    def encode_whole(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each text without truncation, computed without the cache."""
        return encode(self.without_truncation, texts)

    @cached_property
    def without_truncation(self) -> Any:
        """Copy of the tokenizer that does not truncate texts."""
        # a copy, because truncation is a state of the tokenizer, which other threads are using
        tokenizer = type(self.tokenizer).from_str(self.tokenizer.to_str())
        tokenizer.no_truncation()
        return tokenizer

    def _encode_block(self, texts: Sequence[str]) -> list[list[int]]:
        split = [self._split(text) for text in texts]
        cache = self._cache
        words = {word for first, last, _ in split for word in (*first, *last)}
        if new := [word for word in words if word not in cache]:
            cache = cache | self._tokenize(new)
        rows = []
        for text, (first, last, is_long) in zip(texts, split, strict=True):
            ids = [token for word in first for token in cache[word]]
            end = [token for word in last for token in cache[word]] if is_long else ids
            too_few = is_long and (len(ids) < self._head or len(end) < self._tail)
            if too_few or any(separator in text for separator in _SEPARATORS):
                (ids,) = encode(self.tokenizer, [text])
            elif is_long or (self._max_length is not None and len(ids) > self._max_length):
                ids = ids[: self._head] + end[len(end) - self._tail :]
            rows.append(ids or [UNKNOWN_ID])
        return rows

    def _split(self, text: str) -> tuple[list[str], list[str], bool]:
        """Return the words that truncation may keep, and whether the text is long.

        Of a long text these are words of its beginning and, with a stride, of its end. A word
        usually has at least one token, so as many words as tokens are enough.
        """
        if self._max_length is None:
            return text.split(), [], False
        words = text.split(None, self._max_length)
        if len(words) <= self._max_length:
            return words, [], False
        rest = words.pop()
        if not self._tail:
            return words, [], True
        end = rest.rsplit(None, self._tail)[-self._tail :]
        return words[: self._head], [*words, *end][-self._tail :], True

    def _tokenize(self, words: list[str]) -> dict[str, list[int]]:
        """Return the tokens of `words`, and cache those of short words while there is room."""
        encodings = self.tokenizer.encode_batch_fast(
            [encodable(word) for word in words], add_special_tokens=False
        )
        tokens = {word: encoding.ids for word, encoding in zip(words, encodings, strict=True)}
        if self._tail:  # a long word is truncated too: join its windows, which overlap by the tail
            for word, encoding in zip(words, encodings, strict=True):
                for window in encoding.overflowing:
                    tokens[word] = tokens[word] + window.ids[self._tail :]
        for word, ids in tokens.items():
            if len(self._cache) >= MAX_WORDS:
                break
            if len(word) <= MAX_WORD_LENGTH:
                self._cache[word] = ids
        return tokens


def _splits_at_white_space(description: dict[str, Any]) -> bool:
    """Whether a tokenizer in JSON maps a text to the concatenated tokens of its words."""
    # what `train_tokenizer` sets for BPE: a mark before each word, and words end at white space
    add_mark = {"type": "Replace", "pattern": {"Regex": WORD_START}, "content": MARK}
    drop_selector = {"type": "Replace", "pattern": {"Regex": VARIATION_SELECTOR}, "content": ""}
    unescape = [unescaping_step(added["content"]) for added in description["added_tokens"]]
    normalizer = description["normalizer"] or {"type": "Sequence", "normalizers": []}
    steps = normalizer["normalizers"] if normalizer["type"] == "Sequence" else [normalizer]
    splitter = description["pre_tokenizer"] or {"type": None}
    splitters = splitter["pretokenizers"] if splitter["type"] == "Sequence" else [splitter]
    truncation = description["truncation"] or {"direction": "Right"}
    return (
        bool(splitters)
        and (
            splitters[0]["type"] in _SPLIT_AT_WHITE_SPACE
            or splitters[0].get("pattern") == {"Regex": MARKED_WORD}
        )
        and all(splitter["type"] in _SPLIT_FURTHER for splitter in splitters[1:])
        and all(
            step["type"] in _LOCAL_NORMALIZERS or step in (add_mark, drop_selector, *unescape)
            for step in steps
        )
        and truncation["direction"] == "Right"
        and description["post_processor"] is None
        and not any(
            added["lstrip"] or added["rstrip"] or added["content"].split() != [added["content"]]
            for added in description["added_tokens"]
        )
    )
