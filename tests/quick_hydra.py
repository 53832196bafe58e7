"""Hydra composes in a quarter of the time: what it does again and again is done once.

Hundreds of configurations are composed in the tests, from few choices of groups. What Hydra makes
of conf/ and a choice is kept; values on the command line come on top of a copy, as always.
"""

import copy
from pathlib import Path
from typing import Any

from hydra._internal import config_loader_impl, defaults_list
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository, ConfigRepository
from hydra._internal.defaults_list import DefaultsList
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.plugins import Plugins
from omegaconf import DictConfig, OmegaConf

from nlp_rnn.config.schemas import conf_dir

Plugins.instance()  # finds the kinds of sources
FileConfigSource: Any = SourcesRegistry.instance().resolve("file")
load = FileConfigSource.load_config
gather_choices = defaults_list._create_interpolation_map
list_defaults = config_loader_impl.create_defaults_list
compose = ConfigLoaderImpl._compose_config_from_defaults_list
parsed: dict[tuple[Path, int], Any] = {}
listed: dict[tuple[Any, ...], DefaultsList] = {}
composed: dict[int, Any] = {}  # by the id of a list of defaults that is kept in `listed`


def load_once(source: Any, config_path: str) -> Any:
    file = Path(source.path, config_path).with_suffix(".yaml")
    if not file.is_file():
        return load(source, config_path)
    key = (file, file.stat().st_mtime_ns)
    if key not in parsed:
        parsed[key] = load(source, config_path)
    return copy.deepcopy(parsed[key])


def list_once(
    repo: Any,
    config_name: str | None,
    overrides_list: list[Any],
    prepend_hydra: bool,
    skip_missing: bool,
) -> DefaultsList:
    """As Hydra's; a folder of a test's own is read anew."""
    given = (prepend_hydra, skip_missing)
    sources = [source for source in repo.get_sources() if source.scheme() == "file"]
    if any(Path(source.path) != conf_dir() for source in sources):
        return list_defaults(repo, config_name, overrides_list, *given)
    words = [word for word in overrides_list if not word.is_sweep_override()]
    choices = [
        word
        for word in words
        if repo.group_exists(word.key_or_group) and not isinstance(word.value(), dict)
    ]
    key = (len(sources), config_name, *(word.input_line for word in choices), *given)
    if key not in listed:
        listed[key] = list_defaults(repo, config_name, choices, *given)
        composed[id(listed[key].defaults)] = None
    found = copy.copy(listed[key])
    found.config_overrides = [word for word in words if word not in choices]
    return found


def compose_once(loader: ConfigLoaderImpl, defaults: list[Any], repo: Any) -> Any:
    if id(defaults) not in composed:
        return compose(loader, defaults, repo)
    if composed[id(defaults)] is None:
        composed[id(defaults)] = compose(loader, defaults, repo)
    return copy.deepcopy(composed[id(defaults)])


def gather_if_asked_for(overrides: Any, defaults: list[Any], self_added: bool) -> DictConfig:
    """The choices so far, for defaults whose names ask for them."""
    if any(default.is_interpolation() for default in defaults):
        return gather_choices(overrides, defaults, self_added)
    return OmegaConf.create()


def share_sources(self: CachingConfigRepository, delegate: ConfigRepository) -> None:
    self.delegate = copy.copy(delegate)  # `initialize_sources` gives the copy other sources
    self.cache = {}


FileConfigSource.load_config = load_once
config_loader_impl.create_defaults_list = list_once
ConfigLoaderImpl._compose_config_from_defaults_list = compose_once
defaults_list._create_interpolation_map = gather_if_asked_for
CachingConfigRepository.__init__ = share_sources
