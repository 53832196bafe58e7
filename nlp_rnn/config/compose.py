"""`conf/` and the schemas become one configuration: composed by Hydra, or read back as saved."""

import dataclasses
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from nlp_rnn.config.data import FilesConfig, HubConfig, ProbeConfig, StoriesConfig, TableConfig
from nlp_rnn.config.model import AverageConfig, GatedConfig, RecurrentConfig
from nlp_rnn.config.pretraining import AUTO, PretrainingConfig
from nlp_rnn.config.run import RunConfig, TrackingConfig
from nlp_rnn.config.sweep import CommandConfig, SearchConfig, SweepConfig
from nlp_rnn.config.tokenizer import (
    CountedTokenizerConfig,
    GivenTokenizerConfig,
    TrainedTokenizerConfig,
)
from nlp_rnn.config.training import OptimizerConfig, TrainerConfig
from nlp_rnn.errors import ConfigError

__all__ = [
    "as_config",
    "conf_dir",
    "is_elsewhere",
    "known_keys",
    "read_config",
    "register_schemas",
    "text_keys",
    "with_absolute_paths",
]

SCHEMAS: dict[str, dict[str, type]] = {
    "data": {
        "stories": StoriesConfig,
        "probe": ProbeConfig,
        "files": FilesConfig,
        "hub": HubConfig,
    },
    "tokenizer": {
        "counted": CountedTokenizerConfig,
        "unigram": TrainedTokenizerConfig,
        "given": GivenTokenizerConfig,
    },
    "model": {"gated": GatedConfig, "recurrent": RecurrentConfig, "average": AverageConfig},
    "optimizer": {"adamw": OptimizerConfig},
    "trainer": {"trainer": TrainerConfig},
    "pretraining": {"pretraining": PretrainingConfig},
    "tracking": {"mlflow": TrackingConfig},
}


def register_schemas() -> None:
    """Put the schemas into Hydra's ConfigStore; `conf/*/*.yaml` name them in their defaults."""
    from hydra.core.config_store import ConfigStore

    store = ConfigStore.instance()
    if "train_schema.yaml" in store.repo:
        return
    for group, schemas in SCHEMAS.items():
        for name, node in schemas.items():
            store.store(group=f"schema/{group}", name=name, node=node)
    store.store(name="train_schema", node=CommandConfig)


def known_keys() -> dict[str, list[str]]:
    """Every dotted key of any schema, with the choices in `conf/` whose schema has it."""
    keys: dict[str, list[str]] = {"seed": []}
    for name, schema in (("sweep", SweepConfig), ("search", SearchConfig)):
        keys |= {f"{name}.{f.name}": ["a sweep"] for f in dataclasses.fields(schema)}
    for group, schemas in SCHEMAS.items():
        for path in sorted((conf_dir() / group).glob("*.yaml")):
            named = re.search(rf"/schema/{group}@_here_: (\w+)", path.read_text(encoding="utf-8"))
            if named:
                for f in dataclasses.fields(schemas[named[1]]):
                    keys.setdefault(f"{group}.{f.name}", []).append(f"{group}={path.stem}")
    return keys


def text_keys() -> set[str]:
    """The dotted keys whose values are texts."""
    schemas = [("sweep", SweepConfig), ("search", SearchConfig)]
    schemas += [(group, node) for group, nodes in SCHEMAS.items() for node in nodes.values()]
    return {
        f"{group}.{f.name}"
        for group, schema in schemas
        for f in dataclasses.fields(schema)
        if f.type in (str, str | None)
    }


def conf_dir() -> Path:
    """The folder of YAML values: inside an installed wheel, else beside the checkout's package."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "conf", package.parent / "conf"):
        if (folder / "train.yaml").is_file():
            return folder
    raise ConfigError(f"No conf/train.yaml beside {package}; reinstall nlp_rnn.")


def with_absolute_paths(config: RunConfig) -> RunConfig:
    """Return a copy of `config` whose paths mean the same from any working directory."""
    data, model, tokenizer = config.data, config.model, config.tokenizer
    if isinstance(data, TableConfig) and data.unlabelled is not None:
        data = replace(data, unlabelled=_absolute(data.unlabelled))
    if isinstance(data, FilesConfig):
        data = replace(data, path=_absolute(data.path))
    if model.vectors is not None:
        model = replace(model, vectors=_absolute(model.vectors))
    if model.pretrained is not None and not is_elsewhere(model.pretrained):
        model = replace(model, pretrained=_absolute(model.pretrained))
    if isinstance(tokenizer, GivenTokenizerConfig) and Path(tokenizer.path).expanduser().exists():
        tokenizer = replace(tokenizer, path=_absolute(tokenizer.path))
    return replace(config, data=data, model=model, tokenizer=tokenizer)


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().absolute())


def is_elsewhere(pretrained: str) -> bool:
    """Return whether a `model.pretrained` is not a path: `auto`, or a run in MLflow."""
    return pretrained == AUTO or pretrained.startswith("runs:/")


def read_config(path: Path) -> RunConfig:
    """The configuration that a run saved in its folder.

    Raises:
        ConfigError: the file is missing, or was written for other options.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        return as_config(OmegaConf.load(path))
    except (OSError, OmegaConfBaseException, KeyError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"{path} is no configuration of this version: {reason}") from error


def as_config(saved: Any) -> RunConfig:
    """The configuration that `nlp_rnn.config.signature.plain` made `saved` of.

    Raises:
        KeyError, TypeError, ValueError, OmegaConfBaseException: `saved` is of other options.
    """
    from omegaconf import OmegaConf

    nodes = {group: _schema_with(group, set(saved[group])) for group in SCHEMAS}
    merged = OmegaConf.merge(OmegaConf.structured(RunConfig(**nodes)), saved)
    config = OmegaConf.to_object(merged)
    assert isinstance(config, RunConfig)
    return config


def _schema_with(group: str, keys: set[str]) -> Any:
    """The schema of `group` that has just these keys: no two have the same."""
    for schema in SCHEMAS[group].values():
        if {f.name for f in dataclasses.fields(schema)} == keys:
            return schema
    raise ValueError(f"no choice of {group} has just the keys {', '.join(sorted(keys))}")
