"""What is typed after `nlp-rnn train` is sorted for Hydra, and what Hydra answers is shortened."""

import difflib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nlp_rnn.config.compose import conf_dir, known_keys, text_keys
from nlp_rnn.config.run import RunConfig
from nlp_rnn.config.sweep import CommandConfig
from nlp_rnn.errors import ConfigError

__all__ = ["config_errors", "flags_and_overrides", "readable", "run_config", "version_base"]

CONTROLS = ("majority", "linear")

# Launchers that are plugins of Hydra, and the extra of this package that brings them.
LAUNCHERS = {"joblib": "joblib", "submitit_local": "submitit", "submitit_slurm": "submitit"}

# Hydra's flags that make sense here; those of the second line are followed by a value.
FLAGS = ("-m", "--multirun", "--resolve", "--hydra-help", "--info", "-i", "--version")
VALUED = ("--cfg", "-c", "--package", "-p", "--config-dir", "-cd", "--config-path", "-cp")

FULL_ERROR = "HYDRA_FULL_ERROR"


@contextmanager
def config_errors() -> Iterator[None]:
    """Turn what Hydra raises inside the block into a `ConfigError` of one or two lines."""
    from hydra.errors import HydraException

    before = os.environ.get(FULL_ERROR)
    # Hydra then raises its errors instead of printing them over many lines.
    os.environ[FULL_ERROR] = "1"
    try:
        yield
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(_shortened(error)) from error
    except Exception as error:
        if type(error).__module__.startswith("yaml."):
            raise ConfigError(" ".join(str(error).split())) from error
        raise
    finally:
        if before is None:
            os.environ.pop(FULL_ERROR, None)
        else:
            os.environ[FULL_ERROR] = before


def run_config(composed: DictConfig) -> tuple[RunConfig, CommandConfig]:
    """The configuration of one run, and all that the command was told."""
    try:
        told = OmegaConf.to_object(composed)
    except OmegaConfBaseException as error:
        raise ConfigError(_shortened(error)) from error
    assert isinstance(told, CommandConfig)  # the schema that conf/train.yaml begins with
    return RunConfig(**{f.name: getattr(told, f.name) for f in fields(RunConfig)}), told


def flags_and_overrides(words: list[str]) -> tuple[list[str], list[str]]:
    """The flags apart, because Hydra takes none between overrides."""
    flags, overrides = [], []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-"):
            overrides.append(readable(word))
        elif word in FLAGS or word.split("=")[0] in VALUED:
            flags.append(word)
            if word in VALUED and rest:
                flags.append(rest.pop(0))
        else:
            raise ConfigError(
                f"There is no flag {word}; there are {', '.join([*FLAGS, *VALUED])}.\n"
                "nlp-rnn train --help shows examples."
            )
    return flags, overrides


def readable(word: str) -> str:
    """`KEY=VALUE` with quotes around a value that Hydra's grammar has no place for.

    Such as `data.path=my reviews/café.csv` or `data.delimiter=;`: the shell took the quotes that
    were typed. A comma in a longer value parts those of a sweep, so that it stays as it is. A text
    that Hydra would take for another number is quoted too: `sweep.resume=184474e5` is an id.

    Raises:
        ConfigError: quotes of the user's own are needed.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    parser = OverridesParser.create()
    key, sign, value = word.partition("=")
    escaped = value.replace("'", "\\'")
    quoted = f"{key}='{escaped}'"
    try:
        parsed = parser.parse_override(word).value()
    except HydraException:
        if not value or ("," in value and len(value) > 1) or value[0] in "[{'\"":
            if not sign or not value:
                raise ConfigError(
                    f"{word!r} is no KEY=VALUE.\nnlp-rnn train --help shows examples."
                ) from None
            raise ConfigError(
                f"{word} cannot be read: words with other signs than letters, digits and _-/.:\n"
                f"need quotes of their own within those of the shell, \"{key}='…'\""
            ) from None
        parser.parse_override(quoted)
        return quoted
    altered = isinstance(parsed, int | float) and str(parsed) != value
    return quoted if altered and key in text_keys() else word


def version_base(hydra: Any) -> dict[str, str]:
    """Hydra 1.3 warns when `version_base` is left out, 1.4 when it is given."""
    major, minor = (int(part) for part in hydra.__version__.split(".")[:2])
    return {"version_base": "1.3"} if (major, minor) < (1, 4) else {}


def _unknown_launcher(name: str) -> str:
    if name in LAUNCHERS:
        return f"hydra/launcher={name} is not installed.\npip install 'nlp_rnn[{LAUNCHERS[name]}]'"
    return f"There is no hydra/launcher={name}; there are basic, {', '.join(LAUNCHERS)}."


def _shortened(error: Exception) -> str:
    """Hydra's and OmegaConf's messages in one or two lines."""
    first = str(error).strip().splitlines()[0]
    cause = str(error.__cause__ or "").strip().splitlines()
    if found := re.match(r"Could not override '([^']+)'", first):
        return _unknown_key(found[1])
    if found := re.search(r"Could not find '([^']+)/([^'/]+)'", first):
        group, choice = found[1], found[2]
        if group == "hydra/launcher":
            return _unknown_launcher(choice)
        choices = sorted(path.stem for path in (conf_dir() / group).glob("*.yaml"))
        hint = ""
        if group == "model" and choice in CONTROLS:
            hint = f"\nThe control {choice} is no network: type nlp-rnn baselines data=…"
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
