"""What the configuration leaves open becomes what the data and the model call for."""

from dataclasses import replace

from nlp_rnn.config.checks import has_dropout, language_model_obstacle
from nlp_rnn.config.run import RunConfig
from nlp_rnn.config.training import LEARNING_RATE

__all__ = ["filled"]

LITTLE = 2_000_000
"""Tokens of a training split up to which reading it more closely is worth the time."""

LANGUAGE_MODEL, R_DROP = 0.5, 1.0

FAST_LEARNING_RATE, AVERAGE_DECAY = 8e-3, 0.99
"""Where train has more: it is read a few times only."""


def filled(config: RunConfig, tokens: int) -> RunConfig:
    """`config` for a training split of `tokens`, without nulls for rate, average and loss.

    docs/accuracy.md has what each gives. A pretrained encoder has foretold its texts already, and
    with it no average was tried.
    """
    given = config.trainer
    little = tokens <= LITTLE
    language_model, r_drop = given.language_model, given.r_drop
    if language_model is None:
        useful = language_model_obstacle(config) is None and config.model.pretrained is None
        language_model = LANGUAGE_MODEL if little and useful else 0.0
    if r_drop is None:
        r_drop = R_DROP if little and has_dropout(config) else 0.0
    average_decay = given.average_decay
    if average_decay is None:
        average_decay = 0.0 if little or config.model.pretrained is not None else AVERAGE_DECAY
    rate = config.optimizer.learning_rate
    if rate is None:
        rate = LEARNING_RATE if little else FAST_LEARNING_RATE
    return replace(
        config,
        trainer=replace(
            given, language_model=language_model, r_drop=r_drop, average_decay=average_decay
        ),
        optimizer=replace(config.optimizer, learning_rate=rate),
    )
