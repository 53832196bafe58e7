"""Tokens of single words, so that a text has the same tokens at once and word by word."""

from collections.abc import Sequence

__all__ = ["WordTokens"]


class WordTokens:
    """Tokens of words by a tokenizer: what stands between white space is read alone.

    So the tokens of a text are those of its words one after the other, whether it is read at once
    or word by word.

    Parameters
    ----------
    tokenizer_json : str
        A tokenizer.json. Its truncation, its padding and the special tokens that it adds to a text
        have no effect.
    """

    def __init__(self, tokenizer_json: str) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_str(tokenizer_json)
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        vocabulary = self._tokenizer.get_vocab()
        self.size = max(vocabulary.values(), default=-1) + 1
        # byte-level tokenizers mark the beginning of a word by the blank before it
        self._before = " " if any(token.startswith("Ġ") for token in vocabulary) else ""

    def ids(self, words: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each word."""
        texts = [f"{self._before}{word}".encode("utf-8", "replace").decode() for word in words]
        encodings = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        return [encoding.ids for encoding in encodings]
