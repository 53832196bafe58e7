"""Cached words have the tokens that the tokenizer gives, whatever the text."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, normalizers, pre_tokenizers, processors

from nlp_rnn.classifier import word_cache
from nlp_rnn.classifier.word_cache import WordCache
from nlp_rnn.config.tokenizer import CountedTokenizerConfig, TokenizerKind, Truncation
from nlp_rnn.tokens.tokenizer import encode, train_tokenizer
from tests.test_stream import ALPHABET, KINDS, tokenizers
from tests.tiny_classifier import tiny_tokenizer_json

__all__ = ["tokenizers"]  # the fixture


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=250)
@given(
    texts=st.lists(st.text(ALPHABET, max_size=40), max_size=4),
    cut=st.sampled_from([(None, 0), (1, 0), (5, 0), (5, 2), (4, 3)]),
)
def test_tokens_are_those_of_the_tokenizer(
    tokenizers: dict[str, Any], kind: str, texts: list[str], cut: tuple[int | None, int]
) -> None:
    longest, tail = cut
    tokenizer = Tokenizer.from_str(tokenizers[kind].to_str())
    if longest is not None:
        tokenizer.enable_truncation(longest, stride=tail)
    cache = WordCache(tokenizer)
    assert cache._uses_cache == (kind not in ("char", "byte_bpe"))
    for _ in range(2):  # unknown words, then known ones
        assert cache.encode(texts) == encode(tokenizer, texts)


def test_no_more_words_are_cached_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_cache, "MAX_WORDS", 5)
    tokenizer = Tokenizer.from_str(tiny_tokenizer_json())
    cache = WordCache(tokenizer)
    texts = [f"w{2 + number} {'x' * 40} w{3 + number}" for number in range(20)]
    assert cache.encode(texts) == encode(tokenizer, texts)
    assert len(cache._cache) == 5
    assert "x" * 40 not in cache._cache


@pytest.mark.parametrize("stride", [0, 1])
def test_words_without_a_token_do_not_shorten_a_text(
    stride: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = Tokenizer.from_str(tiny_tokenizer_json())
    tokenizer.enable_truncation(3, stride=stride)
    cache = WordCache(tokenizer)
    cache._cache["empty"] = []  # as a variation selector by itself
    seen: list[str] = []
    monkeypatch.setattr(word_cache, "encode", lambda _, texts: seen.extend(texts) or [[2, 3]])
    texts = ["empty w2 empty w3 w4", "empty", "w2 w3 w4 w5", "w2 w3 w4 w5 empty"]
    cut = [2, 3, 5] if stride else [2, 3, 4]
    last = [2, 3] if stride else cut
    assert cache.encode(texts) == [[2, 3], [1], cut, last]
    assert seen == [texts[0], texts[3]][: 1 + stride]


@pytest.mark.parametrize(
    "change",
    [
        lambda made: setattr(made, "pre_tokenizer", pre_tokenizers.Metaspace()),
        lambda made: setattr(made, "pre_tokenizer", pre_tokenizers.ByteLevel()),
        lambda made: setattr(made, "normalizer", normalizers.Strip()),
        lambda made: setattr(made, "normalizer", normalizers.Replace(" ", "w2")),
        lambda made: setattr(
            made,
            "post_processor",
            processors.TemplateProcessing("[X] $0", special_tokens=[("[X]", 2)]),
        ),
        lambda made: made.enable_truncation(3, direction="left"),
        lambda made: made.add_tokens([AddedToken("w2 w3")]),
        lambda made: made.add_tokens([AddedToken("w2", lstrip=True)]),
    ],
)
def test_tokenizers_that_look_across_white_space_are_left_to_it(change: Any) -> None:
    tokenizer = Tokenizer.from_str(tiny_tokenizer_json())
    change(tokenizer)
    cache = WordCache(tokenizer)
    assert not cache._uses_cache
    texts = [" w2 w3  w4 w5", "w3"]
    assert cache.encode(texts) == encode(tokenizer, texts)


@pytest.mark.parametrize("truncation", list(Truncation))
@pytest.mark.parametrize("kind", ["bpe", "byte_bpe", "word"])
def test_both_ends_of_a_text_are_read_where_the_options_say_so(
    kind: str, truncation: Truncation
) -> None:
    texts = ["one 22 three, four 5five six", "你好 世界 a b c d e", "すしとラーメン สวัสดีครับ x y"]
    config = CountedTokenizerConfig(
        name=kind,
        kind=TokenizerKind[kind],
        vocab_size=300,
        max_length=4,
        truncation=truncation,
        split_digits=True,
    )
    tokenizer = train_tokenizer(texts * 3, config)
    cache = WordCache(tokenizer)
    assert cache._uses_cache == (kind != "byte_bpe" and truncation is not Truncation.tail)
    assert cache.encode(texts) == encode(tokenizer, texts)
    assert {len(ids) for ids in cache.encode(texts)} == {4}
