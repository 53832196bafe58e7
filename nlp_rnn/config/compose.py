"""Configurations: composed by Hydra from `conf/` and arguments, or read back as saved."""

import dataclasses
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.config.arguments import config_errors, quoted, version_base
from nlp_rnn.config.checks import check
from nlp_rnn.config.run import RunConfig
from nlp_rnn.config.schemas import SCHEMAS, conf_dir, register_schemas
from nlp_rnn.config.signature import ADDED_LATER, REMOVED
from nlp_rnn.config.sweep import CommandConfig
from nlp_rnn.errors import ConfigError

if TYPE_CHECKING:
    from omegaconf import DictConfig

__all__ = [
    "as_config",
    "compose",
    "composing",
    "read_config",
    "run_config",
]


composing = threading.Lock()
"""Held while Hydra composes, with the state of the process: threads take turns."""


def compose(overrides: Sequence[str]) -> RunConfig:
    """Return the checked configuration for the arguments of `nlp-rnn train`, without running it.

    Raises
    ------
    ConfigError
        If an argument is wrong.
    """
    import hydra

    register_schemas()
    with (
        composing,
        config_errors(),
        hydra.initialize_config_dir(str(conf_dir()), **version_base(hydra)),
    ):
        arguments = [quoted(override) for override in overrides]
        config, _ = run_config(hydra.compose("train", overrides=arguments))
    check(config)
    return config


def run_config(composed: "DictConfig") -> tuple[RunConfig, CommandConfig]:
    """Return the configuration of one run, and all options of the command.

    Raises
    ------
    ConfigError
        If a value that has to be set is missing.
    """
    from omegaconf import OmegaConf

    with config_errors():
        command = OmegaConf.to_object(composed)
    assert isinstance(command, CommandConfig)  # the schema that conf/train.yaml starts with
    fields = dataclasses.fields(RunConfig)
    return RunConfig(**{f.name: getattr(command, f.name) for f in fields}), command


def read_config(path: Path) -> RunConfig:
    """Return the configuration that a run saved in its folder.

    Raises
    ------
    ConfigError
        If the file is missing, or was written by a version with other options.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        return as_config(OmegaConf.load(path))
    except (OSError, OmegaConfBaseException, KeyError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"{path} is not a configuration of this version: {reason}") from error


def as_config(saved: Any) -> RunConfig:
    """Return the configuration that `nlp_rnn.config.signature.plain` turned into `saved`.

    Options that were added since then have the value that has no effect. Options that were removed
    since then must have it.

    Raises
    ------
    KeyError, TypeError, ValueError, OmegaConfBaseException
        If `saved` has other options.
    """
    from omegaconf import OmegaConf

    saved = OmegaConf.to_container(OmegaConf.create(saved))
    for key, value in REMOVED.items():
        group, _, name = key.partition(".")
        if (removed := saved[group].pop(name, value)) != value:
            raise ValueError(f"the option {key}, here {removed}, was removed")
    nodes = {group: _schema_with(group, set(saved.get(group, ()))) for group in SCHEMAS}
    structured = OmegaConf.structured(RunConfig(**nodes))
    for key, value in ADDED_LATER.items():
        group, _, name = key.partition(".")
        if name in structured[group] and name not in saved.get(group, ()):
            structured[group][name] = value
    config = OmegaConf.to_object(OmegaConf.merge(structured, saved))
    assert isinstance(config, RunConfig)
    return config


def _schema_with(group: str, keys: set[str]) -> Any:
    """Return the schema of a group that has these keys and none besides but later ones."""
    for schema in SCHEMAS[group].values():
        names = {f.name for f in dataclasses.fields(schema)}
        if keys == {name for name in names if name in keys or f"{group}.{name}" not in ADDED_LATER}:
            return schema
    raise ValueError(f"no choice of {group} has exactly the keys {', '.join(sorted(keys))}")
