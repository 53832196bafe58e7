"""The words after `nlp-rnn train` become one run or, through Hydra, many."""

import difflib
import os
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nlp_rnn.config import RunConfig, conf_dir, known_keys, register_schemas
from nlp_rnn.errors import ConfigError

__all__ = ["job", "launch"]

FULL_ERROR = "HYDRA_FULL_ERROR"


def launch(words: list[str]) -> None:
    """Compose the configuration and run it, or with `-m` every combination.

    Raises:
        NlpRnnError: wrong words (`ConfigError`), or what the work itself raised.
    """
    import hydra
    from hydra.errors import HydraException

    register_schemas()
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
        sys.argv = argv
        if before is None:
            os.environ.pop(FULL_ERROR, None)
        else:
            os.environ[FULL_ERROR] = before
    if _failures:
        raise _failures[0]


# Errors of a single run, kept here because Hydra would print them with its own words.
_failures: list[Exception] = []


def job(composed: DictConfig) -> None:
    """One run of a composed configuration, in the folder that Hydra made for it."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    hydra_config = HydraConfig.get()
    folder = Path(hydra_config.runtime.output_dir)
    try:
        from nlp_rnn.pipeline import train

        train(_run_config(composed), folder, list(hydra_config.overrides.task))
    except Exception as error:
        if hydra_config.mode is not RunMode.RUN:
            raise
        _failures.append(error)
    finally:
        # a run that was refused before it began leaves no empty folders
        with suppress(OSError):
            folder.rmdir()
            folder.parent.rmdir()
            folder.parent.parent.rmdir()


def _run_config(composed: DictConfig) -> RunConfig:
    try:
        config = OmegaConf.to_object(composed)
    except OmegaConfBaseException as error:
        raise ConfigError(_shortened(error)) from error
    assert isinstance(config, RunConfig)  # the schema that conf/train.yaml begins with
    return config


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
        return f"There is no {group}={choice}; there are {', '.join(choices)}."
    if found := re.match(r"Error merging override (.+)", first):
        return f"{found[1]}: {cause[0] if cause else 'does not fit'}."
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
