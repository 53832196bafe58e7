"""What the configuration leaves open becomes what the data and the model call for."""

from dataclasses import replace

from nlp_rnn.config import RunConfig, TrainerConfig
from nlp_rnn.limits import has_dropout, language_model_obstacle

__all__ = ["trainer_config"]

LITTLE = 2_000_000
"""Tokens of a training split up to which reading it more closely is worth the time."""

LANGUAGE_MODEL, R_DROP = 0.5, 1.0


def trainer_config(config: RunConfig, tokens: int) -> TrainerConfig:
    """`config.trainer` for a training split of `tokens`, without nulls for parts of the loss.

    docs/accuracy.md has what each gives. A pretrained encoder has foretold its texts already.
    """
    given = config.trainer
    little = tokens <= LITTLE
    language_model, r_drop = given.language_model, given.r_drop
    if language_model is None:
        useful = language_model_obstacle(config) is None and config.model.pretrained is None
        language_model = LANGUAGE_MODEL if little and useful else 0.0
    if r_drop is None:
        r_drop = R_DROP if little and has_dropout(config) else 0.0
    return replace(given, language_model=language_model, r_drop=r_drop)
