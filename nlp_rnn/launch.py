"""Launch one run from the arguments of `nlp-rnn train`."""

import functools
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from omegaconf import DictConfig

from nlp_rnn.config.arguments import (
    config_errors,
    flags_and_overrides,
    version_base,
    with_run_dir,
    without_overwrite,
)
from nlp_rnn.config.compose import run_config
from nlp_rnn.config.option_texts import commented_yaml
from nlp_rnn.config.schemas import SWEEP_SCHEMAS, conf_dir, register_schemas
from nlp_rnn.errors import ConfigError
from nlp_rnn.runs.run_folder import check_unused

__all__ = ["launch", "remove_empty_folders"]

# Errors of a run, stored here because Hydra would print them in its own format.
_failures: list[Exception] = []

Job = Callable[[DictConfig], None]
"""What Hydra calls with the composed configuration."""


def launch(arguments: list[str]) -> None:
    """Compose the configuration and train, or do what one of Hydra's flags asks for.

    Raises
    ------
    ConfigError
        If an argument is wrong or the run folder cannot be created.
    NlpRnnError
        If the run fails.
    """
    register_schemas()
    arguments, overwrite = without_overwrite(arguments)
    flags, overrides = flags_and_overrides(with_run_dir(arguments, "hydra.run.dir"))
    job = functools.partial(_job, overwrite=overwrite)
    _failures.clear()
    try:
        with config_errors():
            if flags in (["--cfg", "job"], ["-c", "job"], ["--cfg=job"]):
                _print_config(overrides)
            elif flags:
                _with_flags(flags, overrides, job)
            else:
                _run(overrides, job)
    except OSError as error:  # the run folder cannot be created; errors of a job follow below
        raise ConfigError(
            f"The run folder cannot be created: {error.filename}: {error.strerror}.\n"
            "Set output_dir=FOLDER to a folder that is writable."
        ) from error
    if _failures:
        raise _failures[0]


def _with_flags(flags: list[str], overrides: list[str], job: Job) -> None:
    """Let Hydra's own main function handle its flags."""
    import hydra

    argv = sys.argv
    sys.argv = ["nlp-rnn train", *flags, *overrides]
    try:
        main = hydra.main(config_path=str(conf_dir()), config_name="train", **version_base(hydra))
        main(job)()
    finally:
        sys.argv = argv


def _print_config(overrides: list[str]) -> None:
    """Print the configuration with the help text of every option."""
    import hydra
    from omegaconf import OmegaConf

    with hydra.initialize_config_dir(str(conf_dir()), **version_base(hydra)):
        composed = hydra.compose("train", overrides=overrides)
    values = OmegaConf.to_container(composed, enum_to_str=True)
    assert isinstance(values, dict)
    print(commented_yaml({str(key): value for key, value in values.items()}), end="")


def _run(overrides: list[str], job: Job) -> None:
    """Run without flags, composing once: Hydra's main function composes twice to learn its mode."""
    import hydra
    from hydra.core.global_hydra import GlobalHydra

    with hydra.initialize_config_dir(str(conf_dir()), job_name="train", **version_base(hydra)):
        engine = GlobalHydra.instance().hydra
        assert engine is not None
        engine.run("train", job, [*overrides, "hydra.mode=RUN"])


def _job(composed: DictConfig, overwrite: bool) -> None:
    """Train with a composed configuration, in the folder that Hydra created."""
    from hydra.core.hydra_config import HydraConfig

    folder = Path(HydraConfig.get().runtime.output_dir)
    try:
        config, command = run_config(composed)
        if HydraConfig.get().sweeper.get("params"):
            raise ConfigError("hydra.sweeper.params are for a sweep. Add -m.")
        for group, schema in SWEEP_SCHEMAS.items():
            if getattr(command, group) != schema():
                raise ConfigError(f"{group}.… is for a sweep. Add -m and the values to sweep.")
        if not overwrite:
            check_unused(folder)
        from nlp_rnn.pipeline import train

        train(config, folder, list(HydraConfig.get().overrides.task))
    except Exception as error:
        _failures.append(error)
    finally:
        remove_empty_folders(folder)


def remove_empty_folders(folder: Path) -> None:
    """Remove a run folder that stayed empty, and its empty parents below the working directory."""
    top = Path.cwd()
    with suppress(OSError):
        while folder != top and folder.is_relative_to(top):
            folder.rmdir()
            folder = folder.parent
