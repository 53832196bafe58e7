"""Files of a run folder: configuration, result, and what is needed to resume the run.

The requested configuration is what the user set. The resolved one has values for the options that
were left open (null or auto), which depend on the data and the machine.
"""

import json
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.config.run import RunConfig
from nlp_rnn.config.signature import plain
from nlp_rnn.errors import ConfigError
from nlp_rnn.tracking.interruption import Terminated
from nlp_rnn.tracking.journal import is_still_logged

if TYPE_CHECKING:
    from nlp_rnn.tracking.tracked_run import TrackedRun

__all__ = [
    "CHECKPOINT",
    "CONFIG",
    "ORIGIN",
    "RESOLVED",
    "RESULT",
    "Origin",
    "check_unused",
    "empty_folder",
    "interrupted",
    "read_origin",
    "resumable",
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
TO_RESUME = "To resume it, run "
SWEEP = ".jobs"
"""Folder of the records of a sweep, in its folder."""

OUTPUTS = (
    RESULT,
    "classifier",
    "encoder",
    "summary.txt",
    CONFIG,
    RESOLVED,
    "mistakes.html",
    "confusion_matrix.png",
    "risk_coverage.png",
    "validation_predictions.parquet",
    "test_predictions.parquet",
)
"""What runs and pretrainings save in their folders."""


@dataclass(frozen=True)
class Origin:
    """The MLflow run, data and command of a run, stored in its folder so that it can be resumed.

    Attributes
    ----------
    run_id : str
        MLflow run id; empty before the run has one.
    experiment_id, tracking_uri : str
        MLflow experiment id, and address of the MLflow store.
    data_digest : str
        Hash of the data. A run is resumed only with the same data.
    command : str
        The command line that started the run.
    parameters_logged : bool
        Whether all parameters have been logged to MLflow, including those that depend on the data.
        Files of older versions lack this key: those versions logged all parameters at the start, so
        it is True.
    """

    run_id: str
    experiment_id: str
    tracking_uri: str
    data_digest: str
    command: str
    parameters_logged: bool = True


def check_unused(folder: Path, command: str = "train") -> None:
    """Check that a new run can be saved in `folder` without a loss.

    Parameters
    ----------
    folder : Path
        Run folder that the user chose.
    command : str
        `train` or `pretrain`, for the error message.

    Raises
    ------
    ConfigError
        If `folder` holds another run or a sweep.
    """
    change = "Set another output_dir, or overwrite=true to replace it."
    if is_still_logged(folder):
        raise ConfigError(f"A run in {folder} has not ended yet.\nSet another output_dir.")
    if (folder / SWEEP).is_dir():
        raise ConfigError(f"{folder} holds a sweep.\nSet another output_dir.")
    if interrupted(folder):
        raise ConfigError(
            f"{folder} holds a run that has not finished. {change}\n"
            f"To resume it, run nlp-rnn {command} resume={shlex.quote(str(folder))}"
        )
    held = [name for name in OUTPUTS if (folder / name).exists()]
    if held:
        raise ConfigError(f"{folder} holds a run already: {', '.join(held[:3])}.\n{change}")


def empty_folder(folder: Path) -> None:
    """Create the folder of a new run, and delete what an earlier run has saved in it.

    Raises
    ------
    ConfigError
        If the earlier run has not ended.
    """
    if is_still_logged(folder):
        raise ConfigError(f"A run in {folder} has not ended yet.\nSet another output_dir.")
    folder.mkdir(parents=True, exist_ok=True)
    for name in (CHECKPOINT, *OUTPUTS):
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).unlink(missing_ok=True)


def save_inputs(config: RunConfig, folder: Path, origin: Origin, run: "TrackedRun") -> None:
    """Save the requested configuration and the origin, so that the run can be resumed.

    Call it as soon as the MLflow run exists. The configuration is also logged to MLflow.
    """
    _save_config(config, folder / CONFIG, run)
    (folder / CHECKPOINT).mkdir(exist_ok=True)
    save_origin(replace(origin, run_id=run.run_id), folder)


def save_resolved(resolved: RunConfig, folder: Path, run: "TrackedRun") -> None:
    """Save the resolved configuration in the run folder, and log the file to MLflow."""
    _save_config(resolved, folder / RESOLVED, run)


def save_origin(origin: Origin, folder: Path) -> None:
    """Save the origin of a run, with which a resumed run continues the same MLflow run."""
    write_json(folder / CHECKPOINT / ORIGIN, asdict(origin))


def _save_config(config: RunConfig, path: Path, run: "TrackedRun") -> None:
    """Write a configuration as YAML, and log the file to MLflow."""
    from omegaconf import OmegaConf

    path.write_text(OmegaConf.to_yaml(OmegaConf.create(plain(config))), encoding="utf-8")
    run.log_text(path.read_text(encoding="utf-8"), path.name)


def interrupted(folder: Path) -> bool:
    """Return whether `folder` contains an interrupted run, which can be resumed."""
    return (folder / CHECKPOINT / ORIGIN).is_file() and not (folder / RESULT).is_file()


@contextmanager
def resumable(folder: Path, command: str) -> Iterator[None]:
    """Add the command that resumes the run to what stops the block, such as Ctrl-C or SIGTERM.

    Parameters
    ----------
    folder : Path
        The run folder.
    command : str
        `train` or `pretrain`.
    """
    try:
        yield
    except (KeyboardInterrupt, Terminated) as stop:
        if interrupted(folder):
            resume = f"nlp-rnn {command} resume={shlex.quote(str(folder))}"
            stop.add_note(f"{TO_RESUME}{resume}")
        raise


def read_origin(folder: Path, command: str) -> Origin:
    """Return the origin of the interrupted run in `folder`.

    Parameters
    ----------
    folder : Path
        The run folder.
    command : str
        `train` or `pretrain`, for the error message.

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
