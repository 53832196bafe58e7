"""What is left open: parts of the loss for little text, and how fast to learn."""

import pytest

from nlp_rnn.training.defaults import LITTLE, filled
from tests.composing import compose


@pytest.mark.parametrize(
    ("words", "language_model", "r_drop"),
    [
        ("", 0.5, 1),
        ("model=lstm trainer.language_model=0.1 trainer.r_drop=3", 0.1, 3),
        ("trainer.language_model=0 trainer.r_drop=0", 0, 0),
        ("experiment=wide", 0.5, 1),
        ("experiment=streaming", 0.5, 1),
        ("model=average", 0, 1),
        ("model.num_layers=2", 0, 1),
        ("model.num_layers=2 model.bidirectional=false", 0.5, 1),
        ("tokenizer.max_length=1", 0, 1),
        ("model.embedding_dropout=0 model.head_dropout=0", 0.5, 0),
        ("model.embedding_dropout=0 model.head_dropout=0 model.weight_drop=0.5", 0.5, 0),
        ("experiment=pretrained", 0, 1),
        ("experiment=probe data.probe=majority", 0, 0),
    ],
)
def test_little_text_is_read_more_closely(words: str, language_model: float, r_drop: float) -> None:
    found = filled(compose(words.split()), LITTLE).trainer
    assert (found.language_model, found.r_drop) == (language_model, r_drop)


def test_much_text_is_read_once_for_its_labels_unless_more_is_asked_for() -> None:
    much = filled(compose([]), LITTLE + 1).trainer
    assert (much.language_model, much.r_drop) == (0, 0)
    words = ["trainer.language_model=0.1", "trainer.r_drop=0.2", "trainer.average_decay=0.9"]
    asked = compose(words)
    assert filled(asked, LITTLE + 1).trainer == asked.trainer


@pytest.mark.parametrize(
    ("words", "little", "much"),
    [
        ("", 0, 0.99),
        ("trainer.average_decay=0", 0, 0),
        ("experiment=accurate", 0.99, 0.99),
        ("experiment=pretrained", 0, 0),
        ("experiment=probe data.probe=majority", 0, 0),
    ],
)
def test_the_weights_of_much_text_are_averaged(words: str, little: float, much: float) -> None:
    config = compose(words.split())
    decays = [filled(config, LITTLE + more).trainer.average_decay for more in (0, 1)]
    assert decays == [little, much]


@pytest.mark.parametrize(
    ("words", "little", "much"),
    [
        ("", 4e-3, 8e-3),
        ("optimizer.learning_rate=0.005", 5e-3, 5e-3),
        ("experiment=pretrained", 4e-3, 4e-3),
        ("experiment=probe data.probe=majority", 1e-2, 1e-2),
    ],
)
def test_much_text_is_learnt_at_a_higher_rate(words: str, little: float, much: float) -> None:
    config = compose(words.split())
    rates = [filled(config, LITTLE + more).optimizer.learning_rate for more in (0, 1)]
    assert rates == [little, much]
