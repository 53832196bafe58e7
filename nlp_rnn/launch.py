"""The words after `nlp-rnn train` become one run or, through Hydra, many."""

import difflib
import os
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nlp_rnn.composition import conf_dir, known_keys, register_schemas
from nlp_rnn.config import RunConfig
from nlp_rnn.errors import ConfigError
from nlp_rnn.limits import check

__all__ = ["SweepFolder", "compose", "job", "launch"]

FULL_ERROR = "HYDRA_FULL_ERROR"
CONTROLS = ("majority", "linear")

# Hydra's flags that make sense here; those of the second line are followed by a value.
FLAGS = ("-m", "--multirun", "--resolve", "--hydra-help", "--info", "-i", "--version")
VALUED = ("--cfg", "-c", "--package", "-p", "--config-dir", "-cd", "--config-path", "-cp")

OWN_FILES = {"multirun.yaml"}

# Errors of a single run, kept here because Hydra would print them with its own words.
_failures: list[Exception] = []


def launch(words: list[str]) -> None:
    """Compose the configuration and run it, or with `-m` every combination.

    Raises:
        NlpRnnError: wrong words (`ConfigError`), or what the work itself raised.
    """
    import hydra
    from hydra.errors import HydraException

    register_schemas()
    words = _flags_first(words)
    before = os.environ.get(FULL_ERROR)
    argv = sys.argv
    # Hydra then raises its errors instead of printing them over many lines.
    os.environ[FULL_ERROR] = "1"
    sys.argv = ["nlp-rnn train", *words]
    _failures.clear()
    try:
        hydra.main(config_path=str(conf_dir()), config_name="train", **_version_base(hydra))(job)()
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(_shortened(error)) from error
    except Exception as error:
        if type(error).__module__.startswith("yaml."):
            raise ConfigError(" ".join(str(error).split())) from error
        raise
    finally:
        SweepFolder.remove_unused()
        sys.argv = argv
        if before is None:
            os.environ.pop(FULL_ERROR, None)
        else:
            os.environ[FULL_ERROR] = before
    if _failures:
        raise _failures[0]


def compose(overrides: list[str]) -> RunConfig:
    """The configuration that `overrides` make, checked, without running it.

    Raises:
        ConfigError: wrong words.
    """
    import hydra
    from hydra.errors import HydraException

    register_schemas()
    try:
        with hydra.initialize_config_dir(str(conf_dir()), **_version_base(hydra)):
            config = _run_config(hydra.compose("train", overrides=overrides))
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(_shortened(error)) from error
    check(config)
    return config


class SweepFolder(Callback):
    """Knows where Hydra puts a sweep, to take the folder away if no job began."""

    path: Path | None = None

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Called by Hydra before the first job of a sweep."""
        SweepFolder.path = Path(config.hydra.sweep.dir).absolute()

    @classmethod
    def remove_unused(cls) -> None:
        """Remove the sweep's folder if it holds nothing but Hydra's own copy of the config."""
        path, cls.path = cls.path, None
        if path is not None and path.is_dir() and {p.name for p in path.iterdir()} <= OWN_FILES:
            for file in path.iterdir():
                file.unlink()
            _remove_empty(path)


def job(composed: DictConfig) -> None:
    """One run of a composed configuration, in the folder that Hydra made for it."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    hydra_config = HydraConfig.get()
    folder = Path(hydra_config.runtime.output_dir)
    try:
        if hydra_config.mode is not RunMode.RUN and "TORCHELASTIC_RUN_ID" in os.environ:
            raise ConfigError("torchrun trains one run. Type trainer.processes=2 for a sweep.")
        from nlp_rnn.pipeline import train

        train(_run_config(composed), folder, list(hydra_config.overrides.task))
    except Exception as error:
        if hydra_config.mode is not RunMode.RUN:
            raise
        _failures.append(error)
    finally:
        _remove_empty(folder)


def _remove_empty(folder: Path) -> None:
    """A run that was refused before it began leaves no empty folders below this one."""
    here = Path.cwd()
    with suppress(OSError):
        while folder != here and folder.is_relative_to(here):
            folder.rmdir()
            folder = folder.parent


def _run_config(composed: DictConfig) -> RunConfig:
    try:
        config = OmegaConf.to_object(composed)
    except OmegaConfBaseException as error:
        raise ConfigError(_shortened(error)) from error
    assert isinstance(config, RunConfig)  # the schema that conf/train.yaml begins with
    return config


def _flags_first(words: list[str]) -> list[str]:
    """`words` with the flags first, because Hydra takes none between overrides."""
    flags, overrides = [], []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-"):
            overrides.append(word)
        elif word in FLAGS or word.split("=")[0] in VALUED:
            flags.append(word)
            if word in VALUED and rest:
                flags.append(rest.pop(0))
        else:
            raise ConfigError(
                f"There is no flag {word}; there are {', '.join([*FLAGS, *VALUED])}.\n"
                "nlp-rnn train --help shows examples."
            )
    return [*flags, *overrides]


def _version_base(hydra: Any) -> dict[str, str]:
    """Hydra 1.3 warns when `version_base` is left out, 1.4 when it is given."""
    major, minor = (int(part) for part in hydra.__version__.split(".")[:2])
    return {"version_base": "1.3"} if (major, minor) < (1, 4) else {}


def _shortened(error: Exception) -> str:
    """Hydra's and OmegaConf's messages in one or two lines."""
    first = str(error).strip().splitlines()[0]
    cause = str(error.__cause__ or "").strip().splitlines()
    if found := re.match(r"Could not override '([^']+)'", first):
        return _unknown_key(found[1])
    if found := re.search(r"Could not find '([^']+)/([^'/]+)'", first):
        group, choice = found[1], found[2]
        choices = sorted(path.stem for path in (conf_dir() / group).glob("*.yaml"))
        hint = ""
        if group == "model" and choice in CONTROLS:
            hint = f"\nThe control {choice} is no network: type nlp-rnn controls data=…"
        return f"There is no {group}={choice}; there are {', '.join(choices)}.{hint}"
    if found := re.match(r"Error merging override (.+)", first):
        return f"{found[1]}: {cause[0] if cause else 'does not fit'}."
    if found := re.match(r"In '([^']+)':.*\nKey .*\n *full_key: (\S+)", str(error)):
        return f"In {found[1]}: {_unknown_key(found[2])}"
    if found := re.search(r"missing mandatory value: (\w+)", first):
        key = re.search(r"full_key: (\S+)", str(error))
        name = key[1] if key else found[1]
        return f"{name} must be given. Type {name}=VALUE."
    return " ".join([first, *cause[:1]])


def _unknown_key(key: str) -> str:
    schemas = known_keys()
    if key in schemas:
        return f"{key} does nothing here: it belongs to {', '.join(schemas[key])}."
    groups = {name.split(".")[0] for name in schemas}
    close = difflib.get_close_matches(key, [*schemas, *groups], n=1)
    hint = f" Did you mean {close[0]}?" if close else ""
    return f"There is no key {key}.{hint}\nnlp-rnn train --cfg job prints every key."
