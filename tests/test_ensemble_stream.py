"""Streams of ensembles: the probabilities are those of the text so far, n-gram models included."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, normalizers, pre_tokenizers

import nlp_rnn
from nlp_rnn.classifier.classifier_saving import save_classifier
from nlp_rnn.classifier.early_exit import early_exits
from nlp_rnn.classifier.predictor import TextClassifier
from nlp_rnn.errors import ClassifierError
from nlp_rnn.ngrams.fitting import fit_parts, merge
from tests.tiny_classifier import save_tiny, tiny_parts, tiny_texts

TEXTS = [text for text in tiny_texts(30, seed=5) if len(text.split()) <= 40]
TEXTS += ["", "w2,w3 W4!!", "\u200d", "w2 \u200d", " w3\tw3 \n w4  ", "ΑΣ ΑΣ w2"]


def tokenizer_json() -> str:
    """Return a tokenizer that makes several tokens of some words, and none of `\u200d`."""
    tokenizer = Tokenizer.from_str(tiny_parts()["tokenizer_json"])
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Lowercase(), normalizers.Replace("\u200d", "")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer.to_str()


@pytest.fixture(scope="module", params=["single_label", "multi_label", "pairs"])
def classifier(request: Any, tmp_path_factory: pytest.TempPathFactory) -> TextClassifier:
    separator = "[SEP]" if request.param == "pairs" else None
    train = [*tiny_texts(60), "w2, w3", "ας", "\u200d w2 \u200d"]
    train += [f"{text} [SEP] {text[::-1]}" for text in train] if separator else []
    parts = fit_parts(train, np.arange(len(train)) % 3, 3, separator=separator)
    folder = tmp_path_factory.mktemp("ensemble") / "classifier"
    save_classifier(
        folder,
        **tiny_parts(bidirectional=False) | {"tokenizer_json": tokenizer_json()},
        thresholds=[0.4, 0.5, 0.6] if request.param == "multi_label" else None,
        separator=separator,
        ngrams=merge(parts, [2.0, 1.0, 1.5, 0.5]),
        network_weight=0.6,
    )
    return nlp_rnn.load(folder)


def texts_of(classifier: TextClassifier) -> list[str]:
    if not classifier.config.get("separator"):
        return TEXTS
    short = [text for text in TEXTS if len(text.split()) < 15]  # nothing is truncated
    return TEXTS + [f"{a} [SEP] {b}[SEP]w2" for a, b in zip(short, short[::-1], strict=True)]


def test_a_stream_ends_with_the_probabilities_of_the_whole_text(classifier: TextClassifier) -> None:
    for text in texts_of(classifier):
        stream = classifier.stream()
        for start in range(0, len(text), 3):
            stream.read(text[start : start + 3])
        stream.finish()
        assert stream.probabilities == pytest.approx(classifier.predict_proba([text])[0], abs=1e-5)


def test_probabilities_after_a_word_are_those_of_the_text_up_to_it(
    classifier: TextClassifier,
) -> None:
    words = "w2 w3,w4 W2 w9 w3,w4".split()
    stream = classifier.stream()
    for number, word in enumerate(words, 1):
        rows = stream.read(f"{word} ")
        assert len(rows) == (3 if "," in word else 1)
        expected = classifier.predict_proba([" ".join(words[:number])])[0]
        assert rows[-1] == pytest.approx(expected, abs=1e-5)


def test_a_stream_is_copied_and_continued_elsewhere(classifier: TextClassifier) -> None:
    text = texts_of(classifier)[-1] + " w2 w3,w4 w5 w2 w6"
    stream = classifier.stream()
    stream.read(text[:12])
    copy, state = stream.copy(), stream.to_json()
    stream.read(" w7 w8 ")  # must not change the others
    assert "w3" not in state.replace(json.loads(state)["pending"], "")
    for other in (copy, classifier.stream(state=state)):
        other.read(text[12:])
        other.finish()
        expected = classifier.predict_proba([text])[0]
        assert other.probabilities == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    "change",
    [{"part": -1}, {"part": "0"}, {"sections": []}, {"sections": [{}, {}]}, {"sections": 3}],
)
def test_a_changed_state_raises_an_error(
    classifier: TextClassifier, change: dict[str, Any]
) -> None:
    stream = classifier.stream()
    stream.read("w2 w3 ")
    state = json.loads(stream.to_json())
    for changed in (
        state | {"ngrams": state["ngrams"] | change},
        {key: value for key, value in state.items() if key != "ngrams"},
        state | {"logits": [1.0]},
    ):
        with pytest.raises(ClassifierError, match="not the state of a stream"):
            classifier.stream(state=json.dumps(changed))


def test_a_pool_gives_the_probabilities_of_single_streams(classifier: TextClassifier) -> None:
    texts = texts_of(classifier)
    pool = classifier.stream_pool()
    for start in range(0, max(map(len, texts)), 7):
        pool.read({key: text[start : start + 7] for key, text in enumerate(texts)})
    finished = pool.finish(*range(len(texts)))
    rows = np.stack([finished[key] for key in range(len(texts))])
    assert rows == pytest.approx(classifier.predict_proba(texts), abs=1e-5)
    assert not pool


def test_the_network_alone_reads_tokens(classifier: TextClassifier, tmp_path: Path) -> None:
    for stream in (classifier.stream(), classifier.stream_pool()):
        with pytest.raises(ClassifierError, match="network_only=True") as caught:
            stream.read_tokens([2] if not hasattr(stream, "drop") else {"a": [2]})
        assert "read text, not token ids" in str(caught.value)
    alone = classifier.stream(network_only=True)
    row = alone.read_tokens([2, 3])[-1]
    parts = classifier.predict_proba_of_parts(["w2 w3"])
    assert row == pytest.approx(parts["network"][0], abs=1e-5)
    network = nlp_rnn.load(save_tiny(tmp_path / "c", bidirectional=False))
    with pytest.raises(ClassifierError, match="no n-gram models"):
        network.stream(network_only=True)


def test_early_exit_reads_the_ngrams_too(classifier: TextClassifier) -> None:
    if classifier.thresholds is not None:
        pytest.skip("no label ends a text of a multi-label classifier")
    texts = [text for text in TEXTS if text]
    labels = classifier.predict(texts)
    exits = early_exits(classifier, texts, labels, (0.5, 1.0))
    assert exits[1].accuracy == 1.0
    assert exits[0].tokens_read < exits[1].tokens_read
    for text in texts:
        stream = classifier.stream(threshold=0.5)
        stream.read(text)
        stream.finish()
        assert (stream.decided is None) == bool(stream.probabilities.max() < 0.5)
