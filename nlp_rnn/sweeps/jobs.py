"""The words of a sweep become its jobs, each with the configuration of one run."""

import hashlib
import itertools
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from nlp_rnn.config.arguments import config_errors, flags_and_overrides, run_config, version_base
from nlp_rnn.config.checks import check
from nlp_rnn.config.compose import conf_dir, make_paths_absolute, register_schemas
from nlp_rnn.config.run import RunConfig
from nlp_rnn.config.signature import signature
from nlp_rnn.config.sweep import CommandConfig
from nlp_rnn.errors import ConfigError, NlpRnnError
from nlp_rnn.runs.run_logging import short_name

__all__ = ["Command", "Job", "grid", "make_job", "opened", "swept_words"]

# A job's own: what the sweep is told is not what the run is told.
NOT_A_JOBS = re.compile(r"(sweep|search|tracking\.run_name)(\.|=|$)")
# Whoever sweeps over these would tear the sweep apart.
NEVER_SWEPT = re.compile(r"(sweep|search|tracking)\b")
SEED = re.compile(r"seed=(0|[1-9]\d*)$")
IN_THE_NAME = ("model", "model.hidden_size", "model.name", "seed")


@dataclass(frozen=True)
class Job:
    """One combination.

    Attributes:
        overrides: what `nlp-rnn train` would be told to train this one alone.
        config: what they compose to.
        key: eight characters that say which job of a sweep it is, whoever asks: its signature
            (with `model.match`) and its seed.
        name: for people, such as `gru h128 dropout=0.2 seed2`.
        words: of the name, those that the configuration of one run would not give it.
        problem: why it cannot run, which is known before it is tried; else empty.
    """

    overrides: tuple[str, ...]
    config: RunConfig
    key: str
    name: str
    words: tuple[str, ...] = ()
    problem: str = ""

    @property
    def folder(self) -> str:
        """The run folder's name; the same whenever the sweep is started again."""
        return f"{re.sub(r'[^A-Za-z0-9.]+', '-', self.name).strip('-')}-{self.key}"


@dataclass(frozen=True)
class Command:
    """The words of a sweep, composed by Hydra.

    Attributes:
        told: the configuration of the whole command.
        choices: every key that was given, whether it is swept, and its value in Hydra's grammar.
        base: Hydra's configuration of the sweep.
        engine: composes for Hydra's launchers, while the context is open.
        composed: what some words made before, the seed left out.
    """

    told: CommandConfig
    choices: Mapping[str, Any]
    base: DictConfig
    engine: Any
    composed: dict[tuple[str, ...], DictConfig] = field(default_factory=dict)

    @property
    def space(self) -> dict[str, tuple[str, ...]]:
        """The swept keys with their values, as typed."""
        return {
            key: _values(override)
            for key, override in self.choices.items()
            if override.is_sweep_override()
        }

    @property
    def fixed(self) -> tuple[str, ...]:
        """What every job is told."""
        words = [
            f"{key}={override.get_value_element_as_str()}"
            for key, override in self.choices.items()
            if not override.is_sweep_override()
        ]
        return tuple(word for word in words if not NOT_A_JOBS.match(word))


@contextmanager
def opened(words: Sequence[str]) -> Iterator[Command]:
    """Compose the sweep that `words` ask for; launchers work inside the block.

    Raises:
        ConfigError: wrong words.
    """
    import hydra
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.override_parser.overrides_parser import OverridesParser
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
        if more := _shared_out(told, base, asked):
            base = engine.compose_config("train", [*asked, *more], RunMode.MULTIRUN)
        with open_dict(base):
            base.hydra.mode = RunMode.MULTIRUN
        # as typed: data.seed=${seed} means each job's own
        task: Any = OmegaConf.to_container(base.hydra.overrides.task, resolve=False)
        # a later word replaces an earlier one, and that of a preset
        parsed = OverridesParser.create(config_loader=engine.config_loader).parse_overrides(
            [f"{key}={value}" for key, value in (base.hydra.sweeper.params or {}).items()] + task
        )
        command = Command(told, {each.get_key_element(): each for each in parsed}, base, engine)
        for key in command.space:
            if NEVER_SWEPT.match(key):
                raise ConfigError(f"{key} cannot be swept: it says how the sweep itself is run.")
        yield command


def grid(command: Command) -> tuple[Job, ...]:
    """Every combination, in Hydra's order, the last key fastest; the same job only once.

    Raises:
        ConfigError: there is no combination, or none that could run.
    """
    space = command.space
    for key, values in space.items():
        if not values:
            raise ConfigError(f"The sweep is empty: {key} has no value. Type, say, seed=1,2,3.")
        if not command.choices[key].is_discrete_sweep():
            raise ConfigError(
                f"{key}={values[0]} names no values to try one by one.\n"
                f"Type them, as in {key}=1,2,3, or search with sweep=search."
            )
    jobs: dict[str, Job] = {}
    for combination in itertools.product(
        *([f"{key}={value}" for value in values] for key, values in space.items())
    ):
        made = make_job(command, (*command.fixed, *combination))
        jobs.setdefault(made.key, made)
    if all(made.problem for made in jobs.values()):
        raise ConfigError(next(iter(jobs.values())).problem)
    return tuple(jobs.values())


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


def make_job(
    command: Command, overrides: tuple[str, ...], words: tuple[str, ...] | None = None
) -> Job:
    """Compose and check one job; without `words` its name tells what is swept.

    Raises:
        HydraException, ConfigError: it does not even compose.
    """
    plain = _compose(command, overrides)
    config, _ = run_config(plain)
    problem = ""
    try:
        check(config)
    except NlpRnnError as error:
        problem = str(error)
    make_paths_absolute(config)
    match = getattr(config.model, "match", None)
    key = hashlib.sha256(json.dumps([signature(config), match, config.seed]).encode())
    if words is None:
        given = dict(word.split("=", 1) for word in overrides)
        words = tuple(_extra_words(plain, {key: given.get(key, "") for key in command.space}))
    name = " ".join([short_name(config), *words, f"seed{config.seed}"])
    return Job(overrides, config, key.hexdigest()[:8], name, words, problem)


def _compose(command: Command, overrides: tuple[str, ...]) -> DictConfig:
    """The configuration of a job; of those that differ in the seed alone, Hydra composes one."""
    from hydra.types import RunMode

    seeds = [word for word in overrides if SEED.match(word)]
    rest = tuple(word for word in overrides if word not in seeds)
    if len(seeds) == 1 and rest in command.composed:
        plain = command.composed[rest].copy()
        plain.seed = int(seeds[0].partition("=")[2])
        return plain
    words = [*command.base.hydra.overrides.hydra, *overrides]
    plain = _without_hydra(command.engine.compose_config("train", words, RunMode.RUN))
    if "${" not in OmegaConf.to_yaml(plain):  # nothing else is made from the seed
        command.composed[rest] = plain
    return plain


def _values(override: Any) -> tuple[str, ...]:
    """What is swept, one by one where it can be told; each once."""
    if not override.is_discrete_sweep():
        return (str(override.input_line).partition("=")[2],)
    return tuple(dict.fromkeys(override.sweep_string_iterator()))


def _extra_words(composed: DictConfig, swept: Mapping[str, str]) -> Iterator[str]:
    """What else was swept: `dropout=0.2`, and a group's choice as it is."""
    for key, given in swept.items():
        if key in IN_THE_NAME:
            continue
        value = OmegaConf.select(composed, key)
        if "." in key:
            yield f"{key.rpartition('.')[2]}={value}"
        else:
            yield str(value.get("name", given)) if isinstance(value, DictConfig) else given


def _without_hydra(composed: DictConfig) -> DictConfig:
    plain = composed.copy()
    with open_dict(plain):
        del plain["hydra"]
    return plain
