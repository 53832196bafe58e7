"""Arguments of a sweep, composed by Hydra: the swept space and what all its jobs share."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, open_dict

from nlp_rnn.config.arguments import config_errors, flags_and_overrides, version_base
from nlp_rnn.config.compose import composing, run_config
from nlp_rnn.config.schemas import conf_dir, register_schemas
from nlp_rnn.config.sweep import Backend, CommandConfig
from nlp_rnn.cores import available_cores
from nlp_rnn.errors import ConfigError
from nlp_rnn.sweeps.backend_options import check_backend, reject_old_options

__all__ = [
    "SweepCommand",
    "changes_only_how",
    "compose_sweep",
    "space_text",
    "without_hydra",
]

# Options of the sweep itself, which are not passed on to its jobs.
SWEEP_ONLY = re.compile(r"(sweep|search|slurm|ray|tracking\.run_name)(\.|=|$)")
# Jobs with different values of these keys would not belong to the same sweep.
NEVER_SWEPT = re.compile(r"(sweep|search|slurm|ray|tracking)\b")
# Options of how the jobs run, not which ones there are; a resumed sweep may change them.
HOW = re.compile(r"(sweep\.|slurm\.|ray\.|tracking\.)")


@dataclass(frozen=True)
class SweepCommand:
    """Composed arguments of a sweep.

    Attributes
    ----------
    sweep_options : CommandConfig
        Configuration of the whole command, with `sweep` and `search`.
    overrides : mapping
        Hydra's parsed override for every key in the arguments.
    base : DictConfig
        Hydra's configuration of the sweep, with the keys of `hydra`.
    engine : Any
        Hydra instance that composes configurations while `compose_sweep` is open.
    composed : dict
        Configurations that were composed already, by their overrides without the seed.
    """

    sweep_options: CommandConfig
    overrides: Mapping[str, Any]
    base: DictConfig
    engine: Any
    composed: dict[tuple[str, ...], DictConfig] = field(default_factory=dict)

    @property
    def space(self) -> dict[str, tuple[str, ...]]:
        """Swept keys with their values, as they were written in the arguments."""
        return {
            key: _values(override)
            for key, override in self.overrides.items()
            if override.is_sweep_override()
        }

    @property
    def fixed(self) -> tuple[str, ...]:
        """Overrides that all jobs share."""
        arguments = [
            f"{key}={override.get_value_element_as_str()}"
            for key, override in self.overrides.items()
            if not override.is_sweep_override()
        ]
        return tuple(argument for argument in arguments if not SWEEP_ONLY.match(argument))


@contextmanager
def compose_sweep(arguments: Sequence[str]) -> Iterator[SweepCommand]:
    """Compose the sweep that `arguments` describe; further jobs can be composed inside the block.

    Raises
    ------
    ConfigError
        The arguments are wrong.
    """
    import hydra

    if "TORCHELASTIC_RUN_ID" in os.environ:
        raise ConfigError("torchrun trains one run. Set trainer.processes=2 for a sweep.")
    flags, overrides = flags_and_overrides(list(arguments))
    reject_old_options(overrides)
    _reject_job_folders(overrides)
    register_schemas()
    with ExitStack() as stack:
        with composing:
            stack.enter_context(config_errors())
            stack.enter_context(
                hydra.initialize_config_dir(
                    str(conf_dir()), job_name="train", **version_base(hydra)
                )
            )
            command = _composed([*_search_path(flags), *overrides])
        yield command


def _reject_job_folders(overrides: Sequence[str]) -> None:
    """Raise an error for Hydra's names of the folders of jobs, which a sweep chooses itself."""
    for override in overrides:
        key, _, value = override.lstrip("+").partition("=")
        if key == "hydra.sweep.subdir":
            raise ConfigError(
                "hydra.sweep.subdir is not supported: the folder of a job has the number and the "
                "values of the job.\nSet output_dir=FOLDER for the folder of the sweep."
            )
        if key == "hydra.sweep.dir" and "${hydra.job." in value:
            raise ConfigError(
                f"The folder of a sweep is one for all jobs, but it is {value!r}.\n"
                "Set output_dir=FOLDER; each job has a folder of its own in it."
            )


def _composed(requested: list[str]) -> SweepCommand:
    """Compose the sweep with the Hydra instance of this process."""
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.types import RunMode

    engine: Any = GlobalHydra.instance().hydra
    parser = OverridesParser.create(config_loader=engine.config_loader)
    parsed = parser.parse_overrides(requested)
    choices = [str(override.input_line) for override in parsed if _is_choice(override)]
    preset = engine.compose_config("train", choices, RunMode.MULTIRUN)
    # A later argument replaces an earlier one and that of a preset.
    swept = parser.parse_overrides(
        [f"{key}={value}" for key, value in (preset.hydra.sweeper.params or {}).items()]
    ) + [override for override in parsed if not _is_hydra(override)]
    by_key = {override.get_key_element(): override for override in swept}
    # What the jobs share is read from the first of them: keys may belong to a swept choice.
    first = [line for override in by_key.values() for line in _first_values(override)]
    first += [str(override.input_line) for override in parsed if _is_hydra(override)]
    base = engine.compose_config("train", first, RunMode.MULTIRUN)
    _, sweep_options = run_config(without_hydra(base))
    check_backend(sweep_options)
    if parallel := _parallel_overrides(sweep_options, first):
        base = engine.compose_config("train", [*first, *parallel], RunMode.MULTIRUN)
        by_key |= {
            override.get_key_element(): override
            for override in parser.parse_overrides(parallel)
            if not _is_hydra(override)
        }
    with open_dict(base):
        base.hydra.mode = RunMode.MULTIRUN
        base.hydra.overrides.task = [override.input_line for override in by_key.values()]
    command = SweepCommand(sweep_options, by_key, base, engine)
    for key in command.space:
        if NEVER_SWEPT.match(key):
            raise ConfigError(f"{key} cannot be swept, because it configures the sweep itself.")
    return command


def space_text(space: Mapping[str, Sequence[str]]) -> str:
    """Return the swept space in one line: `model=lstm,gru seed=1,2,3`."""
    swept = (f"{key}={','.join(values)}" for key, values in space.items())
    return " ".join(swept) or "one configuration"


def without_hydra(composed: DictConfig) -> DictConfig:
    """Return a copy of a composed configuration without the key `hydra`."""
    plain = composed.copy()
    with open_dict(plain):
        del plain["hydra"]
    return plain


def _search_path(flags: Sequence[str]) -> list[str]:
    """Return the override that has the effect of Hydra's flag `--config-dir`."""
    paths = []
    rest = [part for flag in flags for part in flag.split("=", 1)]
    while rest:
        flag = rest.pop(0)
        if flag in ("--config-dir", "-cd") and rest:
            paths.append(f"file://{Path(rest.pop(0)).absolute()}")
    return [f"hydra.searchpath=[{','.join(repr(path) for path in paths)}]"] if paths else []


def _is_hydra(override: Any) -> bool:
    """Return whether an override belongs to Hydra itself, as `hydra.run.dir=FOLDER`."""
    return re.match(r"hydra(/|\.|$)", override.key_or_group) is not None


def _is_choice(override: Any) -> bool:
    """Return whether an override can choose the preset that defines the swept space."""
    return _is_hydra(override) or "." not in override.key_or_group


def _first_values(override: Any) -> list[str]:
    """Return an override with the first of its values; empty for a range without single values."""
    if not override.is_sweep_override():
        return [override.input_line]
    if not override.is_discrete_sweep():
        return []
    return [f"{override.get_key_element()}={value}" for value in _values(override)[:1]]


def changes_only_how(arguments: Sequence[str]) -> bool:
    """Return whether arguments only say how jobs run, such as `slurm.time=20`."""
    return all(HOW.match(argument) for argument in arguments)


def _parallel_overrides(sweep_options: CommandConfig, requested: Sequence[str]) -> list[str]:
    """Return the threads per job that follow from `sweep.jobs` or from the cores of a job."""
    backend, jobs = sweep_options.sweep.backend, sweep_options.sweep.jobs or 1
    if any(item.split("=")[0].lstrip("+") == "trainer.threads" for item in requested):
        threads = None
    elif backend is Backend.ray:
        threads = max(1, int(sweep_options.ray.num_cpus))
    elif backend is Backend.processes and jobs > 1:
        threads = max(1, available_cores() // jobs)
    else:
        threads = None
    cores = available_cores()
    if backend is Backend.processes and jobs > cores:
        raise ConfigError(
            f"sweep.jobs={jobs} would leave jobs without a core; this machine has {cores}. "
            f"Set a number from 1 to {cores}."
        )
    return [] if threads is None else [f"trainer.threads={threads}"]


def _values(override: Any) -> tuple[str, ...]:
    """Return the distinct values of a sweep, or the expression of one that is not discrete."""
    if not override.is_discrete_sweep():
        return (str(override.input_line).partition("=")[2],)
    return tuple(dict.fromkeys(override.sweep_string_iterator()))
