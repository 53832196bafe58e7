"""The options about pretraining are checked for what types cannot say."""

from nlp_rnn.config import ModelConfig, RecurrentConfig
from nlp_rnn.errors import ConfigError

__all__ = ["check_language_models"]


def check_language_models(model: ModelConfig) -> None:
    """Raise `ConfigError` for a network that is no language model."""
    if not isinstance(model, RecurrentConfig):
        raise ConfigError(
            f"A language model reads token by token, and model.cell={model.cell.name} does not. "
            "Type model=gru or model=lstm."
        )
    if model.bidirectional and model.num_layers > 1:
        raise ConfigError(
            f"With model.num_layers={model.num_layers} in two directions the second layer has read "
            "the token that it should foretell.\nType model.num_layers=1 or "
            "model.bidirectional=false."
        )
