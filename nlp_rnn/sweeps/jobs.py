"""Jobs of a sweep: one for every combination of swept values, with the configuration of its run."""

import hashlib
import itertools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from omegaconf import DictConfig, OmegaConf

from nlp_rnn.config.checks import check
from nlp_rnn.config.compose import run_config
from nlp_rnn.config.run import RunConfig
from nlp_rnn.config.signature import signature
from nlp_rnn.errors import ConfigError, NlpRnnError
from nlp_rnn.runs.resolve import with_absolute_paths
from nlp_rnn.runs.run_logging import short_name
from nlp_rnn.sweeps.sweep_arguments import SweepCommand, without_hydra

__all__ = ["Job", "expand_grid", "make_job"]

SEED = re.compile(r"seed=(0|[1-9]\d*)$")
IN_SHORT_NAME = ("model", "model.hidden_size", "model.name", "seed")


@dataclass(frozen=True)
class Job:
    """One combination of swept values.

    Attributes
    ----------
    overrides : tuple of str
        Arguments with which `nlp-rnn train` trains this job alone.
    config : RunConfig
        Configuration that Hydra composes from `overrides`.
    key : str
        Eight characters that identify the job in every sweep: a hash of the signature (with
        `model.match`) and the seed.
    name : str
        Name for people, such as `gru h128 dropout=0.2 seed2`.
    name_parts : tuple of str
        Parts of the name between size and seed, such as `dropout=0.2` for a swept value.
    problem : str
        Why the job cannot run, if its configuration is invalid; otherwise empty.
    """

    overrides: tuple[str, ...]
    config: RunConfig
    key: str
    name: str
    name_parts: tuple[str, ...] = ()
    problem: str = ""

    @property
    def folder(self) -> str:
        """Name of the run folder, which is the same when the sweep is resumed."""
        return f"{re.sub(r'[^A-Za-z0-9.]+', '-', self.name).strip('-')}-{self.key}"


def expand_grid(command: SweepCommand) -> tuple[Job, ...]:
    """Return a job for every combination, in Hydra's order: the last key changes fastest.

    Combinations with the same configuration become one job.

    Raises
    ------
    ConfigError
        There is no combination, or none of them can run.
    """
    space = command.space
    for key, values in space.items():
        if not values:
            raise ConfigError(
                f"The sweep is empty: {key} has no value. Set for example seed=1,2,3."
            )
        if not command.overrides[key].is_discrete_sweep():
            raise ConfigError(
                f"{key}={values[0]} is a range and has no single values to try.\n"
                f"Set values, as in {key}=1,2,3, or search the range with sweep=search."
            )
    jobs: dict[str, Job] = {}
    for combination in itertools.product(
        *([f"{key}={value}" for value in values] for key, values in space.items())
    ):
        job = make_job(command, (*command.fixed, *combination))
        jobs.setdefault(job.key, job)
    if all(job.problem for job in jobs.values()):
        raise ConfigError(next(iter(jobs.values())).problem)
    return tuple(jobs.values())


def make_job(
    command: SweepCommand, overrides: tuple[str, ...], name_parts: tuple[str, ...] | None = None
) -> Job:
    """Compose and check one job.

    Parameters
    ----------
    command : SweepCommand
        Sweep that the job belongs to.
    overrides : tuple of str
        Arguments of the job.
    name_parts : tuple of str, optional
        Parts of the name of the job. Default: the swept values that the name does not have yet.

    Raises
    ------
    HydraException, ConfigError
        The configuration cannot be composed. One that is only invalid sets `Job.problem`.
    """
    plain = _compose(command, overrides)
    config, _ = run_config(plain)
    problem = ""
    try:
        check(config)
    except NlpRnnError as error:
        problem = str(error)
    config = with_absolute_paths(config)
    match = getattr(config.model, "match", None)
    key = hashlib.sha256(json.dumps([signature(config), match, config.seed]).encode())
    if name_parts is None:
        values = dict(override.split("=", 1) for override in overrides)
        swept = {key: values.get(key, "") for key in command.space}
        name_parts = tuple(_swept_name_parts(plain, swept))
    name = " ".join([short_name(config), *name_parts, f"seed{config.seed}"])
    return Job(overrides, config, key.hexdigest()[:8], name, name_parts, problem)


def _compose(command: SweepCommand, overrides: tuple[str, ...]) -> DictConfig:
    """Return the configuration of a job, composed once for all jobs that differ in the seed."""
    from hydra.types import RunMode

    seeds = [override for override in overrides if SEED.match(override)]
    rest = tuple(override for override in overrides if override not in seeds)
    if len(seeds) == 1 and rest in command.composed:
        plain = command.composed[rest].copy()
        plain.seed = int(seeds[0].partition("=")[2])
        return plain
    arguments = [*command.base.hydra.overrides.hydra, *overrides]
    plain = without_hydra(command.engine.compose_config("train", arguments, RunMode.RUN))
    if "${" not in OmegaConf.to_yaml(plain):  # no other value is derived from the seed
        command.composed[rest] = plain
    return plain


def _swept_name_parts(composed: DictConfig, swept: Mapping[str, str]) -> Iterator[str]:
    """Yield name parts for swept keys: `dropout=0.2`, or the name of a group's choice."""
    for key, text in swept.items():
        if key in IN_SHORT_NAME:
            continue
        value = OmegaConf.select(composed, key)
        if "." in key:
            yield f"{key.rpartition('.')[2]}={value}"
        else:
            yield str(value.get("name", text)) if isinstance(value, DictConfig) else text
