"""Run of one job: the function that a launcher calls, in any process or on any machine."""

import contextlib
from dataclasses import replace
from pathlib import Path

from omegaconf import DictConfig

from nlp_rnn.config.compose import run_config
from nlp_rnn.config.run import RunConfig
from nlp_rnn.config.sweep import OnFailure
from nlp_rnn.errors import ConfigError, DataError, PrunedError, TrackingError
from nlp_rnn.launch import remove_empty_folders
from nlp_rnn.runs.console import output_to
from nlp_rnn.runs.run_folder import interrupted
from nlp_rnn.runs.run_logging import SweepMembership
from nlp_rnn.sweeps.pruning import on_epoch

__all__ = ["STOPPED", "run_job"]

STOPPED = ".stopped"
"""File in the sweep's folder; while it exists, no further job starts."""

OUTPUT = "output.log"


def run_job(composed: DictConfig) -> None:
    """Train one job, or resume it if it was interrupted.

    Every error is logged as a FAILED run with its traceback, even one from before the training,
    and is raised again for the launcher.

    Parameters
    ----------
    composed : DictConfig
        Hydra's configuration of the job, without the key `hydra`.
    """
    from hydra.core.hydra_config import HydraConfig

    hydra_config = HydraConfig.get()
    folder = Path(hydra_config.runtime.output_dir)
    config, sweep_options = run_config(composed)
    assert sweep_options.sweep.parent is not None
    stopped = folder.parent / STOPPED
    if stopped.exists():
        remove_empty_folders(folder)
        return
    parent = sweep_options.sweep.parent
    membership = SweepMembership(
        parent,
        {"kind": "train", "sweep": parent[:8], "job": folder.name[-8:]},
        sweep_options.sweep.words,
    )
    sweep_keys = ("sweep.", "search.")
    overrides = [item for item in hydra_config.overrides.task if not item.startswith(sweep_keys)]
    try:
        if sweep_options.search.study:
            report = on_epoch(sweep_options.search, config.trainer.monitor)
            membership = replace(membership, on_epoch=report)
        with output_to(folder / OUTPUT):
            _train(config, folder, overrides, membership)
    except PrunedError:
        raise
    except Exception as error:
        if sweep_options.sweep.on_failure is OnFailure.stop:
            stopped.touch()
        if not any(note.startswith("MLflow run") for note in getattr(error, "__notes__", ())):
            _log_failure(error, config, membership, folder)
        raise


def _train(
    config: RunConfig, folder: Path, overrides: list[str], membership: SweepMembership
) -> None:
    from nlp_rnn.pipeline import resume, train

    if interrupted(folder):
        try:
            resume(folder, membership)
            return
        except (ConfigError, DataError, TrackingError) as error:
            print(f"The interrupted run cannot be resumed: {error}\nIt starts again.")
    train(config, folder, overrides, membership)


def _log_failure(
    error: Exception, config: RunConfig, membership: SweepMembership, folder: Path
) -> None:
    """Log a FAILED run for a job that failed before it had a run."""
    from nlp_rnn.config.signature import flatten
    from nlp_rnn.runs.run_logging import run_name
    from nlp_rnn.tracking.run_lifecycle import tracked_run
    from nlp_rnn.tracking.store import experiment_name, obtain_experiment, prepare_store
    from nlp_rnn.tracking.uri import resolve_uri

    uri = resolve_uri(config.tracking.uri, Path.cwd())
    prepare_store(uri)
    experiment_id = obtain_experiment(uri, experiment_name(config.tracking.experiment))
    tags = {"cell": config.model.cell, "data": config.data.name, "run_folder": str(folder)}
    with (
        contextlib.suppress(type(error)),
        tracked_run(
            uri,
            experiment_id,
            name=run_name(config, membership),
            parameters=flatten(config),
            tags=tags | dict(membership.tags),
            folder=folder,
            parent_run_id=membership.parent_run_id,
            system_metrics=False,
        ),
    ):
        raise error
