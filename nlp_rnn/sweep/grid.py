"""The words of a sweep become its jobs, each with the configuration of one run."""

import hashlib
import itertools
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from nlp_rnn.composition import conf_dir, make_paths_absolute, register_schemas
from nlp_rnn.config import RunConfig
from nlp_rnn.errors import ConfigError, NlpRnnError
from nlp_rnn.hydra_words import config_errors, flags_and_overrides, run_config, version_base
from nlp_rnn.limits import check
from nlp_rnn.record import short_name
from nlp_rnn.signature import signature
from nlp_rnn.sweep_config import CommandConfig

__all__ = ["Grid", "Job", "extra_words", "opened", "swept_words"]

# A job's own: what the sweep is told is not what the run is told.
NOT_A_JOBS = re.compile(r"(sweep|tracking\.run_name)(\.|=|$)")
# Whoever sweeps over these would tear the sweep apart.
NEVER_SWEPT = re.compile(r"(sweep|tracking)\b")
IN_THE_NAME = ("model", "model.hidden_size", "model.name", "seed")


@dataclass(frozen=True)
class Job:
    """One combination.

    Attributes:
        overrides: what `nlp-rnn train` would be told to train this one alone.
        config: what they compose to.
        key: eight characters that say which job of a sweep it is, whoever asks: its signature
            (with `model.match`) and its seed.
        name: for people, such as `gru h128 seed2`.
        problem: why it cannot run, which is known before it is tried; else empty.
    """

    overrides: tuple[str, ...]
    config: RunConfig
    key: str
    name: str
    problem: str = ""

    @property
    def folder(self) -> str:
        """The run folder's name; the same whenever the sweep is started again."""
        return f"{re.sub(r'[^A-Za-z0-9.]+', '-', self.name).strip('-')}-{self.key}"


@dataclass(frozen=True)
class Grid:
    """A sweep before it runs.

    Attributes:
        told: the configuration of the whole command.
        space: the swept keys with their values in words, as typed.
        jobs: in Hydra's order, the last key fastest; without duplicates.
        duplicates: how many jobs were left out because they are the same as another.
        base: Hydra's configuration of the sweep.
        engine: composes for Hydra's launchers, while the context is open.
    """

    told: CommandConfig
    space: Mapping[str, tuple[str, ...]]
    jobs: tuple[Job, ...]
    duplicates: int
    base: DictConfig
    engine: Any


@contextmanager
def opened(words: Sequence[str]) -> Iterator[Grid]:
    """Compose every job of the sweep that `words` ask for; launchers work inside the block.

    Raises:
        ConfigError: wrong words, or not one job that could run.
    """
    import hydra
    from hydra.core.global_hydra import GlobalHydra
    from hydra.types import RunMode

    if "TORCHELASTIC_RUN_ID" in os.environ:
        raise ConfigError("torchrun trains one run. Type trainer.processes=2 for a sweep.")
    flags, overrides = flags_and_overrides(list(words))
    register_schemas()
    with (
        config_errors(),
        hydra.initialize_config_dir(str(conf_dir()), job_name="train", **version_base(hydra)),
    ):
        engine: Any = GlobalHydra.instance().hydra
        asked = [*_search_path(flags), *overrides]
        base = engine.compose_config("train", asked, RunMode.MULTIRUN)
        told = run_config(_without_hydra(base))[1]
        more = _shared_out(told, base, asked)
        if more:
            asked += more
            base = engine.compose_config("train", asked, RunMode.MULTIRUN)
        with open_dict(base):
            base.hydra.mode = RunMode.MULTIRUN
        yield _grid(engine, base, told)


def swept_words(space: Mapping[str, Sequence[str]]) -> str:
    """The swept space in one line: `model=lstm,gru seed=1,2,3`."""
    return " ".join(f"{key}={','.join(values)}" for key, values in space.items())


def _search_path(flags: Sequence[str]) -> list[str]:
    """What `--config-dir` means, in Hydra's other words for it."""
    paths = []
    rest = [part for flag in flags for part in flag.split("=", 1)]
    while rest:
        flag = rest.pop(0)
        if flag in ("--config-dir", "-cd") and rest:
            paths.append(f"file://{Path(rest.pop(0)).absolute()}")
    return [f"hydra.searchpath=[{','.join(repr(path) for path in paths)}]"] if paths else []


def _shared_out(told: CommandConfig, base: DictConfig, asked: Sequence[str]) -> list[str]:
    """What `sweep.jobs` means for the launcher, and for the cores that each job may use."""
    jobs = told.sweep.jobs
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if not 1 <= jobs <= (cores or 1):
        raise ConfigError(
            f"sweep.jobs={jobs} would not get a core each: there are {cores} here. "
            f"Type a number from 1 to {cores}."
        )
    if jobs == 1:
        return []
    launcher = base.hydra.runtime.choices.get("hydra/launcher")
    if launcher not in ("basic", "joblib"):
        raise ConfigError(
            f"sweep.jobs={jobs} is for this machine; hydra/launcher={launcher} has keys of its "
            f"own, hydra.launcher.…: give one of them."
        )
    words = ["hydra/launcher=joblib", f"hydra.launcher.n_jobs={jobs}"]
    if not any(word.split("=")[0].lstrip("+") == "trainer.threads" for word in asked):
        words.append(f"trainer.threads={(cores or 1) // jobs}")
    return words


def _grid(engine: Any, base: DictConfig, told: CommandConfig) -> Grid:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    choices = _choices(
        OverridesParser.create(config_loader=engine.config_loader).parse_overrides(
            [f"{key}={value}" for key, value in (base.hydra.sweeper.params or {}).items()]
            + list(base.hydra.overrides.task)
        )
    )
    space = {key: values for key, (swept, values) in choices.items() if swept}
    for key in space:
        if NEVER_SWEPT.match(key):
            raise ConfigError(f"{key} cannot be swept: it says how the sweep itself is run.")
    fixed = [f"{key}={values[0]}" for key, (swept, values) in choices.items() if not swept]
    fixed = [word for word in fixed if not NOT_A_JOBS.match(word)]
    combinations = list(
        itertools.product(
            *([f"{key}={value}" for value in values] for key, values in space.items())
        )
    )
    if not combinations:
        empty = ", ".join(key for key, values in space.items() if not values)
        raise ConfigError(f"The sweep is empty: {empty} has no value. Type, say, seed=1,2,3.")
    jobs: dict[str, Job] = {}
    for combination in combinations:
        made = _job(engine, base, (*fixed, *combination), tuple(space))
        jobs.setdefault(made.key, made)
    if all(made.problem for made in jobs.values()):
        raise ConfigError(next(iter(jobs.values())).problem)
    duplicates = len(combinations) - len(jobs)
    return Grid(told, space, tuple(jobs.values()), duplicates, base, engine)


def _choices(overrides: Sequence[Any]) -> dict[str, tuple[bool, tuple[str, ...]]]:
    """Every key with whether it is swept, and its values; a later word replaces an earlier."""
    found: dict[str, tuple[bool, tuple[str, ...]]] = {}
    for override in overrides:
        key = override.get_key_element()
        if not override.is_sweep_override():
            found[key] = (False, (override.get_value_element_as_str(),))
        elif override.is_discrete_sweep():
            found[key] = (True, tuple(dict.fromkeys(override.sweep_string_iterator())))
        else:
            raise ConfigError(
                f"{override.input_line} names no values to try one by one.\n"
                f"Type them, as in {key}=1,2,3, or search with sweep=search."
            )
    return found


def _job(engine: Any, base: DictConfig, overrides: tuple[str, ...], swept: Sequence[str]) -> Job:
    from hydra.types import RunMode

    composed = engine.compose_config(
        "train", [*base.hydra.overrides.hydra, *overrides], RunMode.RUN
    )
    plain = _without_hydra(composed)
    config, _ = run_config(plain)
    problem = ""
    try:
        check(config)
    except NlpRnnError as error:
        problem = str(error)
    make_paths_absolute(config)
    match = getattr(config.model, "match", None)
    key = hashlib.sha256(json.dumps([signature(config), match, config.seed]).encode())
    name = " ".join([short_name(config), *extra_words(plain, swept), f"seed{config.seed}"])
    return Job(overrides, config, key.hexdigest()[:8], name, problem)


def extra_words(composed: DictConfig, swept: Sequence[str]) -> list[str]:
    """What else was swept, for a name: `dropout=0.2`, and a group's choice as it is."""
    told = []
    for key in swept:
        if key in IN_THE_NAME:
            continue
        value = OmegaConf.select(composed, key)
        if isinstance(value, DictConfig):
            told.append(str(value.get("name", key)))
        else:
            told.append(f"{key.rpartition('.')[2]}={value}")
    return told


def _without_hydra(composed: DictConfig) -> DictConfig:
    plain = composed.copy()
    with open_dict(plain):
        del plain["hydra"]
    return plain
