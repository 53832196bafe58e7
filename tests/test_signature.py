"""Signatures of configurations as older versions logged them, and options added since."""

import pytest

from nlp_rnn.config.compose import as_config
from nlp_rnn.config.signature import ADDED_LATER, plain, requested_values, signature
from tests.composing import compose

# As version 0.1 of the main branch computed them (commit da8a269).
STORED = [
    ("", "791972c1"),
    ("model=lstm", "aa3cb164"),
    ("model=rnn model.pooling=last", "6c6c0dfd"),
    ("model=average", "b5b723f6"),
    ("model=gru model.hidden_size=155", "7504d0c1"),
    ("data=imdb", "4ff4c128"),
    ("data=trec tokenizer=bpe", "4e380ec5"),
    ("experiment=streaming", "2a928b2b"),
    ("experiment=probe data.probe=recall", "3e3e4c7b"),
    ("experiment=accurate", "6e06906b"),
    ("experiment=pretrained", "3767dcd6"),
    ("optimizer.schedule=plateau trainer.patience=9", "1fe94018"),
    ("trainer.class_weight=balanced trainer.max_epochs=3", "74eaa02f"),
    (
        "data=files data.path=/data/reviews.csv data.text=[a,b] data.separator_token=true",
        "b0dff84c",
    ),
    ("tokenizer=given tokenizer.path=bert-base-uncased", "d6d3b0c9"),
    ("seed=7 trainer.threads=1 tracking.speed=none trainer.device=cpu", "791972c1"),
]


REMOVED_FROM_MODEL = {"ngrams": 0, "ngram_buckets": None}


@pytest.mark.parametrize(("overrides", "stored"), STORED)
def test_signatures_of_older_stores_stay_valid(overrides: str, stored: str) -> None:
    # earlier versions had no ensembles
    assert signature(compose([*overrides.split(), "model.ensemble=off"])) == stored


def test_a_default_that_became_null_keeps_the_signatures_of_older_runs() -> None:
    assert compose([]).trainer.batch_size is None
    signatures = {signature(compose([f"trainer.batch_size={n}"])) for n in (63, 64)}
    assert len(signatures | {signature(compose([]))}) == 3


def test_an_option_that_is_added_later_counts_only_where_it_has_an_effect(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = compose([])
    monkeypatch.setitem(ADDED_LATER, "model.word_dropout", 0.0)  # as if it were new
    saved = plain(config)
    del saved["model"]["word_dropout"]
    assert as_config(saved) == config
    without = signature(config)
    assert signature(compose(["model.word_dropout=0.2"])) != without
    monkeypatch.delitem(ADDED_LATER, "model.word_dropout")
    assert signature(config) != without  # it was left out while it had no effect
    with pytest.raises(ValueError, match="exactly the keys"):
        as_config(saved)


def test_a_stored_configuration_with_removed_options_is_read_if_they_had_no_effect() -> None:
    config = compose([])
    saved = plain(config)
    saved["model"] |= REMOVED_FROM_MODEL
    assert as_config(saved) == config
    assert REMOVED_FROM_MODEL.items() <= saved["model"].items()
    saved["model"]["ngrams"] = 2
    with pytest.raises(ValueError, match=r"model\.ngrams, here 2, was removed"):
        as_config(saved)


def test_requested_values_are_those_that_were_resolved() -> None:
    config = compose([])
    resolved = compose(["trainer.max_epochs=3", "trainer.precision=fp32", "model.hidden_size=155"])
    assert requested_values(config, resolved) == {
        "trainer.max_epochs": None,
        "trainer.precision": "auto",
    }
    assert requested_values(config, config) == {}
