"""Arguments of `nlp-rnn train`: sorted and quoted for Hydra, whose errors are shortened."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from nlp_rnn.config.hints import (
    ambiguous_value,
    other_type,
    unknown_choice,
    unknown_flag,
    unknown_form,
    unknown_key,
)
from nlp_rnn.config.schemas import text_keys
from nlp_rnn.errors import ConfigError

__all__ = [
    "config_errors",
    "flags_and_overrides",
    "quoted",
    "version_base",
    "with_run_dir",
    "without_overwrite",
]

# Hydra's flags that are supported; those of the second line are followed by a value.
FLAGS = ("-m", "--multirun", "--resolve", "--hydra-help", "--info", "-i", "--version")
VALUED = ("--cfg", "-c", "--package", "-p", "--config-dir", "-cd")

OUTPUT_DIR = "output_dir"
OVERWRITE = "overwrite"
FULL_ERROR = "HYDRA_FULL_ERROR"


@contextmanager
def config_errors() -> Iterator[None]:
    """Turn what Hydra raises inside the block into a `ConfigError` of one or two lines."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

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


def with_run_dir(arguments: Sequence[str], hydra_key: str) -> list[str]:
    """Return the arguments with `output_dir=FOLDER` as Hydra's own key for the run folder.

    Parameters
    ----------
    arguments : sequence of str
        Arguments of the command.
    hydra_key : str
        `hydra.run.dir` for one run, `hydra.sweep.dir` for a sweep.

    Raises
    ------
    ConfigError
        If the folder is set twice, or to nothing.
    """
    keys = [argument.partition("=")[0].lstrip("+") for argument in arguments]
    if OUTPUT_DIR in keys and (hydra_key in keys or keys.count(OUTPUT_DIR) > 1):
        raise ConfigError(f"The folder is set twice. Set {OUTPUT_DIR}=FOLDER once.")
    if f"{OUTPUT_DIR}=" in arguments or OUTPUT_DIR in arguments:
        raise ConfigError(f"{OUTPUT_DIR} needs a folder. Set {OUTPUT_DIR}=FOLDER.")
    return [
        f"{hydra_key}={argument.partition('=')[2]}" if key == OUTPUT_DIR else argument
        for key, argument in zip(keys, arguments, strict=True)
    ]


def without_overwrite(arguments: Sequence[str]) -> tuple[list[str], bool]:
    """Return the arguments without `overwrite=true` or `overwrite=false`, and its value.

    Raises
    ------
    ConfigError
        If the value is neither true nor false.
    """
    values = [a.partition("=")[2].lower() for a in arguments if a.startswith(f"{OVERWRITE}=")]
    if any(value not in ("true", "false") for value in values):
        raise ConfigError(f"{OVERWRITE} is {values[-1]!r}. Set {OVERWRITE}=true or remove it.")
    others = [argument for argument in arguments if not argument.startswith(f"{OVERWRITE}=")]
    return others, values[-1:] == ["true"]


def flags_and_overrides(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Separate flags from overrides, since Hydra accepts no flags between overrides.

    Raises
    ------
    ConfigError
        If a flag is not supported.
    """
    flags, overrides = [], []
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if not argument.startswith("-"):
            overrides.append(quoted(argument))
        elif argument in FLAGS or argument.split("=")[0] in VALUED:
            flags.append(argument)
            if argument in VALUED:
                if not rest:
                    raise ConfigError(f"{argument} needs a value. For example: --cfg job")
                flags.append(rest.pop(0))
        else:
            raise unknown_flag(argument, rest)
    return flags, overrides


def quoted(override: str) -> str:
    """Return `KEY=VALUE` with quotes around a value that Hydra's grammar does not allow bare.

    Such values are `data.path=my reviews/café.csv` and `data.delimiter=;`, whose quotes the shell
    has removed. A comma in a longer value separates the values of a sweep, so it stays as it is. A
    string that Hydra would read as another number is quoted too: `sweep.resume=184474e5` is an id.
    A plus sign before a key of the schemas, which have all keys already, is removed: with it, Hydra
    would add a misspelt key.

    Raises
    ------
    ConfigError
        If the user has to add quotes.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    if not re.match(r"\++hydra\b", override):
        override = override.lstrip("+")
    parser = OverridesParser.create()
    key, sign, value = override.partition("=")
    if key.startswith("~") or key != key.strip():
        raise unknown_form(override)
    escaped = value.replace("'", "\\'")
    with_quotes = f"{key}='{escaped}'"
    try:
        parsed = parser.parse_override(override).value()
    except HydraException:
        if not value or ("," in value and len(value) > 1) or value[0] in "[{'\"":
            if not sign or not value:
                raise unknown_form(override) from None
            raise ConfigError(
                f"{override} cannot be read: a value with characters other than letters, digits "
                f"and _-/.:\nneeds quotes within those of the shell, \"{key}='…'\""
            ) from None
        parser.parse_override(with_quotes)
        return with_quotes
    altered = isinstance(parsed, int | float) and str(parsed) != value
    return with_quotes if altered and key in text_keys() else override


def version_base(hydra: Any) -> dict[str, str]:
    """Return the argument `version_base`: Hydra 1.3 warns without it, Hydra 1.4 with it."""
    major, minor = (int(part) for part in hydra.__version__.split(".")[:2])
    return {"version_base": "1.3"} if (major, minor) < (1, 4) else {}


def _shortened(error: Exception) -> str:
    """Return the message of Hydra or OmegaConf in one or two lines."""
    first = str(error).strip().splitlines()[0]
    cause = str(error.__cause__ or "").strip().splitlines()
    if match := re.match(r"Could not override '([^']+)'", first):
        return unknown_key(match[1])
    if match := re.search(r"Could not find '([^']+)/([^'/]+)'", first):
        return unknown_choice(match[1], match[2])
    if match := re.match(r"Ambiguous value for argument '(.+)'$", first):
        return ambiguous_value(match[1])
    if match := re.match(r"Error merging override (.+)", first):
        advice = ""
        if match[1].startswith("data.path=["):
            advice = "\nFor several files set a pattern, such as 'data.path=FOLDER/*.csv'"
        advice = advice or _switch_advice(match[1].partition("=")[0], cause[:1])
        if not advice and cause and (message := other_type(match[1], cause[0])):
            return message
        return f"{match[1]}: {cause[0] if cause else 'does not fit'}.{advice}"
    if match := re.match(r"In '([^']+)':.*\nKey .*\n *full_key: (\S+)", str(error)):
        return f"In {match[1]}: {unknown_key(match[2])}"
    if match := re.match(r"In '([^']+)':.*\n(.+)\n *full_key: (\S+)", str(error)):
        advice = _switch_advice(match[3], [match[2]], in_file=True)
        return f"In {match[1]}: {match[3]}: {match[2]}.{advice}"
    if match := re.search(r"missing mandatory value: (\w+)", first):
        key = re.search(r"full_key: (\S+)", str(error))
        name = key[1] if key else match[1]
        return f"{name} is not set. Set {name}=VALUE."
    return " ".join([first, *cause[:1]])


def _switch_advice(key: str, cause: Sequence[str], in_file: bool = False) -> str:
    """Return advice for a boolean that should be `on` or `off`, which YAML reads as booleans."""
    match = re.match(r"Invalid value '(True|False)', expected one of .*\boff\b", "".join(cause))
    if match is None:
        return ""
    value = {"True": "on", "False": "off"}[match[1]]
    if in_file:
        return f'\nYAML reads {value} as a boolean. Write {key.rpartition(".")[2]}: "{value}"'
    return f"\nSet {key}={value}."
