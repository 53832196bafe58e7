"""Word vectors of a file become rows of the embedding: tokens are found by how they are written."""

import json
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.data.quality import Quality
from nlp_rnn.errors import DataError
from nlp_rnn.tokens.tokenization import TokenizedCorpus, TokenVectors
from nlp_rnn.tokens.tokenizer import MARK, UNKNOWN_ID
from nlp_rnn.tokens.word_vector_files import VectorFile, open_vector_file

__all__ = ["add_vectors", "surface_forms"]

# A token takes the vector of the word that is written as it is, else of its lower-case form, else
# of a word whose lower-case form it is.
_EXACT, _LOWERED, _LOWER, _NONE = range(4)


def add_vectors(tokens: TokenizedCorpus, path: Path, size: int) -> TokenizedCorpus:
    """`tokens` with the vectors that `path` has of them; only these are kept in memory.

    Its quality says too which share of the vocabulary and of the training tokens is covered, and
    how many lines are broken (too few numbers, no numbers, not UTF-8).

    Raises:
        ConfigError: no such file, or vectors of another size.
        DataError: no file of vectors, or it covers no token.
    """
    file = open_vector_file(path, size)
    forms = surface_forms(tokens.tokenizer_json)
    matrix, ranks, num_words, num_broken = _looked_up(file, forms)
    covered = ranks < _NONE
    if not covered.any():
        raise DataError(
            f"{path} has none of the {len(forms):,} tokens of the vocabulary.\n"
            "Give vectors of the language of the texts, or type tokenizer=word."
        )
    counts = tokens.train.token_counts(len(forms))
    shares = covered.sum() / len(forms), counts[covered].sum() / max(int(counts.sum()), 1)
    by_case = int((covered & (ranks > _EXACT)).sum())
    figures = {
        "data/vectors_covered_vocabulary": float(shares[0]),
        "data/vectors_covered_tokens": float(shares[1]),
        "data/vectors_broken_lines": float(num_broken),
    }
    lines = [
        f"vectors: {covered.sum():,} of {len(forms):,} tokens are in {path.name} "
        f"({by_case:,} of them in other case), {shares[1]:.1%} of the training texts' tokens"
    ]
    if num_broken:
        lines.append(
            f"vectors: {num_broken:,} broken {'line' if num_broken == 1 else 'lines'} of "
            f"{path.name} left out (not a word and {size} numbers)"
        )
    if file.words is not None and num_words + num_broken < file.words:
        lines.append(
            f"vectors: {path.name} ends early: its first line promises {file.words:,} words, "
            f"{num_words + num_broken:,} are there"
        )
    quality = Quality(tokens.quality.figures | figures, [*tokens.quality.lines, *lines])
    return replace(tokens, vectors=TokenVectors(matrix, covered), quality=quality)


def _looked_up(
    file: VectorFile, forms: Sequence[str]
) -> tuple[NDArray[np.float32], NDArray[np.int8], int, int]:
    """Vectors and ranks of all tokens, and how many words and broken lines there were."""
    written: defaultdict[str, list[int]] = defaultdict(list)
    lowered: defaultdict[str, list[int]] = defaultdict(list)
    for token, form in enumerate(forms):
        if form:
            written[form].append(token)
            if (low := _lower(form)) != form:
                lowered[low].append(token)
    matrix = np.zeros((len(forms), file.size), np.float32)
    ranks = np.full(len(forms), _NONE, np.int8)
    num_words = num_broken = 0
    nothing: list[int] = []
    for word, numbers in file.entries():
        if word is None:
            num_broken += 1
            continue
        num_words += 1
        low = _lower(word)
        tokens = [
            (token, rank)
            for rank, found in (
                (_EXACT, written.get(word, nothing)),
                (_LOWERED, lowered.get(word, nothing)),
                (_LOWER, written.get(low, nothing) if low != word else nothing),
            )
            for token in found
            if rank < ranks[token]  # the first of two such words
        ]
        if not tokens:
            continue
        vector = file.numbers(numbers)
        if vector is None:
            num_words, num_broken = num_words - 1, num_broken + 1
            continue
        for token, rank in tokens:
            matrix[token], ranks[token] = vector, rank
    return matrix, ranks, num_words, num_broken


def _lower(word: str) -> str:
    return word.lower() if word.isascii() else unicodedata.normalize("NFKC", word).lower()


def surface_forms(tokenizer_json: str) -> list[str]:
    """For each token id the word that it is, "" for a piece of one and for special tokens.

    Which pieces begin a word is seen by the marks of the tokenizer: `▁word`, `Ġword`, `##piece`,
    `word</w>`. Where beginnings are marked, what bears no mark is a word only if no letter or
    digit is in it. Without marks every token is a word.
    """
    from tokenizers import Tokenizer, decoders

    whole: dict[str, Any] = json.loads(tokenizer_json)
    vocabulary: dict[str, int] = Tokenizer.from_str(tokenizer_json).get_vocab()
    model = whole["model"]
    inner, end = (
        model.get(key) or "" for key in ("continuing_subword_prefix", "end_of_word_suffix")
    )
    in_bytes = "ByteLevel" in _kinds(whole.get("pre_tokenizer")) | _kinds(whole.get("decoder"))
    marked = any(token.startswith(MARK) and len(token) > 1 for token in vocabulary)
    special = {token["id"] for token in whole["added_tokens"] if token["special"]}
    decoder = decoders.ByteLevel()

    def form(token: str) -> str:
        if in_bytes:
            text = decoder.decode([token])
            return _begun(text, " ") if "\ufffd" not in text else ""
        if end:
            return token.removesuffix(end) if token.endswith(end) else ""
        if inner and token.startswith(inner):
            return ""
        return _begun(token, MARK) if marked else token

    forms = [""] * (max(vocabulary.values()) + 1)
    for token, number in vocabulary.items():
        if number > UNKNOWN_ID and number not in special:
            word = form(token)
            forms[number] = "" if any(map(str.isspace, word)) else word
    return forms


def _begun(token: str, mark: str) -> str:
    if token.startswith(mark):
        return token[len(mark) :]
    return "" if any(map(str.isalnum, token)) else token


def _kinds(step: Any) -> set[str]:
    """The kinds of a step of a tokenizer and of the steps within it."""
    if not isinstance(step, dict):
        return set()
    inner = step.get("pretokenizers", []) + step.get("decoders", [])
    return {step["type"]}.union(*map(_kinds, inner))
