"""The words after `nlp-rnn train` become one run."""

import sys
from contextlib import suppress
from pathlib import Path

from omegaconf import DictConfig

from nlp_rnn.config.arguments import (
    config_errors,
    flags_and_overrides,
    readable,
    run_config,
    version_base,
)
from nlp_rnn.config.checks import check
from nlp_rnn.config.compose import conf_dir, register_schemas
from nlp_rnn.config.run import RunConfig
from nlp_rnn.config.sweep import SearchConfig, SweepConfig
from nlp_rnn.errors import ConfigError

__all__ = ["compose", "launch", "remove_empty"]

# Errors of a run, kept here because Hydra would print them with its own words.
_failures: list[Exception] = []


def launch(words: list[str]) -> None:
    """Compose the configuration and run it, or print what a flag of Hydra's asks for.

    Raises:
        NlpRnnError: wrong words (`ConfigError`), or what the work itself raised.
    """
    register_schemas()
    flags, overrides = flags_and_overrides(words)
    _failures.clear()
    try:
        with config_errors():
            if flags:
                _with_flags(flags, overrides)
            else:
                _run(overrides)
    except OSError as error:  # from making the run folder: what a job raises comes below
        raise ConfigError(
            f"The run folder cannot be made: {error.filename}: {error.strerror}.\n"
            "Type hydra.run.dir=FOLDER, or run in a folder of your own."
        ) from error
    if _failures:
        raise _failures[0]


def _with_flags(flags: list[str], overrides: list[str]) -> None:
    """Whatever Hydra's own main function does with them."""
    import hydra

    argv = sys.argv
    sys.argv = ["nlp-rnn train", *flags, *overrides]
    try:
        main = hydra.main(config_path=str(conf_dir()), config_name="train", **version_base(hydra))
        main(_job)()
    finally:
        sys.argv = argv


def _run(overrides: list[str]) -> None:
    """The same without flags, composed once: Hydra composes a first time to learn its mode."""
    import hydra
    from hydra.core.global_hydra import GlobalHydra

    with hydra.initialize_config_dir(str(conf_dir()), job_name="train", **version_base(hydra)):
        engine = GlobalHydra.instance().hydra
        assert engine is not None
        engine.run("train", _job, [*overrides, "hydra.mode=RUN"])


def compose(overrides: list[str]) -> RunConfig:
    """The configuration that `overrides` make, checked, without running it.

    Raises:
        ConfigError: wrong words.
    """
    import hydra

    register_schemas()
    with (
        config_errors(),
        hydra.initialize_config_dir(str(conf_dir()), **version_base(hydra)),
    ):
        words = [readable(word) for word in overrides]
        config, _ = run_config(hydra.compose("train", overrides=words))
    check(config)
    return config


def _job(composed: DictConfig) -> None:
    """One run of a composed configuration, in the folder that Hydra made for it."""
    from hydra.core.hydra_config import HydraConfig

    folder = Path(HydraConfig.get().runtime.output_dir)
    try:
        config, told = run_config(composed)
        if HydraConfig.get().sweeper.get("params"):
            raise ConfigError("hydra.sweeper.params say what to sweep: add -m.")
        if told.sweep != SweepConfig() or told.search != SearchConfig():
            raise ConfigError(
                "sweep.… and search.… say how to make many runs of one: add -m and what to sweep."
            )
        from nlp_rnn.pipeline import train

        train(config, folder, list(HydraConfig.get().overrides.task))
    except Exception as error:
        _failures.append(error)
    finally:
        remove_empty(folder)


def remove_empty(folder: Path) -> None:
    """A run that was refused before it began leaves no empty folders below this one."""
    here = Path.cwd()
    with suppress(OSError):
        while folder != here and folder.is_relative_to(here):
            folder.rmdir()
            folder = folder.parent
