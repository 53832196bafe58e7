"""Defaults of open options: weights of the losses, average, learning rate, epochs and patience."""

import pytest

from nlp_rnn.config.defaults import SMALL_DATA, TrainingFacts, resolve_defaults
from nlp_rnn.config.run import RunConfig
from nlp_rnn.config.training import Monitor
from tests.composing import compose


def resolved(config: RunConfig, tokens: int, **facts: int) -> RunConfig:
    return resolve_defaults(
        config, TrainingFacts(**{"rows": 1000, "tokens": tokens, "labels": 2} | facts)
    )


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
    found = resolved(compose(words.split()), SMALL_DATA).trainer
    assert (found.language_model, found.r_drop) == (language_model, r_drop)


def test_much_text_is_read_once_for_its_labels_unless_more_is_asked_for() -> None:
    much = resolved(compose([]), SMALL_DATA + 1).trainer
    assert (much.language_model, much.r_drop) == (0, 0)
    words = ["trainer.language_model=0.1", "trainer.r_drop=0.2", "trainer.average_decay=0.9"]
    asked = compose(words)
    much = resolved(asked, SMALL_DATA + 1).trainer
    assert (much.language_model, much.r_drop, much.average_decay) == (0.1, 0.2, 0.9)


def test_open_options_of_the_trainer_depend_on_the_task_and_the_labels() -> None:
    few = resolved(compose([]), 1000, labels=49)
    assert (few.trainer.monitor, few.trainer.label_smoothing) == (Monitor.macro_f1, 0.1)
    assert (few.trainer.patience, few.model.embedding_dropout) == (6, 0.5)
    many = resolved(compose([]), 1000, labels=50, multi_label=True)
    assert (many.trainer.monitor, many.trainer.label_smoothing) == (Monitor.micro_f1, 0.0)
    assert (many.trainer.patience, many.model.embedding_dropout) == (25, 0.3)


def test_resolving_changes_no_configuration_and_is_done_once() -> None:
    config = compose(["optimizer.schedule=plateau", "trainer.adversarial=1", "model.ngrams=2"])
    once = resolved(config, 1000)
    assert config == compose(
        ["optimizer.schedule=plateau", "trainer.adversarial=1", "model.ngrams=2"]
    )
    assert (once.optimizer.plateau_factor, once.optimizer.plateau_patience) == (0.5, 2)
    assert (once.trainer.perturbation, once.model.ngram_buckets) == (5, 262_144)
    assert resolved(once, 10**9, rows=10, labels=100) == once


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
    decays = [resolved(config, SMALL_DATA + more).trainer.average_decay for more in (0, 1)]
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
    rates = [resolved(config, SMALL_DATA + more).optimizer.learning_rate for more in (0, 1)]
    assert rates == [little, much]


@pytest.mark.parametrize(
    ("rows", "tokens", "labels", "epochs"),
    [
        (10, 100, 49, 15),  # the most
        (20_000, 400_000, 2, 10),  # by texts
        (10_000, 4_000_000, 2, 6),  # by tokens
        (10_000_000, 2_000_000_000, 2, 4),  # the least
        (10, 100, 50, 25),  # and with many labels
        (20_000, 400_000, 50, 20),
        (10_000, 4_000_000, 50, 6),
        (10_000_000, 2_000_000_000, 50, 4),
    ],
)
def test_epochs_follow_from_rows_tokens_and_labels(
    rows: int, tokens: int, labels: int, epochs: int
) -> None:
    trainer = resolved(compose([]), tokens, rows=rows, labels=labels).trainer
    assert trainer.max_epochs == epochs


@pytest.mark.parametrize(
    ("labels", "requested", "patience"), [(49, None, 6), (50, None, 25), (50, 2, 2), (2, 9, 9)]
)
def test_patience_is_as_long_as_the_schedule_with_many_labels(
    labels: int, requested: int | None, patience: int
) -> None:
    config = compose([] if requested is None else [f"trainer.patience={requested}"])
    assert resolved(config, 1000, labels=labels).trainer.patience == patience
