"""Special tokens that stand literally in a text are text, in training and in prediction."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

import nlp_rnn
from nlp_rnn.classifier.classifier_saving import save_classifier
from nlp_rnn.classifier.word_cache import WordCache
from nlp_rnn.cli import main
from nlp_rnn.config.checks import check
from nlp_rnn.data.corpus import load_corpus
from nlp_rnn.inspection.text_tokens import text_spans, tokenize_text
from nlp_rnn.sources.separator import escape_separator
from nlp_rnn.tokens.special_tokens import without_special_texts
from nlp_rnn.tokens.tokenization import tokenize_corpus
from nlp_rnn.tokens.tokenizer import PAD_ID, UNKNOWN_ID, encode
from tests.composing import compose
from tests.tiny_classifier import tiny_parts

LITERALS = ["[PAD]", "[UNK]", "[SEP]", "[CLS]", "[MASK]", "<s>", "<|endoftext|>"]
WORDS = ["red", "green", "PAD", "UNK", "SEP", "CLS", "MASK", "s", "endoftext"]
KINDS = {
    "bpe": [],
    "byte_bpe": ["tokenizer.vocab_size=300"],
    "wordpiece": [],
    "unigram": ["tokenizer.vocab_size=60"],
    "word": [],
    "char": [],
}
PAIRS = ["data.text=[first,second]", "data.separator_token=true"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NLP_RNN_CACHE", str(tmp_path / "cache"))
    return tmp_path


def texts(rows: int, literal: bool, seed: int = 0) -> list[str]:
    random = np.random.default_rng(seed)
    words = [*WORDS, *LITERALS, *(f"x{token}y" for token in LITERALS)] if literal else WORDS
    return [" ".join(random.choice(words, random.integers(1, 8))) for _ in range(rows)]


def corpus_of(literal: bool, *options: str) -> tuple[Any, Any]:
    table = {name: texts(60, literal, seed) for seed, name in enumerate(("first", "second"))}
    pd.DataFrame(table | {"label": ["a", "b"] * 30}).to_parquet("data.parquet")
    config = compose(["data=files", "data.path=data.parquet", *options])
    check(config)
    return load_corpus(config.data), config.tokenizer


def existing(kind: str) -> Tokenizer:
    """A tokenizer with all literals as special tokens, which the model finds wherever it can."""
    vocabulary = [*LITERALS, *WORDS, *"[]<>|/xy", *map(chr, range(97, 123)), "▁", "▁red", "x["]
    ids = {token: number for number, token in enumerate(dict.fromkeys(vocabulary))}
    unknown = "[UNK]"
    tokenizer = {
        "words": lambda: Tokenizer(models.WordLevel(ids, unk_token=unknown)),
        "wordpiece": lambda: Tokenizer(
            models.WordPiece(
                ids | {f"##{token}": len(ids) + number for number, token in enumerate(ids)},
                unk_token=unknown,
            )
        ),
        "unigram": lambda: Tokenizer(
            models.Unigram([(token, 0.0 if token in LITERALS else -2.0) for token in ids], 1)
        ),
        "bpe": lambda: Tokenizer(models.BPE(ids, [], unk_token=unknown, ignore_merges=True)),
    }[kind.partition(" ")[0]]()
    if kind == "unigram metaspace":
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    elif kind == "unigram whole":
        tokenizer.normalizer = normalizers.Replace(" ", "▁")
    elif kind == "bpe bytes":
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
    elif kind == "wordpiece bert":
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens(LITERALS)
    return tokenizer


EXISTING = [
    "words", "wordpiece", "wordpiece bert", "unigram", "unigram metaspace", "unigram whole", "bpe",
    "bpe bytes",
]  # fmt: skip


def check_texts(tokenizer: Tokenizer, special: list[str], separator: int | None = None) -> None:
    """Check that no id of a special token appears for a text, by every way to encode it."""
    ids = {tokenizer.token_to_id(token) for token in special} - {None, UNKNOWN_ID}
    assert PAD_ID in ids
    examples = [*LITERALS, *texts(100, True, 9), "[PAD][PAD]", "a[PAD]b", "[ PAD ]", "[pad]"]
    if separator is not None:
        examples = [escape_separator(text, "[SEP]") for text in examples]
    encoded = encode(tokenizer, examples)
    for text, row in zip(examples, encoded, strict=True):
        assert not ids & set(row), text
    assert WordCache(tokenizer).encode(examples) == encoded
    whole = Tokenizer.from_str(tokenizer.to_str())
    for text, row in zip(examples, encoded, strict=True):
        tokens = tokenize_text(whole, text)
        assert tokens.ids.tolist() == row
        spans = text_spans(tokens, np.ones(len(tokens)))
        assert "".join(span.text for span in spans) == text
    if separator is not None:
        joined = [f"{text} [SEP] {text}" for text in examples]
        assert all(row.count(separator) == 1 for row in encode(tokenizer, joined))


@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_trained_tokenizer_reads_them_as_text(kind: str, pairs: bool) -> None:
    options = PAIRS if pairs else ["data.text=first"]
    corpus, config = corpus_of(True, *options, f"tokenizer={kind}", *KINDS[kind])
    tokens = tokenize_corpus(corpus, config)
    tokenizer = Tokenizer.from_str(tokens.tokenizer_json)
    special = ["[PAD]", "[UNK]", "[SEP]"]
    check_texts(tokenizer, special, tokenizer.token_to_id("[SEP]") if pairs else None)
    counts = tokens.train.token_counts(tokens.vocab_size)
    assert counts[PAD_ID] == 0
    assert counts[2] == len(corpus.train) if pairs else True
    if kind == "word":
        found = tokenizer.encode("red [PAD] x[UNK]", add_special_tokens=False).tokens
        assert found == ["red", "[", "pad", "]", "x", "[", "unk", "]"]


@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize("kind", EXISTING)
def test_an_existing_tokenizer_reads_them_as_text(kind: str, pairs: bool) -> None:
    existing(kind).save("tokenizer.json")
    options = PAIRS if pairs else ["data.text=first"]
    corpus, config = corpus_of(True, *options, "tokenizer=given", "tokenizer.path=tokenizer.json")
    tokens = tokenize_corpus(corpus, config)
    tokenizer = Tokenizer.from_str(tokens.tokenizer_json)
    separator = tokenizer.token_to_id("[SEP]") if pairs else None
    check_texts(tokenizer, LITERALS, separator)
    if separator is not None:
        assert tokens.train.token_counts(tokens.vocab_size)[separator] == len(corpus.train)


@pytest.mark.parametrize("kind", EXISTING)
def test_all_other_texts_keep_their_tokens(kind: str) -> None:
    before = existing(kind)
    after = Tokenizer.from_str(without_special_texts(before.to_str(), None))
    pairs = Tokenizer.from_str(without_special_texts(before.to_str(), "[SEP]"))
    assert before.get_vocab() == after.get_vocab() == pairs.get_vocab()
    examples = [*texts(200, False), "", " ", "[ ]", "x [", "] y", "<x>", "[MAS K]"]
    assert encode(after, examples) == encode(before, examples) == encode(pairs, examples)
    joined = [f"{text} [SEP] red" for text in examples]
    assert encode(pairs, joined) == encode(before, joined)


def test_a_tokenizer_in_the_cache_of_an_earlier_version_keeps_its_ids(here: Path) -> None:
    corpus, config = corpus_of(True, "data.text=first", "tokenizer=wordpiece")
    first = tokenize_corpus(corpus, config)
    (cached,) = (here / "cache" / "tokenizers").glob("*.json")
    raw = Tokenizer.from_file(str(cached))
    assert [token["content"] for token in json.loads(raw.to_str())["added_tokens"]] == [
        "[PAD]", "[UNK]",
    ]  # fmt: skip
    assert raw.get_vocab() == Tokenizer.from_str(first.tokenizer_json).get_vocab()
    assert tokenize_corpus(corpus, config).tokenizer_json == first.tokenizer_json


def saved(folder: str, earlier: bool, **changes: Any) -> Any:
    """A classifier of pairs, with a tokenizer of this or of an earlier version."""
    parts = tiny_parts(**changes)
    tokenizer = Tokenizer.from_str(parts["tokenizer_json"])
    words = ["[PAD]", "[UNK]", "[SEP]", "[", "]", "SEP", "PAD", *(f"w{n}" for n in range(7, 30))]
    ids = {word: number for number, word in enumerate(words)}
    tokenizer.model = models.WordLevel(ids, unk_token="[UNK]")
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[SEP]"])
    parts["tokenizer_json"] = tokenizer.to_str()
    if not earlier:
        parts["tokenizer_json"] = without_special_texts(tokenizer.to_str(), "[SEP]")
    save_classifier(Path(folder), separator="[SEP]", **parts)
    return nlp_rnn.load(folder)


FIRST = ["w8 [SEP] w9", "w8", "[SEP]", "w10 x[SEP]y"]
SECOND = ["w11", "[PAD] w12 [SEP]", "w8", ""]


def test_only_the_separator_between_the_texts_of_a_pair_counts(
    capsys: pytest.CaptureFixture[str],
) -> None:
    classifier = saved("c", earlier=False, seed=9, bidirectional=False, pooling="last")
    joined = [classifier.join_texts(*pair) for pair in zip(FIRST, SECOND, strict=True)]
    expected = classifier.predict_proba(joined)
    spelled = [f"{a} [SEP] {b}" for a, b in zip(FIRST, SECOND, strict=True)]
    assert not np.allclose(expected[0], classifier.predict_proba(spelled)[0])
    plain = classifier.predict_proba(["w8 [ SEP ] w9 [SEP] w11", "w8 [SEP] [ PAD ] w12 [ SEP ]"])
    np.testing.assert_allclose(expected[:2], plain, atol=1e-6)
    for text, row in zip(joined, expected, strict=True):
        stream = classifier.stream()
        for start in range(0, len(text), 3):
            stream.read(text[start : start + 3])
        stream.finish()
        np.testing.assert_allclose(stream.probabilities, row, atol=1e-5)
    table = pd.DataFrame({"first": FIRST, "second": SECOND})
    for kind in ("csv", "jsonl", "parquet"):
        if kind == "csv":
            table.to_csv("in.csv", index=False)
        elif kind == "jsonl":
            table.to_json("in.jsonl", orient="records", lines=True)
        else:
            table.to_parquet("in.parquet")
        arguments = ["data.text=[first,second]", "--proba", "--output", f"{kind}.parquet"]
        assert main(["predict", "c", "--input", f"in.{kind}", *arguments]) == 0
        output = pd.read_parquet(f"{kind}.parquet")
        assert output["first"].tolist() == FIRST
        np.testing.assert_allclose(
            output[["probability_bad", "probability_fair", "probability_good"]].to_numpy(),
            expected, atol=1e-5,
        )  # fmt: skip
    words = ["[SEP]", "[PAD]", *(f"w{number}" for number in range(7, 30))]
    parts = np.random.default_rng(0).choice(words, (2, 60, 3))
    first, second = ([" ".join(row) for row in part] for part in parts)
    labels = classifier.predict(map(classifier.join_texts, first, second))
    pd.DataFrame({"first": first, "second": second, "label": labels}).to_csv("true.csv")
    capsys.readouterr()
    data = ["data=files", "data.path=true.csv", *PAIRS]
    assert main(["evaluate", "c", *data, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["accuracy"] == 1.0


def test_a_classifier_that_was_saved_earlier_keeps_its_predictions() -> None:
    classifier, new = saved("old", earlier=True), saved("new", earlier=False)
    spelled = [f"{a} [SEP] {b}" for a, b in zip(FIRST, SECOND, strict=True)]
    before = encode(Tokenizer.from_file("old/tokenizer.json"), spelled)
    assert [row.count(2) for row in before] == [2, 2, 2, 2]
    assert before[1].count(PAD_ID) == 1
    expected = classifier.predict_proba(spelled)
    joined = [classifier.join_texts(*pair) for pair in zip(FIRST, SECOND, strict=True)]
    np.testing.assert_array_equal(classifier.predict_proba(joined), expected)
    np.testing.assert_array_equal(classifier.token_counts(joined), [len(row) for row in before])
    assert not np.allclose(new.predict_proba(joined), expected)


def test_texts_of_a_classifier_without_separator_are_joined_by_a_blank() -> None:
    save_classifier(Path("c"), **tiny_parts())
    assert nlp_rnn.load("c").join_texts("w2 [SEP]", "w3") == "w2 [SEP] w3"
