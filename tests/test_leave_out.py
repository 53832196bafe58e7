"""Contributions of tokens by leaving them out of the text."""

import numpy as np
import pytest
from tokenizers import Tokenizer

from nlp_rnn.inspection.leave_out import MAX_SPANS, contributions, leave_out, log_odds
from nlp_rnn.inspection.text_tokens import tokenize_text
from tests.tiny_classifier import tiny_tokenizer_json


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    tokenizer = Tokenizer.from_str(tiny_tokenizer_json())
    tokenizer.no_truncation()
    return tokenizer


@pytest.mark.parametrize("text", ["w2 w3", " w2  w3 ", "", "  ", "w2", "é ü w2 \U0001f469"])
def test_the_parts_are_the_text_and_each_token_is_missing_once(
    tokenizer: Tokenizer, text: str
) -> None:
    left_out = leave_out(tokenize_text(tokenizer, text))
    assert "".join(left_out.parts) == text
    assert left_out.texts[0] == text
    for part, position in zip(left_out.parts, left_out.positions, strict=True):
        if position is not None:
            assert len(left_out.texts[position]) == len(text) - len(part)
    tokens = [
        part
        for part, position in zip(left_out.parts, left_out.positions, strict=True)
        if position is not None
    ]
    assert [part.strip() for part in tokens] == (text.split() or [text.strip()])


@pytest.mark.parametrize("words", [MAX_SPANS, MAX_SPANS + 1, 5 * MAX_SPANS - 3])
def test_a_long_text_has_a_limited_number_of_parts(tokenizer: Tokenizer, words: int) -> None:
    text = " ".join(f"w{index % 20 + 2}" for index in range(words))
    left_out = leave_out(tokenize_text(tokenizer, text))
    assert "".join(left_out.parts) == text
    assert MAX_SPANS / 2 < len(left_out.texts) - 1 <= MAX_SPANS


def test_a_contribution_is_the_difference_of_the_log_odds() -> None:
    table = np.array([[0.8, 0.2], [0.5, 0.5], [0.9, 0.1]], np.float32)
    expected = np.log(4) - np.log([1, 9])
    np.testing.assert_allclose(contributions(table)[:, 0], expected, atol=1e-6)
    np.testing.assert_allclose(contributions(table)[:, 1], -expected, atol=1e-6)
    assert np.isfinite(log_odds(np.array([[0.0, 1.0]], np.float32))).all()
