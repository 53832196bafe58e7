"""Compose a configuration as `nlp-rnn train` would, for tests."""

from hydra import compose as hydra_compose
from hydra import initialize_config_dir

from nlp_rnn.composition import conf_dir, register_schemas
from nlp_rnn.config import RunConfig
from nlp_rnn.hydra_words import run_config


def compose(overrides: list[str]) -> RunConfig:
    register_schemas()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return run_config(hydra_compose("train", overrides=overrides))[0]
