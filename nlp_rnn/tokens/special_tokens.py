"""Special tokens that no text contains: what a user wrote, such as `[PAD]`, is text.

The library `tokenizers` searches every text for the special tokens in `added_tokens`, and some
models also find them in their vocabulary. `without_special_texts` changes a tokenizer.json so that
neither happens. All of it is in the file, so that tokenizers saved earlier do not change.
"""

import json
import re
from collections.abc import Sequence
from typing import Any

from nlp_rnn.sources.separator import ESCAPE, escape_separator

__all__ = ["unescapes_separator", "unescaping_step", "without_special_texts"]

# Surroundings in which a model may find a token: alone, between words, within one, and repeated.
_CONTEXTS = ("{}", "a {} b", "a{}b", "{}{}", ". {}.")


def unescapes_separator(tokenizer_json: str, separator: str) -> bool:
    """Whether a tokenizer reads an escaped separator as text: not if it was saved earlier."""
    normalizer = json.loads(tokenizer_json)["normalizer"] or {}
    return unescaping_step(separator) in [normalizer, *normalizer.get("normalizers", [])]


def without_special_texts(tokenizer_json: str, separator: str | None) -> str:
    """Change a tokenizer so that it finds no special token in a text, except the separator.

    Ids, vocabulary and the tokens of all other texts stay the same.

    Parameters
    ----------
    tokenizer_json : str
        A tokenizer with all its tokens in the vocabulary of the model, the separator excepted.
    separator : str, optional
        Token between the texts of a pair. It is found unless it is escaped.
    """
    from tokenizers import Tokenizer

    whole: dict[str, Any] = json.loads(tokenizer_json)
    added = whole["added_tokens"]
    special = {token["content"]: token["id"] for token in added if token["special"]}
    whole["added_tokens"] = [
        token for token in added if not token["special"] or token["content"] == separator
    ]
    if separator is not None:
        step, normalizer = unescaping_step(separator), whole["normalizer"]
        steps = [normalizer] if normalizer else []
        if normalizer and normalizer["type"] == "Sequence":
            steps = normalizer["normalizers"]
        whole["normalizer"] = {"type": "Sequence", "normalizers": [step, *steps]}
    tokenizer = Tokenizer.from_str(json.dumps(whole))
    tokenizer.no_truncation()
    matched = [token for token in special if _finds(tokenizer, token, special[token], separator)]
    if matched:
        splitter = whole["pre_tokenizer"]
        splitters = [splitter] if splitter else []
        if splitter and splitter["type"] == "Sequence":
            splitters = splitter["pretokenizers"]
        whole["pre_tokenizer"] = {
            "type": "Sequence",
            "pretokenizers": [*splitters, _splitting(matched)],
        }
    return Tokenizer.from_str(json.dumps(whole)).to_str()


def unescaping_step(separator: str) -> dict[str, Any]:
    """Return the normalizer, as JSON, that removes the escapes of a separator."""
    before, after = re.escape(separator[:1]), re.escape(separator[1:])
    pattern = rf"(?<={before}){ESCAPE}(?={after})"
    return {"type": "Replace", "pattern": {"Regex": pattern}, "content": ""}


def _finds(tokenizer: Any, token: str, number: int, separator: str | None) -> bool:
    """Whether the model finds a special token in a text."""
    written = token if separator is None else escape_separator(token, separator)
    texts = [context.replace("{}", written) for context in _CONTEXTS]
    encodings = tokenizer.encode_batch(texts, add_special_tokens=False)
    return any(
        token_id == number and written in text[start:end]
        for text, encoding in zip(texts, encodings, strict=True)
        for token_id, (start, end) in zip(encoding.ids, encoding.offsets, strict=True)
    )


def _splitting(tokens: Sequence[str]) -> dict[str, Any]:
    """Return a pre-tokenizer that separates the first character of each token from the others.

    A special token of one character cannot be divided, and is still found.
    """
    rest: dict[str, list[str]] = {}
    for token in tokens:
        if len(token) > 1:
            rest.setdefault(token[0], []).append(re.escape(token[1:]))
    patterns = [f"{re.escape(first)}(?={'|'.join(ends)})" for first, ends in rest.items()]
    return {
        "type": "Split",
        "pattern": {"Regex": "|".join(patterns)},
        "behavior": "Isolated",
        "invert": False,
    }
