"""What is shown of a text is what the network reads of it, and all of the text."""

import numpy as np
import pytest

from nlp_rnn.inspection.text_tokens import pieces, read_tokens
from nlp_rnn.tokens.tokenizer import encode, encode_counted, set_truncation, train_tokenizer
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
def test_tokens_and_pieces(kind: str, truncation: str) -> None:
    words = [f"tokenizer={kind}", "tokenizer.vocab_size=300", "tokenizer.max_length=25"]
    config = compose([*words, f"tokenizer.truncation={truncation}"]).tokenizer
    tokenizer = train_tokenizer([TEXTS[3], TEXTS[5], "a text with words and tabs"] * 9, config)
    set_truncation(tokenizer, config)
    for text in TEXTS:
        tokens = read_tokens(tokenizer, text)
        (ids,), (count,) = encode(tokenizer, [text]), encode_counted(tokenizer, [text])[1]
        assert tokens.ids.tolist() == ids
        assert tokens.num_uncut == count
        values = np.arange(1, len(tokens) + 1, dtype=np.float32)
        found = pieces(tokens, values)
        assert "".join(piece.text for piece in found) == tokens.text
        assert len(tokens.text) == len(text)
        total = sum(piece.value for piece in found if piece.value is not None)
        assert total == pytest.approx(values.sum())


def test_bytes_of_one_character_make_one_piece() -> None:
    config = compose(["tokenizer=byte_bpe", "tokenizer.vocab_size=258"]).tokenizer
    tokenizer = train_tokenizer(["ab"] * 9, config)
    tokens = read_tokens(tokenizer, "a天b")
    assert len(tokens) == 6  # a blank before the text, a, three bytes, b
    found = pieces(tokens, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0])
    assert [(piece.text, piece.value) for piece in found] == [("a", 1.0), ("天", 9.0), ("b", 5.0)]


def test_what_is_between_words_has_no_value() -> None:
    config = compose(["tokenizer.max_length=2", "tokenizer.truncation=head"]).tokenizer
    tokenizer = train_tokenizer(["one two three"] * 9, config)
    found = pieces(read_tokens(tokenizer, " one  two three"), [1.0, 2.0])
    assert [(piece.text, piece.value) for piece in found] == [
        (" ", None),
        ("one", 1.0),
        ("  ", None),
        ("two", 2.0),
        (" three", None),
    ]
