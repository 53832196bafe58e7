"""What is left open: parts of the loss that are on where there is little text and use for them."""

import pytest

from nlp_rnn.training.recipe import LITTLE, trainer_config
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
    found = trainer_config(compose(words.split()), LITTLE)
    assert (found.language_model, found.r_drop) == (language_model, r_drop)


def test_much_text_is_read_once_for_its_labels_unless_more_is_asked_for() -> None:
    much = trainer_config(compose([]), LITTLE + 1)
    assert (much.language_model, much.r_drop) == (0, 0)
    asked = compose(["trainer.language_model=0.1", "trainer.r_drop=0.2"])
    assert trainer_config(asked, LITTLE + 1) == asked.trainer
