"""Compose a configuration as `nlp-rnn train` would, for tests."""

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from omegaconf import OmegaConf

from nlp_rnn.composition import conf_dir, register_schemas
from nlp_rnn.config import RunConfig


def compose(overrides: list[str]) -> RunConfig:
    register_schemas()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config = OmegaConf.to_object(hydra_compose("train", overrides=overrides))
    assert isinstance(config, RunConfig)
    return config
