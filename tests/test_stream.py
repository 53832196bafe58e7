"""After every token the probabilities of a stream are those of the text so far."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nlp_rnn.classifier.predictor import TextClassifier
from nlp_rnn.classifier.stream_context import StreamContext
from nlp_rnn.classifier.word_buffer import WordBuffer
from nlp_rnn.config.tokenizer import CountedTokenizerConfig, TokenizerKind, TrainedTokenizerConfig
from nlp_rnn.errors import ClassifierError
from nlp_rnn.tokens.tokenizer import encode, train_tokenizer
from tests.tiny_classifier import save_tiny, tiny_texts

POOLINGS = ["last", "mean", "max", "max_mean", "attention"]
NETWORKS = [
    *((cell, pooling, layers) for cell in ("lstm", "gru", "rnn") for pooling in POOLINGS
      for layers in (1, 2)),
    *(("average", pooling, 0) for pooling in POOLINGS if pooling != "last"),
]  # fmt: skip


def one_direction(folder: Path, **changes: Any) -> TextClassifier:
    return TextClassifier.load(save_tiny(folder, bidirectional=False, **changes))


@pytest.fixture
def classifier(tmp_path: Path) -> TextClassifier:
    return one_direction(tmp_path / "c")


@pytest.mark.parametrize(("cell", "pooling", "layers"), NETWORKS)
def test_after_every_token_the_answer_is_that_of_the_text_so_far(
    tmp_path: Path, cell: str, pooling: str, layers: int
) -> None:
    classifier = one_direction(tmp_path / "c", cell=cell, pooling=pooling, num_layers=layers)
    words = [f"w{index}" for index in np.random.default_rng(0).integers(2, 30, 40)]
    prefixes = [" ".join(words[: end + 1]) for end in range(40)]
    expected = classifier.predict_proba(prefixes)
    stream = classifier.stream()
    actual = np.concatenate([stream.read(" ".join(words)), stream.finish()])
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5)
    assert actual.dtype == np.float32
    one_by_one = classifier.stream()
    rows = [one_by_one.read(word + " ") for word in words]
    np.testing.assert_allclose(np.concatenate(rows), expected, rtol=0, atol=1e-5)
    tokens = classifier.stream()
    np.testing.assert_allclose(
        tokens.read_tokens([int(word[1:]) for word in words]), expected, rtol=0, atol=1e-5
    )
    for reader in (stream, one_by_one, tokens):
        assert reader.num_tokens == 40
        assert reader.label == classifier.labels[int(expected[-1].argmax())]


def test_a_stream_is_not_cut(classifier: TextClassifier) -> None:
    stream = classifier.stream()
    stream.read("w2 w3 " * 500)
    assert stream.num_tokens == 1000
    assert np.isfinite(stream.probabilities).all()


@pytest.mark.parametrize("text", ["", " ", "\n\t "])
def test_a_text_without_a_token_is_answered_as_everywhere(
    classifier: TextClassifier, text: str
) -> None:
    stream = classifier.stream()
    assert stream.read(text).shape == (0, 3)
    assert stream.probabilities is stream.label is None
    np.testing.assert_allclose(stream.finish(), classifier.predict_proba([text]), atol=1e-6)
    assert stream.finish().shape == (0, 3)


def test_reset_and_copy(classifier: TextClassifier) -> None:
    stream = classifier.stream()
    stream.read("w2 w3 w4 w")
    other = stream.copy()
    other.read("9 w8 ")
    here = stream.probabilities
    stream.read("5 ")
    beside = classifier.stream()
    beside.read("w2 w3 w4 w9 w8 ")
    np.testing.assert_array_equal(other.probabilities, beside.probabilities)
    again = classifier.stream()
    again.read("w2 w3 w4 w5 ")
    np.testing.assert_allclose(stream.probabilities, again.probabilities, atol=1e-6)
    assert here is not None
    stream.reset()
    assert (stream.num_tokens, stream.probabilities) == (0, None)
    stream.read("w2 w3 w4 w9 w8 ")
    np.testing.assert_allclose(stream.probabilities, beside.probabilities, atol=1e-6)


@pytest.mark.parametrize(("cell", "pooling"), [("lstm", "attention"), ("gru", "max_mean")])
def test_a_stream_goes_on_in_another_process(tmp_path: Path, cell: str, pooling: str) -> None:
    classifier = one_direction(tmp_path / "c", cell=cell, pooling=pooling, num_layers=2)
    stream = classifier.stream()
    stream.read("w2 w3 \ud800 w7 w")
    state = stream.to_json()
    expected = np.concatenate([stream.read("9 w4 w5"), stream.finish()])
    program = (
        "import nlp_rnn, sys, json, numpy\n"
        "stream = nlp_rnn.load(sys.argv[1]).stream(state=sys.argv[2])\n"
        "assert stream.num_tokens == 4 and stream.probabilities is not None\n"
        "rows = numpy.concatenate([stream.read('9 w4 w5'), stream.finish()])\n"
        "print(json.dumps([rows.tolist(), 'torch' in sys.modules, 'onnx' in sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "c"), state],
        capture_output=True,
        text=True,
        check=True,
    )
    rows, torch, onnx = json.loads(done.stdout)
    np.testing.assert_array_equal(np.float32(rows), expected)
    assert not torch
    assert not onnx


@pytest.mark.parametrize(
    "change",
    [
        lambda saved: "",
        lambda saved: "[" * 100_000,
        lambda saved: "null",
        lambda saved: json.dumps(saved | {"format": "other"}),
        lambda saved: json.dumps(saved | {"pending": 3}),
        lambda saved: json.dumps(saved | {"num_tokens": -1}),
        lambda saved: json.dumps(saved | {"num_tokens": 0}),
        lambda saved: json.dumps(saved | {"probabilities": [1.0]}),
        lambda saved: json.dumps(saved | {"probabilities": "high"}),
        lambda saved: json.dumps(saved | {"decided": "other"}),
        lambda saved: json.dumps(saved | {"state": {}}),
        lambda saved: json.dumps(saved | {"state": saved["state"] | {"total": "AAAA"}}),
        lambda saved: json.dumps(saved | {"state": saved["state"] | {"total": "é"}}),
        lambda saved: json.dumps(saved | {"state": saved["state"] | {"max": None}}),
        lambda saved: json.dumps({k: v for k, v in saved.items() if k != "pending"}),
    ],
)
def test_what_is_no_state_is_refused(classifier: TextClassifier, change: Any) -> None:
    stream = classifier.stream()
    stream.read("w2 w3 w4")
    with pytest.raises(ClassifierError) as caught:
        classifier.stream(state=change(json.loads(stream.to_json())))
    assert len(str(caught.value).splitlines()) <= 2


def test_state_of_another_classifier_is_refused(tmp_path: Path, classifier: TextClassifier) -> None:
    state = one_direction(tmp_path / "other", seed=1).stream().to_json()
    with pytest.raises(ClassifierError, match="of another classifier"):
        classifier.stream(state=state)


# Early exit


def test_threshold_ends_the_reading_at_the_token_that_decides(classifier: TextClassifier) -> None:
    text = " ".join(tiny_texts(1, seed=3)[0].split() * 3)
    whole = classifier.stream()
    rows = np.concatenate([whole.read(text), whole.finish()])
    best = rows.max(axis=1)
    threshold = float(np.sort(best)[len(best) // 2])
    decides = int(np.flatnonzero(best >= threshold)[0])
    stream = classifier.stream(threshold=threshold)
    actual = np.concatenate([stream.read(text), stream.finish()])
    np.testing.assert_allclose(actual, rows[: decides + 1], rtol=0, atol=1e-6)
    assert stream.decided == classifier.labels[int(rows[decides].argmax())]
    assert stream.num_tokens == decides + 1
    assert stream.read("w2 w3 w4 ").shape == (0, 3)
    assert stream.copy().decided == stream.decided
    assert classifier.stream(state=stream.to_json(), threshold=0.9).decided == stream.decided
    stream.reset()
    assert stream.decided is None
    assert classifier.stream(threshold=1.0).decided is None
    for wrong in (0, 2, float("nan"), "high"):
        with pytest.raises(ClassifierError, match="threshold is"):
            classifier.stream(threshold=wrong)  # type: ignore[arg-type]


# Refusals


def test_both_directions_cannot_stream_and_say_what_to_train(tmp_path: Path) -> None:
    both = TextClassifier.load(save_tiny(tmp_path / "c"))
    for ask in (both.stream, both.stream_pool):
        with pytest.raises(ClassifierError, match="nlp-rnn train experiment=streaming"):
            ask()


@pytest.mark.parametrize("wrong", [None, b"w2", 3, ["w2"]])
def test_what_is_no_text_is_refused_and_changes_nothing(
    classifier: TextClassifier, wrong: Any
) -> None:
    stream, pool = classifier.stream(), classifier.stream_pool()
    stream.read("w2 w")
    with pytest.raises(ClassifierError, match="expects str, not"):
        stream.read(wrong)
    with pytest.raises(ClassifierError, match="expects str, not"):
        pool.read({"a": "w2 ", "b": wrong})
    assert len(pool) == 0
    assert stream.num_tokens == 1


@pytest.mark.parametrize("wrong", [[-1], [30], [2, 10**20], [1.5], ["w2"], 3, [[2]], None, [True]])
def test_what_is_no_token_is_refused(classifier: TextClassifier, wrong: Any) -> None:
    with pytest.raises(ClassifierError, match="from 0 to 29"):
        classifier.stream().read_tokens(wrong)
    with pytest.raises(ClassifierError, match="from 0 to 29"):
        classifier.stream_pool().read_tokens({1: wrong})


def test_tokens_do_not_jump_the_word_that_waits(classifier: TextClassifier) -> None:
    stream, pool = classifier.stream(), classifier.stream_pool()
    stream.read("w2 w3")
    pool.read({1: "w2 w3"})
    with pytest.raises(ClassifierError, match="last word .* is incomplete"):
        stream.read_tokens([4])
    with pytest.raises(ClassifierError, match="last word .* is incomplete"):
        pool.read_tokens({1: [4]})
    stream.finish()
    assert stream.read_tokens([4]).shape == (1, 3)
    assert stream.read_tokens([]).shape == (0, 3)


# Pools


@pytest.mark.parametrize(("cell", "pooling"), [("lstm", "max_mean"), ("gru", "attention")])
def test_streams_of_a_pool_do_not_touch_each_other(tmp_path: Path, cell: str, pooling: str) -> None:
    classifier = one_direction(tmp_path / "c", cell=cell, pooling=pooling, num_layers=2)
    texts = tiny_texts(300, seed=5)
    pool = classifier.stream_pool()
    random = np.random.default_rng(0)
    waiting = {f"text {index}": text for index, text in enumerate(texts)}
    probabilities: dict[Any, np.ndarray] = {}
    while waiting:
        keys = random.permutation(list(waiting))[:97].tolist()
        parts = {}
        for key in keys:
            cut = int(random.integers(0, 30))
            parts[key], waiting[key] = waiting[key][:cut], waiting[key][cut:]
        pool.read(parts)
        ended = [key for key in keys if not waiting[key]]
        probabilities |= pool.finish(*ended)
        for key in ended:
            del waiting[key]
            assert key not in pool
    assert len(pool) == 0
    expected = [classifier.stream() for _ in texts]
    for index, (stream, text) in enumerate(zip(expected, texts, strict=True)):
        stream.read(text)
        stream.finish()
        np.testing.assert_allclose(
            probabilities[f"text {index}"], stream.probabilities, rtol=0, atol=1e-6
        )


def test_a_pool_answers_who_read_and_keeps_the_others(classifier: TextClassifier) -> None:
    pool = classifier.stream_pool()
    first = pool.read({"a": "w2 w3", "b": "w4"})
    assert list(first) == ["a"]
    assert len(pool) == 2
    pool.drop("a")
    pool.read_tokens({"a": [2, 3]})
    second = pool.read_tokens({"a": [5], "c": [6, 7]})
    assert set(second) == {"a", "c"}
    stream = classifier.stream()
    stream.read_tokens([2, 3, 5])
    np.testing.assert_allclose(second["a"], stream.probabilities, atol=1e-6)
    pool.drop("a")
    fresh = pool.read({"a": "w9 "})["a"]  # a row that was used before
    stream.reset()
    stream.read("w9 ")
    np.testing.assert_allclose(fresh, stream.probabilities, atol=1e-6)
    assert pool.read({}) == {} == pool.finish()
    with pytest.raises(ClassifierError, match="no open stream 'x'"):
        pool.finish("b", "x")
    assert "b" in pool


# Words


KINDS = ["bpe", "wordpiece", "unigram", "word", "char", "byte_bpe"]
PUBLISHED = ["metaspace", "prepend"]
"""How SentencePiece models of the hub mark the beginning of a text."""

ALPHABET = st.characters(exclude_categories=[]) | st.sampled_from(
    " \n\t\r\x1c\x85\u2028 aΣσé́ǅ.,'-\ufe0f"
)


@pytest.fixture(scope="module")
def tokenizers() -> dict[str, Any]:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

    corpus = ["The story, of a fox: it's ΣΑΣ and “quoted”!\n", "a b c  d\té ﬁ ½ 你好 世界"] * 20
    actual = {}
    for kind in KINDS:
        made = TrainedTokenizerConfig if kind == "unigram" else CountedTokenizerConfig
        size = 300 if kind == "byte_bpe" else 90
        config = made(name=kind, kind=TokenizerKind[kind], vocab_size=size, max_length=10**6)
        tokenizer = train_tokenizer(corpus, config)
        tokenizer.no_truncation()
        actual[kind] = tokenizer
    vocabulary = {"[PAD]": 0, "[UNK]": 1, "▁": 2, "▁so": 3, "so": 4, "\n": 5, "a": 6, "▁a": 7}
    for kind in PUBLISHED:
        tokenizer = Tokenizer(models.BPE(vocabulary, [("▁", "a")], unk_token="[UNK]"))
        if kind == "metaspace":
            tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
        else:
            steps = [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
            tokenizer.normalizer = normalizers.Sequence(steps)
        tokenizer.decoder = decoders.Metaspace()
        actual[kind] = tokenizer
    return actual


@pytest.mark.parametrize("kind", KINDS + PUBLISHED)
@settings(deadline=None, max_examples=150)
@given(pieces=st.lists(st.text(ALPHABET, max_size=12), max_size=8))
@example(pieces=["so", "\nhappy"])
@example(pieces=["\n", "so a", "\r\n", "\ta", "\x85so"])
def test_pieces_of_whole_words_have_the_tokens_of_the_text(
    tokenizers: dict[str, Any], kind: str, pieces: list[str]
) -> None:
    buffer = WordBuffer()
    complete = [piece for piece in map(buffer.add, pieces) if piece]
    complete.append(buffer.rest())
    assert "".join(complete) == "".join(pieces)
    network: Any = None
    context = StreamContext(network, tokenizers[kind], ["a", "b"], "")
    tokens: list[int] = []
    for piece in filter(None, complete):
        tokens += context.encode([piece], [None], [bool(tokens)])[0][0]
    # [UNKNOWN_ID] for an empty text, which is no token of a piece
    assert encode(tokenizers[kind], ["".join(pieces)])[0] == (tokens or [1])


def test_a_word_comes_when_it_has_ended() -> None:
    buffer = WordBuffer()
    assert [buffer.add(piece) for piece in ("on", "e", " ", " ", "two three", "\n", "x")] == [
        "", "", "one", "", "  two", " three", "",
    ]  # fmt: skip
    assert buffer.rest() == "\nx"
    assert buffer.rest() == ""
