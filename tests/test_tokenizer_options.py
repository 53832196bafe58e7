"""Options of tokenizers: truncation, equivalent characters, and an existing tokenizer."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

from nlp_rnn.config.checks import check
from nlp_rnn.config.tokenizer import (
    CountedTokenizerConfig,
    GivenTokenizerConfig,
    TokenizerKind,
    Truncation,
    UnicodeForm,
)
from nlp_rnn.errors import ConfigError, DataError
from nlp_rnn.tokens.tokenizer import (
    PAD_ID,
    UNKNOWN_ID,
    cached_tokenizer,
    encode,
    encode_with_counts,
    set_truncation,
    train_tokenizer,
)
from tests.composing import compose

WORDS = ["w" + chr(97 + i) for i in range(12)]
TEXTS = [" ".join(WORDS)] * 3


def config(kind: str, **options: object) -> CountedTokenizerConfig:
    values = {"name": kind, "kind": TokenizerKind[kind], "vocab_size": 400, "min_frequency": 1}
    return CountedTokenizerConfig(**(values | options))  # type: ignore[arg-type]


def tokens(text: str, kind: str = "word", texts: list[str] = TEXTS, **options: object) -> list[str]:
    return train_tokenizer([*texts, text], config(kind, **options)).encode(text).tokens


@pytest.mark.parametrize("kind", ["word", "bpe", "byte_bpe"])
@settings(max_examples=30)
@given(most=st.integers(1, 9), words=st.integers(0, 40))
def test_each_truncation_keeps_what_it_says(kind: str, most: int, words: int) -> None:
    text = " ".join(WORDS[i % 12] for i in range(words))
    whole = train_tokenizer(TEXTS, config(kind, max_length=10_000))
    (full,) = encode(whole, [text])
    tail = most // 2
    expected = {
        Truncation.head: full[:most],
        Truncation.tail: full[-most:],
        Truncation.head_tail: (
            full if len(full) <= most else full[: most - tail] + full[len(full) - tail :]
        ),
    }
    for truncation, truncated in expected.items():
        set_truncation(whole, config(kind, max_length=most, truncation=truncation))
        # as a saved classifier has it
        loaded = Tokenizer.from_str(whole.to_str())
        assert loaded.truncation is not None
        assert loaded.truncation["max_length"] == most
        ids, counts = encode_with_counts(loaded, [text, "", text])
        assert ids[0] == ids[2] == truncated
        assert counts == [len(full) if words else 0, 0, len(full) if words else 0]


def test_a_long_text_is_counted_whole() -> None:
    for truncation in Truncation:
        tokenizer = train_tokenizer(TEXTS, config("word", max_length=7, truncation=truncation))
        assert encode_with_counts(tokenizer, ["wa " * 10_000])[1] == [10_000]


def test_unicode_accents_and_digits() -> None:
    assert tokens("ﬁn") == ["fin"]
    assert tokens("ﬁn", unicode=UnicodeForm.nfc) == ["ﬁn"]
    assert tokens("e\u0301", unicode=UnicodeForm.nfc) == ["é"]
    assert tokens("e\u0301", unicode=UnicodeForm.none) == ["e\u0301"]
    assert tokens("Café") == ["café"]
    assert tokens("Café", strip_accents=True) == ["cafe"]
    assert tokens("a 2024") == ["a", "2024"]
    assert tokens("a 2024", split_digits=True) == ["a", "2", "0", "2", "4"]
    assert tokens("a 2024", kind="byte_bpe", split_digits=True)[-4:] == ["2", "0", "2", "4"]


def test_a_chinese_character_is_a_word_and_spaced_scripts_stay_as_they_were() -> None:
    assert tokens("酒店A很好，ok") == [*"酒店a很好", ",", "ok"]
    assert tokens("酒店很好", kind="char") == ["酒", "店", "很", "好"]
    english = ["The cat's 3 hats — naïve, привет мир", "  two\n lines\u0085of\ttext "]
    for kind in ("bpe", "word"):
        new = train_tokenizer(english, config(kind))
        old = json.loads(new.to_str())
        steps = old["normalizer"]["normalizers"]
        old["normalizer"]["normalizers"] = [s for s in steps if s["type"] != "BertNormalizer"]
        before = Tokenizer.from_str(json.dumps(old))
        assert len(steps) == (5 if kind == "bpe" else 4)
        assert encode(new, english) == encode(before, english)


@pytest.mark.parametrize("kind", ["word", "bpe", "wordpiece", "unigram"])
def test_how_a_character_is_drawn_makes_no_other_token(kind: str) -> None:
    texts = ["I \N{HEAVY BLACK HEART}\ufe0f you", "I \N{HEAVY BLACK HEART} you", "\ufe0f I you"]
    tokenizer = train_tokenizer(texts, config(kind, vocab_size=60))
    drawn, plain, alone = encode(tokenizer, texts)
    assert drawn == plain
    assert 1 not in plain
    assert len(alone) < len(plain)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("すしを食べる x7", ["す", "し", "を", "食", "べ", "る", "x7"]),
        ("ラーメン, big", ["ラ", "ー", "メ", "ン", ",", "big"]),
        ("ไม่ดี", ["ไ", "ม่", "ดี"]),
        ("не ломай한국어", ["не", "ломай한국어"]),
    ],
)
def test_a_character_of_a_script_without_spaces_is_a_word(text: str, words: list[str]) -> None:
    tokenizer = train_tokenizer([text], config("word", min_frequency=1))
    assert tokenizer.encode(text).tokens == words


def test_no_byte_is_unknown_to_byte_bpe() -> None:
    tokenizer = train_tokenizer(TEXTS, config("byte_bpe"))
    for ids in encode(tokenizer, ["龍 🐉", "\x00\x85", "שלום"]):
        assert UNKNOWN_ID not in ids


def _existing(tmp_path: Path, kind: str) -> Path:
    """A tokenizer as others make it: without our special tokens at our places."""
    if kind == "unigram":
        tokenizer = Tokenizer(models.Unigram())
        trainer = trainers.UnigramTrainer(
            vocab_size=60, show_progress=False, special_tokens=["<s>", "<unk>"], unk_token="<unk>"
        )
    elif kind == "wordpiece":
        tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        special = ["[CLS]", "[UNK]", "[PAD]"]
        trainer = trainers.WordPieceTrainer(
            vocab_size=60, show_progress=False, special_tokens=special
        )
    else:
        tokenizer = Tokenizer(models.BPE())
        trainer = trainers.BpeTrainer(vocab_size=60, show_progress=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.train_from_iterator(TEXTS, trainer)
    if kind == "wordpiece":
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A", special_tokens=[("[CLS]", 0)]
        )
        tokenizer.enable_padding(pad_id=2, pad_token="[PAD]")
    path = tmp_path / f"{kind}.json"
    tokenizer.save(str(path))
    return path


@pytest.mark.parametrize("kind", ["bpe", "wordpiece", "unigram"])
def test_a_given_tokenizer_cuts_the_same_pieces(tmp_path: Path, kind: str) -> None:
    path = _existing(tmp_path, kind)
    original = Tokenizer.from_file(str(path))
    original.no_padding()
    existing = GivenTokenizerConfig(
        name="given",
        kind=TokenizerKind.given,
        path=str(path),
        max_length=5,
        truncation=Truncation.head,
    )
    loaded = cached_tokenizer([], existing, "digest", tmp_path)
    assert json.loads(loaded.to_str())["padding"] is None
    vocabulary = loaded.get_vocab()
    assert sorted(vocabulary.values()) == list(range(len(vocabulary)))
    for text in (TEXTS[0], "wa wb", ""):
        pieces = original.encode(text, add_special_tokens=False).tokens
        (ids,) = encode(loaded, [text])
        assert [loaded.id_to_token(i) for i in ids] == (
            pieces[:5] or [loaded.id_to_token(UNKNOWN_ID)]
        )
        assert PAD_ID not in ids
    if kind != "bpe":  # which was given no token for the unknown
        assert encode(loaded, ["Ж"])[0][-1] == UNKNOWN_ID
    assert encode(cached_tokenizer([], existing, "other data", tmp_path), TEXTS) == encode(
        loaded, TEXTS
    )


def test_what_is_no_tokenizer_is_refused(tmp_path: Path) -> None:
    def refusal(path: Path, **options: str) -> str:
        existing = GivenTokenizerConfig(
            name="given", kind=TokenizerKind.given, path=str(path), **options
        )
        with pytest.raises(DataError) as caught:
            cached_tokenizer([], existing, "digest", tmp_path / "cache")
        assert len(str(caught.value).splitlines()) <= 2
        return str(caught.value)

    assert "There is no file" in refusal(tmp_path / "missing.json")
    (tmp_path / "a.json").write_text("{}")
    assert "does not name a valid tokenizer" in refusal(tmp_path / "a.json")
    (tmp_path / "a.json").write_bytes(b"\xff")
    assert "cannot be read" in refusal(tmp_path / "a.json")
    assert "applies to the hub, but" in refusal(tmp_path / "a.json", revision="main")


def test_a_tokenizer_of_a_hub_that_is_not_there(tmp_path: Path, monkeypatch) -> None:
    import nlp_rnn.sources.hub as hub

    monkeypatch.setattr(hub, "hub_is_reachable", lambda: False)
    existing = GivenTokenizerConfig(name="given", kind=TokenizerKind.given, path="somebody/tokens")
    with pytest.raises(
        DataError, match="no tokenizer.json of somebody/tokens in the cache, and the hub"
    ):
        cached_tokenizer([], existing, "digest", tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("tokenizer=byte_bpe tokenizer.vocab_size=100", "at least 258"),
        ("tokenizer=char tokenizer.split_digits=true", "has no effect"),
        ("tokenizer=given tokenizer.path=x tokenizer.kind=bpe", "set tokenizer=bpe"),
        ("tokenizer.kind=given", "set tokenizer=given"),
    ],
)
def test_options_that_cannot_be_heeded(options: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check(compose(options.split()))
