"""Tokens are those that the network reads, and spans cover the whole text."""

import numpy as np
import pytest

from nlp_rnn.inspection.text_tokens import text_spans, tokenize_text
from nlp_rnn.tokens.tokenizer import encode, encode_with_counts, set_truncation, train_tokenizer
from tests.composing import compose

TEXTS = [
    "",
    " ",
    "a",
    "Ein Text, mit Wörtern; and 123 numbers!",
    "שלום עולם, זה טקסט",
    "今天天气很好，我们去公园。",
    "👩‍👩‍👧 ﬁne ½ Ⅳ é e\u0301",
    "lone \ud800 surrogate",
    "<script>alert(1)</script>",
    "line\nbreak\u0085and\ttabs  ",
    "strange ☃ ∮ ℵ",
    " ".join(["word", "text", "mit"] * 20),
]


@pytest.mark.parametrize("kind", ["bpe", "byte_bpe", "wordpiece", "unigram", "word", "char"])
@pytest.mark.parametrize("truncation", ["head", "tail", "head_tail"])
def test_tokens_and_spans(kind: str, truncation: str) -> None:
    overrides = [f"tokenizer={kind}", "tokenizer.vocab_size=300", "tokenizer.max_length=25"]
    config = compose([*overrides, f"tokenizer.truncation={truncation}"]).tokenizer
    tokenizer = train_tokenizer([TEXTS[3], TEXTS[5], "a text with words and tabs"] * 9, config)
    set_truncation(tokenizer, config)
    for text in TEXTS:
        tokens = tokenize_text(tokenizer, text)
        (ids,), (count,) = encode(tokenizer, [text]), encode_with_counts(tokenizer, [text])[1]
        assert tokens.ids.tolist() == ids
        assert tokens.num_untruncated == count
        values = np.arange(1, len(tokens) + 1, dtype=np.float32)
        spans = text_spans(tokens, values)
        assert "".join(span.text for span in spans) == tokens.text
        assert len(tokens.text) == len(text)
        total = sum(span.value for span in spans if span.value is not None)
        assert total == pytest.approx(values.sum())


def test_bytes_of_one_character_make_one_span() -> None:
    config = compose(["tokenizer=byte_bpe", "tokenizer.vocab_size=258"]).tokenizer
    tokenizer = train_tokenizer(["ab"] * 9, config)
    tokens = tokenize_text(tokenizer, "a天b")
    assert len(tokens) == 6  # a blank before the text, a, three bytes, b
    spans = text_spans(tokens, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0])
    assert [(span.text, span.value) for span in spans] == [("a", 1.0), ("天", 9.0), ("b", 5.0)]


def test_what_is_between_words_has_no_value() -> None:
    config = compose(["tokenizer.max_length=2", "tokenizer.truncation=head"]).tokenizer
    tokenizer = train_tokenizer(["one two three"] * 9, config)
    spans = text_spans(tokenize_text(tokenizer, " one  two three"), [1.0, 2.0])
    assert [(span.text, span.value) for span in spans] == [
        (" ", None),
        ("one", 1.0),
        ("  ", None),
        ("two", 2.0),
        (" three", None),
    ]
