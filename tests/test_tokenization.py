"""Tokenized splits: cached by content, counted before truncation, and correct for all Unicode."""

from pathlib import Path

import datasets
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlp_rnn.config.data import FilesConfig
from nlp_rnn.config.model import GatedConfig
from nlp_rnn.config.tokenizer import CountedTokenizerConfig, TokenizerKind, Truncation
from nlp_rnn.data.corpus import Corpus, load_corpus
from nlp_rnn.data.quality import Quality
from nlp_rnn.tokens.batches import length_order
from nlp_rnn.tokens.tokenization import tokenize_corpus
from nlp_rnn.tokens.tokenizer import PAD_ID, UNKNOWN_ID, encode, train_tokenizer

SHARED = Path(__file__).parents[1].parent / "shared" / "data"


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch, tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(cache / "datasets"))
    monkeypatch.setenv("NLP_RNN_CACHE", str(cache / "own"))


def corpus(texts: list[str], digest: str = "digest") -> Corpus:
    split = datasets.Dataset.from_dict({"text": texts, "label": [0] * len(texts)})
    return Corpus("c", split, split, split, ("a", "b"), digest, (), Quality())


def config(**options: object) -> CountedTokenizerConfig:
    values = {"name": "word", "kind": TokenizerKind.word, "min_frequency": 2, "max_length": 4}
    return CountedTokenizerConfig(**(values | options))  # type: ignore[arg-type]


def test_what_is_counted() -> None:
    texts = ["a b a b a b", "a b", "a once", "", "b a b a"]
    tokens = tokenize_corpus(corpus(texts), config())
    assert list(tokens.train.lengths) == [4, 2, 2, 1, 4]
    figures = tokens.quality.figures
    assert figures["data/train_texts_cut"] == 1 / 5
    assert figures["data/train_tokens_max"] == 6
    assert figures["data/train_tokens_cut"] == pytest.approx(2 / 14)
    assert figures["data/train_unknown_tokens"] == pytest.approx(1 / 12)  # not the empty text
    assert figures["data/train_characters_per_token"] == pytest.approx(27 / 14)
    assert tokens.quality.lines == [
        line
        for split in ("train", "validation")
        for line in (
            f"{split}: 2 tokens per text (median), 5 (95 %), 6 (maximum); "
            "tokenizer.max_length=4 truncates 20.0% of the texts",
            f"{split}: 1.93 characters per token, 8.33% of the tokens unknown",
        )
    ]


def test_many_unknown_words_are_said_with_what_to_type() -> None:
    texts = ["a b", "a b", "xu yu", "zu wu a"]
    expected = [
        "validation: 44% of the words are unknown; tokenizer=bpe splits them into subwords",
    ]
    assert tokenize_corpus(corpus(texts), config()).quality.lines[4:] == expected
    pieces = config(kind=TokenizerKind.bpe, vocab_size=12)
    assert tokenize_corpus(corpus(texts), pieces).quality.lines[4:] == []


def test_a_second_time_no_text_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    first = tokenize_corpus(corpus(["a b", "a b c"]), config())
    monkeypatch.setattr("nlp_rnn.tokens.tokenization.encode_with_counts", None)
    again = tokenize_corpus(corpus(["other", "texts"]), config())
    assert again.quality == first.quality
    assert list(again.train.lengths) == list(first.train.lengths)


@pytest.mark.parametrize("truncation", list(Truncation))
def test_training_and_answering_cut_alike(truncation: Truncation) -> None:
    from tokenizers import Tokenizer

    texts = ["a b c d e f g", "c d", ""] * 2
    tokens = tokenize_corpus(corpus(texts), config(truncation=truncation))
    answering = encode(Tokenizer.from_str(tokens.tokenizer_json), texts)
    batch = tokens.train.batch(np.arange(len(texts)))
    for ids, length, row in zip(batch.input_ids, batch.lengths, answering, strict=True):
        assert list(ids[:length]) == row


@pytest.mark.slow
def test_a_million_characters() -> None:
    texts = ["wo " * 333_334, "x" * 1_000_000, "wo wo"]
    for kind in (TokenizerKind.word, TokenizerKind.char, TokenizerKind.bpe):
        options = {"kind": kind, "max_length": 50, "vocab_size": 30, "min_frequency": 1}
        tokens = tokenize_corpus(corpus(texts, kind.name), config(**options))
        assert tokens.train.lengths.max() <= 50


ODD = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from("\x00\x85\u2028\u200f\u202e\ufeff\ud800\udfff \t\n🐉👩\u200d🚀שלום龍"),
    ),
    max_size=30,
)
KINDS = {
    kind: train_tokenizer(
        ["the cat sat", "שלום 龍"] * 5,
        CountedTokenizerConfig(name=kind.name, kind=kind, vocab_size=300, max_length=12),
    )
    for kind in (TokenizerKind.bpe, TokenizerKind.byte_bpe, TokenizerKind.char, TokenizerKind.word)
}


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(ODD, min_size=1, max_size=6), kind=st.sampled_from(list(KINDS)))
def test_whatever_unicode_goes_through_tokenizer_batches_and_model(
    texts: list[str], kind: TokenizerKind
) -> None:
    import torch

    from nlp_rnn.model.network import make_network
    from nlp_rnn.tokens.batches import TokenizedTexts

    tokenizer = KINDS[kind]
    ids = encode(tokenizer, texts)
    rows = datasets.Dataset.from_dict(
        {"input_ids": ids, "label": [0] * len(ids)},
        features=datasets.Features(
            {"input_ids": datasets.List(datasets.Value("int32")), "label": datasets.Value("int64")}
        ),
    )
    model = GatedConfig(name="gru", cell="gru", embedding_size=4, hidden_size=3)
    network = make_network(model, tokenizer.get_vocab_size(), 2, seed=1).eval()
    tokenized = TokenizedTexts(rows)
    for batch in tokenized.batches(length_order(tokenized.lengths, 4)):
        assert batch.lengths.min() >= 1
        assert (batch.input_ids[:, 0] != PAD_ID).all()
        with torch.no_grad():
            logits = network(torch.from_numpy(batch.input_ids), torch.from_numpy(batch.lengths))
        assert torch.isfinite(logits).all()
    assert all(encode(tokenizer, [""]) == [[UNKNOWN_ID]] for _ in range(1))


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data sets are not here")
def test_chinese_without_spaces_gives_known_tokens() -> None:
    from tests.composing import compose

    loaded = load_corpus(FilesConfig(name="files", path=str(SHARED / "chnsenticorp"), limit=3000))
    tokens = tokenize_corpus(loaded, compose([]).tokenizer)
    figures = tokens.quality.figures
    assert figures["data/validation_unknown_tokens"] < 0.01
    assert 0.9 < figures["data/validation_characters_per_token"] < 1.5
