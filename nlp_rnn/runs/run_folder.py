"""Files of a run folder: configuration, result, and what is needed to resume the run."""

import json
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.config.run import RunConfig
from nlp_rnn.config.signature import plain
from nlp_rnn.errors import ConfigError

if TYPE_CHECKING:
    from nlp_rnn.tracking.tracked_run import TrackedRun

__all__ = [
    "CHECKPOINT",
    "CONFIG",
    "ORIGIN",
    "RESOLVED",
    "RESULT",
    "Origin",
    "empty_folder",
    "interrupted",
    "read_origin",
    "save_inputs",
    "save_origin",
    "save_resolved",
    "write_json",
]

CONFIG = "config.yaml"
RESOLVED = "resolved.yaml"
RESULT = "result.json"
CHECKPOINT = "checkpoint"
ORIGIN = "run.json"


@dataclass(frozen=True)
class Origin:
    """Where a run was started, for resuming it.

    Attributes
    ----------
    run_id : str
        MLflow run id; empty before the run has one.
    parameters_logged : bool
        Whether all parameters have been logged. Runs of versions that did not log resolved values
        logged all of them when they started.
    """

    run_id: str
    experiment_id: str
    tracking_uri: str
    data_digest: str
    command: str
    parameters_logged: bool = True


def empty_folder(folder: Path) -> None:
    """Create the folder of a new run and delete result and checkpoint of an earlier run in it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RESULT).unlink(missing_ok=True)
    shutil.rmtree(folder / CHECKPOINT, ignore_errors=True)


def save_inputs(config: RunConfig, folder: Path, origin: Origin, run: "TrackedRun") -> None:
    """Save the requested configuration and the origin, before anything can fail."""
    _save_config(config, folder / CONFIG, run)
    (folder / CHECKPOINT).mkdir(exist_ok=True)
    save_origin(replace(origin, run_id=run.run_id), folder)


def save_resolved(resolved: RunConfig, folder: Path, run: "TrackedRun") -> None:
    """Save the resolved configuration in the run folder and in MLflow."""
    _save_config(resolved, folder / RESOLVED, run)


def save_origin(origin: Origin, folder: Path) -> None:
    """Save what `resume` needs to find the run in MLflow again."""
    write_json(folder / CHECKPOINT / ORIGIN, asdict(origin))


def _save_config(config: RunConfig, path: Path, run: "TrackedRun") -> None:
    from omegaconf import OmegaConf

    path.write_text(OmegaConf.to_yaml(OmegaConf.create(plain(config))), encoding="utf-8")
    run.log_text(path.read_text(encoding="utf-8"), path.name)


def interrupted(folder: Path) -> bool:
    """Return whether `folder` holds an interrupted run that can be resumed."""
    return (folder / CHECKPOINT / ORIGIN).is_file() and not (folder / RESULT).is_file()


def read_origin(folder: Path, command: str) -> Origin:
    """Return the origin of the interrupted run of `nlp-rnn COMMAND` in `folder`.

    Raises
    ------
    ConfigError
        If there is no interrupted run.
    """
    if (folder / RESULT).is_file():
        raise ConfigError(f"The run in {folder} has finished: it has a {RESULT}.")
    try:
        return Origin(**json.loads((folder / CHECKPOINT / ORIGIN).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        raise ConfigError(
            f"There is no interrupted run in {folder}.\nSet resume=FOLDER to a run folder with "
            f"{CHECKPOINT}/{ORIGIN}; nlp-rnn {command} prints its path when it starts."
        ) from None


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write a JSON file atomically."""
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    temporary.replace(path)
