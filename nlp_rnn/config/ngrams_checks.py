"""Options that have an effect with `model=ngrams`, and the check that no others are set."""

import dataclasses
from typing import Any

from nlp_rnn.config.data import TableConfig
from nlp_rnn.config.model import NgramsConfig
from nlp_rnn.config.pretraining import PretrainingConfig
from nlp_rnn.config.run import RunConfig
from nlp_rnn.config.teacher import TeacherKind
from nlp_rnn.config.teacher_checks import labelled_only
from nlp_rnn.config.tokenizer import CountedTokenizerConfig, TokenizerKind
from nlp_rnn.config.training import OptimizerConfig, TrainerConfig
from nlp_rnn.errors import ConfigError

__all__ = ["check_ngrams", "has_effect_on_ngrams", "with_ngrams"]

WITH_EFFECT = ("trainer.class_weight", "trainer.threads")

WITHOUT_EFFECT = ("tokenizer", "optimizer", "trainer", "pretraining")

# the defaults of conf/
TOKENIZER = CountedTokenizerConfig(name="word", kind=TokenizerKind.word, vocab_size=30_000)


def has_effect_on_ngrams(key: str) -> bool:
    """Return whether an option, by its dotted key, has an effect on n-gram models alone."""
    return key in WITH_EFFECT or key.partition(".")[0] not in WITHOUT_EFFECT


def with_ngrams(config: RunConfig) -> RunConfig:
    """Return the configuration of n-gram models alone on the data of another configuration."""
    trainer = TrainerConfig(
        class_weight=config.trainer.class_weight, threads=config.trainer.threads
    )
    return dataclasses.replace(
        labelled_only(config),
        model=NgramsConfig(name="ngrams", cell="ngrams"),
        tokenizer=TOKENIZER,
        optimizer=OptimizerConfig(name=config.optimizer.name),
        trainer=trainer,
        pretraining=PretrainingConfig(),
    )


def check_ngrams(config: RunConfig) -> None:
    """Raise `ConfigError` for an option that has no effect on `model=ngrams`.

    `trainer.device=cpu` is allowed: it is what the models are fitted on.
    """
    defaults: dict[str, Any] = {
        "tokenizer": TOKENIZER,
        "optimizer": OptimizerConfig(name=config.optimizer.name),
        "trainer": TrainerConfig(),
        "pretraining": PretrainingConfig(),
    }
    for group, default in defaults.items():
        options = getattr(config, group)
        if group == "tokenizer" and options.name != default.name:
            raise _without_effect(f"tokenizer={options.name}", "read words and characters")
        for field in dataclasses.fields(options):
            key, value = f"{group}.{field.name}", getattr(options, field.name)
            if value == getattr(default, field.name) or has_effect_on_ngrams(key):
                continue
            if (key, value) == ("trainer.device", "cpu"):
                continue
            raise _without_effect(f"{key}={getattr(value, 'name', value)}", "have no such option")
    unlabelled = isinstance(config.data, TableConfig) and config.data.unlabelled is not None
    if unlabelled and config.teacher.kind is TeacherKind.none:
        raise ConfigError(
            "data.unlabelled has no effect on n-gram models without a teacher that labels its "
            "texts. Set teacher=predictions, encoder or classifier, model=gru teacher=self, or "
            "remove it."
        )


def _without_effect(option: str, reason: str) -> ConfigError:
    return ConfigError(
        f"{option} has no effect with model=ngrams: its linear models {reason}. "
        "Remove it, or set model=gru."
    )
