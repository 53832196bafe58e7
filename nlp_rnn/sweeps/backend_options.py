"""Options of the backends of a sweep: their checks, and options that earlier versions had."""

import dataclasses
from collections.abc import Sequence

from nlp_rnn.config.sweep import Backend, CommandConfig
from nlp_rnn.errors import ConfigError

__all__ = ["check_backend", "reject_old_options", "with_new_options", "without_other_backends"]

# Options of Hydra's launcher plugins, which earlier versions used, and those of today.
OLD_OPTIONS = {
    "hydra/launcher=basic": "",
    "hydra/launcher=joblib": "",
    "hydra/launcher=submitit_slurm": "sweep.backend=slurm",
    "hydra/launcher=submitit_local": "sweep.backend=processes",
    "hydra/launcher=ray": "sweep.backend=ray",
    "hydra.launcher.n_jobs": "sweep.jobs",
    "hydra.launcher.partition": "slurm.partition",
    "hydra.launcher.timeout_min": "slurm.time",
    "hydra.launcher.cpus_per_task": "slurm.cpus_per_task",
    "hydra.launcher.mem_gb": "slurm.mem",
    "hydra.launcher.gpus_per_node": "slurm.gpus",
    "hydra.launcher.qos": "slurm.qos",
    "hydra.launcher.account": "slurm.account",
    "hydra.launcher.array_parallelism": "sweep.jobs",
    "hydra.launcher.ray.init.address": "ray.address",
}

# Options of a linear model inside the network, which earlier versions had, and values without one.
REMOVED_OPTIONS = {"model.ngrams": "0", "model.ngram_buckets": "null"}
REMOVED_PRESET = "wide"


def with_new_options(arguments: Sequence[str], sweep_id: str) -> list[str]:
    """Return the arguments of a stored sweep with today's options in place of the old ones.

    Options of a launcher that have no equivalent are left out.

    Raises
    ------
    ConfigError
        An argument sets an option that no longer exists.
    """
    new = []
    for argument in arguments:
        key, _, value = argument.lstrip("+").partition("=")
        if REMOVED_OPTIONS.get(key) == value:
            continue
        if key in REMOVED_OPTIONS or (key == "experiment" and REMOVED_PRESET in value.split(",")):
            raise ConfigError(
                f"Sweep {sweep_id} was started with {argument}, which was removed, so it cannot "
                f"be resumed.\nCompare its finished runs: nlp-rnn compare --sweep {sweep_id}"
            )
        if not key.startswith(("hydra/launcher", "hydra.launcher.")):
            new.append(argument)
        elif option := OLD_OPTIONS.get(f"{key}={value}"):
            new.append(option)
        elif option := OLD_OPTIONS.get(key):
            new.append(f"{option}={value}G" if option == "slurm.mem" else f"{option}={value}")
    return new


def without_other_backends(stored: Sequence[str], new: Sequence[str]) -> list[str]:
    """Return the arguments of a stored sweep without those of backends that it no longer uses.

    Parameters
    ----------
    stored : sequence of str
        Arguments of the sweep.
    new : sequence of str
        Arguments with which it is resumed; an option of another backend among them is an error.
    """
    key = "sweep.backend="
    backend = next((a for a in reversed([*stored, *new]) if a.startswith(key)), key + "processes")
    others = {f"{item.name}." for item in Backend} - {f"{backend.removeprefix(key)}."}
    return [argument for argument in stored if not argument.startswith(tuple(others))]


def reject_old_options(overrides: Sequence[str]) -> None:
    """Raise `ConfigError` for an option of Hydra's launchers; it names the new option."""
    for override in overrides:
        key, _, value = override.lstrip("+").partition("=")
        if key.startswith(("hydra/launcher", "hydra.launcher")):
            new = OLD_OPTIONS.get(f"{key}={value}") or OLD_OPTIONS.get(key)
            known = "sweep.backend=processes, slurm or ray, with slurm.… and ray.…"
            advice = f"Set {new}{'' if '=' in new else '=…'}" if new else f"Set {known}"
            raise ConfigError(
                f"{key} has no effect: sweeps do not use Hydra's launchers.\n{advice} instead."
            )


def check_backend(options: CommandConfig) -> None:
    """Raise an error for a value out of range, or an option of a backend that is not used."""
    backend = options.sweep.backend
    for group, schema, used in (
        ("sweep", options.sweep, True),
        ("slurm", options.slurm, backend is Backend.slurm),
        ("ray", options.ray, backend is Backend.ray),
    ):
        for item in dataclasses.fields(schema):
            value, allowed = getattr(schema, item.name), item.metadata.get("allowed")
            if allowed is not None and value is not None and not allowed.contains(value):
                raise ConfigError(f"{group}.{item.name} must be {allowed.text}, not {value}.")
        if not used and schema != type(schema)():
            raise ConfigError(
                f"{group}.… has no effect with sweep.backend={backend.name}. "
                f"Set sweep.backend={group}, or remove it."
            )
