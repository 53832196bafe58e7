"""Word vectors for a vocabulary, matched by the surface forms of the tokens."""

import json
import re
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
from nlp_rnn.tokens.encoder_vectors import principal_components
from nlp_rnn.tokens.static_vectors import StaticVectors
from nlp_rnn.tokens.tokenization import TokenizedCorpus, TokenVectors
from nlp_rnn.tokens.tokenizer import MARK, UNKNOWN_ID
from nlp_rnn.tokens.word_vector_files import VectorFile, open_vector_file

__all__ = ["add_static_vectors", "add_vectors", "surface_forms"]

# Ranks of a match: the vector of the same word is preferred, then that of its lower-case form, then
# that of a word whose lower-case form is the token.
_EXACT, _LOWERED, _LOWER, _NONE = range(4)

# The usual forms of special tokens: [MASK], <s>, <|endoftext|>.
_SPECIAL = re.compile(r"\[\w+\]|<.+>")


def add_vectors(tokens: TokenizedCorpus, path: Path, size: int) -> TokenizedCorpus:
    """Return `tokens` with the word vectors of a file for its vocabulary.

    Only the vectors of the vocabulary are loaded into memory. The quality of the result includes
    the covered shares of the vocabulary and of the training tokens, and the number of broken lines
    (too few numbers, no numbers, not UTF-8).

    Parameters
    ----------
    tokens : TokenizedCorpus
        The corpus and its tokenizer.
    path : Path
        A file of word vectors (see `word_vector_files`).
    size : int
        The number of dimensions.

    Raises
    ------
    ConfigError
        There is no such file, or its vectors have another size.
    DataError
        The file does not contain word vectors, or none for the vocabulary.
    """
    file = open_vector_file(path, size)
    forms = surface_forms(tokens.tokenizer_json)
    matrix, ranks, num_words, num_broken = _match(file, forms)
    covered = ranks < _NONE
    if not covered.any():
        raise DataError(
            f"{path} has none of the {len(forms):,} tokens of the vocabulary.\n"
            "Use vectors of the language of the texts, or set tokenizer=word."
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
        f"({by_case:,} of them in another case): {shares[1]:.1%} of the training tokens"
    ]
    if num_broken:
        lines.append(
            f"vectors: {num_broken:,} broken {'line' if num_broken == 1 else 'lines'} of "
            f"{path.name} left out (not a word and {size} numbers)"
        )
    if file.num_words is not None and num_words + num_broken < file.num_words:
        lines.append(
            f"vectors: {path.name} is truncated: its header announces {file.num_words:,} words, "
            f"but it has {num_words + num_broken:,}"
        )
    quality = Quality(tokens.quality.figures | figures, [*tokens.quality.lines, *lines])
    return replace(tokens, vectors=TokenVectors(matrix, covered), quality=quality)


def add_static_vectors(
    tokens: TokenizedCorpus, vectors: StaticVectors, size: int, deviation: float
) -> TokenizedCorpus:
    """Return `tokens` with the vectors of a static embedding model for its vocabulary.

    The vector of a token is that of its word, as the model would read it.

    Parameters
    ----------
    tokens : TokenizedCorpus
        The corpus and its tokenizer.
    vectors : StaticVectors
        The static embedding model.
    size : int
        The number of dimensions: the first principal components of larger vectors are used, and
        smaller vectors are filled up with zeros.
    deviation : float
        Standard deviation that the numbers are scaled to.
    """
    forms = surface_forms(tokens.tokenizer_json)
    words = [token for token, form in enumerate(forms) if form]
    word_rows, known = vectors.of_words([forms[token] for token in words])
    covered = np.zeros(len(forms), bool)
    covered[words] = known
    if not covered.any():
        raise DataError(
            f"{vectors.source} has none of the {len(forms):,} tokens of the vocabulary.\n"
            "Use vectors of the language of the texts, or set tokenizer=word."
        )
    matrix = np.zeros((len(forms), size), np.float32)
    values = principal_components(word_rows[known], size)
    matrix[covered, : values.shape[1]] = values * (deviation / max(float(values.std()), 1e-12))
    counts = tokens.train.token_counts(len(forms))
    shares = covered.sum() / len(forms), counts[covered].sum() / max(int(counts.sum()), 1)
    figures = {
        "data/vectors_covered_vocabulary": float(shares[0]),
        "data/vectors_covered_tokens": float(shares[1]),
    }
    line = (
        f"vectors: {covered.sum():,} of {len(forms):,} tokens have a vector of {vectors.source}: "
        f"{shares[1]:.1%} of the training tokens"
    )
    quality = Quality(tokens.quality.figures | figures, [*tokens.quality.lines, line])
    return replace(tokens, vectors=TokenVectors(matrix, covered), quality=quality)


def _match(
    file: VectorFile, forms: Sequence[str]
) -> tuple[NDArray[np.float32], NDArray[np.int8], int, int]:
    """Return the vectors and ranks of all tokens, and the numbers of words and broken lines."""
    exact: defaultdict[str, list[int]] = defaultdict(list)
    lowered: defaultdict[str, list[int]] = defaultdict(list)
    for token, form in enumerate(forms):
        if form:
            exact[form].append(token)
            if (low := _lower(form)) != form:
                lowered[low].append(token)
    matrix = np.zeros((len(forms), file.size), np.float32)
    ranks = np.full(len(forms), _NONE, np.int8)
    num_words = num_broken = 0
    no_tokens: list[int] = []
    for word, content in file.entries():
        if word is None:
            num_broken += 1
            continue
        num_words += 1
        low = _lower(word)
        tokens = [
            (token, rank)
            for rank, candidates in (
                (_EXACT, exact.get(word, no_tokens)),
                (_LOWERED, lowered.get(word, no_tokens)),
                (_LOWER, exact.get(low, no_tokens) if low != word else no_tokens),
            )
            for token in candidates
            if rank < ranks[token]  # of two such words, the first counts
        ]
        if not tokens:
            continue
        vector = file.vector(content)
        if vector is None:
            num_words, num_broken = num_words - 1, num_broken + 1
            continue
        for token, rank in tokens:
            matrix[token], ranks[token] = vector, rank
    return matrix, ranks, num_words, num_broken


def _lower(word: str) -> str:
    return word.lower() if word.isascii() else unicodedata.normalize("NFKC", word).lower()


def surface_forms(tokenizer_json: str) -> list[str]:
    """Return the word of each token id; "" for tokens within words and for special tokens.

    Tokens at the beginning of a word are recognized by the marks of the tokenizer: `▁word`,
    `Ġword`, `##subword`, `word</w>`. In a vocabulary that marks beginnings, a token without mark is
    a word only if it has no letter or digit. In a vocabulary without marks every token is a word.
    """
    from tokenizers import Tokenizer, decoders

    whole: dict[str, Any] = json.loads(tokenizer_json)
    tokenizer = Tokenizer.from_str(tokenizer_json)
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    model = whole["model"]
    inner, end = (
        model.get(key) or "" for key in ("continuing_subword_prefix", "end_of_word_suffix")
    )
    in_bytes = "ByteLevel" in _kinds(whole.get("pre_tokenizer")) | _kinds(whole.get("decoder"))
    marked = any(token.startswith(MARK) and len(token) > 1 for token in vocabulary)
    special = {token["id"] for token in whole["added_tokens"] if token["special"]}
    for token, number in vocabulary.items():
        # a special token that no text contains, see `special_tokens`
        if _SPECIAL.fullmatch(token) and number not in tokenizer.encode(token).ids:
            special.add(number)
    decoder = decoders.ByteLevel()

    def form(token: str) -> str:
        if in_bytes:
            text = decoder.decode([token])
            return _word_of(text, " ") if "\ufffd" not in text else ""
        if end:
            return token.removesuffix(end) if token.endswith(end) else ""
        if inner and token.startswith(inner):
            return ""
        return _word_of(token, MARK) if marked else token

    forms = [""] * (max(vocabulary.values()) + 1)
    for token, number in vocabulary.items():
        if number > UNKNOWN_ID and number not in special:
            word = form(token)
            forms[number] = "" if any(map(str.isspace, word)) else word
    return forms


def _word_of(token: str, mark: str) -> str:
    if token.startswith(mark):
        return token[len(mark) :]
    return "" if any(map(str.isalnum, token)) else token


def _kinds(step: Any) -> set[str]:
    """Return the types of a step of a tokenizer and of the steps within it."""
    if not isinstance(step, dict):
        return set()
    inner = step.get("pretokenizers", []) + step.get("decoders", [])
    return {step["type"]}.union(*map(_kinds, inner))
