"""Tokenizers: every kind can be trained, is cached, and gives every text at least one token."""

import multiprocessing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from nlp_rnn.config.tokenizer import CountedTokenizerConfig, TokenizerKind, TrainedTokenizerConfig
from nlp_rnn.errors import DataError
from nlp_rnn.tokens.tokenizer import (
    PAD_ID,
    UNKNOWN_ID,
    cached_tokenizer,
    content_hash,
    encode,
    train_tokenizer,
)

TEXTS = [
    f"The {a} {b} a {c}."
    for a in ("miller", "sailor", "baker")
    for b in ("finds", "loses", "sells")
    for c in ("ring", "letter", "lamp")
]
KINDS = [kind.name for kind in TokenizerKind if kind is not TokenizerKind.given]

SIZES = {"byte_bpe": 320}  # the 256 bytes alone are more than the others have


def config(kind: str, **options: object) -> TrainedTokenizerConfig:
    made = TrainedTokenizerConfig if kind == "unigram" else CountedTokenizerConfig
    values = {
        "name": kind,
        "kind": TokenizerKind[kind],
        "vocab_size": SIZES.get(kind, 120),
    } | options
    return made(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_covers_its_training_texts(kind: str) -> None:
    tokenizer = train_tokenizer(TEXTS, config(kind))
    ids = encode(tokenizer, TEXTS)
    assert all(UNKNOWN_ID not in text and PAD_ID not in text for text in ids)
    assert len({tuple(text) for text in ids}) == len(TEXTS)
    assert tokenizer.get_vocab_size() <= SIZES.get(kind, 120)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", ["", " ", "\n\t", "\u200b", "\x00", "\ud800", "龍", "🐉"])
def test_no_text_is_without_tokens(kind: str, text: str) -> None:
    tokenizer = train_tokenizer(TEXTS, config(kind))
    (ids,) = encode(tokenizer, [text])
    assert len(ids) >= 1


@given(st.lists(st.text(), max_size=5))
def test_arbitrary_unicode_gives_ids_within_the_vocabulary(texts: list[str]) -> None:
    tokenizer = Tokenizer.from_str(BPE)
    for ids in encode(tokenizer, texts):
        assert 1 <= len(ids) <= 400
        assert all(0 <= token < tokenizer.get_vocab_size() for token in ids)


BPE = train_tokenizer(TEXTS, config("bpe")).to_str()


def test_max_length_cuts_and_is_kept_in_the_json() -> None:
    tokenizer = train_tokenizer(TEXTS, config("word", max_length=3))
    loaded = Tokenizer.from_str(tokenizer.to_str())
    assert [len(ids) for ids in encode(loaded, TEXTS[:2])] == [3, 3]


def test_options_have_an_effect() -> None:
    def tokens(text: str, **options: object) -> list[str]:
        return train_tokenizer(TEXTS, config("word", **options)).encode(text).tokens

    assert tokens("THE miller") == ["the", "miller"]
    assert tokens("THE miller", lowercase=False) == ["[UNK]", "miller"]
    assert tokens("ring", min_frequency=9) == ["ring"]
    assert tokens("ring", min_frequency=10) == ["[UNK]"]
    assert tokens("ring", vocab_size=4) == ["[UNK]"]


def test_a_kept_tokenizer_is_not_trained_again(tmp_path: Path) -> None:
    first = cached_tokenizer(TEXTS, config("wordpiece"), "digest", tmp_path)
    again = cached_tokenizer(["never read"], config("wordpiece"), "digest", tmp_path)
    assert content_hash(first) == content_hash(again)
    other = cached_tokenizer(["other data " * 3], config("wordpiece"), "other digest", tmp_path)
    assert content_hash(other) != content_hash(first)
    assert not list(tmp_path.rglob("*.part"))


def _kept_hash(cache: str) -> str:
    return content_hash(cached_tokenizer(TEXTS, config("wordpiece"), "digest", Path(cache)))


def test_processes_that_start_together_get_the_same_tokenizer(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        hashes = pool.map(_kept_hash, [str(tmp_path)] * 4)
    assert len(set(hashes)) == 1


def test_texts_without_a_frequent_token_are_refused() -> None:
    with pytest.raises(DataError, match="min_frequency=1"):
        train_tokenizer(["one two three"], config("word", min_frequency=2))


@pytest.mark.parametrize("kind", ["bpe", "byte_bpe", "word", "char"])
def test_trained_again_it_is_the_same(kind: str) -> None:
    texts = [
        f"{text} {number * 7919} x{number * 104729:b}" for number in range(40) for text in TEXTS
    ]
    options = {"min_frequency": 2, "vocab_size": 400}
    hashes = {content_hash(train_tokenizer(texts, config(kind, **options))) for _ in range(4)}
    assert len(hashes) == 1


def test_bpe_tells_the_beginning_of_a_word_from_its_middle() -> None:
    tokens = train_tokenizer(["to the store, (to) store"] * 9, config("bpe")).encode("(toto").tokens
    assert tokens == ["(", "▁to", "to"]
