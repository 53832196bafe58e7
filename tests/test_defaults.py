"""Defaults of open options: weights of the losses, average, learning rate, epochs and patience."""

import itertools

import pytest

from nlp_rnn.config.checks import check
from nlp_rnn.config.defaults import (
    SMALL_DATA,
    TrainingFacts,
    check_ngram_labels,
    resolve_defaults,
)
from nlp_rnn.config.model import Ensemble
from nlp_rnn.config.run import RunConfig
from nlp_rnn.config.training import Monitor
from nlp_rnn.errors import ConfigError
from tests.composing import compose


def resolved(config: RunConfig, tokens: int, **facts: int) -> RunConfig:
    return resolve_defaults(
        config,
        TrainingFacts(
            **{"rows": 20_000, "tokens": tokens, "labels": 2, "validation_rows": 500} | facts
        ),
    )


@pytest.mark.parametrize(
    ("words", "language_model", "r_drop"),
    [
        ("", 0.5, 1),
        ("model=lstm trainer.language_model=0.1 trainer.r_drop=3", 0.1, 3),
        ("trainer.language_model=0 trainer.r_drop=0", 0, 0),
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


@pytest.mark.parametrize(("tokens", "rate", "weight"), [(150_000, 4e-3, 1), (150_001, 8e-3, 0)])
def test_long_texts_are_trained_as_many_texts_are(tokens: int, rate: float, weight: int) -> None:
    config = resolved(compose([]), tokens, rows=1000)
    assert config.optimizer.learning_rate == rate
    assert config.trainer.r_drop == weight
    assert config.trainer.language_model == weight / 2
    assert config.trainer.average_decay == (0.0 if weight else 0.99)


def test_open_options_of_the_trainer_depend_on_the_task_and_the_labels() -> None:
    few = resolved(compose([]), 1000, labels=49)
    assert (few.trainer.monitor, few.trainer.label_smoothing) == (Monitor.macro_f1, 0.1)
    assert (few.trainer.patience, few.model.embedding_dropout) == (6, 0.5)
    many = resolved(compose([]), 1000, labels=50, multi_label=True)
    assert (many.trainer.monitor, many.trainer.label_smoothing) == (Monitor.micro_f1, 0.0)
    assert (many.trainer.patience, many.model.embedding_dropout) == (20, 0.3)


def test_resolving_changes_no_configuration_and_is_done_once() -> None:
    config = compose(["optimizer.schedule=plateau", "trainer.adversarial=1"])
    once = resolved(config, 1000)
    assert config == compose(["optimizer.schedule=plateau", "trainer.adversarial=1"])
    assert (once.optimizer.plateau_factor, once.optimizer.plateau_patience) == (0.5, 2)
    assert once.trainer.perturbation == 5
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
        (10_000, 100_000, 49, 15),  # the most
        (20_000, 400_000, 2, 10),  # by texts
        (10_000, 4_000_000, 2, 6),  # by tokens
        (10_000_000, 2_000_000_000, 2, 4),  # the least
        (10_000, 100_000, 50, 25),  # and with many labels
        (20_000, 400_000, 50, 20),
        (10_000, 4_000_000, 50, 6),
        (10_000_000, 2_000_000_000, 50, 4),
        (3_257, 60_000, 4, 15),  # tweet_emotion: 51 updates per epoch
        (2_000, 30_000, 2, 17),  # few rows: 34,000 texts in batches of 32
        (900, 10_000, 2, 27),  # 24,000 texts in batches of 16
        (900, 10_000, 77, 27),
        (270, 3_000, 2, 40),
        (20, 200, 2, 40),
        (900, 250_000, 20, 24),  # by tokens: long texts
    ],
)
def test_epochs_follow_from_rows_tokens_and_labels(
    rows: int, tokens: int, labels: int, epochs: int
) -> None:
    trainer = resolved(compose([]), tokens, rows=rows, labels=labels).trainer
    assert trainer.max_epochs == epochs


@pytest.mark.parametrize(
    ("words", "rows", "batch_size"),
    [
        ("", 3_200, 64),
        ("", 3_199, 32),
        ("", 1_600, 32),
        ("", 1_599, 16),
        ("", 20, 16),
        ("trainer.batch_size=64", 20, 64),
        ("trainer.accumulation=2", 3_200, 32),
        ("trainer.max_epochs=9", 20, 64),  # the length is the user's
    ],
)
def test_few_rows_have_small_batches(words: str, rows: int, batch_size: int) -> None:
    trainer = resolved(compose(words.split()), 10 * rows, rows=rows).trainer
    assert trainer.batch_size == batch_size


SIZES = sorted({round(20 * 1.09**n) for n in range(126)} | {1_000_000})


@pytest.mark.parametrize("labels", [2, 77])
@pytest.mark.parametrize("length", [5, 20, 250])
def test_more_rows_are_read_in_more_texts_and_no_more_often(labels: int, length: int) -> None:
    trainers = [
        resolved(compose([]), rows * length, rows=rows, labels=labels).trainer for rows in SIZES
    ]
    for rows, trainer in zip(SIZES, trainers, strict=True):
        assert trainer.max_epochs is not None
        assert trainer.batch_size is not None
        updates = trainer.max_epochs * -(-rows // trainer.batch_size)
        most = trainer.max_epochs == 40 or (trainer.max_epochs + 1) * rows * length > 6_000_000
        assert updates >= 745 or most
    pairs = zip(SIZES, trainers, strict=True)
    for (rows, one), (more_rows, other) in itertools.pairwise(pairs):
        assert one.max_epochs is not None
        assert other.max_epochs is not None
        if one.batch_size == other.batch_size:
            assert other.max_epochs <= one.max_epochs
        # epochs are whole numbers: 4 instead of 5 are a fifth less
        assert more_rows * other.max_epochs > 0.79 * rows * one.max_epochs


def test_accumulated_batches_count_as_one_update() -> None:
    options = ["trainer.batch_size=16", "trainer.accumulation=2"]
    trainer = resolved(compose(options), 20_000, rows=1_800).trainer
    assert trainer.max_epochs == 27


@pytest.mark.parametrize(
    ("words", "facts", "restore_best", "patience"),
    [
        ("", {"labels": 49}, True, 6),
        ("", {"labels": 50}, True, 20),  # as long as the schedule
        ("trainer.patience=2", {"labels": 50}, True, 2),
        ("trainer.patience=9", {}, True, 9),
        ("", {"validation_rows": 301, "rows": 900}, True, 6),
        ("", {"validation_rows": 300, "rows": 900}, False, 27),
        ("trainer.max_epochs=3", {"validation_rows": 100}, True, 6),  # the length is the user's
        ("trainer.patience=4", {"validation_rows": 100}, True, 4),
        ("trainer.monitor=loss", {"validation_rows": 100}, True, 6),
        ("trainer.restore_best=true", {"validation_rows": 100}, True, 6),
        ("trainer.restore_best=false", {}, False, 10),
    ],
)
def test_few_validation_rows_choose_no_epoch(
    words: str, facts: dict[str, int], restore_best: bool, patience: int
) -> None:
    trainer = resolved(compose(words.split()), 1000, **facts).trainer
    assert (trainer.restore_best, trainer.patience) == (restore_best, patience)


def test_patience_without_an_effect_is_an_error() -> None:
    with pytest.raises(ConfigError, match="trainer.patience=3 has no effect") as raised:
        check(compose(["trainer.restore_best=false", "trainer.patience=3"]))
    assert "set trainer.restore_best=true" in str(raised.value)
    check(compose(["trainer.restore_best=true", "trainer.patience=3"]))


def test_a_plateau_needs_no_patience_where_nothing_ends_the_training_early() -> None:
    plateau = ["optimizer.schedule=plateau", "optimizer.plateau_patience=8"]
    check(compose(["trainer.restore_best=false", *plateau]))


def test_thousands_of_labels_have_no_ngram_models() -> None:
    config = compose([])
    assert resolved(config, 50_000, labels=1000).network.ensemble is Ensemble.on
    assert resolved(config, 50_000, labels=1001).network.ensemble is Ensemble.off
    for option in ("model.ensemble=on", "model=ngrams"):
        check_ngram_labels(compose([option]), 1000)
        with pytest.raises(ConfigError, match=f"{option} fits n-gram models") as raised:
            check_ngram_labels(compose([option]), 1001)
        remedy = str(raised.value).split("Set ")[1]
        check_ngram_labels(compose([option, remedy] if "=on" in option else [remedy]), 1001)
