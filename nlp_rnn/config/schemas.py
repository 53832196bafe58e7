"""Registry of all schemas: which schema belongs to which group of `conf/`, and its keys."""

import dataclasses
import re
from pathlib import Path

from nlp_rnn.config.data import FilesConfig, HubConfig, ProbeConfig, StoriesConfig
from nlp_rnn.config.model import AverageConfig, GatedConfig, NgramsConfig, RecurrentConfig
from nlp_rnn.config.option import help_of
from nlp_rnn.config.pretraining import PretrainingConfig
from nlp_rnn.config.run import RunConfig, TrackingConfig
from nlp_rnn.config.sweep import (
    CommandConfig,
    RayConfig,
    SearchConfig,
    SlurmConfig,
    SweepConfig,
)
from nlp_rnn.config.teacher import TeacherConfig
from nlp_rnn.config.tokenizer import (
    CountedTokenizerConfig,
    GivenTokenizerConfig,
    TrainedTokenizerConfig,
)
from nlp_rnn.config.training import OptimizerConfig, TrainerConfig
from nlp_rnn.errors import ConfigError

__all__ = [
    "SCHEMAS",
    "SWEEP_SCHEMAS",
    "conf_dir",
    "known_keys",
    "option_help",
    "register_schemas",
    "text_keys",
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
    "model": {
        "gated": GatedConfig,
        "recurrent": RecurrentConfig,
        "average": AverageConfig,
        "ngrams": NgramsConfig,
    },
    "optimizer": {"adamw": OptimizerConfig},
    "trainer": {"trainer": TrainerConfig},
    "pretraining": {"pretraining": PretrainingConfig},
    "teacher": {"teacher": TeacherConfig},
    "tracking": {"mlflow": TrackingConfig},
}
"""Schemas of a run by group of `conf/`, with the names by which the YAML files refer to them."""

SWEEP_SCHEMAS: dict[str, type] = {
    "sweep": SweepConfig,
    "search": SearchConfig,
    "slurm": SlurmConfig,
    "ray": RayConfig,
}
"""Schemas of a sweep by the first part of their keys."""


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
    """Return every dotted key of any schema with the choices in `conf/` whose schema has it."""
    keys: dict[str, list[str]] = {"seed": []}
    for name, schema in SWEEP_SCHEMAS.items():
        keys |= {f"{name}.{f.name}": ["a sweep"] for f in dataclasses.fields(schema)}
    for group, schemas in SCHEMAS.items():
        for path in sorted((conf_dir() / group).glob("*.yaml")):
            named = re.search(rf"/schema/{group}@_here_: (\w+)", path.read_text(encoding="utf-8"))
            if named:
                for f in dataclasses.fields(schemas[named[1]]):
                    keys.setdefault(f"{group}.{f.name}", []).append(f"{group}={path.stem}")
    return keys


def text_keys() -> set[str]:
    """Return the dotted keys whose values are strings."""
    schemas = [*SWEEP_SCHEMAS.items()]
    schemas += [(group, node) for group, nodes in SCHEMAS.items() for node in nodes.values()]
    return {
        f"{group}.{f.name}"
        for group, schema in schemas
        for f in dataclasses.fields(schema)
        if f.type in (str, str | None)
    }


def option_help() -> dict[str, str]:
    """Return the help text of every option by dotted key, in the order of the schemas."""
    texts: dict[str, str] = {}
    for group, schemas in SCHEMAS.items():
        for schema in schemas.values():
            for name, text in help_of(schema).items():
                texts.setdefault(f"{group}.{name}", text)
    texts["seed"] = help_of(RunConfig)["seed"]
    for group, schema in SWEEP_SCHEMAS.items():
        texts |= {f"{group}.{name}": text for name, text in help_of(schema).items()}
    return texts


def conf_dir() -> Path:
    """Return the folder of YAML files: in an installed wheel, else in the checkout.

    Raises
    ------
    ConfigError
        If there is no such folder.
    """
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "conf", package.parent / "conf"):
        if (folder / "train.yaml").is_file():
            return folder
    raise ConfigError(f"conf/train.yaml is missing beside {package}. Install nlp_rnn again.")
