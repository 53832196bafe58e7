"""Configurations for tests, composed as by `nlp-rnn train`."""

import copy
import functools
import re

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

from nlp_rnn.config.compose import run_config
from nlp_rnn.config.run import RunConfig
from nlp_rnn.config.schemas import conf_dir, register_schemas

VALUE = re.compile(r"seed=|[a-z]+\.[a-z_.]+=")


def compose(overrides: list[str]) -> RunConfig:
    """Return the configuration with these overrides.

    Hydra composes the choices of groups only once for all tests. Values are applied to a copy.
    """
    values = OverridesParser.create().parse_overrides([o for o in overrides if VALUE.match(o)])
    if any(value.is_sweep_override() or value.is_hydra_override() for value in values):
        composed = _composed(tuple(overrides))
    else:
        composed = copy.deepcopy(_composed(tuple(o for o in overrides if not VALUE.match(o))))
        ConfigLoaderImpl._apply_overrides_to_config(values, composed)
    return run_config(composed)[0]


@functools.cache
def _composed(overrides: tuple[str, ...]) -> DictConfig:
    register_schemas()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return hydra_compose("train", overrides=list(overrides))
