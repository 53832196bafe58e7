"""What a run writes into its folder to be found, and to be gone on with: names, origin, results."""

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
    "RESULT",
    "Origin",
    "empty_folder",
    "interrupted",
    "read_origin",
    "write_down",
    "write_json",
]

CONFIG = "config.yaml"
RESULT = "result.json"
CHECKPOINT = "checkpoint"
ORIGIN = "run.json"


@dataclass(frozen=True)
class Origin:
    """What an interrupted run must find again to go on; `run_id` is empty before it has one."""

    run_id: str
    experiment_id: str
    tracking_uri: str
    data_digest: str
    command: str


def empty_folder(folder: Path) -> None:
    """Make the folder of a new run; what an earlier one there would go on with is lost."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RESULT).unlink(missing_ok=True)
    shutil.rmtree(folder / CHECKPOINT, ignore_errors=True)


def write_down(config: RunConfig, folder: Path, origin: Origin, run: "TrackedRun") -> None:
    """Write what the run was given, in its folder and in MLflow, before anything can go wrong."""
    from omegaconf import OmegaConf

    path = folder / CONFIG
    path.write_text(OmegaConf.to_yaml(OmegaConf.create(plain(config))), encoding="utf-8")
    run.log_text(path.read_text(encoding="utf-8"), CONFIG)
    (folder / CHECKPOINT).mkdir(exist_ok=True)
    write_json(folder / CHECKPOINT / ORIGIN, asdict(replace(origin, run_id=run.run_id)))


def interrupted(folder: Path) -> bool:
    """Whether there is a run in `folder` that can be gone on with."""
    return (folder / CHECKPOINT / ORIGIN).is_file() and not (folder / RESULT).is_file()


def read_origin(folder: Path, command: str) -> Origin:
    """What the interrupted run of `nlp-rnn COMMAND` in `folder` began with.

    Raises:
        ConfigError: there is none.
    """
    if (folder / RESULT).is_file():
        raise ConfigError(f"The run in {folder} is finished; its {RESULT} is there.")
    try:
        return Origin(**json.loads((folder / CHECKPOINT / ORIGIN).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        raise ConfigError(
            f"There is no interrupted run in {folder}.\nType resume=FOLDER, a folder with "
            f"{CHECKPOINT}/{ORIGIN}; nlp-rnn {command} prints it when it starts."
        ) from None


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write a file whole or not at all."""
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    temporary.replace(path)
