"""Checks of the options of pretraining that types cannot express."""

from nlp_rnn.config.data import TableConfig
from nlp_rnn.config.model import ModelConfig, RecurrentConfig
from nlp_rnn.config.pretraining import AUTO, PretrainingConfig
from nlp_rnn.config.run import RunConfig
from nlp_rnn.config.training import OptimizerConfig
from nlp_rnn.errors import ConfigError

__all__ = ["check_pretrained"]


def check_pretrained(config: RunConfig) -> None:
    """Raise `ConfigError` for options that need a pretrained network, or do not allow one."""
    model, pretrained = config.model, config.model.pretrained
    if pretrained is None:
        _check_without(config)
    else:
        _check_language_models(model)
        if model.vectors is not None:
            raise ConfigError(
                "model.vectors and model.pretrained both set the initial values of the embedding. "
                "Remove one of them."
            )
    if config.trainer.frozen_epochs and config.trainer.processes > 1:
        raise ConfigError(
            "trainer.frozen_epochs works with one process only: several wait for the gradient of "
            "every parameter. Set trainer.processes=1, or optimizer.encoder_rate=0.1 instead."
        )
    if pretrained == AUTO:
        return
    if config.pretraining != PretrainingConfig():
        start = "model.pretrained=null" if pretrained is None else "a pretrained encoder"
        raise ConfigError(
            f"pretraining.… has no effect with {start}. Set model.pretrained={AUTO}, which "
            "pretrains first, or run nlp-rnn pretrain."
        )
    if isinstance(config.data, TableConfig) and config.data.unlabelled is not None:
        raise ConfigError(
            f"data.unlabelled is used for pretraining only. Set model.pretrained={AUTO}, which "
            "pretrains first, or run nlp-rnn pretrain."
        )


def _check_without(config: RunConfig) -> None:
    options = {
        f"trainer.frozen_epochs={config.trainer.frozen_epochs}": config.trainer.frozen_epochs > 0,
        f"optimizer.encoder_rate={config.optimizer.encoder_rate:g}": (
            config.optimizer.encoder_rate != OptimizerConfig.encoder_rate
        ),
    }
    for option, is_set in options.items():
        if is_set:
            raise ConfigError(
                f"{option} has an effect on a pretrained network only. Set "
                f"model.pretrained=FOLDER, runs:/ID or {AUTO}, or remove it."
            )


def _check_language_models(model: ModelConfig) -> None:
    if not isinstance(model, RecurrentConfig):
        raise ConfigError(
            f"A language model reads token by token, and model.cell={model.cell} does not. "
            "Set model=gru or model=lstm."
        )
    if model.bidirectional and model.num_layers > 1:
        raise ConfigError(
            f"With model.num_layers={model.num_layers} in two directions the second layer has read "
            "the token that it should predict.\nSet model.num_layers=1 or "
            "model.bidirectional=false."
        )
