"""The options about pretraining are checked for what types cannot say."""

from nlp_rnn.config.data import TableConfig
from nlp_rnn.config.model import ModelConfig, RecurrentConfig
from nlp_rnn.config.pretraining import AUTO, PretrainingConfig
from nlp_rnn.config.run import RunConfig
from nlp_rnn.config.training import OptimizerConfig
from nlp_rnn.errors import ConfigError

__all__ = ["check_pretrained"]


def check_pretrained(config: RunConfig) -> None:
    """Raise `ConfigError` for what needs a pretrained network, or cannot be one."""
    model, pretrained = config.model, config.model.pretrained
    if pretrained is None:
        _check_without(config)
    else:
        _check_language_models(model)
        if model.vectors is not None:
            raise ConfigError(
                "model.vectors and model.pretrained both give the embedding its first values. "
                "Leave one of them out."
            )
    if config.trainer.frozen_epochs and config.trainer.processes > 1:
        raise ConfigError(
            "trainer.frozen_epochs is for one process: several wait for the gradient of every "
            "parameter. Type trainer.processes=1, or optimizer.encoder_rate=0.1 instead."
        )
    if pretrained == AUTO:
        return
    if config.pretraining != PretrainingConfig():
        given = "model.pretrained=null" if pretrained is None else "a pretrained encoder"
        raise ConfigError(
            f"pretraining.… does nothing with {given}. Type model.pretrained={AUTO}, which "
            "pretrains first, or nlp-rnn pretrain."
        )
    if isinstance(config.data, TableConfig) and config.data.unlabelled is not None:
        raise ConfigError(
            f"data.unlabelled is read by a pretraining only. Type model.pretrained={AUTO}, which "
            "pretrains first, or nlp-rnn pretrain."
        )


def _check_without(config: RunConfig) -> None:
    given = {
        f"trainer.frozen_epochs={config.trainer.frozen_epochs}": config.trainer.frozen_epochs > 0,
        f"optimizer.encoder_rate={config.optimizer.encoder_rate:g}": (
            config.optimizer.encoder_rate != OptimizerConfig.encoder_rate
        ),
    }
    for words, there in given.items():
        if there:
            raise ConfigError(
                f"{words} is about what was pretrained, and nothing was. Type "
                f"model.pretrained=FOLDER, runs:/ID or {AUTO}, or leave it out."
            )


def _check_language_models(model: ModelConfig) -> None:
    if not isinstance(model, RecurrentConfig):
        raise ConfigError(
            f"A language model reads token by token, and model.cell={model.cell} does not. "
            "Type model=gru or model=lstm."
        )
    if model.bidirectional and model.num_layers > 1:
        raise ConfigError(
            f"With model.num_layers={model.num_layers} in two directions the second layer has read "
            "the token that it should foretell.\nType model.num_layers=1 or "
            "model.bidirectional=false."
        )
